//! The phases of a loss on a [`Machine`] as a loss kernel.
//!
//! Why: a program that keeps columns on the host evaluates a loss on a card as it does on the processor.
//! In: a [`GraphKernel`], and a machine with the kernels of its plan loaded. Out: a [`LossKernel`] whose
//! values were computed by the machine, in f32. Invariants: what a kernel says of itself is what the
//! graph says; a value that f32 does not hold is refused before anything is launched.

use super::{Evaluated, GraphKernel, LossKernel, RuntimeError, batch_len};
use crate::kernel::{self, KernelError, Machine};
use ponens_compiler::lir::{self, Plan};
use ponens_compiler::mir::Input;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A loss on a machine, with its parameters fixed.
pub struct MachineKernel<M> {
    graph: Arc<GraphKernel>,
    plan: Plan,
    /// Launches follow each other, whoever calls.
    machine: Mutex<M>,
}

impl<M> fmt::Debug for MachineKernel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineKernel").field("graph", &self.graph).finish_non_exhaustive()
    }
}

impl<M: Machine> MachineKernel<M> {
    /// The loss on the machine that `load` makes ready for the plan.
    ///
    /// # Errors
    /// [`RuntimeError::Unsupported`]: the loss has no plan; or what `load` reports.
    pub fn new(
        graph: Arc<GraphKernel>,
        load: impl FnOnce(&Plan) -> Result<M, KernelError>,
    ) -> Result<Self, RuntimeError> {
        let plan = lir::plan(graph.graph())
            .map_err(|e| RuntimeError::Unsupported(format!("loss `{}`: {e}", graph.name())))?;
        let machine = Mutex::new(load(&plan)?);
        Ok(Self { graph, plan, machine })
    }

    fn narrow(&self, columns: &[Vec<f64>]) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let one = |(input, column): (&Input, &Vec<f64>)| {
            let narrow: Vec<f32> = column.iter().map(|x| *x as f32).collect();
            match narrow.iter().zip(column).position(|(n, x)| n.is_infinite() && x.is_finite()) {
                None => Ok(narrow),
                Some(e) => Err(RuntimeError::Loss {
                    loss: self.graph.name().to_owned(),
                    reason: format!(
                        "`{}` of example {e} is {:e}, and the kernels compute in f32",
                        input.name, column[e]
                    ),
                }),
            }
        };
        self.graph.inputs().iter().zip(columns).map(one).collect()
    }
}

impl<M: Machine + Send> LossKernel for MachineKernel<M> {
    fn name(&self) -> &str {
        self.graph.name()
    }

    fn inputs(&self) -> &[Input] {
        self.graph.inputs()
    }

    fn couples_examples(&self) -> bool {
        self.graph.couples_examples()
    }

    fn evaluate(&self, columns: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let n = batch_len(self, columns)?;
        let columns = self.narrow(columns)?;
        if n == 0 {
            let none = self.inputs().iter().map(|i| i.differentiable.then(Vec::new)).collect();
            return Ok(Evaluated { loss: Vec::new(), grads: none });
        }
        let outputs = {
            // A caller that panicked has left nothing behind that the next launch reads.
            let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
            kernel::evaluate(&mut *machine, &self.plan, self.graph.params(), &columns, n)?
        };
        // A loss of the whole batch stands at every example: the derivative of their sum is n times its own.
        let copies = if self.plan.is_scalar_output("loss") { n as f64 } else { 1.0 };
        let of = |root: &str, scale: f64| -> Option<Vec<f64>> {
            let (_, values) = outputs.iter().find(|(name, _)| name == root)?;
            let one = |e: usize| values.get(if values.len() == 1 { 0 } else { e }).copied();
            (0..n).map(|e| Some(scale * f64::from(one(e)?))).collect()
        };
        let missing = || RuntimeError::Loss {
            loss: self.graph.name().to_owned(),
            reason: "the plan has no output `loss` of every example".to_owned(),
        };
        Ok(Evaluated {
            loss: of("loss", 1.0).ok_or_else(missing)?,
            grads: self.inputs().iter().map(|i| of(&format!("d/{}", i.name), copies)).collect(),
        })
    }
}
