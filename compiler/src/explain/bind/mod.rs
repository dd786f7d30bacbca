//! Finding rho in a loss that does not name it.
//!
//! Why: people write `-log_sigmoid(beta * (a - b))`, `max(0, 1 - beta * d)`, `softplus(..)`, a product of
//! sigmoids; which number of it is rho, and which function is the link, has to be read off. In: a loss
//! without a core. Out: the same loss with rho bound and its link spelled as one ([`Binding::Bound`]), or
//! what stands in the way.
//!
//! The way: `margins` finds the numbers that enter a link or another function of a margin; `read`
//! decompiles each, its factor and what is no logic beside it taken apart; `rebuild` writes the loss in
//! terms of rho. Where nothing is a link, the loss itself may be minus the logarithm of a probability q:
//! that is the logistic link of log(q / (1 - q)).
//!
//! Invariant: the bound loss is the same function as the one given; only its text differs.

mod margins;
mod read;
mod rebuild;

use crate::decompile::NotLogic;
use crate::hir::{self, DataShape, Expr, ExprId, Fn1, Fn2, Kind, Link, Loss, Role};
use crate::logic::{AtomKind, Structure};
use crate::mir::Level;
use ponens_dsl::Span;
use read::Reading;

/// What is found where a loss does not name its rho.
#[derive(Clone, Debug)]
pub enum Binding {
    /// The loss with its rho bound.
    Bound(Box<Loss>),
    /// So many terms, each with a rho of its own.
    Several(usize),
    /// A link whose argument is no logic: why, and where.
    Failed(Box<NotLogic>, Option<Span>),
    /// No number of it enters a link.
    Nothing,
}

impl Binding {
    /// The bound loss.
    pub fn loss(self) -> Option<Loss> {
        match self {
            Binding::Bound(loss) => Some(*loss),
            _ => None,
        }
    }
}

/// Binds rho in a loss that does not.
pub fn bind(loss: &Loss) -> Binding {
    if loss.core.is_some() || loss.expr(loss.minimize).level > Level::Example {
        return Binding::Nothing;
    }
    let mut binder = Binder { loss: loss.clone() };
    let mut terms = Vec::new();
    super::around::split(loss, loss.minimize, false, &mut terms);
    let (mut readings, mut failed, mut any) = (Vec::new(), None, false);
    for (id, _) in terms {
        let found = binder.margins(id);
        any |= !found.is_empty();
        match binder.term(&found) {
            Ok(list) => readings.extend(list),
            Err((why, span)) => failed = failed.or(Some((why, span))),
        }
    }
    if !any {
        return binder.whole().map_or(Binding::Nothing, |l| Binding::Bound(Box::new(l)));
    }
    let classes = binder.classes(&readings);
    match (classes.as_slice(), failed) {
        ([], Some((why, span))) => Binding::Failed(why, span),
        ([], None) => Binding::Nothing,
        ([rho], _) => binder
            .bound(readings.iter().filter(|r| r.is_of(rho)).collect())
            .map_or(Binding::Nothing, |l| Binding::Bound(Box::new(l))),
        (many, _) => Binding::Several(many.len()),
    }
}

/// The core of a term beside the preference term, if it has one.
pub(super) fn own_core(loss: &Loss, term: ExprId) -> Option<Structure> {
    if loss.expr(term).level > Level::Example {
        return None;
    }
    let mut binder = Binder { loss: loss.clone() };
    let found = binder.margins(term);
    let reading = binder.term(&found).ok()?.into_iter().next()?;
    Some(reading.oriented(&binder.loss))
}

/// A loss to which expressions are added on the way.
struct Binder {
    loss: Loss,
}

impl Binder {
    fn kind(&self, id: ExprId) -> Kind {
        self.loss.expr(id).kind
    }

    fn push(&mut self, kind: Kind, span: Span) -> ExprId {
        let own = match kind {
            Kind::Rho | Kind::Probability(_) => Level::Example,
            _ => Level::Uniform,
        };
        let level = kind.operands().iter().map(|o| self.loss.expr(*o).level).fold(own, Level::max);
        self.loss.exprs.push(Expr { kind, level, span });
        ExprId(u32::try_from(self.loss.exprs.len() - 1).unwrap_or(u32::MAX))
    }

    fn negated(&mut self, id: ExprId) -> ExprId {
        let span = self.loss.expr(id).span;
        match self.kind(id) {
            Kind::Call1(Fn1::Neg, a) => a,
            Kind::Call2(Fn2::Sub, a, b) => self.push(Kind::Call2(Fn2::Sub, b, a), span),
            _ => self.push(Kind::Call1(Fn1::Neg, id), span),
        }
    }

