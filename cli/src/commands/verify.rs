//! `ponens verify`

use super::numbers;
use crate::args::{LossArg, ParamArgs, assignment};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use ponens::compiler::session::Options;
use ponens::verify::{Case, Difference, Dtype, Report, Request, Subject, Verdict, verify};
use ponens::{locate, number};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLE: &str = "\
Examples:
  ponens verify dpo --against my_losses.py:dpo_loss --python venv/bin/python
  ponens verify cdpo --against my_losses.py:dpo_loss --set loss_type=sigmoid
  ponens verify simpo --against trainer.py:SimPOTrainer.simpo_loss --set label_smoothing=0
  ponens verify my.loss --against my_losses.py:mine --map x=logp(pi,w) --map eps=epsilon

The function gets tensors: one number an example, or [N, K] and [N, T] where the loss has several. Its
arguments are matched by their names (policy_chosen_logps, ref_rejected_logps, chosen_lengths, beta);
--map says it where a name does not. `self` of a method gets the parameters as attributes. The file
is run by your Python, as any import of it would.

Exit status 1 when a difference was found, 0 when not.";

/// Compare a PyTorch function with a loss, in value and gradient, edge cases included
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    loss: LossArg,
    /// The function
    #[arg(long, value_name = "FILE.py:FUNCTION")]
    against: String,
    #[command(flatten)]
    params: ParamArgs,
    /// A Python with PyTorch [default: that of the active environment, else python3]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Says which column or parameter an argument is; may be repeated
    #[arg(long, value_name = "ARGUMENT=COLUMN", value_parser = assignment)]
    map: Vec<(String, String)>,
    /// Gives an argument a value (JSON, or a text); may be repeated
    #[arg(long, value_name = "ARGUMENT=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Which of several returned things is the loss: a key, or a place from 0
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// The type to compare in [default: both]
    #[arg(long, value_name = "f64|f32", value_parser = ["f64", "f32"])]
    dtype: Option<String>,
    /// Random rows, beside the edge cases
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rows: u32,
    /// Where the random numbers begin
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The longest that one call of the function may take, and the start of Python
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
    timeout: f64,
    /// How many differences are printed
    #[arg(long, value_name = "N", default_value_t = 3)]
    show: usize,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x <= 1e6 => Ok(x),
        _ => Err("a number of seconds above 0".to_owned()),
    }
}

/// JSON where it is, else a text.
pub(super) fn literal(text: &str) -> Value {
    match text {
        "True" => Value::from(true),
        "False" => Value::from(false),
        "None" => Value::Null,
        _ => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    }
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let subject = Subject::parse(&args.against)?;
    let params = numbers(&args.params)?;
    let (compiled, located) = locate::locate(&args.loss.loss)?.compile(&Options::default())?;
    ui.report(&located.program.sources, &located.warnings);
    let request = Request {
        subject,
        python: args.python.clone(),
        map: args.map.clone(),
        set: args.set.iter().map(|(k, v)| (k.clone(), literal(v))).collect(),
        params,
        output: args.output.as_deref().map(literal),
        dtypes: match args.dtype.as_deref() {
            Some("f32") => vec![Dtype::F32],
            Some(_) => vec![Dtype::F64],
            None => vec![Dtype::F64, Dtype::F32],
        },
        rows: args.rows as usize,
        seed: args.seed,
        limit: Duration::from_secs_f64(args.timeout),
    };
    ui.remark(format!("running {}", request.subject));
    let report = verify(&compiled, &request)?;
    if ui.is_json() {
        ui.json(&document(&report, &args.against))?;
    } else {
        show(&report, args, ui)?;
    }
    Ok(if report.verdict() == Verdict::Agrees { Status::Done } else { Status::Wrong })
}

