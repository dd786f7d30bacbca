//! The semirings that a circuit is evaluated over.

use crate::codegen::interp::primitive;

/// Weights that can be added, multiplied and complemented.
///
/// Laws: addition and multiplication are associative and commutative with `zero` and `one`,
/// multiplication distributes over addition, and `x.add(&x.complement())` is `one`; in floating point
/// they hold up to rounding.
pub trait Semiring: Clone {
    /// The weight of what is false.
    fn zero() -> Self;
    /// The weight of what is true.
    fn one() -> Self;
    /// The weight of a disjunction of exclusive events.
    fn add(&self, other: &Self) -> Self;
    /// The weight of a conjunction of independent events.
    fn mul(&self, other: &Self) -> Self;
    /// The weight of the opposite event: 1 - x.
    fn complement(&self) -> Self;
}

/// A probability as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability(pub f64);

impl Semiring for Probability {
    fn zero() -> Self {
        Self(0.0)
    }
    fn one() -> Self {
        Self(1.0)
    }
    fn add(&self, other: &Self) -> Self {
        Self(self.0 + other.0)
    }
    fn mul(&self, other: &Self) -> Self {
        Self(self.0 * other.0)
    }
    fn complement(&self) -> Self {
        Self(1.0 - self.0)
    }
}

/// The natural logarithm of a probability, -inf for the impossible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogProb(pub f64);

impl Semiring for LogProb {
    fn zero() -> Self {
        Self(f64::NEG_INFINITY)
    }
    fn one() -> Self {
        Self(0.0)
    }
    fn add(&self, other: &Self) -> Self {
        Self(primitive::f64::logaddexp(self.0, other.0))
    }
    fn mul(&self, other: &Self) -> Self {
        Self(self.0 + other.0)
    }
    fn complement(&self) -> Self {
        Self(primitive::f64::log1mexp(self.0))
    }
}

/// An exact fraction of 128-bit integers in lowest terms; `None` once a result does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction(Option<(i128, i128)>);

impl Fraction {
    /// `numerator / denominator`; does not fit when the denominator is 0.
    pub fn new(numerator: i128, denominator: i128) -> Self {
        let magnitude = |x: i128| x.checked_abs();
        let reduced = || {
            let (mut a, mut b) = (magnitude(numerator)?, magnitude(denominator)?);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            let divisor = a.checked_mul(denominator.signum())?;
            Some((numerator.checked_div(divisor)?, denominator.checked_div(divisor)?))
        };
        Self(if denominator == 0 { None } else { reduced() })
    }

    /// Numerator and denominator, the latter positive.
    pub fn parts(&self) -> Option<(i128, i128)> {
        self.0
    }

    fn combine(
        &self,
        other: &Self,
        f: impl Fn((i128, i128), (i128, i128)) -> Option<(i128, i128)>,
    ) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => f(a, b).map_or(Self(None), |(n, d)| Self::new(n, d)),
            _ => Self(None),
        }
    }
}

impl Semiring for Fraction {
    fn zero() -> Self {
        Self(Some((0, 1)))
    }
    fn one() -> Self {
        Self(Some((1, 1)))
    }
    fn add(&self, other: &Self) -> Self {
        self.combine(other, |(a, b), (c, d)| {
            Some((a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?))
        })
    }
    fn mul(&self, other: &Self) -> Self {
        self.combine(other, |(a, b), (c, d)| Some((a.checked_mul(c)?, b.checked_mul(d)?)))
    }
    fn complement(&self) -> Self {
        self.combine(self, |(a, b), _| Some((b.checked_sub(a)?, b)))
    }
}

/// A residue modulo the prime 2^61 - 1: two different polynomials agree at a random point with a
/// probability below 1e-17.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimeField(u64);

impl PrimeField {
    /// The prime.
    pub const PRIME: u64 = (1 << 61) - 1;

    /// The residue of a number.
    pub fn new(x: u64) -> Self {
        Self(x % Self::PRIME)
    }
}

impl Semiring for PrimeField {
    fn zero() -> Self {
        Self(0)
    }
    fn one() -> Self {
        Self(1)
    }
    fn add(&self, other: &Self) -> Self {
        Self::new(self.0 + other.0)
    }
    fn mul(&self, other: &Self) -> Self {
        let product = u128::from(self.0) * u128::from(other.0);
        Self((product % u128::from(Self::PRIME)) as u64)
    }
    fn complement(&self) -> Self {
        Self::new(1 + Self::PRIME - self.0)
    }
}
