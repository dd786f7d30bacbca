//! Drops what the loss does not reach: expressions of unused definitions and their columns.

use crate::hir::model::*;

/// Keeps the expressions, columns and atoms that `minimize` and the core use.
pub(super) fn prune(loss: &mut Loss) {
    let mut roots = vec![loss.minimize];
    if let Some(Core::Arithmetic { value, .. }) = loss.core {
        roots.push(value);
    }
    let live = reachable(loss, &roots);
    let mut columns = vec![false; loss.columns.len()];
    let mut atoms = vec![
        matches!(loss.core, Some(Core::Logical { .. } | Core::Large { .. }));
        loss.atoms.len()
    ];
    for (e, _) in loss.exprs.iter().zip(&live).filter(|(_, l)| **l) {
        match e.kind {
            Kind::Column(c) => columns[c] = true,
            Kind::Probability(a) => atoms[a] = true,
            _ => {}
        }
    }
    // A log-weight that is an expression reads columns of its own.
    let used = |a: usize| loss.atoms.get(a).filter(|_| atoms[a]);
    roots.extend((0..atoms.len()).filter_map(|a| used(a)?.weight));
    // So does what a running mean that is read is the mean of.
    let read = |r: &Running| {
        let place = loss.columns.iter().position(|c| c.name() == r.name);
        place.is_some_and(|c| columns[c])
    };
    let running: Vec<Running> = loss.running.iter().filter(|r| read(r)).cloned().collect();
    roots.extend(running.iter().map(|r| r.of));
    let live = reachable(loss, &roots);
    for (e, _) in loss.exprs.iter().zip(&live).filter(|(_, l)| **l) {
        if let Kind::Column(c) = e.kind {
            columns[c] = true;
        }
    }
    for a in (0..atoms.len()).filter_map(used).filter(|a| a.weight.is_none()) {
        columns[a.column] = true;
    }
    loss.running = running;
    let expr = places(&live);
    let column = places(&columns);
    let atom = places(&atoms);
    let e = |id: ExprId| ExprId(expr[id.0 as usize] as u32);
    retain(&mut loss.exprs, &live);
    retain(&mut loss.columns, &columns);
    retain(&mut loss.atoms, &atoms);
    for a in &mut loss.atoms {
        a.column = column[a.column];
        a.weight = a.weight.map(e);
    }
    for x in &mut loss.exprs {
        x.kind = match x.kind {
            Kind::Column(c) => Kind::Column(column[c]),
            Kind::Probability(a) => Kind::Probability(atom[a]),
            Kind::Number(_) | Kind::Param(_) | Kind::Rho | Kind::Position(_) | Kind::Size(_) => {
                x.kind
            }
            Kind::Call1(f, a) => Kind::Call1(f, e(a)),
            Kind::Call2(f, a, b) => Kind::Call2(f, e(a), e(b)),
            Kind::If(c, a, b) => Kind::If(e(c), e(a), e(b)),
            Kind::Link(l, a, b) => Kind::Link(l, e(a), b.map(e)),
            Kind::Noise(n, r, a, b) => Kind::Noise(n, e(r), e(a), e(b)),
            Kind::Batch(f, a) => Kind::Batch(f, e(a)),
            Kind::Fold(f, a, to) => Kind::Fold(f, e(a), to),
            Kind::Scan(s, a) => Kind::Scan(s, e(a)),
            Kind::Recurrence(d, a, b) => Kind::Recurrence(d, e(a), e(b)),
        };
    }
    if let Some(Core::Arithmetic { value, .. }) = &mut loss.core {
        *value = e(*value);
    }
    loss.minimize = e(loss.minimize);
    for r in &mut loss.running {
        r.of = e(r.of);
    }
}

fn reachable(loss: &Loss, roots: &[ExprId]) -> Vec<bool> {
    let mut live = vec![false; loss.exprs.len()];
    for r in roots {
        live[r.0 as usize] = true;
    }
    // Operands precede their users, so one sweep from the end suffices.
    for i in (0..live.len()).rev() {
        if live[i] {
            for o in loss.exprs[i].kind.operands() {
                live[o.0 as usize] = true;
            }
        }
    }
    live
}

/// The new index of everything that is kept.
fn places(keep: &[bool]) -> Vec<usize> {
    keep.iter()
        .scan(0, |next, k| {
            let place = *next;
            *next += usize::from(*k);
            Some(place)
        })
        .collect()
}

fn retain<T>(list: &mut Vec<T>, keep: &[bool]) {
    let mut i = 0;
    list.retain(|_| {
        i += 1;
        keep[i - 1]
    });
}
