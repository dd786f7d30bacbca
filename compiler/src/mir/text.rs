//! The readable text form of a graph.
//!
//! In: any graph, verified or not. Out: text that [`super::parse`] reads back. Law: parsing what this
//! prints gives the same graph, apart from the payload of a NaN.
//!
//! ```text
//! mir "dpo" total {
//!   param beta = 0.1 in (0, inf)
//!   input logp(pi,w) : example in (-inf, 0] grad
//!   %0 = param beta : uniform
//!   %1 = input logp(pi,w) : example
//!   %2 = mul %0 %1 : example
//!   root loss = %2
//! }
//! ```

use super::{Binary, Graph, Input, Interval, Op, Reduce, Stage, Unary};
use std::fmt::{self, Write};

/// The keyword of each one-operand operation.
pub(super) const UNARY: [(Unary, &str); 12] = [
    (Unary::Neg, "neg"),
    (Unary::Exp, "exp"),
    (Unary::Log, "log"),
    (Unary::Log1p, "log1p"),
    (Unary::Expm1, "expm1"),
    (Unary::Log1mExp, "log1mexp"),
    (Unary::Softplus, "softplus"),
    (Unary::Sigmoid, "sigmoid"),
    (Unary::Abs, "abs"),
    (Unary::Step, "step"),
    (Unary::Sign, "sign"),
    (Unary::StopGradient, "stop_gradient"),
];

/// The keyword of each two-operand operation.
pub(super) const BINARY: [(Binary, &str); 8] = [
    (Binary::Add, "add"),
    (Binary::Sub, "sub"),
    (Binary::Mul, "mul"),
    (Binary::Div, "div"),
    (Binary::Max, "max"),
    (Binary::Min, "min"),
    (Binary::Pow, "pow"),
    (Binary::LogAddExp, "logaddexp"),
];

/// The keyword of each reduction, after `reduce`.
pub(crate) const REDUCE: [(Reduce, &str); 4] = [
    (Reduce::Sum, "sum"),
    (Reduce::Mean, "mean"),
    (Reduce::Max, "max"),
    (Reduce::LogSumExp, "logsumexp"),
];

/// The keyword of an operation in one of the tables above.
pub(crate) fn keyword<T: PartialEq>(table: &[(T, &'static str)], op: &T) -> &'static str {
    // Every variant stands in its table: a test holds this.
    table.iter().find(|(o, _)| o == op).map_or("?", |(_, k)| k)
}

/// A number in its shortest form that reads back to the same bits: `0.1`, `-0`, `1e-300`, `inf`.
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = self.0;
        if x.is_nan() {
            f.write_str("nan")
        } else if x.is_finite() && x.fract() == 0.0 && x.abs() < 1e15 {
            write!(f, "{x}")
        } else {
            write!(f, "{x:?}")
        }
    }
}

/// A range with its brackets.
pub(super) struct Range(pub(super) Interval);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { lo, hi, lo_open, hi_open } = self.0;
        let (left, right) = (if lo_open { '(' } else { '[' }, if hi_open { ')' } else { ']' });
        write!(f, "{left}{}, {}{right}", Number(lo), Number(hi))
    }
}

/// True for the characters of a name that needs no quotes.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./,()[]^-".contains(c)
}

/// A name as it is, or in quotes where it would not read back.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starts = self.0.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if starts && self.0.chars().all(is_plain) { f.write_str(self.0) } else { quoted(self.0, f) }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quoted(self.0, f)
    }
}

/// A parameter or input by name, or as `#index` where the name does not identify it.
fn reference<'a>(names: impl Iterator<Item = &'a String> + Clone, index: u16) -> String {
    let at = |name: &&'a String| names.clone().filter(|n| n == name).count() == 1;
    match names.clone().nth(index as usize).filter(at) {
        Some(name) => Name(name).to_string(),
        None => format!("#{index}"),
    }
}

/// Prints a graph. Law: [`super::parse::parse`] gives it back.
pub fn print(graph: &Graph) -> String {
    graph.to_string()
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Written => "written",
            Stage::Total => "total",
        };
        writeln!(f, "mir {} {stage} {{", Quoted(&self.name))?;
        self.fmt_params(f)?;
        for input in &self.inputs {
            f.write_str("  input ")?;
            input.fmt_declaration(f)?;
            writeln!(f)?;
        }
        for (i, node) in self.nodes.iter().enumerate() {
            writeln!(f, "  %{i} = {} : {}", self.operation(node.op), node.level)?;
        }
        for root in &self.roots {
            writeln!(f, "  root {} = {}", Name(&root.name), root.node)?;
        }
        f.write_str("}\n")
    }
}

impl Input {
    /// Name, level, range and whether it has a gradient.
    pub(crate) fn fmt_declaration(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} : {} in {}", Name(&self.name), self.level, Range(self.range))?;
        f.write_str(if self.differentiable { " grad" } else { "" })
    }
}

impl Graph {
    /// The declarations of the parameters, a line each.
    pub(crate) fn fmt_params(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for param in &self.params {
            write!(f, "  param {}", Name(&param.name))?;
            if let Some(default) = param.default {
                write!(f, " = {}", Number(default))?;
            }
            writeln!(f, " in {}", Range(param.range))?;
        }
        Ok(())
    }

    /// An operation as the right-hand side of its node.
    pub(crate) fn operation(&self, op: Op) -> String {
        let mut text = match op {
            Op::Const(c) => format!("const {}", Number(c)),
            Op::Param(i) => {
                format!("param {}", reference(self.params.iter().map(|p| &p.name), i))
            }
            Op::Input(i) => {
                format!("input {}", reference(self.inputs.iter().map(|c| &c.name), i))
            }
            Op::Unary(u, _) => keyword(&UNARY, &u).to_owned(),
            Op::Binary(b, ..) => keyword(&BINARY, &b).to_owned(),
            Op::Select(..) => "select".to_owned(),
            Op::Reduce(r, _) => format!("reduce {}", keyword(&REDUCE, &r)),
            Op::Count(_) => "count".to_owned(),
            Op::Sort(_) => "sort".to_owned(),
            Op::Unsort(..) => "unsort".to_owned(),
            Op::SuffixSum(_) => "suffix_sum".to_owned(),
            Op::PrefixSum(_) => "prefix_sum".to_owned(),
            Op::Shift(_, n) => format!("shift {n}"),
            Op::LogSumExps(d, _) => format!("logsumexps {d}"),
            Op::Recurrence(d, ..) => format!("recurrence {d}"),
            Op::Position(_) => "position".to_owned(),
        };
        for operand in op.operands() {
            // Writing to a string cannot fail.
            let _ = write!(text, " {operand}");
        }
        text
    }
}
