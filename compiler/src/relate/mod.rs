//! How two losses compare by their rho (SEMANTICS, section 4).
//!
//! Why: "the same loss" and "a stronger loss" are claims that can be decided. In: two structures,
//! over different atoms if need be; a policy-only loss and one with a reference are compared over the
//! union. Out: [`Relation`], with a proof or with witnesses, and [`check`], which judges them anew.
//!
//! Entailment is decided on rows, equality of rho on reduced fractions, and dominance, rho_A <= rho_B
//! everywhere inside the cube, as the polynomial inequality T_A B_B <= T_B B_A ([`non_negative`]).
//! Every weight is free in (0, 1), that of a constant atom too: a relation holds for all values of its
//! parameter, and a witness against one picks some.
//!
//! Invariant: everything is exact. What the bounds leave open is [`Verdict::Undecided`], never a guess.

mod bernstein;
mod certificate;
mod proof;
mod side;
mod tensor;
mod witness;

pub use bernstein::{Limit, MAX_HALVINGS, MAX_WORK, Sign, non_negative};
pub use certificate::{Certificate, multiplicity};
pub use proof::{Inference, Proof, Refuted, Stronger, check, check_large};
pub use witness::Witness;

use crate::logic::{Atom, LargeStructure, Polynomial, Rational, Structure};
use side::{Rows, Side, Subject};
use std::fmt;

/// How the first structure stands to the second, the strongest relation that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// The same rho everywhere.
    Equal,
    /// W of the first lies in W of the second and L of the second in L of the first: its rho is
    /// nowhere higher.
    Entails,
    /// The other way round.
    EntailedBy,
    /// The rho of the first is nowhere higher, though it does not entail the second.
    Dominates,
    /// The other way round.
    DominatedBy,
    /// Each is lower somewhere.
    Incomparable,
    /// The bounds of the search were too narrow to tell.
    Undecided,
    /// A structure has no winning or no losing row, so its rho is not finite.
    Undefined,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Equal => "equal",
            Order::Entails => "entails",
            Order::EntailedBy => "entailed_by",
            Order::Dominates => "dominates",
            Order::DominatedBy => "dominated_by",
            Order::Incomparable => "incomparable",
            Order::Undecided => "undecided",
            Order::Undefined => "undefined",
        })
    }
}

/// Whether rho is nowhere higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is not.
    Yes,
    /// It is somewhere.
    No,
    /// Not settled within this bound.
    Undecided {
        /// The bound.
        within: Limit,
    },
}

/// Entailment at two levels: containment of rows is sound for rho at either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Entailment {
    /// Of the structures as given.
    pub given: bool,
    /// Of the structures with common factors cancelled.
    pub canonical: bool,
}

impl Entailment {
    /// At one level at least.
    pub fn any(self) -> bool {
        self.given || self.canonical
    }
}

/// How two structures compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// The union of their atoms: first those of the first structure.
    pub atoms: Vec<Atom>,
    /// W and L are logically equal.
    pub structure_equal: bool,
    /// rho is the same function of all weights.
    pub rho_equal: bool,
    /// The first entails the second.
    pub entails: Entailment,
    /// The second entails the first.
    pub entailed_by: Entailment,
    /// The rho of the first is nowhere above that of the second.
    pub dominates: Verdict,
    /// The rho of the second is nowhere above that of the first.
    pub dominated_by: Verdict,
    /// The strongest of these.
    pub order: Order,
    /// Where they are incomparable: a point where the first is lower, and one where the second is.
    pub witnesses: Option<[Witness; 2]>,
    /// What shows the order.
    pub proof: Proof,
}

/// Compares two structures.
///
/// Structures without winning or without losing rows have no finite rho; with one of them
/// everything but `structure_equal` is false and the order is [`Order::Undefined`].
pub fn compare(a: &Structure, b: &Structure) -> Relation {
    relation(a, b)
}

/// Compares two structures of which one has more atoms than a table holds. Together they may have up to
/// [`crate::logic::MAX_VARIABLES`]; beyond that the order is [`Order::Undecided`].
pub fn compare_large(a: &LargeStructure, b: &LargeStructure) -> Relation {
    relation(a, b)
}

