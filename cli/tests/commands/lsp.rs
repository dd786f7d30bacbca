//! `ponens lsp`, driven over standard input and output as an editor does.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Generous for a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

struct Editor {
    child: Child,
    ask: ChildStdin,
    answers: Receiver<Value>,
    /// What came while something else was waited for.
    early: Vec<Value>,
    next: u64,
}

impl Editor {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ponens"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let ask = child.stdin.take().expect("a pipe");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, answers) = channel();
        std::thread::spawn(move || {
            loop {
                let mut length = 0;
                let mut line = String::new();
                while out.read_line(&mut line).is_ok_and(|n| n > 0) && line != "\r\n" {
                    if let Some(n) = line.strip_prefix("Content-Length: ") {
                        length = n.trim().parse().expect("a length");
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                if length == 0 || out.read_exact(&mut body).is_err() {
                    return;
                }
                let _ = send.send(serde_json::from_slice(&body).expect("JSON"));
            }
        });
        let mut editor = Self { child, ask, answers, early: Vec::new(), next: 0 };
        let hello = editor.request("initialize", json!({ "capabilities": {} }));
        assert_eq!(hello["result"]["capabilities"]["hoverProvider"], true, "{hello}");
        editor.notify("initialized", json!({}));
        editor
    }

    fn send(&mut self, message: Value) {
        let text = message.to_string();
        write!(self.ask, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("written");
        self.ask.flush().expect("written");
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.wait(|m| m["id"] == id)
    }

    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(i) = self.early.iter().position(&wanted) {
            return self.early.remove(i);
        }
        loop {
            let message = self.answers.recv_timeout(LONGEST).expect("an answer");
            if wanted(&message) {
                return message;
            }
            self.early.push(message);
        }
    }

    /// The diagnostics of a version of the text.
    fn diagnostics(&mut self, version: i64) -> Vec<Value> {
        let message = self.wait(|m| {
            m["method"] == "textDocument/publishDiagnostics" && m["params"]["version"] == version
        });
        message["params"]["diagnostics"].as_array().expect("an array").clone()
    }

    fn change(&mut self, version: i64, text: &str) {
        let document = json!({ "uri": URI, "version": version });
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": document, "contentChanges": [{ "text": text }] }),
        );
    }

