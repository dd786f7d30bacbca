//! Exact division and greatest common divisors of polynomials: what cancels in a fraction.
//!
//! Every function gives `None` where a number outgrows 128 bits or a polynomial its bound; nothing
//! is ever left uncancelled in silence.

use crate::logic::{MAX_VARIABLES, Monomial, Polynomial};

/// The leading term in the order of monomials.
fn leading(p: &Polynomial) -> Option<(Monomial, i128)> {
    p.terms().last()
}

/// a / b where b divides a exactly: `Some(None)` where it does not.
pub(super) fn quotient(a: &Polynomial, b: &Polynomial) -> Option<Option<Polynomial>> {
    let Some((m, c)) = leading(b) else { return Some(None) };
    let mut rest = a.clone();
    let mut terms = Vec::new();
    while let Some((n, d)) = leading(&rest) {
        let mut exponents = [0; MAX_VARIABLES];
        for (e, (x, y)) in exponents.iter_mut().zip(n.0.iter().zip(m.0)) {
            let Some(difference) = x.checked_sub(y) else { return Some(None) };
            *e = difference;
        }
        if d.checked_rem(c)? != 0 {
            return Some(None);
        }
        let term = Polynomial::of_terms([(Monomial(exponents), d.checked_div(c)?)])?;
        rest = rest.minus(&term.times(b)?)?;
        terms.extend(term.terms());
    }
    Polynomial::of_terms(terms).map(Some)
}

/// The coefficients of `p` as a polynomial in variable `x`, constant term first.
fn coefficients(p: &Polynomial, x: usize) -> Option<Vec<Polynomial>> {
    let mut out = vec![Vec::new(); usize::from(p.degree(x)) + 1];
    for (mut monomial, c) in p.terms() {
        let power = usize::from(monomial.0[x]);
        monomial.0[x] = 0;
        out[power].push((monomial, c));
    }
    out.into_iter().map(Polynomial::of_terms).collect()
}

/// `p` divided by its integer content, with its lowest term positive.
pub(super) fn primitive(p: &Polynomial) -> Option<(i128, Polynomial)> {
    if p.is_empty() {
        return Some((0, p.clone()));
    }
    let lowest = p.terms().min_by_key(|(m, _)| (m.degree(), std::cmp::Reverse(*m)));
    let content = p.content();
    let unit = if lowest.is_some_and(|(_, c)| c < 0) { content.checked_neg()? } else { content };
    Some((unit, p.divided(unit)?))
}

/// The greatest common divisor, primitive over the integers, with its lowest term positive.
pub(super) fn gcd(a: &Polynomial, b: &Polynomial) -> Option<Polynomial> {
    if a.is_empty() {
        return primitive(b).map(|(_, p)| p);
    }
    if b.is_empty() {
        return primitive(a).map(|(_, p)| p);
    }
    let (in_a, in_b) = (a.support(), b.support());
    if in_a & in_b == 0 {
        return Some(Polynomial::constant(1));
    }
    // A variable of one side only cannot be in the divisor: its coefficients must share it.
    if let Some(x) = (0..MAX_VARIABLES).find(|x| (in_a & !in_b) >> x & 1 == 1) {
        return coefficients(a, x)?.iter().try_fold(b.clone(), |g, c| gcd(&g, c));
    }
    if (in_b & !in_a) != 0 {
        return gcd(b, a);
    }
    let x = in_a.trailing_zeros() as usize;
    let content = |p: &Polynomial| {
        coefficients(p, x)?.iter().try_fold(Polynomial::default(), |g, c| gcd(&g, c))
    };
    let (content_a, content_b) = (content(a)?, content(b)?);
    let (_, mut high) = primitive(&quotient(a, &content_a)??)?;
    let (_, mut low) = primitive(&quotient(b, &content_b)??)?;
    if high.degree(x) < low.degree(x) {
        std::mem::swap(&mut high, &mut low);
    }
    while low.degree(x) > 0 {
        let rest = remainder(&high, &low, x)?;
        if rest.is_empty() {
            return primitive(&gcd(&content_a, &content_b)?.times(&low)?).map(|(_, p)| p);
        }
        let own = content(&rest)?;
        let (_, next) = primitive(&quotient(&rest, &own)??)?;
        (high, low) = (low, next);
    }
    // What is left has no x, so the parts have nothing with x in common.
    gcd(&content_a, &content_b)
}

/// The pseudo-remainder of `a` by `b` in variable `x`.
fn remainder(a: &Polynomial, b: &Polynomial, x: usize) -> Option<Polynomial> {
    let divisor = coefficients(b, x)?;
    let (lead, degree) = (divisor.last()?, divisor.len() - 1);
    let mut rest = a.clone();
    while !rest.is_empty() && usize::from(rest.degree(x)) >= degree {
        let parts = coefficients(&rest, x)?;
        let top = parts.last()?;
        let mut shift = Monomial::default();
        shift.0[x] = u8::try_from(parts.len() - 1 - degree).ok()?;
        let term = top.times(&Polynomial::of_terms([(shift, 1)])?)?;
        rest = rest.times(lead)?.minus(&term.times(b)?)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x(i: usize) -> Polynomial {
        Polynomial::variable(i).unwrap()
    }

    fn one() -> Polynomial {
        Polynomial::constant(1)
    }

    #[test]
    fn finds_hidden_common_factors() {
        let common = x(0).plus(&x(1)).unwrap().minus(&x(0).times(&x(1)).unwrap()).unwrap();
        let p = common.times(&x(0).times(&x(0)).unwrap().plus(&x(2)).unwrap()).unwrap();
        let q = common.times(&one().minus(&x(1)).unwrap()).unwrap().scaled(-3).unwrap();
        assert_eq!(gcd(&p, &q), Some(common.clone()));
        let rest = quotient(&p, &common).unwrap().unwrap();
        assert_eq!(rest, x(0).pow(2).unwrap().plus(&x(2)).unwrap());
        assert_eq!(quotient(&p, &x(2)), Some(None));
    }

    #[test]
    fn coprime_polynomials_have_divisor_one() {
        let p = one().minus(&x(0)).unwrap();
        assert_eq!(gcd(&p, &x(0)), Some(one()));
        assert_eq!(gcd(&p.scaled(6).unwrap(), &p.scaled(-4).unwrap()), Some(p));
    }
}
