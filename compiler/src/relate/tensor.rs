//! Bernstein coefficients of a polynomial on a box, as whole numbers.

use super::bernstein::MAX_WORK;
use super::certificate::{binomial, weight};
use crate::logic::{MAX_VARIABLES, Monomial, Polynomial, Rational};

#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) variable: usize,
    pub(super) degree: usize,
    /// The box along this axis: [at, at + 1] / 2^depth.
    pub(super) at: i128,
    pub(super) depth: u32,
}

/// Bernstein coefficients on a box, times a positive number; the last axis runs fastest.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) axes: Vec<Axis>,
    /// Variables already fixed at an end of their axis.
    fixed: Vec<(usize, Rational)>,
    pub(super) coefficients: Vec<i128>,
}

impl Tensor {
    pub(super) fn of(p: &Polynomial) -> Option<Self> {
        let axes: Vec<Axis> = (0..MAX_VARIABLES)
            .filter(|i| p.degree(*i) > 0)
            .map(|i| Axis { variable: i, degree: usize::from(p.degree(i)), at: 0, depth: 0 })
            .collect();
        let len = axes.iter().try_fold(1usize, |len, a| len.checked_mul(a.degree + 1))?;
        if len > MAX_WORK {
            return None;
        }
        let mut out = Self { axes, fixed: Vec::new(), coefficients: vec![0; len] };
        for (monomial, c) in p.terms() {
            let at = out
                .axes
                .iter()
                .fold(0, |at, a| at * (a.degree + 1) + usize::from(monomial.0[a.variable]));
            out.coefficients[at] = c;
        }
        // b_k = sum of C(k, j) / C(d, j) a_j over j <= k, along one axis after the other.
        for i in 0..out.axes.len() {
            let d = out.axes[i].degree;
            out.along(i, |line| {
                let old = line.to_vec();
                for (k, b) in line.iter_mut().enumerate() {
                    *b = old.iter().enumerate().take(k + 1).try_fold(0i128, |sum, (j, a)| {
                        let factor = binomial(k, j)?.checked_mul(weight(d, j)?)?;
                        sum.checked_add(a.checked_mul(factor)?)
                    })?;
                }
                Some(())
            })?;
        }
        out.shrink();
        Some(out)
    }

    /// Where the next coefficient along axis `i` stands.
    fn stride(&self, i: usize) -> usize {
        self.axes[i + 1..].iter().map(|a| a.degree + 1).product()
    }

    /// The first coefficient of every line along axis `i`.
    fn starts(&self, i: usize) -> Vec<usize> {
        let (stride, n) = (self.stride(i), self.axes[i].degree + 1);
        (0..self.coefficients.len()).step_by(stride * n).flat_map(|at| at..at + stride).collect()
    }

    /// Changes every line along axis `i`.
    fn along(&mut self, i: usize, mut f: impl FnMut(&mut [i128]) -> Option<()>) -> Option<()> {
        let (stride, n) = (self.stride(i), self.axes[i].degree + 1);
        let mut line = vec![0; n];
        for start in self.starts(i) {
            for (k, x) in line.iter_mut().enumerate() {
                *x = self.coefficients[start + k * stride];
            }
            f(&mut line)?;
            for (k, x) in line.iter().enumerate() {
                self.coefficients[start + k * stride] = *x;
            }
        }
        Some(())
    }

    /// Divides by the highest power of 2 that divides everything.
    fn shrink(&mut self) {
        let zeros = self.coefficients.iter().fold(0, |all, c| all | c).trailing_zeros();
        if zeros > 0 && zeros < 127 {
            self.coefficients.iter_mut().for_each(|c| *c >>= zeros);
        }
    }

    /// A corner of the box where the value is negative: `Some(None)` where it cannot be written down.
    pub(super) fn negative_corner(&self) -> Option<Option<Vec<Rational>>> {
        (0..1usize << self.axes.len()).find_map(|corner| {
            let upper = |i: usize| corner >> i & 1 == 1;
            let index =
                self.axes.iter().enumerate().fold(0, |at, (i, a)| {
                    at * (a.degree + 1) + if upper(i) { a.degree } else { 0 }
                });
            (self.coefficients[index] < 0).then(|| {
                let mut point = vec![Rational::new(1, 2)?; MAX_VARIABLES];
                for (i, a) in self.axes.iter().enumerate() {
                    point[a.variable] = Rational::new(a.at + i128::from(upper(i)), 1 << a.depth)?;
                }
                for (variable, x) in &self.fixed {
                    point[*variable] = *x;
                }
                Some(point)
            })
        })
    }

