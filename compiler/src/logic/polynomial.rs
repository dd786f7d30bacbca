//! Polynomials in the weights of the atoms, with exact integer coefficients.
//!
//! Why: weighted model counting turns a Boolean function into a multilinear polynomial that is 0 or 1
//! at every vertex of the cube, and what people write for rho is such polynomials in disguise. So
//! products of general polynomials are needed too: a weight may come out squared, and then has to be
//! named. Invariant: no stored coefficient is 0, so equal polynomials compare equal.

use super::{MAX_ATOMS, Rational, Table};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

/// The most variables of a polynomial: the atoms of two structures side by side.
pub const MAX_VARIABLES: usize = 12;

/// The most monomials that a product may have before it is given up.
pub const MAX_TERMS: usize = 4096;

/// A product of powers of variables: the exponent of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Monomial(pub [u8; MAX_VARIABLES]);

impl Monomial {
    /// The product of the variables in `mask`.
    pub fn of_mask(mask: u32) -> Self {
        Self(std::array::from_fn(|i| (mask >> i & 1) as u8))
    }

    /// The variables in it, as a bit mask.
    pub fn support(self) -> u32 {
        (0..MAX_VARIABLES).filter(|&i| self.0[i] > 0).fold(0, |mask, i| mask | 1 << i)
    }

    /// The sum of its exponents.
    pub fn degree(self) -> u32 {
        self.0.iter().map(|&e| u32::from(e)).sum()
    }

    fn times(self, other: Self) -> Option<Self> {
        let mut out = self;
        for (a, b) in out.0.iter_mut().zip(other.0) {
            *a = a.checked_add(b)?;
        }
        Some(out)
    }

    /// Its text; empty for the product of nothing.
    pub fn shown<S: AsRef<str>>(self, names: &[S]) -> String {
        let factor = |(i, &e): (usize, &u8)| {
            let name = names.get(i).map_or_else(|| format!("x{i}"), |n| n.as_ref().to_string());
            if e == 1 { name } else { format!("{name}^{e}") }
        };
        let factors: Vec<String> =
            self.0.iter().enumerate().filter(|(_, e)| **e > 0).map(factor).collect();
        factors.join(" * ")
    }
}

/// Why a polynomial is not the weighted count of a Boolean function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inadmissible {
    /// These monomials hold a weight squared.
    Squared(Vec<Monomial>),
    /// At this vertex (bit `i`: variable `i` is 1) the value is neither 0 nor 1; these monomials
    /// are the ones that count there.
    Value {
        /// The vertex with the fewest ones.
        vertex: usize,
        /// The value there.
        value: i128,
        /// The monomials that are not 0 there.
        monomials: Vec<Monomial>,
    },
    /// More variables than a truth table has, or numbers beyond 128 bits.
    TooLarge,
}

/// A polynomial with integer coefficients.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Polynomial {
    terms: BTreeMap<Monomial, i128>,
}

impl Polynomial {
    /// The constant polynomial.
    pub fn constant(value: i128) -> Self {
        Self::of_terms([(Monomial::default(), value)]).unwrap_or_default()
    }

    /// The variable `i`; `None` from [`MAX_VARIABLES`] on.
    pub fn variable(i: usize) -> Option<Self> {
        (i < MAX_VARIABLES).then(|| Self { terms: [(Monomial::of_mask(1 << i), 1)].into() })
    }

    /// The sum of the terms; `None` on overflow.
    pub fn of_terms(terms: impl IntoIterator<Item = (Monomial, i128)>) -> Option<Self> {
        let mut out = BTreeMap::new();
        for (monomial, coefficient) in terms {
            let sum: &mut i128 = out.entry(monomial).or_default();
            *sum = sum.checked_add(coefficient)?;
        }
        out.retain(|_, c| *c != 0);
        Some(Self { terms: out })
    }

    /// The weighted count of `f` over `n` atoms: the multilinear polynomial with its values at the
    /// vertices.
    pub fn of_table(f: Table, n: usize) -> Self {
        let n = n.min(MAX_ATOMS);
        // A sum of at most 64 ones and minus ones.
        Self::of_values((0..1usize << n).map(|r| i128::from(f.get(r))).collect())
            .unwrap_or_default()
    }

