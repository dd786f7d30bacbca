//! The definition, in f64.

use ponens_compiler::mir::{Input, Interval, Level};
use ponens_runtime::logprob::{Each, Statistic};
use ponens_runtime::op::{Evaluated, LossKernel, RuntimeError, TokenRows, batch_len};

/// Numbers in [0, 1), the same on every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    pub(crate) fn numbers(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| (self.roll() * 2.0 - 1.0) * scale).collect()
    }
}

/// Consecutive rows, `tokens[s]` of sequence `s`; every row's target is rolled.
pub(crate) fn rows(tokens: &[usize], vocabulary: usize, dice: &mut Dice) -> TokenRows {
    let sequence: Vec<Option<u32>> = (tokens.iter().enumerate())
        .flat_map(|(s, n)| std::iter::repeat_n(Some(s as u32), *n))
        .collect();
    let word = |_: &Option<u32>| (dice.roll() * vocabulary as f32) as u32;
    let targets = sequence.iter().map(word).collect();
    TokenRows::new(targets, sequence, tokens.len()).unwrap()
}

/// What a row's distribution p is, and q of the reference's row.
pub(crate) struct Row {
    pub(crate) p: Vec<f64>,
    pub(crate) log_p: Vec<f64>,
    pub(crate) log_q: Vec<f64>,
}

fn log_softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lse = max + x.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    x.iter().map(|x| x - lse).collect()
}

impl Row {
    pub(crate) fn new(x: &[f64], y: &[f64]) -> Self {
        let log_p = log_softmax(x);
        Self { p: log_p.iter().map(|l| l.exp()).collect(), log_p, log_q: log_softmax(y) }
    }

    pub(crate) fn values(&self, target: usize) -> Each<f64> {
        let over = |f: &dyn Fn(usize) -> f64| (0..self.p.len()).map(f).sum::<f64>();
        Each::new(|s| match s {
            Statistic::LogProb => self.log_p[target],
            Statistic::Entropy => -over(&|v| self.p[v] * self.log_p[v]),
            Statistic::LogSumP2 => over(&|v| self.p[v] * self.p[v]).ln(),
            Statistic::KlFromReference => {
                over(&|v| self.log_q[v].exp() * (self.log_q[v] - self.log_p[v]))
            }
            Statistic::KlToReference => over(&|v| self.p[v] * (self.log_p[v] - self.log_q[v])),
        })
    }

    /// 1 - p without the rounding of p.
    pub(crate) fn rest(&self, target: usize) -> f64 {
        (0..self.p.len()).filter(|v| *v != target).map(|v| self.p[v]).sum()
    }

    /// d(sum of the statistics times `weight`) / d logits.
    pub(crate) fn gradient(&self, target: usize, weight: Each<f64>) -> Vec<f64> {
        let value = self.values(target);
        let squares = value[Statistic::LogSumP2].exp();
        let rest = self.rest(target);
        let one = |v: usize| {
            let (p, l) = (self.p[v], self.log_p[v]);
            let each = Each::new(|s| match s {
                Statistic::LogProb if v == target => rest,
                Statistic::LogProb => -p,
                Statistic::Entropy => -p * (l + value[Statistic::Entropy]),
                Statistic::LogSumP2 => 2.0 * p * (p / squares - 1.0),
                Statistic::KlFromReference => p - self.log_q[v].exp(),
                Statistic::KlToReference => {
                    p * (l - self.log_q[v] - value[Statistic::KlToReference])
                }
            });
            Statistic::ALL.iter().map(|s| weight[*s] * each[*s]).sum()
        };
        (0..self.p.len()).map(one).collect()
    }
}

/// DPO with beta over the columns (w, l, reference w, reference l).
pub(crate) struct Dpo {
    beta: f64,
    inputs: Vec<Input>,
}

impl Dpo {
    pub(crate) fn new(beta: f64) -> Self {
        let input = |name: &str| Input {
            name: name.into(),
            level: Level::Example,
            range: Interval::LOG_PROB,
            differentiable: name.contains("pi"),
        };
        let names = ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"];
        Self { beta, inputs: names.map(input).to_vec() }
    }
}

impl LossKernel for Dpo {
    fn name(&self) -> &str {
        "dpo"
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn evaluate(&self, c: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let n = batch_len(self, c)?;
        let z = |e: usize| self.beta * ((c[0][e] - c[2][e]) - (c[1][e] - c[3][e]));
        let loss = (0..n).map(|e| (-z(e)).max(0.0) + (-z(e).abs()).exp().ln_1p()).collect();
        let slope: Vec<f64> = (0..n).map(|e| -self.beta / (1.0 + z(e).exp())).collect();
        let other = slope.iter().map(|s| -s).collect();
        Ok(Evaluated { loss, grads: vec![Some(slope), Some(other), None, None] })
    }
}

/// A weighted sum of its columns.
pub(crate) struct Weighted {
    pub(crate) weights: Vec<f64>,
    inputs: Vec<Input>,
}

impl Weighted {
    pub(crate) fn new(weights: &[f64]) -> Self {
        let input = |i: usize| Input {
            name: format!("x{i}"),
            level: Level::Example,
            range: Interval::REAL,
            differentiable: true,
        };
        Self { weights: weights.to_vec(), inputs: (0..weights.len()).map(input).collect() }
    }
}

impl LossKernel for Weighted {
    fn name(&self) -> &str {
        "weighted"
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn evaluate(&self, c: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let n = batch_len(self, c)?;
        let loss = |e: usize| self.weights.iter().zip(c).map(|(w, c)| w * c[e]).sum();
        let grads = self.weights.iter().map(|w| Some(vec![*w; n])).collect();
        Ok(Evaluated { loss: (0..n).map(loss).collect(), grads })
    }
}
