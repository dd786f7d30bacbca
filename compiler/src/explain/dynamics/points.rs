//! Examples at which the compiled gradient is evaluated.
//!
//! In: a compiled loss with parameters. Out: the pull on each log-probability at a fixed set of examples.
//! An example is made of two numbers for each model, the log-probabilities of the two responses; what else
//! the loss reads takes one value throughout.

use super::{Response, Size};
use crate::codegen::interp::{Batch, evaluate};
use crate::hir::{Column, DataShape, Loss, Quantity, Role};
use crate::mir::{Graph, Interval};
use crate::session::Compiled;

/// Log-probabilities of the responses under the policy.
const POLICY: [f64; 7] = [-0.01, -0.3, -1.0, -2.0, -5.0, -20.0, -100.0];
/// The same under any other model.
const FROZEN: [f64; 3] = [-0.5, -1.0, -6.0];
/// The log-probabilities at which sizes are reported, the same for every response and model.
const SIZES: [f64; 3] = [-1.0, -10.0, -100.0];
/// Tokens of every response.
const TOKENS: f64 = 10.0;

/// Which examples: pairs, or labelled responses of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Pair,
    Good,
    Bad,
}

/// The two log-probabilities of each kind of model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) policy: [f64; 2],
    pub(super) frozen: [f64; 2],
}

pub(super) struct Points<'a> {
    loss: &'a Loss,
    graph: &'a Graph,
    /// rho, or the loss where there is none.
    background: Graph,
    has_rho: bool,
    params: Vec<f64>,
    grid: Vec<Point>,
}

impl<'a> Points<'a> {
    /// # Errors
    /// Why the loss cannot be evaluated at made-up examples.
    pub(super) fn new(compiled: &'a Compiled, params: Vec<f64>) -> Result<Self, String> {
        let loss = &compiled.loss;
        let frozen = loss.models.iter().any(|m| m.role == Role::Reference);
        let mut grid = Vec::new();
        for w in POLICY {
            for l in POLICY {
                let of = |list: [f64; 3]| list.into_iter().flat_map(move |a| list.map(|b| [a, b]));
                match frozen {
                    true => grid.extend(of(FROZEN).map(|f| Point { policy: [w, l], frozen: f })),
                    false => grid.push(Point { policy: [w, l], frozen: [-1.0; 2] }),
                }
            }
        }
        let rho = crate::explain::stable_rho(compiled);
        let has_rho = rho.is_some();
        let background = rho.unwrap_or_else(|| compiled.graph().clone());
        let points = Self { loss, graph: compiled.graph(), background, has_rho, params, grid };
        let first = Point { policy: [-1.0; 2], frozen: [-1.0; 2] };
        for side in points.sides() {
            points
                .evaluate(side, &first, 0.0, &[])
                .ok_or("the loss reads data that cannot be made up")?;
        }
        Ok(points)
    }

    pub(super) fn sides(&self) -> Vec<Side> {
        match self.loss.shape {
            DataShape::Labelled { .. } => vec![Side::Good, Side::Bad],
            _ => vec![Side::Pair],
        }
    }

    pub(super) fn grid(&self) -> &[Point] {
        &self.grid
    }

    /// The log-probabilities of the policy that the loss has a gradient for, and of which response each is.
    pub(super) fn pulled(&self, side: Side) -> Vec<(String, Response)> {
        let roots = self.graph.roots.iter().filter_map(|r| r.name.strip_prefix("d/"));
        let column = |name: &str| self.loss.columns.iter().find(|c| c.name() == name);
        roots
            .filter_map(|name| {
                let (_, response) = log_probability(column(name)?)?;
                let response = match (side, self.place(response)) {
                    (Side::Pair, Some(0)) | (Side::Good, _) => Response::Chosen,
                    (Side::Pair, Some(_)) | (Side::Bad, _) => Response::Rejected,
                    (Side::Pair, None) => Response::Other,
                };
                Some((name.to_owned(), response))
            })
            .collect()
    }

    /// 0 for the preferred response, 1 for the other.
    fn place(&self, response: &str) -> Option<usize> {
        match &self.loss.shape {
            DataShape::Pair { winner, loser, .. } => {
                [winner, loser].into_iter().position(|r| r == response)
            }
            _ => self.loss.shape.responses().into_iter().position(|r| r == response),
        }
    }

    /// Minus the gradient by a column, at every point of the grid.
    pub(super) fn pulls(&self, side: Side, column: &str) -> Vec<f64> {
        self.grid.iter().filter_map(|p| self.pull(side, p, column)).collect()
    }

    pub(super) fn pull(&self, side: Side, point: &Point, column: &str) -> Option<f64> {
        let values = self.evaluate(side, point, 0.0, &[])?;
        let root =
            self.graph.roots.iter().position(|r| r.name.strip_prefix("d/") == Some(column))?;
        values.get(root).map(|g| -g).filter(|g| g.is_finite())
    }

