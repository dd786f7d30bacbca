//! One JSON object to one preference pair.
//!
//! Accepted: `prompt`, `chosen`, `rejected` as strings; or `chosen` and `rejected` as conversations (lists
//! of `{role, content}`), with `prompt` as a conversation, as a string, or implicit: the messages with
//! which both conversations begin.

use ponens_compiler::mir::Interval;
use ponens_dsl::Diagnostic;
use serde_json::{Map, Value};

use crate::tokenizer::Message;

/// A numeric column that the loss reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Its name in the data.
    pub name: String,
    /// The values allowed.
    pub range: Interval,
}

/// A text, or the turns of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Plain text.
    Text(String),
    /// Messages in order.
    Chat(Vec<Message>),
}

impl Turns {
    /// True when there is no character of content.
    pub fn is_empty(&self) -> bool {
        match self {
            Turns::Text(t) => t.is_empty(),
            Turns::Chat(m) => m.iter().all(|m| m.content.is_empty()),
        }
    }
}

/// One preference pair as the file has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PairRecord {
    /// Its row in the data, counted from 0, dropped rows included.
    pub row: usize,
    /// Its line in the file, counted from 1.
    pub line: usize,
    /// What both responses answer.
    pub prompt: Turns,
    /// The preferred response.
    pub chosen: Turns,
    /// The other one.
    pub rejected: Turns,
    /// The values of the columns asked for, in their order.
    pub columns: Vec<f64>,
}

type Fields = Map<String, Value>;

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn missing(name: &str, fields: &Fields, needs: &[&str]) -> Diagnostic {
    let have: Vec<&str> = fields.keys().map(String::as_str).take(20).collect();
    let have = if have.is_empty() { "no column".into() } else { have.join(", ") };
    Diagnostic::error("E0401", format!("no column `{name}`"))
        .note(format!("the row has: {have}"))
        .help(format!("needed: {}", needs.join(", ")))
}

fn wrong_type(name: &str, value: &Value, wanted: &str) -> Diagnostic {
    Diagnostic::error("E0402", format!("column `{name}` is {}", type_name(value)))
        .help(format!("wanted: {wanted}"))
}

const TURNS: &str = "a string, or a list of {\"role\": .., \"content\": ..} objects";

fn message(name: &str, value: &Value) -> Result<Message, Diagnostic> {
    let part = |key: &str| match value.get(key) {
        Some(Value::String(s)) => Ok(s.clone()),
        Some(other) => Err(wrong_type(&format!("{name}[].{key}"), other, "a string")),
        None if value.is_object() => {
            Err(Diagnostic::error("E0402", format!("a message of `{name}` has no `{key}`"))
                .help(format!("wanted: {TURNS}")))
        }
        None => Err(wrong_type(&format!("{name}[]"), value, "a {role, content} object")),
    };
    Ok(Message { role: part("role")?, content: part("content")? })
}

fn turns(name: &str, value: &Value) -> Result<Turns, Diagnostic> {
    match value {
        Value::String(s) => Ok(Turns::Text(s.clone())),
        Value::Array(list) => {
            Ok(Turns::Chat(list.iter().map(|m| message(name, m)).collect::<Result<_, _>>()?))
        }
        other => Err(wrong_type(name, other, TURNS)),
    }
}

