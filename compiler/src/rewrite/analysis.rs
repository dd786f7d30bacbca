//! What is known of every class of equal terms.
//!
//! Why: conditions of rules, the cost and the order of sums all read facts about a class, and never about
//! one of its terms. In: e-nodes as they are added. Out: [`Facts`]. Invariants:
//! * `interval` encloses every value over the declared domain, `practical` every value over the range of
//!   inputs that occurs in training ([`Domain::practical`]); a union intersects both, so an empty
//!   intersection convicts a rule and is kept in [`Domain::contradiction`];
//! * `constant` is exact: nothing is folded that an f64 does not hold exactly.

use super::exact::fold;
use super::language::Expr;
use crate::mir::transfer::transfer;
use crate::mir::{Binary, Graph, Input, Interval, Level, Node, NodeId, Op, Param, Unary};
use egg::{Analysis, DidMerge, EGraph, Id, Language};

/// The e-graph of the rewriter.
pub(super) type Egraph = EGraph<Expr, Domain>;

/// The largest magnitude of a log-probability, length or reward that the cost reckons with.
const LARGEST_INPUT: f64 = 1e6;
/// The largest magnitude of a parameter that the cost reckons with.
const LARGEST_PARAM: f64 = 1e4;
/// How close to an excluded end of its range a parameter comes, in parts of the range.
const SMALLEST_PARAM: f64 = 1e-4;

/// Facts about one class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    /// Encloses the values over the declared domain.
    pub(super) interval: Interval,
    /// Encloses the values over the inputs that occur.
    pub(super) practical: Interval,
    /// The exact value, where there is only one and an f64 holds it.
    pub(super) constant: Option<f64>,
    /// The outermost level at which the value can be computed.
    pub(super) level: Level,
    /// The groups of inputs that the value depends on, a bit each.
    pub(super) support: u64,
    /// The value at one generic point: orders terms in the same way however they are written.
    pub(super) print: f64,
    /// True when field operations on leaves compute it.
    pub(super) rational: bool,
    /// True when a sum or difference is the only way to compute it.
    pub(super) combined: bool,
    /// True when only sums with the log of a doubt, log(1 - p), compute it: the absolute error grows with
    /// that log.
    pub(super) doubt: bool,
    /// How often a union has narrowed the intervals.
    narrowings: u8,
}

/// Facts may support each other in a circle and creep towards a limit; after so many unions an interval stays.
const MOST_NARROWINGS: u8 = 24;

/// The environment of an e-graph: domains of the leaves, and whether a rule was caught.
#[derive(Clone, Debug, Default)]
pub(super) struct Domain {
    params: Vec<Param>,
    inputs: Vec<Input>,
    practical_params: Vec<Param>,
    practical_inputs: Vec<Input>,
    groups: Vec<String>,
    /// Levels of the loops that some node of the graph reads: a value there keeps its level.
    pub(super) loops: Vec<Level>,
    /// True when no derivative of the result will be taken.
    pub(super) final_form: bool,
    /// The rule that is being applied.
    pub(super) applying: &'static str,
    /// The first contradiction met: the rule and the two intervals without a common value.
    pub(super) contradiction: Option<String>,
}

/// What an input speaks of: the response in `logp(pi,w)` and `len(w)`, else its own name.
pub(super) fn subject(name: &str) -> &str {
    match (name.find('('), name.rfind(')')) {
        (Some(open), Some(close)) if open < close => {
            let args = &name[open + 1..close];
            args.rsplit(',').next().unwrap_or(args).trim()
        }
        _ => name,
    }
}

/// The range without what lies next to an end that it excludes.
fn inside(range: &Interval) -> Interval {
    let width = (range.hi - range.lo).min(1.0);
    let margin = SMALLEST_PARAM * width;
    let mut out = *range;
    if out.lo_open && out.lo.is_finite() {
        (out.lo, out.lo_open) = (out.lo + margin, false);
    }
    if out.hi_open && out.hi.is_finite() {
        (out.hi, out.hi_open) = (out.hi - margin, false);
    }
    if out.is_valid() { out } else { *range }
}

fn clamp(range: &Interval, within: &Interval) -> Interval {
    range.intersect(within).unwrap_or(*range)
}

