//! Expressions: from the grammar's flat rows of operands and operators to a tree.
//!
//! Precedence climbing is written out here, not left to a library, for three reasons: depth is
//! checked before every recursion, a chain of comparisons is refused with its own message, and the
//! height of the tree stays known, so that no later stage can overflow its stack.

use std::iter::Peekable;

use pest::iterators::{Pair, Pairs};

use super::MAX_DEPTH;
use super::build::Builder;
use super::explain;
use super::piece::Rule;
use crate::ast::{BinaryOp, CompareOp, Expr, ExprKind, Name, UnaryOp};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// An expression and the height of its tree.
pub(super) struct Tall {
    pub(super) expr: Expr,
    height: usize,
}

/// A reduction's head `sum(i < K)`, or a call `max(a, b)`: what follows decides.
struct Head<'a> {
    op: Name,
    arguments: Pair<'a, Rule>,
    span: Span,
}

type Row<'a> = Peekable<Pairs<'a, Rule>>;

impl Builder<'_, '_> {
    /// `Rule::expr`, `depth` levels below the root of its tree.
    pub(super) fn expr(&mut self, pair: Pair<'_, Rule>, depth: usize) -> Option<Tall> {
        self.climb(&mut pair.into_inner().peekable(), 0, depth)
    }

    /// The longest expression at the front of the row whose operators bind at least as tightly as
    /// `least`.
    fn climb(&mut self, row: &mut Row<'_>, least: u8, depth: usize) -> Option<Tall> {
        self.check_depth(row, depth)?;
        let mut lhs = self.operand(row, depth)?;
        let mut compared = false;
        while let Some(next) = row.peek() {
            let place = self.piece.span_of(next);
            let op = infix(next.as_str())?;
            if op.level() < least {
                break;
            }
            row.next();
            let is_compare = matches!(op, BinaryOp::Compare(_));
            if is_compare && compared {
                self.report(explain::chained(place));
                return None;
            }
            compared = is_compare;
            let tighter = if op.is_right_associative() { op.level() } else { op.level() + 1 };
            let rhs = self.climb(row, tighter, depth + 1)?;
            let span = lhs.expr.span.to(rhs.expr.span);
            let height = lhs.height.max(rhs.height);
            let kind = ExprKind::Binary { op, lhs: Box::new(lhs.expr), rhs: Box::new(rhs.expr) };
            lhs = self.node(kind, span, height)?;
        }
        Some(lhs)
    }

    /// Prefix operators and what they stand before, or a term.
    fn operand(&mut self, row: &mut Row<'_>, depth: usize) -> Option<Tall> {
        let first = row.next()?;
        match first.as_rule() {
            Rule::prefix => {
                let start = self.piece.span_of(&first);
                let op = if first.as_str() == "!" { UnaryOp::Not } else { UnaryOp::Neg };
                let operand = self.climb(row, UnaryOp::LEVEL, depth + 1)?;
                let span = start.to(operand.expr.span);
                let kind = ExprKind::Unary { op, operand: Box::new(operand.expr) };
                self.node(kind, span, operand.height)
            }
            Rule::choice => self.choice(first, depth),
            _ => self.term(first, depth),
        }
    }

