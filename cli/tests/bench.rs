//! `ponens bench --quick`: every table, every contender or the reason why it does not run.

mod common;

use common::ponens;
use serde_json::Value;

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("{key} in {value}"))
}

#[test]
fn every_contender_is_measured_or_says_why_not() {
    let report = ponens(&["bench", "--quick", "--format", "json"]).done().json();
    let groups = list(&report, "groups");
    assert_eq!(groups.len(), 4);
    for group in &groups[..2] {
        for row in list(group, "rows") {
            let name = row["name"].as_str().expect("a name");
            if name.starts_with("PyTorch") {
                assert_eq!(row["skipped"], "no --python with PyTorch given");
                continue;
            }
            assert!(row["skipped"].is_null(), "{row}");
            assert!(row["median_ms"].as_f64().is_some_and(|t| t > 0.0), "{row}");
            assert!(row["ratio"].as_f64().is_some_and(|r| r > 0.0), "{row}");
            let linux = cfg!(target_os = "linux");
            assert_eq!(row["peak_mib"].as_f64().is_some_and(|p| p >= 0.0), linux, "{row}");
        }
    }
    // The formula that a bound is about is measured wherever its sides are.
    for demand in groups.iter().flat_map(|g| list(g, "demands")) {
        let foreign = demand["what"].as_str().is_some_and(|w| w.contains("PyTorch"));
        assert_eq!(demand["value"].is_null(), foreign, "{demand}");
        assert_eq!(demand["met"].is_null(), foreign, "{demand}");
    }
    // Errors do not depend on how busy the machine is.
    let errors = list(&groups[3], "demands");
    assert_eq!(errors.len(), 4);
    for error in errors {
        assert_eq!(error["met"], true, "{error}");
    }
    let losses = list(&groups[2], "rows");
    let names: Vec<&str> = losses.iter().filter_map(|r| r["name"].as_str()).collect();
    for name in ["dpo", "orpo", "tdpo1", "tdpo2", "wpo", "kto", "aot", "lattice.l20"] {
        let row = losses.iter().find(|r| r["name"] == name).unwrap_or_else(|| panic!("{names:?}"));
        assert!(row["ratio"].as_f64().is_some_and(|r| r > 0.0), "{row}");
        let more = ["tdpo1", "tdpo2", "wpo"].contains(&name);
        let against = if more { "the same pass, trivial epilogue" } else { "dpo" };
        assert_eq!(row["against"], against, "{row}");
    }
    for row in losses {
        assert_eq!(row["skipped"].is_null(), row["ratio"].is_number(), "{row}");
    }
}

#[test]
fn a_shape_that_cannot_be_is_a_usage_error() {
    for shape in ["3x8x100", "4x8", "4x0x100", "4x8x1", "text"] {
        let ran = ponens(&["bench", "--shape", shape]);
        assert_eq!(ran.status, 2, "{ran}");
        assert!(ran.stderr.contains("4x128x49152"), "{ran}");
    }
}
