//! The check values of the catalogue: each loss file ends with a row and the value there, computed with 60
//! digits from the paper's formula by `scripts/catalogue-values.py`, apart from the loss language.

use ponens::compiler::adjoint::Wrt;
use ponens::compiler::codegen::interp::{Big, Real};
use ponens::compiler::session::Options;
use ponens::losses::Catalogue;
use ponens::value::{Batching, Engine, Rows, bind, evaluate};
use serde_json::Value;

/// The rows of a line `// check ROWS = VALUE`, one a line, and the value.
fn check(text: &str) -> Option<(String, String)> {
    let line = text.lines().find_map(|l| l.strip_prefix("// check "))?;
    let (rows, value) = line.rsplit_once(" = ")?;
    let rows = match serde_json::from_str(rows).ok()? {
        Value::Array(rows) => rows.iter().map(|r| format!("{r}\n")).collect(),
        row => row.to_string(),
    };
    Some((rows, value.to_owned()))
}

fn value<R: Real>(name: &str, rows: &str) -> R {
    let options = Options { wrt: Wrt::AllReal, ..Options::default() };
    let compiled = ponens::losses::compile(name, &options).expect("the catalogue compiles");
    let params = compiled.bind(&[]).expect("defaults");
    let rows = Rows::from_text(name, rows).expect("rows");
    let bound =
        bind(&compiled.loss, &rows, Batching::All).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let outcomes = evaluate::<R>(Engine::Interpreter, compiled.graph(), &params, &bound);
    let outcomes = outcomes.expect("the rows fit");
    let count = R::from_f64(outcomes.len() as f64);
    let total = outcomes.iter().fold(R::from_f64(0.0), |sum, o| sum.add(&o.loss));
    total.div(&count)
}

#[test]
fn every_loss_has_its_written_value() {
    for entry in Catalogue.entries() {
        let name = entry.name.to_string();
        let (rows, want) = check(entry.text).unwrap_or_else(|| panic!("{name} has no check value"));
        let want: f64 = want.parse().expect("a number");
        let exact = value::<Big>(&name, &rows).to_f64();
        let within = |got: f64, tolerance: f64| (got - want).abs() <= tolerance * want.abs();
        // The formulas have decimal parameters such as 0.8, which the compiler reads as the nearest f64.
        assert!(within(exact, 4e-16), "{name}: {exact:e} is not {want:e}");
        let got = value::<f64>(&name, &rows);
        assert!(within(got, 1e-13), "{name} in f64: {got:e} is not {want:e}");
    }
}