    /// `Rule::term`: heads of reductions, then what they reduce, then indices.
    fn term(&mut self, pair: Pair<'_, Rule>, depth: usize) -> Option<Tall> {
        let (mut heads, mut base, mut indices) = (Vec::new(), None, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::head => heads.push(self.head(part)?),
                Rule::index => indices.push(part),
                _ => base = Some(part),
            }
        }
        let inner = depth + heads.len();
        if inner > MAX_DEPTH {
            let place = heads.last().map(|h| h.span)?;
            self.report(explain::too_deep(place));
            return None;
        }
        let mut value = match base {
            Some(pair) if pair.as_rule() == Rule::choice => self.choice(pair, inner)?,
            Some(pair) => self.atom(pair, inner)?,
            None => {
                let call = heads.pop()?;
                self.call(call.op, call.arguments, call.span, inner)?
            }
        };
        for pair in indices {
            let span = value.expr.span.to(self.piece.span_of(&pair));
            let index = self.expr(inner_of(pair, Rule::expr)?, inner + 1)?;
            let height = value.height.max(index.height);
            let kind = ExprKind::Index { base: Box::new(value.expr), index: Box::new(index.expr) };
            value = self.node(kind, span, height)?;
        }
        for head in heads.into_iter().rev() {
            value = self.reduce(head, value, depth)?;
        }
        Some(value)
    }

    fn head<'a>(&mut self, pair: Pair<'a, Rule>) -> Option<Head<'a>> {
        let span = self.piece.span_of(&pair);
        let mut parts = pair.into_inner();
        let op = self.name(parts.next()?);
        Some(Head { op, arguments: parts.next()?, span })
    }

    fn reduce(&mut self, head: Head<'_>, body: Tall, depth: usize) -> Option<Tall> {
        let place = self.piece.span_of(&head.arguments);
        let mut arguments = self.arguments(head.arguments, depth + 1)?;
        let only = if arguments.len() == 1 { arguments.pop() } else { None };
        let Some((var, bound, bound_height)) = only.and_then(index_variable) else {
            self.report(explain::bad_reduction(&head.op, place, body.expr.span));
            return None;
        };
        let span = head.span.to(body.expr.span);
        let height = body.height.max(bound_height);
        let kind = ExprKind::Reduce { op: head.op, var, bound, body: Box::new(body.expr) };
        self.node(kind, span, height)
    }

    fn atom(&mut self, pair: Pair<'_, Rule>, depth: usize) -> Option<Tall> {
        let pair = pair.into_inner().next()?;
        let span = self.piece.span_of(&pair);
        match pair.as_rule() {
            Rule::number => {
                let value = self.number(&pair)?;
                self.node(ExprKind::Number(value), span, 0)
            }
            Rule::truth => self.node(ExprKind::Bool(pair.as_str() == "true"), span, 0),
            Rule::nested => {
                let mut inner = self.expr(inner_of(pair, Rule::expr)?, depth)?;
                // The brackets belong to the place, so that a caret covers them.
                inner.expr.span = span;
                Some(inner)
            }
            _ => {
                let mut parts = pair.into_inner();
                let name = self.name(parts.next()?);
                match parts.next() {
                    Some(arguments) => self.call(name, arguments, span, depth),
                    None => self.node(ExprKind::Name(name.text), span, 0),
                }
            }
        }
    }

    fn call(
        &mut self,
        callee: Name,
        arguments: Pair<'_, Rule>,
        span: Span,
        depth: usize,
    ) -> Option<Tall> {
        let arguments = self.arguments(arguments, depth + 1)?;
        let height = arguments.iter().map(|a| a.height).max().unwrap_or(0);
        let args = arguments.into_iter().map(|a| a.expr).collect();
        self.node(ExprKind::Call { callee, args }, span, height)
    }

    fn arguments(&mut self, pair: Pair<'_, Rule>, depth: usize) -> Option<Vec<Tall>> {
        let each = pair.into_inner().filter(|p| p.as_rule() == Rule::expr);
        each.map(|p| self.expr(p, depth)).collect()
    }

    /// `Rule::choice`, whose `else if` chain is flat in the grammar.
    fn choice(&mut self, pair: Pair<'_, Rule>, depth: usize) -> Option<Tall> {
        let whole = self.piece.span_of(&pair);
        // Condition and block in turn, then the last block; `if` words tell where each begins.
        let mut arms: Vec<(Span, Tall, Tall)> = Vec::new();
        let (mut begin, mut cond, mut last) = (whole, None, None);
        for part in pair.into_inner() {
            let depth = depth + arms.len() + 1;
            match part.as_rule() {
                Rule::kw_if => begin = self.piece.span_of(&part),
                Rule::expr => {
                    self.check_place(self.piece.span_of(&part), depth)?;
                    cond = Some(self.expr(part, depth)?);
                }
                Rule::block => {
                    let value = self.expr(inner_of(part, Rule::expr)?, depth)?;
                    match cond.take() {
                        Some(c) => arms.push((begin, c, value)),
                        None => last = Some(value),
                    }
                }
                _ => {}
            }
        }
        let mut value = last?;
        for (begin, cond, then) in arms.into_iter().rev() {
            let height = cond.height.max(then.height).max(value.height);
            let kind = ExprKind::If {
                cond: Box::new(cond.expr),
                then: Box::new(then.expr),
                otherwise: Box::new(value.expr),
            };
            value = self.node(kind, begin.to(whole), height)?;
            value.expr.span.start = begin.start;
        }
        Some(value)
    }

    /// The value of `Rule::number`.
    pub(super) fn number(&mut self, pair: &Pair<'_, Rule>) -> Option<f64> {
        let text = pair.as_str();
        let value: f64 = text.parse().ok()?;
        let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
        let vanished = value == 0.0 && mantissa.contains(|c: char| ('1'..='9').contains(&c));
        if value.is_finite() && !vanished {
            return Some(value);
        }
        let (how, limit) = if vanished {
            ("small", format!("the smallest number above 0 is {:e}", f64::from_bits(1)))
        } else {
            ("large", format!("the largest number is {:e}", f64::MAX))
        };
        let place = self.piece.span_of(pair);
        self.report(
            Diagnostic::error("E0006", format!("the number is too {how} for a 64-bit float"))
                .at(place, format!("too {how}"))
                .note(limit),
        );
        None
    }

    fn node(&mut self, kind: ExprKind, span: Span, below: usize) -> Option<Tall> {
        self.check_place(span, below + 1)?;
        Some(Tall { expr: Expr { kind, span }, height: below + 1 })
    }

    fn check_depth(&mut self, row: &mut Row<'_>, depth: usize) -> Option<()> {
        let place = row.peek().map(|p| self.piece.span_of(p))?;
        self.check_place(place, depth)
    }

    fn check_place(&mut self, place: Span, levels: usize) -> Option<()> {
        if levels <= MAX_DEPTH {
            return Some(());
        }
        self.report(explain::too_deep(place));
        None
    }
}

