//! Indices: `s[i]`, `d[t + 1]`, and definitions with indices.

use super::Resolver;
use super::value::{Value, Var};
use crate::hir::model::*;
use ponens_dsl::ast::{self, BinaryOp, ExprKind};
use ponens_dsl::{Diagnostic, Span};

/// An index as written.
pub(super) enum Place<'a> {
    /// `i`, `i + 1`, `t - 2`
    Var(&'a str, i64),
    /// `0`
    FromStart(i64),
    /// `K - 1`
    FromEnd(Loop, i64),
}

impl<'a> Resolver<'a> {
    /// Reads an index; `None` when it is none.
    pub(super) fn place(&self, e: &'a ast::Expr) -> Option<Place<'a>> {
        let base = |n: &'a str, offset: i64| match self.index_in_sight(n) {
            Some(_) => Some(Place::Var(n, offset)),
            None => Some(Place::FromEnd(self.size_name(n)?, offset)),
        };
        match &e.kind {
            ExprKind::Number(x) => Some(Place::FromStart(whole(*x)?)),
            ExprKind::Name(n) => base(n, 0),
            ExprKind::Binary { op: op @ (BinaryOp::Add | BinaryOp::Sub), lhs, rhs } => {
                match (&lhs.kind, &rhs.kind, op) {
                    (ExprKind::Name(n), ExprKind::Number(x), BinaryOp::Sub) => base(n, -whole(*x)?),
                    (ExprKind::Name(n), ExprKind::Number(x), _) => base(n, whole(*x)?),
                    (ExprKind::Number(x), ExprKind::Name(n), BinaryOp::Add) => base(n, whole(*x)?),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// `base[index]`
    pub(super) fn indexed(
        &mut self,
        base: &'a ast::Expr,
        index: &'a ast::Expr,
        span: Span,
    ) -> Option<Value> {
        let v = match &base.kind {
            ExprKind::Call { callee, args } => self.call(callee, args, true, base.span)?,
            _ => self.value(base)?,
        };
        self.pick(v, index, span)
    }

    /// One turn of the outermost loop of a value that is still open.
    pub(super) fn pick(&mut self, v: Value, index: &'a ast::Expr, span: Span) -> Option<Value> {
        let Some(inner) = v.open.first() else {
            self.error(
                Diagnostic::error("E0202", "this is one number: it has no index")
                    .at(span, "indexed here")
                    .help("leave the brackets out"),
            );
            return None;
        };
        let Some(place) = self.place(index) else {
            if let Some(name) = self.unbound(index) {
                self.error(
                    Diagnostic::error("E0202", format!("no reduction around this binds `{name}`"))
                        .at(index.span, "an index that is not bound here")
                        .help(format!(
                            "a reduction covers what stands directly behind it: write \
                             `sum({name}) (..)` with the whole term in brackets"
                        )),
                );
                return None;
            }
            self.error(
                Diagnostic::error("E0202", "this is no index")
                    .at(index.span, "not a variable with a whole number added")
                    .help("write `[i]`, `[i + 1]`, `[0]` or `[K - 1]`; `sum(i) ..` binds `i`"),
            );
            return None;
        };
        let shifts = !matches!(place, Place::Var(_, 0));
        if shifts && self.exprs[v.id.0 as usize].level != inner.level() {
            self.error(
                Diagnostic::error(
                    "E0205",
                    "the tokens of one response do not line up with another's",
                )
                .at(index.span, "another response's tokens")
                .help("reduce over the tokens first"),
            );
            return None;
        }
        match place {
            Place::Var(name, offset) => {
                let var = self.index_in_sight(name)?;
                self.unify(var, inner, index.span)?;
                let mut out = self.shifted(v, offset, span)?;
                out.open.set(inner, false);
                out.at.set(inner, Some(var));
                Some(out)
            }
            Place::FromStart(n) => {
                let n = self.constant(n as f64, index.span);
                self.at_place(v, inner, n, span)
            }
            Place::FromEnd(of, offset) => {
                if of != inner {
                    let words = self.loop_words(of);
                    self.error(
                        Diagnostic::error("E0202", "this counts another loop")
                            .at(index.span, format!("the number of {words}")),
                    );
                    return None;
                }
                let size = Value::plain(self.push(Kind::Size(of), index.span));
                let offset = self.constant(offset as f64, index.span);
                let n = self.call2(Fn2::Add, size, offset, index.span)?;
                self.at_place(v, inner, n, span)
            }
        }
    }

    /// The name in an index that would be one if its name were bound.
    fn unbound(&self, e: &ast::Expr) -> Option<String> {
        let name = |e: &ast::Expr| match &e.kind {
            ExprKind::Name(n) if self.index_in_sight(n).is_none() => Some(n.clone()),
            _ => None,
        };
        match &e.kind {
            ExprKind::Binary { op: BinaryOp::Add | BinaryOp::Sub, lhs, rhs } => {
                name(lhs).or_else(|| name(rhs))
            }
            _ => name(e),
        }
    }

    /// The value some places later; 0 past the end.
    pub(super) fn shifted(&mut self, v: Value, offset: i64, span: Span) -> Option<Value> {
        let Ok(n) = i8::try_from(offset) else {
            self.error(
                Diagnostic::error("E0202", "an index moves by at most 127 places")
                    .at(span, format!("moves by {offset}")),
            );
            return None;
        };
        if n == 0 {
            return Some(v);
        }
        Some(Value { id: self.push(Kind::Scan(Scan::Shift(n), v.id), span), ..v })
    }

    /// The value at place `n`; 0 where there is none.
    fn at_place(&mut self, v: Value, inner: Loop, n: Value, span: Span) -> Option<Value> {
        let to = self.outside(inner);
        let place = self.push(Kind::Position(inner), span);
        let off = self.push(Kind::Call2(Fn2::Sub, place, n.id), span);
        let off = self.push(Kind::Call1(Fn1::Abs, off), span);
        let one = self.push(Kind::Number(1.0), span);
        let zero = self.push(Kind::Number(0.0), span);
        let hit = self.push(Kind::Call2(Fn2::Sub, one, off), span);
        let only = self.push(Kind::If(hit, v.id, zero), span);
        let id = self.push(Kind::Fold(Fold::Sum, only, to), span);
        let mut out = Value { id, ..v };
        out.open.set(inner, false);
        Some(out)
    }

    /// The level that holds a loop.
    pub(super) fn outside(&self, inner: Loop) -> crate::mir::Level {
        self.shape.as_ref().map_or(crate::mir::Level::Example, |s| s.outside(inner))
    }

    /// The value of a definition with its indices left open.
    pub(super) fn family(
        &mut self,
        indices: &'a [ast::Name],
        value: &'a ast::Expr,
    ) -> Option<Value> {
        let vars: Vec<Var> = indices.iter().map(|i| self.bind_index(&i.text)).collect();
        let v = self.with_known_loops(&vars, |this| {
            if indices.is_empty() { this.value(value) } else { this.number(value) }
        });
        self.indices.truncate(self.indices.len() - vars.len());
        let mut v = v?;
        for (var, index) in vars.iter().zip(indices) {
            match self.vars[var.0].over {
                Some(inner) if v.at.get(inner) == Some(*var) => {
                    v.at.set(inner, None);
                    v.open.set(inner, true);
                }
                _ => {
                    self.nothing_varies(&index.text, index.span);
                    return None;
                }
            }
        }
        Some(v)
    }

    /// Resolves with variables bound, a second time where a variable was used as a number before it
    /// was known what it counts.
    pub(super) fn with_known_loops(
        &mut self,
        vars: &[Var],
        mut f: impl FnMut(&mut Self) -> Option<Value>,
    ) -> Option<Value> {
        let before = self.diagnostics.len();
        let v = f(self);
        let known = |this: &Self| {
            vars.iter().any(|v| this.vars[v.0].wanted && this.vars[v.0].over.is_some())
        };
        if v.is_none() && known(self) {
            vars.iter().for_each(|v| self.vars[v.0].wanted = false);
            self.diagnostics.truncate(before);
            return f(self);
        }
        v
    }

    /// An index that nothing uses as one.
    pub(super) fn nothing_varies(&mut self, name: &str, span: Span) {
        if self.diagnostics.iter().any(Diagnostic::is_error) && self.exhausted {
            return;
        }
        self.error(
            Diagnostic::error("E0202", format!("nothing here has one value for each `{name}`"))
                .at(span, "an index that picks nothing")
                .help(format!("use it, as in `s[{name}]`, or leave it out")),
        );
    }
}

fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x < 1e6).then_some(x as i64)
}
