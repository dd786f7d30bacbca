//! One row to one example in text.
//!
//! Accepted, in the ecosystem's names:
//!
//! * pairs: `prompt`, `chosen`, `rejected` as strings; or both responses as conversations (lists of
//!   `{role, content}`), with the prompt as a conversation, as a string, or implicit;
//! * pairs of strings without a prompt: both begin with it;
//! * lists of responses and trajectories: see [`super::lists`];
//! * single responses: `prompt`, `completion`, `label` (true where the response is good), for losses
//!   that read labelled data. Such a loss takes pairs as well: a good response and a bad one.

use ponens_compiler::mir::Interval;
use ponens_dsl::Diagnostic;
use serde_json::Value;

use super::conversation::{Parts, split_pair, split_single};
use super::lists::{ListSpec, Numbers, parse_nested};
use super::rows::Fields;
use crate::tokenizer::Message;

/// A numeric column that the loss reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Its name in the data.
    pub name: String,
    /// The values allowed.
    pub range: Interval,
}

/// What one example of the loss is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Two responses, of which one is preferred.
    #[default]
    Pair,
    /// One response that is good or bad; a pair gives two.
    Labelled,
    /// Any number of responses, ranked or with numbers; a pair is a list of two.
    List,
    /// One response with numbers, token by token.
    Trajectory,
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

/// One example as the file has it: a pair, or a single response.
#[derive(Clone, Debug, PartialEq)]
pub struct TextExample {
    /// Its row in the data, counted from 0, dropped rows included.
    pub row: usize,
    /// Its line in the file, counted from 1; in a Parquet file its row.
    pub line: usize,
    /// What the responses answer.
    pub prompt: Turns,
    /// The responses: of a pair the preferred one first.
    pub responses: Vec<Turns>,
    /// The further responses asked for, such as a rationale, with their columns' names.
    pub further: Vec<(String, Turns)>,
    /// By response: whether it is good. Of a pair the first is, the second is not.
    pub good: Vec<bool>,
    /// By response of a list: how good it is, the higher the better; empty for all else.
    pub quality: Vec<f64>,
    /// The values of the columns asked for, in their order.
    pub columns: Vec<f64>,
    /// The values of the list columns asked for: one a response of a list, or one a token.
    pub lists: Vec<Numbers>,
    /// By response: the reference's log-probability, summed over its tokens, where it was asked for.
    pub reference: Option<Vec<f64>>,
}

impl TextExample {
    /// The names in the data of its responses without the further ones.
    pub fn response_names(&self) -> Vec<&'static str> {
        match (self.quality.is_empty(), self.responses.len()) {
            (false, n) => vec!["responses"; n],
            (true, 2) => vec!["chosen", "rejected"],
            (true, _) => vec!["completion"],
        }
    }

    /// All responses with their names in the data, the further ones last.
    pub fn named_responses(&self) -> impl Iterator<Item = (&str, &Turns)> {
        let own = self.response_names().into_iter().zip(&self.responses);
        own.chain(self.further.iter().map(|(name, turns)| (name.as_str(), turns)))
    }
}

/// What to look for in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) shape: Shape,
    pub(super) columns: &'a [ColumnSpec],
    /// Columns with one number a response of a list, or one a token.
    pub(super) lists: &'a [ListSpec],
    /// Columns with further responses to the prompt of a pair.
    pub(super) further: &'a [String],
    /// Also the reference's log-probabilities.
    pub(super) reference: bool,
}

/// Columns that hold text or conversations.
pub(super) const TEXT_COLUMNS: [&str; 4] = ["prompt", "chosen", "rejected", "completion"];

/// By response of a pair, then of a single response: the names under which tools write the reference's
/// log-probabilities.
const REFERENCE_COLUMNS: [[&str; 2]; 3] = [
    ["ref_chosen_logps", "reference_chosen_logps"],
    ["ref_rejected_logps", "reference_rejected_logps"],
    ["ref_logps", "reference_logps"],
];

impl Wanted<'_> {
    /// The names of all columns that are looked at.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = TEXT_COLUMNS.to_vec();
        names.extend(["label", "responses"]);
        if self.reference {
            names.extend(REFERENCE_COLUMNS.as_flattened());
        }
        names.extend(self.columns.iter().map(|c| c.name.as_str()));
        names.extend(self.lists.iter().map(|c| c.name.as_str()));
        names.extend(self.further.iter().map(String::as_str));
        names
    }
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(super) fn missing(name: &str, fields: &Fields, needs: &[&str]) -> Diagnostic {
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

pub(super) fn turns(name: &str, value: &Value) -> Result<Turns, Diagnostic> {
    match value {
        Value::String(s) => Ok(Turns::Text(s.clone())),
        Value::Array(list) => {
            Ok(Turns::Chat(list.iter().map(|m| message(name, m)).collect::<Result<_, _>>()?))
        }
        other => Err(wrong_type(name, other, TURNS)),
    }
}

pub(super) fn number(name: &str, range: &Interval, fields: &Fields) -> Result<f64, Diagnostic> {
    let value = match fields.get(name) {
        Some(Value::Number(n)) => n.as_f64().unwrap_or(f64::NAN),
        Some(Value::Bool(b)) => f64::from(u8::from(*b)),
        Some(other) => return Err(wrong_type(name, other, "a number")),
        None => return Err(missing(name, fields, &["prompt", "chosen", "rejected", name])),
    };
    if range.contains(value) {
        return Ok(value);
    }
    Err(Diagnostic::error("E0405", format!("column `{name}` is {value}"))
        .help(format!("allowed: {range}")))
}

/// A label: true, false, 1, 0, or one of these words.
fn label(fields: &Fields) -> Result<bool, Diagnostic> {
    let wanted = "true where the response is good, else false (or 1 and 0)";
    match fields.get("label") {
        Some(Value::Bool(b)) => Ok(*b),
        Some(Value::Number(n)) if n.as_f64() == Some(1.0) => Ok(true),
        Some(Value::Number(n)) if n.as_f64() == Some(0.0) => Ok(false),
        Some(Value::Number(n)) => Err(Diagnostic::error("E0405", format!("column `label` is {n}"))
            .help(format!("wanted: {wanted}"))),
        Some(Value::String(s)) if s.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(s)) if s.eq_ignore_ascii_case("false") => Ok(false),
        Some(other) => Err(wrong_type("label", other, wanted)),
        None => Err(missing("label", fields, &["prompt", "completion", "label"])),
    }
}

