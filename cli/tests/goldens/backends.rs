//! The other back ends on the same records: the tape that training runs on a processor, and candle's
//! tensors with the compiled gradient.
//!
//! The tape has to give the interpreter's numbers to the last bit, in f64 and f32. candle's tensors are held to
//! the records themselves, in f64, with the bound of the interpreter; rows on which the interpreter is
//! known not to meet its record count for neither.

use crate::reference::{Goldens, Record};
use crate::subject::{self, Subject};
use crate::{Batching, Bound, Engine, F64_TOLERANCE, Side, bind, compare, named, rounded, shown};
use ponens::candle::{self, DType, Device, Tensor, Var};
use ponens::compiler::codegen::interp::Real;
use ponens::{Kernel, value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The rows of a record that its loss accepts, each with its place in the record.
fn accepted(record: &Record, goldens: &Goldens, subject: &Subject) -> (Vec<usize>, Vec<String>) {
    let inputs = goldens.inputs(record);
    let lines = inputs.iter().map(|i| i.line(&subject.columns, record));
    lines
        .enumerate()
        .filter(|(_, line)| bind(subject, std::slice::from_ref(line), Batching::Line).is_ok())
        .unzip()
}

/// Counts the numbers of a record that the tape gives otherwise than the interpreter.
fn tape<R: Real>(subject: &Subject, bound: &Bound) -> usize {
    let run = |engine: Engine| {
        value::evaluate::<R>(engine, subject.graph(), &subject.params, bound).expect("it fits")
    };
    let flat = |engine: Engine| -> Vec<u64> {
        let all = run(engine);
        all.iter().flat_map(named).flat_map(|(_, v)| v).map(f64::to_bits).collect()
    };
    let (a, b) = (flat(Engine::Interpreter), flat(Engine::Tape));
    assert_eq!(a.len(), b.len());
    let nan = |x: u64| f64::from_bits(x).is_nan();
    a.iter().zip(&b).filter(|(a, b)| a != b && !(nan(**a) && nan(**b))).count()
}

#[test]
fn the_tape_gives_every_record_to_the_last_bit() {
    let goldens = Goldens::load();
    let mut records = 0;
    let all = goldens.losses.iter().map(|r| (r, Batching::Line));
    for (record, batching) in all.chain(goldens.batches.iter().map(|r| (r, Batching::All))) {
        let subject = subject::subject(record).expect("a loss for every record");
        let (_, lines) = accepted(record, &goldens, &subject);
        let bound = bind(&subject, &lines, batching).expect("rows of numbers");
        assert_eq!(tape::<f64>(&subject, &bound), 0, "{} in f64", record.title());
        assert_eq!(tape::<f32>(&subject, &rounded(&bound)), 0, "{} in f32", record.title());
        records += 1;
    }
    assert!(records > 60, "{records} records");
}

/// Value and gradients of each row by candle's tensors.
fn tensors(subject: &Subject, bound: &Bound) -> candle::Result<Vec<BTreeMap<String, Vec<f64>>>> {
    let kernel = Kernel::new(subject.compiled(), &subject.params, ponens::Device::Cpu)
        .map_err(candle::Error::wrap)?;
    let given = |name: &str| bound.given.iter().find(|g| g.name == name).map(|g| &g.values);
    let names: Vec<String> = kernel.columns().into_iter().map(str::to_owned).collect();
    let mut columns = Vec::new();
    // What a derivative is divided by, and the column that it then belongs to.
    let mut shares: Vec<(String, Option<&Vec<f64>>)> = Vec::new();
    for name in &names {
        match bound.means.iter().find(|m| m.mean == *name) {
            None => {
                let values = given(name).expect("a column");
                columns.push(Var::from_tensor(&Tensor::new(values.as_slice(), &Device::Cpu)?)?);
                shares.push((name.clone(), None));
            }
            Some(m) => {
                let (sum, len) = (given(&m.sum).expect("a sum"), given(&m.len).expect("a length"));
                let mean: Vec<f64> =
                    sum.iter().zip(len).map(|(s, n)| s / f64::max(*n, 1.0)).collect();
                columns.push(Var::from_tensor(&Tensor::new(mean.as_slice(), &Device::Cpu)?)?);
                shares.push((m.sum.clone(), Some(len)));
            }
        }
    }
    let inputs: Vec<Tensor> = columns.iter().map(|v| v.as_tensor().clone()).collect();
    let loss = kernel.tensor(&inputs).map_err(candle::Error::wrap)?;
    let gradients = loss.sum_all()?.backward()?;
    let mut rows: Vec<BTreeMap<String, Vec<f64>>> = loss
        .to_dtype(DType::F64)?
        .to_vec1()?
        .into_iter()
        .map(|x: f64| BTreeMap::from([("loss".to_owned(), vec![x])]))
        .collect();
    for (var, (name, len)) in columns.iter().zip(&shares) {
        let Some(g) = gradients.get(var) else { continue };
        for (i, g) in g.to_vec1::<f64>()?.into_iter().enumerate() {
            let share = len.map_or(1.0, |n| f64::max(n[i], 1.0));
            let sum = rows[i].entry(name.clone()).or_insert_with(|| vec![0.0]);
            sum[0] += g / share;
        }
    }
    Ok(rows)
}

#[test]
fn tensors_of_candle_meet_the_records() {
    let goldens = Goldens::load();
    let (mut text, mut compared) = (String::new(), 0);
    for record in &goldens.losses {
        let subject = subject::subject(record).expect("a loss for every record");
        if value::is_batch_coupled(subject.graph()) {
            continue;
        }
        let inputs = goldens.inputs(record);
        let (places, lines) = accepted(record, &goldens, &subject);
        let bound = bind(&subject, &lines, Batching::Line).expect("rows of numbers");
        let got = tensors(&subject, &bound).unwrap_or_else(|e| panic!("{}: {e}", record.title()));
        for (place, got) in places.iter().zip(&got) {
            let input = &inputs[*place];
            let Some(mut want) = record.expected(*place, input, &subject.columns) else { continue };
            if subject::known(&record.title(), &input.id).is_some() {
                continue;
            }
            // The reference is frozen: it has no gradient on the tape.
            want.retain(|name, _| got.contains_key(name));
            // Where a loss leaves the range of f64, the kernel's tensor may say that it is not a number: training
            // stops at either.
            if want["loss"][0].is_infinite() {
                let loss = got["loss"][0];
                assert!(!loss.is_finite(), "{} {}: {loss}", record.title(), input.id);
                continue;
            }
            let tolerance = F64_TOLERANCE * input.condition(&subject);
            let side = Side { what: "candle", tolerance, floor: 1e-30, ceiling: f64::MAX };
            let mut misses = Vec::new();
            compare(&side, &want, got, &mut misses);
            if !misses.is_empty() {
                let _ = writeln!(text, "{} {}: {}", record.title(), input.id, shown(&misses));
            }
            compared += want.len();
        }
    }
    assert!(text.is_empty(), "{text}");
    assert!(compared > 6000, "{compared} numbers");
}
