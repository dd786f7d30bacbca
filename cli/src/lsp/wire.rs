//! Messages over standard input and output.
//!
//! Why of our own: the protocol's framing is five lines, and what comes in may be anything. In: bytes. Out: a
//! connection. Invariants: no header makes the server reserve more than [`LARGEST`]; a body that is no message
//! is answered with an error and the next one is read; a header that cannot be read ends the connection,
//! since nothing behind it can be found.

use lsp_server::{Connection, Message};
use serde_json::{Value, json};
use std::io::{self, BufRead, Read as _, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Bytes of the longest message that is read.
const LARGEST: usize = 64 << 20;

/// Bytes of the longest header line that is read.
const LONGEST_LINE: u64 = 4096;

/// The protocol's code for a text that is not JSON, and for JSON that is no message.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;

/// The threads that read and write.
#[derive(Debug)]
pub struct Threads {
    writer: thread::JoinHandle<()>,
    /// How reading ended.
    read: Receiver<io::Result<()>>,
}

impl Threads {
    /// How reading ended, if it has.
    ///
    /// # Errors
    /// What came in has no header, or one that is out of bounds.
    pub fn ended(&self) -> io::Result<()> {
        // The reader says so just after it closes the connection.
        self.read.recv_timeout(Duration::from_millis(500)).unwrap_or(Ok(()))
    }

    /// Waits until everything is written. The connection has to be dropped before.
    pub fn join(self) {
        // A writer that panicked has nothing left to write.
        let _ = self.writer.join();
    }
}

/// A connection on standard input and output.
pub fn connect() -> (Connection, Threads) {
    let (editor, server) = Connection::memory();
    let Connection { sender, receiver } = editor;
    let (tell, read) = channel();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        let forward = |body: &[u8]| match message(body) {
            Ok(message) => {
                let exit = matches!(&message, Message::Notification(n) if n.method == "exit");
                sender.send(message).is_ok() && !exit
            }
            Err(refused) => write(&refused).is_ok(),
        };
        let ended = loop {
            match frame(&mut input) {
                Ok(Some(body)) if forward(&body) => {}
                Ok(_) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        // First the reason, then the end of the connection, so that who sees the end finds the reason.
        let _ = tell.send(ended);
    });
    let writer = thread::spawn(move || {
        for message in receiver {
            if message.write(&mut io::stdout().lock()).is_err() {
                break;
            }
        }
    });
    (server, Threads { writer, read })
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The body of the next message; `None` at the end of the input.
fn frame(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut length: Option<usize> = None;
    let mut first = true;
    loop {
        let mut line = Vec::new();
        input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() && first {
            return Ok(None);
        }
        first = false;
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err(invalid("a header line does not end".to_owned()));
        };
        if text.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(text);
        let Some((name, value)) = text.split_once(": ") else {
            return Err(invalid(format!("`{}` is no header", text.escape_debug())));
        };
        if name.eq_ignore_ascii_case("Content-Length") {
            let n = value.trim().parse().ok().filter(|n| *n <= LARGEST);
            length = Some(n.ok_or_else(|| {
                invalid(format!("a message of {} bytes; at most {LARGEST} are read", value.trim()))
            })?);
        }
    }
    let length = length.ok_or_else(|| invalid("a message without Content-Length".to_owned()))?;
    let mut body = Vec::new();
    input.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(invalid("the input ends inside a message".to_owned()));
    }
    Ok(Some(body))
}

/// The message of a body, or the answer to what is none.
fn message(body: &[u8]) -> Result<Message, Value> {
    let refuse = |code: i32, id: Value, text: String| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } });
    let value: Value = serde_json::from_slice(body)
        .map_err(|e| refuse(PARSE_ERROR, Value::Null, e.to_string()))?;
    let id = value.get("id").filter(|i| i.is_number() || i.is_string()).cloned();
    serde_json::from_value(value).map_err(|_| {
        let text = "neither a request nor a notification nor a response".to_owned();
        refuse(INVALID_REQUEST, id.unwrap_or_default(), text)
    })
}

fn write(value: &Value) -> io::Result<()> {
    let text = value.to_string();
    let mut out = io::stdout().lock();
    write!(out, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        frame(&mut io::BufReader::new(bytes)).map_err(|e| e.to_string())
    }

    #[test]
    fn frames_are_cut_and_bounded() {
        assert_eq!(body(b""), Ok(None));
        assert_eq!(body(b"Content-Length: 2\r\n\r\n{}x"), Ok(Some(b"{}".to_vec())));
        let typed = b"Content-Type: x\r\ncontent-length: 1\r\n\r\n7";
        assert_eq!(body(typed), Ok(Some(b"7".to_vec())));
        for (bytes, reason) in [
            (&b"Content-Length: 5\r\n\r\n{}"[..], "ends inside"),
            (b"Content-Length: -5\r\n\r\n", "a message of -5 bytes"),
            (b"Content-Length: 99999999999999\r\n\r\n", "at most"),
            (b"Content-Length: 4000000000\r\n\r\n", "at most"),
            (b"\r\n\r\n", "without Content-Length"),
            (b"Content-Length: 2\n\n{}", "does not end"),
            (b"nonsense\r\n\r\n", "no header"),
        ] {
            let error = body(bytes).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
        let endless = vec![b'a'; 1 << 20];
        assert!(body(&endless).expect_err("no line").contains("does not end"));
    }

    #[test]
    fn what_is_no_message_is_answered() {
        let code = |bytes: &[u8]| message(bytes).expect_err("none")["error"]["code"].clone();
        assert_eq!(code(b"hello"), PARSE_ERROR);
        assert_eq!(code(b"\xff\xfe"), PARSE_ERROR);
        assert_eq!(code(b"[]"), INVALID_REQUEST);
        assert_eq!(message(br#"{"id": 9}"#).expect_err("none")["id"], 9);
    }
}
