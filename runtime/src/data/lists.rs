//! Rows with a list of responses, and rows with numbers for single tokens.
//!
//! * ranked lists and groups: `prompt`, `responses` (strings, or conversations), and one list of numbers for
//!   each column that the loss reads; a pair counts as a list of two;
//! * trajectories: `prompt`, `completion`, numbers, and for columns with one number a token a list of
//!   numbers, or one number that holds for all tokens.

use ponens_compiler::mir::Interval;
use ponens_dsl::Diagnostic;
use serde_json::Value;

use super::conversation::split_single;
use super::record::{
    Kind, Shape, TextExample, Turns, Wanted, kind, missing, number, parse, turns, type_name,
};
use super::rows::Fields;
use crate::tokenizer::Message;

/// A column that holds one number a response, or one a token.
#[derive(Clone, Debug, PartialEq)]
pub struct ListSpec {
    /// Its name in the data.
    pub name: String,
    /// The values allowed.
    pub range: Interval,
}

/// What a list column holds in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// One number for each.
    Each(Vec<f64>),
    /// The same number for all tokens.
    All(f64),
}

const LIST: [&str; 2] = ["prompt", "responses"];
const TRAJECTORY: [&str; 2] = ["prompt", "completion"];

fn list<'a>(name: &str, fields: &'a Fields, needs: &[&str]) -> Result<&'a [Value], Diagnostic> {
    match fields.get(name) {
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(Diagnostic::error("E0402", format!("`{name}` is {}", type_name(other)))
            .help("wanted: a list")),
        None => Err(missing(name, fields, needs)),
    }
}

/// The numbers of a list column.
fn numbers(spec: &ListSpec, fields: &Fields, shape: Shape) -> Result<Numbers, Diagnostic> {
    let name = spec.name.as_str();
    let needs = if shape == Shape::List { LIST } else { TRAJECTORY };
    if let (Shape::Trajectory, Some(Value::Number(_) | Value::Bool(_))) = (shape, fields.get(name))
    {
        return Ok(Numbers::All(number(name, &spec.range, fields)?));
    }
    let one = |v: &Value| match v.as_f64() {
        Some(x) if spec.range.contains(x) => Ok(x),
        Some(x) => Err(Diagnostic::error("E0405", format!("column `{name}` holds {x}"))
            .help(format!("allowed: {}", spec.range))),
        None => Err(Diagnostic::error("E0402", format!("column `{name}` holds {}", type_name(v)))
            .help("wanted: a list of numbers")),
    };
    let needs: Vec<&str> = needs.into_iter().chain([name]).collect();
    Ok(Numbers::Each(list(name, fields, &needs)?.iter().map(one).collect::<Result<_, _>>()?))
}

/// Every response of a list, less the prompt that a conversation repeats.
fn responses(prompt: &Turns, fields: &Fields) -> Result<Vec<Turns>, Diagnostic> {
    let list = list("responses", fields, &LIST)?;
    if list.len() < 2 {
        return Err(Diagnostic::error("E0405", format!("`responses` has {} entries", list.len()))
            .help("a list to compare has at least two"));
    }
    let one = |v: &Value| {
        let response = turns("responses", v)?;
        Ok(match (prompt, response) {
            (Turns::Chat(prompt), Turns::Chat(mut own)) => {
                if own.len() > prompt.len() && own.starts_with(prompt) {
                    own.drain(..prompt.len());
                }
                Turns::Chat(own)
            }
            (_, response) => response,
        })
    };
    let all: Vec<Turns> = list.iter().map(one).collect::<Result<_, _>>()?;
    let text = |t: &Turns| matches!(t, Turns::Text(_));
    if all.iter().any(text) && !all.iter().all(text) {
        return Err(Diagnostic::error("E0402", "`responses` mixes strings and conversations"));
    }
    Ok(all)
}

/// A pair as a list of two, the better first.
fn from_pair(
    fields: &Fields,
    wanted: &Wanted<'_>,
    place: (usize, usize),
) -> Result<TextExample, Vec<Diagnostic>> {
    if let Some(spec) = wanted.lists.first() {
        let needs = [LIST[0], LIST[1], spec.name.as_str()];
        let d = missing("responses", fields, &needs);
        return Err(vec![d.note(format!("the loss reads one `{}` a response", spec.name))]);
    }
    let mut example = parse(fields, &Wanted { shape: Shape::Pair, ..*wanted }, place)?;
    example.quality = vec![1.0, 0.0];
    Ok(example)
}

