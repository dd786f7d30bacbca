//! The reference records as cases for generated PyTorch files.
//!
//! The subjects, columns and expected values are those of the tests beside this file, so that there is one
//! table of what each record means. `scripts/check-torch.sh` runs this and then the cases in Python.

use crate::reference::Goldens;
use crate::subject::{self, Subject};
use crate::{Batching, Bound, F32_TOLERANCE, F64_TOLERANCE, bind, named, rounded, run};
use ponens::compiler::codegen::interp::{Big, Real};
use ponens::compiler::codegen::torch;
use ponens::number;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// One type's side of a case.
fn side(tolerance: f64, bound: &Bound, expected: &[BTreeMap<String, Vec<f64>>]) -> Value {
    let columns: Map<String, Value> = bound
        .given
        .iter()
        .map(|g| (g.name.clone(), g.values.iter().map(|x| number::to_json(*x)).collect()))
        .collect();
    let rows: Vec<Value> = expected
        .iter()
        .map(|row| {
            let row: Map<String, Value> = row
                .iter()
                .map(|(n, v)| (n.clone(), v.iter().map(|x| number::to_json(*x)).collect()))
                .collect();
            Value::Object(row)
        })
        .collect();
    json!({ "tolerance": tolerance, "columns": columns, "expected": rows })
}

/// What the interpreter gives, to tell a difference of the back end from one of the form.
///
/// One outcome a row; for a batch one, which of independent examples is their mean.
fn interpreted<R: Real>(
    subject: &Subject,
    bound: &Bound,
    batch: bool,
) -> Vec<BTreeMap<String, Vec<f64>>> {
    let outcomes: Vec<_> = run::<R>(subject, bound).iter().map(named).collect();
    if !batch || outcomes.len() == 1 {
        return outcomes;
    }
    let n = outcomes.len() as f64;
    let mut mean: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, values) in outcomes.into_iter().flatten() {
        mean.entry(name).or_default().extend(values.iter().map(|x| x / n));
    }
    if let Some(loss) = mean.get_mut("loss") {
        *loss = vec![loss.iter().sum()];
    }
    vec![mean]
}

fn case(
    subject: &Subject,
    title: &str,
    ids: &[String],
    bound: &Bound,
    expected: &[BTreeMap<String, Vec<f64>>],
    conditions: &[f64],
    (file, batch): (&str, bool),
) -> Value {
    let narrow = rounded(bound);
    let keep = |all: Vec<BTreeMap<String, Vec<f64>>>| -> Vec<BTreeMap<String, Vec<f64>>> {
        let names: Vec<&String> = expected.iter().flat_map(|e| e.keys()).collect();
        let of = |m: BTreeMap<String, Vec<f64>>| {
            m.into_iter().filter(|(n, _)| names.contains(&n)).collect()
        };
        all.into_iter().map(of).collect()
    };
    let exact = keep(interpreted::<Big>(subject, &narrow, batch));
    let signature = torch::signature(subject.graph()).expect("a signature");
    let params: Map<String, Value> = signature
        .params
        .iter()
        .zip(&subject.params)
        .map(|((_, identifier), v)| (identifier.clone(), number::to_json(*v)))
        .collect();
    let means: Vec<Value> =
        bound.means.iter().map(|m| json!({ "mean": m.mean, "sum": m.sum, "len": m.len })).collect();
    let mut f64s = side(F64_TOLERANCE, bound, expected);
    f64s["interpreted"] =
        side(0.0, bound, &interpreted::<f64>(subject, bound, batch))["expected"].take();
    let mut f32s = side(F32_TOLERANCE, &narrow, &exact);
    f32s["interpreted"] =
        side(0.0, &narrow, &interpreted::<f32>(subject, &narrow, batch))["expected"].take();
    json!({
        "title": title, "ids": ids, "file": file, "function": signature.function,
        "arguments": signature.columns, "params": params, "coupled": signature.coupled,
        "batch": batch, "means": means, "conditions": conditions, "f64": f64s, "f32": f32s,
    })
}

#[test]
#[ignore = "writes the cases of scripts/check-torch.sh to the folder PONENS_CASES"]
fn cases_for_torch() {
    let folder = std::env::var("PONENS_CASES").expect("PONENS_CASES names a folder");
    let folder = Path::new(&folder);
    let goldens = Goldens::load();
    let mut cases = Vec::new();
    let (mut rows, mut refused) = (0, 0);
    let all = goldens.losses.iter().map(|r| (r, false));
    for (record, batch) in all.chain(goldens.batches.iter().map(|r| (r, true))) {
        let subject = subject::subject(record).expect("a loss for every record");
        let file = format!("case_{:02}.py", cases.len());
        let text = torch::emit(subject.compiled(), &torch::Options::default());
        std::fs::write(folder.join(&file), text.expect("a PyTorch file")).expect("written");
        let inputs = goldens.inputs(record);
        let (mut ids, mut lines, mut expected, mut conditions) = (vec![], vec![], vec![], vec![]);
        for (i, input) in inputs.iter().enumerate() {
            let line = input.line(&subject.columns, record);
            if !batch {
                // What the loss refuses has no value to compare.
                if bind(&subject, std::slice::from_ref(&line), Batching::Line).is_err() {
                    refused += 1;
                    continue;
                }
                let Some(e) = record.expected(i, input, &subject.columns) else { continue };
                expected.push(e);
            }
            ids.push(input.id.clone());
            lines.push(line);
            conditions.push(input.condition(&subject));
        }
        let batching = if batch { Batching::All } else { Batching::Line };
        let bound = bind(&subject, &lines, batching).expect("rows of numbers");
        if batch {
            let mean = record.expected_batch(&subject.columns);
            // Batches without exact values are held to 256 bits.
            expected = mean.map_or_else(|| interpreted::<Big>(&subject, &bound, true), |e| vec![e]);
        }
        rows += ids.len();
        cases.push(case(
            &subject,
            &record.title(),
            &ids,
            &bound,
            &expected,
            &conditions,
            (&file, batch),
        ));
    }
    assert!(rows > 3000, "{rows} rows");
    let document = json!({ "cases": cases, "rows": rows, "refused": refused });
    std::fs::write(folder.join("cases.json"), document.to_string()).expect("written");
}
