//! `ponens compare`

use super::{as_numbers, numbers};
use crate::args::{ParamArgs, assignment};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compare::{Comparison, LossEquality, compare};
use ponens::compiler::relate::{Order, Relation, Witness};
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::{Diagnostic, suggest};
use ponens::{locate, number};
use serde_json::{Map, Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens compare dpo mine.loss:dpo_logic
  ponens compare lattice.ORPO lattice.CPO
  ponens compare dpo cdpo --param epsilon=0
  ponens compare lattice.CPO_ref dpo --param-a beta=0.1

The relation is about rho, whatever the link and its parameters; `loss` is about the values of the
whole losses at the given parameters.";

/// Compare two losses: the same structure, rho, core or value, or which one is stronger
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// A loss: catalogue name, `.loss` file, or `file.loss:name`
    #[arg(value_name = "A")]
    a: String,
    /// Another loss
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    params: ParamArgs,
    /// Sets a parameter of A alone; may be repeated
    #[arg(long = "param-a", value_name = "NAME=VALUE", value_parser = assignment)]
    params_a: Vec<(String, String)>,
    /// Sets a parameter of B alone; may be repeated
    #[arg(long = "param-b", value_name = "NAME=VALUE", value_parser = assignment)]
    params_b: Vec<(String, String)>,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let given = numbers(&args.params)?;
    let (only_a, only_b) = (as_numbers(&args.params_a)?, as_numbers(&args.params_b)?);
    let mut compiled = Vec::new();
    for name in [&args.a, &args.b] {
        let (c, located) = locate::locate(name)?.compile(&Options::default())?;
        // How good a form the rewriter found is of no interest here.
        let mut warnings = located.warnings;
        warnings.retain(|w| w.code != "W0601");
        ui.report(&located.program.sources, &warnings);
        compiled.push(c);
    }
    let [a, b] = [&compiled[0], &compiled[1]];
    known(&given, a, b)?;
    // What is said of one loss alone comes last and so counts.
    let own = |c: &Compiled, only: &[(String, f64)]| -> Vec<(String, f64)> {
        let has = |n: &String| c.loss.params.iter().any(|p| p.name == *n);
        given.iter().filter(|(n, _)| has(n)).chain(only).cloned().collect()
    };
    let (pa, pb) = (a.bind(&own(a, &only_a))?, b.bind(&own(b, &only_b))?);
    let comparison = compare((a, &pa), (b, &pb)).judged()?;
    if ui.is_json() {
        ui.json(&document(&comparison, &args.a, &args.b))?;
    } else {
        show(&comparison, &args.a, &args.b, ui)?;
    }
    Ok(Status::Done)
}

