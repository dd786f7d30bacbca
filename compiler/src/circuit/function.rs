//! Boolean functions of up to six atoms as one machine word, with what circuits need of them.

use crate::logic::Table;

/// The greatest number of atoms.
pub(super) const ATOMS: usize = 6;

/// In the word of atom `i`, bit `r` is bit `i` of `r`.
const ATOM: [u64; ATOMS] = [
    0xaaaa_aaaa_aaaa_aaaa,
    0xcccc_cccc_cccc_cccc,
    0xf0f0_f0f0_f0f0_f0f0,
    0xff00_ff00_ff00_ff00,
    0xffff_0000_ffff_0000,
    0xffff_ffff_0000_0000,
];

/// An atom, or its negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Literal {
    pub(super) atom: usize,
    pub(super) positive: bool,
}

impl Literal {
    pub(super) fn function(self) -> Function {
        let word = ATOM[self.atom];
        Function(if self.positive { word } else { !word })
    }
}

/// A conjunction of literals of different atoms.
pub(super) type Cube = Vec<Literal>;

/// A Boolean function of six atoms, of which it may ignore some: every word is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Function(pub(super) u64);

impl Function {
    pub(super) const FALSE: Function = Function(0);
    pub(super) const TRUE: Function = Function(u64::MAX);

    /// The function of a table of `n` atoms; bits beyond its rows are ignored.
    pub(super) fn of(table: Table, n: usize) -> Self {
        let rows = 1_u32 << n.min(ATOMS);
        let mut word = if rows == 64 { table.0 } else { table.0 & ((1 << rows) - 1) };
        // The atoms beyond `n` do not matter.
        let mut width = rows;
        while width < 64 {
            word |= word << width;
            width *= 2;
        }
        Function(word)
    }

    pub(super) fn not(self) -> Self {
        Function(!self.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Function(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Function(self.0 | other.0)
    }

    /// The function with an atom fixed.
    pub(super) fn cofactor(self, literal: Literal) -> Self {
        let (word, shift) = (ATOM[literal.atom], 1 << literal.atom);
        if literal.positive {
            let half = self.0 & word;
            Function(half | half >> shift)
        } else {
            let half = self.0 & !word;
            Function(half | half << shift)
        }
    }

    /// The atoms that it depends on, ascending.
    pub(super) fn support(self) -> Vec<usize> {
        let depends = |atom: &usize| {
            let [high, low] = sides(*atom);
            self.cofactor(high) != self.cofactor(low)
        };
        (0..ATOMS).filter(depends).collect()
    }

    /// True for the rows that satisfy it for some value of the atoms given.
    fn exists(self, atoms: &[usize]) -> Self {
        atoms.iter().fold(self, |f, atom| {
            let [high, low] = sides(*atom);
            f.cofactor(high).or(f.cofactor(low))
        })
    }

    /// The factors over disjoint atoms whose conjunction it is, none of which can be factored further,
    /// ordered by their first atom; none for a tautology, and itself when it is false.
    ///
    /// The weighted count of a function factors as a polynomial exactly where the function does:
    /// a multilinear polynomial has only factors over disjoint variables, and one that is 0 or 1 at
    /// every vertex has factors that are so too.
    pub(super) fn factors(self) -> Vec<Function> {
        if self == Function::FALSE {
            return vec![self];
        }
        let mut factors = Vec::new();
        let mut rest = self;
        loop {
            let support = rest.support();
            let Some((first, others)) = support.split_first() else {
                return factors;
            };
            // The smallest set with the first atom that splits off; the whole support always does.
            let sets = (0_u32..1 << others.len()).map(|choice| {
                let chosen = others.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1);
                std::iter::once(*first).chain(chosen.map(|(_, atom)| *atom)).collect::<Vec<_>>()
            });
            let mut sets: Vec<Vec<usize>> = sets.collect();
            sets.sort_by_key(Vec::len);
            let split = sets.into_iter().find_map(|inside| {
                let outside: Vec<usize> =
                    support.iter().filter(|a| !inside.contains(a)).copied().collect();
                let (factor, others) = (rest.exists(&outside), rest.exists(&inside));
                (factor.and(others) == rest).then_some((factor, others))
            });
            let Some((factor, others)) = split else {
                return factors;
            };
            factors.push(factor);
            rest = others;
        }
    }

    /// The literal that it is.
    pub(super) fn as_literal(self) -> Option<Literal> {
        match self.support()[..] {
            [atom] => Some(Literal {
                atom,
                positive: Literal { atom, positive: true }.function() == self,
            }),
            _ => None,
        }
    }

    /// The literals whose conjunction it is; empty for a tautology.
    pub(super) fn as_cube(self) -> Option<Cube> {
        self.factors().into_iter().map(Function::as_literal).collect()
    }
}

/// The two literals of an atom, the positive one first.
pub(super) fn sides(atom: usize) -> [Literal; 2] {
    [true, false].map(|positive| Literal { atom, positive })
}
