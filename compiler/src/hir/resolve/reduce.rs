//! Reductions over a loop, and functions of all its values.

use super::Resolver;
use super::builtin::VectorFn;
use super::index::Place;
use super::value::{Value, Var};
use crate::hir::model::*;
use crate::mir::Direction;
use ponens_dsl::ast::{self, CompareOp};
use ponens_dsl::{Diagnostic, Span};

/// What bounds the variable of a reduction.
enum Bound {
    None,
    /// The turns on one side of another variable's, so many places from it.
    Beside(Var, Direction, i64),
    /// A condition that is positive for the turns that count, or (true) for those that do not.
    Number(CompareOp, Value),
}

impl<'a> Resolver<'a> {
    /// `op(var bound) body`
    pub(super) fn reduction(
        &mut self,
        op: &'a ast::Name,
        name: &'a ast::Name,
        bound: Option<(CompareOp, &'a ast::Expr)>,
        body: &'a ast::Expr,
        span: Span,
    ) -> Option<Value> {
        let bound = match bound {
            None => Some(Bound::None),
            Some((op, e)) => self.bound(op, e),
        };
        let var = self.bind_index(&name.text);
        let v = self.with_known_loops(&[var], |this| this.number(body));
        self.indices.pop();
        let (bound, v) = (bound?, v?);
        if let Bound::Beside(other, ..) = bound
            && let Some(inner) = self.vars[var.0].over
        {
            self.unify(other, inner, span)?;
        }
        let over = self.vars[var.0].over.filter(|inner| v.at.get(*inner) == Some(var));
        let Some(inner) = over else {
            self.nothing_varies(&name.text, name.span);
            return None;
        };
        if inner == Loop::Candidates && v.at.token.is_some() {
            self.error(
                Diagnostic::error("E0202", "tokens belong to a response: reduce over them first")
                    .at(span, "a reduction over responses around a token of one")
                    .help("write `sum(i) sum(t) ..`, the tokens innermost"),
            );
            return None;
        }
        match bound {
            Bound::Beside(other, side, offset) => {
                self.beside(&op.text, v, inner, (other, side, offset), span)
            }
            Bound::Number(compare, n) => self.bounded(&op.text, v, inner, compare, n, span),
            Bound::None => self.whole(&op.text, v, inner, span),
        }
    }

    fn bound(&mut self, op: CompareOp, e: &'a ast::Expr) -> Option<Bound> {
        if let Some(Place::Var(n, offset)) = self.place(e)
            && let Some(var) = self.index_in_sight(n)
        {
            let (side, strict) = match op {
                CompareOp::Gt => (Direction::Later, true),
                CompareOp::Ge => (Direction::Later, false),
                CompareOp::Lt => (Direction::Earlier, true),
                CompareOp::Le => (Direction::Earlier, false),
            };
            let strict = if strict { i64::from(side.step()) } else { 0 };
            return Some(Bound::Beside(var, side, offset + strict));
        }
        Some(Bound::Number(op, self.number(e)?))
    }

    /// A reduction over the whole loop.
    fn whole(&mut self, op: &str, v: Value, inner: Loop, span: Span) -> Option<Value> {
        let fold = |this: &mut Self, f: Fold, v: Value| {
            let to = this.outside(inner);
            let mut out = Value { id: this.push(Kind::Fold(f, v.id, to), span), ..v };
            out.at.set(inner, None);
            out
        };
        Some(match op {
            "sum" => match self.linear(v.id) {
                Some(id) => {
                    let mut out = Value { id, ..v };
                    out.at.set(inner, None);
                    out
                }
                None => fold(self, Fold::Sum, v),
            },
            "mean" => fold(self, Fold::Mean, v),
            "max" => fold(self, Fold::Max, v),
            "logsumexp" => fold(self, Fold::LogSumExp, v),
            "min" => {
                let minus = self.call1(Fn1::Neg, v, span)?;
                let most = fold(self, Fold::Max, minus);
                self.call1(Fn1::Neg, most, span)?
            }
            "product" => {
                let log = self.call1(Fn1::Log, v, span)?;
                let sum = fold(self, Fold::Sum, log);
                self.call1(Fn1::Exp, sum, span)?
            }
            "std" => {
                let mean = fold(self, Fold::Mean, v);
                let off = self.call2(Fn2::Sub, v, mean, span)?;
                let square = self.call1(Fn1::Square, off, span)?;
                let sum = fold(self, Fold::Sum, square);
                let others = self.others(inner, span)?;
                let variance = self.call2(Fn2::Div, sum, others, span)?;
                // The root has no derivative at 0: where nothing varies it is 0 and counts as constant.
                let (one, zero) = (self.constant(1.0, span), self.constant(0.0, span));
                let inside = self.choose(variance, variance, one, span)?;
                let half = self.constant(0.5, span);
                let root = self.call2(Fn2::Pow, inside, half, span)?;
                self.choose(variance, root, zero, span)?
            }
            _ => return self.no_reduction(op, span),
        })
    }

    fn no_reduction(&mut self, op: &str, span: Span) -> Option<Value> {
        self.error(
            Diagnostic::error("E0205", format!("`{op}` does not reduce part of a loop"))
                .at(span, "with this bound")
                .help("`sum` and `mean` take every bound; `logsumexp` takes `j >= i` and its like"),
        );
        None
    }

    /// max(number of turns - 1, 1)
    fn others(&mut self, inner: Loop, span: Span) -> Option<Value> {
        let n = Value::plain(self.push(Kind::Size(inner), span));
        let one = self.constant(1.0, span);
        let less = self.call2(Fn2::Sub, n, one, span)?;
        self.call2(Fn2::Max, less, one, span)
    }

    /// A reduction over the turns that a number bounds.
    fn bounded(
        &mut self,
        op: &str,
        v: Value,
        inner: Loop,
        compare: CompareOp,
        n: Value,
        span: Span,
    ) -> Option<Value> {
        if n.at.get(inner).is_some() || !matches!(op, "sum" | "mean") {
            return self.no_reduction(op, span);
        }
        let place = self.push(Kind::Position(inner), span);
        let (high, low, flipped) = match compare {
            CompareOp::Lt => (n.id, place, false),
            CompareOp::Gt => (place, n.id, false),
            CompareOp::Le => (place, n.id, true),
            CompareOp::Ge => (n.id, place, true),
        };
        let condition = self.push(Kind::Call2(Fn2::Sub, high, low), span);
        let zero = self.push(Kind::Number(0.0), span);
        let masked = |this: &mut Self, x: ExprId| {
            let (a, b) = if flipped { (zero, x) } else { (x, zero) };
            let only = this.push(Kind::If(condition, a, b), span);
            let to = this.outside(inner);
            let mut out = Value { id: this.push(Kind::Fold(Fold::Sum, only, to), span), ..v };
            out.at.set(inner, None);
            out
        };
        let sum = masked(self, v.id);
        if op == "sum" {
            return Some(sum);
        }
        let one = self.constant(1.0, span);
        let count = masked(self, one.id);
        let count = self.call2(Fn2::Max, count, one, span)?;
        self.call2(Fn2::Div, sum, count, span)
    }

    /// A reduction over the turns on one side of another variable's.
    fn beside(
        &mut self,
        op: &str,
        v: Value,
        inner: Loop,
        (other, side, offset): (Var, Direction, i64),
        span: Span,
    ) -> Option<Value> {
        let scan = |this: &mut Self, s: Scan, x: Value| Value {
            id: this.push(Kind::Scan(s, x.id), span),
            ..x
        };
        let sums = match side {
            Direction::Later => Scan::SuffixSum,
            Direction::Earlier => Scan::PrefixSum,
        };
        let mut out = match op {
            "sum" => {
                let sum = scan(self, sums, v);
                self.shifted(sum, offset, span)?
            }
            "mean" => {
                let sum = scan(self, sums, v);
                let sum = self.shifted(sum, offset, span)?;
                // A one at every turn, whatever the value: x - x would not do for an infinity.
                let place = self.push(Kind::Position(inner), span);
                let one = self.push(Kind::Number(1.0), span);
                let later = self.push(Kind::Call2(Fn2::Add, place, one), span);
                let zero = self.push(Kind::Number(0.0), span);
                let ones = Value { id: self.push(Kind::If(later, one, zero), span), ..v };
                let count = scan(self, sums, ones);
                let count = self.shifted(count, offset, span)?;
                let one = self.constant(1.0, span);
                let count = self.call2(Fn2::Max, count, one, span)?;
                self.call2(Fn2::Div, sum, count, span)?
            }
            "logsumexp" if offset == i64::from(side.step()) => {
                scan(self, Scan::LogSumExps(side), v)
            }
            "logsumexp" if offset == 0 => {
                let rest = scan(self, Scan::LogSumExps(side), v);
                self.call2(Fn2::LogAddExp, v, rest, span)?
            }
            _ => return self.no_reduction(op, span),
        };
        out.at.set(inner, Some(other));
        Some(out)
    }

    /// A function of all values of a loop.
    pub(super) fn vector(&mut self, f: VectorFn, arg: &'a ast::Expr, span: Span) -> Option<Value> {
        let v = self.all_values(arg)?;
        let inner = v.open.first()?;
        let to = self.outside(inner);
        let scan =
            |this: &mut Self, s: Scan| Value { id: this.push(Kind::Scan(s, v.id), span), ..v };
        match f {
            VectorFn::SuffixSum => Some(scan(self, Scan::SuffixSum)),
            VectorFn::PrefixSum => Some(scan(self, Scan::PrefixSum)),
            VectorFn::Softmax | VectorFn::LogSoftmax => {
                // x - lse(x) = -softplus(lse of the others - x): nothing cancels where x is the largest.
                let before = scan(self, Scan::LogSumExps(Direction::Earlier));
                let behind = scan(self, Scan::LogSumExps(Direction::Later));
                let others = self.call2(Fn2::LogAddExp, before, behind, span)?;
                let odds = self.call2(Fn2::Sub, others, v, span)?;
                let odds = self.call1(Fn1::Neg, odds, span)?;
                let g = if f == VectorFn::Softmax { Fn1::Sigmoid } else { Fn1::LogSigmoid };
                let out = self.call1(g, odds, span)?;
                Some(Value { id: out.id, ..v })
            }
            VectorFn::LeaveOneOut => {
                let sum = self.push(Kind::Fold(Fold::Sum, v.id, to), span);
                let rest = self.push(Kind::Call2(Fn2::Sub, sum, v.id), span);
                let others = self.others(inner, span)?;
                Some(Value { id: self.push(Kind::Call2(Fn2::Div, rest, others.id), span), ..v })
            }
        }
    }

    /// `discounted(factor, x)`: y = x + factor y', y' one place later.
    pub(super) fn discounted(
        &mut self,
        factor: &'a ast::Expr,
        arg: &'a ast::Expr,
        span: Span,
    ) -> Option<Value> {
        let (a, v) = (self.number(factor), self.all_values(arg));
        let (a, v) = (a?, v?);
        let kind = Kind::Recurrence(Direction::Later, a.id, v.id);
        let at = self.join(&[a, v], span)?;
        Some(Value { id: self.push(kind, span), at, open: v.open })
    }

    /// `segment_sum(x, segment)`: at every place the sum of the values with the same number, of those next
    /// to each other.
    pub(super) fn segment_sum(
        &mut self,
        arg: &'a ast::Expr,
        segment: &'a ast::Expr,
        span: Span,
    ) -> Option<Value> {
        let (v, s) = (self.all_values(arg), self.all_values(segment));
        let (v, s) = (v?, s?);
        if v.open != s.open {
            let message = "the values and the segments run over different things";
            self.error(
                Diagnostic::error("E0202", message)
                    .at(segment.span, "one segment for each value is wanted"),
            );
            return None;
        }
        let at = self.join(&[v, s], span)?;
        let fresh = self.fresh(s, span);
        let one = self.push(Kind::Number(1.0), span);
        // 1 where the place before belongs to the same segment, and the same of the place behind.
        let same_before = self.push(Kind::Call2(Fn2::Sub, one, fresh), span);
        let same_behind = self.push(Kind::Scan(Scan::Shift(1), same_before), span);
        let behind = self.push(Kind::Recurrence(Direction::Later, same_behind, v.id), span);
        let before = self.push(Kind::Recurrence(Direction::Earlier, same_before, v.id), span);
        let before = self.push(Kind::Scan(Scan::Shift(-1), before), span);
        let before = self.push(Kind::Call2(Fn2::Mul, same_before, before), span);
        let id = self.push(Kind::Call2(Fn2::Add, before, behind), span);
        Some(Value { id, at, open: v.open })
    }

    /// `segment_start(segment)`: 1 where a segment begins.
    pub(super) fn segment_start(&mut self, segment: &'a ast::Expr, span: Span) -> Option<Value> {
        let s = self.all_values(segment)?;
        Some(Value { id: self.fresh(s, span), ..s })
    }

    /// 1 at the first place and where the number differs from the one before, else 0.
    fn fresh(&mut self, s: Value, span: Span) -> ExprId {
        let inner = s.open.first().unwrap_or(Loop::Candidates);
        let (one, zero) = (self.push(Kind::Number(1.0), span), self.push(Kind::Number(0.0), span));
        let last = self.push(Kind::Scan(Scan::Shift(-1), s.id), span);
        let step = self.push(Kind::Call2(Fn2::Sub, s.id, last), span);
        let step = self.push(Kind::Call1(Fn1::Abs, step), span);
        let differs = self.push(Kind::If(step, one, zero), span);
        let place = self.push(Kind::Position(inner), span);
        self.push(Kind::If(place, differs, one), span)
    }

    /// An argument that is all values of one loop.
    fn all_values(&mut self, arg: &'a ast::Expr) -> Option<Value> {
        let v = self.value(arg)?;
        let level = self.exprs[v.id.0 as usize].level;
        match v.open.first() {
            Some(inner) if inner.level() == level => Some(v),
            Some(_) => {
                self.error(
                    Diagnostic::error(
                        "E0202",
                        "this is one number for every token of every response",
                    )
                    .at(arg.span, "two loops at once")
                    .help("pick the response first: `d[i]`"),
                );
                None
            }
            None => {
                self.error(
                    Diagnostic::error("E0202", "all values of a loop are wanted here, not one")
                        .at(arg.span, "one number")
                        .help(
                            "name them first, as in `let d[t] = ..`, and give the name without an \
                             index: `suffix_sum(d)[t]`",
                        ),
                );
                None
            }
        }
    }
}
