//! Directional derivatives by central differences: the oracle of the adjoints.

use super::{Batch, EvalError, Real, evaluate};
use crate::mir::Graph;

/// The derivative of every root along a direction in the space of the inputs, by the central difference
/// (f(x + h d) - f(x - h d)) / 2h: one vector a root, shaped like [`evaluate`]'s result.
///
/// `direction` gives the component of input `i`'s element `j`; 0 leaves the element as it is. The error is
/// h^2 times the third derivative, plus the type's rounding error divided by h: with [`super::Big`] of 256
/// bits and h = 1e-25 both are near 1e-50. The perturbed point must lie inside the domain, on one side
/// of every kink. In f32 and f64 the result is worth little.
///
/// # Errors
///
/// As [`evaluate`].
pub fn directional_derivative<T: Real>(
    graph: &Graph,
    params: &[f64],
    batch: &Batch<T>,
    direction: impl Fn(usize, usize) -> f64,
    step: f64,
) -> Result<Vec<Vec<T>>, EvalError> {
    let at = |sign: f64| {
        let mut moved = batch.clone();
        moved.perturb(|input, values| {
            for (j, x) in values.iter_mut().enumerate() {
                let component = direction(input, j);
                if component != 0.0 {
                    *x = x.add(&T::from_f64(sign * step).mul(&T::from_f64(component)));
                }
            }
        });
        evaluate(graph, params, &moved)
    };
    let width = T::from_f64(step).add(&T::from_f64(step));
    let slope = |(high, low): (T, T)| high.sub(&low).div(&width);
    let pairs = at(1.0)?.into_iter().zip(at(-1.0)?);
    Ok(pairs.map(|(high, low)| high.into_iter().zip(low).map(slope).collect()).collect())
}
