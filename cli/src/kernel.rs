//! A compiled loss that runs: the value and the gradients of a batch.
//!
//! In: a compiled loss, parameter values, a [`Device`]. Out: a [`Kernel`]. Invariants: a kernel is
//! immutable and `Send + Sync`; sizes and domains are checked before anything is computed, so a value
//! outside the domain of its column is an error and never a NaN.

use candle_core::Tensor;
use ponens_compiler::mir::Input;
use ponens_compiler::session::{Compiled, bind};
use ponens_dsl::Diagnostic;
use ponens_runtime::op::composed::{Gradient, graph_loss};
use ponens_runtime::op::tape::fused_loss;
use ponens_runtime::op::{self, Columns, GraphKernel, LossKernel, RuntimeError, TokenRows};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::refusal::{Refusal, Result};

/// Where a kernel runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

/// The loss and its gradients on one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The loss of each example; a loss of the whole batch stands at every example. The loss of the
    /// batch is the mean.
    pub loss: Vec<f64>,
    /// By column with a gradient: d(sum of `loss`) / d(column of example e).
    pub gradients: Vec<(String, Vec<f64>)>,
}

impl Evaluation {
    /// The loss of the batch; NaN for no examples.
    pub fn mean(&self) -> f64 {
        self.loss.iter().sum::<f64>() / self.loss.len() as f64
    }

    /// The gradient of a column, if it has one.
    pub fn gradient(&self, column: &str) -> Option<&[f64]> {
        self.gradients.iter().find(|(name, _)| name == column).map(|(_, g)| g.as_slice())
    }
}

/// A loss with its parameters fixed, ready to run.
#[derive(Clone)]
pub struct Kernel {
    device: Device,
    graph: Arc<GraphKernel>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, device) = (self.name(), self.device);
        f.debug_struct("Kernel")
            .field("name", &name)
            .field("device", &device)
            .finish_non_exhaustive()
    }
}

impl Kernel {
    /// A kernel of a compiled loss, with values for its parameters in order.
    ///
    /// # Errors
    /// `E0301`: a value lies outside its range. `E0205`: the loss reads data that the kernels of the
    /// device do not know. `E0702`: the device is not there.
    pub fn new(compiled: &Compiled, values: &[f64], device: Device) -> Result<Self> {
        let params = &compiled.loss.params;
        let names = params.iter().map(|p| p.name.clone());
        let given: Vec<(String, f64)> = names.zip(values.iter().copied()).collect();
        bind(&compiled.loss.name, params, &given)
            .map_err(|found| Refusal::new(Default::default(), found))?;
        if let Device::Cuda(_) = device {
            return Err(Diagnostic::error(
                "E0702",
                format!(
                    "no kernel of `{}` on {device}: this build launches none",
                    compiled.loss.name
                ),
            )
            .help("use `Device::Cpu`, or take the CUDA text of `ponens emit --target cuda`")
            .into());
        }
        let given: HashMap<String, f64> = given.into_iter().collect();
        let graph = GraphKernel::new(compiled.graph(), &given)
            .and_then(|kernel| kernel.with_running(&compiled.running, &given))
            .map_err(refused)?;
        Ok(Self { device, graph: Arc::new(graph) })
    }

