//! Sums over tokens that are quantities of the whole response.
//!
//! Why: `sum(t) (token_logp(pi, w)[t] - token_logp(ref, w)[t])` is `logp(pi, w) - logp(ref, w)`. Written
//! so, the loss compares equal to its sequence-level form, and every back end can run it. In: the body
//! of a sum over all tokens of a response. Out: the same sum one level up, where the body is linear in
//! quantities that have a sum of their own.

use super::Resolver;
use crate::hir::model::*;
use crate::hir::quantity::Quantity;
use crate::mir::Level;

impl Resolver<'_> {
    pub(super) fn linear(&mut self, id: ExprId) -> Option<ExprId> {
        if self.is_linear(id) { Some(self.summed(id)) } else { None }
    }

    /// True where every term has one token quantity as a factor.
    fn is_linear(&self, id: ExprId) -> bool {
        let outer = |x: ExprId| self.exprs[x.0 as usize].level < Level::Token;
        match self.exprs[id.0 as usize].kind {
            Kind::Column(c) => match &self.columns[c].quantity {
                Quantity::Token(q) => !matches!(**q, Quantity::Head { .. }),
                _ => false,
            },
            Kind::Call1(Fn1::Neg | Fn1::StopGradient, a) => self.is_linear(a),
            Kind::Call2(Fn2::Add | Fn2::Sub, a, b) => self.is_linear(a) && self.is_linear(b),
            Kind::Call2(Fn2::Mul, a, b) => {
                (outer(a) && self.is_linear(b)) || (outer(b) && self.is_linear(a))
            }
            Kind::Call2(Fn2::Div, a, b) => outer(b) && self.is_linear(a),
            _ => false,
        }
    }

    fn summed(&mut self, id: ExprId) -> ExprId {
        let Expr { kind, level, span } = self.exprs[id.0 as usize];
        if level < Level::Token {
            return id;
        }
        let kind = match kind {
            Kind::Column(c) => match self.columns[c].quantity.clone() {
                Quantity::Token(q) => Kind::Column(self.column(*q)),
                _ => kind,
            },
            Kind::Call1(f, a) => Kind::Call1(f, self.summed(a)),
            Kind::Call2(f, a, b) => Kind::Call2(f, self.summed(a), self.summed(b)),
            _ => kind,
        };
        self.push(kind, span)
    }
}
