//! Reduced fractions of weighted counts: what decides whether two structures denote the same rho.
//!
//! The polynomial of a Boolean function is multilinear, so its irreducible factors have disjoint
//! variables; each of them is again, up to its scale, the polynomial of a Boolean function, and the
//! function is their conjunction. Polynomials factor uniquely, so two fractions of such polynomials
//! are equal exactly where they are the same after cancelling common conjuncts.

use super::{MAX_ATOMS, Polynomial, Table};

/// The finest list of functions over disjoint atoms whose conjunction is `f`, in the order of their
/// lowest atom. Empty for the function true; `[false]` for the function false.
///
/// These are the irreducible factors of the polynomial of `f`.
pub fn conjuncts(f: Table, n: usize) -> Vec<Table> {
    let n = n.min(MAX_ATOMS);
    if f.is_false() {
        return vec![f];
    }
    let mut out = Vec::new();
    let mut rest = f;
    while !rest.is_true(n) {
        let support = rest.support(n);
        let lowest = support & support.wrapping_neg();
        // The smallest splitting group that holds the lowest atom is irreducible.
        let mut groups: Vec<u32> =
            (1..1u32 << n).filter(|g| g & !support == 0 && g & lowest != 0).collect();
        groups.sort_by_key(|g| (g.count_ones(), *g));
        let split = groups.into_iter().find_map(|group| {
            let (own, others) = (rest.exists(support & !group, n), rest.exists(group, n));
            (own & others == rest).then_some((own, others))
        });
        // The whole support always splits off, leaving true.
        let (own, others) = split.unwrap_or((rest, Table::full(n)));
        out.push(own);
        rest = others;
    }
    out
}

/// WMC(numerator) / WMC(denominator) in lowest terms, over `n` atoms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fraction {
    /// The winning rows once common conjuncts are gone.
    pub numerator: Table,
    /// The losing rows once common conjuncts are gone.
    pub denominator: Table,
}

impl Fraction {
    /// The fraction of two weighted counts over the same `n` atoms, reduced.
    ///
    /// Where one of them is the function false the fraction is 0, infinite or undefined: it is
    /// returned as 0/1, 1/0 or 0/0.
    pub fn reduced(wins: Table, loses: Table, n: usize) -> Self {
        let full = Table::full(n);
        if wins.is_false() || loses.is_false() {
            let end = |t: Table| if t.is_false() { t } else { full };
            return Self { numerator: end(wins), denominator: end(loses) };
        }
        let (top, bottom) = (conjuncts(wins, n), conjuncts(loses, n));
        let product = |of: &[Table], without: &[Table]| {
            of.iter().filter(|f| !without.contains(f)).fold(full, |all, f| all & *f)
        };
        Self { numerator: product(&top, &bottom), denominator: product(&bottom, &top) }
    }

    /// The conjuncts that cancelled out of `wins / loses`.
    pub fn common(wins: Table, loses: Table, n: usize) -> Vec<Table> {
        if wins.is_false() || loses.is_false() {
            return Vec::new();
        }
        let bottom = conjuncts(loses, n);
        conjuncts(wins, n).into_iter().filter(|f| bottom.contains(f)).collect()
    }

    /// Which of the `n` atoms the fraction depends on, as a bit mask.
    pub fn support(self, n: usize) -> u32 {
        self.numerator.support(n) | self.denominator.support(n)
    }

    /// Its numerator and denominator as polynomials in the weights of the `n` atoms.
    pub fn polynomials(self, n: usize) -> (Polynomial, Polynomial) {
        (Polynomial::of_table(self.numerator, n), Polynomial::of_table(self.denominator, n))
    }
}
