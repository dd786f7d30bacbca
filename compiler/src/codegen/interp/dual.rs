//! Dual numbers: values with their derivative along one direction, by forward mode.
//!
//! Why: an oracle of the adjoints that shares nothing with them: every operation carries its own derivative.
//! In: a graph, a batch, an element of an input. Out: values and derivatives of the roots. Invariant: where
//! the operands of `max` or `min` are equal the derivative is NaN; `stop_gradient` is not known here.

use super::{Batch, EvalError, Real, evaluate};
use crate::mir::Graph;

/// a + b epsilon with epsilon^2 = 0.
#[derive(Clone, Debug)]
pub(crate) struct Dual<T> {
    pub(crate) value: T,
    pub(crate) slope: T,
}

/// Every root along the direction of one element of an input.
pub(crate) fn forward<T: Real>(
    graph: &Graph,
    params: &[f64],
    batch: &Batch<Dual<T>>,
    (input, element): (usize, usize),
) -> Result<Vec<Vec<Dual<T>>>, EvalError> {
    let mut batch = batch.clone();
    batch.perturb(|i, values| {
        if let Some(x) = values.get_mut(element).filter(|_| i == input) {
            x.slope = T::from_f64(1.0);
        }
    });
    evaluate(graph, params, &batch)
}

impl<T: Real> Dual<T> {
    /// f(x) with f'(x).
    fn chain(&self, value: T, derivative: &T) -> Self {
        Self { value, slope: times(derivative, &self.slope) }
    }

    fn flat(value: T) -> Self {
        Self { value, slope: T::from_f64(0.0) }
    }
}

/// A product in which a slope that is exactly 0 stays 0, whatever it meets.
fn times<T: Real>(factor: &T, slope: &T) -> T {
    let zero = !slope.is_positive() && !slope.is_negative() && !slope.is_nan();
    if zero { slope.clone() } else { factor.mul(slope) }
}

impl<T: Real> Real for Dual<T> {
    fn from_f64(x: f64) -> Self {
        Self::flat(T::from_f64(x))
    }
    fn to_f64(&self) -> f64 {
        self.value.to_f64()
    }
    fn neg(&self) -> Self {
        Self { value: self.value.neg(), slope: self.slope.neg() }
    }
    fn exp(&self) -> Self {
        let e = self.value.exp();
        self.chain(e.clone(), &e)
    }
    fn ln(&self) -> Self {
        self.chain(self.value.ln(), &T::from_f64(1.0).div(&self.value))
    }
    fn ln_1p(&self) -> Self {
        let one = T::from_f64(1.0);
        self.chain(self.value.ln_1p(), &one.div(&one.add(&self.value)))
    }
    fn exp_m1(&self) -> Self {
        self.chain(self.value.exp_m1(), &self.value.exp())
    }
    fn log1mexp(&self) -> Self {
        // -e^x / (1 - e^x)
        let slope = self.value.exp().div(&self.value.exp_m1());
        self.chain(self.value.log1mexp(), &slope)
    }
    fn softplus(&self) -> Self {
        self.chain(self.value.softplus(), &self.value.sigmoid())
    }
    fn sigmoid(&self) -> Self {
        let slope = self.value.sigmoid().mul(&self.value.neg().sigmoid());
        self.chain(self.value.sigmoid(), &slope)
    }
    fn abs(&self) -> Self {
        self.chain(self.value.abs(), &self.value.sign())
    }
    fn add(&self, b: &Self) -> Self {
        Self { value: self.value.add(&b.value), slope: self.slope.add(&b.slope) }
    }
    fn sub(&self, b: &Self) -> Self {
        Self { value: self.value.sub(&b.value), slope: self.slope.sub(&b.slope) }
    }
    fn mul(&self, b: &Self) -> Self {
        let slope = times(&self.value, &b.slope).add(&times(&b.value, &self.slope));
        Self { value: self.value.mul(&b.value), slope }
    }
    fn div(&self, b: &Self) -> Self {
        let value = self.value.div(&b.value);
        let one = T::from_f64(1.0).div(&b.value);
        let slope = times(&one, &self.slope).sub(&times(&value.div(&b.value), &b.slope));
        Self { value, slope }
    }
    fn pow(&self, b: &Self) -> Self {
        let value = self.value.pow(&b.value);
        let base = b.value.mul(&self.value.pow(&b.value.sub(&T::from_f64(1.0))));
        let exponent = value.mul(&self.value.ln());
        Self { slope: times(&base, &self.slope).add(&times(&exponent, &b.slope)), value }
    }
    fn logaddexp(&self, b: &Self) -> Self {
        let share = self.value.sub(&b.value).sigmoid();
        let rest = b.value.sub(&self.value).sigmoid();
        let slope = times(&share, &self.slope).add(&times(&rest, &b.slope));
        Self { value: self.value.logaddexp(&b.value), slope }
    }
    fn is_positive(&self) -> bool {
        self.value.is_positive()
    }
    fn is_negative(&self) -> bool {
        self.value.is_negative()
    }
    fn is_nan(&self) -> bool {
        self.value.is_nan()
    }
    fn exceeds(&self, b: &Self) -> bool {
        self.value.exceeds(&b.value)
    }
    fn max(&self, b: &Self) -> Self {
        match (self.exceeds(b), b.exceeds(self)) {
            (true, _) => self.clone(),
            (_, true) => b.clone(),
            _ => Self { value: self.value.max(&b.value), slope: T::from_f64(f64::NAN) },
        }
    }
    fn min(&self, b: &Self) -> Self {
        match (self.exceeds(b), b.exceeds(self)) {
            (true, _) => b.clone(),
            (_, true) => self.clone(),
            _ => Self { value: self.value.min(&b.value), slope: T::from_f64(f64::NAN) },
        }
    }
}