    /// The multilinear polynomial with these values at the vertices, of which there are a power of two;
    /// `None` on overflow and beyond [`MAX_VARIABLES`].
    pub fn of_values(mut values: Vec<i128>) -> Option<Self> {
        let n = values.len().checked_ilog2()?;
        if !values.len().is_power_of_two() || n as usize > MAX_VARIABLES {
            return None;
        }
        // Moebius transform over the subsets: values at vertices to coefficients.
        for i in 0..n {
            for row in (0..values.len()).filter(|row| row >> i & 1 == 1) {
                values[row] = values[row].checked_sub(values[row & !(1 << i)])?;
            }
        }
        let terms = values.into_iter().enumerate();
        Self::of_terms(terms.map(|(mask, c)| (Monomial::of_mask(mask as u32), c)))
    }

    /// Its terms in ascending order of monomials.
    pub fn terms(&self) -> impl Iterator<Item = (Monomial, i128)> {
        self.terms.iter().map(|(&m, &c)| (m, c))
    }

    /// How many monomials it has.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether it is 0.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Its value, if it has no variables.
    pub fn as_constant(&self) -> Option<i128> {
        match self.terms.iter().next() {
            None => Some(0),
            Some((m, &c)) => (self.len() == 1 && m.degree() == 0).then_some(c),
        }
    }

    /// The variables in it, as a bit mask.
    pub fn support(&self) -> u32 {
        self.terms.keys().fold(0, |mask, m| mask | m.support())
    }

    /// The highest power of variable `i`.
    pub fn degree(&self, i: usize) -> u8 {
        self.terms.keys().filter_map(|m| m.0.get(i).copied()).max().unwrap_or(0)
    }

    /// Whether no variable is squared.
    pub fn is_multilinear(&self) -> bool {
        self.terms.keys().all(|m| m.0.iter().all(|&e| e <= 1))
    }

    /// The greatest whole number that divides every coefficient, positive; 0 for the polynomial 0.
    pub fn content(&self) -> i128 {
        let gcd = |a: u128, b: u128| {
            let (mut a, mut b) = (a, b);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        let content = self.terms.values().fold(0, |g, c| gcd(g, c.unsigned_abs()));
        i128::try_from(content).unwrap_or(1)
    }

    /// self + other; `None` on overflow.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        Self::of_terms(self.terms().chain(other.terms()))
    }

