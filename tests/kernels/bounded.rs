//! How far any f32 evaluation of a graph may lie from its exact value.
//!
//! Why: where numbers that are nearly equal are subtracted, the rounding of what went into them is all
//! that is left, and no f32 arithmetic gives the difference to 1e-5. That is a property of the graph at a
//! point, its condition number, and can be computed: every operation hands on the errors of its arguments
//! times its derivatives and adds its own rounding (running error analysis, to first order). In: the graph
//! and exact columns. Out: its values in f64, each with that bound.

use ponens_compiler::codegen::interp::Real;

/// Half a unit in the last place of f32: the four operations.
const ROUNDING: f64 = 6.0e-8;
/// Functions of the kernels: four units in the last place for the worst of them.
const FUNCTION: f64 = 4.8e-7;

/// A value and the bound on the error that f32 makes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounded {
    value: f64,
    pub(crate) error: f64,
}

impl Bounded {
    /// The result of an operation that rounds by `rounding`, whose arguments have brought `error`.
    fn new(value: f64, error: f64, rounding: f64) -> Self {
        Self { value, error: error + rounding * value.abs() }
    }

    /// A function of one argument with that derivative.
    fn function(&self, value: f64, slope: f64) -> Self {
        Self::new(value, slope.abs() * self.error, FUNCTION)
    }
}

impl Real for Bounded {
    fn from_f64(x: f64) -> Self {
        Self { value: x, error: 0.0 }
    }
    fn to_f64(&self) -> f64 {
        self.value
    }
    fn neg(&self) -> Self {
        Self { value: -self.value, ..*self }
    }
    fn abs(&self) -> Self {
        Self { value: self.value.abs(), ..*self }
    }
    fn exp(&self) -> Self {
        let y = self.value.exp();
        self.function(y, y)
    }
    fn ln(&self) -> Self {
        self.function(self.value.ln(), 1.0 / self.value)
    }
    fn ln_1p(&self) -> Self {
        self.function(self.value.ln_1p(), 1.0 / (1.0 + self.value))
    }
    fn exp_m1(&self) -> Self {
        self.function(self.value.exp_m1(), self.value.exp())
    }
    fn log1mexp(&self) -> Self {
        self.function(Real::log1mexp(&self.value), 1.0 / (-self.value).exp_m1())
    }
    fn softplus(&self) -> Self {
        self.function(Real::softplus(&self.value), Real::sigmoid(&self.value))
    }
    fn sigmoid(&self) -> Self {
        let y = Real::sigmoid(&self.value);
        self.function(y, y * Real::sigmoid(&-self.value))
    }
    fn add(&self, b: &Self) -> Self {
        Self::new(self.value + b.value, self.error + b.error, ROUNDING)
    }
    fn sub(&self, b: &Self) -> Self {
        Self::new(self.value - b.value, self.error + b.error, ROUNDING)
    }
    fn mul(&self, b: &Self) -> Self {
        let error = self.error * b.value.abs() + b.error * self.value.abs();
        Self::new(self.value * b.value, error, ROUNDING)
    }
    fn div(&self, b: &Self) -> Self {
        let y = self.value / b.value;
        Self::new(y, (self.error + b.error * y.abs()) / b.value.abs(), ROUNDING)
    }
    fn pow(&self, b: &Self) -> Self {
        let y = Real::pow(&self.value, &b.value);
        let of_base = (b.value * Real::pow(&self.value, &(b.value - 1.0))).abs() * self.error;
        let of_power = if self.value > 0.0 { (y * self.value.ln()).abs() * b.error } else { 0.0 };
        Self::new(y, of_base + of_power, FUNCTION)
    }
    fn logaddexp(&self, b: &Self) -> Self {
        let weight = Real::sigmoid(&(self.value - b.value));
        let error = weight * self.error + (1.0 - weight) * b.error;
        Self::new(Real::logaddexp(&self.value, &b.value), error, FUNCTION)
    }
    fn is_positive(&self) -> bool {
        self.value > 0.0
    }
    fn is_negative(&self) -> bool {
        self.value < 0.0
    }
    fn is_nan(&self) -> bool {
        self.value.is_nan()
    }
    fn exceeds(&self, b: &Self) -> bool {
        self.value > b.value
    }
}

/// A bound that could not fail would be of no use.
#[test]
fn a_bound_is_small_unless_numbers_cancel() {
    let at = Bounded::from_f64;
    let harmless = at(3.0).exp().add(&at(2.0)).softplus();
    assert!(harmless.error < 1e-5 * harmless.value, "{harmless:?}");
    // e^3 (1 + 1e-4) - e^3 keeps four digits of seven.
    let cancelled = at(3.0).exp().mul(&at(1.0001)).sub(&at(3.0).exp());
    assert!(cancelled.error > 1e-3 * cancelled.value, "{cancelled:?}");
    assert!(cancelled.error < 1e-1 * cancelled.value, "{cancelled:?}");
}
