//! From text to tokens, with one rule for where the response begins and one for what is cut.
//!
//! The tokens of a response are those of `prompt + response` beyond the longest prefix that they share
//! with the tokens of the prompt alone, and the end-of-sequence token: a token that spans the border
//! counts for the response. Both responses of a pair lose the same tokens of the prompt.

use std::path::Path;

use ponens_dsl::Diagnostic;

use super::error::DataError;
use super::lists::Numbers;
use super::prompt::PromptFormat;
use super::record::TextExample;
use crate::tokenizer::Tokenizer;

/// Turns text into tokens.
pub trait Encoder {
    /// The tokens of a text that begins a sequence; with `add_special` also those that the tokenizer puts
    /// around a text by itself, such as a begin token.
    ///
    /// # Errors
    /// With the reason why the text has no tokens.
    fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, String>;

    /// The token that begins a sequence, if there is one: cutting a prompt leaves it in place.
    fn begin_of_sequence(&self) -> Option<u32>;

    /// The token that ends a response; `None` where the model knows none.
    fn end_of_sequence(&self) -> Option<u32>;
}

impl Encoder for Tokenizer {
    fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, String> {
        Tokenizer::encode(self, text, add_special).map_err(|e| e.to_string())
    }

    fn begin_of_sequence(&self) -> Option<u32> {
        self.bos()
    }

    fn end_of_sequence(&self) -> Option<u32> {
        self.eos()
    }
}

/// Limits of length, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// The longest sequence, prompt and response together; at least 2.
    pub max_length: usize,
    /// What a prompt may keep (its end) when a pair is too long; below `max_length`.
    pub max_prompt: usize,
}

impl EncodeOptions {
    /// At most `max_length` tokens, of which a prompt keeps at most half when there are too many.
    pub fn new(max_length: usize) -> Self {
        Self { max_length, max_prompt: max_length / 2 }
    }
}

/// The tokens of a prompt and a response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// All tokens.
    pub ids: Vec<u32>,
    /// Where the response begins; at least 1 and below the length.
    pub start: usize,
}

impl Sequence {
    /// The number of response tokens.
    pub fn response_len(&self) -> usize {
        self.ids.len() - self.start
    }
}

/// One example in tokens: a pair, or a single response.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedExample {
    /// Its row in the data, counted from 0.
    pub row: usize,
    /// Prompt and response, by response; of a pair the preferred one first, then any further ones that
    /// the loss reads.
    pub responses: Vec<Sequence>,
    /// By response that is compared: whether it is good. Further ones have no entry.
    pub good: Vec<bool>,
    /// By response: the prompt and a response of another example; empty if no loss asks for it (see
    /// [`super::add_mismatched`]).
    pub mismatched: Vec<Sequence>,
    /// By response of a list: how good it is, the higher the better; empty for all else.
    pub quality: Vec<f64>,
    /// The values of the columns asked for.
    pub columns: Vec<f64>,
    /// The values of the list columns asked for: one a response of a list, or one a token of a trajectory's
    /// response.
    pub lists: Vec<Vec<f64>>,
    /// By response: the reference's log-probability as the data give it.
    pub reference: Option<Vec<f64>>,
}

impl EncodedExample {
    /// A preference pair.
    pub fn pair(row: usize, chosen: Sequence, rejected: Sequence, columns: Vec<f64>) -> Self {
        Self::of(row, vec![chosen, rejected], vec![true, false], columns)
    }

    /// A single response.
    pub fn single(row: usize, response: Sequence, good: bool, columns: Vec<f64>) -> Self {
        Self::of(row, vec![response], vec![good], columns)
    }

    fn of(row: usize, responses: Vec<Sequence>, good: Vec<bool>, columns: Vec<f64>) -> Self {
        Self {
            row,
            responses,
            good,
            mismatched: Vec::new(),
            quality: Vec::new(),
            columns,
            lists: Vec::new(),
            reference: None,
        }
    }

    /// Whether it is a list of responses.
    pub fn is_list(&self) -> bool {
        !self.quality.is_empty()
    }

    /// Whether it compares two responses.
    pub fn is_pair(&self) -> bool {
        self.good.len() == 2 && !self.is_list()
    }

    /// All sequences that a model is run on: the responses, then the mismatched ones.
    pub fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.responses.iter().chain(&self.mismatched)
    }

    /// How many sequences there are.
    pub fn sequence_count(&self) -> usize {
        self.responses.len() + self.mismatched.len()
    }

    /// Tokens of all responses, each with its prompt.
    pub fn tokens(&self) -> usize {
        self.responses.iter().map(|s| s.ids.len()).sum()
    }
}

/// What cutting to length did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeReport {
    /// Examples encoded.
    pub examples: usize,
    /// Examples whose prompt lost tokens at its beginning.
    pub prompts_cut: usize,
    /// Responses that lost tokens at their end, and the end-of-sequence token with them.
    pub responses_cut: usize,
    /// Tokens lost in all.
    pub tokens_cut: usize,
    /// Pairs whose responses are the same tokens (before or after cutting): no preference to learn.
    pub identical: usize,
    /// The longest sequence that is left.
    pub longest: usize,
}

