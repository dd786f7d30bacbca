//! Strength reduction: fewer transcendental functions in a graph that is settled.
//!
//! Why: the rewriter decides what is safe, and writes gradients in the logarithms that it reasons with;
//! what a processor pays for is exponentials and logarithms. In: a total graph. Out: a graph with the
//! same roots, total as well. Three forms are replaced, each where it is the only user of what it replaces:
//!
//! | from | to | because |
//! |---|---|---|
//! | e^-logaddexp(a, b) | 1 / (e^a + e^b) | no logarithm, whose rounding the exponential would amplify |
//! | x + x / expm1(-y), y <= 0 | -(x / expm1(y)) | log1mexp(y) has the exponential of expm1(y) already |
//! | e s(x) - (1 - e) s(-x) | e - s(-x) | s(x) = 1 - s(-x), and the two sides of the difference stay apart |
//!
//! with s the sigmoid and -expm1(y) for e^log1mexp(y). Invariants: the two graphs are equal in exact arithmetic, limits at
//! the border of the domain included; the reduced one rounds by no more than two units in the last place
//! worse; nothing else is touched. It is a pass of its own and no law of the rewriter, because there each
//! new form of a gradient is one more that all normal forms are read from.

use crate::mir::transfer::analyse;
use crate::mir::{Binary, Graph, Interval, Node, NodeId, Op, Root, Unary};
use std::collections::BTreeMap;

/// The reduced graph.
pub fn reduce(graph: &Graph) -> Graph {
    let reader = Reader { graph, facts: analyse(graph), users: users(graph) };
    let mut all = Graph { nodes: Vec::new(), roots: Vec::new(), ..graph.clone() };
    let mut places: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let place = |id: NodeId| places[id.0 as usize];
        let new = match reader.form(NodeId(i as u32)) {
            Some(Form::Reciprocal(a, b)) => {
                let (first, second) =
                    (exponential(&mut all, place(a)), exponential(&mut all, place(b)));
                let sum = total(&mut all, first, second);
                quotient(&mut all, sum)
            }
            Some(Form::Complement(x, y)) => {
                let difference = all.unary(Unary::Expm1, place(y));
                let quotient = all.binary(Binary::Div, place(x), difference);
                all.unary(Unary::Neg, quotient)
            }
            Some(Form::Share(e, s)) => all.binary(Binary::Sub, place(e), place(s)),
            None => all.add_at(node.op.map(place), node.level),
        };
        places.push(new);
    }
    let root = |r: &Root| Root { name: r.name.clone(), node: places[r.node.0 as usize] };
    all.roots = graph.roots.iter().map(root).collect();
    needed(&all)
}

/// What a node is replaced by.
enum Form {
    /// 1 / (e^a + e^b)
    Reciprocal(NodeId, NodeId),
    /// -(x / expm1(y))
    Complement(NodeId, NodeId),
    /// e - s, a sigmoid
    Share(NodeId, NodeId),
}

struct Reader<'a> {
    graph: &'a Graph,
    facts: Vec<Interval>,
    users: Vec<usize>,
}