fn reference(fields: &Fields, names: &[&str; 2]) -> Result<f64, Diagnostic> {
    let name = names.iter().find(|n| fields.contains_key(**n)).unwrap_or(&names[0]);
    if !fields.contains_key(*name) {
        return Err(missing(name, fields, &[name]).help(
            "precompute the reference's log-probabilities, summed over the response's tokens, or name \
             a reference model",
        ));
    }
    number(name, &Interval::LOG_PROB, fields)
}

/// Whether a row is a pair, a single response, a list of responses, or none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pair,
    Single,
    List,
    Neither,
}

/// What the columns of a row say that it is.
pub(super) fn kind(fields: &Fields) -> Kind {
    let has = |name: &str| fields.get(name).is_some_and(|v| !v.is_null());
    if has("chosen") || has("rejected") {
        Kind::Pair
    } else if has("completion") || has("label") {
        Kind::Single
    } else if has("responses") {
        Kind::List
    } else {
        Kind::Neither
    }
}

const PAIR: [&str; 3] = ["prompt", "chosen", "rejected"];
const SINGLE: [&str; 3] = ["prompt", "completion", "label"];

/// Reads one row; all that is wrong with it at once.
pub(super) fn parse(
    fields: &Fields,
    wanted: &Wanted<'_>,
    (row, line): (usize, usize),
) -> Result<TextExample, Vec<Diagnostic>> {
    if matches!(wanted.shape, Shape::List | Shape::Trajectory) {
        return parse_nested(fields, wanted, (row, line));
    }
    let single = match (kind(fields), wanted.shape) {
        (Kind::Single, Shape::Labelled) => true,
        (Kind::Single, Shape::Pair) => {
            let d = missing("chosen", fields, &PAIR);
            return Err(vec![d.note(
                "these are single responses with labels, for losses such as kto, bco and \
                 apo_zero_unpaired",
            )]);
        }
        (Kind::List, _) => {
            let needs: &[&str] = if wanted.shape == Shape::Pair { &PAIR } else { &SINGLE };
            let d = missing(needs[1], fields, needs);
            return Err(vec![d.note("these are lists of responses, for losses such as dpo_pl")]);
        }
        (Kind::Neither, Shape::Labelled) => {
            let d = missing("completion", fields, &SINGLE);
            return Err(vec![d.note("pairs are taken as well: prompt, chosen, rejected")]);
        }
        _ => false,
    };
    let needs = if single { SINGLE } else { PAIR };
    let mut wrong = Vec::new();
    let mut get = |name: &str| match fields.get(name).map(|v| turns(name, v)) {
        Some(Ok(t)) => Some(t),
        // A column of a table with mixed rows is there without a value.
        Some(Err(_)) if name == "prompt" && fields[name].is_null() => None,
        Some(Err(d)) => {
            wrong.push(d);
            None
        }
        None => None,
    };
    let names: &[&str] = if single { &["completion"] } else { &["chosen", "rejected"] };
    let prompt = get("prompt");
    let responses: Vec<Option<Turns>> = names.iter().map(|n| get(n)).collect();
    let further: Vec<(String, Turns)> =
        wanted.further.iter().filter_map(|n| Some((n.clone(), get(n)?))).collect();
    let further_names = wanted.further.iter().map(String::as_str);
    for name in names.iter().copied().chain(further_names) {
        if !fields.contains_key(name) {
            wrong.push(missing(name, fields, &needs));
        }
    }
    let mut keep = |r: Result<f64, Diagnostic>| r.map_err(|d| wrong.push(d)).unwrap_or(f64::NAN);
    let columns = wanted.columns.iter().map(|c| keep(number(&c.name, &c.range, fields))).collect();
    let given = if single { &REFERENCE_COLUMNS[2..] } else { &REFERENCE_COLUMNS[..2] };
    let reference = wanted
        .reference
        .then(|| given.iter().map(|names| keep(reference(fields, names))).collect());
    let mut good = vec![true, false];
    if single {
        good = label(fields).map_or_else(
            |d| {
                wrong.push(d);
                Vec::new()
            },
            |g| vec![g],
        );
    }
    if fields.get("prompt").is_some_and(|p| !p.is_null()) && prompt.is_none() {
        // The prompt is in `wrong` already.
        return Err(wrong);
    }
    let responses: Option<Vec<Turns>> = responses.into_iter().collect();
    // A response that is not there is in `wrong` already.
    let Some(responses) = responses else { return Err(wrong) };
    let parts = if single { split_single } else { split_pair };
    match parts(prompt, responses, fields) {
        Ok(Parts { prompt, responses }) if wrong.is_empty() => Ok(TextExample {
            row,
            line,
            prompt,
            responses,
            further,
            good,
            quality: Vec::new(),
            columns,
            lists: Vec::new(),
            reference,
        }),
        Ok(_) => Err(wrong),
        Err(d) => {
            wrong.push(d);
            Err(wrong)
        }
    }
}
