//! Which rows fit into one call.

use serde_json::{Map, Value};

/// Which lengths may differ in a call, because a mask tells them.
#[derive(Clone, Copy)]
pub(super) struct Ragged {
    pub(super) tokens: bool,
    pub(super) candidates: bool,
    /// True where the outer lists are those of candidates.
    pub(super) family: bool,
}

/// What rows of one call have in common: their lengths.
pub(super) fn key(row: &Map<String, Value>, ragged: Ragged) -> String {
    fn lengths(v: &Value, ragged: Ragged, outer: bool, out: &mut String) {
        if let Value::Array(list) = v {
            let free = if outer && ragged.family { ragged.candidates } else { ragged.tokens };
            if !free {
                out.push_str(&format!("[{}", list.len()));
            }
            // Of candidates in any number their tokens are to be as many.
            let inner = if free { &list[..list.len().min(1)] } else { &list[..] };
            inner.iter().for_each(|v| lengths(v, ragged, false, out));
            if !free {
                out.push(']');
            }
        }
    }
    let mut out = String::new();
    row.values().for_each(|v| lengths(v, ragged, true, &mut out));
    out
}
