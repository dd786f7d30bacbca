//! Why a polynomial is non-negative on the unit cube, and the judge of that.
//!
//! The judge shares nothing with the search but the polynomial: it maps every box back to the cube by
//! substitution and computes the Bernstein coefficients from their defining sums.

use crate::logic::{MAX_VARIABLES, Monomial, Polynomial};

/// How many products the judge may form for one box.
const MAX_PRODUCTS: usize = 20_000_000;

/// Powers of x and, where the flag is set, of 1 - x, by variable.
pub(super) type Powers = Vec<(usize, bool, u8)>;

/// Why a polynomial is non-negative on the cube.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// All Bernstein coefficients on this box are.
    Coefficients,
    /// It is linear in this variable, and non-negative where that is lowest and highest.
    Ends {
        /// The variable.
        axis: usize,
        /// Where it is lowest.
        low: Box<Certificate>,
        /// Where it is highest.
        high: Box<Certificate>,
    },
    /// It is in the lower and in the upper half along this variable.
    Halves {
        /// The variable.
        axis: usize,
        /// The lower half.
        low: Box<Certificate>,
        /// The upper half.
        high: Box<Certificate>,
    },
    /// It is a product of powers of x and 1 - x, which are not negative on the cube, and a polynomial
    /// that is not either.
    Factors {
        /// For each factor: the variable, whether it is 1 - x rather than x, the power.
        powers: Vec<(usize, bool, u8)>,
        /// Why the rest is non-negative.
        rest: Box<Certificate>,
    },
    /// It is a x^2 + b x + c in this variable with 4 a c - b^2, a and c non-negative on the box.
    Discriminant {
        /// The variable x.
        axis: usize,
        /// Why 4 a c - b^2 is.
        discriminant: Box<Certificate>,
        /// Why a is.
        square: Box<Certificate>,
        /// Why c is.
        constant: Box<Certificate>,
    },
}

impl Certificate {
    /// What it rests on, in words, with variable `i` called `names[i]`.
    pub fn shown<S: AsRef<str>>(&self, names: &[S]) -> String {
        let name = |x: usize| names.get(x).map_or_else(|| format!("x{x}"), |n| n.as_ref().into());
        match self {
            Certificate::Coefficients => "no Bernstein coefficient is negative".into(),
            Certificate::Ends { .. } | Certificate::Halves { .. } => {
                format!("no Bernstein coefficient is negative on any of {} boxes", self.boxes())
            }
            Certificate::Discriminant { axis, .. } => {
                format!("as a quadratic in {} its discriminant is not positive", name(*axis))
            }
            Certificate::Factors { powers, rest } => {
                let factor = |(x, complement, power): &(usize, bool, u8)| {
                    let base = if *complement { format!("(1 - {})", name(*x)) } else { name(*x) };
                    if *power == 1 { base } else { format!("{base}^{power}") }
                };
                let factors: Vec<String> = powers.iter().map(factor).collect();
                format!(
                    "{} divides it, and of the rest: {}",
                    factors.join(" * "),
                    rest.shown(names)
                )
            }
        }
    }

    /// Into how many boxes it cuts the cube.
    fn boxes(&self) -> usize {
        match self {
            Certificate::Coefficients | Certificate::Discriminant { .. } => 1,
            Certificate::Factors { rest, .. } => rest.boxes(),
            Certificate::Ends { low, high, .. } | Certificate::Halves { low, high, .. } => {
                low.boxes() + high.boxes()
            }
        }
    }

    /// Whether it shows that `p` is non-negative on the unit cube. Boxes are mapped back to the cube by
    /// substitution, and coefficients computed anew from the powers: nothing of the search is used.
    pub fn shows(&self, p: &Polynomial) -> bool {
        self.judge(p).unwrap_or(false)
    }

    /// The same; `None` where that is more work than the judge may do.
    pub(super) fn judged(&self, p: &Polynomial) -> Option<bool> {
        self.judge(p)
    }

    /// The variables that the outermost step names.
    fn axes(&self) -> Vec<usize> {
        match self {
            Certificate::Coefficients => Vec::new(),
            Certificate::Ends { axis, .. }
            | Certificate::Halves { axis, .. }
            | Certificate::Discriminant { axis, .. } => vec![*axis],
            Certificate::Factors { powers, .. } => powers.iter().map(|(x, ..)| *x).collect(),
        }
    }

    fn judge(&self, p: &Polynomial) -> Option<bool> {
        if self.axes().into_iter().any(|x| x >= MAX_VARIABLES) {
            return Some(false);
        }
        match self {
            Certificate::Coefficients => coefficients_are_non_negative(p),
            Certificate::Ends { axis, low, high } => {
                let fits = p.degree(*axis) <= 1;
                Some(fits && low.judge(&at(p, *axis, 0)?)? && high.judge(&at(p, *axis, 1)?)?)
            }
            Certificate::Halves { axis, low, high } => {
                Some(low.judge(&half(p, *axis, 0)?)? && high.judge(&half(p, *axis, 1)?)?)
            }
            Certificate::Factors { powers, rest } => {
                let mut left = p.clone();
                for (x, complement, power) in powers {
                    for _ in 0..*power {
                        let Some(less) = divided(&left, *x, *complement)? else {
                            return Some(false);
                        };
                        // The division is checked by multiplying back.
                        let one = Polynomial::constant(1);
                        let x = Polynomial::variable(*x)?;
                        let factor = if *complement { one.minus(&x)? } else { x };
                        if factor.times(&less)? != left {
                            return Some(false);
                        }
                        left = less;
                    }
                }
                rest.judge(&left)
            }
            Certificate::Discriminant { axis, discriminant, square, constant } => {
                if p.degree(*axis) > 2 {
                    return Some(false);
                }
                // With a, c and 4ac - b^2 non-negative, 4a(ax^2 + bx + c) = (2ax + b)^2 + 4ac - b^2
                // is; where a is 0, so is b, and c is left.
                let [c, b, a] = parts(p, *axis)?;
                let four = a.times(&c)?.scaled(4)?.minus(&b.times(&b)?)?;
                Some(discriminant.judge(&four)? && square.judge(&a)? && constant.judge(&c)?)
            }
        }
    }
}

