//! Exact rational numbers of bounded size.

use std::cmp::Ordering;
use std::fmt;

/// A fraction in lowest terms with a positive denominator. Every operation is exact or `None`:
/// nothing is rounded and nothing wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rational {
    num: i128,
    den: i128,
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i128::try_from(a).unwrap_or(1)
}

impl Rational {
    /// 0
    pub const ZERO: Rational = Rational { num: 0, den: 1 };
    /// 1
    pub const ONE: Rational = Rational { num: 1, den: 1 };

    /// `num / den`; `None` where `den` is 0 or a part is too large.
    pub fn new(num: i128, den: i128) -> Option<Self> {
        if den == 0 {
            return None;
        }
        let common = gcd(num, den);
        let (num, den) = (num / common, den / common);
        if den < 0 {
            Some(Self { num: num.checked_neg()?, den: den.checked_neg()? })
        } else {
            Some(Self { num, den })
        }
    }

    /// A whole number.
    pub const fn integer(value: i64) -> Self {
        Self { num: value as i128, den: 1 }
    }

    /// The number that the shortest decimal text of `value` denotes: 0.1 is 1/10, as it was written.
    /// `None` for what is not finite, or needs more than 36 digits on either side of the point.
    pub fn from_decimal(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{value}");
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
        let places = u32::try_from(decimals.len()).ok()?;
        let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
        Self::new(digits, 10i128.checked_pow(places)?)
    }

    /// The numerator.
    pub fn numerator(self) -> i128 {
        self.num
    }

    /// The denominator, positive.
    pub fn denominator(self) -> i128 {
        self.den
    }

    /// The whole number that it is, if it is one.
    pub fn as_integer(self) -> Option<i128> {
        (self.den == 1).then_some(self.num)
    }

    /// Whether it is 0.
    pub fn is_zero(self) -> bool {
        self.num == 0
    }

    /// -1, 0 or 1.
    pub fn signum(self) -> i32 {
        self.num.signum() as i32
    }

    /// -self
    pub fn negated(self) -> Option<Self> {
        Some(Self { num: self.num.checked_neg()?, den: self.den })
    }

    /// self + other
    pub fn plus(self, other: Self) -> Option<Self> {
        let common = gcd(self.den, other.den);
        let left = self.num.checked_mul(other.den / common)?;
        let right = other.num.checked_mul(self.den / common)?;
        Self::new(left.checked_add(right)?, self.den.checked_mul(other.den / common)?)
    }

    /// self - other
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated()?)
    }

    /// self * other
    pub fn times(self, other: Self) -> Option<Self> {
        let (a, b) = (gcd(self.num, other.den), gcd(other.num, self.den));
        // gcd(0, d) is d, so neither divisor is 0.
        let num = (self.num / a).checked_mul(other.num / b)?;
        Self::new(num, (self.den / b).checked_mul(other.den / a)?)
    }

    /// self / other; `None` for a divisor of 0.
    pub fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.den, other.num)?)
    }

    /// 1 - self
    pub fn complement(self) -> Option<Self> {
        Self::ONE.minus(self)
    }

    /// The nearest `f64`, to within two roundings.
    pub fn to_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> Ordering {
        // Continued fractions: compares whole parts, then the reciprocals of what is left.
        let (mut a, mut b) = ((self.num, self.den), (other.num, other.den));
        let mut flipped = false;
        loop {
            let (qa, qb) = (a.0.div_euclid(a.1), b.0.div_euclid(b.1));
            let (ra, rb) = (a.0.rem_euclid(a.1), b.0.rem_euclid(b.1));
            let order = match (qa.cmp(&qb), ra, rb) {
                (Ordering::Equal, 0, 0) => return Ordering::Equal,
                (Ordering::Equal, 0, _) => Ordering::Less,
                (Ordering::Equal, _, 0) => Ordering::Greater,
                (Ordering::Equal, _, _) => {
                    (a, b) = ((a.1, ra), (b.1, rb));
                    flipped = !flipped;
                    continue;
                }
                (order, _, _) => order,
            };
            return if flipped { order.reverse() } else { order };
        }
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(f, "{}", self.num)
        } else {
            write!(f, "{}/{}", self.num, self.den)
        }
    }
}
