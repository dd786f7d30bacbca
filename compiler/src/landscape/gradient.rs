//! Whether a loss has a gradient that a trainer can use (SEMANTICS section 6, last lines).
//!
//! In: a reduced structure. Out: whether the logistic loss with beta 1, at equal log-probabilities of
//! -100 (sums) or -1 (means), has a derivative of at least 1e-6. Invariant: no cancellation; every
//! quantity is a sum of non-negative terms, but for one difference of two numbers in [0, 1].
//!
//! With `a(F, i)` the share of the weighted models of `F` in which atom `i` is true, the derivative
//! of `log WMC(F)` by `log p_i` is `a - (1 - a) p/(1-p)`, so that of rho is
//! `(a(W, i) - a(L, i)) / (1-p)` and that of the loss is this times `-WMC(L) / (WMC(W) + WMC(L))`.

use super::cube;

/// How the token log-probabilities of a response make its log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Added up; typically near -100.
    Sum,
    /// Averaged; typically near -1.
    Mean,
}

/// With respect to which log-probabilities a gradient counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Inputs {
    /// All of them, the reference's too: the definition of SEMANTICS.
    #[default]
    All,
    /// The policy's only: those that training changes.
    Policy,
}

/// The least derivative that counts as usable.
const USABLE: f64 = 1e-6;

/// What the test needs of one function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighted {
    count: f64,
    shares: [f64; 4],
}

/// The conditions of the test for one number of atoms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    p: f64,
    inputs: usize,
}

impl Scale {
    pub(super) fn new(aggregate: Aggregate, inputs: Inputs, atoms: usize) -> Self {
        let logp: f64 = match aggregate {
            Aggregate::Sum => -100.0,
            Aggregate::Mean => -1.0,
        };
        let inputs = match inputs {
            Inputs::All => atoms,
            Inputs::Policy => atoms.min(2),
        };
        Self { p: logp.exp(), inputs }
    }

    /// Weighs a function of at most four atoms; the smallest weight, e^-400, is a normal number.
    pub(super) fn weigh(&self, f: u64, atoms: usize) -> Weighted {
        let q = 1.0 - self.p;
        let weigh = |rows: u64| -> f64 {
            (0..1_u32 << atoms)
                .filter(|row| rows >> row & 1 == 1)
                .map(|row| {
                    let ones = row.count_ones() as i32;
                    self.p.powi(ones) * q.powi(atoms as i32 - ones)
                })
                .sum()
        };
        let count = weigh(f);
        let mut shares = [0.0; 4];
        for (i, share) in shares.iter_mut().enumerate().take(atoms) {
            *share = if count > 0.0 { weigh(f & cube::column(i, atoms)) / count } else { 0.0 };
        }
        Weighted { count, shares }
    }

    /// Whether the loss of winning function `t` and losing function `b` has a usable gradient.
    pub(super) fn usable(&self, t: &Weighted, b: &Weighted) -> bool {
        let steepest = t.shares[..self.inputs]
            .iter()
            .zip(&b.shares)
            .map(|(x, y)| (x - y).abs())
            .fold(0.0, f64::max);
        // Multiplied out, so that neither a quotient overflows nor a logarithm is needed.
        steepest * b.count >= USABLE * (1.0 - self.p) * (t.count + b.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same derivative from log WMC in extended form, by central differences in `logp`.
    fn by_differences(t: u64, b: u64, logp: f64, atoms: usize) -> f64 {
        let wmc = |f: u64, at: &[f64]| -> f64 {
            (0..1_u32 << atoms)
                .filter(|row| f >> row & 1 == 1)
                .map(|row| {
                    (0..atoms)
                        .map(|i| if row >> i & 1 == 1 { at[i].exp() } else { -at[i].exp_m1() })
                        .product::<f64>()
                })
                .sum()
        };
        let loss = |at: &[f64]| {
            let rho = wmc(t, at).ln() - wmc(b, at).ln();
            (-rho).max(0.0) + (-rho.abs()).exp().ln_1p()
        };
        (0..atoms)
            .map(|i| {
                let (mut up, mut down) = (vec![logp; atoms], vec![logp; atoms]);
                up[i] += 1e-4;
                down[i] -= 1e-4;
                ((loss(&up) - loss(&down)) / 2e-4).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn the_closed_form_agrees_with_differences() {
        for (aggregate, logp) in [(Aggregate::Sum, -100.0), (Aggregate::Mean, -1.0)] {
            for atoms in 2..=3 {
                let scale = Scale::new(aggregate, Inputs::All, atoms);
                let step = if atoms == 2 { 1 } else { 11 };
                for t in (1..=cube::full(atoms)).step_by(step) {
                    for b in (1..=cube::full(atoms)).step_by(step) {
                        let (x, y) = (scale.weigh(t, atoms), scale.weigh(b, atoms));
                        let slope = by_differences(t, b, logp, atoms);
                        // Differences are good to about 1e-9: far from the threshold they decide.
                        if !(1e-8..=1e-4).contains(&slope) {
                            assert_eq!(scale.usable(&x, &y), slope > 1e-6, "{t:#x}/{b:#x} {slope}");
                        }
                    }
                }
            }
        }
    }
}
