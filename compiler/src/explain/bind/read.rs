//! The logic in a margin: a factor, rho, and what is neither.

use super::margins::{Form, Margin};
use super::{Binder, policy_atom};
use crate::decompile::{self, BinaryOp, ExprKind, NotLogic, Reason};
use crate::explain::rho;
use crate::hir::{DataShape, ExprId, Fn1, Fn2, Kind, Link, Loss};
use crate::logic::{Atom, Structure};
use crate::mir::Level;
use ponens_dsl::Span;

/// A margin as `kept + rest`, `kept` being a multiple of rho or of minus rho.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) margin: Margin,
    pub(super) kept: ExprId,
    pub(super) rest: Option<ExprId>,
    /// The factor, written without a minus; `None` for 1.
    pub(super) scale: Option<decompile::Expr>,
    /// That of `kept` over the factor.
    pub(super) structure: Structure,
    /// Whether the loss falls where `kept` rises, where the link says so.
    pub(super) falls: Option<bool>,
}

impl Reading {
    /// Whether its rho is the one of a structure, either way up.
    pub(super) fn is_of(&self, structure: &Structure) -> bool {
        self.is_same(structure) || self.is_same(&structure.negated())
    }

    pub(super) fn is_same(&self, structure: &Structure) -> bool {
        self.structure.sorted() == structure.sorted()
    }

    /// Whether rho is minus what was read: rho is what the link wants high, or else what rises with the
    /// policy's probability of the preferred response.
    pub(super) fn is_turned(&self, loss: &Loss) -> bool {
        !self.falls.unwrap_or_else(|| rises(loss, &self.structure))
    }

    /// The structure of rho.
    pub(super) fn oriented(&self, loss: &Loss) -> Structure {
        if self.is_turned(loss) { self.structure.negated() } else { self.structure.clone() }
    }
}

/// Whether rho rises with the policy's probability of the preferred response where all others are 1/2;
/// true where it does not depend on it.
fn rises(loss: &Loss, s: &Structure) -> bool {
    let y = match &loss.shape {
        DataShape::Pair { winner, .. } => winner,
        DataShape::Labelled { response, .. } => response,
        _ => return true,
    };
    let Some(atom) = policy_atom(loss, s, y) else { return true };
    let count = |t: crate::logic::Table, value: bool| {
        let rows = (0..1usize << s.n()).filter(|r| (r >> atom & 1 == 1) == value && t.get(*r));
        rows.count()
    };
    count(s.wins, true) * count(s.loses, false) >= count(s.wins, false) * count(s.loses, true)
}

impl Binder {
    /// The readings of a term's margins, which have one rho between them.
    pub(super) fn term(
        &mut self,
        margins: &[Margin],
    ) -> Result<Vec<Reading>, (Box<NotLogic>, Option<Span>)> {
        let mut readings: Vec<Reading> = Vec::new();
        for margin in margins {
            let reading = self.read(*margin).map_err(|why| {
                let span = self.loss.exprs.get(why.tag).map(|e| e.span);
                (Box::new(why), span)
            })?;
            if readings.first().is_some_and(|first| !reading.is_of(&first.structure)) {
                return Ok(Vec::new());
            }
            readings.push(reading);
        }
        Ok(readings)
    }

    fn read(&mut self, margin: Margin) -> Result<Reading, NotLogic> {
        let constants = matches!(margin.form, Form::Hinge | Form::Squared);
        match self.read_without(margin, constants) {
            // Which side a constant stands on decides what its atom does: it is no part of rho then.
            Err(why) if matches!(why.reason, Reason::UnknownSign { .. }) => {
                self.read_without(margin, true)
            }
            found => found,
        }
    }

    /// Reads a margin; numbers beside the weights are no part of rho where `constants`.
    fn read_without(&mut self, margin: Margin, constants: bool) -> Result<Reading, NotLogic> {
        let link_falls = match self.kind(margin.node) {
            Kind::Link(link, ..) => link != Link::Squared,
            _ => false,
        };
        let (kept, rest) = match self.separate(margin.argument, constants) {
            (_, None) => (margin.argument, None),
            (Some(kept), rest) if self.has_weight(kept) => (kept, rest),
            _ => (margin.argument, None),
        };
        let read = |binder: &Binder, kept: ExprId, rest: Option<ExprId>| {
            let (scale, structure) = binder.logic(kept)?;
            let falls = margin.form.falls(link_falls);
            Ok(Reading { margin, kept, rest, scale, structure, falls })
        };
        let found = read(self, kept, rest).map_err(|why| {
            // Factors in front belong to the link: without them what is wrong is said better.
            self.logic(self.peeled(kept)).err().unwrap_or(why)
        })?;
        let numbers = rest.is_none_or(|r| self.is_number(r));
        if numbers || self.speaks_of_both(&found.structure) {
            return Ok(found);
        }
        // What was taken away may be what the term is about.
        read(self, margin.argument, None)
    }

