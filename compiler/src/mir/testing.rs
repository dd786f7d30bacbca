//! Random well-formed graphs, and random batches for them: the domain of the laws that tests state.
//!
//! In: proptest's choices. Out: graphs that [`super::verify`] accepts, of either stage, with nodes at
//! every level; and columns inside the declared ranges, with their edges well represented.

pub use super::dice::Dice;
use super::transfer::{operand_facts, transfer, undefined};
use super::{
    Binary, Direction, Graph, Input, Interval, Level, NodeId, Op, Param, Reduce, Root, Stage, Unary,
};
use crate::codegen::interp::{Batch, EvalError, Real};
use proptest::prelude::*;

/// The choices for one node.
type Gene = (u8, u16, u16, u16, f64);

/// Random graphs of a stage with at most `size` operations above the leaves.
pub fn graphs(stage: Stage, size: usize) -> impl Strategy<Value = Graph> {
    let constant = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(0.5),
        -3.0..3.0_f64,
        any::<i32>().prop_map(f64::from),
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
    ];
    let gene = (any::<u8>(), any::<u16>(), any::<u16>(), any::<u16>(), constant);
    (any::<u8>(), prop::collection::vec(gene, 1..=size.max(1)))
        .prop_map(move |(inputs, genes)| build(stage, inputs, &genes))
}

fn declare(graph: &mut Graph, inputs: u8) {
    let open_unit = Interval { lo_open: true, ..Interval::UNIT };
    for (name, default, range) in [
        ("beta", Some(0.1), Interval::POS),
        ("margin", None, Interval::REAL),
        ("rate", Some(0.25), open_unit),
    ] {
        graph.params.push(Param { name: name.to_owned(), default, range });
    }
    let menu = [
        ("logp(pi,w)", Level::Example, Interval::LOG_PROB, true),
        ("logp(pi,l)", Level::Example, Interval::LOG_PROB, true),
        ("logp(ref,w)", Level::Example, Interval::LOG_PROB, false),
        ("len(w)", Level::Example, Interval::NONNEG, false),
        ("label", Level::Example, Interval::UNIT, false),
        ("logp(pi,y)", Level::Candidate, Interval::LOG_PROB, true),
        ("token_logp(pi,y)", Level::Token, Interval::LOG_PROB, true),
        ("value(pi,y)", Level::Token, Interval::REAL, true),
    ];
    for (i, (name, level, range, differentiable)) in menu.into_iter().enumerate() {
        if i == 0 || inputs >> (i - 1) & 1 == 1 {
            graph.inputs.push(Input { name: name.to_owned(), level, range, differentiable });
        }
    }
}

fn build(stage: Stage, inputs: u8, genes: &[Gene]) -> Graph {
    let mut graph = Graph::new("random");
    graph.stage = stage;
    declare(&mut graph, inputs);
    for i in 0..graph.params.len() {
        graph.add(Op::Param(i as u16));
    }
    for i in 0..graph.inputs.len() {
        graph.add(Op::Input(i as u16));
    }
    let mut facts = super::transfer::analyse(&graph);
    for gene in genes {
        let (op, level) = operation(&graph, *gene);
        let operands = operand_facts(&op, &facts);
        if stage == Stage::Total && undefined(&op, &operands).is_some() {
            continue;
        }
        graph.add_at(op, level);
        if graph.nodes.len() > facts.len() {
            facts.push(transfer(&op, &operands, &graph.params, &graph.inputs));
        }
    }
    let last = NodeId(graph.nodes.len() as u32 - 1);
    graph.roots.push(Root { name: "loss".to_owned(), node: last });
    let middle = NodeId(graph.nodes.len() as u32 / 2);
    graph.roots.push(Root { name: "d/logp(pi,w)".to_owned(), node: middle });
    graph
}

const UNARY: [Unary; 12] = [
    Unary::Neg,
    Unary::Exp,
    Unary::Log,
    Unary::Log1p,
    Unary::Expm1,
    Unary::Log1mExp,
    Unary::Softplus,
    Unary::Sigmoid,
    Unary::Abs,
    Unary::Step,
    Unary::Sign,
    Unary::StopGradient,
];

const BINARY: [Binary; 8] = [
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Max,
    Binary::Min,
    Binary::Pow,
    Binary::LogAddExp,
];

const REDUCE: [Reduce; 4] = [Reduce::Sum, Reduce::Mean, Reduce::Max, Reduce::LogSumExp];
const LEVELS: [Level; 4] = [Level::Batch, Level::Example, Level::Candidate, Level::Token];