    /// self - other; `None` on overflow.
    pub fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.scaled(-1)?)
    }

    /// self times a number; `None` on overflow.
    pub fn scaled(&self, by: i128) -> Option<Self> {
        let terms: Option<Vec<_>> =
            self.terms().map(|(m, c)| c.checked_mul(by).map(|c| (m, c))).collect();
        Self::of_terms(terms?)
    }

    /// self divided by a number that divides every coefficient; `None` otherwise.
    pub fn divided(&self, by: i128) -> Option<Self> {
        let terms: Option<Vec<_>> = self
            .terms()
            .map(|(m, c)| (c.checked_rem(by)? == 0).then_some((m, c.checked_div(by)?)))
            .collect();
        Self::of_terms(terms?)
    }

    /// self * other; `None` on overflow or beyond [`MAX_TERMS`] monomials.
    pub fn times(&self, other: &Self) -> Option<Self> {
        let mut out: BTreeMap<Monomial, i128> = BTreeMap::new();
        for (a, x) in self.terms() {
            for (b, y) in other.terms() {
                let sum = out.entry(a.times(b)?).or_default();
                *sum = sum.checked_add(x.checked_mul(y)?)?;
            }
            if out.len() > MAX_TERMS {
                return None;
            }
        }
        out.retain(|_, c| *c != 0);
        Some(Self { terms: out })
    }

    /// self to a power; `None` on overflow or beyond [`MAX_TERMS`] monomials.
    pub fn pow(&self, exponent: u32) -> Option<Self> {
        let mut out = Self::constant(1);
        for _ in 0..exponent {
            out = out.times(self)?;
        }
        Some(out)
    }

    /// The same polynomial with variable `i` called `map[i]`; `None` where `map` sends a variable in
    /// use beyond [`MAX_VARIABLES`].
    pub fn remap(&self, map: &[usize]) -> Option<Self> {
        let mut out = Vec::with_capacity(self.len());
        for (monomial, coefficient) in self.terms() {
            let mut image = Monomial::default();
            for (i, &e) in monomial.0.iter().enumerate().filter(|(_, e)| **e > 0) {
                let place = image.0.get_mut(*map.get(i)?)?;
                *place = place.checked_add(e)?;
            }
            out.push((image, coefficient));
        }
        Self::of_terms(out)
    }

    /// Its value with variable `i` at `point[i]` (1 past the end); `None` where a number outgrows
    /// 128 bits.
    pub fn eval(&self, point: &[Rational]) -> Option<Rational> {
        let mut sum = Rational::ZERO;
        for (monomial, coefficient) in self.terms() {
            let mut product = Rational::new(coefficient, 1)?;
            for (i, &e) in monomial.0.iter().enumerate() {
                for _ in 0..e {
                    product = product.times(point.get(i).copied().unwrap_or(Rational::ONE))?;
                }
            }
            sum = sum.plus(product)?;
        }
        Some(sum)
    }

    /// Its values at the 2^n vertices of the cube over the first `n` variables, the others 0; `None`
    /// on overflow.
    pub fn vertex_values(&self, n: usize) -> Option<Vec<i128>> {
        let n = n.min(MAX_VARIABLES);
        let mut values = vec![0i128; 1 << n];
        for (monomial, coefficient) in self.terms() {
            if let Some(value) = values.get_mut(monomial.support() as usize) {
                *value = value.checked_add(coefficient)?;
            }
        }
        for i in 0..n {
            for row in (0..values.len()).filter(|row| row >> i & 1 == 1) {
                values[row] = values[row].checked_add(values[row & !(1 << i)])?;
            }
        }
        Some(values)
    }

    /// The Boolean function over `n` atoms whose weighted count this is.
    ///
    /// # Errors
    /// Says which condition fails: multilinear, and 0 or 1 at every vertex.
    pub fn indicator(&self, n: usize) -> Result<Table, Inadmissible> {
        if n > MAX_ATOMS {
            return Err(Inadmissible::TooLarge);
        }
        let values = self.indicated(n)?;
        Ok(Table::of_rows((0..values.len()).filter(|&row| values[row] == 1), n))
    }

    /// The values at the 2^n vertices, each 0 or 1.
    pub(super) fn indicated(&self, n: usize) -> Result<Vec<i128>, Inadmissible> {
        if n > MAX_VARIABLES || self.support() >> n != 0 {
            return Err(Inadmissible::TooLarge);
        }
        let squared: Vec<Monomial> =
            self.terms.keys().copied().filter(|m| m.0.iter().any(|&e| e > 1)).collect();
        if !squared.is_empty() {
            return Err(Inadmissible::Squared(squared));
        }
        let values = self.vertex_values(n).ok_or(Inadmissible::TooLarge)?;
        let wrong = values.iter().enumerate().filter(|(_, v)| !matches!(v, 0 | 1));
        if let Some((vertex, &value)) = wrong.min_by_key(|(row, _)| (row.count_ones(), *row)) {
            let counts = |m: &Monomial| m.support() & !(vertex as u32) == 0;
            let mut monomials: Vec<Monomial> = self.terms.keys().copied().filter(counts).collect();
            monomials.sort_by_key(|m| (m.degree(), Reverse(*m)));
            return Err(Inadmissible::Value { vertex, value, monomials });
        }
        Ok(values)
    }

    /// Its text with variable `i` called `names[i]`, low degrees first.
    pub fn shown<S: AsRef<str>>(&self, names: &[S]) -> String {
        let mut terms: Vec<(Monomial, i128)> = self.terms().collect();
        terms.sort_by_key(|(m, _)| (m.degree(), Reverse(*m)));
        let mut out = String::new();
        for (monomial, coefficient) in terms {
            let sign = match (out.is_empty(), coefficient < 0) {
                (true, true) => "-",
                (true, false) => "",
                (false, true) => " - ",
                (false, false) => " + ",
            };
            out.push_str(sign);
            let (size, product) = (coefficient.unsigned_abs(), monomial.shown(names));
            match (size, product.is_empty()) {
                (_, true) => out.push_str(&size.to_string()),
                (1, false) => out.push_str(&product),
                (_, false) => out.push_str(&format!("{size} * {product}")),
            }
        }
        if out.is_empty() { "0".into() } else { out }
    }
}

impl fmt::Display for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown::<&str>(&[]))
    }
}
