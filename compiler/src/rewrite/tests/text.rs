//! Written losses for tests: infix text with the operations of MIR, read into a graph.
//!
//! Names: `lw ll rw rl` are the log-probabilities of policy and reference on the winner and the loser,
//! `pw pl qw ql` their exponentials, `nw nl` lengths; any other name is a parameter with the range in
//! [`range_of`]. A text is `name = expr; ...; expr`.

use crate::mir::{Binary, Graph, Input, Interval, Level, NodeId, Op, Param, Root, Unary};
use std::collections::BTreeMap;

const INPUTS: &[(&str, &str, bool)] = &[
    ("lw", "logp(pi,w)", true),
    ("ll", "logp(pi,l)", true),
    ("rw", "logp(ref,w)", false),
    ("rl", "logp(ref,l)", false),
    ("nw", "len(w)", false),
    ("nl", "len(l)", false),
    ("adv", "advantage", false),
    ("kl", "kl", false),
];

fn range_of(param: &str) -> Interval {
    match param {
        "e" => Interval { lo: 0.0, hi: 0.5, lo_open: true, hi_open: true },
        "k" => Interval { lo: 0.0, hi: 1.0, lo_open: true, hi_open: true },
        "gamma" | "lambda" => Interval::NONNEG,
        _ => Interval::POS,
    }
}

pub(super) struct Reader<'a> {
    words: Vec<&'a str>,
    at: usize,
    names: BTreeMap<String, NodeId>,
    pub(super) graph: Graph,
}

fn words(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let end = if c.is_alphanumeric() {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
                .unwrap_or(rest.len())
        } else {
            c.len_utf8()
        };
        out.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    out
}

impl Reader<'_> {
    fn peek(&self) -> &str {
        self.words.get(self.at).copied().unwrap_or("")
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) {
        assert!(self.take(word), "expected `{word}` at {} of {:?}", self.at, self.words);
    }

    fn sum(&mut self) -> NodeId {
        let mut left = self.product();
        loop {
            let op = match self.peek() {
                "+" => Binary::Add,
                "-" => Binary::Sub,
                _ => return left,
            };
            self.at += 1;
            let right = self.product();
            left = self.graph.binary(op, left, right);
        }
    }

    fn product(&mut self) -> NodeId {
        let mut left = self.factor();
        loop {
            let op = match self.peek() {
                "*" => Binary::Mul,
                "/" => Binary::Div,
                _ => return left,
            };
            self.at += 1;
            let right = self.factor();
            left = self.graph.binary(op, left, right);
        }
    }

    fn factor(&mut self) -> NodeId {
        if self.take("-") {
            let x = self.factor();
            return self.graph.unary(Unary::Neg, x);
        }
        if self.take("(") {
            let x = self.sum();
            self.expect(")");
            return x;
        }
        let word = self.peek().to_owned();
        self.at += 1;
        if let Ok(c) = word.parse::<f64>() {
            return self.graph.constant(c);
        }
        if self.take("(") {
            let mut args = vec![self.sum()];
            while self.take(",") {
                args.push(self.sum());
            }
            self.expect(")");
            return self.call(&word, &args);
        }
        self.name(&word)
    }

    fn call(&mut self, name: &str, args: &[NodeId]) -> NodeId {
        let g = &mut self.graph;
        let unary = |g: &mut Graph, u| g.unary(u, args[0]);
        match name {
            "log" => unary(g, Unary::Log),
            "exp" => unary(g, Unary::Exp),
            "sigmoid" => unary(g, Unary::Sigmoid),
            "softplus" => unary(g, Unary::Softplus),
            "abs" => unary(g, Unary::Abs),
            "sg" => unary(g, Unary::StopGradient),
            "log1mexp" => unary(g, Unary::Log1mExp),
            "max" => g.binary(Binary::Max, args[0], args[1]),
            "min" => g.binary(Binary::Min, args[0], args[1]),
            "pow" => g.binary(Binary::Pow, args[0], args[1]),
            "select" => g.add(Op::Select(args[0], args[1], args[2])),
            "square" => g.binary(Binary::Mul, args[0], args[0]),
            other => panic!("unknown function {other}"),
        }
    }

    fn name(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let probability = match name {
            "pw" => Some("lw"),
            "pl" => Some("ll"),
            "qw" => Some("rw"),
            "ql" => Some("rl"),
            _ => None,
        };
        if let Some(log) = probability {
            let x = self.name(log);
            return self.graph.unary(Unary::Exp, x);
        }
        let id = if let Some((_, full, differentiable)) = INPUTS.iter().find(|(n, ..)| *n == name) {
            let range = match name {
                "nw" | "nl" => Interval { lo: 1.0, lo_open: false, ..Interval::REAL },
                "adv" | "kl" => Interval::REAL,
                _ => Interval::LOG_PROB,
            };
            self.graph.inputs.push(Input {
                name: (*full).to_owned(),
                level: Level::Example,
                range,
                differentiable: *differentiable,
            });
            self.graph.add(Op::Input(self.graph.inputs.len() as u16 - 1))
        } else {
            self.graph.params.push(Param {
                name: name.to_owned(),
                default: Some(0.1),
                range: range_of(name),
            });
            self.graph.add(Op::Param(self.graph.params.len() as u16 - 1))
        };
        self.names.insert(name.to_owned(), id);
        id
    }
}

/// The graph of a text, with one root `loss`.
pub(super) fn written(text: &str) -> Graph {
    let mut graph = Graph::new("test");
    let mut names = BTreeMap::new();
    let mut root = None;
    for statement in text.split(';') {
        let (name, body) = match statement.split_once('=') {
            Some((name, body)) => (Some(name.trim().to_owned()), body),
            None => (None, statement),
        };
        let mut reader = Reader { words: words(body), at: 0, names, graph };
        let node = reader.sum();
        assert_eq!(reader.at, reader.words.len(), "left over in {body}");
        (graph, names) = (reader.graph, reader.names);
        match name {
            Some(name) => {
                names.insert(name, node);
            }
            None => root = Some(node),
        }
    }
    let node = root.expect("a text ends in an expression");
    graph.roots.push(Root { name: "loss".to_owned(), node });
    graph
}
