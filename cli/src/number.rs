//! Numbers in JSON: what JSON cannot carry is one of the strings "NaN", "Infinity", "-Infinity".

use serde_json::Value;

/// The JSON form of a number.
pub fn to_json(x: f64) -> Value {
    match serde_json::Number::from_f64(x) {
        Some(n) => Value::Number(n),
        None => Value::from(name(x)),
    }
}

/// The number behind a JSON value; `None` for anything else.
pub fn from_json(v: &Value) -> Option<f64> {
    match v {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => match s.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// The text form of a number: the shortest that reads back as the same f64, with an exponent where
/// that is shorter.
pub fn to_text(x: f64) -> String {
    if !x.is_finite() {
        return name(x).to_owned();
    }
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        format!("{x:e}")
    } else {
        format!("{x}")
    }
}

fn name(x: f64) -> &'static str {
    if x.is_nan() {
        "NaN"
    } else if x > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_way_through_json() {
        let edge = [0.0, -0.0, 1e-320, -1e308, 0.1, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        for x in edge {
            let text = to_json(x).to_string();
            let back = serde_json::from_str(&text).ok().and_then(|v| from_json(&v));
            assert!(
                back.is_some_and(|b| b.to_bits() == x.to_bits() || (b.is_nan() && x.is_nan())),
                "{x} became {text}"
            );
        }
    }

    #[test]
    fn other_json_is_no_number() {
        for v in [Value::Null, Value::Bool(true), Value::from("1"), Value::from(vec![1])] {
            assert_eq!(from_json(&v), None);
        }
    }

    #[test]
    fn text_is_short_and_exact() {
        assert_eq!(to_text(0.5), "0.5");
        assert_eq!(to_text(-0.0), "-0");
        assert_eq!(to_text(1e-9), "1e-9");
        assert_eq!(to_text(2.5e300), "2.5e300");
        assert_eq!(to_text(f64::NEG_INFINITY), "-Infinity");
    }
}
