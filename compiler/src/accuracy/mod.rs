//! How accurate a compiled loss is, beside the same loss as it is written.
//!
//! Why: that a form is stable is a claim about every point of the domain; this stage measures it. In: a
//! [`Compiled`] loss, values of its parameters, a type. Out: a [`Report`]: the error of the value and of each
//! gradient in units in the last place, over a grid and a seeded random sample of the domain of
//! SEMANTICS section 6, for the stable form and for the text evaluated operation by operation with the
//! chain rule. Invariants: errors are taken against 256 bits at the inputs as rounded to the type; the
//! 256-bit values are confirmed at some points by the text itself at 1024 bits; the same options give the
//! same report.

mod measure;
mod sample;
#[cfg(test)]
mod tests;

pub use measure::{Figures, Worst};

use crate::adjoint::{self, Wrt};
use crate::codegen::interp::{Big, EvalError, Real, evaluate};
use crate::mir::Graph;
use crate::mir::interval::Precision;
use crate::session::Compiled;
use measure::{Exact, measure};
use ponens_dsl::Diagnostic;
use sample::Group;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most points of the grid.
    pub grid: usize,
    /// Random points of each of four kinds: spread, close to each other, reference near the policy,
    /// typical of training.
    pub random: usize,
    /// The seed of the random points.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { grid: 256, random: 256, seed: 1 }
    }
}

/// One result of a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// `loss`, or the column of a gradient.
    pub name: String,
    /// True for gradients.
    pub gradient: bool,
    /// The stable form.
    pub stable: Figures,
    /// The text as it is written, its gradient by the chain rule.
    pub written: Figures,
}

/// The accuracy of a loss in one type.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The type.
    pub precision: Precision,
    /// The value first, then the gradients.
    pub quantities: Vec<Quantity>,
    /// At how many values the oracle was confirmed by the text at 1024 bits.
    pub confirmed: usize,
}

/// Points at which the oracle is compared with the text.
const CONFIRMED: usize = 24;

/// Measures a loss. `tick` is called after each part of the sample with the parts done and all of them.
///
/// # Errors
/// `E0604` where the oracle and the text at 1024 bits disagree, which is a defect of the compiler; `E0401` where the
/// graph cannot be evaluated on a sample.
pub fn report(
    compiled: &Compiled,
    params: &[f64],
    precision: Precision,
    options: &Options,
    mut tick: impl FnMut(usize, usize),
) -> Result<Report, Diagnostic> {
    let stable = compiled.graph();
    let mut written = adjoint::differentiate(&compiled.written, Wrt::AllReal);
    // Whatever the loss was compiled for: root by root the same results.
    let all = std::mem::take(&mut written.roots);
    let same = |r: &crate::mir::Root| all.iter().find(|w| w.name == r.name).cloned();
    written.roots = stable.roots.iter().filter_map(same).collect();
    let groups = sample::groups(stable, options.grid, options.random, options.seed);
    let wrong = |e: EvalError| Diagnostic::error("E0401", e.to_string());
    let mut done = 0;
    let mut figures = measure(&[stable, &written], params, &groups, precision, || {
        done += 1;
        tick(done, groups.len());
    })
    .map_err(wrong)?;
    let confirmed = confirm(stable, &written, params, &groups, precision)?;
    let (naive, exact) = (figures.pop().unwrap_or_default(), figures.pop().unwrap_or_default());
    let quantity = |((root, stable), written): ((&crate::mir::Root, Figures), Figures)| Quantity {
        name: root.name.strip_prefix("d/").unwrap_or(&root.name).to_owned(),
        gradient: root.name.starts_with("d/"),
        stable,
        written,
    };
    let quantities = stable.roots.iter().zip(exact).zip(naive).map(quantity).collect();
    Ok(Report { precision, quantities, confirmed })
}

/// The tolerance between the oracle's 256 bits and the text at 1024.
const AGREEMENT: f64 = 1e-40;

/// Compares the oracle with the text at a few points; returns how many values the text decides.
fn confirm(
    stable: &Graph,
    written: &Graph,
    params: &[f64],
    groups: &[Group],
    precision: Precision,
) -> Result<usize, Diagnostic> {
    let wrong = |e: EvalError| Diagnostic::error("E0401", e.to_string());
    let params = measure::rounded(params, precision);
    let parts: Vec<Group> = match groups {
        [one] => one.pick(one.examples / CONFIRMED).into_iter().collect(),
        many => many.iter().step_by((many.len() / CONFIRMED).max(1)).cloned().collect(),
    };
    let mut decided = 0;
    for group in parts {
        let group = group.rounded(precision);
        let batch = group.batch(stable).map_err(wrong)?;
        let ours = evaluate::<Exact>(stable, &params, &batch).map_err(wrong)?;
        let batch = group.batch(stable).map_err(wrong)?;
        let finer = evaluate::<Big<512>>(stable, &params, &batch).map_err(wrong)?;
        let batch = group.batch(written).map_err(wrong)?;
        let fine = evaluate::<Big<1024>>(written, &params, &batch).map_err(wrong)?;
        let batch = group.batch(written).map_err(wrong)?;
        let coarse = evaluate::<Big<512>>(written, &params, &batch).map_err(wrong)?;
        for (r, root) in stable.roots.iter().enumerate() {
            for (i, value) in ours[r].iter().enumerate() {
                let (Some(fine), Some(coarse), Some(finer)) =
                    (fine[r].get(i), coarse[r].get(i), finer[r].get(i))
                else {
                    continue;
                };
                // Where the text itself loses all its digits it decides nothing.
                let (fine, coarse) = (fine.to_bits_of::<256>(), coarse.to_bits_of::<256>());
                let sound = fine.to_f64().is_finite() && near(&fine, &coarse);
                if !sound || value.to_f64().is_infinite() {
                    continue;
                }
                decided += 1;
                // Where terms cancel to nothing a residue of the 256 bits is left: it shrinks with more bits, and
                // the error of a wrong form does not.
                let residue = value.sub(&finer.to_bits_of::<256>()).abs().to_f64();
                if !near(&fine, value) && fine.sub(value).abs().to_f64() > 4.0 * residue {
                    let text = format!(
                        "`{}` is {} in the stable form and {} in the text",
                        root.name,
                        value.to_decimal(20),
                        fine.to_decimal(20)
                    );
                    let place = group.shown(stable, i);
                    return Err(Diagnostic::error("E0604", text)
                        .note(format!("at {place:?}"))
                        .note("this is a defect of the compiler, not of the loss"));
                }
            }
        }
    }
    Ok(decided)
}

/// Equal to many more digits than any type has. Beside numbers of ordinary size the text's 1024 bits resolve
/// nothing below 1e-300: `1 - sigmoid(x)` is 0 there from x = 710 on.
fn near(a: &Exact, b: &Exact) -> bool {
    let scale = a.to_f64().abs().max(b.to_f64().abs());
    a.sub(b).abs().to_f64() <= (AGREEMENT * scale).max(1e-300)
}
