//! rho from the value of a loss, through the interpreter.

use crate::common::Place;
use serde_json::{Map, Value};

/// rho of a loss with the link logistic(beta * rho), beta 1, at the weights given by atom.
pub(crate) fn rho(loss: &str, weights: &Map<String, Value>) -> f64 {
    let place = Place::new();
    let row: Map<String, Value> = weights
        .iter()
        .map(|(atom, p)| {
            let logp = p.as_f64().expect("a weight").ln();
            (format!("logp({}", atom.replace('(', ",")), Value::from(logp))
        })
        .collect();
    place.write("row.jsonl", Value::Object(row).to_string());
    let args = ["value", loss, "--data", "row.jsonl", "--param", "beta=1", "--format", "json"];
    let line = &place.run(&args).done().json_lines()[0];
    // loss = log(1 + e^-rho)
    -line["loss"].as_f64().expect("a loss").exp_m1().ln()
}