impl EncodeReport {
    /// Adds what happened to further examples.
    pub fn add(&mut self, other: &Self) {
        self.examples += other.examples;
        self.prompts_cut += other.prompts_cut;
        self.responses_cut += other.responses_cut;
        self.tokens_cut += other.tokens_cut;
        self.identical += other.identical;
        self.longest = self.longest.max(other.longest);
    }
}

/// Encodes all examples.
///
/// # Errors
/// If limits contradict each other, a text has no tokens, a prompt leaves nothing to condition on, or the
/// format does not fit the data: the first ten different findings.
pub fn encode_examples(
    records: &[TextExample],
    name: &Path,
    format: &PromptFormat,
    encoder: &dyn Encoder,
    options: EncodeOptions,
) -> Result<(Vec<EncodedExample>, EncodeReport), DataError> {
    if options.max_length < 2 || options.max_prompt == 0 || options.max_prompt >= options.max_length
    {
        let reason = format!(
            "a longest sequence of {} tokens with {} for the prompt leaves no room",
            options.max_length, options.max_prompt
        );
        return Err(DataError::whole(name, Diagnostic::error("E0405", reason)));
    }
    let mut error = DataError::new(name);
    let mut report = EncodeReport::default();
    let mut examples = Vec::with_capacity(records.len());
    for record in records {
        match encode(record, format, encoder) {
            Ok(example) => {
                let whole = example.responses.first().map_or(0, Sequence::response_len);
                let mut cut = cut(example, options, encoder.begin_of_sequence(), &mut report);
                match lists(record, &cut, whole) {
                    Ok(lists) => {
                        cut.lists = lists;
                        examples.push(cut);
                    }
                    Err(d) => error.add(record.line, d),
                }
            }
            Err(d) => error.add(record.line, d),
        }
    }
    if error.findings.is_empty() { Ok((examples, report)) } else { Err(error) }
}

/// The list columns: of a trajectory one number a token that is left of `whole`.
fn lists(
    record: &TextExample,
    example: &EncodedExample,
    whole: usize,
) -> Result<Vec<Vec<f64>>, Diagnostic> {
    let tokens = example.responses.first().map_or(0, Sequence::response_len);
    let one = |numbers: &Numbers| match numbers {
        Numbers::Each(list) if example.is_list() => Ok(list.clone()),
        numbers => numbers.of_tokens(tokens, whole),
    };
    record.lists.iter().map(one).collect()
}

fn encode(
    record: &TextExample,
    format: &PromptFormat,
    encoder: &dyn Encoder,
) -> Result<EncodedExample, Diagnostic> {
    let text = format.render(record)?;
    let tokens = |text: &str, what: &str| {
        encoder
            .encode(text, format.add_special())
            .map_err(|e| Diagnostic::error("E0403", format!("`{what}` cannot be tokenised: {e}")))
    };
    let prompt = tokens(&text.prompt, "prompt")?;
    let response = |response: &str, what: &str| {
        let mut ids = tokens(&format!("{}{response}", text.prompt), what)?;
        let start = ids.iter().zip(&prompt).take_while(|(a, b)| a == b).count();
        if start == 0 {
            return Err(Diagnostic::error("E0405", "the prompt gives no token").help(
                "a response needs at least one token before it: add a prompt or a template",
            ));
        }
        let end = encoder.end_of_sequence();
        // A chat template may end the turn with that token itself.
        if ids.len() == start || ids.last() != end.as_ref() {
            ids.extend(end);
        }
        if ids.len() == start {
            return Err(Diagnostic::error("E0404", format!("`{what}` gives no token")));
        }
        Ok(Sequence { ids, start })
    };
    let named = text.responses.iter().zip(record.named_responses());
    Ok(EncodedExample {
        row: record.row,
        responses: named.map(|(r, (name, _))| response(r, name)).collect::<Result<_, _>>()?,
        good: record.good.clone(),
        mismatched: Vec::new(),
        quality: record.quality.clone(),
        columns: record.columns.clone(),
        lists: Vec::new(),
        reference: record.reference.clone(),
    })
}

/// Cuts the beginning of the prompt first, down to its share; then the ends of the responses.
fn cut(
    mut example: EncodedExample,
    options: EncodeOptions,
    begin: Option<u32>,
    report: &mut EncodeReport,
) -> EncodedExample {
    report.examples += 1;
    let longest = example.responses.iter().map(|s| s.ids.len()).max().unwrap_or(0);
    let excess = longest.saturating_sub(options.max_length);
    let prompt = example.responses.iter().map(|s| s.start).min().unwrap_or(0);
    let from_prompt = excess.min(prompt.saturating_sub(options.max_prompt));
    if from_prompt > 0 {
        report.prompts_cut += 1;
        report.tokens_cut += from_prompt;
    }
    for side in &mut example.responses {
        let first = usize::from(side.start > from_prompt && side.ids.first().copied() == begin);
        side.ids.drain(first..first + from_prompt);
        side.start -= from_prompt;
        // The starts differ where a token spans the border; the later one may lie beyond the share.
        let keep = options.max_length.max(side.start + 1);
        if side.ids.len() > keep {
            report.responses_cut += 1;
            report.tokens_cut += side.ids.len() - keep;
            side.ids.truncate(keep);
        }
        report.longest = report.longest.max(side.ids.len());
    }
    if let [chosen, rejected, ..] = example.responses.as_slice() {
        report.identical += usize::from(chosen == rejected);
    }
    example
}
