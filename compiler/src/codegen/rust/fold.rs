//! The helper functions along a batch, in the operations and the order of the interpreter's folds.

use super::helper::Helper;

/// The definition of a helper for the float type `T`, to be replaced; empty for the others.
pub(super) fn definition(helper: Helper) -> &'static str {
    match helper {
        Helper::Sum => {
            "/// The sum, by halves: the rounding error grows with the logarithm of the length.
fn sum(values: &[T]) -> T {
    match values {
        [] => 0.0,
        [first, rest @ ..] if rest.len() < 8 => rest.iter().fold(*first, |total, x| total + x),
        _ => {
            let (a, b) = values.split_at(values.len() / 2);
            sum(a) + sum(b)
        }
    }
}
"
        }
        Helper::Mean => {
            "/// The mean; 0 of nothing.
fn mean(values: &[T]) -> T {
    if values.is_empty() { 0.0 } else { sum(values) / values.len() as T }
}
"
        }
        Helper::Greatest => {
            "/// The greatest; NaN if any is.
fn greatest(values: &[T]) -> T {
    values.iter().fold(-1.0 / 0.0, |best, x| maximum(*x, best))
}
"
        }
        Helper::LogSumExp => {
            "/// ln of the sum of e^x: the largest term is exactly 1, and the others join it.
fn log_sum_exp(values: &[T]) -> T {
    fn sum_of(values: &[T], high: T) -> T {
        match values {
            [] => 0.0,
            [first, rest @ ..] if rest.len() < 8 => {
                rest.iter().fold((*first - high).exp(), |total, x| total + (*x - high).exp())
            }
            _ => {
                let (a, b) = values.split_at(values.len() / 2);
                sum_of(a, high) + sum_of(b, high)
            }
        }
    }
    let mut place = 0;
    for (i, x) in values.iter().enumerate() {
        if x.is_nan() {
            return *x;
        }
        if *x > values[place] {
            place = i;
        }
    }
    match values.get(place) {
        None => -1.0 / 0.0,
        Some(high) if !high.is_finite() => *high,
        Some(high) => {
            let rest = sum_of(&values[..place], *high) + sum_of(&values[place + 1..], *high);
            *high + rest.ln_1p()
        }
    }
}
"
        }
        Helper::Ascending => {
            "/// The places of the values in ascending order; equal values stay in order, NaN comes last.
fn ascending(values: &[T], order: &mut [usize]) {
    use ::core::cmp::Ordering;
    for (i, place) in order.iter_mut().enumerate() {
        *place = i;
    }
    order.sort_unstable_by(|&i, &j| {
        let (a, b) = (values[i], values[j]);
        let by_value = match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ if a > b => Ordering::Greater,
            _ if b > a => Ordering::Less,
            _ => Ordering::Equal,
        };
        by_value.then(i.cmp(&j))
    });
}
"
        }
        Helper::Sorted => {
            "/// Writes the values in ascending order.
fn sorted(values: &[T], out: &mut [T], order: &mut [usize]) {
    ascending(values, order);
    for (to, from) in out.iter_mut().zip(order) {
        *to = values[*from];
    }
}
"
        }
        Helper::Unsorted => {
            "/// Writes `ranked[r]` to the place that the value of rank `r` has in `keys`.
fn unsorted(ranked: &[T], keys: &[T], out: &mut [T], order: &mut [usize]) {
    ascending(keys, order);
    for (place, value) in order.iter().zip(ranked) {
        out[*place] = *value;
    }
}
"
        }
        Helper::PrefixSums => {
            "/// Writes at each place the sum of the values up to it.
fn prefix_sums(values: &[T], out: &mut [T]) {
    let mut total = -0.0;
    for (to, x) in out.iter_mut().zip(values) {
        total += *x;
        *to = total;
    }
}
"
        }
        Helper::SuffixSums => {
            "/// Writes at each place the sum of the values from it on.
fn suffix_sums(values: &[T], out: &mut [T]) {
    let mut total = -0.0;
    for (to, x) in out.iter_mut().zip(values).rev() {
        total += *x;
        *to = total;
    }
}
"
        }
        Helper::Shifted => {
            "/// Writes at each place the value `by` places later, 0 where there is none.
fn shifted(values: &[T], out: &mut [T], by: isize) {
    for (i, to) in out.iter_mut().enumerate() {
        let from = i.checked_add_signed(by);
        *to = from.and_then(|j| values.get(j)).copied().unwrap_or(0.0);
    }
}
"
        }
        _ => "",
    }
}
