//! The verifier of plans: what every kernel back end may rely on.
//!
//! In: any plan, however broken. Out: all violations of the invariants in [`super`]'s documentation. A
//! verified plan makes neither the interpreter nor a code generator fail.

use super::{Let, Phase, Plan, Source};
use crate::mir::{Level, NodeId, Op, Reduce};
use std::collections::HashSet;
use std::fmt;

/// One broken invariant; phases count from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value is used that is not computed before, in its phase.
    Undefined {
        /// The phase; `None` for the uniform values.
        phase: Option<usize>,
        /// The value.
        id: NodeId,
    },
    /// Two values of one phase have one name.
    Twice {
        /// The phase; `None` for the uniform values.
        phase: Option<usize>,
        /// The name.
        id: NodeId,
    },
    /// The operation has no place at this level.
    Misplaced {
        /// The phase; `None` for the uniform values.
        phase: Option<usize>,
        /// The value.
        id: NodeId,
    },
    /// A parameter or column that does not exist.
    Index(NodeId),
    /// A statistic, saved or ranked value is read that no earlier phase leaves.
    NotLeft {
        /// The phase.
        phase: usize,
        /// The value.
        id: NodeId,
    },
    /// Results are written by a phase that is not the last.
    EarlyOutput(usize),
    /// Two results have one name.
    DuplicateOutput(String),
    /// There is no phase.
    Empty,
    /// Columns and their sources differ in number.
    Columns,
    /// A statistic that a column sums is not streamed.
    NotStreamed(String),
    /// The loss has a gradient of a column whose statistic is streamed without one.
    NoGradient(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place =
            |p: &Option<usize>| p.map_or("uniform values".to_owned(), |p| format!("phase {p}"));
        match self {
            Fault::Undefined { phase, id } => {
                write!(f, "{}: {id} is used before it is computed", place(phase))
            }
            Fault::Twice { phase, id } => write!(f, "{}: {id} is computed twice", place(phase)),
            Fault::Misplaced { phase, id } => {
                write!(f, "{}: the operation of {id} has no place there", place(phase))
            }
            Fault::Index(id) => write!(f, "{id} reads a parameter or column that does not exist"),
            Fault::NotLeft { phase, id } => {
                write!(f, "phase {phase} reads {id}, which no earlier phase leaves")
            }
            Fault::EarlyOutput(p) => write!(f, "phase {p} writes results and is not the last"),
            Fault::DuplicateOutput(n) => write!(f, "two results are named `{n}`"),
            Fault::Empty => f.write_str("a plan without a phase"),
            Fault::Columns => f.write_str("columns and sources do not fit each other"),
            Fault::NotStreamed(c) => write!(f, "what column `{c}` sums is not streamed"),
            Fault::NoGradient(c) => {
                write!(f, "the statistic of column `{c}` is streamed without its gradient")
            }
        }
    }
}

/// Checks the invariants of [`super`].
///
/// # Errors
/// Every violation found, in the order of the plan.
pub fn verify(plan: &Plan) -> Result<(), Vec<Fault>> {
    let mut check = Check { plan, faults: Vec::new(), left: Left::default() };
    check.columns();
    let mut uniform = HashSet::new();
    check.lets(None, Level::Uniform, &plan.uniform, &mut uniform);
    for (i, phase) in plan.phases.iter().enumerate() {
        check.phase(i, phase, &uniform);
    }
    if plan.phases.is_empty() {
        check.faults.push(Fault::Empty);
    }
    if check.faults.is_empty() { Ok(()) } else { Err(check.faults) }
}

/// What the phases checked so far leave.
#[derive(Default)]
struct Left {
    statistics: HashSet<NodeId>,
    saved: HashSet<NodeId>,
    ranked: HashSet<NodeId>,
}

struct Check<'a> {
    plan: &'a Plan,
    faults: Vec<Fault>,
    left: Left,
}