    /// The name of the loss.
    pub fn name(&self) -> &str {
        self.graph.name()
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What it reads, by canonical name, in the order of [`Kernel::evaluate`].
    pub fn columns(&self) -> Vec<&str> {
        self.graph.inputs().iter().map(|i| i.name.as_str()).collect()
    }

    /// False only if the loss of an example depends on no other example of its batch.
    pub fn couples_examples(&self) -> bool {
        self.graph.couples_examples()
    }

    /// Evaluates one batch; `columns[i][e]` is column `i` of example `e`.
    ///
    /// The columns are copied once and the results are allocated; nothing else is kept from call to call.
    ///
    /// # Errors
    /// `E0401`: a column is missing, there is one too many, or their lengths differ. `E0405`: a value
    /// lies outside the domain of its column, such as a positive log-probability or a NaN.
    ///
    /// ```
    /// use ponens::{Device, Loss};
    ///
    /// let kernel = Loss::named("dpo")?.kernel(Device::Cpu)?;
    /// let positive = kernel.evaluate(&[&[0.5], &[-1.0], &[-1.0], &[-1.0]]).unwrap_err();
    /// assert_eq!(positive.codes(), ["E0405"]);
    /// let short = kernel.evaluate(&[&[-1.0, -2.0], &[-1.0], &[-1.0], &[-1.0]]).unwrap_err();
    /// assert_eq!(short.codes(), ["E0401"]);
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn evaluate(&self, columns: &[&[f64]]) -> Result<Evaluation> {
        self.count(columns.len())?;
        let inputs = self.graph.inputs();
        let examples = columns.first().map_or(0, |c| c.len());
        for (input, column) in inputs.iter().zip(columns) {
            if column.len() != examples {
                return Err(self.missing(format!(
                    "column `{}` has {} values where `{}` has {examples}",
                    input.name,
                    column.len(),
                    inputs[0].name
                )));
            }
            within(input, column)?;
        }
        let owned: Vec<Vec<f64>> = columns.iter().map(|c| c.to_vec()).collect();
        let op::Evaluated { loss, grads } = self.graph.evaluate(&owned).map_err(refused)?;
        let named = inputs.iter().zip(grads).filter_map(|(i, g)| Some((i.name.clone(), g?)));
        Ok(Evaluation { loss, gradients: named.collect() })
    }

    /// The loss of each example, `[E]`, from one tensor `[E]` a column, differentiable in the columns of the
    /// policy by the compiled gradient. On any device, by the primitives of candle.
    ///
    /// # Errors
    /// `E0401`: a column is missing, or there is one too many. `E0402`: the tensors do not fit together.
    pub fn tensor(&self, columns: &[Tensor]) -> Result<Tensor> {
        self.count(columns.len())?;
        let (graph, params) = (self.graph.graph(), self.graph.params());
        graph_loss(graph, params, columns, Gradient::Adjoint).map_err(refused)
    }

    /// The loss of a batch from logits `[N, V]` (f32, bf16 or f16), as a differentiable scalar tensor: two passes over
    /// the logits, no log-probability of another token kept. `rows` says what each row of logits predicts,
    /// `columns` where each of [`Kernel::columns`] comes from, `reference` holds the reference's logits
    /// for losses that read a divergence.
    ///
    /// # Errors
    /// `E0402`: sizes disagree, a target is outside the vocabulary, a divergence has no reference,
    /// or the logits are not on the processor.
    pub fn from_logits(
        &self,
        logits: &Tensor,
        reference: Option<&Tensor>,
        rows: Arc<TokenRows>,
        columns: Columns,
    ) -> Result<Tensor> {
        fused_loss(logits, reference, rows, columns, self.graph.clone()).map_err(refused)
    }

    fn count(&self, given: usize) -> Result<()> {
        let wanted = self.graph.inputs().len();
        if given == wanted {
            return Ok(());
        }
        Err(self.missing(format!("{given} columns where {wanted} are read")))
    }

    fn missing(&self, text: String) -> Box<Refusal> {
        let columns = self.columns().join(", ");
        let help = format!("`{}` reads, in this order: {columns}", self.name());
        Diagnostic::error("E0401", text).help(help).into()
    }

    /// The kernel as the runtime's operations and trainer take it.
    pub fn as_loss_kernel(&self) -> Arc<dyn LossKernel> {
        self.graph.clone()
    }
}

/// All values of a column lie in its domain.
fn within(input: &Input, column: &[f64]) -> Result<()> {
    match column.iter().position(|x| !input.range.contains(*x)) {
        None => Ok(()),
        Some(e) => Err(Diagnostic::error(
            "E0405",
            format!("`{}` of example {e} is {}, outside {}", input.name, column[e], input.range),
        )
        .into()),
    }
}

fn refused(e: RuntimeError) -> Box<Refusal> {
    let code = match &e {
        RuntimeError::Unsupported(_) => "E0205",
        RuntimeError::Setting(_) => "E0301",
        RuntimeError::Kernel(e) if e.is_missing() => "E0702",
        RuntimeError::Kernel(_) => "E0705",
        _ => "E0402",
    };
    Diagnostic::error(code, e.to_string()).into()
}
