//! The kernels of graphics processors on the same records: compiled to PTX and interpreted, by the code that
//! `ponens value --backend cuda` runs on a card.
//!
//! Held to 256 bits at the inputs as rounded to f32, with the bound of the interpreter in f32. Rows on which that
//! interpreter is known not to meet its record count for neither.

#[allow(dead_code)]
#[path = "../../../tests/kernels/support.rs"]
mod support;

use crate::reference::Goldens;
use crate::subject;
use crate::{Batching, F32_TOLERANCE, Side, bind, compare, named, rounded, run};
use ponens::compiler::codegen::cuda::{example, prelude};
use ponens::compiler::codegen::interp::Big;
use ponens::compiler::lir::Plan;
use ponens::value::{self, Outcome};
use ponens_ptx::Module;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use support::{Interpreter, compiler, module};

const SIDE: Side<'_> = Side {
    what: "kernel",
    tolerance: F32_TOLERANCE,
    floor: f32::MIN_POSITIVE as f64,
    ceiling: f32::MAX as f64,
};

#[test]
fn kernels_meet_the_records() {
    let Some(compiler) = compiler() else { return };
    let goldens = Goldens::load();
    // By the text of the plan: records of one loss share their kernels.
    let mut modules: BTreeMap<String, &'static Module> = BTreeMap::new();
    let (mut text, mut compared, mut missed) = (String::new(), 0, 0);
    let all = goldens.losses.iter().map(|r| (r, false));
    for (record, batch) in all.chain(goldens.batches.iter().map(|r| (r, true))) {
        let subject = subject::subject(record).expect("a loss for every record");
        let inputs = goldens.inputs(record);
        let mut lines: Vec<(usize, String)> =
            inputs.iter().map(|i| i.line(&subject.columns, record)).enumerate().collect();
        if !batch {
            // What the loss refuses has no value to compare.
            lines.retain(|(_, l)| bind(&subject, std::slice::from_ref(l), Batching::Line).is_ok());
        }
        let (places, lines): (Vec<usize>, Vec<String>) = lines.into_iter().unzip();
        let batching = if batch { Batching::All } else { Batching::Line };
        let bound = rounded(&bind(&subject, &lines, batching).expect("rows of numbers"));
        let load = |plan: &Plan| {
            let source = || format!("{}{}", prelude(), example::emit(plan));
            let compiled = modules.entry(plan.to_string());
            let new = || -> &'static Module { Box::leak(Box::new(module(compiler, &source()))) };
            Ok(Interpreter::new(compiled.or_insert_with(new)))
        };
        let params: Vec<f64> = subject.params.iter().map(|p| f64::from(*p as f32)).collect();
        let got: Vec<Outcome<f32>> =
            value::evaluate_on_machine(load, subject.graph(), &params, &bound)
                .unwrap_or_else(|e| panic!("{}: {e:?}", record.title()));
        let exact =
            value::evaluate::<Big>(value::Engine::Interpreter, subject.graph(), &params, &bound)
                .expect("the graph fits the rows");
        let single = run::<f32>(&subject, &bound);
        assert_eq!(got.len(), exact.len(), "{}", record.title());
        for (row, (got, exact)) in got.iter().zip(&exact).enumerate() {
            let rows: Vec<usize> =
                if got.grouped { (0..places.len()).collect() } else { vec![row] };
            let ids: Vec<&str> = rows.iter().map(|r| inputs[places[*r]].id.as_str()).collect();
            if ids.iter().any(|id| subject::known(&record.title(), id).is_some()) {
                continue;
            }
            // Where the record holds nothing, the formula has no value: 0/0 at two probabilities of one.
            let of = |place: usize| record.expected(place, inputs[place], &subject.columns);
            if !batch && of(places[row]).is_none() {
                continue;
            }
            let condition =
                rows.iter().map(|r| inputs[places[*r]].condition(&subject)).fold(1.0, f64::max);
            let side = Side { tolerance: SIDE.tolerance * condition, ..SIDE };
            let (want, got) = (named(exact), named(got));
            let mut line = String::new();
            compare(&side, &want, &got, &mut line);
            compared += want.len();
            if !line.is_empty() {
                let mut same = String::new();
                compare(&side, &want, &named(&single[row]), &mut same);
                missed += 1;
                let _ = writeln!(text, "{} {ids:?}: {line} (interpreter: {same})", record.title());
            }
        }
    }
    assert!(text.is_empty(), "{missed} rows of {compared} numbers:\n{text}");
    assert!(compared > 9000, "{compared} numbers");
}
