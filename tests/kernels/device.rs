//! The same on a card, where there is one.

use super::catalogue::{Tally, all, column};
use super::step;
use super::support::Dice;
use ponens_compiler::codegen::cuda::Element;
use ponens_runtime::device::Device;
use ponens_runtime::kernel::evaluate;

/// The first card; `None`, with a message, where there is none.
fn card() -> Option<Device> {
    match Device::open(0) {
        Ok(device) => Some(device),
        Err(e) if e.is_missing() => {
            // Past the capture of the test harness: a test that passes has shown nothing.
            let _ =
                std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {e}\n"));
            None
        }
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn a_card_gives_the_steps_that_the_interpreter_gives() {
    let Some(device) = card() else { return };
    let mut dice = Dice(41);
    for name in step::LOSSES {
        step::check(name, &mut dice, &|plan, params, rows| {
            let mut program = device.load(plan, &[Element::F32], None)?;
            ponens_runtime::kernel::step(&mut program, plan, params, rows)
        });
    }
}

#[test]
fn a_card_gives_what_the_interpreter_gives() {
    let Some(device) = card() else { return };
    let mut dice = Dice(3);
    let (mut tally, mut losses) = (Tally::default(), 0);
    for (compiled, plan) in all() {
        let Ok(plan) = plan else { continue };
        let (graph, name) = (compiled.graph(), &compiled.loss.name);
        let params = compiled.bind(&[]).expect("defaults");
        let columns: Vec<Vec<f32>> =
            (0..graph.inputs.len()).map(|i| column(graph, i, 600, &mut dice)).collect();
        let mut program = device.load(plan, &[], None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let got = evaluate(&mut program, plan, &params, &columns, 600).expect("runs");
        tally.compare(compiled, &params, &columns, 600, &got);
        losses += 1;
    }
    tally.check(losses);
}
