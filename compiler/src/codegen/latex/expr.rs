//! A node of the graph as written, as a formula.

use super::symbol;
use crate::mir::{Binary, Direction, Graph, Level, NodeId, Op, Reduce, Unary};
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

/// A formula: its sign, and its size.
#[derive(Clone, Debug)]
pub(super) struct Text {
    minus: bool,
    size: String,
    strength: Strength,
}

fn atom(text: impl Into<String>) -> Text {
    Text { minus: false, size: text.into(), strength: Strength::Atom }
}

fn product(text: impl Into<String>) -> Text {
    Text { minus: false, size: text.into(), strength: Strength::Product }
}

fn sum(text: impl Into<String>) -> Text {
    Text { minus: false, size: text.into(), strength: Strength::Sum }
}

impl Text {
    /// The whole.
    pub(super) fn text(&self) -> String {
        if self.minus {
            format!("-{}", self.size_at_least(Strength::Product))
        } else {
            self.size.clone()
        }
    }

    fn negated(self) -> Self {
        Text { minus: !self.minus, ..self }
    }

    fn size_at_least(&self, strength: Strength) -> String {
        if self.strength >= strength { self.size.clone() } else { bracketed(&self.size) }
    }

    fn at_least(&self, strength: Strength) -> String {
        let binds = if self.minus { Strength::Sum } else { self.strength };
        if binds >= strength { self.text() } else { bracketed(&self.text()) }
    }
}

/// A power of e as a fraction of products.
#[derive(Clone, Debug, Default)]
struct Fraction {
    top: Vec<Text>,
    bottom: Vec<Text>,
}

impl Fraction {
    fn of(text: Text) -> Self {
        Fraction { top: vec![text], bottom: Vec::new() }
    }

    fn inverse(self) -> Self {
        Fraction { top: self.bottom, bottom: self.top }
    }

    fn times(mut self, mut other: Self) -> Self {
        self.top.append(&mut other.top);
        self.bottom.append(&mut other.bottom);
        self
    }

