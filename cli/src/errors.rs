//! The error index: one page a diagnostic code, with what it means, an example and the remedy.
//!
//! In: a code. Out: the text of `cli/errors/CODE.md`. Invariant, held by tests: every code of the registry has
//! a page, its example yields that code and no other, and its remedy yields none.

macro_rules! pages {
    ($($code:literal),* $(,)?) => {
        &[$(($code, include_str!(concat!("../errors/", $code, ".md")))),*]
    };
}

/// Every page by code, in order.
pub const PAGES: &[(&str, &str)] = pages![
    "E0001", "E0002", "E0003", "E0004", "E0005", "E0006", "E0101", "E0102", "E0103", "E0104",
    "E0105", "E0106", "E0107", "E0201", "E0202", "E0203", "E0204", "E0205", "E0301", "E0302",
    "E0303", "E0304", "E0401", "E0402", "E0403", "E0404", "E0405", "E0406", "E0501", "E0502",
    "E0503", "E0601", "E0602", "E0603", "E0604", "E0701", "E0702", "E0703", "E0704", "E0705",
    "E0801", "E0802", "E0803", "E0804", "E0805", "E0901", "W0301", "W0401", "W0501", "W0502",
    "W0601",
];

/// The page of a code, as Markdown.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(c, _)| *c == code).map(|(_, text)| *text)
}