impl Reader<'_> {
    fn op(&self, id: NodeId) -> Op {
        self.graph.node(id).op
    }

    fn only_used_here(&self, id: NodeId) -> bool {
        self.users[id.0 as usize] == 1
    }

    fn form(&self, id: NodeId) -> Option<Form> {
        match self.op(id) {
            Op::Unary(Unary::Exp, minus) => {
                let Op::Unary(Unary::Neg, log) = self.op(minus) else { return None };
                let Op::Binary(Binary::LogAddExp, a, b) = self.op(log) else { return None };
                let alone = self.only_used_here(minus) && self.only_used_here(log);
                alone.then_some(Form::Reciprocal(a, b))
            }
            Op::Binary(Binary::Add, x, y) => {
                self.complement(x, y).or_else(|| self.complement(y, x))
            }
            Op::Binary(Binary::Sub, p, q) => self.share(p, q),
            _ => None,
        }
    }

    /// e s(x) - (1 - e) s(-x)
    fn share(&self, p: NodeId, q: NodeId) -> Option<Form> {
        let sigmoid = |id: NodeId| match self.op(id) {
            Op::Unary(Unary::Sigmoid, x) => Some(x),
            _ => None,
        };
        let scaled = |id: NodeId| {
            let Op::Binary(Binary::Mul, a, b) = self.op(id) else { return None };
            let first = sigmoid(b).map(|x| (a, b, x));
            first.or_else(|| sigmoid(a).map(|x| (b, a, x)))
        };
        let ((e, _, x), (f, s, y)) = scaled(p).zip(scaled(q))?;
        let Op::Binary(Binary::Sub, one, of) = self.op(f) else { return None };
        let opposite = |a: NodeId, b: NodeId| self.op(a) == Op::Unary(Unary::Neg, b);
        let fits = of == e
            && self.op(one) == Op::Const(1.0)
            && self.facts[e.0 as usize].is_finite()
            && (opposite(x, y) || opposite(y, x));
        (fits && self.only_used_here(p) && self.only_used_here(q)).then_some(Form::Share(e, s))
    }

    /// x + quotient
    fn complement(&self, x: NodeId, quotient: NodeId) -> Option<Form> {
        let Op::Binary(Binary::Div, over, by) = self.op(quotient) else { return None };
        let Op::Unary(Unary::Expm1, minus) = self.op(by) else { return None };
        let Op::Unary(Unary::Neg, y) = self.op(minus) else { return None };
        let fits = over == x && self.facts[y.0 as usize].is_nonpos();
        (fits && self.only_used_here(quotient) && self.only_used_here(by))
            .then_some(Form::Complement(x, y))
    }
}

/// How often each node is an operand or a root.
fn users(graph: &Graph) -> Vec<usize> {
    let mut users = vec![0; graph.nodes.len()];
    let operands = graph.nodes.iter().flat_map(|n| n.op.operands());
    for id in operands.chain(graph.roots.iter().map(|r| r.node)) {
        users[id.0 as usize] += 1;
    }
    users
}

/// A number of which one is known, e^a, or its negative, expm1(y) for a = log1mexp(y).
#[derive(Clone, Copy)]
enum Part {
    Positive(NodeId),
    Negated(NodeId),
}

fn exponential(graph: &mut Graph, a: NodeId) -> Part {
    match graph.node(a).op {
        Op::Unary(Unary::Log1mExp, y) => Part::Negated(graph.unary(Unary::Expm1, y)),
        _ => Part::Positive(graph.unary(Unary::Exp, a)),
    }
}

/// The sum of two parts, or its negative.
fn total(graph: &mut Graph, a: Part, b: Part) -> Part {
    use Part::{Negated, Positive};
    match (a, b) {
        (Positive(x), Positive(y)) => Positive(graph.binary(Binary::Add, x, y)),
        (Positive(x), Negated(y)) | (Negated(y), Positive(x)) => {
            Positive(graph.binary(Binary::Sub, x, y))
        }
        (Negated(x), Negated(y)) => Negated(graph.binary(Binary::Add, x, y)),
    }
}

/// 1 by a part.
fn quotient(graph: &mut Graph, part: Part) -> NodeId {
    let (one, by) = match part {
        Part::Positive(x) => (1.0, x),
        Part::Negated(x) => (-1.0, x),
    };
    let one = graph.constant(one);
    graph.binary(Binary::Div, one, by)
}