impl Check<'_> {
    fn columns(&mut self) {
        let header = &self.plan.header;
        if header.inputs.len() != self.plan.sources.len() {
            self.faults.push(Fault::Columns);
        }
        for (input, source) in header.inputs.iter().zip(&self.plan.sources) {
            let Source::Tokens(sum) = source else { continue };
            let of = |model: &str| self.plan.streams.iter().find(|s| s.model == model);
            let stream = of(&sum.model).filter(|s| s.statistics.contains(&sum.statistic));
            let other = sum.statistic.other().is_none_or(|m| of(m).is_some());
            let Some(stream) = stream.filter(|_| other) else {
                self.faults.push(Fault::NotStreamed(input.name.clone()));
                continue;
            };
            let name = format!("d/{}", input.name);
            let wanted =
                input.differentiable && self.plan.outputs().iter().any(|(n, _)| *n == name);
            if wanted && !stream.gradients.contains(&sum.statistic) {
                self.faults.push(Fault::NoGradient(input.name.clone()));
            }
        }
    }

    fn phase(&mut self, index: usize, phase: &Phase, uniform: &HashSet<NodeId>) {
        for id in &phase.ranks {
            if !self.left.saved.contains(id) {
                self.faults.push(Fault::NotLeft { phase: index, id: *id });
            }
            self.left.ranked.insert(*id);
        }
        let mut known = uniform.clone();
        self.lets(Some(index), Level::Batch, &phase.batch, &mut known);
        let shallow = known.clone();
        self.lets(Some(index), Level::Example, &phase.example, &mut known);
        let partials = phase.partials.iter().map(|q| q.value);
        for id in partials.chain(phase.saves.iter().copied()) {
            // One value an example is wanted: a shallower one is no contribution.
            if !known.contains(&id) || shallow.contains(&id) {
                self.faults.push(Fault::Undefined { phase: Some(index), id });
            }
        }
        for (name, id) in &phase.outputs {
            if !known.contains(id) {
                self.faults.push(Fault::Undefined { phase: Some(index), id: *id });
            }
            if phase.outputs.iter().filter(|(n, _)| n == name).count() > 1 {
                self.faults.push(Fault::DuplicateOutput(name.clone()));
            }
        }
        if !phase.outputs.is_empty() && index + 1 < self.plan.phases.len() {
            self.faults.push(Fault::EarlyOutput(index));
        }
        for q in &phase.partials {
            if q.reduce == Reduce::LogSumExp {
                self.faults.push(Fault::Misplaced { phase: Some(index), id: q.id });
            }
        }
        self.left.statistics.extend(phase.partials.iter().map(|q| q.id));
        self.left.saved.extend(&phase.saves);
    }

    fn lets(
        &mut self,
        phase: Option<usize>,
        level: Level,
        lets: &[Let],
        known: &mut HashSet<NodeId>,
    ) {
        for l in lets {
            let id = l.id;
            let place = match l.op {
                Op::Const(_) | Op::Param(_) => true,
                // Deeper columns may stand in the header; no phase reads them.
                Op::Input(i) => {
                    let deep =
                        self.plan.header.inputs.get(i as usize).is_some_and(|c| c.level > level);
                    level == Level::Example && !deep
                }
                Op::Unary(..) | Op::Binary(..) | Op::Select(..) => true,
                Op::Reduce(..) | Op::Count(_) => level == Level::Batch,
                Op::Sort(_) | Op::Unsort(..) => level == Level::Example,
                _ => false,
            };
            if !place {
                self.faults.push(Fault::Misplaced { phase, id });
            }
            let exists = match l.op {
                Op::Param(p) => (p as usize) < self.plan.header.params.len(),
                Op::Input(i) => (i as usize) < self.plan.header.inputs.len(),
                _ => true,
            };
            if !exists {
                self.faults.push(Fault::Index(id));
            }
            self.reads(phase, l, known);
            if !known.insert(id) {
                self.faults.push(Fault::Twice { phase, id });
            }
        }
    }

    fn reads(&mut self, phase: Option<usize>, l: &Let, known: &HashSet<NodeId>) {
        let left = |set: &HashSet<NodeId>, id: NodeId| {
            let fault = Fault::NotLeft { phase: phase.unwrap_or_default(), id };
            (!set.contains(&id)).then_some(fault)
        };
        match l.op {
            Op::Count(_) => {}
            Op::Reduce(..) => self.faults.extend(left(&self.left.statistics, l.id)),
            Op::Sort(key) => self.faults.extend(left(&self.left.ranked, key)),
            Op::Unsort(ranked, key) => {
                self.faults.extend(left(&self.left.saved, ranked));
                self.faults.extend(left(&self.left.ranked, key));
            }
            op => {
                let missing = op.operands().filter(|o| !known.contains(o));
                self.faults.extend(missing.map(|id| Fault::Undefined { phase, id }));
            }
        }
    }
}
