//! What the name of an argument says.
//!
//! In: a Python identifier such as `policy_chosen_logps`. Out: the model, the response and the kind of
//! number that its words speak of. Words that are not known say nothing.

use ponens_compiler::hir::{DataShape, Head, Quantity, Role};

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A log-probability of a response: the sum, or the mean where the loss knows only that.
    Logp,
    /// Surely a mean.
    Mean,
    /// One a token.
    Token,
    Shared,
    Tail,
    Diverged,
    Mismatched,
    SumP2,
    Kl,
    Entropy,
    Value,
    Reward,
    Advantage,
    Len,
    Mask,
    Label,
}

/// What the words say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) role: Option<Role>,
    /// Place among the responses of the shape.
    pub(crate) response: Option<usize>,
    pub(crate) kind: Option<Kind>,
}

/// Small letters, cut at underscores and where a capital follows a small letter.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && small) {
            words.push(String::new());
        }
        small = c.is_lowercase();
        if c.is_alphanumeric() {
            words.last_mut().into_iter().for_each(|w| w.extend(c.to_lowercase()));
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Reads a name, for losses over this shape.
pub(crate) fn said(name: &str, shape: &DataShape) -> Said {
    let words = words(name);
    let pair = matches!(shape, DataShape::Pair { .. });
    if let (true, [word]) = (pair, words.as_slice()) {
        let short = match word.as_str() {
            "lc" | "lw" => Some((Some(Role::Policy), 0, Kind::Logp)),
            "lr" | "ll" => Some((Some(Role::Policy), 1, Kind::Logp)),
            "rc" | "rw" => Some((Some(Role::Reference), 0, Kind::Logp)),
            "rr" | "rl" => Some((Some(Role::Reference), 1, Kind::Logp)),
            "nc" | "nw" => Some((None, 0, Kind::Len)),
            "nr" | "nl" => Some((None, 1, Kind::Len)),
            _ => None,
        };
        if let Some((role, response, kind)) = short {
            return Said { role, response: Some(response), kind: Some(kind) };
        }
    }
    let has = |any: &[&str]| words.iter().any(|w| any.contains(&w.as_str()));
    let role = if has(&["old", "sampler", "sampling", "behavior", "behaviour", "rollout"]) {
        Some(Role::Sampler)
    } else if has(&["ref", "reference", "sft", "base", "frozen"]) {
        Some(Role::Reference)
    } else if has(&["policy", "pi", "actor", "student", "theta", "model"]) {
        Some(Role::Policy)
    } else {
        None
    };
    Said { role, response: response(&words, shape), kind: kind(&words) }
}

fn response(words: &[String], shape: &DataShape) -> Option<usize> {
    let responses = shape.responses();
    if let [_] = responses.as_slice() {
        return Some(0);
    }
    let has = |any: &[&str]| words.iter().any(|w| any.contains(&w.as_str()));
    let by_name = (2..responses.len()).find(|i| words.iter().any(|w| w == responses[*i]));
    let chosen =
        ["chosen", "win", "winner", "winning", "preferred", "accepted", "pos", "positive", "yw"];
    let rejected = ["rejected", "lose", "loser", "losing", "dispreferred", "neg", "negative", "yl"];
    let exact = |i: usize| responses.get(i).is_some_and(|r| words.iter().any(|w| w == r));
    by_name.or(match (has(&chosen) || exact(0), has(&rejected) || exact(1)) {
        (true, false) => Some(0),
        (false, true) => Some(1),
        _ => None,
    })
}

fn kind(words: &[String]) -> Option<Kind> {
    let has = |any: &[&str]| words.iter().any(|w| any.contains(&w.as_str()));
    let follows =
        |a: &str, b: &[&str]| words.windows(2).any(|p| p[0] == a && b.contains(&p[1].as_str()));
    let logp = has(&["logp", "logps", "logprob", "logprobs", "lp", "lps", "logpi", "loglik"])
        || follows("log", &["prob", "probs", "p", "probability", "probabilities", "pi"]);
    let first = [
        (has(&["mask", "masks"]), Kind::Mask),
        (has(&["mismatched"]) || (logp && has(&["kl"])), Kind::Mismatched),
        (logp && has(&["shared"]), Kind::Shared),
        (logp && has(&["tail"]), Kind::Tail),
        (logp && has(&["diverged"]), Kind::Diverged),
        (has(&["p2"]), Kind::SumP2),
        (logp && has(&["token", "tokens"]), Kind::Token),
        (logp && has(&["mean", "avg", "average", "averaged", "normalized", "norm"]), Kind::Mean),
        (logp, Kind::Logp),
        (has(&["kl"]), Kind::Kl),
        (has(&["entropy", "entropies"]), Kind::Entropy),
        (has(&["value", "values"]), Kind::Value),
        (has(&["reward", "rewards"]), Kind::Reward),
        (has(&["advantage", "advantages"]), Kind::Advantage),
        (has(&["len", "lens", "length", "lengths"]), Kind::Len),
        (follows("num", &["tokens"]) || follows("n", &["tokens"]), Kind::Len),
        (has(&["label", "labels", "good", "desirable"]), Kind::Label),
    ];
    first.into_iter().find(|(said, _)| *said).map(|(_, kind)| kind)
}

/// The kind that a quantity of a loss is.
pub(super) fn kind_of(q: &Quantity) -> Option<Kind> {
    Some(match q {
        Quantity::Logp { .. } => Kind::Logp,
        Quantity::MeanLogp { .. } => Kind::Mean,
        Quantity::SharedLogp { .. } => Kind::Shared,
        Quantity::TailLogp { .. } => Kind::Tail,
        Quantity::DivergedLogp { .. } => Kind::Diverged,
        Quantity::MismatchedLogp { .. } => Kind::Mismatched,
        Quantity::LogSumP2 { .. } => Kind::SumP2,
        Quantity::Kl { .. } => Kind::Kl,
        Quantity::Entropy { .. } => Kind::Entropy,
        Quantity::Head { head, .. } => head_kind(*head),
        Quantity::Token(inner) => match **inner {
            Quantity::Logp { .. } => Kind::Token,
            Quantity::Head { head, .. } => head_kind(head),
            Quantity::Kl { .. } => Kind::Kl,
            Quantity::Entropy { .. } => Kind::Entropy,
            Quantity::LogSumP2 { .. } => Kind::SumP2,
            _ => return None,
        },
        Quantity::Len { .. } => Kind::Len,
        Quantity::Label { .. } => Kind::Label,
        Quantity::Data { .. } => return None,
    })
}

fn head_kind(head: Head) -> Kind {
    match head {
        Head::Value => Kind::Value,
        Head::Reward => Kind::Reward,
        Head::Advantage => Kind::Advantage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> DataShape {
        let (winner, loser) = ("w".to_owned(), "l".to_owned());
        DataShape::Pair { winner, loser, others: vec!["rationale".to_owned()] }
    }

    #[test]
    fn names_as_trainers_have_them_are_read() {
        let of = |name: &str| {
            let s = said(name, &pair());
            (s.role, s.response, s.kind)
        };
        let (pi, re) = (Some(Role::Policy), Some(Role::Reference));
        assert_eq!(of("policy_chosen_logps"), (pi, Some(0), Some(Kind::Logp)));
        assert_eq!(of("reference_rejected_logps"), (re, Some(1), Some(Kind::Logp)));
        assert_eq!(of("ref_chosen_log_probs"), (re, Some(0), Some(Kind::Logp)));
        assert_eq!(of("policyRejectedLogps"), (pi, Some(1), Some(Kind::Logp)));
        assert_eq!(of("chosen_avg_logps"), (None, Some(0), Some(Kind::Mean)));
        assert_eq!(of("chosen_token_logps"), (None, Some(0), Some(Kind::Token)));
        assert_eq!(of("rejected_lengths"), (None, Some(1), Some(Kind::Len)));
        assert_eq!(of("chosen_mask"), (None, Some(0), Some(Kind::Mask)));
        assert_eq!(of("logp_pi_w"), (pi, Some(0), Some(Kind::Logp)));
        assert_eq!(of("policy_rationale_logps"), (pi, Some(2), Some(Kind::Logp)));
        assert_eq!(of("rr"), (re, Some(1), Some(Kind::Logp)));
        assert_eq!(of("logps"), (None, None, Some(Kind::Logp)));
        assert_eq!(of("temperature"), (None, None, None));
    }
}