/// `p` with a variable fixed.
fn at(p: &Polynomial, axis: usize, value: i128) -> Option<Polynomial> {
    let terms = p.terms().filter(|(m, _)| value != 0 || m.0[axis] == 0).map(|(mut m, c)| {
        m.0[axis] = 0;
        (m, c)
    });
    Polynomial::of_terms(terms)
}

/// 2^d p((offset + x) / 2) for a variable of degree d.
fn half(p: &Polynomial, axis: usize, offset: i128) -> Option<Polynomial> {
    let d = usize::from(p.degree(axis));
    let mut terms = Vec::new();
    for (monomial, c) in p.terms() {
        let e = usize::from(monomial.0[axis]);
        let scaled = c.checked_mul(1i128.checked_shl((d - e) as u32)?)?;
        for k in (0..=e).filter(|k| offset != 0 || *k == e) {
            let mut m = monomial;
            m.0[axis] = k as u8;
            terms.push((m, scaled.checked_mul(binomial(e, k)?)?));
        }
    }
    Polynomial::of_terms(terms)
}

/// Every coefficient on the unit cube by its defining sum, b_k = sum of C(k, j) / C(d, j) a_j over
/// j <= k, taken in one variable after the other and times the least common multiple of the C(d, j).
fn coefficients_are_non_negative(p: &Polynomial) -> Option<bool> {
    let axes: Vec<usize> = (0..MAX_VARIABLES).filter(|i| p.degree(*i) > 0).collect();
    let sizes: Vec<usize> = axes.iter().map(|&i| usize::from(p.degree(i)) + 1).collect();
    let count = sizes.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    if count.saturating_mul(sizes.iter().sum()) > MAX_PRODUCTS {
        return None;
    }
    let mut values = vec![0i128; count];
    for (monomial, c) in p.terms() {
        let place = axes.iter().zip(&sizes).rev();
        values[place.fold(0, |at, (i, size)| at * size + usize::from(monomial.0[*i]))] = c;
    }
    let mut stride = 1;
    for size in sizes {
        let mut sums = vec![0i128; count];
        for k in 0..size {
            for j in 0..=k {
                let factor = binomial(k, j)?.checked_mul(weight(size - 1, j)?)?;
                for at in (0..count).filter(|at| at / stride % size == k) {
                    let term = values[at - (k - j) * stride].checked_mul(factor)?;
                    sums[at] = sums[at].checked_add(term)?;
                }
            }
        }
        values = sums;
        stride *= size;
    }
    Some(values.iter().all(|b| *b >= 0))
}

/// `p` divided by x, or by 1 - x, where that leaves no remainder; `None` on overflow.
pub(super) fn divided(p: &Polynomial, x: usize, complement: bool) -> Option<Option<Polynomial>> {
    if p.degree(x) == 0 || !at(p, x, i128::from(complement))?.is_empty() {
        return Some(None);
    }
    let mut out = Vec::new();
    for (monomial, c) in p.terms() {
        let e = monomial.0[x];
        // x^e / x, or for 1 - x: p(x) = p(x) - p(1), and (x^e - 1) / (1 - x) = -(1 + .. + x^(e-1)).
        let (powers, c) = if complement { (0..e, c.checked_neg()?) } else { (e - 1..e, c) };
        for k in powers {
            let mut m = monomial;
            m.0[x] = k;
            out.push((m, c));
        }
    }
    Polynomial::of_terms(out).map(Some)
}

/// The coefficients of 1, x and x^2, for a polynomial of degree at most 2 in x.
pub(super) fn parts(p: &Polynomial, x: usize) -> Option<[Polynomial; 3]> {
    let mut out: [Vec<(Monomial, i128)>; 3] = Default::default();
    for (mut monomial, c) in p.terms() {
        let power = usize::from(monomial.0[x]);
        monomial.0[x] = 0;
        out.get_mut(power)?.push((monomial, c));
    }
    let [c, b, a] = out.map(Polynomial::of_terms);
    Some([c?, b?, a?])
}

pub(super) fn binomial(n: usize, k: usize) -> Option<i128> {
    (0..k).try_fold(1i128, |b, i| Some(b.checked_mul((n - i) as i128)? / (i as i128 + 1)))
}

/// The least common multiple of the binomials of `n`, divided by the binomial at `k`.
pub(super) fn weight(n: usize, k: usize) -> Option<i128> {
    let gcd = |mut a: i128, mut b: i128| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let all = (0..=n).try_fold(1i128, |l, j| {
        let b = binomial(n, j)?;
        (l / gcd(l, b)).checked_mul(b)
    })?;
    Some(all / binomial(n, k)?)
}

/// How often x, or 1 - x where `complement` is set, divides a polynomial; `None` on overflow, and for the
/// polynomial 0.
pub fn multiplicity(p: &Polynomial, x: usize, complement: bool) -> Option<u32> {
    if p.is_empty() || x >= MAX_VARIABLES {
        return None;
    }
    let (mut power, mut rest) = (0, p.clone());
    while let Some(less) = divided(&rest, x, complement)? {
        rest = less;
        power += 1;
    }
    Some(power)
}
