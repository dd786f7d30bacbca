//! A compiled loss that runs: the value and the gradients of a batch.
//!
//! In: a compiled loss, parameter values, a [`Device`]. Out: a [`Kernel`]. Invariants: a kernel is
//! immutable and `Send + Sync`; sizes and domains are checked before anything is computed, so a value
//! outside the domain of its column is an error and never a NaN.
//!
//! On a card [`Kernel::evaluate`] launches the generated kernels of the loss; they are compiled by NVRTC when
//! the kernel is made, and kept in the user's cache. That needs no feature, only the driver and NVRTC where
//! the program runs. With the feature `cuda`, which needs the CUDA toolkit where it is built,
//! [`Kernel::tensor`] and [`Kernel::from_logits`] take tensors on a card as well.

use candle_core::Tensor;
use ponens_compiler::mir::Input;
use ponens_compiler::session::{Compiled, bind};
use ponens_dsl::Diagnostic;
use ponens_runtime::device;
use ponens_runtime::kernel::{Cache, KernelError};
use ponens_runtime::op::composed::{Gradient, graph_loss};
use ponens_runtime::op::tape::fused_loss;
use ponens_runtime::op::{
    self, Columns, GraphKernel, LossKernel, MachineKernel, RuntimeError, TokenRows,
};
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
    /// What evaluates columns that are on the host.
    evaluator: Arc<dyn LossKernel>,
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
    /// A kernel of a compiled loss, with values for its parameters in order. For a card the loss is
    /// compiled to kernels of that card here.
    ///
    /// # Errors
    /// `E0301`: a value lies outside its range. `E0205`: the loss reads data that the kernels of the
    /// device do not know. `E0702`: there is no such card, or no driver or NVRTC for it. `E0705`: a part
    /// of CUDA failed.
    ///
    /// ```
    /// use ponens::{Device, Loss};
    ///
    /// let loss = Loss::named("dpo")?;
    /// let kernel = match loss.kernel(Device::Cuda(0)) {
    ///     Ok(kernel) => kernel,
    ///     // No card, or no CUDA: the diagnostic says what was looked for, and where.
    ///     Err(refused) if refused.codes() == ["E0702"] => loss.kernel(Device::Cpu)?,
    ///     Err(refused) => return Err(refused),
    /// };
    /// let batch = kernel.evaluate(&[&[-10.0], &[-12.0], &[-11.0], &[-11.0]])?;
    /// assert!((batch.loss[0] - 0.598138869).abs() < 1e-6);
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn new(compiled: &Compiled, values: &[f64], device: Device) -> Result<Self> {
        let params = &compiled.loss.params;
        let names = params.iter().map(|p| p.name.clone());
        let given: Vec<(String, f64)> = names.zip(values.iter().copied()).collect();
        bind(&compiled.loss.name, params, &given)
            .map_err(|found| Refusal::new(Default::default(), found))?;
        let given: HashMap<String, f64> = given.into_iter().collect();
        let graph = GraphKernel::new(compiled.graph(), &given)
            .and_then(|kernel| kernel.with_running(&compiled.running, &given))
            .map_err(refused)?;
        let graph = Arc::new(graph);
        let evaluator: Arc<dyn LossKernel> = match device {
            Device::Cpu => graph.clone(),
            Device::Cuda(index) => {
                let on_card = MachineKernel::new(graph.clone(), |plan| {
                    let card = device::Device::open(index)?;
                    match card.load(plan, &[], Cache::of_user().as_ref()) {
                        // A cache that cannot be written is no reason not to compile.
                        Err(KernelError::Io { .. }) => card.load(plan, &[], None),
                        loaded => loaded,
                    }
                });
                Arc::new(on_card.map_err(refused)?)
            }
        };
        Ok(Self { device, graph, evaluator })
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

    /// Evaluates one batch where the kernel runs; `columns[i][e]` is column `i` of example `e`. The
    /// processor computes in f64, a card in f32.
    ///
    /// The columns are copied once and the results are allocated; nothing else is kept from call to call.
    ///
    /// # Errors
    /// `E0401`: a column is missing, there is one too many, or their lengths differ. `E0405`: a value
    /// lies outside the domain of its column, such as a positive log-probability or a NaN. On a card also
    /// `E0402`: f32 does not hold a value; `E0705`: the card failed.
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
        let op::Evaluated { loss, grads } = self.evaluator.evaluate(&owned).map_err(refused)?;
        let named = inputs.iter().zip(grads).filter_map(|(i, g)| Some((i.name.clone(), g?)));
        Ok(Evaluation { loss, gradients: named.collect() })
    }

    /// The loss of each example, `[E]`, from one tensor `[E]` a column, differentiable in the columns of the
    /// policy by the compiled gradient. Where the tensors are, by the primitives of candle.
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
    /// or the logits are on a card and this build has no feature `cuda`.
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

    /// The kernel as the runtime's operations and trainer take it: they keep the vocabulary's part where
    /// the logits are, and evaluate the few numbers of an example on the host in f64.
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
    let d = Diagnostic::error(code, e.to_string());
    match &e {
        RuntimeError::Kernel(e) if e.is_missing() => d.help("`Device::Cpu` runs everywhere"),
        _ => d,
    }
    .into()
}