/// The graph without nodes that no root needs.
fn needed(all: &Graph) -> Graph {
    let mut needed = vec![false; all.nodes.len()];
    all.roots.iter().for_each(|r| needed[r.node.0 as usize] = true);
    for i in (0..all.nodes.len()).rev() {
        if needed[i] {
            all.nodes[i].op.operands().for_each(|o| needed[o.0 as usize] = true);
        }
    }
    let mut places: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut out = Graph { nodes: Vec::new(), ..all.clone() };
    for (i, Node { op, level }) in all.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        // Operands come first, and what a needed node reads is needed.
        let op = op.map(|o| places.get(&o).copied().unwrap_or(o));
        places.insert(NodeId(i as u32), NodeId(out.nodes.len() as u32));
        out.nodes.push(Node { op, level: *level });
    }
    for root in &mut out.roots {
        root.node = places.get(&root.node).copied().unwrap_or(root.node);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::interp::{Batch, Big, Real, evaluate};
    use crate::mir::interval::Precision;
    use crate::mir::{Input, Level, Param, Stage, verify};

    /// Roots e^-logaddexp(log1mexp(w), w - l), .. of two columns, with the gradient of a log odds.
    fn odds() -> Graph {
        let mut g = Graph::new("odds");
        g.stage = Stage::Total;
        let input = |name: &str| Input {
            name: name.into(),
            level: Level::Example,
            range: Interval::LOG_PROB,
            differentiable: true,
        };
        g.inputs = vec![input("w"), input("l")];
        let (w, l) = (g.add(Op::Input(0)), g.add(Op::Input(1)));
        let (not_w, not_l) = (g.unary(Unary::Log1mExp, w), g.unary(Unary::Log1mExp, l));
        let gap = g.binary(Binary::Sub, w, l);
        let minus = g.unary(Unary::Neg, l);
        let odds = g.unary(Unary::Expm1, minus);
        let x = g.unary(Unary::Sigmoid, gap);
        let over = g.binary(Binary::Div, x, odds);
        let complement = g.binary(Binary::Add, over, x);
        let mut roots = vec![complement];
        for (a, b) in [(not_w, gap), (w, not_l), (not_w, not_l), (gap, l)] {
            let log = g.binary(Binary::LogAddExp, a, b);
            let minus = g.unary(Unary::Neg, log);
            roots.push(g.unary(Unary::Exp, minus));
        }
        let root = |(i, node): (usize, NodeId)| Root { name: format!("r{i}"), node };
        g.roots = roots.into_iter().enumerate().map(root).collect();
        g
    }

    fn count(graph: &Graph, op: fn(&Op) -> bool) -> usize {
        graph.nodes.iter().filter(|n| op(&n.op)).count()
    }

    fn values<T: Real>(graph: &Graph, at: &[[f64; 2]]) -> Vec<Vec<T>> {
        let mut batch = Batch::<T>::new(at.len());
        for i in 0..2 {
            let column: Vec<f64> = at.iter().map(|x| x[i]).collect();
            batch.set(graph, i as u16, &column).expect("a column");
        }
        evaluate(graph, &[], &batch).expect("total")
    }

    const EDGES: [f64; 9] = [-1e-300, -1e-30, -1e-9, -0.4, -0.7, -3.0, -40.0, -300.0, -700.0];

    fn grid(edges: &[f64]) -> Vec<[f64; 2]> {
        edges.iter().flat_map(|w| edges.iter().map(|l| [*w, *l])).collect()
    }

    #[test]
    fn logarithms_of_exponentials_go() {
        let (written, reduced) = (odds(), reduce(&odds()));
        assert_eq!(verify::verify(&written), Ok(()));
        assert_eq!(verify::verify(&reduced), Ok(()));
        let names = |g: &Graph| g.roots.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&written), names(&reduced));
        assert_eq!(count(&reduced, |op| matches!(op, Op::Binary(Binary::LogAddExp, ..))), 0);
        // e^gap, e^w, e^l
        assert_eq!(count(&reduced, |op| matches!(op, Op::Unary(Unary::Exp, _))), 3);
        assert_eq!(count(&reduced, |op| matches!(op, Op::Unary(Unary::Expm1, _))), 2);
    }

    #[test]
    fn the_reduced_graph_is_the_same_function() {
        let at = grid(&EDGES);
        let exact = values::<Big<256>>(&odds(), &at);
        let same = values::<Big<256>>(&reduce(&odds()), &at);
        let computed = values::<f64>(&reduce(&odds()), &at);
        for r in 0..exact.len() {
            for (e, place) in at.iter().enumerate() {
                let (x, y) = (&exact[r][e], &same[r][e]);
                let off = x.sub(y).abs().to_f64();
                assert!(off <= 1e-40 * x.to_f64().abs(), "r{r} at {place:?}: {off:e}");
                // A difference of columns is exact to half a unit, which an exponential amplifies.
                let room = 8.0 + 2.0 * (place[0] - place[1]).abs();
                let error = x.error_in_ulps(computed[r][e], Precision::F64);
                let normal = x.to_f64() > 1e-300 && x.to_f64() < 1e300;
                assert!(!normal || error <= room, "r{r} at {place:?}: {error} ulps");
            }
        }
    }

    /// Probabilities of exactly 1: the limits are those of the logarithms.
    #[test]
    fn limits_are_kept() {
        let at = grid(&[-0.0, -0.5, -800.0]);
        let (a, b) = (values::<f64>(&odds(), &at), values::<f64>(&reduce(&odds()), &at));
        for (r, (a, b)) in a.iter().zip(&b).enumerate() {
            for ((x, y), place) in a.iter().zip(b).zip(&at) {
                let near = (x - y).abs() <= 1e-12 * x.abs();
                let alike = x == y || near || (x.is_nan() && y.is_nan());
                assert!(alike, "r{r} at {place:?}: {x:e} and {y:e}");
            }
        }
    }

    /// The gradient of labels that are wrong at a rate e.
    #[test]
    fn shares_of_one_and_its_complement_need_one_sigmoid() {
        let mut g = odds();
        g.params =
            vec![Param { name: "e".into(), default: None, range: Interval::closed(0.0, 0.5) }];
        let (e, one) = (g.add(Op::Param(0)), g.constant(1.0));
        let rest = g.binary(Binary::Sub, one, e);
        let (x, y) = (g.add(Op::Input(0)), g.add(Op::Input(1)));
        let gap = g.binary(Binary::Sub, y, x);
        let minus = g.unary(Unary::Neg, gap);
        let (up, down) = (g.unary(Unary::Sigmoid, gap), g.unary(Unary::Sigmoid, minus));
        let (p, q) = (g.binary(Binary::Mul, e, up), g.binary(Binary::Mul, down, rest));
        let slope = g.binary(Binary::Sub, p, q);
        g.roots = vec![Root { name: "slope".into(), node: slope }];
        let reduced = reduce(&g);
        assert_eq!(verify::verify(&reduced), Ok(()));
        assert_eq!(count(&reduced, |op| matches!(op, Op::Unary(Unary::Sigmoid, _))), 1);
        assert_eq!(count(&reduced, |op| matches!(op, Op::Binary(Binary::Mul, ..))), 0);
        for at in grid(&[-0.0, -0.3, -40.0, -800.0]) {
            let mut batch = Batch::<Big<256>>::new(1);
            at.iter().enumerate().for_each(|(i, x)| batch.set(&g, i as u16, &[*x]).expect("one"));
            for rate in [0.0, 0.1, 0.5] {
                let value = |g: &Graph| evaluate(g, &[rate], &batch).expect("total")[0][0].to_f64();
                let (a, b) = (value(&g), value(&reduced));
                assert!((a - b).abs() <= 1e-15, "{rate} at {at:?}: {a:e} and {b:e}");
            }
        }
    }

    /// A logarithm that somebody else reads is computed anyway.
    #[test]
    fn what_is_read_elsewhere_stays() {
        let mut g = odds();
        let kept = |g: &Graph, op: fn(&Op) -> bool| {
            let i = g.nodes.iter().position(|n| op(&n.op)).expect("it is there");
            NodeId(i as u32)
        };
        let log = kept(&g, |op| matches!(op, Op::Binary(Binary::LogAddExp, ..)));
        let over = kept(&g, |op| matches!(op, Op::Binary(Binary::Div, ..)));
        g.roots.push(Root { name: "log".into(), node: log });
        g.roots.push(Root { name: "over".into(), node: over });
        let reduced = reduce(&g);
        assert_eq!(count(&reduced, |op| matches!(op, Op::Binary(Binary::LogAddExp, ..))), 1);
        assert_eq!(reduced.roots.len(), g.roots.len());
        let at = grid(&[-0.5, -2.0]);
        let (a, b) = (values::<f64>(&g, &at), values::<f64>(&reduced, &at));
        assert_eq!(a[0], b[0], "the sum with a quotient that is read elsewhere");
        assert_eq!(a[1], b[1], "the exponential of a logarithm that is read elsewhere");
    }
}
