//! Places of the protocol: lines from 0, columns in units of UTF-16.

use serde_json::{Value, json};

/// A byte of a text as a place.
pub(super) fn position(text: &str, byte: usize) -> Value {
    let byte = (0..=byte.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let before = &text[..byte];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.matches('\n').count();
    json!({ "line": line, "character": before[start..].encode_utf16().count() })
}

/// A range of bytes.
pub(super) fn range(text: &str, start: usize, end: usize) -> Value {
    json!({ "start": position(text, start), "end": position(text, end.max(start)) })
}

/// The byte at a place; one behind the end of a line is its end.
pub(super) fn byte(text: &str, position: &Value) -> Option<usize> {
    let (line, column) = (position["line"].as_u64()?, position["character"].as_u64()?);
    let mut start = 0;
    for _ in 0..line {
        start += text[start..].find('\n')? + 1;
    }
    let end = text[start..].find('\n').map_or(text.len(), |i| start + i);
    let mut units = 0;
    for (i, c) in text[start..end].char_indices() {
        if units >= column {
            return Some(start + i);
        }
        units += c.len_utf16() as u64;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_in_utf_16() {
        let text = "a\n\u{1F600}é = x\n";
        let x = text.find('x').unwrap();
        assert_eq!(position(text, x), json!({ "line": 1, "character": 6 }));
        assert_eq!(byte(text, &json!({ "line": 1, "character": 6 })), Some(x));
        assert_eq!(byte(text, &json!({ "line": 0, "character": 99 })), Some(1));
        assert_eq!(byte(text, &json!({ "line": 9, "character": 0 })), None);
        for (i, _) in text.char_indices() {
            assert_eq!(byte(text, &position(text, i)), Some(i));
        }
    }
}
