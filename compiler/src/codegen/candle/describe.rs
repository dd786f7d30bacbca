//! What a column holds, in words, from its canonical name.

/// `logp(pi,w)` as a phrase.
pub(super) fn column(name: &str) -> String {
    let call = name.strip_suffix(')').and_then(|n| n.split_once('('));
    let Some((function, arguments)) = call else {
        return if name == "label" {
            "1 where the response is good, 0 where it is bad".to_owned()
        } else {
            format!("the data column `{name}`")
        };
    };
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    match (function, arguments.as_slice()) {
        ("logp", [m, y]) => {
            format!("log-probability of response {y} under {m}, summed over tokens")
        }
        ("mean_logp", [m, y]) => {
            format!("log-probability of response {y} under {m}, mean over tokens; 0 if it is empty")
        }
        ("shared_logp", [m, y]) => {
            format!("the part of logp({m},{y}) on as many tokens as the shorter response has")
        }
        ("tail_logp", [m, y]) => format!("the part of logp({m},{y}) on the tokens after that"),
        ("mismatched_logp", [m]) => {
            format!("log-probability under {m} of a response that belongs to another prompt")
        }
        ("log_sum_p2", [m, y]) => {
            format!("log of the sum of squared probabilities of {m}, summed over the tokens of {y}")
        }
        ("kl", [p, q, y]) => {
            format!("divergence of {q} from {p} over the vocabulary, summed over the tokens of {y}")
        }
        ("len", [y]) => format!("number of tokens of response {y}"),
        _ => format!("the quantity `{name}`"),
    }
}
