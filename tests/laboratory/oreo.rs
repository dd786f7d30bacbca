//! OREO (Wang et al. 2024, arXiv 2412.16145): at the optimal policy under a KL penalty and its soft values
//! both residuals are 0 at every token of every path, and so are the losses and their gradients.

use super::tree::{Node, grow, soft_value};
use ponens_compiler::codegen::interp::{Batch, evaluate};
use ponens_compiler::mir::Level;
use ponens_compiler::session::Options;
use ponens_runtime::data::SplitMix;

const BETA: f64 = 0.3;
const DEPTH: usize = 3;

/// The steps of one path: by token the policy, the reference and the value before it; and the reward.
#[derive(Clone, Default)]
struct Trajectory {
    policy: Vec<f64>,
    reference: Vec<f64>,
    value: Vec<f64>,
    reward: f64,
}

/// The reward comes with the last token, as OREO has it.
fn terminal(node: &mut Node) {
    for c in &mut node.children {
        if !c.children.is_empty() {
            c.reward = 0.0;
        }
        terminal(c);
    }
}

fn trajectories(node: &Node, so_far: &Trajectory, out: &mut Vec<Trajectory>) {
    if node.children.is_empty() {
        out.push(so_far.clone());
        return;
    }
    let value = soft_value(node, BETA);
    for c in &node.children {
        let mut next = so_far.clone();
        // The optimal policy: reference times exp of the soft advantage over beta.
        let advantage = c.reward + soft_value(c, BETA) - value;
        next.policy.push(c.reference.ln() + advantage / BETA);
        next.reference.push(c.reference.ln());
        next.value.push(value);
        next.reward += c.reward;
        trajectories(c, &next, out);
    }
}

/// Losses and gradients, by root and place.
fn run(name: &str, paths: &[Trajectory]) -> Vec<(String, Vec<f64>)> {
    let compiled = ponens_losses::compile(name, &Options::default());
    let compiled = compiled.unwrap_or_else(|e| panic!("{name}: {e:?}"));
    // The KL term of the policy loss is no residual.
    let given = [("beta".to_owned(), BETA), ("alpha".to_owned(), 0.0)];
    let known = |n: &str| compiled.loss.params.iter().any(|p| p.name == n);
    let given: Vec<_> = given.into_iter().filter(|(n, _)| known(n)).collect();
    let params = compiled.bind(&given).expect("in range");
    let graph = compiled.graph();
    let mut batch: Batch<f64> = Batch::new(paths.len());
    let counts = vec![DEPTH; paths.len()];
    for (i, input) in graph.inputs.iter().enumerate() {
        let tokens = |f: &dyn Fn(&Trajectory) -> Vec<f64>| -> Vec<f64> {
            paths.iter().flat_map(f).collect()
        };
        let values = match input.name.as_str() {
            "token_logp(pi,y)" => tokens(&|p| p.policy.clone()),
            "token_logp(ref,y)" => tokens(&|p| p.reference.clone()),
            "value(pi,y)" => tokens(&|p| p.value.clone()),
            "token_kl(pi,ref,y)" => tokens(&|_| vec![0.0; DEPTH]),
            "reward" => paths.iter().map(|p| p.reward).collect(),
            other => panic!("an input `{other}`"),
        };
        let at = i as u16;
        match input.level {
            Level::Token => batch.set_tokens(graph, at, &values, Level::Example, &counts),
            _ => batch.set(graph, at, &values),
        }
        .expect("a column an input");
    }
    let values = evaluate(graph, &params, &batch).expect("defined");
    graph.roots.iter().map(|r| r.name.clone()).zip(values).collect()
}

#[test]
fn the_residuals_vanish_at_the_optimum_and_only_there() {
    let mut root = grow(&mut SplitMix(17), DEPTH);
    terminal(&mut root);
    let mut paths = Vec::new();
    trajectories(&root, &Trajectory::default(), &mut paths);
    assert_eq!(paths.len(), 27);
    let total: f64 = paths.iter().map(|p| p.policy.iter().sum::<f64>().exp()).sum();
    assert!((total - 1.0).abs() < 1e-12, "the optimal policy is a distribution: {total}");
    for name in ["oreo_policy", "oreo_value"] {
        for (root, values) in run(name, &paths) {
            let worst = values.iter().fold(0f64, |m, v| m.max(v.abs()));
            assert!(worst < 1e-13, "{name}, {root}: {worst}");
        }
        // A value off by 0.1 at one token of one path is seen there and nowhere else.
        let mut off = paths.clone();
        off[5].value[1] += 0.1;
        let (_, losses) = run(name, &off).swap_remove(0);
        let wrong: Vec<usize> = (0..losses.len()).filter(|&i| losses[i] > 1e-12).collect();
        assert_eq!(wrong, [5], "{name}");
        assert!((losses[5] - 0.01 / DEPTH as f64).abs() < 1e-12, "{name}: {}", losses[5]);
    }
}
