//! Any text compiles or is refused with diagnostics; what compiles is verified, and its gradient graph
//! gives at the middle of its domain the value that the text says.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run compile -s none -- -max_total_time=60 -dict=fuzz/parse.dict`

#![no_main]

use libfuzzer_sys::fuzz_target;
use ponens_compiler::codegen::interp::{Batch, Big, Real, evaluate};
use ponens_compiler::hir::{self, Program};
use ponens_compiler::mir::testing::Dice;
use ponens_compiler::mir::verify::verify;
use ponens_compiler::mir::{Graph, Level};
use ponens_compiler::session::{self, Options};
use ponens_losses::Catalogue;

/// The first value of the first root in 256 bits, at one random example.
fn value(graph: &Graph, seed: u64) -> Option<f64> {
    let mut dice = Dice(seed);
    let params: Vec<f64> = graph.params.iter().map(|p| dice.value(&p.range)).collect();
    let mut batch = Batch::<Big<256>>::new(1);
    for (i, input) in graph.inputs.iter().enumerate() {
        if input.level > Level::Example {
            return None;
        }
        batch.set(graph, i as u16, &[dice.value(&input.range)]).ok()?;
    }
    let roots = evaluate(graph, &params, &batch).expect("a verified graph is evaluated");
    roots.first()?.first().map(Real::to_f64)
}

fuzz_target!(|text: &str| {
    // The stages behind the parser cost more: short texts reach all of them.
    if text.len() > 2_000 {
        return;
    }
    let mut program = Program::new();
    let (_, refused) = program.add_text("fuzz.loss", text);
    if !refused.is_empty() {
        return;
    }
    let names: Vec<String> = program.losses().iter().map(|n| n.text.clone()).collect();
    for name in names.iter().take(2) {
        match session::compile(&mut program, name, &Catalogue, &Options::default()) {
            Err(why) => assert!(!why.is_empty(), "refused without a reason: {text}"),
            Ok(compiled) => {
                hir::verify(&compiled.loss).expect("a resolved loss is well formed");
                verify(&compiled.gradient.graph).expect("a compiled graph is well formed");
                for seed in 0..3 {
                    let written = value(&compiled.written, seed);
                    let derived = value(&compiled.value.graph, seed);
                    if let (Some(a), Some(b)) = (written, derived)
                        && a.is_finite()
                    {
                        let close = (a - b).abs() <= 1e-9 * a.abs().max(1e-280);
                        assert!(close, "{text}\nas written {a}, derived {b}");
                    }
                }
            }
        }
    }
});
