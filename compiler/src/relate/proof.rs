//! What shows a relation, and the judge of it.

use super::certificate::Certificate;
use super::side::{Rows, Side, Subject, inside, within};
use super::{Order, Relation, Verdict};
use crate::logic::{Atom, Cube, LargeStructure, Polynomial, Structure};
use std::fmt;

/// A conjunction of literals implied by nothing more than a disjunction of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// A conjunction of the stronger side.
    pub premise: Cube,
    /// Conjunctions of the weaker side; together they hold wherever the premise does.
    pub conclusion: Vec<Cube>,
}

impl Inference {
    /// `pi(w) & !pi(l) -> pi(w)`
    pub fn shown(&self, atoms: &[Atom]) -> String {
        let names: Vec<String> = self
            .conclusion
            .iter()
            .map(|c| {
                let text = c.formula().shown(atoms).to_string();
                let alone = self.conclusion.len() == 1;
                if alone || c.literals() < 2 { text } else { format!("({text})") }
            })
            .collect();
        format!("{} -> {}", self.premise.formula().shown(atoms), names.join(" | "))
    }
}

/// Which structure is the stronger one: lower rho.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stronger {
    /// The first one.
    First,
    /// The second one.
    Second,
}

/// What shows a relation. Polynomials and cubes are over [`Relation::atoms`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Both fractions come down to the same one.
    SameFraction {
        /// The numerator of both, reduced.
        top: Polynomial,
        /// The denominator of both, reduced.
        bottom: Polynomial,
        /// What cancels in the first.
        first: Vec<Polynomial>,
        /// What cancels in the second.
        second: Vec<Polynomial>,
    },
    /// W of the stronger implies W of the weaker, and L of the weaker implies L of the stronger.
    Containment {
        /// The one that entails the other.
        stronger: Stronger,
        /// True where it holds of the reduced structures, false where of those given.
        canonical: bool,
        /// From the winning rows of the stronger to those of the weaker.
        wins: Vec<Inference>,
        /// From the losing rows of the weaker to those of the stronger.
        loses: Vec<Inference>,
    },
    /// The same, looked at row by row: the conjunctions are too many to list.
    Rows {
        /// The one that entails the other.
        stronger: Stronger,
        /// True where it holds of the reduced structures, false where of those given.
        canonical: bool,
    },
    /// T_weaker B_stronger - T_stronger B_weaker is the product of the common factors and of
    /// a polynomial that is non-negative on the cube.
    Inequality {
        /// The one with the lower rho.
        stronger: Stronger,
        /// Weighted counts, positive inside the cube.
        common: Vec<Polynomial>,
        /// The rest.
        difference: Polynomial,
        /// Why that is non-negative.
        certificate: Certificate,
    },
    /// The two witnesses show it.
    Witnesses,
    /// There is nothing to show: undecided, or rho is undefined.
    None,
}

impl Proof {
    /// The proof as lines of text.
    pub fn lines(&self, atoms: &[Atom]) -> Vec<String> {
        let product = |list: &[Polynomial]| {
            let parts: Vec<String> = list.iter().map(|p| format!("({})", p.shown(atoms))).collect();
            parts.join(" * ")
        };
        match self {
            Proof::SameFraction { top, bottom, first, second } => {
                let mut out = Vec::new();
                for (name, common) in [("first", first), ("second", second)] {
                    if !common.is_empty() {
                        out.push(format!("{} cancels in the {name}", product(common)));
                    }
                }
                out.push(format!("both are ({}) / ({})", top.shown(atoms), bottom.shown(atoms)));
                out
            }
            Proof::Containment { canonical, wins, loses, .. } => {
                let mut out = Vec::new();
                if *canonical {
                    out.push("after cancelling common factors".into());
                }
                out.extend(wins.iter().map(|i| format!("wins: {}", i.shown(atoms))));
                out.extend(loses.iter().map(|i| format!("loses: {}", i.shown(atoms))));
                out
            }
            Proof::Rows { canonical, .. } => {
                let after = if *canonical { ", after cancelling common factors" } else { "" };
                vec![format!(
                    "every winning row of the stronger wins in the weaker, and every losing row of the \
                     weaker loses in the stronger{after}: {} rows, looked at one by one",
                    1usize << atoms.len()
                )]
            }
            Proof::Inequality { common, difference, certificate, .. } => {
                let factor = if common.is_empty() {
                    String::new()
                } else {
                    format!("{} * ", product(common))
                };
                vec![
                    format!(
                        "the cross difference {factor}({}) is not negative on the cube",
                        difference.shown(atoms)
                    ),
                    certificate.shown(atoms),
                ]
            }
            Proof::Witnesses => vec!["one witness each way".into()],
            Proof::None => Vec::new(),
        }
    }
}