    /// The factor and the structure of a multiple of rho.
    pub(super) fn logic(
        &self,
        id: ExprId,
    ) -> Result<(Option<decompile::Expr>, Structure), NotLogic> {
        let order: Vec<Atom> = self.loss.atoms.iter().map(|a| a.atom.clone()).collect();
        let expr = rho::expression(&self.loss, id);
        let scale = decompile::scale(&expr);
        let rho = match &scale {
            Some(by) => decompile::Expr::binary(BinaryOp::Div, expr, by.clone(), id.0 as usize),
            None => expr,
        };
        Ok((scale, decompile::decompile_over(&rho, &order)?.structure))
    }

    /// An expression as a sum of what can be a multiple of rho and of the rest. A number is rest where it
    /// is the margin of a hinge or the target of a square.
    fn separate(&mut self, id: ExprId, constants: bool) -> (Option<ExprId>, Option<ExprId>) {
        let factor = |b: &Binder, x: ExprId| !b.has_weight(x) && b.is_number(x);
        let span = self.loss.expr(id).span;
        if !self.has_weight(id) {
            let kept = self.is_number(id) && !constants;
            return if kept { (Some(id), None) } else { (None, Some(id)) };
        }
        match self.kind(id) {
            Kind::Call2(op @ (Fn2::Add | Fn2::Sub), a, b) => {
                let (ka, ra) = self.separate(a, constants);
                let (kb, rb) = self.separate(b, constants);
                (self.join(op, ka, kb, span), self.join(op, ra, rb, span))
            }
            Kind::Call1(Fn1::Neg, a) => {
                let (k, r) = self.separate(a, constants);
                (k.map(|x| self.negated(x)), r.map(|x| self.negated(x)))
            }
            Kind::Call2(Fn2::Mul, u, a) if factor(self, u) => {
                let (k, r) = self.separate(a, constants);
                let times = |x| Kind::Call2(Fn2::Mul, u, x);
                (k.map(|x| self.applied(times, x, span)), r.map(|x| self.applied(times, x, span)))
            }
            Kind::Call2(op @ (Fn2::Mul | Fn2::Div), a, u) if factor(self, u) => {
                let (k, r) = self.separate(a, constants);
                let by = |x| Kind::Call2(op, x, u);
                (k.map(|x| self.applied(by, x, span)), r.map(|x| self.applied(by, x, span)))
            }
            _ if self.is_part(id) || is_readable(&rho::expression(&self.loss, id)) => {
                (Some(id), None)
            }
            _ => (None, Some(id)),
        }
    }

    /// A factor on an expression, a sign carried outwards.
    fn applied(&mut self, by: impl Fn(ExprId) -> Kind, x: ExprId, span: Span) -> ExprId {
        match self.kind(x) {
            Kind::Call1(Fn1::Neg, inner) => {
                let scaled = self.push(by(inner), span);
                self.negated(scaled)
            }
            _ => self.push(by(x), span),
        }
    }

    fn join(
        &mut self,
        op: Fn2,
        a: Option<ExprId>,
        b: Option<ExprId>,
        span: Span,
    ) -> Option<ExprId> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.push(Kind::Call2(op, a, b), span)),
            (None, Some(b)) if op == Fn2::Sub => Some(self.negated(b)),
            (a, b) => a.or(b),
        }
    }

    /// One value a run: numbers and parameters.
    pub(super) fn is_number(&self, id: ExprId) -> bool {
        self.loss.expr(id).level == Level::Uniform
    }
}

fn is_readable(expr: &decompile::Expr) -> bool {
    match &expr.kind {
        ExprKind::Opaque(_) => false,
        ExprKind::Unary(_, a) => is_readable(a),
        ExprKind::Binary(_, a, b) => is_readable(a) && is_readable(b),
        ExprKind::LogSumExp(list) => list.iter().all(is_readable),
        _ => true,
    }
}