fn document(r: &Report, against: &str) -> Value {
    let pairs = |p: &[(String, f64)]| -> Value {
        Value::Object(p.iter().map(|(n, x)| (n.clone(), number::to_json(*x))).collect())
    };
    let counts: Vec<Value> = r
        .counts
        .iter()
        .map(|c| {
            let case = if c.edge { "edge" } else { "ordinary" };
            let (compared, differ) = (c.compared, c.differ);
            json!({ "dtype": c.dtype.name(), "case": case, "compared": compared, "differ": differ })
        })
        .collect();
    let differences: Vec<Value> = r
        .differences
        .iter()
        .map(|d| {
            let edge = match d.case {
                Case::Edge(name) => Some(name),
                Case::Ordinary => None,
            };
            json!({
                "dtype": d.dtype.name(), "case": d.case.name(), "edge": edge, "what": d.what,
                "expected": number::to_json(d.expected), "got": number::to_json(d.got),
                "params": pairs(&d.params), "rows": d.rows, "row": d.row,
            })
        })
        .collect();
    json!({
        "verdict": r.verdict().name(),
        "loss": r.loss,
        "against": against,
        "arguments": r.arguments.iter().map(|(a, m)| (a.clone(), json!(m))).collect::<serde_json::Map<_, _>>(),
        "remarks": r.remarks,
        "reduction": r.reduction,
        "params": r.settings.iter().map(|s| pairs(s)).collect::<Vec<_>>(),
        "compared": counts,
        "differences": differences,
        "torch": r.torch,
    })
}

fn show(r: &Report, args: &Args, ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    let verdict = match r.verdict() {
        Verdict::Agrees => "the same value and gradient everywhere".to_owned(),
        Verdict::BreaksAtEdges => "the same formula, but it breaks on some rows".to_owned(),
        Verdict::Differs => "not the same".to_owned(),
    };
    ui.line(format!("{} against {}: {}", r.loss, args.against, style.strong(&verdict)))?;
    ui.line("")?;
    let width = r.arguments.iter().map(|(a, _)| a.len()).max().unwrap_or_default();
    ui.lines(r.arguments.iter().map(|(a, m)| format!("  {a:<width$}  {m}")))?;
    let at: Vec<String> = r.settings.iter().map(|s| params(s)).filter(|s| !s.is_empty()).collect();
    if !at.is_empty() {
        ui.line(format!("  compared at {}", at.join(", and at ")))?;
    }
    ui.line(match r.reduction {
        "none" => "  the function gives one number an example",
        "mean" => "  the function gives the mean over a batch",
        "sum" => "  the function gives the sum over a batch",
        _ => "  what the function gives for a batch is neither the mean nor the sum over its examples",
    })?;
    ui.lines(r.remarks.iter().map(|t| format!("  {t}")))?;
    ui.line("")?;
    let mut table = Table::new(["type", "rows", ">compared", ">differ"]);
    for c in &r.counts {
        let case = if c.edge { "edges" } else { "ordinary" };
        let (compared, differ) = (c.compared.to_string(), c.differ.to_string());
        table.row(vec![c.dtype.name().to_owned(), case.to_owned(), compared, differ]);
    }
    ui.lines(table.lines(style))?;
    let mut last: Option<&Difference> = None;
    let mut shown = 0;
    for d in &r.differences {
        // What differs on one row stands together.
        let same =
            last.is_some_and(|l| l.rows == d.rows && l.params == d.params && l.dtype == d.dtype);
        if !same {
            if shown == args.show {
                break;
            }
            shown += 1;
            ui.line("")?;
            let case = match d.case {
                Case::Ordinary => "ordinary row".to_owned(),
                Case::Edge(name) => name.to_owned(),
            };
            let at = if d.params.is_empty() {
                String::new()
            } else {
                format!(" at {}", params(&d.params))
            };
            ui.line(style.strong(&format!("{}, {case}{at}", d.dtype.name())))?;
            ui.lines(d.rows.iter().map(|r| format!("  {}", Value::Object(r.clone()))))?;
        }
        last = Some(d);
        let row = if d.rows.len() > 1 && d.what != "loss" {
            format!(" of row {}", d.row + 1)
        } else {
            String::new()
        };
        let (expected, got) = (number::to_text(d.expected), number::to_text(d.got));
        ui.line(format!("  {}{row}: {expected} expected, {got} from the function", d.what))?;
    }
    Ok(())
}

fn params(values: &[(String, f64)]) -> String {
    values
        .iter()
        .map(|(n, x)| format!("{n} = {}", number::to_text(*x)))
        .collect::<Vec<_>>()
        .join(", ")
}