    /// The weights of one rho each: those of both responses where there are any, else all.
    fn classes(&self, readings: &[Reading]) -> Vec<Structure> {
        let of_both = |r: &&Reading| self.speaks_of_both(&r.structure);
        let some = readings.iter().any(|r| of_both(&r));
        let mut classes: Vec<Structure> = Vec::new();
        for r in readings.iter().filter(|r| !some || of_both(r)) {
            if !classes.iter().any(|c| r.is_of(c)) {
                classes.push(r.structure.clone());
            }
        }
        classes
    }

    /// Whether the policy's predictions of both responses of a pair matter; of one response where the
    /// data has no pairs.
    fn speaks_of_both(&self, structure: &Structure) -> bool {
        let wanted = match &self.loss.shape {
            DataShape::Pair { winner, loser, .. } => vec![winner, loser],
            DataShape::Labelled { response, .. } | DataShape::Trajectory { response, .. } => {
                vec![response]
            }
            _ => return false,
        };
        wanted.into_iter().all(|y| policy_atom(&self.loss, structure, y).is_some())
    }

    /// A loss that is minus the logarithm of a probability.
    fn whole(mut self) -> Option<Loss> {
        let minimize = self.loss.minimize;
        let span = self.loss.expr(minimize).span;
        let log = self.negated(minimize);
        let rest = self.push(Kind::Call1(Fn1::Log1mExp, log), span);
        let rho = self.push(Kind::Call2(Fn2::Sub, log, rest), span);
        super::rho::decompile(&self.loss, rho).ok()?;
        let core = self.push(Kind::Rho, span);
        let minimize = self.push(Kind::Link(Link::Logistic, core, None), span);
        Some(self.finish(rho, minimize, span))
    }

    /// The loss with only what it needs, operands before users.
    fn finish(mut self, rho: ExprId, minimize: ExprId, span: Span) -> Loss {
        let old = std::mem::take(&mut self.loss.exprs);
        let mut new = Compacted { old, new: Vec::new(), map: Vec::new() };
        new.map.resize(new.old.len(), None);
        for atom in &mut self.loss.atoms {
            atom.weight = atom.weight.map(|id| new.copy(id));
        }
        let value = new.copy(rho);
        self.loss.minimize = new.copy(minimize);
        self.loss.exprs = new.new;
        self.loss.core = Some(hir::Core::Arithmetic { value, span });
        self.add_atoms();
        self.loss
    }

    /// Columns that are log-weights become atoms, policy before reference, winner before loser.
    fn add_atoms(&mut self) {
        let loss = &mut self.loss;
        let used = |c: usize| loss.exprs.iter().any(|e| e.kind == Kind::Column(c));
        let columns = loss.columns.iter().enumerate().filter(|(c, _)| used(*c));
        let mut fresh: Vec<hir::Atom> = columns
            .filter_map(|(column, c)| Some((column, super::rho::atom(&c.quantity)?)))
            .filter(|(_, atom)| !loss.atoms.iter().any(|a| a.atom == *atom))
            .map(|(column, atom)| hir::Atom { atom, column, weight: None })
            .collect();
        let responses = loss.shape.responses();
        fresh.sort_by_key(|a| match &a.atom.kind {
            AtomKind::Response { model, response, mean } => (
                loss.models.iter().any(|m| m.name == *model && m.role != Role::Policy),
                loss.models.iter().position(|m| m.name == *model),
                responses.iter().position(|r| r == response),
                *mean,
            ),
            _ => (true, None, None, false),
        });
        loss.atoms.extend(fresh);
    }
}

/// The reachable expressions, moved.
struct Compacted {
    old: Vec<Expr>,
    new: Vec<Expr>,
    map: Vec<Option<ExprId>>,
}

impl Compacted {
    fn copy(&mut self, id: ExprId) -> ExprId {
        let at = id.0 as usize;
        if let Some(done) = self.map[at] {
            return done;
        }
        let Expr { kind, level, span } = self.old[at];
        let kind = kind.map(|o| self.copy(o));
        self.new.push(Expr { kind, level, span });
        let done = ExprId(u32::try_from(self.new.len() - 1).unwrap_or(u32::MAX));
        self.map[at] = Some(done);
        done
    }
}

/// The place of the policy's prediction of a response among the atoms of a structure.
fn policy_atom(loss: &Loss, structure: &Structure, y: &str) -> Option<usize> {
    let policy = loss.models.iter().find(|m| m.role == Role::Policy)?;
    structure.atoms.iter().position(|a| {
        matches!(&a.kind, AtomKind::Response { model, response, .. }
            if *model == policy.name && response == y)
    })
}

#[cfg(test)]
mod tests;
