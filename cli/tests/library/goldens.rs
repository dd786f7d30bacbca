//! The generated code against the reference records, which were computed with 60 digits apart from this
//! project: f64 within 1e-12 max(1, |beta rho|), which is how far the rounding of rho moves the link.

use ponens_macros::{catalogue_loss, loss};
use serde_json::Value;

catalogue_loss!(dpo);
catalogue_loss!(cdpo);
catalogue_loss!(simpo);

loss! {
    /// The odds-ratio term of ORPO alone, as the records have it.
    #[ponens(name = "OddsRatio")]
    loss odds(lambda = 0.1 in 0..inf) {
        data pair(w > l)
        model pi = policy, aggregate mean
        prefer pi(l) -> pi(w)
        given pi(l) xor pi(w)
        minimize lambda * logistic(rho)
    }
}

/// A number of the records; infinities are words there, and NaN stands where there is no value.
fn number(v: &Value) -> f64 {
    ponens::number::from_json(v).unwrap_or(f64::NAN)
}

/// Evaluates every record of a name on its rows: the fields of a row in, loss and derivatives out.
fn check(name: &str, fields: &[&str], run: impl Fn(&Value, &[f64]) -> ([f64; 3], f64)) -> usize {
    let all: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/goldens/losses.json"))
            .expect("a JSON file");
    let rows = all["input_sets"]["pairs"].as_array().expect("a list");
    let records = all["losses"].as_array().expect("a list").iter();
    let own = records.filter(|r| r["loss"] == name && r["params"]["f_divergence_type"].is_null());
    let mut compared = 0;
    for record in own {
        for (i, row) in rows.iter().enumerate() {
            let columns: Vec<f64> = fields.iter().map(|f| number(&row[*f])).collect();
            // Rows with an infinite or missing number are there to be refused before a loss sees them.
            // Where the record holds nothing, the formula has no value: 0/0 at two probabilities of one.
            if columns.iter().any(|x| !x.is_finite()) || record["loss_exact"][i].is_null() {
                continue;
            }
            let (got, argument) = run(&record["params"], &columns);
            let tolerance = 1e-12 * argument.abs().max(1.0);
            let gradient = |f: &str| number(&record["grad_exact"][f][i]);
            let expected =
                [number(&record["loss_exact"][i]), gradient(fields[0]), gradient(fields[1])];
            for (part, (got, expected)) in
                ["loss", "d/w", "d/l"].iter().zip(got.iter().zip(expected))
            {
                let near =
                    (got - expected).abs() <= (expected.abs() * tolerance).max(f64::MIN_POSITIVE);
                let same = *got == expected || near;
                assert!(same, "{part} of {name} on {}: {got:e} for {expected:e}", row["id"]);
                compared += 1;
            }
        }
    }
    compared
}

#[test]
fn dpo_is_within_bounds() {
    let compared = check("trl.dpo.sigmoid", &["lc", "lr", "rc", "rr"], |params, c| {
        let beta = number(&params["beta"]);
        let e = Dpo::new(beta).expect("in range").example(c[0], c[1], c[2], c[3]);
        let rho = (c[0] - c[2]) - (c[1] - c[3]);
        ([e.loss, e.d_logp_pi_w, e.d_logp_pi_l], beta * rho)
    });
    assert_eq!(compared, 3 * 68 * 3);
}

#[test]
fn cdpo_is_within_bounds() {
    let compared = check("trl024.dpo.sigmoid", &["lc", "lr", "rc", "rr"], |params, c| {
        let beta = number(&params["beta"]);
        let loss = Cdpo::new(beta, number(&params["label_smoothing"])).expect("in range");
        let e = loss.example(c[0], c[1], c[2], c[3]);
        let rho = (c[0] - c[2]) - (c[1] - c[3]);
        ([e.loss, e.d_logp_pi_w, e.d_logp_pi_l], beta * rho)
    });
    assert_eq!(compared, 2 * 68 * 3);
}

#[test]
fn simpo_is_within_bounds() {
    let compared = check("trl.cpo.simpo", &["avg_c", "avg_r"], |params, c| {
        let beta = number(&params["beta"]);
        let e =
            Simpo::new(beta, number(&params["simpo_gamma"])).expect("in range").example(c[0], c[1]);
        ([e.loss, e.d_mean_logp_pi_w, e.d_mean_logp_pi_l], beta * (c[0] - c[1]))
    });
    assert_eq!(compared, 69 * 3);
}

#[test]
fn the_odds_ratio_is_within_bounds() {
    let compared = check("trl.orpo", &["avg_c", "avg_r"], |params, c| {
        let e = OddsRatio::new(number(&params["beta"])).expect("in range").example(c[0], c[1]);
        let odds = |a: f64| a - (-a.exp_m1()).ln();
        ([e.loss, e.d_mean_logp_pi_w, e.d_mean_logp_pi_l], odds(c[0]) - odds(c[1]))
    });
    assert_eq!(compared, 66 * 3);
}
