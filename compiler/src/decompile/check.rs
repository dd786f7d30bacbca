//! Judging the steps of a decompilation, independently of how they were found.

use super::field::Point;
use super::step::{Claim, Form, Step};
use super::{Decompiled, Expr, LargeDecompiled};
use crate::logic::{Atom, Function, LargeStructure, Polynomial, Rational, Structure};
use std::fmt;

/// How many random points an equality must hold at, each modulo a 62-bit prime.
const POINTS: u64 = 4;

/// How many points may be passed over because something divides by 0 there.
const RETRIES: u64 = 16;

/// The first thing wrong with a decompilation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// This step does not begin where the one before ended.
    Gap(usize),
    /// The two sides of this step differ.
    Unequal(usize),
    /// This step says something that the judge has no arithmetic for.
    Unjudged(usize),
    /// The polynomials of this step are not the counts of its rows.
    Rows(usize),
    /// The clauses of this step describe other rows.
    Clauses(usize),
    /// The steps end elsewhere than the result says.
    Result,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Gap(i) => write!(f, "step {} does not follow from the one before", i + 1),
            Wrong::Unequal(i) => write!(f, "the two sides of step {} differ", i + 1),
            Wrong::Unjudged(i) => write!(f, "step {} cannot be judged by evaluation", i + 1),
            Wrong::Rows(i) => write!(f, "the polynomials of step {} count other rows", i + 1),
            Wrong::Clauses(i) => write!(f, "the clauses of step {} describe other rows", i + 1),
            Wrong::Result => f.write_str("the steps do not end in the result"),
        }
    }
}

impl std::error::Error for Wrong {}

/// Judges every step of `found` from `rho` to its clauses.
///
/// Equalities of expressions are evaluated at random points modulo a prime, equalities of fractions are
/// multiplied out, rows are counted vertex by vertex and clauses compared as truth tables. A false
/// equality passes with probability below 2^-200.
///
/// # Errors
/// The first step that is wrong.
pub fn check(rho: &Expr, found: &Decompiled) -> Result<(), Wrong> {
    follow(rho, &found.steps, &found.constants)?;
    let ends = match found.steps.last().map(|s| &s.claim) {
        Some(Claim::Clauses { structure, core }) => {
            *structure == found.structure && *core == found.core
        }
        _ => false,
    };
    let counts = found.structure.polynomials() == (found.t.clone(), found.b.clone());
    if ends && counts { Ok(()) } else { Err(Wrong::Result) }
}

/// The same for a structure of more atoms than a table holds.
///
/// # Errors
/// The first step that is wrong.
pub fn check_large(rho: &Expr, found: &LargeDecompiled) -> Result<(), Wrong> {
    follow(rho, &found.steps, &found.constants)?;
    let ends = match found.steps.last().map(|s| &s.claim) {
        Some(Claim::LargeClauses { structure, core }) => {
            *structure == found.structure && *core == found.core
        }
        _ => false,
    };
    let counts = found.structure.polynomials() == Some((found.t.clone(), found.b.clone()));
    if ends && counts { Ok(()) } else { Err(Wrong::Result) }
}

/// Judges the steps, each of which must begin where the one before ended.
fn follow(rho: &Expr, steps: &[Step], constants: &[(Atom, Expr)]) -> Result<(), Wrong> {
    let mut text = rho.to_string();
    for (i, step) in steps.iter().enumerate() {
        if step.before() != text {
            return Err(Wrong::Gap(i));
        }
        judge(i, step, constants)?;
        text = step.after();
    }
    Ok(())
}

