//! Which token each row of logits predicts, and for which sequence it counts.

use super::RuntimeError;

/// What each row of logits predicts, and for which sequence it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRows {
    targets: Vec<u32>,
    sequence: Vec<Option<u32>>,
    lengths: Vec<usize>,
}

impl TokenRows {
    /// Row `r` predicts token `targets[r]` of sequence `sequence[r]`; a row of `None` is masked.
    ///
    /// # Errors
    /// If the two lists differ in length or a sequence is not below `sequences`.
    pub fn new(
        targets: Vec<u32>,
        sequence: Vec<Option<u32>>,
        sequences: usize,
    ) -> Result<Self, RuntimeError> {
        if targets.len() != sequence.len() {
            return Err(RuntimeError::argument(
                "targets",
                format!("{} for {} rows", targets.len(), sequence.len()),
            ));
        }
        let mut lengths = vec![0; sequences];
        for (row, s) in sequence.iter().enumerate() {
            let Some(s) = s else { continue };
            let Some(n) = lengths.get_mut(*s as usize) else {
                let reason = format!("row {row} names sequence {s} of {sequences}");
                return Err(RuntimeError::argument("sequence", reason));
            };
            *n += 1;
        }
        Ok(Self { targets, sequence, lengths })
    }

    /// The target token of each row.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// The sequence of each row.
    pub fn sequence(&self) -> &[Option<u32>] {
        &self.sequence
    }

    /// The number of rows of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The rows that count, with target and sequence.
    pub(super) fn kept(&self) -> impl Iterator<Item = (usize, u32, usize)> {
        let rows = self.targets.iter().zip(&self.sequence).enumerate();
        rows.filter_map(|(r, (t, s))| s.map(|s| (r, *t, s as usize)))
    }

    /// Checks the rows against logits of `rows` rows over a vocabulary; a masked row may hold any target.
    pub(super) fn check(&self, rows: usize, vocabulary: usize) -> Result<(), RuntimeError> {
        if rows != self.targets.len() {
            return Err(RuntimeError::argument(
                "targets",
                format!("{} for {rows} rows of logits", self.targets.len()),
            ));
        }
        match self.kept().find(|(_, target, _)| *target as usize >= vocabulary) {
            Some((row, target, _)) => Err(RuntimeError::argument(
                "targets",
                format!("row {row} has token {target}, outside the vocabulary of {vocabulary}"),
            )),
            None => Ok(()),
        }
    }
}
