//! Canonical order of columns and atoms, so that equal losses read their inputs alike however written.

use crate::hir::model::*;
use crate::hir::quantity::Quantity;
use crate::logic::AtomKind;

/// Sorts columns and atoms: policy before reference, winner before loser, model quantities before
/// lengths and data.
pub(super) fn order(loss: &mut Loss) {
    let columns = sorted(&loss.columns, |c| column_rank(loss, &c.quantity));
    let atoms = sorted(&loss.atoms, |a| atom_rank(loss, a));
    for e in &mut loss.exprs {
        match &mut e.kind {
            Kind::Column(c) => *c = columns[*c],
            Kind::Probability(a) => *a = atoms[*a],
            _ => {}
        }
    }
    for a in &mut loss.atoms {
        a.column = columns[a.column];
    }
    if let Some(Core::Logical { prefer, given, tie, .. }) = &mut loss.core {
        for t in [prefer, given, tie] {
            *t = t.remap(&atoms, atoms.len());
        }
    }
    if let Some(Core::Large { prefer, given, tie, .. }) = &mut loss.core {
        for f in [prefer, given, tie] {
            *f = f.renamed(&atoms);
        }
    }
    permute(&mut loss.columns, &columns);
    permute(&mut loss.atoms, &atoms);
}

/// The new place of every element of a list sorted by rank; equal ranks keep their order.
fn sorted<T, R: Ord>(list: &[T], rank: impl Fn(&T) -> R) -> Vec<usize> {
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by_key(|i| rank(&list[*i]));
    let mut place = vec![0; list.len()];
    for (new, old) in order.into_iter().enumerate() {
        place[old] = new;
    }
    place
}

fn permute<T: Clone>(list: &mut [T], place: &[usize]) {
    let old = list.to_vec();
    for (x, to) in old.into_iter().zip(place) {
        list[*to] = x;
    }
}

fn model_rank(loss: &Loss, model: &str) -> (bool, usize) {
    let place = loss.models.iter().position(|m| m.name == model).unwrap_or(usize::MAX);
    (loss.models.get(place).is_none_or(|m| m.role != Role::Policy), place)
}

fn response_rank(loss: &Loss, response: &str) -> usize {
    loss.shape.responses().iter().position(|r| *r == response).unwrap_or(usize::MAX)
}

fn atom_rank(loss: &Loss, atom: &Atom) -> ((bool, usize), usize) {
    match &atom.atom.kind {
        AtomKind::Response { model, response, .. } => {
            (model_rank(loss, model), response_rank(loss, response))
        }
        _ => ((true, usize::MAX), usize::MAX),
    }
}

fn column_rank(loss: &Loss, q: &Quantity) -> (usize, (bool, usize), usize) {
    let at = |group: usize, model: &str, response: &str| {
        (group, model_rank(loss, model), response_rank(loss, response))
    };
    match q {
        Quantity::Logp { model, response } => at(0, model, response),
        Quantity::MeanLogp { model, response } => at(1, model, response),
        Quantity::SharedLogp { model, response } => at(2, model, response),
        Quantity::TailLogp { model, response } => at(3, model, response),
        Quantity::DivergedLogp { model, response } => at(4, model, response),
        Quantity::LogSumP2 { model, response } => at(5, model, response),
        Quantity::Kl { first, response, .. } => at(6, first, response),
        Quantity::Entropy { model, response } => at(7, model, response),
        Quantity::Head { head, model, response } => at(8 + *head as usize, model, response),
        Quantity::Token(inner) => {
            let (group, model, response) = column_rank(loss, inner);
            (20 + group, model, response)
        }
        Quantity::MismatchedLogp { model } => (50, model_rank(loss, model), 0),
        Quantity::Len { response } => (51, (false, 0), response_rank(loss, response)),
        Quantity::Label { .. } => (52, (false, 0), 0),
        Quantity::Data { .. } => (53, (false, 0), 0),
    }
}