fn operation(graph: &Graph, (kind, a, b, c, x): Gene) -> (Op, Level) {
    let pick = |choice: u16| NodeId(u32::from(choice) % graph.nodes.len() as u32);
    let of = |id: NodeId| graph.node(id).level;
    let (na, nb, nc) = (pick(a), pick(b), pick(c));
    // A level that contains the operand's: tokens need not belong to candidates.
    let shallower = || {
        let candidates = graph.inputs.iter().any(|i| i.level == Level::Candidate);
        let fits = |l: &&Level| **l <= of(na) && (candidates || **l != Level::Candidate);
        let allowed: Vec<Level> = LEVELS.iter().filter(fits).copied().collect();
        allowed.get(c as usize % allowed.len().max(1)).copied().unwrap_or(of(na))
    };
    let (op, level) = match kind % 20 {
        0..=5 => (Op::Unary(UNARY[c as usize % UNARY.len()], na), of(na)),
        6..=12 => {
            let op = Op::Binary(BINARY[c as usize % BINARY.len()], na, nb);
            (op, of(na).max(of(nb)))
        }
        13 => (Op::Select(na, nb, nc), of(na).max(of(nb)).max(of(nc))),
        14 | 15 => (Op::Reduce(REDUCE[b as usize % REDUCE.len()], na), shallower()),
        16 => (Op::Count(na), shallower()),
        17 if c % 2 == 0 => match c % 10 {
            0 => (Op::LogSumExps(Direction::Earlier, na), of(na)),
            2 => (Op::LogSumExps(Direction::Later, na), of(na)),
            4 => (Op::Recurrence(Direction::Earlier, na, nb), of(na).max(of(nb))),
            6 => (Op::Recurrence(Direction::Later, na, nb), of(na).max(of(nb))),
            _ => (Op::Position(na), of(na)),
        },
        17 => match c / 2 % 4 {
            0 => (Op::Sort(na), of(na)),
            1 => (Op::SuffixSum(na), of(na)),
            2 => (Op::PrefixSum(na), of(na)),
            _ => (Op::Shift(na, (b % 5) as i8 - 2), of(na)),
        },
        18 => {
            let (ranked, key) = if of(na) <= of(nb) { (na, nb) } else { (nb, na) };
            (Op::Unsort(ranked, key), of(key))
        }
        _ => (Op::Const(x), Level::Uniform),
    };
    (op, level)
}

/// The columns of a batch, before they are rounded to a working type.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Candidates of every example.
    pub candidates: Vec<usize>,
    /// Tokens of every candidate where the graph reads candidates, else of every example.
    pub tokens: Vec<usize>,
    /// Values by input.
    pub values: Vec<Vec<f64>>,
    /// Values by parameter.
    pub params: Vec<f64>,
}

impl Columns {
    /// The batch in a working type; values are rounded to f32 first when `single`, so that batches of
    /// several types hold the same numbers.
    ///
    /// # Errors
    ///
    /// An [`EvalError`] when the columns belong to another graph.
    pub fn batch<T: Real>(&self, graph: &Graph, single: bool) -> Result<Batch<T>, EvalError> {
        let mut batch = Batch::new(self.candidates.len());
        let owner = if reads_candidates(graph) {
            batch = batch.with_candidates(&self.candidates)?;
            Level::Candidate
        } else {
            Level::Example
        };
        for (i, values) in self.values.iter().enumerate() {
            let round = |x: &f64| if single { f64::from(*x as f32) } else { *x };
            let values: Vec<f64> = values.iter().map(round).collect();
            if graph.inputs.get(i).is_some_and(|input| input.level == Level::Token) {
                batch.set_tokens(graph, i as u16, &values, owner, &self.tokens)?;
            } else {
                batch.set(graph, i as u16, &values)?;
            }
        }
        Ok(batch)
    }
}

fn reads_candidates(graph: &Graph) -> bool {
    graph.inputs.iter().any(|i| i.level == Level::Candidate)
}

/// Random columns for a graph: `examples` examples at most.
pub fn columns(graph: &Graph, examples: usize) -> impl Strategy<Value = Columns> + use<> {
    let graph = graph.clone();
    (1..=examples.max(1), any::<u64>()).prop_map(move |(examples, seed)| {
        let mut dice = Dice(seed);
        let candidates: Vec<usize> = (0..examples).map(|_| dice.below(4)).collect();
        let total: usize = candidates.iter().sum();
        let owners = if reads_candidates(&graph) { total } else { examples };
        let tokens: Vec<usize> = (0..owners).map(|_| dice.below(4)).collect();
        let count = |level| match level {
            Level::Token => tokens.iter().sum(),
            Level::Candidate => total,
            _ => examples,
        };
        let values = graph
            .inputs
            .iter()
            .map(|i| (0..count(i.level)).map(|_| dice.value(&i.range)).collect())
            .collect();
        let params = graph.params.iter().map(|p| dice.value(&p.range)).collect();
        Columns { candidates, tokens, values, params }
    })
}

impl Dice {
    /// A finite value of an interval: of every magnitude, with the edges of log-probabilities more often.
    pub fn value(&mut self, range: &Interval) -> f64 {
        const EDGES: [f64; 12] = [
            0.0,
            1e-30,
            1e-12,
            1e-4,
            0.5,
            std::f64::consts::LN_2,
            1.0,
            17.0,
            88.0,
            104.0,
            708.0,
            1e4,
        ];
        for _ in 0..64 {
            let sign = if self.below(2) == 0 { 1.0 } else { -1.0 };
            let x = match self.below(4) {
                0 => sign * EDGES[self.below(EDGES.len())],
                1 => sign * 10_f64.powf(self.unit() * 16.0 - 12.0),
                2 => range.lo + self.unit() * (range.hi - range.lo),
                _ => sign * self.unit() * 5.0,
            };
            if x.is_finite() && range.contains(x) {
                return x;
            }
        }
        if range.lo.is_finite() && !range.lo_open {
            range.lo
        } else if range.hi.is_finite() && !range.hi_open {
            range.hi
        } else if range.contains(1.0) {
            1.0
        } else {
            0.5 * (range.lo + range.hi)
        }
    }
}
