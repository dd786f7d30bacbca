//! Names of the language as mathematical symbols.

/// Greek letters that parameters are named after.
const GREEK: &[&str] = &[
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu",
    "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
];

/// A parameter: a letter as it is, a Greek name as the letter, others upright.
pub(super) fn parameter(name: &str) -> String {
    let (stem, index) = match name.find(|c: char| c.is_ascii_digit() || c == '_') {
        Some(at) if at > 0 => (&name[..at], name[at..].trim_start_matches('_')),
        _ => (name, ""),
    };
    let stem = if GREEK.contains(&stem) {
        format!("\\{stem}")
    } else if stem.len() == 1 {
        stem.to_owned()
    } else {
        return upright(name);
    };
    if index.is_empty() { stem } else { format!("{stem}_{{{}}}", upright(index)) }
}

/// A word in upright letters.
pub(super) fn upright(word: &str) -> String {
    if word.chars().all(|c| c.is_ascii_digit()) {
        return word.to_owned();
    }
    format!("\\mathrm{{{}}}", escaped(word))
}

/// A model's distribution.
pub(super) fn model(name: &str, mean: bool) -> String {
    let pi = if mean { "\\bar\\pi" } else { "\\pi" };
    match name {
        "pi" => format!("{pi}_\\theta"),
        other => format!("{pi}_{{{}}}", upright(other)),
    }
}

/// A response.
pub(super) fn response(name: &str) -> String {
    match name {
        "y" => "y".to_owned(),
        other if other.chars().count() == 1 => format!("y_{}", escaped(other)),
        other => format!("y_{{{}}}", upright(other)),
    }
}

/// Text that is safe inside a formula.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\\' | '~' | '^' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// What a column holds, from its canonical name.
pub(super) fn column(name: &str) -> String {
    let Some((kind, arguments)) =
        name.split_once('(').and_then(|(k, r)| Some((k, r.strip_suffix(')')?)))
    else {
        return upright(name);
    };
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    match (kind, arguments.as_slice()) {
        ("logp", [m, y]) => format!("\\log {}({} \\mid x)", model(m, false), response(y)),
        ("mean_logp", [m, y]) => {
            format!("\\tfrac{{1}}{{|{0}|}} \\log {1}({0} \\mid x)", response(y), model(m, false))
        }
        ("token_logp", [m, y]) => {
            format!("\\log {}({}^{{(t)}} \\mid x, {1}^{{(<t)}})", model(m, false), response(y))
        }
        ("shared_logp", [m, y]) => {
            format!("\\log {}({}^{{(\\le m)}} \\mid x)", model(m, false), response(y))
        }
        ("tail_logp", [m, y]) => {
            format!("\\log {}({}^{{(>m)}} \\mid x, {1}^{{(\\le m)}})", model(m, false), response(y))
        }
        ("mismatched_logp", [m]) => format!("\\log {}(y' \\mid x)", model(m, false)),
        ("kl", [p, q, y]) => format!(
            "\\sum_{{t \\in {}}} \\mathrm{{KL}}({} \\,\\|\\, {})",
            response(y),
            model(p, false),
            model(q, false)
        ),
        ("log_sum_p2", [m, y]) => {
            format!("\\sum_{{t \\in {}}} \\log \\sum_v {}(v)^2", response(y), model(m, false))
        }
        ("len", [y]) => format!("|{}|", response(y)),
        (kind, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(|a| escaped(a)).collect();
            format!("{}({})", upright(kind), arguments.join(", "))
        }
    }
}

/// The probability whose logarithm a column holds, if it is one.
pub(super) fn probability(name: &str) -> Option<String> {
    let (kind, arguments) = name.split_once('(')?;
    let (m, y) = arguments.strip_suffix(')')?.split_once(',')?;
    match kind {
        "logp" => Some(format!("{}({} \\mid x)", model(m, false), response(y.trim()))),
        "mean_logp" => Some(format!("{}({} \\mid x)", model(m, true), response(y.trim()))),
        _ => None,
    }
}

/// A number as it is written in a paper.
pub(super) fn number(x: f64) -> String {
    let text = format!("{x}");
    if x.is_infinite() {
        return if x > 0.0 { "\\infty".to_owned() } else { "-\\infty".to_owned() };
    }
    if x != 0.0 && !(1e-4..1e6).contains(&x.abs()) {
        let text = format!("{x:e}");
        if let Some((mantissa, exponent)) = text.split_once('e') {
            return match mantissa {
                "1" => format!("10^{{{exponent}}}"),
                m => format!("{m} \\cdot 10^{{{exponent}}}"),
            };
        }
    }
    text
}