/// Reads one row with a list of responses or a trajectory; all that is wrong with it at once.
pub(super) fn parse_nested(
    fields: &Fields,
    wanted: &Wanted<'_>,
    place: (usize, usize),
) -> Result<TextExample, Vec<Diagnostic>> {
    let is_list = wanted.shape == Shape::List;
    if is_list && kind(fields) == Kind::Pair {
        return from_pair(fields, wanted, place);
    }
    let needs = if is_list { LIST } else { TRAJECTORY };
    let mut wrong = Vec::new();
    let prompt = match fields.get("prompt").filter(|p| !p.is_null()) {
        Some(v) => turns("prompt", v).map_err(|d| wrong.push(d)).ok(),
        None => None,
    };
    if is_list && prompt.is_none() && wrong.is_empty() {
        wrong.push(missing("prompt", fields, &needs));
    }
    let parts = if is_list {
        let prompt = prompt.unwrap_or(Turns::Text(String::new()));
        let all = responses(&prompt, fields).map_err(|d| wrong.push(d));
        all.ok().map(|all| (as_turns(prompt, &all), all))
    } else {
        match fields.get("completion").map(|v| turns("completion", v)) {
            Some(Ok(response)) => match split_single(prompt, vec![response], fields) {
                Ok(parts) => Some((parts.prompt, parts.responses)),
                Err(d) => {
                    wrong.push(d);
                    None
                }
            },
            Some(Err(d)) => {
                wrong.push(d);
                None
            }
            None => {
                wrong.push(missing("completion", fields, &needs));
                None
            }
        }
    };
    let mut keep = |r: Result<f64, Diagnostic>| r.map_err(|d| wrong.push(d)).unwrap_or(f64::NAN);
    let columns: Vec<f64> =
        wanted.columns.iter().map(|c| keep(number(&c.name, &c.range, fields))).collect();
    let mut lists = Vec::with_capacity(wanted.lists.len());
    for spec in wanted.lists {
        match numbers(spec, fields, wanted.shape) {
            Ok(n) => lists.push(n),
            Err(d) => wrong.push(d),
        }
    }
    let Some((prompt, responses)) = parts else { return Err(wrong) };
    if is_list {
        for (spec, list) in wanted.lists.iter().zip(&lists) {
            let n = if let Numbers::Each(l) = list { l.len() } else { 1 };
            if n != responses.len() {
                let text = format!(
                    "column `{}` has {n} numbers for {} responses",
                    spec.name,
                    responses.len()
                );
                wrong.push(Diagnostic::error("E0405", text));
            }
        }
    }
    let mut reference = None;
    if wanted.reference && is_list {
        let spec = ListSpec { name: "ref_logps".into(), range: Interval::LOG_PROB };
        match numbers(&spec, fields, wanted.shape) {
            Ok(Numbers::Each(l)) if l.len() == responses.len() => reference = Some(l),
            Ok(_) => wrong.push(Diagnostic::error(
                "E0405",
                format!("`ref_logps` wants {} numbers, one a response", responses.len()),
            )),
            Err(d) => wrong.push(d),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let quality = if is_list { quality(&lists, responses.len()) } else { Vec::new() };
    let good = match is_list {
        true => {
            let best = quality.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            quality.iter().map(|q| *q == best).collect()
        }
        false => vec![is_good(&columns, &lists)],
    };
    let (row, line) = place;
    let further = Vec::new();
    Ok(TextExample {
        row,
        line,
        prompt,
        responses,
        further,
        good,
        quality,
        columns,
        lists,
        reference,
    })
}

/// A prompt of text before conversations is a user's message.
fn as_turns(prompt: Turns, responses: &[Turns]) -> Turns {
    match (prompt, responses.first()) {
        (Turns::Text(content), Some(Turns::Chat(_))) => {
            Turns::Chat(vec![Message { role: "user".into(), content }])
        }
        (prompt, _) => prompt,
    }
}

/// How good each response is: the first list column where there is one, else its place, best first.
fn quality(lists: &[Numbers], responses: usize) -> Vec<f64> {
    match lists.first() {
        Some(Numbers::Each(scores)) => scores.clone(),
        _ => (0..responses).rev().map(|i| i as f64).collect(),
    }
}

/// Whether a trajectory counts as a good one in the figures: where its first number, or the mean of its first
/// list, is above 0.
fn is_good(columns: &[f64], lists: &[Numbers]) -> bool {
    match (columns.first(), lists.first()) {
        (Some(number), _) | (None, Some(Numbers::All(number))) => *number > 0.0,
        (None, Some(Numbers::Each(list))) => list.iter().sum::<f64>() > 0.0,
        (None, None) => true,
    }
}

impl Numbers {
    /// The numbers of `n` tokens of a response, of which the last may have been cut from `whole`.
    pub(super) fn of_tokens(&self, n: usize, whole: usize) -> Result<Vec<f64>, Diagnostic> {
        match self {
            Numbers::All(x) => Ok(vec![*x; n]),
            Numbers::Each(list) if list.len() == whole => Ok(list[..n].to_vec()),
            Numbers::Each(list) => Err(Diagnostic::error(
                "E0405",
                format!("a column has {} numbers and its response {whole} tokens", list.len()),
            )
            .help("one number a token, the end token included; or one number for all")),
        }
    }
}