impl Domain {
    /// The domains of a graph's leaves.
    pub(super) fn new(graph: &Graph) -> Domain {
        let wide = Interval::closed(-LARGEST_INPUT, LARGEST_INPUT);
        let mut groups: Vec<String> = Vec::new();
        for input in &graph.inputs {
            let subject = subject(&input.name).to_owned();
            if !groups.contains(&subject) {
                groups.push(subject);
            }
        }
        // The order of declaration must not show.
        groups.sort();
        let reads = |n: &&Node| Expr::from_op_with(&n.op, |_| Id::from(0)).reads_loop();
        let mut loops: Vec<Level> = graph
            .nodes
            .iter()
            .filter(reads)
            .flat_map(|n| n.op.operands())
            .map(|o| graph.node(o).level)
            .collect();
        loops.sort();
        loops.dedup();
        let practical_params = graph.params.iter().map(|p| {
            let bound = Interval::closed(-LARGEST_PARAM, LARGEST_PARAM);
            Param { range: clamp(&inside(&p.range), &bound), ..p.clone() }
        });
        let practical_inputs =
            graph.inputs.iter().map(|i| Input { range: clamp(&i.range, &wide), ..i.clone() });
        Domain {
            practical_params: practical_params.collect(),
            practical_inputs: practical_inputs.collect(),
            params: graph.params.clone(),
            inputs: graph.inputs.clone(),
            groups,
            loops,
            final_form: true,
            applying: "",
            contradiction: None,
        }
    }

    /// The parameters.
    pub(super) fn params(&self) -> &[Param] {
        &self.params
    }

    /// The inputs.
    pub(super) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The range of each input and parameter that the cost reckons with.
    pub(super) fn practical(&self) -> (&[Param], &[Input]) {
        (&self.practical_params, &self.practical_inputs)
    }

    /// True where a value may be replaced by an equal one of an outer level: no loop over it is read.
    pub(super) fn may_lift(&self, from: Level, to: Level) -> bool {
        to >= from || !self.loops.contains(&from)
    }

    fn group(&self, input: u16) -> u64 {
        let name = self.inputs.get(input as usize).map_or("", |i| subject(&i.name));
        let place = self.groups.iter().position(|g| g == name).unwrap_or(0);
        1 << (place % 64)
    }

    /// The facts of a node from those of its operands.
    pub(super) fn facts<'a>(&self, node: &Expr, of: impl Fn(Id) -> &'a Facts) -> Facts {
        let operands: Vec<&Facts> = node.children().iter().map(|c| of(*c)).collect();
        let op = node.to_op(|id| NodeId(usize::from(id) as u32));
        let of = |pick: fn(&Facts) -> Interval| -> Vec<Interval> {
            operands.iter().map(|f| pick(f)).collect()
        };
        let constant = fold(node, |i| operands.get(i).and_then(|f| f.constant));
        let point = constant.map(Interval::point);
        let interval =
            point.unwrap_or_else(|| transfer(&op, &of(|f| f.interval), &self.params, &self.inputs));
        let practical = point.unwrap_or_else(|| {
            let (params, inputs) = self.practical();
            transfer(&op, &of(|f| f.practical), params, inputs)
        });
        let practical = practical.intersect(&interval).unwrap_or(practical);
        let deepest = operands.iter().map(|f| f.level).max().unwrap_or(Level::Uniform);
        Facts {
            constant: constant.or_else(|| exact_point(&interval)),
            interval,
            practical,
            level: node.own_level().unwrap_or(match node {
                Expr::Input(i) => self.inputs.get(*i as usize).map_or(Level::Uniform, |x| x.level),
                _ => deepest,
            }),
            support: match node {
                Expr::Input(i) => self.group(*i),
                _ => operands.iter().fold(0, |bits, f| bits | f.support),
            },
            print: self.print(node, &op, &operands),
            rational: rational(node, &operands),
            combined: matches!(node, Expr::Binary(Binary::Add | Binary::Sub, _)),
            doubt: doubt(node, &operands),
            narrowings: 0,
        }
    }

    fn print(&self, node: &Expr, op: &Op, operands: &[&Facts]) -> f64 {
        match node {
            Expr::Input(i) => {
                self.inputs.get(*i as usize).map_or(0.0, |x| generic_point(&x.range, &x.name))
            }
            Expr::Param(i) => {
                self.params.get(*i as usize).map_or(0.0, |x| generic_point(&x.range, &x.name))
            }
            _ if node.reads_loop() => {
                let seed = operands.iter().fold(format!("{}", node.operator()), |text, f| {
                    format!("{text} {:.6e}", f.print)
                });
                unit_hash(&seed) - 0.5
            }
            _ => {
                let points: Vec<Interval> =
                    operands.iter().map(|f| Interval::point(f.print)).collect();
                middle(&transfer(op, &points, &[], &[]))
            }
        }
    }
}