/// Inferences from every cube of `from` to those of `to`; `within` must hold. `None` where the cubes are
/// too many to list.
pub(super) fn inferences(from: &Side<'_>, to: &Side<'_>, rows: Rows) -> Option<Vec<Inference>> {
    let cover = to.cover(rows)?;
    let meets = |a: Cube, b: Cube| (a.value ^ b.value) & a.care & b.care == 0;
    let infer = |premise: Cube| {
        let conclusion = match to.prime_above(rows, premise) {
            Some(prime) => vec![prime],
            None => cover.iter().copied().filter(|c| meets(premise, *c)).collect(),
        };
        Inference { premise, conclusion }
    };
    Some(from.cover(rows)?.into_iter().map(infer).collect())
}

/// What is wrong with a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refuted {
    /// The atoms are not those of the structures.
    Atoms,
    /// The verdicts do not fit the order claimed.
    Verdicts,
    /// The proof is of another relation, or does not show it.
    Proof,
    /// A witness does not lie where it says, or not on its side.
    Witness,
    /// A polynomial is too large to be multiplied out again.
    TooLarge,
}

impl fmt::Display for Refuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refuted::Atoms => "the relation is about other atoms",
            Refuted::Verdicts => "the verdicts contradict the order",
            Refuted::Proof => "the proof does not show the order",
            Refuted::Witness => "a witness does not show what it should",
            Refuted::TooLarge => "a polynomial of the proof is too large to multiply out",
        })
    }
}

impl std::error::Error for Refuted {}

/// Judges a relation between two structures by its proof, from the rows of the structures alone.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(a: &Structure, b: &Structure, relation: &Relation) -> Result<(), Refuted> {
    judge(a, b, relation)
}

/// Judges a relation between two structures of which one has more atoms than a table holds, row by row.
///
/// # Errors
/// The first thing that does not hold.
pub fn check_large(
    a: &LargeStructure,
    b: &LargeStructure,
    relation: &Relation,
) -> Result<(), Refuted> {
    judge(a, b, relation)
}