fn relation<S: Subject>(a: &S, b: &S) -> Relation {
    let atoms = a.together(b);
    let mut relation = Relation {
        atoms,
        structure_equal: false,
        rho_equal: false,
        entails: Entailment::default(),
        entailed_by: Entailment::default(),
        dominates: Verdict::No,
        dominated_by: Verdict::No,
        order: Order::Undefined,
        witnesses: None,
        proof: Proof::None,
    };
    let atoms = relation.atoms.clone();
    let n = atoms.len();
    let Some((first, second)) = a.side(&atoms).zip(b.side(&atoms)) else {
        let beyond = Verdict::Undecided { within: Limit::Atoms };
        (relation.dominates, relation.dominated_by) = (beyond, beyond);
        relation.order = Order::Undecided;
        return relation;
    };
    let given = containment(&first, &second, n);
    relation.structure_equal = given == [true; 4];
    if !a.is_finite() || !b.is_finite() {
        return relation;
    }
    let (x, y) = (a.reduced(), b.reduced());
    let Some((reduced_first, reduced_second)) = x.side(&atoms).zip(y.side(&atoms)) else {
        return relation;
    };
    let canonical = containment(&reduced_first, &reduced_second, n);
    relation.rho_equal = canonical == [true; 4];
    let both = |i: usize, j: usize| Entailment {
        given: given[i] && given[j],
        canonical: canonical[i] && canonical[j],
    };
    relation.entails = both(0, 3);
    relation.entailed_by = both(1, 2);
    let bounded = Bounded { given: (&first, &second), reduced: (&reduced_first, &reduced_second) };
    bounded.settle(&mut relation);
    relation
}

/// Whether W_A is in W_B, W_B in W_A, L_A in L_B, L_B in L_A.
fn containment(a: &Side<'_>, b: &Side<'_>, n: usize) -> [bool; 4] {
    [
        a.is_within(b, Rows::Wins, n),
        b.is_within(a, Rows::Wins, n),
        a.is_within(b, Rows::Loses, n),
        b.is_within(a, Rows::Loses, n),
    ]
}

struct Bounded<'a> {
    given: (&'a Side<'a>, &'a Side<'a>),
    reduced: (&'a Side<'a>, &'a Side<'a>),
}

