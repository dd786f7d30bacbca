//! One node as a Python expression.

use super::helper::Helper;
use super::plan::Plan;
use crate::mir::{Binary, Direction, Interval, Level, NodeId, Op, Reduce, Unary};
use std::collections::BTreeSet;

/// How tightly the outermost operator of a text binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    Sum,
    Product,
    Prefix,
    Atom,
}

/// A Python expression.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) strength: Strength,
}

impl Text {
    pub(super) fn atom(text: impl Into<String>) -> Self {
        Text { text: text.into(), strength: Strength::Atom }
    }

    /// In parentheses where it binds less tightly than `strength`.
    fn at_least(&self, strength: Strength) -> String {
        if self.strength >= strength { self.text.clone() } else { format!("({})", self.text) }
    }

    /// In parentheses unless it binds more tightly than `strength`.
    fn above(&self, strength: Strength) -> String {
        if self.strength > strength { self.text.clone() } else { format!("({})", self.text) }
    }
}

/// The expressions of a graph.
pub(super) struct Expressions<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// What is proved of each node.
    pub(super) facts: Vec<Interval>,
    /// The text of each node where another reads it.
    pub(super) texts: Vec<Text>,
    /// The helpers that the texts call.
    pub(super) helpers: BTreeSet<Helper>,
}

