//! The same on a card, where there is one.

use super::catalogue::{all, column, oracle};
use super::support::Dice;
use ponens_runtime::device::Device;
use ponens_runtime::kernel::evaluate;

#[test]
fn a_card_gives_what_the_interpreter_gives() {
    let device = match Device::open(0) {
        Ok(device) => device,
        Err(e) if e.is_missing() => {
            eprintln!("skipped: {e}");
            return;
        }
        Err(e) => panic!("{e}"),
    };
    let mut dice = Dice(3);
    for (compiled, plan) in all() {
        let Ok(plan) = plan else { continue };
        let (graph, name) = (compiled.graph(), &compiled.loss.name);
        let params = compiled.bind(&[]).expect("defaults");
        let columns: Vec<Vec<f32>> =
            (0..graph.inputs.len()).map(|i| column(graph, i, 600, &mut dice)).collect();
        let mut program = device.load(plan, &[], None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let got = evaluate(&mut program, plan, &params, &columns, 600).expect("runs");
        for ((root, values), exact) in got.iter().zip(oracle(graph, &params, &columns, 600)) {
            let scale = exact.iter().map(|x| x.abs()).sum::<f64>() / exact.len().max(1) as f64;
            for (e, value) in values.iter().enumerate() {
                let want = exact[e.min(exact.len() - 1)];
                let error = (f64::from(*value) - want).abs();
                let bound = 1e-5 * want.abs().max(1e-2 * scale).max(1e-30);
                assert!(error <= bound, "{name} {root}[{e}]: {value:e}, exactly {want:e}");
            }
        }
    }
}
