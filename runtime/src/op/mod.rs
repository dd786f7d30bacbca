//! Compiled losses as tensor operations.
//!
//! Why: a loss is small (a handful of numbers an example), the logits that feed it are huge (one row of
//! vocabulary size a token). In: logits, target tokens, reference log-probabilities and other columns,
//! and a [`LossKernel`]. Out: the loss with its gradient, twice over:
//!
//! * [`fused`]: statistics of each row in one pass, the kernel on a few scalars, the gradient in a second
//!   pass; no log-probability of any other token is ever stored ([`tape`] has it as a tensor operation);
//! * [`hidden`]: the same from hidden states and the head, with no logits but those of one tile;
//! * [`device`]: both on a graphics processor;
//! * [`composed`]: the same from the tensor library's own primitives, which needs several copies of the
//!   logits; the check of the first and a back end for devices and types that have no fused kernel.
//!
//! Invariant: both agree with the kernel's interpreter, value and gradient.

pub mod column;
pub mod composed;
pub mod device;
mod elementwise;
mod emit;
mod error;
mod finite;
pub mod fused;
mod graph;
pub mod hidden;
mod machine;
mod memory;
mod nested;
mod rows;
pub mod tape;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod tests;

pub use column::{Column, Columns};
pub use error::RuntimeError;
pub use graph::{GraphKernel, RunningMean};
pub use machine::MachineKernel;
pub use nested::Loops;
pub use rows::TokenRows;

use ponens_compiler::mir::{Graph, Input, Level};

/// The value and the gradient of a loss on one batch of `n` examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The loss of each example; a loss of the whole batch stands at every example. The loss of the
    /// batch is the mean.
    pub loss: Vec<f64>,
    /// By input: d(sum of `loss`)/d(input of example e), or `None` where the loss has no gradient.
    pub grads: Vec<Option<Vec<f64>>>,
}

/// A compiled loss at the example level: from the quantities of a batch to the value and all gradients.
pub trait LossKernel: Send + Sync {
    /// The name of the loss.
    fn name(&self) -> &str;

    /// The columns it reads, by their canonical names: `logp(pi,w)`, `mean_logp(pi,w)`, `logp(ref,l)`,
    /// `len(w)`, a declared column's own name.
    fn inputs(&self) -> &[Input];

    /// The graph that it evaluates, where it has one.
    fn definition(&self) -> Option<&Graph> {
        None
    }

    /// Its parameters with their values.
    fn parameters(&self) -> Vec<(&str, f64)> {
        Vec::new()
    }

    /// False only if the loss of an example depends on no other example of the batch.
    fn couples_examples(&self) -> bool {
        true
    }

    /// The inputs that hold the mean of something over the whole run so far; whoever keeps the run fills
    /// them.
    fn running(&self) -> &[RunningMean] {
        &[]
    }

    /// Evaluates one batch; `columns[i][e]` is input `i` of example `e`.
    ///
    /// # Errors
    /// If the number of columns is not that of [`LossKernel::inputs`], or their lengths differ.
    fn evaluate(&self, columns: &[Vec<f64>]) -> Result<Evaluated, RuntimeError>;

    /// [`LossKernel::evaluate`] for a loss that reads numbers below the example: column `i` has one number for
    /// each element of its input's loop, those of the first example first, and so has its gradient.
    ///
    /// # Errors
    /// As [`LossKernel::evaluate`]; also if the kernel takes no such loss.
    fn evaluate_nested(
        &self,
        columns: &[Vec<f64>],
        _loops: &Loops,
    ) -> Result<Evaluated, RuntimeError> {
        match self.inputs().iter().find(|i| i.level > Level::Example) {
            None => self.evaluate(columns),
            Some(input) => Err(RuntimeError::Unsupported(format!(
                "loss `{}` reads `{}` at the {} level",
                self.name(),
                input.name,
                input.level
            ))),
        }
    }
}

/// The common length of a kernel's columns.
///
/// # Errors
/// If a column is missing, there is one too many, or the lengths differ.
pub fn batch_len(kernel: &dyn LossKernel, columns: &[Vec<f64>]) -> Result<usize, RuntimeError> {
    let reason = |reason: String| RuntimeError::Loss { loss: kernel.name().to_owned(), reason };
    let inputs = kernel.inputs();
    if inputs.len() != columns.len() {
        return Err(reason(format!("{} columns wanted, {} given", inputs.len(), columns.len())));
    }
    let len = columns.first().map_or(0, Vec::len);
    match inputs.iter().zip(columns).find(|(_, c)| c.len() != len) {
        None => Ok(len),
        Some((input, c)) => Err(reason(format!(
            "column `{}` has {} values where `{}` has {len}",
            input.name,
            c.len(),
            inputs[0].name
        ))),
    }
}