    /// The restriction to an end of axis `i`.
    pub(super) fn end(&self, i: usize, upper: bool) -> Option<Tensor> {
        let (stride, axis) = (self.stride(i), self.axes[i]);
        let shift = if upper { axis.degree * stride } else { 0 };
        let mut out = self.clone();
        out.coefficients =
            self.starts(i).into_iter().map(|at| self.coefficients[at + shift]).collect();
        out.axes.remove(i);
        let x = Rational::new(axis.at + i128::from(upper), 1 << axis.depth)?;
        out.fixed.push((axis.variable, x));
        out.shrink();
        Some(out)
    }

    /// The two halves along axis `i`, by de Casteljau's scheme.
    pub(super) fn halves(&self, i: usize) -> Option<(Tensor, Tensor)> {
        let (mut low, mut high) = (self.clone(), self.clone());
        let d = self.axes[i].degree;
        // After k rounds of sums an entry is 2^k times the mean that it stands for.
        let scheme = |line: &mut [i128], upper: bool| {
            let mut row = line.to_vec();
            for k in 0..=d {
                let (at, mean) = if upper { (d - k, row[d - k]) } else { (k, row[0]) };
                line[at] = mean.checked_mul(1 << (d - k))?;
                for j in 0..d - k {
                    row[j] = row[j].checked_add(row[j + 1])?;
                }
            }
            Some(())
        };
        low.along(i, |line| scheme(line, false))?;
        high.along(i, |line| scheme(line, true))?;
        for (half, offset) in [(&mut low, 0), (&mut high, 1)] {
            half.axes[i].at = half.axes[i].at * 2 + offset;
            half.axes[i].depth += 1;
            half.shrink();
        }
        Some((low, high))
    }

    /// The axis along which neighbouring coefficients differ most, of those that are not yet halved
    /// much more often than another.
    pub(super) fn steepest(&self) -> usize {
        let least = self.axes.iter().map(|a| a.depth).min().unwrap_or(0);
        let steepness = |i: usize| {
            let (stride, d) = (self.stride(i), self.axes[i].degree);
            let step = |at: usize| {
                let (a, b) = (self.coefficients[at], self.coefficients[at + stride]);
                a.abs_diff(b)
            };
            let lines = self.starts(i).into_iter();
            lines.flat_map(|s| (0..d).map(move |k| step(s + k * stride))).max().unwrap_or(0)
        };
        let open = (0..self.axes.len()).filter(|&i| self.axes[i].depth <= least + 3);
        open.max_by_key(|&i| (steepness(i), std::cmp::Reverse(i))).unwrap_or(0)
    }

    /// Whether the test of the discriminant in axis `i`, of degree 2, can succeed: no coefficient is
    /// negative where the axis is lowest, nor is one of the curvature, and at no corner of the other axes
    /// does the quadratic have two zeros.
    pub(super) fn may_be_definite(&self, i: usize) -> bool {
        let stride = self.stride(i);
        let line = |s: usize| [0, 1, 2].map(|k| self.coefficients[s + k * stride]);
        let starts = self.starts(i);
        let bent = starts.iter().all(|&s| {
            let [low, middle, high] = line(s);
            // Below 2^125 in size, or the sums that come later fail as well.
            let fits = [low, middle, high].iter().all(|c| c.unsigned_abs() >> 125 == 0);
            fits && low >= 0 && low + high >= 2 * middle
        });
        bent && starts.into_iter().filter(|&s| self.is_corner(s, i)).all(|s| {
            let [low, middle, high] = line(s);
            let products = low.checked_mul(high).zip(middle.checked_mul(middle));
            products.is_some_and(|(ends, square)| ends >= square)
        })
    }

    /// Whether a coefficient stands at an end of every axis but one.
    fn is_corner(&self, mut at: usize, but: usize) -> bool {
        self.axes.iter().enumerate().rev().all(|(i, axis)| {
            let k = at % (axis.degree + 1);
            at /= axis.degree + 1;
            i == but || k == 0 || k == axis.degree
        })
    }

    /// The polynomial on this box, in variables that run over it from 0 to 1, times a positive number.
    pub(super) fn polynomial(&self) -> Option<Polynomial> {
        let mut power = self.clone();
        for i in 0..self.axes.len() {
            let d = self.axes[i].degree;
            // a_j = C(d, j) times the j-th forward difference of the coefficients.
            power.along(i, |line| {
                let mut row = line.to_vec();
                for (j, a) in line.iter_mut().enumerate() {
                    *a = row[0].checked_mul(binomial(d, j)?)?;
                    for k in 0..d - j {
                        row[k] = row[k + 1].checked_sub(row[k])?;
                    }
                }
                Some(())
            })?;
        }
        let terms = power.coefficients.iter().enumerate().map(|(at, c)| {
            let mut monomial = Monomial::default();
            let mut rest = at;
            for axis in self.axes.iter().rev() {
                monomial.0[axis.variable] = (rest % (axis.degree + 1)) as u8;
                rest /= axis.degree + 1;
            }
            (monomial, *c)
        });
        Polynomial::of_terms(terms)
    }
}
