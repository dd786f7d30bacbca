//! Expressions and formulas.

use super::layout::Doc;
use super::{Printer, STEP};
use crate::ast::{BinaryOp, Expr, ExprKind, UnaryOp};

/// The level of names, calls and everything else that needs no brackets.
const TIGHTEST: u8 = 11;

/// The shortest text that reads as the same number: `0.1`, `100`, `1e-7`, `inf`.
///
/// Plain digits from 1e-4 to below 1e16, else an exponent. Negative numbers have a minus sign.
///
/// ```
/// use ponens_dsl::print::number;
/// let shown = [0.1, 1.0, 2.5e-5, 1e300, f64::NEG_INFINITY].map(number);
/// assert_eq!(shown, ["0.1", "1", "2.5e-5", "1e300", "-inf"]);
/// ```
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !size.is_finite() || (1e-4..1e16).contains(&size) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

/// How tightly an expression holds together, on the scale of [`BinaryOp::level`].
fn level(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary { op, .. } => op.level(),
        ExprKind::Unary { .. } => UnaryOp::LEVEL,
        ExprKind::Number(x) if x.is_sign_negative() => UnaryOp::LEVEL,
        // Its braces hold it together, but `if c { a } else { b } - c` is hard to read.
        ExprKind::If { .. } => 0,
        _ => TIGHTEST,
    }
}

