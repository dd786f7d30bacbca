//! A node of the graph as written, as a formula.

use super::symbol;
use crate::mir::{Binary, Graph, Level, NodeId, Op, Reduce, Unary};
use std::collections::HashMap;

/// How tightly a formula binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// a + b
    Sum,
    /// a b, and everything with a prefix operator such as log
    Product,
    /// One symbol, or something in brackets.
    Atom,
}

/// A formula.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) strength: Strength,
}

fn atom(text: impl Into<String>) -> Text {
    Text { text: text.into(), strength: Strength::Atom }
}

fn product(text: impl Into<String>) -> Text {
    Text { text: text.into(), strength: Strength::Product }
}

impl Text {
    fn at_least(&self, strength: Strength) -> String {
        if self.strength >= strength { self.text.clone() } else { bracketed(&self.text) }
    }
}

fn bracketed(text: &str) -> String {
    format!("\\left( {text} \\right)")
}

/// The formulas of a graph; some nodes are called by a name.
pub(super) struct Formulas<'a> {
    pub(super) graph: &'a Graph,
    pub(super) named: HashMap<NodeId, String>,
}

impl Formulas<'_> {
    /// A node where another reads it.
    pub(super) fn read(&self, id: NodeId) -> Text {
        match self.named.get(&id) {
            Some(name) => atom(name.clone()),
            None => self.value(id),
        }
    }

    /// What a node computes.
    pub(super) fn value(&self, id: NodeId) -> Text {
        let node = self.graph.node(id);
        match node.op {
            Op::Const(c) if c < 0.0 => {
                Text { text: symbol::number(c), strength: Strength::Sum }
            }
            Op::Const(c) => atom(symbol::number(c)),
            Op::Param(i) => match self.graph.params.get(usize::from(i)) {
                Some(p) => atom(symbol::parameter(&p.name)),
                None => atom("?"),
            },
            Op::Input(i) => match self.graph.inputs.get(usize::from(i)) {
                Some(c) if c.name.contains("logp") || c.name.contains("kl(") => {
                    product(symbol::column(&c.name))
                }
                Some(c) => atom(symbol::column(&c.name)),
                None => atom("?"),
            },
            Op::Unary(op, a) => self.unary(op, a),
            Op::Binary(op, a, b) => self.binary(op, a, b),
            Op::Select(c, a, b) => {
                let (c, a, b) = (self.read(c).text, self.read(a).text, self.read(b).text);
                atom(format!(
                    "\\begin{{cases}} {a} & \\text{{if }} {c} > 0 \\\\ {b} & \\text{{otherwise}} \\end{{cases}}"
                ))
            }
            Op::Reduce(op, a) => self.reduce(op, a, node.level),
            Op::Count(a) => atom(format!("|{}|", index_set(self.graph.node(a).level))),
            Op::Sort(a) => self.call("sort", a),
            Op::Unsort(a, _) => self.call("unsort", a),
            Op::SuffixSum(a) => {
                product(format!("\\sum_{{t' \\ge t}} {}", self.read(a).at_least(Strength::Product)))
            }
            Op::PrefixSum(a) => {
                product(format!("\\sum_{{t' \\le t}} {}", self.read(a).at_least(Strength::Product)))
            }
            Op::Shift(a, n) => {
                let by = if n < 0 { n.to_string() } else { format!("+{n}") };
                atom(format!("\\left[ {} \\right]_{{t{by}}}", self.read(a).text))
            }
        }
    }

    fn call(&self, name: &str, a: NodeId) -> Text {
        atom(format!("\\operatorname{{{name}}}{}", bracketed(&self.read(a).text)))
    }

    /// log x, without doubled brackets.
    fn log(&self, argument: &Text) -> Text {
        product(format!("\\log {}", argument.at_least(Strength::Atom)))
    }

    fn unary(&self, op: Unary, a: NodeId) -> Text {
        let inner = self.read(a);
        match op {
            Unary::Neg => Text {
                text: format!("-{}", inner.at_least(Strength::Product)),
                strength: Strength::Sum,
            },
            Unary::Exp => match self.graph.node(a).op {
                Op::Input(i) if !self.named.contains_key(&a) => {
                    let name = self.graph.inputs.get(usize::from(i)).map(|c| c.name.as_str());
                    match name.and_then(symbol::probability) {
                        Some(p) => atom(p),
                        None => atom(format!("e^{{{}}}", inner.text)),
                    }
                }
                _ => atom(format!("e^{{{}}}", inner.text)),
            },
            Unary::Log => self.log(&inner),
            Unary::Log1p => product(format!("\\log {}", bracketed(&format!("1 + {}", inner.text)))),
            Unary::Expm1 => {
                Text { text: format!("e^{{{}}} - 1", inner.text), strength: Strength::Sum }
            }
            Unary::Log1mExp => {
                let p = self.power_of_e(a);
                product(format!("\\log {}", bracketed(&format!("1 - {}", p.at_least(Strength::Product)))))
            }
            Unary::Softplus => {
                // softplus(-x) = -log sigma(x)
                let argument = match self.graph.node(a).op {
                    Op::Unary(Unary::Neg, x) if !self.named.contains_key(&a) => self.read(x).text,
                    _ => format!("-{}", inner.at_least(Strength::Product)),
                };
                Text {
                    text: format!("-\\log \\sigma{}", bracketed(&argument)),
                    strength: Strength::Sum,
                }
            }
            Unary::Sigmoid => atom(format!("\\sigma{}", bracketed(&inner.text))),
            Unary::Abs => atom(format!("\\left| {} \\right|", inner.text)),
            Unary::Step => atom(format!("\\mathbf{{1}}\\left[ {} > 0 \\right]", inner.text)),
            Unary::Sign => self.call("sign", a),
            Unary::StopGradient => self.call("sg", a),
        }
    }

    fn binary(&self, op: Binary, x: NodeId, y: NodeId) -> Text {
        let (a, b) = (self.read(x), self.read(y));
        match op {
            Binary::Add => {
                // A leading minus of the second term is the operator.
                let text = match b.text.strip_prefix('-') {
                    Some(rest) => format!("{} - {rest}", a.text),
                    None => format!("{} + {}", a.text, b.text),
                };
                Text { text, strength: Strength::Sum }
            }
            Binary::Sub => Text {
                text: format!("{} - {}", a.text, b.at_least(Strength::Product)),
                strength: Strength::Sum,
            },
            Binary::Mul if x == y => atom(format!("{}^2", a.at_least(Strength::Atom))),
            Binary::Mul => {
                // Two numbers side by side would read as one.
                let (a, b) = (a.at_least(Strength::Product), b.at_least(Strength::Product));
                let dot = b.starts_with(|c: char| c.is_ascii_digit());
                product(format!("{a} {}{b}", if dot { "\\cdot " } else { "\\, " }))
            }
            Binary::Div => atom(format!("\\frac{{{}}}{{{}}}", a.text, b.text)),
            Binary::Max => atom(format!("\\max\\left( {}, {} \\right)", a.text, b.text)),
            Binary::Min => atom(format!("\\min\\left( {}, {} \\right)", a.text, b.text)),
            Binary::Pow => atom(format!("{}^{{{}}}", a.at_least(Strength::Atom), b.text)),
            Binary::LogAddExp => {
                let (p, q) = (self.power_of_e(x), self.power_of_e(y));
                product(format!("\\log {}", bracketed(&format!("{} + {}", p.text, q.text))))
            }
        }
    }

    /// e to the power of a node, as a formula of probabilities: how a core in log space is read.
    pub(super) fn power_of_e(&self, id: NodeId) -> Text {
        if let Some(name) = self.named.get(&id) {
            return atom(format!("e^{{{name}}}"));
        }
        match self.graph.node(id).op {
            Op::Input(i) => {
                let name = self.graph.inputs.get(usize::from(i)).map_or("", |c| c.name.as_str());
                match symbol::probability(name) {
                    Some(p) => atom(p),
                    None => atom(format!("e^{{{}}}", symbol::column(name))),
                }
            }
            Op::Unary(Unary::Log, a) => self.read(a),
            Op::Unary(Unary::Log1mExp, a) => {
                let p = self.power_of_e(a).at_least(Strength::Product);
                Text { text: format!("1 - {p}"), strength: Strength::Sum }
            }
            Op::Unary(Unary::Neg, a) => {
                atom(format!("\\frac{{1}}{{{}}}", self.power_of_e(a).text))
            }
            Op::Binary(Binary::Add, a, b) => {
                let (p, q) = (self.power_of_e(a), self.power_of_e(b));
                product(format!("{} \\, {}", p.at_least(Strength::Product), q.at_least(Strength::Product)))
            }
            Op::Binary(Binary::Sub, a, b) => {
                let (p, q) = (self.power_of_e(a).text, self.power_of_e(b).text);
                atom(format!("\\frac{{{p}}}{{{q}}}"))
            }
            Op::Binary(Binary::LogAddExp, a, b) => {
                let (p, q) = (self.power_of_e(a).text, self.power_of_e(b).text);
                Text { text: format!("{p} + {q}"), strength: Strength::Sum }
            }
            Op::Const(c) if c == 0.0 => atom("1"),
            _ => atom(format!("e^{{{}}}", self.value(id).text)),
        }
    }

    fn reduce(&self, op: Reduce, a: NodeId, outer: Level) -> Text {
        let inner = self.read(a);
        let level = self.graph.node(a).level;
        let set = index_set(level);
        let over = match (level, outer) {
            (Level::Example, _) => format!("_{{{set}}}"),
            _ => format!("_{{{} \\in {set}}}", index(level)),
        };
        match op {
            Reduce::Sum => product(format!("\\sum{over} {}", inner.at_least(Strength::Product))),
            Reduce::Mean => {
                atom(format!("\\mathbb{{E}}{over}\\left[ {} \\right]", inner.text))
            }
            Reduce::Max => product(format!("\\max{over} {}", inner.at_least(Strength::Product))),
            Reduce::LogSumExp => {
                product(format!("\\log \\sum{over} {}", self.power_of_e(a).at_least(Strength::Product)))
            }
        }
    }
}

fn index_set(level: Level) -> &'static str {
    match level {
        Level::Token => "\\mathcal{T}",
        Level::Candidate => "\\mathcal{K}",
        _ => "\\mathcal{B}",
    }
}

fn index(level: Level) -> &'static str {
    match level {
        Level::Token => "t",
        Level::Candidate => "i",
        _ => "n",
    }
}
