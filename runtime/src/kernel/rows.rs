//! The tokens of a batch, and what each column of a loss sums over them.
//!
//! In: logits, targets, responses and data from the host. Out: for every column its values, or the rows
//! that it sums. Invariant: what passes [`check`] lies inside its buffers.

use super::KernelError;
use half::{bf16, f16};
use ponens_compiler::codegen::cuda::Element;
use ponens_compiler::lir::{Part, Plan, SequenceSum, Source};
use std::ops::Range;

/// The logits of one model: `[rows, vocabulary]`, row-major, in little-endian bytes.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    /// The name of the model in the loss.
    pub model: &'a str,
    /// The numbers.
    pub bytes: &'a [u8],
}

/// The tokens of a batch.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// Examples.
    pub examples: usize,
    /// Logits of a row.
    pub vocabulary: usize,
    /// The type of all logits.
    pub element: Element,
    /// One entry a model.
    pub logits: Vec<Logits<'a>>,
    /// The token of each row `[rows]`; negative where a row does not count.
    pub targets: &'a [i32],
    /// The rows of each example by response; `""` is the mismatched response of KTO.
    pub responses: Vec<(&'a str, Vec<Range<usize>>)>,
    /// The columns of the data `[examples]`; `len(RESPONSE)` is counted where it is not given.
    pub data: Vec<(&'a str, Vec<f32>)>,
}

/// Checks shapes, labels and ranges.
pub(super) fn check(plan: &Plan, rows: &Rows<'_>) -> Result<(), KernelError> {
    let n = rows.targets.len();
    if rows.vocabulary == 0 {
        return Err(KernelError::input("vocabulary", "is 0"));
    }
    let size = n.checked_mul(rows.vocabulary).and_then(|x| x.checked_mul(rows.element.bytes()));
    let Some(size) = size else {
        return Err(KernelError::input("targets", "more rows than memory"));
    };
    for s in &plan.streams {
        let Some(logits) = rows.logits.iter().find(|l| l.model == s.model) else {
            return Err(KernelError::input("logits", format!("none of model `{}`", s.model)));
        };
        if logits.bytes.len() != size {
            let (given, v, e) = (logits.bytes.len(), rows.vocabulary, rows.element.name());
            let reason = format!("{given} bytes, but {n} rows of {v} in {e} have {size}");
            return Err(KernelError::input(format!("logits of `{}`", s.model), reason));
        }
    }
    if let Some(i) = rows.targets.iter().position(|t| *t >= 0 && *t as usize >= rows.vocabulary) {
        let reason = format!(
            "row {i} has token {}, the vocabulary has {}",
            rows.targets[i], rows.vocabulary
        );
        return Err(KernelError::input("targets", reason));
    }
    for (response, ranges) in &rows.responses {
        let argument = || format!("rows of response `{response}`");
        if ranges.len() != rows.examples {
            let reason = format!("{} ranges for {} examples", ranges.len(), rows.examples);
            return Err(KernelError::input(argument(), reason));
        }
        if let Some(e) = ranges.iter().position(|r| r.start > r.end || r.end > n) {
            let reason = format!("example {e} has rows {:?} of {n}", ranges[e]);
            return Err(KernelError::input(argument(), reason));
        }
        // Examples run side by side, and each adds to the gradient of its own rows.
        let mut filled: Vec<&Range<usize>> = ranges.iter().filter(|r| !r.is_empty()).collect();
        filled.sort_by_key(|r| r.start);
        if let Some(w) = filled.windows(2).find(|w| w[1].start < w[0].end) {
            let reason = format!("two examples share row {}", w[1].start);
            return Err(KernelError::input(argument(), reason));
        }
    }
    Ok(())
}

/// The numbers of one row of stored logits.
pub(crate) fn row_of(
    element: Element,
    bytes: &[u8],
    row: usize,
    vocabulary: usize,
) -> impl Iterator<Item = f32> {
    let number = move |c: &[u8]| match element {
        Element::F32 => f32::from_le_bytes([c[0], c[1], c[2], c[3]]),
        Element::Bf16 => bf16::from_le_bytes([c[0], c[1]]).to_f32(),
        Element::F16 => f16::from_le_bytes([c[0], c[1]]).to_f32(),
    };
    let rows = bytes.chunks_exact(element.bytes()).skip(row * vocabulary);
    rows.take(vocabulary).map(number)
}

/// Where a column's values come from.
pub(super) enum Column {
    Host(Vec<f32>),
    /// A sum over these rows of each example.
    Sum(SequenceSum, Vec<Range<usize>>),
}

/// The columns of a plan in order.
pub(super) fn columns(plan: &Plan, rows: &Rows<'_>) -> Result<Vec<Column>, KernelError> {
    let ranges = |response: &str| {
        let found = rows.responses.iter().find(|(n, _)| *n == response);
        found
            .map(|(_, r)| r)
            .ok_or_else(|| KernelError::input("responses", format!("none is named `{response}`")))
    };
    let mut columns = Vec::new();
    for (input, source) in plan.header.inputs.iter().zip(&plan.sources) {
        columns.push(match source {
            Source::Tokens(sum) => {
                let own = ranges(&sum.response)?;
                let part = match sum.part {
                    Part::All | Part::Mismatched => own.clone(),
                    Part::Shared | Part::Tail => split(sum, own, rows)?,
                };
                Column::Sum(sum.clone(), part)
            }
            Source::Data => {
                let given =
                    rows.data.iter().find(|(n, _)| *n == input.name).map(|(_, v)| v.clone());
                let counted = || {
                    let response = input.name.strip_prefix("len(")?.strip_suffix(')')?;
                    let count = |r: &Range<usize>| counting(rows, r).count() as f32;
                    Some(ranges(response).ok()?.iter().map(count).collect())
                };
                let argument = format!("column `{}`", input.name);
                let Some(values) = given.or_else(counted) else {
                    return Err(KernelError::input(argument, "is missing"));
                };
                if values.len() != rows.examples {
                    let reason = format!("{} values for {} examples", values.len(), rows.examples);
                    return Err(KernelError::input(argument, reason));
                }
                Column::Host(values)
            }
        });
    }
    Ok(columns)
}

/// The rows of a range that count.
fn counting<'a>(rows: &'a Rows<'_>, range: &Range<usize>) -> impl Iterator<Item = usize> + 'a {
    range.clone().filter(|i| rows.targets[*i] >= 0)
}

/// The rows up to the other response's length, or those past it.
fn split(
    sum: &SequenceSum,
    own: &[Range<usize>],
    rows: &Rows<'_>,
) -> Result<Vec<Range<usize>>, KernelError> {
    let other = rows.responses.iter().find(|(n, _)| *n != sum.response && !n.is_empty());
    let Some((_, other)) = other else {
        return Err(KernelError::input("responses", format!("`{}` stands alone", sum.response)));
    };
    let cut = |(own, other): (&Range<usize>, &Range<usize>)| {
        let shared = counting(rows, other).count();
        let end = counting(rows, own).nth(shared).unwrap_or(own.end);
        if sum.part == Part::Shared { own.start..end } else { end..own.end }
    };
    Ok(own.iter().zip(other).map(cut).collect())
}
