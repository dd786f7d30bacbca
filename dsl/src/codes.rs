//! The registry of diagnostic codes: `E` refuses, `W` warns. A code never changes its meaning.

/// Every code with its headline, in order.
pub const CODES: &[(&str, &str)] = &[
    ("E0001", "the text does not follow the grammar"),
    ("E0002", "the file is not UTF-8"),
    ("E0003", "the file cannot be read"),
    ("E0004", "the text nests too deeply"),
    ("E0005", "unknown edition"),
    ("E0006", "a number does not fit a 64-bit float"),
    ("E0101", "unknown name"),
    ("E0102", "a name is defined twice"),
    ("E0103", "unknown loss"),
    ("E0104", "wrong number of arguments"),
    ("E0105", "a clause is missing"),
    ("E0106", "a clause stands twice or contradicts another"),
    ("E0107", "definitions refer to each other in a circle"),
    ("E0201", "a formula stands where a number is wanted, or the reverse"),
    ("E0202", "levels do not fit: a reduction is missing"),
    ("E0203", "unknown data shape, or a column that the shape has not"),
    ("E0204", "a model is missing or has the wrong role"),
    ("E0205", "not supported for this data shape"),
    ("E0301", "a parameter is outside its range"),
    ("E0302", "a parameter has no value"),
    ("E0303", "unknown parameter"),
    ("E0304", "not a number"),
    ("E0401", "a data column is missing"),
    ("E0402", "a data column has the wrong type"),
    ("E0403", "a data row cannot be read"),
    ("E0404", "a response is empty"),
    ("E0405", "a value lies outside its domain"),
    ("E0406", "the data holds no rows"),
    ("E0501", "rho is outside the logic"),
    ("E0502", "the structure has no winning or no losing row"),
    ("E0503", "too many atoms"),
    ("E0601", "an expression is undefined on part of its domain"),
    ("E0602", "the rewriter reached a limit"),
    ("E0603", "the rewriter failed its own check"),
    ("E0604", "the stable form and the text have different values"),
    ("E0701", "a model cannot be loaded"),
    ("E0702", "a device is missing"),
    ("E0703", "the run cannot be saved or resumed"),
    ("E0704", "training went wrong"),
    ("W0301", "a parameter is not used"),
    ("W0401", "an empty response counts with mean 0"),
    ("W0501", "no usable gradient with summed log-probabilities"),
    ("W0502", "a name is defined and not used"),
    ("W0601", "the rewriter stopped early"),
];

/// The headline of a code.
pub fn headline(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(c, _)| *c == code).map(|(_, h)| *h)
}
