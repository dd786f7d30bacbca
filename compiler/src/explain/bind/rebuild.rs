//! The loss written in terms of rho.

use super::Binder;
use super::margins::Form;
use super::read::Reading;
use crate::decompile::{self, BinaryOp, ExprKind, UnaryOp};
use crate::hir::{ExprId, Fn1, Fn2, Kind, Link, Loss};
use crate::logic::Structure;
use ponens_dsl::Span;
use std::collections::HashMap;

/// An expression or its negative.
#[derive(Clone, Copy)]
struct Signed {
    id: ExprId,
    minus: bool,
}

type Replaced = HashMap<ExprId, Signed>;

impl Binder {
    /// The loss in terms of the rho that all readings share; `None` where a factor has no text.
    pub(super) fn bound(mut self, readings: Vec<&Reading>) -> Option<Loss> {
        let first = *readings.first()?;
        let wanted = first.oriented(&self.loss);
        let rho = self.rho(first, &wanted)?;
        let mut replaced = Replaced::new();
        for r in readings {
            let new = self.replacement(r, !r.is_same(&wanted))?;
            replaced.insert(r.margin.node, new);
        }
        let minimize = self.loss.minimize;
        let minimize = self.rebuild(minimize, &replaced);
        let minimize = self.plain(minimize);
        let span = self.loss.expr(first.kept).span;
        Some(self.finish(rho, minimize, span))
    }

    /// rho: what stands behind the factors as written, else the quotient by them.
    fn rho(&mut self, first: &Reading, wanted: &Structure) -> Option<ExprId> {
        let inner = self.peeled(first.kept);
        if let Ok((None, structure)) = self.logic(inner) {
            if structure.sorted() == wanted.sorted() {
                return Some(inner);
            }
            if structure.sorted() == wanted.negated().sorted() {
                return Some(self.negated(inner));
            }
        }
        let kept = if first.is_same(wanted) { first.kept } else { self.negated(first.kept) };
        let span = self.loss.expr(kept).span;
        match &first.scale {
            Some(by) => {
                let by = self.number(by, span)?;
                Some(self.push(Kind::Call2(Fn2::Div, kept, by), span))
            }
            None => Some(kept),
        }
    }

    /// What is behind signs and numbers in front.
    pub(super) fn peeled(&self, id: ExprId) -> ExprId {
        match self.kind(id) {
            Kind::Call1(Fn1::Neg, a) => self.peeled(a),
            Kind::Call2(Fn2::Mul, u, a) if self.is_number(u) => self.peeled(a),
            Kind::Call2(Fn2::Mul | Fn2::Div, a, u) if self.is_number(u) => self.peeled(a),
            _ => id,
        }
    }

    /// The function of a margin in terms of rho; `turned` where the margin is a multiple of minus rho.
    fn replacement(&mut self, r: &Reading, turned: bool) -> Option<Signed> {
        let span = self.loss.expr(r.margin.node).span;
        let zero = |b: &mut Binder| b.push(Kind::Number(0.0), span);
        let plus = |id| Some(Signed { id, minus: false });
        match r.margin.form {
            Form::Link => {
                let Kind::Link(link, _, extra) = self.kind(r.margin.node) else { return None };
                let x = self.sum(r, turned, false, span)?;
                plus(self.push(Kind::Link(link, x, extra), span))
            }
            Form::Logistic { value, argument } => {
                let x = self.sum(r, turned, argument, span)?;
                let id = self.push(Kind::Link(Link::Logistic, x, None), span);
                Some(Signed { id, minus: value })
            }
            Form::Hinge => {
                let x = self.multiple(r, !turned, span)?;
                let margin = r.rest.unwrap_or_else(|| zero(self));
                plus(self.push(Kind::Link(Link::Hinge, x, Some(margin)), span))
            }
            Form::Squared => {
                let x = self.multiple(r, false, span)?;
                let target = match r.rest {
                    Some(rest) if turned => rest,
                    Some(rest) => self.negated(rest),
                    None => zero(self),
                };
                plus(self.push(Kind::Link(Link::Squared, x, Some(target)), span))
            }
            Form::Value => {
                let Kind::Call1(f, _) = self.kind(r.margin.node) else { return None };
                let x = self.sum(r, turned, false, span)?;
                plus(self.push(Kind::Call1(f, x), span))
            }
        }
    }

    /// The whole margin, or minus it.
    fn sum(&mut self, r: &Reading, turned: bool, minus: bool, span: Span) -> Option<ExprId> {
        let multiple = self.multiple(r, turned != minus, span)?;
        let Some(rest) = r.rest else { return Some(multiple) };
        let rest = if minus { self.negated(rest) } else { rest };
        Some(match self.kind(rest) {
            Kind::Call1(Fn1::Neg, a) => self.push(Kind::Call2(Fn2::Sub, multiple, a), span),
            _ => self.push(Kind::Call2(Fn2::Add, multiple, rest), span),
        })
    }