    fn text(&self) -> Text {
        let side = |factors: &[Text]| match factors {
            [] => "1".to_owned(),
            [one] => one.text(),
            many => {
                let many: Vec<String> =
                    many.iter().map(|f| f.at_least(Strength::Product)).collect();
                many.join(" \\, ")
            }
        };
        match (self.top.as_slice(), self.bottom.as_slice()) {
            ([one], []) => one.clone(),
            (top, []) => product(side(top)),
            (top, bottom) => atom(format!("\\frac{{{}}}{{{}}}", side(top), side(bottom))),
        }
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
            Op::Const(c) if c < 0.0 => atom(symbol::number(-c)).negated(),
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
                let (c, a, b) = (self.read(c).text(), self.read(a).text(), self.read(b).text());
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
            Op::LogSumExps(d, a) => {
                let order = if d == Direction::Earlier { "<" } else { ">" };
                let power = self.power_of_e(a).at_least(Strength::Product);
                product(format!("\\log \\sum_{{t' {order} t}} {power}"))
            }
            Op::Recurrence(d, a, x) => {
                let neighbour = if d == Direction::Earlier { "t-1" } else { "t+1" };
                let (a, x) = (self.read(a).at_least(Strength::Atom), self.read(x).text());
                atom(format!("\\left[ y_t = {x} + {a} \\, y_{{{neighbour}}} \\right]_t"))
            }
            Op::Position(_) => atom("t"),
            Op::Shift(a, n) => {
                let by = if n < 0 { n.to_string() } else { format!("+{n}") };
                atom(format!("\\left[ {} \\right]_{{t{by}}}", self.read(a).text()))
            }
        }
    }

    fn call(&self, name: &str, a: NodeId) -> Text {
        atom(format!("\\operatorname{{{name}}}{}", bracketed(&self.read(a).text())))
    }

    /// log x, without doubled brackets.
    fn log(&self, argument: &Text) -> Text {
        product(format!("\\log {}", argument.at_least(Strength::Atom)))
    }

    fn unary(&self, op: Unary, a: NodeId) -> Text {
        let inner = self.read(a);
        match op {
            Unary::Neg => inner.negated(),
            Unary::Exp => match self.graph.node(a).op {
                Op::Input(i) if !self.named.contains_key(&a) => {
                    let name = self.graph.inputs.get(usize::from(i)).map(|c| c.name.as_str());
                    match name.and_then(symbol::probability) {
                        Some(p) => atom(p),
                        None => atom(format!("e^{{{}}}", inner.text())),
                    }
                }
                _ => atom(format!("e^{{{}}}", inner.text())),
            },
            Unary::Log => self.log(&inner),
            Unary::Log1p => {
                product(format!("\\log {}", bracketed(&format!("1 + {}", inner.text()))))
            }
            Unary::Expm1 => sum(format!("e^{{{}}} - 1", inner.text())),
            Unary::Log1mExp => {
                let p = self.power_of_e(a).at_least(Strength::Product);
                product(format!("\\log {}", bracketed(&format!("1 - {p}"))))
            }
            // softplus(-x) = -log sigma(x)
            Unary::Softplus => {
                let argument = bracketed(&inner.negated().text());
                product(format!("\\log \\sigma{argument}")).negated()
            }
            Unary::Sigmoid => atom(format!("\\sigma{}", bracketed(&inner.text()))),
            Unary::Abs => atom(format!("\\left| {} \\right|", inner.text())),
            Unary::Step => atom(format!("\\mathbf{{1}}\\left[ {} > 0 \\right]", inner.text())),
            Unary::Sign => self.call("sign", a),
            Unary::StopGradient => self.call("sg", a),
        }
    }

    fn binary(&self, op: Binary, x: NodeId, y: NodeId) -> Text {
        let (a, b) = (self.read(x), self.read(y));
        let plus = |a: &Text, b: &Text| {
            let sign = if b.minus { "-" } else { "+" };
            let b = if b.minus { b.size_at_least(Strength::Product) } else { b.size.clone() };
            sum(format!("{} {sign} {b}", a.text()))
        };
        match op {
            Binary::Add => plus(&a, &b),
            Binary::Sub => plus(&a, &b.negated()),
            Binary::Mul if x == y => atom(format!("{}^2", a.at_least(Strength::Atom))),
            Binary::Mul => {
                // What stands behind a logarithm would be read as its argument.
                let left = match a.size.contains("\\log") || a.size.contains("\\sum") {
                    true => a.size_at_least(Strength::Atom),
                    false => a.size_at_least(Strength::Product),
                };
                let right = b.size_at_least(Strength::Product);
                // Two numbers side by side would read as one.
                let dot = right.starts_with(|c: char| c.is_ascii_digit());
                let sign = if dot { "\\cdot" } else { "\\," };
                Text { minus: a.minus != b.minus, ..product(format!("{left} {sign} {right}")) }
            }
            Binary::Div => {
                let fraction = atom(format!("\\frac{{{}}}{{{}}}", a.size, b.size));
                Text { minus: a.minus != b.minus, ..fraction }
            }
            Binary::Max => atom(format!("\\max\\left( {}, {} \\right)", a.text(), b.text())),
            Binary::Min => atom(format!("\\min\\left( {}, {} \\right)", a.text(), b.text())),
            Binary::Pow => atom(format!("{}^{{{}}}", a.at_least(Strength::Atom), b.text())),
            Binary::LogAddExp => {
                let (p, q) = (self.power_of_e(x), self.power_of_e(y));
                product(format!("\\log {}", bracketed(&format!("{} + {}", p.text(), q.text()))))
            }
        }
    }

    /// e to the power of a node, as a formula of probabilities: how a core in log space is read.
    pub(super) fn power_of_e(&self, id: NodeId) -> Text {
        self.fraction(id).text()
    }

    fn fraction(&self, id: NodeId) -> Fraction {
        if let Some(name) = self.named.get(&id) {
            return Fraction::of(atom(format!("e^{{{name}}}")));
        }
        Fraction::of(match self.graph.node(id).op {
            Op::Unary(Unary::Neg, a) => return self.fraction(a).inverse(),
            Op::Binary(Binary::Add, a, b) => return self.fraction(a).times(self.fraction(b)),
            Op::Binary(Binary::Sub, a, b) => {
                return self.fraction(a).times(self.fraction(b).inverse());
            }
            Op::Const(0.0) => return Fraction::default(),
            Op::Input(i) => {
                let name = self.graph.inputs.get(usize::from(i)).map_or("", |c| c.name.as_str());
                match symbol::probability(name) {
                    Some(p) => atom(p),
                    None => atom(format!("e^{{{}}}", symbol::column(name))),
                }
            }
            Op::Unary(Unary::Log, a) => self.read(a),
            Op::Unary(Unary::Log1mExp, a) => {
                sum(format!("1 - {}", self.power_of_e(a).at_least(Strength::Product)))
            }
            Op::Binary(Binary::LogAddExp, a, b) => {
                sum(format!("{} + {}", self.power_of_e(a).text(), self.power_of_e(b).text()))
            }
            _ => atom(format!("e^{{{}}}", self.value(id).text())),
        })
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
            Reduce::Mean => atom(format!("\\mathbb{{E}}{over}\\left[ {} \\right]", inner.text())),
            Reduce::Max => product(format!("\\max{over} {}", inner.at_least(Strength::Product))),
            Reduce::LogSumExp => product(format!(
                "\\log \\sum{over} {}",
                self.power_of_e(a).at_least(Strength::Product)
            )),
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