impl Expressions<'_> {
    fn call(&mut self, helper: Helper, args: &[&str]) -> Text {
        self.helpers.insert(helper);
        self.helpers.extend(helper.needs());
        Text::atom(format!("{}({})", helper.name(), args.join(", ")))
    }

    fn read(&self, id: NodeId) -> &Text {
        &self.texts[id.0 as usize]
    }

    /// An operand where a value of a deeper level is computed: with further dimensions.
    fn at(&self, id: NodeId, level: Level) -> Text {
        let plan = self.plan;
        let text = self.read(id);
        let (from, to) = (plan.rank(plan.level(id)), plan.rank(level));
        if plan.is_number(id) || from == 0 || to <= from {
            return text.clone();
        }
        let dims = vec!["None"; to - from].join(", ");
        Text::atom(format!("{}[..., {dims}]", text.at_least(Strength::Atom)))
    }

    /// What a node computes, from the texts of its operands.
    pub(super) fn value(&mut self, id: NodeId) -> Text {
        let plan = self.plan;
        let node = *plan.graph.node(id);
        let at = |s: &Self, a: NodeId| s.at(a, node.level);
        match node.op {
            Op::Const(c) => number(c),
            Op::Param(i) => Text::atom(plan.params[usize::from(i)].clone()),
            Op::Input(i) => Text::atom(plan.columns[usize::from(i)].clone()),
            Op::Unary(op, a) if plan.is_number(id) => self.number_unary(op, a),
            Op::Unary(op, a) => {
                let a = at(self, a);
                self.unary(op, &a)
            }
            Op::Binary(op, a, b) => self.binary(op, id, a, b, node.level),
            Op::Select(c, a, b) => {
                let texts = [c, a, b].map(|o| at(self, o));
                if plan.is_number(c) {
                    let [c, a, b] = texts.map(|t| t.text);
                    return Text::atom(format!("({a} if {c} > 0.0 else {b})"));
                }
                let [c, a, b] = &texts.map(|t| t.text);
                self.call(Helper::Select, &[c, a, b])
            }
            Op::Reduce(op, a) => self.reduce(op, a, node.level),
            Op::Count(a) => self.count(a, node.level),
            Op::Sort(a) => {
                let a = self.read(a).text.clone();
                self.call(Helper::Sorted, &[&a])
            }
            Op::Unsort(a, key) => {
                let (mut a, key) = (at(self, a), self.read(key).text.clone());
                if plan.is_number(match node.op {
                    Op::Unsort(a, _) => a,
                    _ => id,
                }) {
                    a = self.call(Helper::Fill, &[&a.text, &key]);
                }
                self.call(Helper::Unsorted, &[&a.text, &key])
            }
            Op::SuffixSum(a) | Op::PrefixSum(a) | Op::Shift(a, _) => self.running(node.op, a),
            Op::LogSumExps(d, a) => {
                let (x, mask) = (self.read(a).text.clone(), self.mask_text(a));
                self.call(Helper::LogSumExps, &[&x, &mask, later(d)])
            }
            Op::Recurrence(d, a, x) => {
                let (a, mask) = (at(self, a), self.mask_text(id));
                let x = at(self, x);
                self.call(Helper::Recurrence, &[&a.text, &x.text, &mask, later(d)])
            }
            Op::Position(a) => {
                let (mask, like) = (self.mask_text(a), self.read(a).at_least(Strength::Atom));
                Text {
                    text: format!("{mask}.cumsum(-1).to({like}.dtype) - 1.0"),
                    strength: Strength::Sum,
                }
            }
        }
    }

    fn unary(&mut self, op: Unary, a: &Text) -> Text {
        let plain = |f: &str| Text::atom(format!("torch.{f}({})", a.text));
        match op {
            Unary::Neg => Text {
                text: format!("-{}", a.at_least(Strength::Atom)),
                strength: Strength::Prefix,
            },
            Unary::Exp => plain("exp"),
            Unary::Log => plain("log"),
            Unary::Log1p => plain("log1p"),
            Unary::Expm1 => plain("expm1"),
            Unary::Abs => plain("abs"),
            Unary::Sign => plain("sign"),
            Unary::Step => {
                let x = a.at_least(Strength::Atom);
                Text::atom(format!("({} > 0.0).to({x}.dtype)", a.text))
            }
            Unary::StopGradient => a.clone(),
            Unary::Log1mExp => self.call(Helper::Log1mExp, &[&a.text]),
            Unary::Softplus => self.call(Helper::Softplus, &[&a.text]),
            Unary::Sigmoid => self.call(Helper::Sigmoid, &[&a.text]),
        }
    }

    /// An operation on a Python float, whose `math` raises where tensors give an infinity.
    fn number_unary(&mut self, op: Unary, a: NodeId) -> Text {
        let range = self.facts[a.0 as usize];
        let x = self.read(a).clone();
        let safe = |f: &str| Text::atom(format!("math.{f}({})", x.text));
        match op {
            Unary::Neg => self.unary(op, &x),
            Unary::StopGradient => x,
            Unary::Exp if range.hi < 709.0 => safe("exp"),
            Unary::Exp => self.call(Helper::NumberExp, &[&x.text]),
            Unary::Log if range.is_pos() => safe("log"),
            Unary::Log => self.call(Helper::NumberLog, &[&x.text]),
            Unary::Log1p => {
                let one = Text { text: format!("1.0 + {}", x.text), strength: Strength::Sum };
                if range.lo > -1.0 {
                    safe("log1p")
                } else {
                    self.call(Helper::NumberLog, &[&one.text])
                }
            }
            Unary::Expm1 if range.hi < 709.0 => safe("expm1"),
            Unary::Expm1 => {
                let e = self.call(Helper::NumberExp, &[&x.text]);
                Text { text: format!("{} - 1.0", e.text), strength: Strength::Sum }
            }
            Unary::Abs => Text::atom(format!("abs({})", x.text)),
            Unary::Step => Text::atom(format!("float({} > 0.0)", x.text)),
            Unary::Sign => Text::atom(format!("float(({0} > 0.0) - ({0} < 0.0))", x.text)),
            Unary::Log1mExp => self.call(Helper::NumberLog1mExp, &[&x.text]),
            Unary::Softplus => self.call(Helper::NumberSoftplus, &[&x.text]),
            Unary::Sigmoid => self.call(Helper::NumberSigmoid, &[&x.text]),
        }
    }

    fn binary(&mut self, op: Binary, id: NodeId, x: NodeId, y: NodeId, level: Level) -> Text {
        let plan = self.plan;
        let (a, b) = (self.at(x, level), self.at(y, level));
        let numbers = plan.is_number(id);
        let between = |sign: &str, strength: Strength| Text {
            text: format!("{} {sign} {}", a.at_least(strength), b.above(strength)),
            strength,
        };
        match op {
            Binary::Add => between("+", Strength::Sum),
            Binary::Sub => between("-", Strength::Sum),
            Binary::Mul => between("*", Strength::Product),
            Binary::Div if !numbers || self.facts[y.0 as usize].excludes_zero() => {
                between("/", Strength::Product)
            }
            Binary::Div => self.call(Helper::NumberDivide, &[&a.text, &b.text]),
            Binary::Max if numbers => Text::atom(format!("max({}, {})", a.text, b.text)),
            Binary::Min if numbers => Text::atom(format!("min({}, {})", a.text, b.text)),
            Binary::Max | Binary::Min => {
                let (tensors, number, torch) = match op {
                    Binary::Max => ("maximum", "min", Helper::Maximum),
                    _ => ("minimum", "max", Helper::Minimum),
                };
                match (self.plan.is_number(x), self.plan.is_number(y)) {
                    (false, false) if plan.level(x) == level && plan.level(y) == level => {
                        Text::atom(format!("torch.{tensors}({}, {})", a.text, b.text))
                    }
                    (false, true) => {
                        Text::atom(format!("torch.clamp({}, {number}={})", a.text, b.text))
                    }
                    (true, false) => {
                        Text::atom(format!("torch.clamp({}, {number}={})", b.text, a.text))
                    }
                    _ => self.call(torch, &[&a.text, &b.text]),
                }
            }
            Binary::Pow if numbers => self.call(Helper::NumberPower, &[&a.text, &b.text]),
            Binary::Pow if plan.is_number(x) => {
                Text::atom(format!("torch.pow({}, {})", a.text, b.text))
            }
            Binary::Pow => self.call(Helper::Power, &[&a.text, &b.text]),
            Binary::LogAddExp if numbers => self.call(Helper::NumberLogAddExp, &[&a.text, &b.text]),
            Binary::LogAddExp => {
                let fill = |s: &mut Self, number: &Text, like: &Text| {
                    s.call(Helper::Fill, &[&number.text, &like.text]).text
                };
                let (p, q) = match (plan.is_number(x), plan.is_number(y)) {
                    (true, _) => (fill(self, &a, &b), b.text),
                    (_, true) => (a.text.clone(), fill(self, &b, &a)),
                    _ => (a.text, b.text),
                };
                self.call(Helper::LogAddExp, &[&p, &q])
            }
        }
    }

    /// The trailing dimensions of a tensor of `inner` that a value of `outer` is reduced over.
    fn dims(&self, inner: Level, outer: Level) -> String {
        let n = self.plan.rank(inner) - self.plan.rank(outer);
        let dims: Vec<String> = (1..=n).rev().map(|d| format!("-{d}")).collect();
        match dims.as_slice() {
            [one] => format!("({one},)"),
            many => format!("({})", many.join(", ")),
        }
    }

    fn reduce(&mut self, op: Reduce, a: NodeId, outer: Level) -> Text {
        let plan = self.plan;
        let inner = plan.level(a);
        let x = self.read(a).clone();
        if plan.rank(inner) <= plan.rank(outer) {
            return x;
        }
        let dims = self.dims(inner, outer);
        let atom = x.at_least(Strength::Atom);
        let Some(mask) = plan.mask_of(a).map(|m| m.name.clone()) else {
            // The examples of a batch: none of them is padding.
            return match op {
                Reduce::Sum => Text::atom(format!("{atom}.sum()")),
                Reduce::Mean => Text::atom(format!("{atom}.mean()")),
                Reduce::Max => Text::atom(format!("{atom}.amax()")),
                Reduce::LogSumExp => {
                    let all = format!("torch.ones_like({}, dtype=torch.bool)", x.text);
                    self.call(Helper::LogSumExp, &[&x.text, &all, &dims])
                }
            };
        };
        match op {
            Reduce::Sum => self.call(Helper::Total, &[&x.text, &mask, &dims]),
            Reduce::Mean => {
                let total = self.call(Helper::Total, &[&x.text, &mask, &dims]).text;
                let text = format!("{total} / torch.clamp({mask}.sum({dims}), min=1)");
                Text { text, strength: Strength::Product }
            }
            Reduce::Max => self.call(Helper::Greatest, &[&x.text, &mask, &dims]),
            Reduce::LogSumExp => self.call(Helper::LogSumExp, &[&x.text, &mask, &dims]),
        }
    }

    fn count(&mut self, a: NodeId, outer: Level) -> Text {
        let plan = self.plan;
        let inner = plan.level(a);
        let like = plan.columns.first().cloned().unwrap_or_default();
        match plan.mask_of(a) {
            Some(mask) if plan.rank(inner) > plan.rank(outer) => {
                let dims = self.dims(inner, outer);
                Text::atom(format!("{}.sum({dims}).to({like}.dtype)", mask.name))
            }
            _ if inner == Level::Example && outer == Level::Batch => {
                Text::atom(format!("float({like}.shape[0])"))
            }
            _ => number(1.0),
        }
    }

    /// The mask of a node's loop; in a batch of examples none is padding.
    fn mask_text(&self, id: NodeId) -> String {
        match self.plan.mask_of(id) {
            Some(mask) => mask.name.clone(),
            None => {
                let like = self.plan.columns.first().map_or("", String::as_str);
                format!("torch.ones_like({like}, dtype=torch.bool)")
            }
        }
    }

    /// A sum or shift along a loop.
    fn running(&mut self, op: Op, a: NodeId) -> Text {
        let (x, mask) = (self.read(a).text.clone(), self.mask_text(a));
        match op {
            Op::SuffixSum(_) => self.call(Helper::SuffixSum, &[&x, &mask]),
            Op::Shift(_, n) => self.call(Helper::Shifted, &[&x, &mask, &n.to_string()]),
            _ => Text::atom(format!("torch.where({mask}, {x}, 0.0).cumsum(-1)")),
        }
    }
}

/// The last argument of a scan's helper.
fn later(direction: Direction) -> &'static str {
    match direction {
        Direction::Earlier => "False",
        Direction::Later => "True",
    }
}

/// A literal that reads back to the same float.
pub(super) fn number(x: f64) -> Text {
    let text = if x.is_nan() {
        "math.nan".to_owned()
    } else if x.is_infinite() {
        "math.inf".to_owned()
    } else {
        format!("{:?}", x.abs())
    };
    if x.is_sign_negative() && !x.is_nan() {
        Text { text: format!("-{text}"), strength: Strength::Prefix }
    } else {
        Text::atom(text)
    }
}
