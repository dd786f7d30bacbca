//! The dynamics of a loss, as text and as JSON.

use crate::failure::Failure;
use crate::output::Ui;
use ponens::compiler::explain::dynamics::{Displacement, Dynamics, Pull, Sign, Step};
use ponens::number;
use serde_json::{Map, Value, json};

fn numbers(list: &[(String, f64)]) -> Value {
    let map: Map<String, Value> =
        list.iter().map(|(n, x)| (n.clone(), number::to_json(*x))).collect();
    Value::Object(map)
}

/// `null` with a reason beside it where there are none.
pub(super) fn document(found: &Result<Dynamics, String>) -> Value {
    let d = match found {
        Ok(d) => d,
        Err(reason) => return json!({ "pulls": null, "displacement": null, "reason": reason }),
    };
    let pull = |p: &Pull| {
        let sizes: Vec<Value> = p
            .sizes
            .iter()
            .map(|s| json!({ "log_probability": s.at, "pull": number::to_json(s.pull) }))
            .collect();
        json!({
            "column": p.column,
            "response": p.response.to_string(),
            "sign": p.sign.to_string(),
            "evidence": p.evidence.to_string(),
            "sizes": sizes,
            "ends_of": if p.partial { "preference term" } else { "loss" },
            "vanishes": p.vanishes,
            "grows": p.grows,
        })
    };
    let pulls: Vec<Value> = d.pulls.iter().map(pull).collect();
    let step = d.displacement.step().map(|s| {
        json!({
            "example": numbers(&s.example),
            "direction": numbers(&s.direction),
            "loss_before": number::to_json(s.before),
            "loss_after": number::to_json(s.after),
            "price": number::to_json(s.price),
        })
    });
    let possible = match d.displacement {
        Displacement::Direct(_) | Displacement::Traded(_) | Displacement::Unread => json!(true),
        Displacement::Impossible => json!(false),
        Displacement::NotFound(_) => Value::Null,
    };
    json!({
        "pulls": pulls,
        "displacement": {
            "possible": possible,
            "kind": kind(&d.displacement),
            "why": why(&d.displacement),
            "witness": step,
        },
    })
}

fn kind(d: &Displacement) -> &'static str {
    match d {
        Displacement::Direct(_) => "direct",
        Displacement::Traded(_) => "traded",
        Displacement::Impossible => "impossible",
        Displacement::Unread => "unread",
        Displacement::NotFound(_) => "not_found",
    }
}

fn why(d: &Displacement) -> String {
    match d {
        Displacement::Direct(_) => {
            "a step on the loss alone lowers the chosen log-probability".to_owned()
        }
        Displacement::Traded(s) if s.price == 0.0 => {
            "any fall of the rejected log-probability pays for it".to_owned()
        }
        Displacement::Traded(s) => format!(
            "it needs the rejected log-probability to change by more than {} for each nat that the chosen \
             one falls",
            short(s.price)
        ),
        Displacement::Impossible => {
            "the loss reads nothing of the policy but the chosen response".to_owned()
        }
        Displacement::Unread => {
            "the loss reads no log-probability of the chosen response".to_owned()
        }
        Displacement::NotFound(n) => format!("no such step was found at {n} examples"),
    }
}

/// Three digits are enough to see a size.
fn short(x: f64) -> String {
    if x == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e4).contains(&x.abs()) {
        let text = format!("{x:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{x:.1e}")
    }
}

/// Prints the pulls and the witness.
pub(super) fn show(found: &Result<Dynamics, String>, ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    ui.line("")?;
    let d = match found {
        Ok(d) => d,
        Err(reason) => {
            return ui.line(format!("{}  not computed: {reason}", style.strong("dynamics")));
        }
    };
    ui.line(style.strong("dynamics"))?;
    for p in &d.pulls {
        let sign = match p.sign {
            Sign::Up => style.good("pulled up"),
            Sign::Down => style.bad("pulled down"),
            Sign::Both => "pulled up here, down there".to_owned(),
            Sign::None => style.faint("not pulled"),
        };
        let evidence = style.faint(&format!("({})", p.evidence));
        ui.line(format!("  {:<9} {}  {sign} {evidence}", p.response.to_string(), p.column))?;
        let sizes: Vec<String> =
            p.sizes.iter().map(|s| format!("{} at {}", short(s.pull), short(s.at))).collect();
        if !sizes.is_empty() {
            ui.line(format!("            size      {}", sizes.join(", ")))?;
        }
        for (what, list) in [("vanishes", &p.vanishes), ("unbounded", &p.grows)] {
            if !list.is_empty() {
                let of = if p.partial { " (the preference term)" } else { "" };
                ui.line(format!("            {what:<9} as {}{of}", list.join("; as ")))?;
            }
        }
    }
    let verdict = match d.displacement {
        Displacement::Direct(_) | Displacement::Traded(_) | Displacement::Unread => "possible",
        Displacement::Impossible => "impossible",
        Displacement::NotFound(_) => "not found",
    };
    ui.line(format!("  likelihood displacement: {verdict}; {}", why(&d.displacement)))?;
    match d.displacement.step() {
        Some(step) => witness(step, ui),
        None => Ok(()),
    }
}

fn witness(step: &Step, ui: &mut Ui) -> Result<(), Failure> {
    let list = |list: &[(String, f64)], sign: bool| -> String {
        let text = |(n, x): &(String, f64)| {
            let plus = if sign && *x > 0.0 { "+" } else { "" };
            format!("{n} {}{plus}{}", if sign { "" } else { "= " }, short(*x))
        };
        list.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    ui.line(format!("    at          {}", list(&step.example, false)))?;
    ui.line(format!("    the step    {}", list(&step.direction, true)))?;
    ui.line(format!("    takes the loss from {:.6} to {:.6}", step.before, step.after))
}