    pub(super) fn sizes(&self, side: Side, column: &str) -> Vec<Size> {
        let at = |at: f64| {
            let point = Point { policy: [at; 2], frozen: [at; 2] };
            Some(Size { at, pull: self.pull(side, &point, column)? })
        };
        SIZES.into_iter().filter_map(at).collect()
    }

    /// The loss at a point, moved by `step` along a direction of columns.
    pub(super) fn loss_after(
        &self,
        side: Side,
        point: &Point,
        step: f64,
        direction: &[(String, f64)],
    ) -> Option<f64> {
        let values = self.evaluate(side, point, step, direction)?;
        let root = self.graph.roots.iter().position(|r| r.name == "loss")?;
        values.get(root).copied().filter(|x| x.is_finite())
    }

    /// Whether the background is rho.
    pub(super) fn has_rho(&self) -> bool {
        self.has_rho
    }

    /// rho at a point; the loss where there is no rho.
    pub(super) fn background(&self, point: &Point) -> Option<f64> {
        self.run(&self.background, Side::Pair, point, 0.0, &[])?.first().copied()
    }

    /// How much a column changes for each nat of its response's log-probability, summed over its tokens
    /// where the loss reads that sum.
    pub(super) fn share(&self, column: &str) -> f64 {
        let Some(c) = self.loss.columns.iter().find(|c| c.name() == column) else { return 0.0 };
        self.part(&c.quantity)
    }

    fn part(&self, q: &Quantity) -> f64 {
        match q {
            Quantity::MeanLogp { model, response } => {
                let sum = Quantity::Logp { model: model.clone(), response: response.clone() };
                let summed = self.loss.columns.iter().any(|c| c.quantity == sum);
                if summed { 1.0 / TOKENS } else { 1.0 }
            }
            Quantity::SharedLogp { .. } | Quantity::TailLogp { .. } => 0.5,
            _ => 1.0,
        }
    }

    /// The columns at a point, by name: what a reader is shown of an example.
    pub(super) fn example(&self, side: Side, point: &Point) -> Vec<(String, f64)> {
        let shown = self.loss.columns.iter().filter(|c| log_probability(c).is_some());
        shown.map(|c| (c.name(), self.value(side, point, c))).collect()
    }

    fn value(&self, side: Side, point: &Point, column: &Column) -> f64 {
        if let Some((model, response)) = log_probability(column) {
            let trained =
                self.loss.models.iter().any(|m| m.name == model && m.role == Role::Policy);
            let pair = if trained { point.policy } else { point.frozen };
            let place = self.place(response).filter(|i| *i < 2).unwrap_or(0);
            return pair[place] * self.part(&column.quantity);
        }
        match &column.quantity {
            Quantity::Label { .. } => f64::from(u8::from(side != Side::Bad)),
            Quantity::Len { .. } => TOKENS,
            Quantity::MismatchedLogp { .. } => -5.0,
            _ => middle(column.range),
        }
    }

    /// The roots of the gradient graph for one example.
    fn evaluate(
        &self,
        side: Side,
        point: &Point,
        step: f64,
        direction: &[(String, f64)],
    ) -> Option<Vec<f64>> {
        self.run(self.graph, side, point, step, direction)
    }

    fn run(
        &self,
        graph: &Graph,
        side: Side,
        point: &Point,
        step: f64,
        direction: &[(String, f64)],
    ) -> Option<Vec<f64>> {
        let mut batch = Batch::<f64>::new(1);
        for (i, input) in graph.inputs.iter().enumerate() {
            let column = self.loss.columns.iter().find(|c| c.name() == input.name)?;
            let moved =
                direction.iter().find(|(n, _)| *n == input.name).map_or(0.0, |(_, d)| d * step);
            let value = self.value(side, point, column) + moved;
            batch.set(graph, u16::try_from(i).ok()?, &[value]).ok()?;
        }
        let values = evaluate(graph, &self.params, &batch).ok()?;
        values.into_iter().map(|v| v.first().copied()).collect()
    }
}

/// The model and the response of a column that holds a log-probability of a response.
fn log_probability(column: &Column) -> Option<(&str, &str)> {
    match &column.quantity {
        Quantity::Logp { model, response }
        | Quantity::MeanLogp { model, response }
        | Quantity::SharedLogp { model, response }
        | Quantity::TailLogp { model, response } => Some((model, response)),
        _ => None,
    }
}

/// A finite number inside a range, 0 where that is inside.
fn middle(range: Interval) -> f64 {
    match (range.lo.is_finite(), range.hi.is_finite()) {
        (true, true) => range.lo / 2.0 + range.hi / 2.0,
        (true, false) => range.lo.max(0.0) + 0.5,
        (false, true) => range.hi.min(0.0) - 0.5,
        (false, false) => 0.0,
    }
}
