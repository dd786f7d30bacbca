//! A tree of tokens with rewards: the optimal policy under a KL penalty, what DPO sees of it, and which
//! losses survive a change of the rewards by potentials.

use super::{catalogue, evaluate, gradient, pair, written};
use ponens_runtime::data::SplitMix;
use ponens_runtime::op::Evaluated;
use std::collections::HashMap;

const DEPTH: usize = 3;
const BRANCHES: usize = 3;

/// A node of the tree: its reward and reference probability on the edge to it, and its children.
pub(crate) struct Node {
    pub(crate) reward: f64,
    pub(crate) reference: f64,
    pub(crate) children: Vec<Node>,
}

pub(crate) fn grow(random: &mut SplitMix, depth: usize) -> Node {
    let mut number = || random.below(1 << 20) as f64 / f64::from(1 << 20);
    let (reward, reference) = (2.0 * number() - 1.0, 0.2 + number());
    let children: Vec<Node> = match depth {
        0 => Vec::new(),
        _ => (0..BRANCHES).map(|_| grow(random, depth - 1)).collect(),
    };
    let mut node = Node { reward, reference, children };
    let sum: f64 = node.children.iter().map(|c| c.reference).sum();
    node.children.iter_mut().for_each(|c| c.reference /= sum);
    node
}

/// The soft value: beta log sum over edges of reference exp((reward + value) / beta).
pub(crate) fn soft_value(node: &Node, beta: f64) -> f64 {
    if node.children.is_empty() {
        return 0.0;
    }
    let q = |c: &Node| c.reward + soft_value(c, beta);
    let sum: f64 = node.children.iter().map(|c| c.reference * (q(c) / beta).exp()).sum();
    beta * sum.ln()
}

/// One path to a leaf.
#[derive(Clone, Default)]
struct Path {
    reward: f64,
    reference: f64,
    policy: f64,
    soft_advantage: f64,
}

/// All paths, with the optimal policy's log-probability.
fn paths(node: &Node, beta: f64, so_far: &Path, out: &mut Vec<Path>) {
    if node.children.is_empty() {
        out.push(so_far.clone());
        return;
    }
    let value = soft_value(node, beta);
    let weight = |c: &Node| c.reference * ((c.reward + soft_value(c, beta)) / beta).exp();
    let total: f64 = node.children.iter().map(weight).sum();
    for c in &node.children {
        let next = Path {
            reward: so_far.reward + c.reward,
            reference: so_far.reference + c.reference.ln(),
            policy: so_far.policy + (weight(c) / total).ln(),
            soft_advantage: so_far.soft_advantage + c.reward + soft_value(c, beta) - value,
        };
        paths(c, beta, &next, out);
    }
}

fn tree_paths(beta: f64) -> (f64, Vec<Path>) {
    let root = grow(&mut SplitMix(11), DEPTH);
    let mut all = Vec::new();
    paths(&root, beta, &Path::default(), &mut all);
    assert_eq!(all.len(), BRANCHES.pow(DEPTH as u32));
    (soft_value(&root, beta), all)
}

/// From r to Q* (Rafailov et al. 2024, arXiv 2404.12358): beta times the log-ratio of the optimal policy
/// is the soft advantage, and along a whole path the return less the root's value.
#[test]
fn the_log_ratio_of_the_optimal_policy_is_the_soft_advantage() {
    for beta in [0.3, 1.0] {
        let (value, all) = tree_paths(beta);
        for p in &all {
            let ratio = beta * (p.policy - p.reference);
            assert!((ratio - p.soft_advantage).abs() < 1e-12);
            assert!((ratio - (p.reward - value)).abs() < 1e-12);
        }
    }
}

