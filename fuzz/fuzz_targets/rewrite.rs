//! The optimiser keeps the values of any graph, and never panics or hangs.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run rewrite -s none -- -max_total_time=60`

#![no_main]

use libfuzzer_sys::fuzz_target;
use ponens_compiler::codegen::interp::{Big, Real, evaluate};
use ponens_compiler::mir::testing::{columns, graphs};
use ponens_compiler::mir::verify::verify;
use ponens_compiler::mir::{Graph, Stage};
use ponens_compiler::rewrite::{Options, optimise};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn values<const BITS: usize>(
    graph: &Graph,
    data: &ponens_compiler::mir::testing::Columns,
) -> Option<Vec<Vec<f64>>> {
    let batch = data.batch::<Big<BITS>>(graph, false).ok()?;
    let roots = evaluate(graph, &data.params, &batch).ok()?;
    Some(roots.iter().map(|r| r.iter().map(Real::to_f64).collect()).collect())
}

fuzz_target!(|choices: &[u8]| {
    // As choices of the strategy the bytes would run out, and a choice among zeros never ends.
    let mut seed = [0; 32];
    for (i, byte) in choices.iter().enumerate() {
        seed[i % 32] ^= byte.rotate_left(i as u32 / 32);
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let Ok(graph) = graphs(Stage::Total, 16).new_tree(&mut runner).map(|t| t.current()) else {
        return;
    };
    let Ok(done) = optimise(&graph, &Options::default()) else { return };
    verify(&done.graph).expect("an optimised graph is well formed");
    let Ok(data) = columns(&graph, 2).new_tree(&mut runner).map(|t| t.current()) else { return };
    let (Some(fine), Some(coarse)) = (values::<768>(&graph, &data), values::<384>(&graph, &data))
    else {
        return;
    };
    let Some(after) = values::<768>(&done.graph, &data) else {
        panic!("not evaluated any more: {graph}")
    };
    for (i, ((a, rough), b)) in fine.iter().zip(&coarse).zip(&after).enumerate() {
        // A value that turns out to be the same for all of a loop may move out of it.
        let level = |g: &Graph| g.node(g.roots[i].node).level;
        if level(&graph) != level(&done.graph) {
            continue;
        }
        for ((x, r), y) in a.iter().zip(rough).zip(b) {
            // Judged only where twice the precision confirms the value of the original.
            let firm = x.is_finite() && (x - r).abs() <= 1e-12 * x.abs();
            assert!(
                !firm || (x - y).abs() <= 1e-9 * x.abs(),
                "{graph}\nbecame\n{}\n{x} {y}",
                done.graph
            );
        }
    }
});