fn judge<S: Subject>(a: &S, b: &S, relation: &Relation) -> Result<(), Refuted> {
    let atoms = &relation.atoms;
    if *atoms != a.together(b) {
        return Err(Refuted::Atoms);
    }
    let Some((first, second)) = a.side(atoms).zip(b.side(atoms)) else {
        // Too many atoms together: nothing may be claimed.
        let silent = relation.order == Order::Undecided && relation.proof == Proof::None;
        return if silent { Ok(()) } else { Err(Refuted::Atoms) };
    };
    let fits = match relation.order {
        Order::Equal => relation.rho_equal,
        Order::Entails => !relation.rho_equal && relation.entails.any(),
        Order::EntailedBy => !relation.rho_equal && relation.entailed_by.any(),
        Order::Dominates => !relation.entails.any() && relation.dominates == Verdict::Yes,
        Order::DominatedBy => !relation.entailed_by.any() && relation.dominated_by == Verdict::Yes,
        Order::Incomparable => [relation.dominates, relation.dominated_by] == [Verdict::No; 2],
        Order::Undecided | Order::Undefined => relation.proof == Proof::None,
    };
    if !fits {
        return Err(Refuted::Verdicts);
    }
    let fine = match (&relation.proof, relation.order) {
        (Proof::SameFraction { top, bottom, first: own, second: other }, Order::Equal) => {
            let same = |side: &Side<'_>, common: &[Polynomial]| {
                let by = |p: &Polynomial| common.iter().try_fold(p.clone(), |p, f| p.times(f));
                Some(
                    side.polynomial(Rows::Wins)? == by(top)?
                        && side.polynomial(Rows::Loses)? == by(bottom)?,
                )
            };
            let verdict = same(&first, own).zip(same(&second, other));
            let (x, y) = verdict.ok_or(Refuted::TooLarge)?;
            x && y && !top.is_empty() && !bottom.is_empty()
        }
        (Proof::Containment { stronger, canonical, wins, loses }, order) => {
            let expected = match order {
                Order::Entails => Stronger::First,
                Order::EntailedBy => Stronger::Second,
                _ => return Err(Refuted::Proof),
            };
            let (x, y) = (a.reduced(), b.reduced());
            let reduced = x.side(atoms).zip(y.side(atoms)).ok_or(Refuted::Atoms)?;
            let (first, second) = if *canonical { reduced } else { (first, second) };
            let (strong, weak) = match stronger {
                Stronger::First => (first, second),
                Stronger::Second => (second, first),
            };
            *stronger == expected
                && follows(&strong, &weak, Rows::Wins, wins, atoms.len())
                && follows(&weak, &strong, Rows::Loses, loses, atoms.len())
        }
        (Proof::Rows { stronger, canonical }, order) => {
            let expected = match order {
                Order::Entails => Stronger::First,
                Order::EntailedBy => Stronger::Second,
                _ => return Err(Refuted::Proof),
            };
            let (x, y) = (a.reduced(), b.reduced());
            let reduced = x.side(atoms).zip(y.side(atoms)).ok_or(Refuted::Atoms)?;
            let (first, second) = if *canonical { reduced } else { (first, second) };
            let (strong, weak) = match stronger {
                Stronger::First => (&first, &second),
                Stronger::Second => (&second, &first),
            };
            *stronger == expected
                && within(strong, weak, Rows::Wins, atoms.len())
                && within(weak, strong, Rows::Loses, atoms.len())
        }
        (Proof::Inequality { stronger, common, difference, certificate }, order) => {
            let expected = match order {
                Order::Dominates => Stronger::First,
                Order::DominatedBy => Stronger::Second,
                _ => return Err(Refuted::Proof),
            };
            let (strong, weak) = match stronger {
                Stronger::First => (&first, &second),
                Stronger::Second => (&second, &first),
            };
            let difference_of = || {
                let up = weak.polynomial(Rows::Wins)?.times(&strong.polynomial(Rows::Loses)?)?;
                up.minus(&strong.polynomial(Rows::Wins)?.times(&weak.polynomial(Rows::Loses)?)?)
            };
            let whole = difference_of().ok_or(Refuted::TooLarge)?;
            let product = common.iter().try_fold(difference.clone(), |p, f| p.times(f));
            // A count over the rows of a function is positive inside the cube.
            let counts = |p: &Polynomial| {
                let values = p.vertex_values(atoms.len());
                let fits = |v: Vec<i128>| v.iter().all(|v| matches!(v, 0 | 1));
                p.is_multilinear() && !p.is_empty() && values.is_some_and(fits)
            };
            *stronger == expected
                && product.ok_or(Refuted::TooLarge)? == whole
                && common.iter().all(counts)
                && certificate.judged(difference).ok_or(Refuted::TooLarge)?
        }
        (Proof::Witnesses, Order::Incomparable) => {
            let Some([lower, higher]) = &relation.witnesses else { return Err(Refuted::Witness) };
            for (witness, sign) in [(lower, -1), (higher, 1)] {
                let seen = witness.judged(&first, &second, atoms).ok_or(Refuted::Witness)?;
                if seen != sign {
                    return Err(Refuted::Witness);
                }
            }
            true
        }
        (Proof::None, Order::Undecided | Order::Undefined) => true,
        _ => false,
    };
    if fine { Ok(()) } else { Err(Refuted::Proof) }
}

/// Whether the inferences lead from one function to the other.
fn follows(from: &Side<'_>, to: &Side<'_>, rows: Rows, steps: &[Inference], n: usize) -> bool {
    let sound = steps.iter().all(|step| {
        (0..1usize << n)
            .filter(|row| inside(step.premise, *row))
            .all(|row| step.conclusion.iter().any(|c| inside(*c, row)) && to.holds(rows, row))
    });
    let complete = (0..1usize << n)
        .filter(|row| from.holds(rows, *row))
        .all(|row| steps.iter().any(|step| inside(step.premise, row)));
    sound && complete && within(from, to, rows, n)
}
