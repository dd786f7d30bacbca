//! The choice as a problem on numbers alone.
//!
//! Why: the search makes many small steps, so classes are places in a list and costs are four numbers that
//! can be subtracted. In: the nodes of every class. Out: a [`Problem`], and the [`Graph`] that a plan makes.
//! Invariant: a graph has no circle and holds all that its nodes need.

use super::super::cost::Cost;

/// A cost, or a difference of costs, in the order of importance.
pub(super) type Price = [i64; 4];

/// The price of a cost. A cost beyond 2^40 counts as that: bounds stay below the truth, and sums in range.
pub(super) fn price(cost: Cost) -> Price {
    let part = |x: u64| i64::try_from(x).unwrap_or(i64::MAX).min(1 << 40);
    [part(cost.hazard), part(cost.work), part(cost.size), part(cost.unusual)]
}

pub(super) fn sum(a: Price, b: Price) -> Price {
    std::array::from_fn(|i| a[i] + b[i])
}

pub(super) fn difference(a: Price, b: Price) -> Price {
    std::array::from_fn(|i| a[i] - b[i])
}

/// A set of classes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn none(size: usize) -> Bits {
        Bits(vec![0; size.div_ceil(64)])
    }

    pub(super) fn all(size: usize) -> Bits {
        let mut out = Bits::none(size);
        (0..size).for_each(|i| out.set(i, true));
        out
    }

    pub(super) fn set(&mut self, i: usize, on: bool) {
        if on {
            self.0[i / 64] |= 1 << (i % 64);
        } else {
            self.0[i / 64] &= !(1 << (i % 64));
        }
    }

    pub(super) fn has(&self, i: usize) -> bool {
        self.0[i / 64] >> (i % 64) & 1 == 1
    }

    pub(super) fn unite(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn intersect(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }

    pub(super) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(word, bits)| ones(word, *bits))
    }

    /// The places that are in this set and not in the other.
    pub(super) fn without<'a>(&'a self, other: &'a Bits) -> impl Iterator<Item = usize> + 'a {
        let words = self.0.iter().zip(&other.0).enumerate();
        words.flat_map(|(word, (a, b))| ones(word, a & !b))
    }
}

fn ones(word: usize, mut left: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(64 * word + bit)
    })
}

/// A node of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) price: Price,
    pub(super) operands: Vec<usize>,
    /// Which node of its class this is; it stays when others are left out.
    pub(super) name: usize,
}

/// The nodes of every class, cheapest first, and the classes that a graph has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) classes: Vec<Vec<Node>>,
    pub(super) roots: Vec<usize>,
}

/// Nodes of classes, as places in their lists.
pub(super) type Plan = Vec<Option<usize>>;

/// A choice for all that the roots need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Graph {
    pub(super) price: Price,
    /// Class and name of its node, operands first.
    pub(super) nodes: Vec<(usize, usize)>,
}

/// How far the walk through a plan has come with a class.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    Open,
    Done,
}

impl Problem {
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The part of a plan that the roots need; `None` where it is incomplete or has a circle.
    pub(super) fn graph(&self, plan: &Plan) -> Option<Graph> {
        let mut marks = vec![Mark::New; self.len()];
        let mut out = Graph { price: Price::default(), nodes: Vec::new() };
        for root in &self.roots {
            if marks[*root] == Mark::Done {
                continue;
            }
            marks[*root] = Mark::Open;
            let mut stack = vec![(*root, 0)];
            while let Some((class, next)) = stack.last_mut() {
                let node = &self.classes[*class][plan[*class]?];
                match node.operands.get(*next) {
                    None => {
                        marks[*class] = Mark::Done;
                        out.price = sum(out.price, node.price);
                        out.nodes.push((*class, node.name));
                        stack.pop();
                    }
                    Some(operand) => {
                        *next += 1;
                        match marks[*operand] {
                            Mark::Done => {}
                            Mark::Open => return None,
                            Mark::New => {
                                marks[*operand] = Mark::Open;
                                stack.push((*operand, 0));
                            }
                        }
                    }
                }
            }
        }
        Some(out)
    }
}
