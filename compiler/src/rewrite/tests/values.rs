//! Two graphs have the same values at random batches.

use crate::codegen::interp::{Big, Real, evaluate};
use crate::mir::testing::columns;
use crate::mir::{Graph, Level};
use crate::rewrite::numeric::{Verdict, compare};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Fails where the second graph differs from the first, or is undefined where the first is not.
pub(super) fn same_values(a: &Graph, b: &Graph, seed: u64) -> Result<(), TestCaseError> {
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
