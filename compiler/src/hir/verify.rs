//! The HIR verifier: run after resolving in debug builds, and by tests.

use super::{BatchFn, Core, Kind, Loss};
use crate::mir::Level;

/// Checks the invariants of the module documentation; one line a violation.
pub fn verify(loss: &Loss) -> Result<(), Vec<String>> {
    let mut wrong = Vec::new();
    for (i, e) in loss.exprs.iter().enumerate() {
        for o in e.kind.operands() {
            if o.0 as usize >= i {
                wrong.push(format!("expression {i} uses {} which does not precede it", o.0));
            }
        }
        let ok = match e.kind {
            Kind::Param(p) => p < loss.params.len(),
            Kind::Column(c) => c < loss.columns.len(),
            Kind::Probability(a) => a < loss.atoms.len(),
            Kind::Rho => loss.core.is_some(),
            Kind::Size(l) | Kind::Position(l) => loss.column_of(l).is_some(),
            _ => true,
        };
        if !ok {
            wrong.push(format!("expression {i} refers to something that is not there"));
            continue;
        }
        let deepest = e.kind.operands().iter().map(|o| loss.expr(*o).level).max();
        let want = match e.kind {
            Kind::Number(_) | Kind::Param(_) => Level::Uniform,
            Kind::Column(c) => loss.columns[c].level,
            Kind::Probability(_) | Kind::Rho => Level::Example,
            Kind::Size(l) => loss.shape.outside(l),
            Kind::Fold(_, x, to) if to < loss.expr(x).level => to,
            Kind::Position(l) => l.level(),
            Kind::Batch(BatchFn::Mean | BatchFn::Sum, _) => Level::Batch,
            _ => deepest.unwrap_or(Level::Uniform),
        };
        if e.level != want {
            wrong.push(format!("expression {i} has level {} instead of {want}", e.level));
        }
    }
    for (i, a) in loss.atoms.iter().enumerate() {
        if a.column >= loss.columns.len() {
            wrong.push(format!("atom {i} has no column"));
        }
    }
    if let Some(Core::Arithmetic { value, .. }) = &loss.core
        && value.0 as usize >= loss.exprs.len()
    {
        wrong.push("the core is not an expression of the loss".to_owned());
    }
    for r in &loss.running {
        let column = loss.columns.iter().any(|c| c.name() == r.name);
        if !column || loss.exprs.get(r.of.0 as usize).is_none_or(|e| e.level != Level::Example) {
            wrong.push(format!("`{}` is no mean of one number an example", r.name));
        }
    }
    if loss.minimize.0 as usize >= loss.exprs.len() {
        wrong.push("minimize is not an expression of the loss".to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}
