//! Figures for people; a figure that does not exist is a dash.

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    if share.is_nan() { "-".to_owned() } else { format!("{:.1} %", 100.0 * share) }
}

/// A number with its sign.
pub(super) fn signed(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:+.3}") }
}
