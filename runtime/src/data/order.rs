//! Which examples come when: shuffling and the held-out split, fixed by a seed for ever.
//!
//! The generator is our own because the order is part of a run's record: it must not change with a library's
//! version.

use std::collections::HashMap;

use ponens_compiler::mir::Dice;

use super::record::{TextExample, Turns};

/// SplitMix64 (Steele, Lea, Flood 2014): a full-period 64-bit generator with one word of state, which
/// starts as the seed.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let mut dice = Dice(self.0);
        let bits = dice.bits();
        self.0 = dice.0;
        bits
    }

    /// A number below `n`, each as likely as another to within 2^-64 n.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Puts things in a random order, each order as likely as another.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// The order of `len` examples in every pass over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shuffle {
    seed: u64,
    len: usize,
    epoch: usize,
    order: Vec<usize>,
}

impl Shuffle {
    /// An order of `len` things that depends on the seed and the pass alone.
    pub fn new(seed: u64, len: usize) -> Self {
        let mut shuffle = Self { seed, len, epoch: usize::MAX, order: Vec::new() };
        shuffle.prepare(0);
        shuffle
    }

    fn prepare(&mut self, epoch: usize) {
        if self.epoch != epoch {
            self.order = (0..self.len).collect();
            let mut mix = SplitMix(self.seed);
            let seed = mix.bits() ^ (epoch as u64).wrapping_mul(0xd134_2543_de82_ef95);
            SplitMix(seed).shuffle(&mut self.order);
            self.epoch = epoch;
        }
    }

    /// Which thing stands at `position` of the endless sequence of passes; `None` of nothing.
    pub fn at(&mut self, position: usize) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        self.prepare(position / self.len);
        self.order.get(position % self.len).copied()
    }
}

/// Splits into training and held-out examples, each in the order of the data. All examples of one prompt go to
/// the same side, so that the held-out part is unseen.
///
/// The held-out part has at least the fraction asked for, if the prompts allow it, and never everything.
pub fn split(
    records: Vec<TextExample>,
    fraction: f64,
    seed: u64,
) -> (Vec<TextExample>, Vec<TextExample>) {
    let wanted = (records.len() as f64 * fraction.clamp(0.0, 1.0)).round() as usize;
    let mut group_of: HashMap<String, usize> = HashMap::new();
    let mut sizes: Vec<usize> = Vec::new();
    let mut group = Vec::with_capacity(records.len());
    for r in &records {
        let g = *group_of.entry(key(&r.prompt)).or_insert_with(|| {
            sizes.push(0);
            sizes.len() - 1
        });
        sizes[g] += 1;
        group.push(g);
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    SplitMix(seed ^ 0x5851_f42d_4c95_7f2d).shuffle(&mut order);
    let mut held = vec![false; sizes.len()];
    let mut taken = 0;
    for &g in order.iter().take(sizes.len().saturating_sub(1)) {
        if taken >= wanted {
            break;
        }
        held[g] = true;
        taken += sizes[g];
    }
    let mut side = group.into_iter().map(|g| held[g]);
    let (out, train) = records.into_iter().partition(|_| side.next().unwrap_or(false));
    (train, out)
}

/// Equal for equal prompts only.
fn key(prompt: &Turns) -> String {
    match prompt {
        Turns::Text(text) => format!("text {text}"),
        Turns::Chat(messages) => {
            let parts = messages.iter().map(|m| format!("{:?} {:?}", m.role, m.content));
            format!("chat {}", parts.collect::<Vec<_>>().join(" "))
        }
    }
}
