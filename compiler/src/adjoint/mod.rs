//! Reverse-mode differentiation of MIR, at every level.
//!
//! Why: value and all gradients in one multi-root graph, so that rewriting shares their parts. In: a
//! graph whose root 0 is the loss. Out: the same graph with a root `d/NAME` for every input asked for.
//! The objective is the sum of the loss over its own level: with one loss an example, `d/x` holds the
//! gradient of the batch's summed loss; divide by the batch size for the mean.
//!
//! Invariant: a contribution to a value of an outer level is summed over the inner loop that used it.
//! A gradient graph may be differentiated again, but not through a sort. Kinks (`max`, `min`, `abs`, `if`) have derivative 0 from the side that is not chosen, and 0 from
//! both at the kink itself; of two values that both depend on the inputs and are equal, half of each.

#[cfg(test)]
mod tests;

use crate::mir::{Binary, Direction, Graph, Level, NodeId, Op, Reduce, Root, Unary};

/// Which inputs get a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrt {
    /// Those that the policy determines: what training needs.
    Policy,
    /// Every real-valued input, the reference's as well; not lengths and labels.
    AllReal,
}

/// True when the input counts or labels something, so that no derivative exists.
fn is_discrete(name: &str) -> bool {
    name == "label" || name.starts_with("len(")
}

/// Adds a gradient root for each input asked for.
///
/// # Panics
/// When the graph has no root.
pub fn differentiate(graph: &Graph, wrt: Wrt) -> Graph {
    let wanted: Vec<usize> = (0..graph.inputs.len())
        .filter(|i| {
            let input = &graph.inputs[*i];
            match wrt {
                Wrt::Policy => input.differentiable,
                Wrt::AllReal => !is_discrete(&input.name),
            }
        })
        .collect();
    let mut a = Adjoint {
        active: activity(graph, &wanted),
        adjoints: vec![None; graph.nodes.len()],
        graph: graph.clone(),
    };
    let loss = graph.roots[0].node;
    let one = a.graph.constant(1.0);
    a.adjoints[loss.0 as usize] = Some(one);
    for i in (0..=loss.0).rev() {
        if let (true, Some(g)) = (a.active[i as usize], a.adjoints[i as usize]) {
            a.propagate(NodeId(i), g);
        }
    }
    for i in wanted {
        let node = graph.nodes.iter().position(|n| n.op == Op::Input(i as u16));
        let adjoint = node.and_then(|n| a.adjoints[n]);
        let node = match adjoint {
            Some(n) => n,
            None => a.graph.constant(0.0),
        };
        a.graph.roots.push(Root { name: format!("d/{}", graph.inputs[i].name), node });
    }
    a.graph
}

/// The nodes that depend on a wanted input.
fn activity(graph: &Graph, wanted: &[usize]) -> Vec<bool> {
    let mut active = vec![false; graph.nodes.len()];
    for (i, n) in graph.nodes.iter().enumerate() {
        active[i] = match n.op {
            Op::Input(k) => wanted.contains(&(k as usize)),
            Op::Unary(Unary::StopGradient | Unary::Step | Unary::Sign, _)
            | Op::Count(_)
            | Op::Position(_) => false,
            _ => n.op.operands().any(|o| active[o.0 as usize]),
        };
    }
    active
}

struct Adjoint {
    graph: Graph,
    active: Vec<bool>,
    adjoints: Vec<Option<NodeId>>,
}

