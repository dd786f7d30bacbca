//! Boolean functions of more atoms than a machine word holds, as binary decision diagrams.
//!
//! Diagrams are ordered and reduced, so equal functions are equal values.

use super::diagram::{Diagram, Operation};
use super::{Formula, Inadmissible, MAX_VARIABLES, Polynomial, Rational, Table};
use std::fmt;

/// A Boolean function of up to [`MAX_VARIABLES`] atoms: bit `i` of a row is the value of atom `i`.
///
/// Like a [`Table`] it does not store how many atoms there are; it may ignore some.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Function(Diagram);

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({} nodes over {:#b})", self.size(), self.support())
    }
}

impl Function {
    /// True or false in every row.
    pub fn constant(value: bool) -> Self {
        Self(Diagram::constant(value))
    }

    /// True where atom `i` is; false everywhere from [`MAX_VARIABLES`] on.
    pub fn atom(i: usize) -> Self {
        if i < MAX_VARIABLES { Self(Diagram::variable(i as u8)) } else { Self::constant(false) }
    }

    /// The function of a formula. An atom from [`MAX_VARIABLES`] on is false.
    pub fn of_formula(formula: &Formula) -> Self {
        let of = Self::of_formula;
        match formula {
            Formula::True => Self::constant(true),
            Formula::False => Self::constant(false),
            Formula::Atom(i) => Self::atom(*i),
            Formula::Not(a) => of(a).not(),
            Formula::And(args) => args.iter().fold(Self::constant(true), |f, a| f.and(&of(a))),
            Formula::Or(args) => args.iter().fold(Self::constant(false), |f, a| f.or(&of(a))),
            Formula::Implies(a, b) => of(a).implies(&of(b)),
            Formula::Iff(a, b) => of(a).xor(&of(b)).not(),
            Formula::Xor(a, b) => of(a).xor(&of(b)),
        }
    }

    /// The function of a table over `n` atoms.
    pub fn of_table(table: Table, n: usize) -> Self {
        let values: Vec<bool> = (0..1usize << n.min(6)).map(|row| table.get(row)).collect();
        Self(Diagram::of_values(&values, n.min(6)))
    }

    /// `high` where atom `i` is true, `low` where it is false.
    fn either(i: usize, low: &Self, high: &Self) -> Self {
        let atom = Self::atom(i);
        atom.and(high).or(&low.without(&atom))
    }

    /// The function of which a polynomial is the weighted count, over the first `n` atoms.
    ///
    /// # Errors
    /// As [`Polynomial::indicator`]: it must be multilinear, and 0 or 1 at every vertex.
    pub fn of_polynomial(p: &Polynomial, n: usize) -> Result<Self, Inadmissible> {
        if n > MAX_VARIABLES {
            return Err(Inadmissible::TooLarge);
        }
        let values: Vec<bool> = p.indicated(n)?.into_iter().map(|v| v == 1).collect();
        Ok(Self(Diagram::of_values(&values, n)))
    }

    fn joined(&self, other: &Self, values: [bool; 4]) -> Self {
        Self(self.0.apply(&other.0, Operation(values)))
    }

