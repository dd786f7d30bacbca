//! `ponens compare`

use super::numbers;
use crate::args::ParamArgs;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compare::{Comparison, POINTS, compare};
use ponens::compiler::logic::Rational;
use ponens::compiler::relate::{Order, Relation, Witness};
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::{Diagnostic, suggest};
use ponens::{locate, number};
use serde_json::{Map, Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens compare dpo mine.loss:dpo_logic
  ponens compare lattice.ORPO lattice.CPO
  ponens compare dpo cdpo --param epsilon=0";

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
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let given = numbers(&args.params)?;
    let mut compiled = Vec::new();
    for name in [&args.a, &args.b] {
        let (c, located) = locate::locate(name)?.compile(&Options::default())?;
        ui.report(&located.program.sources, &located.warnings);
        compiled.push(c);
    }
    let [a, b] = [&compiled[0], &compiled[1]];
    known(&given, a, b)?;
    let own = |c: &Compiled| -> Vec<(String, f64)> {
        let has = |n: &String| c.loss.params.iter().any(|p| p.name == *n);
        given.iter().filter(|(n, _)| has(n)).cloned().collect()
    };
    let (pa, pb) = (a.bind(&own(a))?, b.bind(&own(b))?);
    let comparison = compare((a, &pa), (b, &pb));
    if ui.is_json() {
        ui.json(&document(&comparison, &args.a, &args.b))?;
    } else {
        show(&comparison, &args.a, &args.b, ui)?;
    }
    Ok(Status::Done)
}

/// A parameter must belong to one of the two losses.
fn known(given: &[(String, f64)], a: &Compiled, b: &Compiled) -> Result<(), Failure> {
    let names: Vec<&str> =
        a.loss.params.iter().chain(&b.loss.params).map(|p| p.name.as_str()).collect();
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
    let difference = c.difference.as_ref().map(|d| {
        let example: Map<String, Value> =
            d.example.iter().map(|(n, x)| (n.clone(), number::to_json(*x))).collect();
        json!({
            "example": example,
            "first": number::to_json(d.first),
            "second": number::to_json(d.second),
        })
    });
    json!({
        "a": a,
        "b": b,
        "structure_equal": relation.is_some_and(|r| r.structure_equal),
        "rho_equal": relation.is_some_and(|r| r.rho_equal),
        "core_equal": c.core_equal,
        "loss_equal": c.loss_equal,
        "loss_evidence": evidence(c),
        "difference": difference,
        "relation": relation.map(|r| r.order.to_string()),
        "reason": c.relation.as_ref().err().map(|n| n.reason.as_str()),
        "witnesses": witnesses,
        "proof": relation.map_or_else(Vec::new, |r| r.proof.lines(&r.atoms)),
    })
}

fn evidence(c: &Comparison) -> String {
    match c.loss_equal {
        true => format!("equal with 256 bits at {POINTS} random examples"),
        false => "different at the example".to_owned(),
    }
}

fn fraction(r: Rational) -> String {
    if r.denominator() == 1 {
        r.numerator().to_string()
    } else {
        format!("{}/{}", r.numerator(), r.denominator())
    }
}

fn witness(w: &Witness) -> Value {
    let point: Map<String, Value> =
        w.point.iter().map(|(a, x)| (a.name.clone(), number::to_json(x.to_f64()))).collect();
    let exact: Map<String, Value> =
        w.point.iter().map(|(a, x)| (a.name.clone(), Value::from(fraction(*x)))).collect();
    json!({
        "point": point,
        "exact": exact,
        "rho_first": number::to_json(w.rho_first),
        "rho_second": number::to_json(w.rho_second),
    })
}

fn show(c: &Comparison, a: &str, b: &str, ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    let verdict = |equal: bool| if equal { style.good("equal") } else { style.bad("different") };
    match &c.relation {
        Ok(r) => {
            ui.line(format!("{}  {}", style.strong("relation "), sentence(r, a, b)))?;
            ui.line(format!("{}  {}", style.strong("structure"), verdict(r.structure_equal)))?;
            ui.line(format!("{}  {}", style.strong("rho      "), verdict(r.rho_equal)))?;
        }
        Err(n) => ui.line(format!("{}  none: {}", style.strong("relation "), n.reason))?,
    }
    ui.line(format!("{}  {}", style.strong("core     "), verdict(c.core_equal)))?;
    let how = style.faint(&format!("({})", evidence(c)));
    ui.line(format!("{}  {} {how}", style.strong("loss     "), verdict(c.loss_equal)))?;
    if let Some(d) = &c.difference {
        for (name, x) in &d.example {
            ui.line(format!("  {name} = {}", number::to_text(*x)))?;
        }
        ui.line(format!("  {a} = {}", number::to_text(d.first)))?;
        ui.line(format!("  {b} = {}", number::to_text(d.second)))?;
    }
    let Ok(r) = &c.relation else { return Ok(()) };
    let proof = r.proof.lines(&r.atoms);
    if !proof.is_empty() {
        ui.line("")?;
        ui.line(style.strong("proof"))?;
        proof.iter().try_for_each(|l| ui.line(format!("  {l}")))?;
    }
    if let Some(witnesses) = &r.witnesses {
        ui.line("")?;
        ui.line(style.strong("witnesses"))?;
        for w in witnesses {
            let point: Vec<String> = w
                .point
                .iter()
                .map(|(atom, x)| format!("{} = {}", atom.name, fraction(*x)))
                .collect();
            let sign = if w.rho_first < w.rho_second { "<" } else { ">" };
            ui.line(format!(
                "  at {}: rho of {a} = {:.6} {sign} {:.6} = rho of {b}",
                point.join(", "),
                w.rho_first,
                w.rho_second
            ))?;
        }
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
        Order::Undecided => "not decided within the bounds of the search".to_owned(),
        Order::Undefined => "a structure has no winning or no losing row".to_owned(),
    }
}
