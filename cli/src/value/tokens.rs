//! Quantities of a response from those of its tokens, inside the graph.
//!
//! Why: a row that lists the log-probability of every token holds their sum, their mean and their
//! number; the derivative is then wanted with respect to the list. In: a graph that reads quantities of
//! responses, and which of them the rows give by tokens. Out: the same function of the tokens.

use ponens_compiler::hir::{Loop, Loss, Quantity};
use ponens_compiler::mir::{Binary, Graph, Input, Interval, Level, NodeId, Op, Reduce, Root};

/// How tokens make a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their number.
    Count,
    /// The sum of those before (true) or from (false) the length of another response, told by a column
    /// of its tokens.
    Within(bool, String),
    /// The sum of those from the place in a column on.
    From(String),
}

/// A quantity that the rows give by tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct FromTokens {
    /// The column that the loss reads.
    pub column: String,
    /// The column of the tokens.
    pub tokens: String,
    /// How they make it.
    pub how: How,
    /// The loop over them.
    pub of: Loop,
    /// The level of the quantity.
    pub level: Level,
    /// The values allowed.
    pub domain: Interval,
}

/// How a quantity follows from the tokens that a row lists, if it does. `has` tells which columns the
/// row holds, `names` lists them.
pub(super) fn find(
    loss: &Loss,
    q: &Quantity,
    level: Level,
    has: &dyn Fn(&str) -> bool,
    names: &[&str],
) -> Option<FromTokens> {
    let column = q.to_string();
    if has(&column) {
        return None;
    }
    let response = q.response()?;
    let responses = loss.shape.responses();
    let of = Loop::Tokens(responses.iter().position(|r| *r == response)?);
    let token = |q: Quantity| Quantity::Token(Box::new(q));
    let logp = |model: &String, response: &str| {
        let (model, response) = (model.clone(), response.to_owned());
        token(Quantity::Logp { model, response }).to_string()
    };
    let other = responses.iter().find(|r| **r != response).copied().unwrap_or_default();
    let (tokens, how) = match q {
        Quantity::Logp { .. }
        | Quantity::Kl { .. }
        | Quantity::Entropy { .. }
        | Quantity::LogSumP2 { .. } => (token(q.clone()).to_string(), How::Sum),
        Quantity::MeanLogp { model, .. } => (logp(model, response), How::Mean),
        Quantity::SharedLogp { model, .. } => {
            (logp(model, response), How::Within(true, logp(model, other)))
        }
        Quantity::TailLogp { model, .. } => {
            (logp(model, response), How::Within(false, logp(model, other)))
        }
        Quantity::DivergedLogp { model, .. } => {
            (logp(model, response), How::From("divergence".to_owned()))
        }
        Quantity::Len { .. } => {
            let of_response =
                |n: &&&str| n.starts_with("token_logp(") && n.ends_with(&format!(",{response})"));
            ((*names.iter().find(of_response)?).to_owned(), How::Count)
        }
        _ => return None,
    };
    let needs = match &how {
        How::Within(_, other) | How::From(other) => Some(other),
        _ => None,
    };
    if !has(&tokens) || needs.is_some_and(|n| !has(n)) {
        return None;
    }
    let domain = match q {
        Quantity::Len { .. } => Interval::LOG_PROB,
        q => q.domain(),
    };
    Some(FromTokens { column, tokens, how, of, level, domain })
}