    /// True in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.joined(other, [false, false, false, true])
    }

    /// True in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.joined(other, [false, true, true, true])
    }

    /// True in exactly one.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        self.joined(other, [false, true, true, false])
    }

    /// True where this is false.
    #[must_use]
    pub fn not(&self) -> Self {
        self.joined(self, [true, false, false, false])
    }

    /// True where this is false or `other` true.
    #[must_use]
    pub fn implies(&self, other: &Self) -> Self {
        self.joined(other, [true, true, false, true])
    }

    /// True here and false in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.joined(other, [false, false, true, false])
    }

    /// False in every row.
    pub fn is_false(&self) -> bool {
        self.0.as_constant() == Some(false)
    }

    /// True in every row.
    pub fn is_true(&self) -> bool {
        self.0.as_constant() == Some(true)
    }

    /// Whether every row of this is a row of `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.without(other).is_false()
    }

    /// How many nodes its diagram has.
    pub fn size(&self) -> usize {
        self.0.nodes().len()
    }

    /// The atoms that it depends on, as a bit mask.
    pub fn support(&self) -> u32 {
        self.0.nodes().iter().fold(0, |mask, n| mask | 1 << n.variable)
    }

    /// Its value in a row.
    pub fn holds(&self, row: usize) -> bool {
        self.0.holds(row)
    }

    /// The function with atom `i` fixed, on which it no longer depends.
    #[must_use]
    pub fn cofactor(&self, i: usize, value: bool) -> Self {
        if i >= MAX_VARIABLES {
            return self.clone();
        }
        Self(self.0.restrict(i as u8, value))
    }

    /// True where some value of the atoms in `mask` makes it true.
    #[must_use]
    pub fn exists(&self, mask: u32) -> Self {
        let atoms = (0..MAX_VARIABLES).filter(|i| (mask & self.support()) >> i & 1 == 1);
        atoms.fold(self.clone(), |f, i| f.cofactor(i, false).or(&f.cofactor(i, true)))
    }

    /// The same function of other atoms: atom `i` becomes `map[i]`, different atoms different ones.
    /// `None` where an atom that it depends on has no place.
    pub fn remap(&self, map: &[usize]) -> Option<Self> {
        self.0.fold([false, true].map(Self::constant), |i, low, high| {
            let to = *map.get(i).filter(|to| **to < MAX_VARIABLES)?;
            Some(Self::either(to, low, high))
        })
    }

    /// Its table over the atoms listed, atom `atoms[i]` as atom `i`; `None` for more of them than a
    /// table holds, or where it depends on others.
    pub fn table(&self, atoms: &[usize]) -> Option<Table> {
        let listed = atoms.iter().fold(0u32, |mask, i| mask | 1 << i);
        if atoms.len() > super::MAX_ATOMS || self.support() & !listed != 0 {
            return None;
        }
        let spread = |row: usize| {
            let set = atoms.iter().enumerate().filter(|(i, _)| row >> i & 1 == 1);
            set.fold(0, |out, (_, to)| out | 1 << to)
        };
        let rows = (0..1usize << atoms.len()).filter(|row| self.holds(spread(*row)));
        Some(Table::of_rows(rows, atoms.len()))
    }

    /// Its weighted count where atom `i` has the weight `weights[i]` (1 past the end), in one pass over
    /// the diagram; `None` where a number outgrows 128 bits.
    pub fn weight(&self, weights: &[Rational]) -> Option<Rational> {
        self.0.fold([Rational::ZERO, Rational::ONE], |i, low, high| {
            let p = weights.get(i).copied().unwrap_or(Rational::ONE);
            p.times(*high)?.plus(p.complement()?.times(*low)?)
        })
    }

    /// Its weighted count as a polynomial; `None` beyond [`super::MAX_TERMS`] monomials.
    pub fn polynomial(&self) -> Option<Polynomial> {
        let leaves = [Polynomial::constant(0), Polynomial::constant(1)];
        self.0.fold(leaves, |i, low, high| {
            low.plus(&Polynomial::variable(i)?.times(&high.minus(low)?)?)
        })
    }

    /// The finest list of functions over disjoint atoms whose conjunction it is, in the order of their
    /// lowest atom: the irreducible factors of its polynomial. Empty for the function true; `[false]` for
    /// the function false.
    ///
    /// Two atoms x, y stand in one factor of a multilinear polynomial f exactly where f11 f00 and f10 f01
    /// differ (the digits are the values of x and y). That is evaluated at a random point modulo a prime, which
    /// can take one factor for two with probability below 2^-55; that the parts make up the function is
    /// then checked.
    pub fn conjuncts(&self) -> Vec<Self> {
        match self.0.as_constant() {
            Some(true) => return Vec::new(),
            Some(false) => return vec![self.clone()],
            None => {}
        }
        let support = self.support();
        let groups = self.groups(support);
        let parts: Vec<Self> = groups.iter().map(|g| self.exists(support & !g)).collect();
        let whole = parts.iter().fold(Self::constant(true), |f, p| f.and(p));
        if whole == *self { parts } else { vec![self.clone()] }
    }

    /// The atoms of each factor, as bit masks.
    fn groups(&self, support: u32) -> Vec<u32> {
        let atoms: Vec<usize> = (0..MAX_VARIABLES).filter(|i| support >> i & 1 == 1).collect();
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let point: [u64; MAX_VARIABLES] = std::array::from_fn(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % PRIME
        });
        let mut groups: Vec<u32> = atoms.iter().map(|i| 1 << i).collect();
        for (k, &x) in atoms.iter().enumerate() {
            let sides = [false, true].map(|v| self.cofactor(x, v));
            for &y in &atoms[k + 1..] {
                let of = |g: u32, i: usize| g >> i & 1 == 1;
                if groups.iter().any(|g| of(*g, x) && of(*g, y)) {
                    continue;
                }
                let at = |side: &Self, v: bool| {
                    let mut point = point;
                    point[y] = u64::from(v);
                    side.residue(&point)
                };
                let [low, high] = &sides;
                let same = product(at(high, true), at(low, false))
                    == product(at(high, false), at(low, true));
                if !same {
                    let (joined, apart): (Vec<u32>, Vec<u32>) =
                        groups.into_iter().partition(|g| of(*g, x) || of(*g, y));
                    groups = apart;
                    groups.push(joined.into_iter().fold(0, |all, g| all | g));
                }
            }
        }
        groups.sort_by_key(|g| g.trailing_zeros());
        groups
    }

    /// Its weighted count modulo [`PRIME`].
    fn residue(&self, weights: &[u64; MAX_VARIABLES]) -> u64 {
        let count = self.0.fold([0, 1], |i, low, high| {
            let p = weights.get(i).copied().unwrap_or(1);
            let rest = (PRIME + 1 - p) % PRIME;
            Some((product(p, *high) + product(rest, *low)) % PRIME)
        });
        count.unwrap_or(0)
    }
}

/// A Mersenne prime.
const PRIME: u64 = (1 << 61) - 1;

fn product(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}
