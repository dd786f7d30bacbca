//! Where the prompt ends and the responses begin, also where the data do not say.
//!
//! A prompt is implicit when both responses begin with it: as messages, or as characters. In a string
//! the border never splits a word, and of a transcript (`Human:` .. `Assistant:`) it is the last turn
//! that both share.

use ponens_dsl::Diagnostic;

use super::record::{Turns, missing};
use super::rows::Fields;
use crate::tokenizer::Message;

/// A row, taken apart.
pub(super) struct Parts {
    pub(super) prompt: Turns,
    pub(super) responses: Vec<Turns>,
}

const PAIR: [&str; 3] = ["prompt", "chosen", "rejected"];

fn mixed(names: &str) -> Diagnostic {
    Diagnostic::error("E0402", format!("{names} mix strings and conversations"))
        .help("wanted: strings everywhere, or conversations for all responses")
}

/// The prompt and the two responses of a pair.
pub(super) fn split_pair(
    prompt: Option<Turns>,
    responses: Vec<Turns>,
    fields: &Fields,
) -> Result<Parts, Diagnostic> {
    let pair: Result<[Turns; 2], _> = responses.try_into();
    match (prompt, pair) {
        (prompt, Ok([Turns::Chat(c), Turns::Chat(r)])) => conversations(prompt, c, r, fields),
        (Some(prompt @ Turns::Text(_)), Ok([c @ Turns::Text(_), r @ Turns::Text(_)])) => {
            Ok(Parts { prompt, responses: vec![c, r] })
        }
        (None, Ok([Turns::Text(c), Turns::Text(r)])) => strings(&c, &r, fields),
        (None, _) => Err(missing("prompt", fields, &PAIR)),
        _ => Err(mixed("`prompt`, `chosen` and `rejected`")),
    }
}

/// The prompt and the response of a single row.
pub(super) fn split_single(
    prompt: Option<Turns>,
    responses: Vec<Turns>,
    fields: &Fields,
) -> Result<Parts, Diagnostic> {
    let one: Result<[Turns; 1], _> = responses.try_into();
    match (prompt, one) {
        (Some(Turns::Text(prompt)), Ok([response @ Turns::Text(_)])) => {
            Ok(Parts { prompt: Turns::Text(prompt), responses: vec![response] })
        }
        (Some(prompt), Ok([Turns::Chat(mut messages)])) => {
            let prompt = match prompt {
                Turns::Chat(prompt) => {
                    if messages.len() > prompt.len() && messages.starts_with(&prompt) {
                        messages.drain(..prompt.len());
                    }
                    prompt
                }
                Turns::Text(text) => {
                    let before = before_response(&messages);
                    asked(text, messages.drain(..before).collect())?
                }
            };
            Ok(Parts { prompt: Turns::Chat(prompt), responses: vec![Turns::Chat(messages)] })
        }
        // A conversation that ends with the response.
        (None, Ok([Turns::Chat(mut messages)])) if messages.len() > 1 => {
            let response = messages.split_off(messages.len() - 1);
            Ok(Parts { prompt: Turns::Chat(messages), responses: vec![Turns::Chat(response)] })
        }
        (None, _) => Err(missing("prompt", fields, &["prompt", "completion", "label"])),
        _ => Err(mixed("`prompt` and `completion`")),
    }
}

fn is_from(role: &str) -> impl Fn(&Message) -> bool {
    move |m| m.role == role
}

/// How many turns of a conversation are no part of the response: all but the last where a user speaks in
/// between, else the instructions at its head.
fn before_response(messages: &[Message]) -> usize {
    let Some((_, earlier)) = messages.split_last() else { return 0 };
    match earlier.iter().any(is_from("user")) {
        true => earlier.len(),
        false => earlier.iter().take_while(|m| is_from("system")(m)).count(),
    }
}

/// The turns before a response, with the question that a string asks: they ask it themselves, or it stands
/// behind the instructions at their head.
fn asked(question: String, mut turns: Vec<Message>) -> Result<Vec<Message>, Diagnostic> {
    let same = |m: &Message| m.content.trim() == question.trim();
    let repeated = turns.iter().filter(|m| is_from("user")(m)).any(same);
    if repeated || (question.trim().is_empty() && !turns.is_empty()) {
        return Ok(turns);
    }
    let head = turns.iter().take_while(|m| is_from("system")(m)).count();
    if turns.get(head).is_some_and(is_from("user")) {
        return Err(Diagnostic::error(
            "E0402",
            "`prompt` is none of the user's turns that stand before the response",
        )
        .help("leave `prompt` out where the conversation holds it, or give it as a conversation"));
    }
    turns.insert(head, Message { role: "user".into(), content: question });
    Ok(turns)
}

fn common_prefix(a: &[Message], b: &[Message]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Splits two conversations into the prompt that they share and what follows.
fn conversations(
    prompt: Option<Turns>,
    mut chosen: Vec<Message>,
    mut rejected: Vec<Message>,
    fields: &Fields,
) -> Result<Parts, Diagnostic> {
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
        Some(Turns::Text(text)) => {
            rejected.drain(..shared);
            asked(text, chosen.drain(..shared).collect())?
        }
        None if shared > 0 => {
            rejected.drain(..shared);
            chosen.drain(..shared).collect()
        }
        None => {
            return Err(missing("prompt", fields, &PAIR).note(
                "the two conversations do not begin with the same messages, so none is implicit",
            ));
        }
    };
    let responses = vec![Turns::Chat(chosen), Turns::Chat(rejected)];
    Ok(Parts { prompt: Turns::Chat(prompt), responses })
}

/// Marks, in transcripts, where the answer to what stands before begins.
const ANSWER: &str = "\n\nAssistant:";

/// Splits two strings into the prompt that they share and what follows.
fn strings(chosen: &str, rejected: &str, fields: &Fields) -> Result<Parts, Diagnostic> {
    let same = chosen.chars().zip(rejected.chars()).take_while(|(a, b)| a == b);
    let mut shared: usize = same.map(|(a, _)| a.len_utf8()).sum();
    if let Some(turn) = chosen[..shared].rfind(ANSWER) {
        shared = turn + ANSWER.len();
    } else {
        // Back to the end of the last whole word; the space belongs to the response.
        let head = &chosen[..shared];
        let whole = |text: &str| text[shared..].chars().next().is_none_or(char::is_whitespace);
        if !(whole(chosen) && whole(rejected)) {
            shared = head.rfind(char::is_whitespace).unwrap_or(0);
        }
    }
    if chosen[..shared].trim().is_empty() {
        return Err(missing("prompt", fields, &PAIR)
            .note("the two strings do not begin with the same words, so none is implicit"));
    }
    let rest = |text: &str| Turns::Text(text[shared..].to_owned());
    Ok(Parts {
        prompt: Turns::Text(chosen[..shared].to_owned()),
        responses: vec![rest(chosen), rest(rejected)],
    })
}