    /// The multiple of rho in a margin.
    fn multiple(&mut self, r: &Reading, minus: bool, span: Span) -> Option<ExprId> {
        let rho = self.push(Kind::Rho, span);
        let scaled = match &r.scale {
            None => rho,
            Some(by) => match &by.kind {
                ExprKind::Binary(BinaryOp::Div, one, below) if one.to_string() == "1" => {
                    let below = self.number(below, span)?;
                    self.push(Kind::Call2(Fn2::Div, rho, below), span)
                }
                _ => {
                    let by = self.number(by, span)?;
                    self.push(Kind::Call2(Fn2::Mul, by, rho), span)
                }
            },
        };
        Some(if minus { self.push(Kind::Call1(Fn1::Neg, scaled), span) } else { scaled })
    }

    /// A factor as an expression of the loss.
    fn number(&mut self, by: &decompile::Expr, span: Span) -> Option<ExprId> {
        let kind = match &by.kind {
            ExprKind::Number(r) => Kind::Number(r.numerator() as f64 / r.denominator() as f64),
            ExprKind::Symbol { name, .. } => {
                Kind::Param(self.loss.params.iter().position(|p| p.name == *name)?)
            }
            ExprKind::Unary(op, a) => {
                let f = match op {
                    UnaryOp::Neg => Fn1::Neg,
                    UnaryOp::Exp => Fn1::Exp,
                    UnaryOp::Log => Fn1::Log,
                    _ => return None,
                };
                Kind::Call1(f, self.number(a, span)?)
            }
            ExprKind::Binary(op, a, b) => {
                let f = match op {
                    BinaryOp::Add => Fn2::Add,
                    BinaryOp::Sub => Fn2::Sub,
                    BinaryOp::Mul => Fn2::Mul,
                    BinaryOp::Div => Fn2::Div,
                    BinaryOp::Pow => Fn2::Pow,
                };
                Kind::Call2(f, self.number(a, span)?, self.number(b, span)?)
            }
            _ => return None,
        };
        Some(self.push(kind, span))
    }

    /// An expression with its margins replaced, signs carried outwards.
    fn rebuild(&mut self, id: ExprId, replaced: &Replaced) -> Signed {
        if let Some(new) = replaced.get(&id) {
            return *new;
        }
        if !self.holds(id, replaced) {
            return Signed { id, minus: false };
        }
        let span = self.loss.expr(id).span;
        match self.kind(id) {
            Kind::Call1(Fn1::Neg, a) => {
                let a = self.rebuild(a, replaced);
                Signed { minus: !a.minus, ..a }
            }
            Kind::Call2(op @ (Fn2::Add | Fn2::Sub), a, b) => {
                let (a, b) = (self.rebuild(a, replaced), self.rebuild(b, replaced));
                let minus = b.minus != (op == Fn2::Sub);
                let (op, a, b) = match (a.minus, minus) {
                    (x, y) if x == y => (Fn2::Add, a.id, b.id),
                    (true, _) => {
                        let id = self.push(Kind::Call2(Fn2::Sub, b.id, a.id), span);
                        return Signed { id, minus: false };
                    }
                    _ => {
                        let id = self.push(Kind::Call2(Fn2::Sub, a.id, b.id), span);
                        return Signed { id, minus: false };
                    }
                };
                let id = self.push(Kind::Call2(op, a, b), span);
                Signed { id, minus }
            }
            Kind::Call2(op @ (Fn2::Mul | Fn2::Div), a, b) => {
                let (a, b) = (self.rebuild(a, replaced), self.rebuild(b, replaced));
                let [a, b] = [a, b].map(|s| match self.kind(s.id) {
                    Kind::Call1(Fn1::Neg, inner) => Signed { id: inner, minus: !s.minus },
                    _ => s,
                });
                let id = self.push(Kind::Call2(op, a.id, b.id), span);
                Signed { id, minus: a.minus != b.minus }
            }
            kind => {
                let kind = kind.map(|o| {
                    let new = self.rebuild(o, replaced);
                    self.plain(new)
                });
                Signed { id: self.push(kind, span), minus: false }
            }
        }
    }

    fn plain(&mut self, signed: Signed) -> ExprId {
        let span = self.loss.expr(signed.id).span;
        if signed.minus { self.push(Kind::Call1(Fn1::Neg, signed.id), span) } else { signed.id }
    }

    fn holds(&self, id: ExprId, replaced: &Replaced) -> bool {
        replaced.contains_key(&id)
            || self.kind(id).operands().into_iter().any(|o| self.holds(o, replaced))
    }
}