impl<'a> Printer<'a> {
    /// An expression, in brackets if it binds less tightly than `least`.
    pub(super) fn expr(&mut self, expr: &Expr, least: u8) -> Doc<'a> {
        if level(expr) >= least { self.bare(expr) } else { self.bracketed(expr) }
    }

    fn bracketed(&mut self, expr: &Expr) -> Doc<'a> {
        let inner = self.bare(expr);
        enclosed("(", vec![inner], ")")
    }

    fn bare(&mut self, expr: &Expr) -> Doc<'a> {
        match &expr.kind {
            ExprKind::Number(value) => self.number(*value),
            ExprKind::Bool(value) => self.word(if *value { "true" } else { "false" }),
            ExprKind::Name(name) => self.word(name.as_str()),
            ExprKind::Call { callee, args } => {
                let callee = self.word(callee.text.as_str());
                let args: Vec<Doc<'a>> = args.iter().map(|a| self.expr(a, 0)).collect();
                Doc::Row(vec![callee, enclosed("(", args, ")")])
            }
            ExprKind::Index { base, index } => {
                // `sum(i) s[i]` is a sum of elements, not an element of a sum.
                let base = match &base.kind {
                    ExprKind::Reduce { .. } => self.bracketed(base),
                    _ => self.expr(base, TIGHTEST),
                };
                let index = self.expr(index, 0);
                Doc::Row(vec![base, enclosed("[", vec![index], "]")])
            }
            ExprKind::Unary { op, operand } => {
                Doc::Row(vec![Doc::Text(op.symbol()), self.expr(operand, UnaryOp::LEVEL)])
            }
            ExprKind::Binary { .. } => self.chain(expr),
            ExprKind::If { .. } => self.choice(expr),
            ExprKind::Reduce { op, var, bound, body } => {
                let mut row = vec![self.word(op.text.as_str()), Doc::Text("(")];
                row.push(self.word(var.text.as_str()));
                if let Some((compare, bound)) = bound {
                    row.extend([Doc::Text(" "), Doc::Text(compare.symbol()), Doc::Text(" ")]);
                    row.push(self.expr(bound, BinaryOp::Compare(*compare).level() + 1));
                }
                row.push(Doc::Text(") "));
                row.push(self.expr(body, TIGHTEST));
                Doc::Row(row)
            }
        }
    }

    /// A number with its sign; only the digits are a word.
    pub(super) fn number(&mut self, value: f64) -> Doc<'a> {
        let digits = self.word(number(value.abs()));
        if value.is_sign_negative() { Doc::Row(vec![Doc::Text("-"), digits]) } else { digits }
    }

    /// A row of operators of one level, which break together.
    fn chain(&mut self, expr: &Expr) -> Doc<'a> {
        let mut links: Vec<(BinaryOp, &Expr)> = Vec::new();
        let mut first = expr;
        match &expr.kind {
            ExprKind::Binary { op, .. } if op.is_right_associative() => {
                let mut rest = expr;
                let mut ops = Vec::new();
                let mut operands = Vec::new();
                while let ExprKind::Binary { op: next, lhs, rhs } = &rest.kind
                    && next == op
                {
                    ops.push(*op);
                    operands.push(&**lhs);
                    rest = rhs;
                }
                operands.push(rest);
                first = operands[0];
                links.extend(ops.into_iter().zip(operands.into_iter().skip(1)));
            }
            ExprKind::Binary { op, .. } => {
                while let ExprKind::Binary { op: next, lhs, rhs } = &first.kind
                    && next.level() == op.level()
                {
                    links.push((*next, rhs));
                    first = lhs;
                    if matches!(next, BinaryOp::Compare(_)) {
                        break;
                    }
                }
                links.reverse();
            }
            _ => return self.bare(expr),
        }
        let last = links.len().saturating_sub(1);
        let mut row = vec![self.operand(first, links.first().map(|l| l.0), false)];
        for (i, (op, operand)) in links.into_iter().enumerate() {
            let gap = if op == BinaryOp::Pow { Doc::Text(" ") } else { Doc::Line };
            row.push(gap);
            // `xor` is a word, the other operators are marks.
            row.push(match op {
                BinaryOp::Xor => self.word(op.symbol()),
                _ => Doc::Text(op.symbol()),
            });
            row.push(Doc::Text(" "));
            row.push(self.operand(operand, Some(op), i == last));
        }
        Doc::group(Doc::nest(STEP, Doc::Row(row)))
    }

    fn operand(&mut self, expr: &Expr, op: Option<BinaryOp>, last: bool) -> Doc<'a> {
        let least = match op {
            // A prefix operator may stand behind `^`, but before it would take the power along.
            Some(BinaryOp::Pow) if last => UnaryOp::LEVEL,
            Some(BinaryOp::Pow) if matches!(expr.kind, ExprKind::Reduce { .. }) => {
                return self.bracketed(expr);
            }
            Some(op) if op.is_right_associative() && last => op.level(),
            Some(op) => op.level() + 1,
            None => 0,
        };
        self.expr(expr, least)
    }

    fn choice(&mut self, expr: &Expr) -> Doc<'a> {
        let mut row = Vec::new();
        let mut rest = expr;
        while let ExprKind::If { cond, then, otherwise } = &rest.kind {
            row.extend([self.word("if"), Doc::Text(" "), self.expr(cond, 0), Doc::Text(" {")]);
            row.push(Doc::nest(STEP, Doc::Row(vec![Doc::Line, self.expr(then, 0)])));
            row.extend([Doc::Line, Doc::Text("} "), self.word("else"), Doc::Text(" ")]);
            rest = otherwise;
        }
        row.push(Doc::Text("{"));
        row.push(Doc::nest(STEP, Doc::Row(vec![Doc::Line, self.expr(rest, 0)])));
        row.extend([Doc::Line, Doc::Text("}")]);
        Doc::group(Doc::Row(row))
    }
}

/// Parts between brackets, parted by commas.
pub(super) fn enclosed<'a>(
    open: &'static str,
    parts: Vec<Doc<'a>>,
    close: &'static str,
) -> Doc<'a> {
    if parts.is_empty() {
        return Doc::Row(vec![Doc::Text(open), Doc::Text(close)]);
    }
    let mut row = vec![Doc::Soft];
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            row.extend([Doc::Text(","), Doc::Line]);
        }
        row.push(part);
    }
    let inner = Doc::Row(vec![Doc::nest(STEP, Doc::Row(row)), Doc::Soft]);
    Doc::Row(vec![Doc::Text(open), Doc::group(inner), Doc::Text(close)])
}