/// The first part of a pair that the rule made.
pub(super) fn inner_of<'a>(pair: Pair<'a, Rule>, rule: Rule) -> Option<Pair<'a, Rule>> {
    pair.into_inner().find(|p| p.as_rule() == rule)
}

type Bound = Option<(CompareOp, Box<Expr>)>;

/// Reads `i` or `i < bound` as the head of a reduction.
fn index_variable(argument: Tall) -> Option<(Name, Bound, usize)> {
    let name = |e: Expr| match e.kind {
        ExprKind::Name(text) if !text.contains('.') => Some(Name { text, span: e.span }),
        _ => None,
    };
    let height = argument.height;
    match argument.expr.kind {
        ExprKind::Binary { op: BinaryOp::Compare(op), lhs, rhs } => {
            Some((name(*lhs)?, Some((op, rhs)), height))
        }
        _ => Some((name(argument.expr)?, None, 0)),
    }
}

fn infix(text: &str) -> Option<BinaryOp> {
    Some(match text {
        "<->" => BinaryOp::Iff,
        "->" => BinaryOp::Implies,
        "xor" => BinaryOp::Xor,
        "|" => BinaryOp::Or,
        "&" => BinaryOp::And,
        "<" => BinaryOp::Compare(CompareOp::Lt),
        "<=" => BinaryOp::Compare(CompareOp::Le),
        ">" => BinaryOp::Compare(CompareOp::Gt),
        ">=" => BinaryOp::Compare(CompareOp::Ge),
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Sub,
        "*" => BinaryOp::Mul,
        "/" => BinaryOp::Div,
        "^" => BinaryOp::Pow,
        _ => return None,
    })
}
