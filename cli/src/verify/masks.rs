//! Which mask an argument is: of the tokens of a response, or of the candidates of an example.
//!
//! In: the arguments whose names speak of a mask. Out: their meanings. Invariant: a mask has a column whose
//! lengths it tells.

use super::matching::{Matched, Meaning};
use super::worker::Signature;
use ponens_compiler::hir::{Loop, Loss};
use ponens_dsl::Diagnostic;

/// The masks of a function that has them as `ponens emit` writes them; none where it lacks one of those.
pub(super) fn emitted(
    loss: &Loss,
    masks: &[String],
    signature: &Signature,
) -> Vec<(String, Meaning)> {
    let responses = loss.shape.responses();
    let meaning = |name: &String| {
        if name == "mask" {
            return Some((name.clone(), Meaning::Candidates));
        }
        let at = responses.iter().position(|r| *name == format!("mask_{r}"))?;
        Some((name.clone(), Meaning::Mask(at)))
    };
    let has = |name: &String| signature.arguments.iter().any(|a| a.name == *name);
    if masks.iter().all(has) { masks.iter().filter_map(meaning).collect() } else { Vec::new() }
}

/// Gives every mask the loop whose lengths the function gets.
///
/// # Errors
/// `E0804`: an argument without a default is a mask of what no argument lists.
pub(super) fn settle(loss: &Loss, out: &mut Matched, subject: &str) -> Vec<Diagnostic> {
    let family = loss.shape.family().is_some();
    let loops: Vec<Loop> = out.columns().filter_map(|s| s.of).collect();
    let tokens = |r: usize| loops.contains(&Loop::Tokens(r));
    let lists = family && !loops.is_empty();
    let responses = loss.shape.responses();
    let mut found = Vec::new();
    for (a, m) in &mut out.meanings {
        let missing = match *m {
            Meaning::Mask(r) if !tokens(r) => {
                // Of a list of responses, each with one number, the mask is that of the responses.
                if lists && loops.iter().all(|l| *l == Loop::Candidates) {
                    *m = Meaning::Candidates;
                    continue;
                }
                let y = responses.get(r).copied().unwrap_or_default();
                format!("has the tokens of `{y}`")
            }
            Meaning::Candidates if !lists => "lists the candidates".to_owned(),
            _ => continue,
        };
        if a.optional {
            *m = Meaning::Default;
            continue;
        }
        let d =
            format!("the argument `{}` of {subject} is a mask, but no argument {missing}", a.name);
        found.push(
            Diagnostic::error("E0804", d).help(format!("say what it is: --set {}=VALUE", a.name)),
        );
    }
    found
}