    fn at(&mut self, method: &str, line: usize, character: usize) -> Value {
        let position = json!({ "line": line, "character": character });
        self.request(method, json!({ "textDocument": { "uri": URI }, "position": position }))
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const URI: &str = "file:///nowhere/a%20loss.loss";

const GOOD: &str = "\
/// Mine, \u{1F600}.
loss mine(beta = 0.1 in (0, inf)) {
    data pair(w > l)
    model pi = policy

    rho = log(pi(w) / pi(l))
    minimize logistic(beta * rho)
}

loss other = dpo with { beta = 0.5 }
";

#[test]
fn an_editor_is_served() {
    let mut editor = Editor::start();
    let wrong = GOOD.replace("    minimize", "    let x = logp(pi, v)\n    minimize");
    let document = json!({ "uri": URI, "languageId": "ponens", "version": 1, "text": wrong });
    editor.notify("textDocument/didOpen", json!({ "textDocument": document }));
    let found = editor.diagnostics(1);
    let codes: Vec<&str> = found.iter().map(|d| d["code"].as_str().expect("a code")).collect();
    assert!(codes.contains(&"E0203"), "{found:?}");
    let d = found.iter().find(|d| d["code"] == "E0203").expect("it is there");
    assert_eq!((&d["severity"], &d["source"]), (&json!(1), &json!("ponens")));
    assert_eq!(d["range"]["start"], json!({ "line": 6, "character": 21 }), "{d}");

    // Only the last of several changes is looked at in the end.
    for version in 2..9 {
        editor.change(version, &wrong[..wrong.len() - version as usize]);
    }
    editor.change(9, GOOD);
    assert_eq!(editor.diagnostics(9), [Value::Null; 0]);

    let card = editor.at("textDocument/hover", 6, 10);
    let text = card["result"]["contents"]["value"].as_str().expect("a text");
    assert!(text.contains("prefer pi(l) -> pi(w)"), "{text}");
    assert!(text.contains("In the lattice: CPO"), "{text}");
    let base = editor.at("textDocument/hover", 9, 14);
    let text = base["result"]["contents"]["value"].as_str().expect("a text");
    assert!(text.starts_with("**dpo**"), "{text}");
    assert_eq!(editor.at("textDocument/hover", 99, 0)["result"], Value::Null);

    let labels = |answer: &Value| -> Vec<String> {
        let items = answer["result"].as_array().expect("a list").iter();
        items.map(|i| i["label"].as_str().expect("a label").to_owned()).collect()
    };
    let inside = editor.at("textDocument/completion", 6, 22);
    for name in ["beta", "rho", "pi", "w", "logistic", "logsumexp", "minimize"] {
        assert!(labels(&inside).contains(&name.to_owned()), "{name}: {inside}");
    }
    assert!(!labels(&inside).contains(&"loss".to_owned()), "{inside}");
    let items = inside["result"].as_array().expect("a list");
    let hinge = items.iter().find(|i| i["label"] == "hinge").expect("a link");
    assert_eq!(hinge["detail"], "hinge(x, margin = 1)");
    let bases = editor.at("textDocument/completion", 9, 13);
    for name in ["dpo", "lattice.CPO", "mine"] {
        assert!(labels(&bases).contains(&name.to_owned()), "{name}: {bases}");
    }
    assert_eq!(
        labels(&editor.at("textDocument/completion", 8, 0)),
        ["edition", "fn", "import", "loss"]
    );

    let symbols = editor.at("textDocument/documentSymbol", 0, 0);
    let names: Vec<&str> = symbols["result"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|s| s["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["mine", "other"]);

    assert_eq!(editor.at("textDocument/formatting", 0, 0)["result"], json!([]));
    editor.change(10, &GOOD.replace("    data pair", "data   pair"));
    let edits = editor.at("textDocument/formatting", 0, 0);
    assert_eq!(edits["result"][0]["newText"], GOOD);
    editor.change(11, "loss {");
    assert_eq!(editor.at("textDocument/formatting", 0, 0)["result"], Value::Null);
    assert!(!editor.diagnostics(11).is_empty());

    let error = editor.request("textDocument/nonsense", json!({}));
    assert_eq!(error["error"]["code"], -32601, "{error}");
    // What is no message is answered, and the next one is read.
    for (body, code) in [("hello", -32700), ("[]", -32600), ("{\"id\": 7}", -32600)] {
        write!(editor.ask, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("written");
        let answer = editor.wait(|m| m["error"]["code"] == code);
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    let error = editor.request("textDocument/hover", json!([1, 2]));
    assert_eq!(error["error"]["code"], -32602, "{error}");
    editor.notify("textDocument/didClose", json!({ "textDocument": { "uri": URI } }));
    let closed = editor.wait(|m| {
        m["method"] == "textDocument/publishDiagnostics" && m["params"]["version"].is_null()
    });
    assert_eq!(closed["params"]["diagnostics"], json!([]));

    editor.request("shutdown", Value::Null);
    editor.notify("exit", Value::Null);
    let status = editor.child.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

/// A header that cannot be read ends the server with a reason, and reserves nothing.
#[test]
fn a_broken_connection_is_explained() {
    for (bytes, reason) in [
        (&b"Content-Length: 99999999999999\r\n\r\n{}"[..], "at most"),
        (b"Content-Length: 4000000000\r\n\r\n{}", "at most"),
        (b"nonsense\r\n\r\n", "no header"),
        (b"", "disconnected"),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ponens"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        child.stdin.take().expect("a pipe").write_all(bytes).expect("written");
        let out = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(text.contains("E0003") && text.contains(reason), "{text}");
    }
}

#[test]
fn the_grammar_for_colours_knows_the_functions_of_the_language() {
    let grammar = include_str!("../../../editors/vscode/syntaxes/ponens.tmLanguage.json");
    let grammar: Value = serde_json::from_str(grammar).expect("JSON");
    let patterns = grammar["repository"]["expressions"]["patterns"].as_array().expect("patterns");
    let mut coloured: Vec<&str> = Vec::new();
    for p in patterns {
        if p["name"].as_str().is_some_and(|n| n.starts_with("support.")) {
            let words = p["match"].as_str().expect("a pattern");
            let words = words.split(['(', ')']).nth(1).expect("a list");
            coloured.extend(words.split('|'));
        }
    }
    coloured.sort_unstable();
    let mut known: Vec<&str> = ponens::compiler::hir::functions().collect();
    known.extend(["sum", "mean", "product", "std", "logsumexp"]);
    known.sort_unstable();
    assert_eq!(coloured, known);
}
