//! Differences of exponentials.

use super::Rule;

pub(super) const RULES: &[Rule] = &[];
