//! What a data file holds, before time is spent on it.
//!
//! In: a file. Out: its format, columns and kinds of rows, figures about the texts, and all that is wrong
//! with it. Rows are looked at one by one: a file may be larger than the memory.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::error::DataError;
use super::reader::ReadOptions;
use super::record::{Kind, Shape, TextExample, Turns, kind, parse, type_name};
use super::rows::{self, Fields};

/// A column of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ColumnFound {
    /// In how many rows it has a value.
    pub rows: usize,
    /// How often it holds which type.
    pub types: BTreeMap<String, usize>,
}

/// Figures about texts, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lengths {
    /// How many texts.
    pub texts: usize,
    /// Their mean length.
    pub mean: f64,
    /// The longest.
    pub longest: usize,
}

impl Lengths {
    fn add(&mut self, text: &Turns) {
        let n = match text {
            Turns::Text(t) => t.chars().count(),
            Turns::Chat(messages) => messages.iter().map(|m| m.content.chars().count()).sum(),
        };
        self.texts += 1;
        self.mean += (n as f64 - self.mean) / self.texts as f64;
        self.longest = self.longest.max(n);
    }
}

/// What was found in a data file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DataCheck {
    /// The format's name.
    pub format: String,
    /// What a position in the file counts: lines, or rows.
    pub unit: String,
    /// Rows, blank lines not counted.
    pub rows: usize,
    /// Rows that can be used.
    pub usable: usize,
    /// Rows that are wrong.
    pub wrong: usize,
    /// Usable rows with an empty response.
    pub empty: usize,
    /// Usable rows that are pairs.
    pub pairs: usize,
    /// Usable rows that are single responses, and how many of them are good.
    pub singles: usize,
    /// Single responses that are good.
    pub good: usize,
    /// Usable rows with a list of responses.
    pub lists: usize,
    /// Usable rows that are conversations.
    pub conversations: usize,
    /// Usable rows whose prompt is what both responses begin with.
    pub implicit_prompts: usize,
    /// Different prompts, conversations included.
    pub prompts: usize,
    /// Pairs of two equal responses.
    pub identical: usize,
    /// Usable rows that are there more than once.
    pub repeated: usize,
    /// Share of pairs whose preferred response has more characters, ties half; absent without pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longer_preferred: Option<f64>,
    /// Lengths by part: prompt, chosen, rejected, completion.
    pub lengths: BTreeMap<&'static str, Lengths>,
    /// By column.
    pub columns: BTreeMap<String, ColumnFound>,
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn key(turns: &Turns) -> u64 {
    match turns {
        Turns::Text(text) => hash(text),
        Turns::Chat(messages) => {
            let parts: Vec<_> = messages.iter().map(|m| (&m.role, &m.content)).collect();
            hash(&parts)
        }
    }
}

/// Sets of fingerprints, by which repetitions are counted.
#[derive(Default)]
struct Seen {
    prompts: HashSet<u64>,
    rows: HashSet<u64>,
    longer: f64,
}

impl DataCheck {
    fn columns(&mut self, fields: &Fields) {
        for (name, value) in fields {
            let column = self.columns.entry(name.clone()).or_default();
            if !value.is_null() {
                column.rows += 1;
            }
            let of = match value {
                Value::Array(list) if list.first().is_some_and(|m| m.get("role").is_some()) => {
                    "messages"
                }
                other => type_name(other).trim_start_matches("a ").trim_start_matches("an "),
            };
            *column.types.entry(of.to_owned()).or_default() += 1;
        }
    }

    fn example(&mut self, example: &TextExample, fields: &Fields, seen: &mut Seen) {
        self.usable += 1;
        self.empty += usize::from(example.responses.iter().any(Turns::is_empty));
        self.conversations += usize::from(matches!(example.prompt, Turns::Chat(_)));
        self.implicit_prompts += usize::from(fields.get("prompt").is_none_or(Value::is_null));
        self.lengths.entry("prompt").or_default().add(&example.prompt);
        for (name, text) in example.response_names().into_iter().zip(&example.responses) {
            self.lengths.entry(name).or_default().add(text);
        }
        let prompt = key(&example.prompt);
        seen.prompts.insert(prompt);
        let texts: Vec<u64> = example.responses.iter().map(key).collect();
        self.repeated += usize::from(!seen.rows.insert(hash(&(prompt, &texts))));
        if !example.quality.is_empty() {
            self.lists += 1;
        } else if let [chosen, rejected] = texts.as_slice() {
            self.pairs += 1;
            self.identical += usize::from(chosen == rejected);
            let mut size = [Lengths::default(); 2];
            size.iter_mut().zip(&example.responses).for_each(|(l, r)| l.add(r));
            seen.longer += match size[0].longest.cmp(&size[1].longest) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        } else {
            self.singles += 1;
            self.good += usize::from(example.good.first() == Some(&true));
        }
    }
}

/// Looks through a file; `each` is told every usable example that is not empty.
///
/// # Errors
/// If the file cannot be opened or its header is wrong; wrong rows are no error but the second result.
pub fn check(
    path: &Path,
    options: &ReadOptions,
    mut each: impl FnMut(TextExample),
) -> Result<(DataCheck, DataError), DataError> {
    let opened = rows::open(path, None)?;
    let mut found = DataCheck {
        format: opened.format.name().to_owned(),
        unit: opened.format.unit().to_owned(),
        ..DataCheck::default()
    };
    for name in opened.columns.into_iter().flatten() {
        found.columns.insert(name, ColumnFound::default());
    }
    let mut error = DataError::new(path);
    let mut seen = Seen::default();
    for row in opened.rows {
        let number = found.rows;
        found.rows += 1;
        let fields = match row.fields {
            Ok(fields) => fields,
            Err(d) => {
                found.wrong += 1;
                error.add(row.line, d);
                continue;
            }
        };
        found.columns(&fields);
        let mut wanted = options.wanted();
        if options.any && kind(&fields) == Kind::List {
            wanted.shape = Shape::List;
        }
        match parse(&fields, &wanted, (number, row.line)) {
            Ok(example) => {
                found.example(&example, &fields, &mut seen);
                if !example.responses.iter().any(Turns::is_empty) {
                    each(example);
                }
            }
            Err(wrong) => {
                found.wrong += 1;
                wrong.into_iter().for_each(|d| error.add(row.line, d));
            }
        }
    }
    found.prompts = seen.prompts.len();
    if found.pairs > 0 {
        found.longer_preferred = Some(seen.longer / found.pairs as f64);
    }
    Ok((found, error))
}