impl Adjoint {
    fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        self.graph.binary(op, a, b)
    }

    fn unary(&mut self, op: Unary, a: NodeId) -> NodeId {
        self.graph.unary(op, a)
    }

    /// Adds `g`, a derivative in the loop of `user`, to the adjoint of its operand `to`.
    fn give(&mut self, user: NodeId, to: NodeId, g: NodeId) {
        if !self.active[to.0 as usize] {
            return;
        }
        let (inner, outer) = (self.graph.node(user).level, self.graph.node(to).level);
        let g = if inner > outer { self.sum_to(g, user, inner, outer) } else { g };
        let sum = match self.adjoints[to.0 as usize] {
            None => g,
            Some(old) => self.binary(Binary::Add, old, g),
        };
        self.adjoints[to.0 as usize] = Some(sum);
    }

    fn sum_to(&mut self, g: NodeId, user: NodeId, inner: Level, outer: Level) -> NodeId {
        if self.graph.node(g).level == inner {
            return self.graph.add_at(Op::Reduce(Reduce::Sum, g), outer);
        }
        // The same contribution from every iteration of the inner loop.
        let count = self.graph.add_at(Op::Count(user), outer);
        self.binary(Binary::Mul, count, g)
    }

    /// `g` where `condition > 0`, else 0: never 0 times infinity.
    fn gate(&mut self, condition: NodeId, g: NodeId) -> NodeId {
        let zero = self.graph.constant(0.0);
        self.graph.add(Op::Select(condition, g, zero))
    }

    /// A value of an outer level at every place of a loop: what a scan of it runs along.
    fn spread(&mut self, g: NodeId, like: NodeId) -> NodeId {
        if self.graph.node(g).level >= self.graph.node(like).level {
            return g;
        }
        let place = self.graph.add(Op::Position(like));
        let (zero, one) = (self.graph.constant(0.0), self.graph.constant(1.0));
        let always = self.binary(Binary::Add, place, one);
        self.graph.add(Op::Select(always, g, zero))
    }

    /// With u = lse of the later x: d x_j = sum over i < j of g_i exp(x_j - u_i). Let y = logaddexp(x, u),
    /// so that u_i = y_{i+1}; then c_j = sum over i < j of g_i exp(y_j - u_i) obeys
    /// c_j = g_{j-1} + c_{j-1} exp(y_j - y_{j-1}), and every factor lies in [0, 1].
    fn log_sum_exps_rule(
        &mut self,
        direction: Direction,
        x: NodeId,
        u: NodeId,
        g: NodeId,
    ) -> NodeId {
        let g = self.spread(g, u);
        let back = direction.reversed();
        let (up, down) = (self.binary(Binary::Sub, u, x), self.binary(Binary::Sub, x, u));
        let keep = self.unary(Unary::Sigmoid, up);
        let keep = self.graph.add(Op::Shift(keep, back.step()));
        let g = self.graph.add(Op::Shift(g, back.step()));
        let c = self.graph.add(Op::Recurrence(back, keep, g));
        let own = self.unary(Unary::Sigmoid, down);
        self.binary(Binary::Mul, own, c)
    }

    fn propagate(&mut self, y: NodeId, g: NodeId) {
        match self.graph.node(y).op {
            Op::Const(_) | Op::Param(_) | Op::Input(_) | Op::Count(_) | Op::Position(_) => {}
            Op::Unary(op, x) => {
                if let Some(d) = self.unary_rule(op, x, y, g) {
                    self.give(y, x, d);
                }
            }
            Op::Binary(op, a, b) => self.binary_rule(op, a, b, y, g),
            Op::Select(c, a, b) => {
                let zero = self.graph.constant(0.0);
                let ga = self.gate(c, g);
                let gb = self.graph.add(Op::Select(c, zero, g));
                self.give(y, a, ga);
                self.give(y, b, gb);
            }
            Op::Reduce(r, x) => self.reduce_rule(r, x, y, g),
            Op::Sort(x) => {
                // A constant adjoint is the same at every rank.
                let d = if self.graph.node(g).level < self.graph.node(y).level {
                    g
                } else {
                    self.graph.add(Op::Unsort(g, x))
                };
                self.give(y, x, d);
            }
            // Only this stage makes it: a graph that holds one is a gradient already, and there is no
            // operation for the second derivative of a sort.
            Op::Unsort(..) => {}
            Op::SuffixSum(x) => {
                let g = self.spread(g, y);
                let d = self.graph.add(Op::PrefixSum(g));
                self.give(y, x, d);
            }
            Op::PrefixSum(x) => {
                let g = self.spread(g, y);
                let d = self.graph.add(Op::SuffixSum(g));
                self.give(y, x, d);
            }
            Op::Shift(x, n) => {
                let g = self.spread(g, y);
                let d = self.graph.add(Op::Shift(g, -n));
                self.give(y, x, d);
            }
            Op::LogSumExps(direction, x) => {
                let d = self.log_sum_exps_rule(direction, x, y, g);
                self.give(y, x, d);
            }
            Op::Recurrence(direction, a, x) => {
                let g = self.spread(g, y);
                let a_wide = self.spread(a, y);
                let back = direction.reversed();
                let moved = self.graph.add(Op::Shift(a_wide, back.step()));
                let z = self.graph.add(Op::Recurrence(back, moved, g));
                let neighbour = self.graph.add(Op::Shift(y, direction.step()));
                let da = self.binary(Binary::Mul, z, neighbour);
                self.give(y, x, z);
                self.give(y, a, da);
            }
        }
    }

    fn unary_rule(&mut self, op: Unary, x: NodeId, y: NodeId, g: NodeId) -> Option<NodeId> {
        Some(match op {
            Unary::Neg => self.unary(Unary::Neg, g),
            Unary::Exp => self.binary(Binary::Mul, g, y),
            Unary::Log => self.binary(Binary::Div, g, x),
            Unary::Log1p => {
                let one = self.graph.constant(1.0);
                let d = self.binary(Binary::Add, one, x);
                self.binary(Binary::Div, g, d)
            }
            Unary::Expm1 => {
                let e = self.unary(Unary::Exp, x);
                self.binary(Binary::Mul, g, e)
            }
            Unary::Log1mExp => {
                let minus = self.unary(Unary::Neg, x);
                let d = self.unary(Unary::Expm1, minus);
                let q = self.binary(Binary::Div, g, d);
                self.unary(Unary::Neg, q)
            }
            Unary::Softplus => {
                let s = self.unary(Unary::Sigmoid, x);
                self.binary(Binary::Mul, g, s)
            }
            Unary::Sigmoid => {
                let minus = self.unary(Unary::Neg, x);
                let s = self.unary(Unary::Sigmoid, minus);
                let d = self.binary(Binary::Mul, y, s);
                self.binary(Binary::Mul, g, d)
            }
            Unary::Abs => {
                let s = self.unary(Unary::Sign, x);
                self.binary(Binary::Mul, g, s)
            }
            Unary::Step | Unary::Sign | Unary::StopGradient => return None,
        })
    }

    fn binary_rule(&mut self, op: Binary, a: NodeId, b: NodeId, y: NodeId, g: NodeId) {
        let (da, db) = match op {
            Binary::Add => (g, g),
            Binary::Sub => (g, self.unary(Unary::Neg, g)),
            Binary::Mul => (self.binary(Binary::Mul, g, b), self.binary(Binary::Mul, g, a)),
            Binary::Div => {
                let da = self.binary(Binary::Div, g, b);
                let t = self.binary(Binary::Mul, da, y);
                (da, self.unary(Unary::Neg, t))
            }
            Binary::Max | Binary::Min => {
                let (p, q) = (self.binary(Binary::Sub, a, b), self.binary(Binary::Sub, b, a));
                let (p, q) = if op == Binary::Max { (p, q) } else { (q, p) };
                if self.active[a.0 as usize] && self.active[b.0 as usize] {
                    // Equal without a kink where both are one function there, as inside the range of
                    // min(r A, clip(r) A): half of each is then the derivative of either.
                    let half = self.graph.constant(0.5);
                    let half = self.binary(Binary::Mul, half, g);
                    let zero = self.graph.constant(0.0);
                    let a_at_tie = self.graph.add(Op::Select(q, zero, half));
                    let b_at_tie = self.graph.add(Op::Select(p, zero, half));
                    let da = self.graph.add(Op::Select(p, g, a_at_tie));
                    (da, self.graph.add(Op::Select(q, g, b_at_tie)))
                } else {
                    (self.gate(p, g), self.gate(q, g))
                }
            }
            Binary::Pow => {
                let one = self.graph.constant(1.0);
                let less = self.binary(Binary::Sub, b, one);
                let p = self.binary(Binary::Pow, a, less);
                let bp = self.binary(Binary::Mul, b, p);
                let l = self.unary(Unary::Log, a);
                let ly = self.binary(Binary::Mul, y, l);
                (self.binary(Binary::Mul, g, bp), self.binary(Binary::Mul, g, ly))
            }
            Binary::LogAddExp => {
                let (p, q) = (self.binary(Binary::Sub, a, b), self.binary(Binary::Sub, b, a));
                let (p, q) = (self.unary(Unary::Sigmoid, p), self.unary(Unary::Sigmoid, q));
                (self.binary(Binary::Mul, g, p), self.binary(Binary::Mul, g, q))
            }
        };
        self.give(y, a, da);
        self.give(y, b, db);
    }

    fn reduce_rule(&mut self, r: Reduce, x: NodeId, y: NodeId, g: NodeId) {
        let d = match r {
            Reduce::Sum => g,
            Reduce::Mean => {
                let outer = self.graph.node(y).level;
                let n = self.graph.add_at(Op::Count(x), outer);
                // An empty loop passes nothing on; the bound proves the divisor.
                let one = self.graph.constant(1.0);
                let n = self.binary(Binary::Max, n, one);
                self.binary(Binary::Div, g, n)
            }
            Reduce::LogSumExp => {
                let d = self.binary(Binary::Sub, x, y);
                let p = self.unary(Unary::Exp, d);
                self.binary(Binary::Mul, g, p)
            }
            Reduce::Max => {
                let below = self.binary(Binary::Sub, y, x);
                let zero = self.graph.constant(0.0);
                self.graph.add(Op::Select(below, zero, g))
            }
        };
        // The contribution is in the operand's own loop already.
        let sum = match self.adjoints[x.0 as usize] {
            None => d,
            Some(old) => self.binary(Binary::Add, old, d),
        };
        if self.active[x.0 as usize] {
            self.adjoints[x.0 as usize] = Some(sum);
        }
    }
}
