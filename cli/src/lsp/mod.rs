//! A language server for loss files, over standard input and output.
//!
//! Why: an editor shows a mistake where it is made, and the logic of a loss while it is written. In:
//! messages of the language server protocol. Out: diagnostics for every open text, the card of a loss
//! under the cursor, what can be written there, the canonical form, the losses of a file.
//!
//! [`wire`] cuts the input into messages; [`document`] looks at one text, [`complete`] at what can stand at a
//! place of it; [`position`] turns bytes into the protocol's lines and UTF-16 columns.
//! Invariants: a text is looked at again only once all changes that wait have been read; a request that
//! makes no sense gets an error, and the server goes on.

mod complete;
mod document;
mod position;
mod wire;

use document::Document;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;

pub use wire::{Threads, connect};

/// Serves an editor until it says that it is done.
///
/// # Errors
/// The connection broke, or the editor left the protocol.
pub fn serve(connection: &Connection) -> Result<(), Box<dyn Error + Send + Sync>> {
    connection.initialize(json!({
        // The whole text comes with every change: losses are short.
        "textDocumentSync": { "openClose": true, "change": 1 },
        "hoverProvider": true,
        "completionProvider": {},
        "documentFormattingProvider": true,
        "documentSymbolProvider": true,
    }))?;
    let mut server = Server { connection, open: BTreeMap::new(), changed: Vec::new() };
    while let Ok(message) = connection.receiver.recv() {
        if server.handle(message)? {
            return Ok(());
        }
        // What waits may change the text once more.
        while let Ok(message) = connection.receiver.try_recv() {
            if server.handle(message)? {
                return Ok(());
            }
        }
        server.publish()?;
    }
    Ok(())
}

struct Server<'a> {
    connection: &'a Connection,
    open: BTreeMap<String, Document>,
    /// Texts whose diagnostics are out of date.
    changed: Vec<String>,
}

type Done = Result<bool, Box<dyn Error + Send + Sync>>;

impl Server<'_> {
    /// True when the editor is done.
    fn handle(&mut self, message: Message) -> Done {
        match message {
            Message::Request(request) => {
                if self.connection.handle_shutdown(&request)? {
                    return Ok(true);
                }
                let response = self.answer(&request);
                self.connection.sender.send(Message::Response(response))?;
            }
            Message::Notification(n) if n.method == "exit" => {
                return Err("the editor left without saying that it would".into());
            }
            Message::Notification(n) => self.note(&n)?,
            Message::Response(_) => {}
        }
        Ok(false)
    }

    fn answer(&self, request: &Request) -> Response {
        let id = request.id.clone();
        let uri = request.params["textDocument"]["uri"].as_str().unwrap_or_default();
        let document = self.open.get(uri);
        let known = [
            "textDocument/hover",
            "textDocument/completion",
            "textDocument/formatting",
            "textDocument/documentSymbol",
        ];
        if !known.contains(&request.method.as_str()) {
            let what = format!("`{}` is not offered", request.method);
            return Response::new_err(id, ErrorCode::MethodNotFound as i32, what);
        }
        let Some(document) = document else {
            let what = format!("`{uri}` is not open");
            return Response::new_err(id, ErrorCode::InvalidParams as i32, what);
        };
        let result = match request.method.as_str() {
            "textDocument/hover" => document.hover(&request.params["position"]),
            "textDocument/completion" => document.completion(&request.params["position"]),
            "textDocument/formatting" => document.formatting(),
            _ => document.symbols(),
        };
        Response::new_ok(id, result)
    }

    fn note(&mut self, n: &Notification) -> Result<(), Box<dyn Error + Send + Sync>> {
        let document = &n.params["textDocument"];
        let Some(uri) = document["uri"].as_str().map(str::to_owned) else { return Ok(()) };
        let text = match n.method.as_str() {
            "textDocument/didOpen" => document["text"].as_str(),
            "textDocument/didChange" => {
                let changes = n.params["contentChanges"].as_array();
                changes.and_then(|c| c.last()).and_then(|c| c["text"].as_str())
            }
            "textDocument/didClose" => {
                self.open.remove(&uri);
                self.changed.retain(|u| *u != uri);
                return self.send(&uri, None, json!([]));
            }
            _ => None,
        };
        if let Some(text) = text {
            let version = document["version"].as_i64();
            self.open.insert(uri.clone(), Document::new(&uri, text, version));
            if !self.changed.contains(&uri) {
                self.changed.push(uri);
            }
        }
        Ok(())
    }

    /// Sends the diagnostics of what changed.
    fn publish(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        for uri in std::mem::take(&mut self.changed) {
            if let Some(document) = self.open.get(&uri) {
                self.send(&uri, document.version, document.diagnostics())?;
            }
        }
        Ok(())
    }

    fn send(
        &self,
        uri: &str,
        version: Option<i64>,
        diagnostics: Value,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut params = json!({ "uri": uri, "diagnostics": diagnostics });
        if let Some(version) = version {
            params["version"] = json!(version);
        }
        let method = "textDocument/publishDiagnostics".to_owned();
        let n = Notification::new(method, params);
        Ok(self.connection.sender.send(Message::Notification(n))?)
    }
}
