//! Random graphs have the same values and gradients before and after the optimiser, at random batches.

use crate::adjoint::{Wrt, differentiate};
use crate::codegen::interp::{Big, Real, evaluate};
use crate::mir::testing::{columns, graphs};
use crate::mir::{Graph, Level, Stage};
use crate::rewrite::numeric::{Verdict, compare};
use crate::rewrite::{Limits, Options, optimise};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Fails where the second graph differs from the first, or is undefined where the first is not.
fn same_values(a: &Graph, b: &Graph, seed: u64) -> Result<(), TestCaseError> {
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for _ in 0..3 {
        let tree =
            columns(a, 3).new_tree(&mut runner).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let columns = tree.current();
        let fail = |e: crate::codegen::interp::EvalError| TestCaseError::fail(e.to_string());
        let fine = columns.batch::<Big<768>>(a, false).map_err(fail)?;
        let coarse = columns.batch::<Big<384>>(a, false).map_err(fail)?;
        let left = evaluate(a, &columns.params, &fine).map_err(fail)?;
        let right = evaluate(b, &columns.params, &fine).map_err(fail)?;
        let rough = evaluate(a, &columns.params, &coarse).map_err(fail)?;
        for (i, root) in a.roots.iter().enumerate() {
            // A root that no longer depends on a loop may stand at an outer level, and is broadcast.
            let level = b.node(b.roots[i].node).level;
            let same = level == a.node(root.node).level;
            if !same && level != Level::Uniform {
                continue;
            }
            for (j, l) in left[i].iter().enumerate() {
                let Some(r) = right[i].get(if same { j } else { 0 }) else { continue };
                let verdict = compare(l, rough[i][j].to_f64(), r);
                prop_assert_ne!(
                    verdict,
                    Verdict::Unequal,
                    "{}: {} became {}",
                    root.name,
                    l.to_f64(),
                    r.to_f64()
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Graphs with every operation and level: no contradiction, and the same values.
    #[test]
    fn random_graphs_keep_their_values(graph in graphs(Stage::Total, 10), seed in any::<u64>()) {
        let limits = Limits { iterations: 8, nodes: 1_500 };
        let options = Options { limits, extraction_steps: 2_000, ..Options::default() };
        match optimise(&graph, &options) {
            Ok(found) => same_values(&graph, &found.graph, seed)?,
            Err(e) => prop_assert_ne!(e.code, "E0603", "{}", e.message),
        }
    }

    /// The same of a value and all its gradients in one graph.
    #[test]
    fn random_graphs_keep_their_gradients(mut graph in graphs(Stage::Total, 6), seed in any::<u64>()) {
        graph.roots.truncate(1);
        let both = differentiate(&graph, Wrt::AllReal);
        let limits = Limits { iterations: 6, nodes: 1_500 };
        let options = Options { limits, extraction_steps: 2_000, ..Options::default() };
        match optimise(&both, &options) {
            Ok(found) => same_values(&both, &found.graph, seed)?,
            Err(e) => prop_assert_ne!(e.code, "E0603", "{}", e.message),
        }
    }
}
