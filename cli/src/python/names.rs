//! Names of arguments and what they are in the language.

/// Parameters that trainers give no default.
pub(super) const PARAMETERS: &[&str] = &[
    "beta",
    "tau",
    "temperature",
    "gamma",
    "alpha",
    "lambda",
    "lam",
    "lmbda",
    "lambda_",
    "eps",
    "epsilon",
    "delta",
    "label_smoothing",
    "gamma_beta_ratio",
];

/// Names that the language has for itself.
const RESERVED: &[&str] = &[
    "data",
    "model",
    "column",
    "let",
    "rho",
    "prefer",
    "given",
    "tie",
    "minimize",
    "if",
    "else",
    "in",
    "fn",
    "loss",
    "with",
    "import",
    "edition",
    "xor",
    "true",
    "false",
    "inf",
    "pi",
    "ref",
    "w",
    "l",
    "y",
    "good",
    "link",
    "aggregate",
    "head",
];

/// A name of the language for one of Python.
pub(super) fn plain_name(name: &str) -> String {
    let plain = name.trim_start_matches('_');
    let plain = if plain.is_empty() { "x" } else { plain };
    if RESERVED.contains(&plain) { format!("{plain}_") } else { plain.to_owned() }
}