impl Bounded<'_> {
    /// Fills in the verdicts, the order and what shows it.
    fn settle(&self, relation: &mut Relation) {
        if relation.rho_equal {
            (relation.dominates, relation.dominated_by) = (Verdict::Yes, Verdict::Yes);
            relation.order = Order::Equal;
            if let Some(proof) = self.same_fraction() {
                relation.proof = proof;
            }
            return;
        }
        // Entailment settles both directions: the rho differ somewhere.
        if relation.entails.any() {
            relation.dominates = Verdict::Yes;
            relation.order = Order::Entails;
            relation.proof = self.containment(Stronger::First, !relation.entails.given);
            return;
        }
        if relation.entailed_by.any() {
            relation.dominated_by = Verdict::Yes;
            relation.order = Order::EntailedBy;
            relation.proof = self.containment(Stronger::Second, !relation.entailed_by.given);
            return;
        }
        let limit = Verdict::Undecided { within: Limit::Terms };
        relation.order = Order::Undecided;
        let Some((common, difference)) = self.difference() else {
            let [lower, higher] = witness::sides(self.given.0, self.given.1, relation.atoms.len());
            relation.dominates = if higher.is_some() { Verdict::No } else { limit };
            relation.dominated_by = if lower.is_some() { Verdict::No } else { limit };
            self.incomparable(lower.zip(higher), relation);
            return;
        };
        self.inequality(relation, &common, &difference);
    }

    /// T_B B_A - T_A B_B as its common factors, positive inside the cube, times the rest.
    fn difference(&self) -> Option<(Vec<Polynomial>, Polynomial)> {
        let (first, second) = self.given;
        let mut common = Vec::new();
        let mut split = |x: Vec<Polynomial>, mut y: Vec<Polynomial>| {
            let mut left = Vec::new();
            for p in x {
                match y.iter().position(|q| *q == p) {
                    Some(i) => common.push(y.remove(i)),
                    None => left.push(p),
                }
            }
            (left, y)
        };
        let (top_first, top_second) = (first.factors(Rows::Wins)?, second.factors(Rows::Wins)?);
        let (low_first, low_second) = (first.factors(Rows::Loses)?, second.factors(Rows::Loses)?);
        // What cancels inside one fraction stands on both sides of the inequality, as does what both
        // numerators or both denominators share.
        let (top_first, low_first) = split(top_first, low_first);
        let (top_second, low_second) = split(top_second, low_second);
        let (top_first, top_second) = split(top_first, top_second);
        let (low_first, low_second) = split(low_first, low_second);
        let product = |x: &[Polynomial], y: &[Polynomial]| {
            x.iter().chain(y).try_fold(Polynomial::constant(1), |p, f| p.times(f))
        };
        let up = product(&top_second, &low_first)?;
        Some((common, up.minus(&product(&top_first, &low_second)?)?))
    }

    fn inequality(&self, relation: &mut Relation, common: &[Polynomial], d: &Polynomial) {
        let [mut positive, mut negative] = witness::signs(d);
        let mut certificate = None;
        // d > 0 somewhere is rho_A < rho_B there: the second does not dominate.
        if negative.is_none() {
            match non_negative(d) {
                Sign::NonNegative(shown) => {
                    relation.dominates = Verdict::Yes;
                    certificate = Some((Stronger::First, d.clone(), shown));
                }
                Sign::Negative(point) => negative = Some(point),
                Sign::Undecided(within) => relation.dominates = Verdict::Undecided { within },
            }
        }
        if positive.is_none() && certificate.is_none() {
            let sign = d.scaled(-1).map(|minus| (non_negative(&minus), minus));
            match sign {
                Some((Sign::NonNegative(shown), minus)) => {
                    relation.dominated_by = Verdict::Yes;
                    certificate = Some((Stronger::Second, minus, shown));
                }
                Some((Sign::Negative(point), _)) => positive = Some(point),
                Some((Sign::Undecided(within), _)) => {
                    relation.dominated_by = Verdict::Undecided { within };
                }
                None => relation.dominated_by = Verdict::Undecided { within: Limit::Size },
            }
        }
        if let Some((stronger, difference, certificate)) = certificate {
            relation.order = match stronger {
                Stronger::First => Order::Dominates,
                Stronger::Second => Order::DominatedBy,
            };
            let common = common.to_vec();
            relation.proof = Proof::Inequality { stronger, common, difference, certificate };
            return;
        }
        self.incomparable(positive.zip(negative), relation);
    }

    /// Two points, where the first rho is lower and where it is higher.
    fn incomparable(
        &self,
        points: Option<(Vec<Rational>, Vec<Rational>)>,
        relation: &mut Relation,
    ) {
        if let Some((lower, higher)) = points {
            relation.order = Order::Incomparable;
            relation.witnesses =
                self.witness(&lower, relation).zip(self.witness(&higher, relation)).map(Into::into);
            if relation.witnesses.is_some() {
                relation.proof = Proof::Witnesses;
            }
        }
    }

    fn witness(&self, point: &[Rational], relation: &Relation) -> Option<Witness> {
        let mut point = point.to_vec();
        point.truncate(relation.atoms.len());
        Witness::at(&point, self.given.0, self.given.1, &relation.atoms)
    }

    fn same_fraction(&self) -> Option<Proof> {
        Some(Proof::SameFraction {
            top: self.reduced.0.polynomial(Rows::Wins)?,
            bottom: self.reduced.0.polynomial(Rows::Loses)?,
            first: self.given.0.common()?,
            second: self.given.1.common()?,
        })
    }

    fn containment(&self, stronger: Stronger, canonical: bool) -> Proof {
        let (first, second) = if canonical { self.reduced } else { self.given };
        let (strong, weak) = match stronger {
            Stronger::First => (first, second),
            Stronger::Second => (second, first),
        };
        let wins = proof::inferences(strong, weak, Rows::Wins);
        let loses = proof::inferences(weak, strong, Rows::Loses);
        match wins.zip(loses) {
            Some((wins, loses)) => Proof::Containment { stronger, canonical, wins, loses },
            None => Proof::Rows { stronger, canonical },
        }
    }
}