fn judge(i: usize, step: &Step, constants: &[(Atom, Expr)]) -> Result<(), Wrong> {
    match &step.claim {
        Claim::LargeRows { form, structure } => match large_counts(form, structure) {
            Some(true) => Ok(()),
            _ => Err(Wrong::Rows(i)),
        },
        Claim::LargeClauses { structure, core } => {
            let atoms = structure.atoms.clone();
            let again = LargeStructure::from_clauses(atoms, &core.p, &core.given, &core.tie);
            if again.as_ref() == Ok(structure) { Ok(()) } else { Err(Wrong::Clauses(i)) }
        }
        Claim::Equal { before, after } => equal(i, before, after, constants),
        Claim::SameFraction { before, after } => match same_fraction(before, after) {
            Some(true) => Ok(()),
            Some(false) => Err(Wrong::Unequal(i)),
            None => Err(Wrong::Unjudged(i)),
        },
        Claim::Rows { form, structure } => match counts(form, structure) {
            Some(true) => Ok(()),
            _ => Err(Wrong::Rows(i)),
        },
        Claim::Clauses { structure, core } => {
            let n = structure.n();
            let again = Structure::from_clauses(
                structure.atoms.clone(),
                core.p.table(n),
                core.given.table(n),
                core.tie.table(n),
            );
            if again.as_ref() == Ok(structure) { Ok(()) } else { Err(Wrong::Clauses(i)) }
        }
    }
}

fn equal(i: usize, before: &Expr, after: &Expr, constants: &[(Atom, Expr)]) -> Result<(), Wrong> {
    let mut judged = 0;
    for seed in 0..POINTS + RETRIES {
        let mut point = Point::new(seed, constants);
        let (Some(a), Some(b)) = (point.value(before), point.value(after)) else { continue };
        if !a.agrees(b) {
            return Err(Wrong::Unequal(i));
        }
        judged += 1;
        if judged == POINTS {
            return Ok(());
        }
    }
    Err(Wrong::Unjudged(i))
}

/// Whether two forms are the same rational function, by cross multiplication over their atoms side by
/// side.
fn same_fraction(before: &Form, after: &Form) -> Option<bool> {
    let plain = |f: &Form| f.number == Rational::ONE && f.constant.is_none();
    if !plain(before) || !plain(after) {
        return None;
    }
    let mut atoms = before.atoms.clone();
    atoms.extend(after.atoms.iter().filter(|a| !before.atoms.contains(a)).cloned());
    let sides = |form: &Form| -> Option<(Polynomial, Polynomial)> {
        let map: Option<Vec<usize>> =
            form.atoms.iter().map(|a| atoms.iter().position(|b| a == b)).collect();
        let map = map?;
        let (top, bottom) = form.expanded()?;
        Some((top.remap(&map)?, bottom.remap(&map)?))
    };
    let ((a, b), (c, d)) = (sides(before)?, sides(after)?);
    Some(a.times(&d)? == c.times(&b)?)
}

/// The same row by row.
fn large_counts(form: &Form, structure: &LargeStructure) -> Option<bool> {
    if form.atoms != structure.atoms || form.number != Rational::ONE || form.constant.is_some() {
        return Some(false);
    }
    let (top, bottom) = form.expanded()?;
    let indicates = |p: &Polynomial, f: &Function| {
        let values = p.vertex_values(structure.n())?;
        let mut all = values.iter().enumerate();
        Some(p.is_multilinear() && all.all(|(r, v)| *v == i128::from(f.holds(r))))
    };
    Some(indicates(&top, &structure.wins)? && indicates(&bottom, &structure.loses)?)
}

/// Whether the two sides of a form are the weighted counts of the rows.
fn counts(form: &Form, structure: &Structure) -> Option<bool> {
    if form.atoms != structure.atoms || form.number != Rational::ONE || form.constant.is_some() {
        return Some(false);
    }
    let n = structure.n();
    let (top, bottom) = form.expanded()?;
    let indicates = |p: &Polynomial, rows: crate::logic::Table| {
        let values = p.vertex_values(n)?;
        let all = values.iter().enumerate();
        Some(p.is_multilinear() && { all }.all(|(r, v)| *v == i128::from(rows.get(r))))
    };
    Some(indicates(&top, structure.wins)? && indicates(&bottom, structure.loses)?)
}