/// The same function with each quantity in `all` made from its tokens.
pub(super) fn from_tokens(graph: &Graph, all: &[FromTokens]) -> Graph {
    if all.is_empty() {
        return graph.clone();
    }
    let mut out = Graph::new(&graph.name);
    out.stage = graph.stage;
    out.params.clone_from(&graph.params);
    out.inputs.clone_from(&graph.inputs);
    out.inputs.retain(|i| !all.iter().any(|d| d.column == i.name));
    let find = |name: &str| all.iter().find(|d| d.column == name);
    let mut place: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let id = match node.op {
            Op::Input(i) => {
                let declared = &graph.inputs[i as usize];
                match find(&declared.name) {
                    Some(d) => made(&mut out, d, declared),
                    None => input(&mut out, declared.clone()),
                }
            }
            op => out.add_at(op.map(|o| place[o.0 as usize]), node.level),
        };
        place.push(id);
    }
    for root in &graph.roots {
        let node = place[root.node.0 as usize];
        match root.name.strip_prefix("d/").and_then(find) {
            None => add_root(&mut out, root.name.clone(), node),
            Some(d) => {
                if let Some(share) = share(&mut out, d, node) {
                    add_root(&mut out, format!("d/{}", d.tokens), share);
                }
            }
        }
    }
    out
}

fn input(graph: &mut Graph, declared: Input) -> NodeId {
    let known = graph.inputs.iter().position(|i| i.name == declared.name);
    let index = known.unwrap_or_else(|| {
        graph.inputs.push(declared);
        graph.inputs.len() - 1
    });
    graph.add(Op::Input(index as u16))
}

fn column(graph: &mut Graph, name: &str, level: Level, range: Interval) -> NodeId {
    input(graph, Input { name: name.to_owned(), level, range, differentiable: true })
}

fn tokens(graph: &mut Graph, d: &FromTokens) -> NodeId {
    column(graph, &d.tokens, Level::Token, d.domain)
}

fn made(graph: &mut Graph, d: &FromTokens, declared: &Input) -> NodeId {
    let x = tokens(graph, d);
    let level = declared.level;
    match &d.how {
        How::Sum => graph.add_at(Op::Reduce(Reduce::Sum, x), level),
        How::Mean => graph.add_at(Op::Reduce(Reduce::Mean, x), level),
        How::Count => graph.add_at(Op::Count(x), level),
        How::Within(..) | How::From(_) => {
            let zero = graph.constant(0.0);
            let only = masked(graph, d, x, zero);
            graph.add_at(Op::Reduce(Reduce::Sum, only), level)
        }
    }
}

/// `x` at the tokens that count, else `zero`.
fn masked(graph: &mut Graph, d: &FromTokens, x: NodeId, zero: NodeId) -> NodeId {
    let own = tokens(graph, d);
    let place = graph.add(Op::Position(own));
    match &d.how {
        How::Within(before, other) => {
            let other = column(graph, other, Level::Token, Interval::LOG_PROB);
            let length = graph.add_at(Op::Count(other), Level::Example);
            let inside = graph.binary(Binary::Sub, length, place);
            let (a, b) = if *before { (x, zero) } else { (zero, x) };
            graph.add(Op::Select(inside, a, b))
        }
        How::From(at) => {
            let start = column(graph, at, Level::Example, Interval::NONNEG);
            let before = graph.binary(Binary::Sub, start, place);
            graph.add(Op::Select(before, zero, x))
        }
        _ => {
            // At every token, so that the result has one value each.
            let one = graph.constant(1.0);
            let always = graph.binary(Binary::Add, place, one);
            graph.add(Op::Select(always, x, zero))
        }
    }
}

/// What the derivative with respect to a quantity adds to that with respect to each of its tokens.
fn share(graph: &mut Graph, d: &FromTokens, g: NodeId) -> Option<NodeId> {
    let zero = graph.constant(0.0);
    let g = match d.how {
        How::Count => return None,
        How::Mean => {
            let x = tokens(graph, d);
            let n = graph.add_at(Op::Count(x), d.level);
            let one = graph.constant(1.0);
            let n = graph.binary(Binary::Max, n, one);
            graph.binary(Binary::Div, g, n)
        }
        _ => g,
    };
    Some(masked(graph, d, g, zero))
}

/// Adds a root, or adds to the one of that name.
fn add_root(graph: &mut Graph, name: String, node: NodeId) {
    match graph.roots.iter().position(|r| r.name == name) {
        Some(i) => {
            let old = graph.roots[i].node;
            graph.roots[i].node = graph.binary(Binary::Add, old, node);
        }
        None => graph.roots.push(Root { name, node }),
    }
}
