// Starts `ponens lsp` for .loss files; everything else is the server's.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const command = workspace.getConfiguration("ponens").get("command");
  const server = { command, args: ["lsp"] };
  client = new LanguageClient("ponens", "ponens", server, { documentSelector: [{ language: "ponens" }] });
  return client.start();
};

exports.deactivate = () => client && client.stop();