fn common_prefix(a: &[Message], b: &[Message]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Splits two conversations into the prompt that they share and what follows.
fn conversation(
    prompt: Option<Turns>,
    mut chosen: Vec<Message>,
    mut rejected: Vec<Message>,
    fields: &Fields,
) -> Result<(Turns, Turns, Turns), Diagnostic> {
    let mut shared = common_prefix(&chosen, &rejected);
    // Two equal conversations: the last turn is the response.
    if shared == chosen.len() || shared == rejected.len() {
        shared = shared.saturating_sub(1);
    }
    let prompt = match prompt {
        Some(Turns::Chat(prompt)) => {
            let repeats = |m: &[Message]| m.len() > prompt.len() && m.starts_with(&prompt);
            if repeats(&chosen) && repeats(&rejected) {
                chosen.drain(..prompt.len());
                rejected.drain(..prompt.len());
            }
            prompt
        }
        // The string repeats the last question of the shared turns, which say more.
        Some(Turns::Text(_)) if shared > 0 => {
            rejected.drain(..shared);
            chosen.drain(..shared).collect()
        }
        Some(Turns::Text(text)) => vec![Message { role: "user".into(), content: text }],
        None if shared > 0 => {
            rejected.drain(..shared);
            chosen.drain(..shared).collect()
        }
        None => {
            return Err(missing("prompt", fields, &["prompt", "chosen", "rejected"]).note(
                "the two conversations do not begin with the same messages, so none is implicit",
            ));
        }
    };
    Ok((Turns::Chat(prompt), Turns::Chat(chosen), Turns::Chat(rejected)))
}

fn number(spec: &ColumnSpec, fields: &Fields) -> Result<f64, Diagnostic> {
    let name = &spec.name;
    let value = match fields.get(name) {
        Some(Value::Number(n)) => n.as_f64().unwrap_or(f64::NAN),
        Some(Value::Bool(b)) => f64::from(u8::from(*b)),
        Some(other) => return Err(wrong_type(name, other, "a number")),
        None => return Err(missing(name, fields, &["prompt", "chosen", "rejected", name])),
    };
    if spec.range.contains(value) {
        return Ok(value);
    }
    Err(Diagnostic::error("E0405", format!("column `{name}` is {value}"))
        .help(format!("allowed: {}", spec.range)))
}

/// Reads one row; all that is wrong with it at once.
pub(super) fn parse(
    text: &str,
    specs: &[ColumnSpec],
    (row, line): (usize, usize),
) -> Result<PairRecord, Vec<Diagnostic>> {
    let value: Value = serde_json::from_str(text).map_err(|e| {
        vec![
            Diagnostic::error("E0403", format!("the line is not JSON: {}", json_reason(&e)))
                .help("wanted: one JSON object a line"),
        ]
    })?;
    let Value::Object(fields) = value else {
        return Err(vec![
            Diagnostic::error("E0403", format!("the line is {}", type_name(&value)))
                .help("wanted: one JSON object a line"),
        ]);
    };
    let mut wrong = Vec::new();
    let mut get = |name: &str| match fields.get(name).map(|v| turns(name, v)) {
        Some(Ok(t)) => Some(t),
        Some(Err(d)) => {
            wrong.push(d);
            None
        }
        None => None,
    };
    let (prompt, chosen, rejected) = (get("prompt"), get("chosen"), get("rejected"));
    for name in ["chosen", "rejected"] {
        if !fields.contains_key(name) {
            wrong.push(missing(name, &fields, &["prompt", "chosen", "rejected"]));
        }
    }
    let mut columns = Vec::with_capacity(specs.len());
    for spec in specs {
        match number(spec, &fields) {
            Ok(v) => columns.push(v),
            Err(d) => wrong.push(d),
        }
    }
    let parts = match (prompt, chosen, rejected) {
        (p, Some(Turns::Chat(c)), Some(Turns::Chat(r))) => conversation(p, c, r, &fields),
        (Some(p @ Turns::Text(_)), Some(c @ Turns::Text(_)), Some(r @ Turns::Text(_))) => {
            Ok((p, c, r))
        }
        (None, Some(_), Some(_)) if !fields.contains_key("prompt") => {
            Err(missing("prompt", &fields, &["prompt", "chosen", "rejected"]))
        }
        (Some(_), Some(_), Some(_)) => Err(Diagnostic::error(
            "E0402",
            "`prompt`, `chosen` and `rejected` mix strings and conversations",
        )
        .help("wanted: three strings, or conversations for both responses")),
        // One of the three is in `wrong` already.
        _ => return Err(wrong),
    };
    match parts {
        Ok((prompt, chosen, rejected)) if wrong.is_empty() => {
            Ok(PairRecord { row, line, prompt, chosen, rejected, columns })
        }
        Ok(_) => Err(wrong),
        Err(d) => {
            wrong.push(d);
            Err(wrong)
        }
    }
}

/// The reason without "at line 1", for the line of the file is stated beside it.
fn json_reason(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.rfind(" at line ") {
        Some(at) => format!("{} (column {})", &text[..at], e.column()),
        None => text,
    }
}