/// A parameter must belong to one of the two losses.
fn known(given: &[(String, f64)], a: &Compiled, b: &Compiled) -> Result<(), Failure> {
    let mut names: Vec<&str> =
        a.loss.params.iter().chain(&b.loss.params).map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let wrong: Vec<Diagnostic> = given
        .iter()
        .filter(|(n, _)| !names.contains(&n.as_str()))
        .map(|(n, _)| {
            let d = Diagnostic::error("E0303", format!("neither loss has a parameter `{n}`"));
            match suggest::closest(n, names.iter().copied()) {
                Some(s) => d.help(format!("did you mean `{s}`?")),
                None => d.help(format!("their parameters: {}", names.join(", "))),
            }
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}

fn document(c: &Comparison, a: &str, b: &str) -> Value {
    let relation = c.relation.as_ref().ok();
    let witnesses: Value = relation
        .and_then(|r| r.witnesses.as_ref())
        .map_or_else(|| json!([]), |w| w.iter().map(witness).collect());
    let difference = match &c.value {
        LossEquality::Different { example: Some(d), .. } => {
            let example: Map<String, Value> =
                d.example.iter().map(|(n, x)| (n.clone(), number::to_json(*x))).collect();
            json!({
                "example": example,
                "first": number::to_json(d.first),
                "second": number::to_json(d.second),
            })
        }
        _ => Value::Null,
    };
    json!({
        "a": a,
        "b": b,
        "structure_equal": relation.map(|r| r.structure_equal),
        "rho_equal": relation.map(|r| r.rho_equal),
        "core_equal": c.core_equal,
        "loss_equal": c.value.verdict(),
        "loss_evidence": c.value.evidence(),
        "difference": difference,
        "relation": relation.map(|r| r.order.to_string()),
        "reason": c.reason(),
        "witnesses": witnesses,
        "proof": relation.map_or_else(Vec::new, |r| r.proof.lines(&r.atoms)),
        "notes": c.notes,
    })
}

fn witness(w: &Witness) -> Value {
    let point: Map<String, Value> =
        w.point.iter().map(|(a, x)| (a.name.clone(), number::to_json(x.to_f64()))).collect();
    let exact: Map<String, Value> =
        w.point.iter().map(|(a, x)| (a.name.clone(), Value::from(x.to_string()))).collect();
    json!({
        "point": point,
        "exact": exact,
        "rho_first": number::to_json(w.rho_first),
        "rho_second": number::to_json(w.rho_second),
    })
}

fn show(c: &Comparison, a: &str, b: &str, ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    let verdict = |equal: Option<bool>| match equal {
        Some(true) => style.good("equal"),
        Some(false) => style.bad("different"),
        None => style.faint("undecided"),
    };
    let said = match &c.relation {
        Ok(r) => sentence(r, a, b),
        Err(_) => "none".to_owned(),
    };
    let said = match c.reason() {
        Some(reason) => format!("{said}: {reason}"),
        None => said,
    };
    ui.line(format!("{}  {said}", style.strong("relation ")))?;
    if let Ok(r) = &c.relation {
        ui.line(format!("{}  {}", style.strong("structure"), verdict(Some(r.structure_equal))))?;
        ui.line(format!("{}  {}", style.strong("rho      "), verdict(Some(r.rho_equal))))?;
        ui.line(format!("{}  {}", style.strong("core     "), verdict(c.core_equal)))?;
    }
    let how = style.faint(&format!("({})", c.value.evidence()));
    ui.line(format!("{}  {} {how}", style.strong("loss     "), verdict(c.value.verdict())))?;
    if let LossEquality::Different { example: Some(d), .. } = &c.value {
        for (name, x) in &d.example {
            ui.line(format!("  {name} = {}", number::to_text(*x)))?;
        }
        ui.line(format!("  {a}: {}", number::to_text(d.first)))?;
        ui.line(format!("  {b}: {}", number::to_text(d.second)))?;
    }
    ui.lines(c.notes.iter().map(|n| style.faint(&format!("note: {n}"))))?;
    let Ok(r) = &c.relation else { return Ok(()) };
    let proof = r.proof.lines(&r.atoms);
    if !proof.is_empty() {
        ui.line("")?;
        ui.line(style.strong("proof"))?;
        ui.lines(proof.iter().map(|l| format!("  {l}")))?;
    }
    for w in r.witnesses.iter().flatten() {
        let point: Vec<String> = w
            .point
            .iter()
            .map(|(atom, x)| format!("{} = {x} = {}", atom.name, x.to_f64()))
            .collect();
        let sign = if w.rho_first < w.rho_second { "<" } else { ">" };
        ui.line(format!("  at {}:", point.join(", ")))?;
        ui.line(format!(
            "    rho of {a} = {:.6} {sign} {:.6} = rho of {b}",
            w.rho_first, w.rho_second
        ))?;
    }
    if c.judged.is_err() && !proof.is_empty() {
        ui.line("the proof is too large to be multiplied out a second time")?;
    }
    Ok(())
}

fn sentence(r: &Relation, a: &str, b: &str) -> String {
    match r.order {
        Order::Equal => format!("{a} and {b} have the same rho"),
        Order::Entails => format!("{a} entails {b}: its rho is nowhere higher"),
        Order::EntailedBy => format!("{b} entails {a}: its rho is nowhere higher"),
        Order::Dominates => format!("the rho of {a} is nowhere higher, but it does not entail {b}"),
        Order::DominatedBy => {
            format!("the rho of {b} is nowhere higher, but it does not entail {a}")
        }
        Order::Incomparable => format!("{a} and {b} are incomparable: each rho is lower somewhere"),
        Order::Undecided => "undecided".to_owned(),
        Order::Undefined => "a structure has no winning or no losing row".to_owned(),
    }
}