/// Preferences drawn by the returns (Bradley-Terry) leave DPO nothing to do at the optimal policy: the
/// expected gradient by every path's log-probability is 0. At the reference it is not.
#[test]
fn dpo_is_stationary_at_the_optimal_policy() {
    let beta = 0.3;
    let (_, all) = tree_paths(beta);
    let dpo = catalogue("dpo", &[("beta", beta)]);
    let expected = |policy: &dyn Fn(&Path) -> f64| -> f64 {
        let mut slope = vec![0.0; all.len()];
        for (i, a) in all.iter().enumerate() {
            let others: Vec<usize> = (0..all.len()).filter(|j| *j != i).collect();
            let batch: Vec<_> = others
                .iter()
                .map(|&j| pair(policy(a), policy(&all[j]), a.reference, all[j].reference))
                .collect();
            let value = evaluate(&dpo, &batch);
            let (up, down) =
                (gradient(&dpo, &value, "logp(pi,w)"), gradient(&dpo, &value, "logp(pi,l)"));
            for (k, &j) in others.iter().enumerate() {
                let preferred = 1.0 / (1.0 + (all[j].reward - a.reward).exp());
                slope[i] += preferred * up[k];
                slope[j] += preferred * down[k];
            }
        }
        slope.iter().map(|s| s.abs()).fold(0.0, f64::max)
    };
    let at_optimum = expected(&|p| p.policy);
    assert!(at_optimum < 1e-12, "{at_optimum}");
    let at_reference = expected(&|p| p.reference);
    assert!(at_reference > 0.05, "{at_reference}");
}

/// The best return from a node on.
fn best(node: &Node) -> f64 {
    node.children
        .iter()
        .map(|c| c.reward + best(c))
        .fold(f64::NEG_INFINITY, f64::max)
        .max(if node.children.is_empty() { 0.0 } else { f64::NEG_INFINITY })
}

/// Adds potential(child) - potential(node) to every edge's reward; leaves and the root have potential 0.
fn shape(node: &mut Node, own: f64, random: &mut SplitMix) {
    for c in &mut node.children {
        let potential = match c.children.is_empty() {
            true => 0.0,
            false => 4.0 * (random.below(1 << 20) as f64 / f64::from(1 << 20)) - 2.0,
        };
        c.reward += potential - own;
        shape(c, potential, random);
    }
}

/// Segments of one or two edges from every inner node: partial return and regret.
fn segments(node: &Node, out: &mut Vec<(f64, f64)>) {
    for c in &node.children {
        let regret = |node: &Node, c: &Node| best(node) - c.reward - best(c);
        out.push((c.reward, regret(node, c)));
        for d in &c.children {
            out.push((c.reward + d.reward, regret(node, c) + regret(c, d)));
        }
        segments(c, out);
    }
}

const SEGMENT_LOSSES: &str = "\
/// Preferences by regret (Knox et al. 2022, arXiv 2206.02231).
loss regret() {
    data pair(w > l)
    model pi = policy
    column regret_w
    column regret_l
    minimize logistic(regret_l - regret_w) + 0 * logp(pi, w)
}

/// Preferences by partial return.
loss partial_return() {
    data pair(w > l)
    model pi = policy
    column return_w
    column return_l
    minimize logistic(return_w - return_l) + 0 * logp(pi, w)
}
";

/// Potential shaping (Ng et al. 1999) leaves every regret as it was, and so the regret loss; the partial
/// return moves by the potential at the segment's end, and so its loss.
#[test]
fn regret_is_invariant_under_shaping_and_partial_return_is_not() {
    let mut plain = Vec::new();
    segments(&grow(&mut SplitMix(5), DEPTH), &mut plain);
    let mut root = grow(&mut SplitMix(5), DEPTH);
    shape(&mut root, 0.0, &mut SplitMix(6));
    let mut shaped = Vec::new();
    segments(&root, &mut shaped);
    let batch = |of: &[(f64, f64)]| -> Vec<HashMap<&'static str, f64>> {
        let couples = of.iter().zip(of.iter().skip(1));
        let one = |((rw, gw), (rl, gl)): (&(f64, f64), &(f64, f64))| {
            HashMap::from([
                ("return_w", *rw),
                ("return_l", *rl),
                ("regret_w", *gw),
                ("regret_l", *gl),
                ("logp(pi,w)", -1.0),
            ])
        };
        couples.map(one).collect()
    };
    let worst = |name: &str| {
        let kernel = written(name, SEGMENT_LOSSES);
        let values = |of| -> Evaluated { evaluate(&kernel, &batch(of)) };
        let (a, b) = (values(&plain), values(&shaped));
        let gaps = a.loss.iter().zip(&b.loss).map(|(a, b)| (a - b).abs());
        gaps.fold(0.0, f64::max)
    };
    assert!(worst("regret") < 1e-12, "{}", worst("regret"));
    assert!(worst("partial_return") > 0.5, "{}", worst("partial_return"));
}