/// FNV-1a of a text, as a number in [0, 1).
fn unit_hash(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The low bits of FNV mix best after one more multiplication.
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// A point inside a range that no law singles out.
fn generic_point(range: &Interval, name: &str) -> f64 {
    let t = 0.15 + 0.7 * unit_hash(name);
    match (range.lo.is_finite(), range.hi.is_finite()) {
        (true, true) => range.lo + (range.hi - range.lo) * t,
        (true, false) => range.lo + 0.2 + 2.0 * t,
        (false, true) => range.hi - 0.2 - 2.0 * t,
        (false, false) => 4.0 * t - 2.0,
    }
}

fn middle(x: &Interval) -> f64 {
    if x.lo.is_finite() && x.hi.is_finite() { 0.5 * (x.lo + x.hi) } else { 0.0 }
}

fn rational(node: &Expr, operands: &[&Facts]) -> bool {
    let field = matches!(
        node,
        Expr::Const(_)
            | Expr::Param(_)
            | Expr::Input(_)
            | Expr::Unary(Unary::Neg | Unary::StopGradient, _)
            | Expr::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Div, _)
    );
    field && operands.iter().all(|f| f.rational)
}

fn doubt(node: &Expr, operands: &[&Facts]) -> bool {
    match node {
        Expr::Unary(Unary::Log1mExp, _) => operands.iter().all(|f| f.rational),
        Expr::Unary(Unary::Neg, _) | Expr::Binary(Binary::Add | Binary::Sub, _) => {
            operands.iter().any(|f| f.doubt)
        }
        _ => false,
    }
}

fn exact_point(interval: &Interval) -> Option<f64> {
    interval.is_point().filter(|c| c.is_finite())
}

impl Analysis<Expr> for Domain {
    type Data = Facts;

    fn make(egraph: &mut Egraph, enode: &Expr, _: Id) -> Facts {
        egraph.analysis.facts(enode, |id| &egraph[id].data)
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        let before = a.clone();
        let (interval, practical) =
            match (a.interval.intersect(&b.interval), a.practical.intersect(&b.practical)) {
                (Some(i), Some(p)) => (i, p),
                _ => {
                    let text = format!(
                        "rule `{}` makes {} equal to {}",
                        self.applying, a.interval, b.interval
                    );
                    self.contradiction.get_or_insert(text);
                    (a.interval, a.practical)
                }
            };
        let settled = a.narrowings >= MOST_NARROWINGS;
        let (interval, practical) =
            if settled { (a.interval, a.practical) } else { (interval, practical) };
        let narrowed = interval != a.interval || practical != a.practical;
        *a = Facts {
            interval,
            practical,
            narrowings: a.narrowings + u8::from(narrowed),
            constant: a.constant.or(b.constant).or_else(|| exact_point(&interval)),
            level: a.level.min(b.level),
            support: a.support & b.support,
            // Both are the same number up to rounding; the earlier term's stays.
            print: a.print,
            rational: a.rational || b.rational,
            combined: a.combined && b.combined,
            doubt: a.doubt && b.doubt,
        };
        DidMerge(*a != before, *a != b)
    }

    fn modify(egraph: &mut Egraph, id: Id) {
        // The folding of a level-bearing node would lose its loop; the runner does it where that is safe.
        let facts = &egraph[id].data;
        let Some(value) = facts.constant else { return };
        if facts.level != Level::Uniform {
            return;
        }
        let node = Expr::constant(value);
        if egraph[id].nodes.contains(&node) {
            return;
        }
        let constant = egraph.add_uncanonical(node);
        let from = over_constants(egraph, id).unwrap_or(id);
        egraph.union_trusted(from, constant, super::rules::FOLD);
    }
}

/// A node of the class over the numbers that its operands are: the term that a proof can fold by itself.
fn over_constants(egraph: &mut Egraph, id: Id) -> Option<Id> {
    let numbers = |n: &Expr| -> Option<Vec<f64>> {
        n.children().iter().map(|c| egraph[*c].data.constant).collect()
    };
    let nodes = &egraph[id].nodes;
    let found = nodes.iter().filter(|n| !n.is_leaf()).find_map(|n| Some((*n, numbers(n)?)))?;
    let (mut node, values) = found;
    for (place, value) in node.children_mut().iter_mut().zip(values) {
        *place = egraph.add_uncanonical(Expr::constant(value));
    }
    Some(egraph.add_uncanonical(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_responses() {
        assert_eq!(subject("logp(pi,w)"), "w");
        assert_eq!(subject("len(w)"), "w");
        assert_eq!(subject("label"), "label");
        assert_eq!(subject(")("), ")(");
    }
}
