//! Evaluation by the kernels on a card.
//!
//! In: as for [`super::evaluate()`]. Out: the same outcomes, in f32, the kernels' type.

use super::bind::Bound;
use super::evaluate::{Outcome, column, evaluate_by, readable};
use ponens_compiler::codegen::interp::EvalError;
use ponens_compiler::lir::{self, Plan, PlanError};
use ponens_compiler::mir::Graph;
use ponens_runtime::device::Device;
use ponens_runtime::kernel::{self, Cache, KernelError, Machine};

/// Why the kernels gave no value.
#[derive(Debug)]
pub enum CardError {
    /// The loss has no kernel.
    Plan(PlanError),
    /// A part of CUDA is missing, or failed.
    Kernel(KernelError),
    /// The rows do not fit the loss.
    Eval(EvalError),
}

impl From<EvalError> for CardError {
    fn from(e: EvalError) -> Self {
        CardError::Eval(e)
    }
}

/// Evaluates a graph on a card.
///
/// # Errors
/// The loss has no kernel, NVRTC is missing, or the card failed.
pub fn evaluate(
    device: &Device,
    cache: Option<&Cache>,
    graph: &Graph,
    params: &[f64],
    bound: &Bound,
) -> Result<Vec<Outcome<f32>>, CardError> {
    evaluate_on_machine(|plan| device.load(plan, &[], cache), graph, params, bound)
}

/// Evaluates a graph on anything that runs kernels; `load` gives it the kernels of a plan.
///
/// # Errors
/// The loss has no kernel, or the machine failed.
pub fn evaluate_on_machine<M: Machine>(
    load: impl FnOnce(&Plan) -> Result<M, KernelError>,
    graph: &Graph,
    params: &[f64],
    bound: &Bound,
) -> Result<Vec<Outcome<f32>>, CardError> {
    let graph = readable(graph, bound);
    let plan = lir::plan(&graph).map_err(CardError::Plan)?;
    let mut machine = load(&plan).map_err(CardError::Kernel)?;
    evaluate_by(&graph, bound, |rows| {
        let mut columns = Vec::new();
        for input in &graph.inputs {
            let values = column(bound, &input.name, rows)?;
            columns.push(values.iter().map(|x| *x as f32).collect());
        }
        let outputs = kernel::evaluate(&mut machine, &plan, params, &columns, rows.len());
        Ok(outputs.map_err(CardError::Kernel)?.into_iter().map(|(_, values)| values).collect())
    })
}
