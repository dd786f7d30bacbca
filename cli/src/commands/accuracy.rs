//! `ponens accuracy`

mod page;

use super::numbers;
use crate::args::ParamArgs;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use clap::ValueEnum;
use ponens::compiler::accuracy::{self, Figures, Report};
use ponens::compiler::adjoint::Wrt;
use ponens::compiler::mir::interval::Precision;
use ponens::compiler::session::{Compiled, Options};
use ponens::losses::Catalogue;
use ponens::{locate, number};
use serde_json::{Map, Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens accuracy orpo
  ponens accuracy discopop --param tau=1 --dtype f32 --format json
  ponens accuracy --all --page > docs/accuracy.md

Errors are in units in the last place (ulp) of the exact result, which is evaluated with 256 bits at the
inputs as rounded to the type. `as written` is the text evaluated operation by operation, with the
chain rule. The points: a grid of the edges of the domain, log-probabilities from -1e4 to -1e-12,
and random points of four kinds.";

/// Measure the rounding error of a loss and its gradients, beside the loss as written
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Catalogue name, `.loss` file, or `file.loss:name`
    #[arg(value_name = "LOSS", required_unless_present = "all", conflicts_with = "all")]
    loss: Option<String>,
    /// Every loss of the catalogue
    #[arg(long)]
    all: bool,
    /// Only one type; both without this
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
    #[command(flatten)]
    params: ParamArgs,
    /// Most points of the grid, and random points of each of the four kinds
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    points: u32,
    /// The seed of the random points
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print a page of Markdown, as docs/accuracy.md is
    #[arg(long, requires = "all")]
    page: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    F32,
    F64,
}

/// One loss, measured.
struct Measured {
    name: String,
    params: Vec<(String, f64)>,
    reports: Vec<Report>,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    // clap drops this requirement where a loss is given, which conflicts with --all.
    if args.page && !args.all {
        return Err(Failure::Usage("--page shows all losses; give --all".to_owned()));
    }
    if args.page && ui.is_json() {
        return Err(Failure::Usage("--page is text; leave out --format json".to_owned()));
    }
    let names: Vec<String> = match &args.loss {
        Some(loss) => vec![loss.clone()],
        None => Catalogue.entries().map(|e| e.name.to_string()).collect(),
    };
    let given = numbers(&args.params)?;
    let bar = ui.progress("points");
    let mut all = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let (compiled, located) =
            locate::locate(name)?.compile(&Options { wrt: Wrt::AllReal, ..Options::default() })?;
        if !args.all {
            ui.report(&located.program.sources, &located.warnings);
        }
        let part =
            |done: f64| bar.set((1000.0 * (i as f64 + done)) as u64, 1000 * names.len() as u64);
        let measured = measure(args, &compiled, &given, part)?;
        if args.page {
            all.push(measured);
        } else if ui.is_json() && args.all {
            ui.json_line(&document(&measured))?;
        } else if ui.is_json() {
            ui.json(&document(&measured))?;
        } else {
            show(&measured, ui)?;
        }
    }
    bar.end();
    if args.page {
        ui.text(page::page(&all))?;
    }
    Ok(Status::Done)
}

fn measure(
    args: &Args,
    compiled: &Compiled,
    given: &[(String, f64)],
    progress: impl Fn(f64),
) -> Result<Measured, Failure> {
    // With --all a parameter is meant for the losses that have it.
    let has = |name: &str| !args.all || compiled.loss.params.iter().any(|p| p.name == name);
    let given: Vec<_> = given.iter().filter(|(n, _)| has(n)).cloned().collect();
    let params = compiled.bind(&given)?;
    let types = match args.dtype {
        Some(Dtype::F32) => vec![Precision::F32],
        Some(Dtype::F64) => vec![Precision::F64],
        None => vec![Precision::F64, Precision::F32],
    };
    let options = accuracy::Options {
        grid: args.points as usize,
        random: args.points as usize,
        seed: args.seed,
    };
    let mut reports = Vec::new();
    for (k, precision) in types.iter().enumerate() {
        let tick = |done: usize, all: usize| {
            progress((k as f64 + done as f64 / all.max(1) as f64) / types.len() as f64);
        };
        reports.push(accuracy::report(compiled, &params, *precision, &options, tick)?);
    }
    let names = compiled.loss.params.iter().map(|p| p.name.clone());
    Ok(Measured { name: compiled.loss.name.clone(), params: names.zip(params).collect(), reports })
}

/// The name of a type.
fn dtype(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::F64 => "f64",
    }
}

fn document(m: &Measured) -> Value {
    let mut types = Map::new();
    for r in &m.reports {
        let quantities: Vec<Value> = r
            .quantities
            .iter()
            .map(|q| {
                json!({
                    "name": q.name,
                    "gradient": q.gradient,
                    "stable": figures(&q.stable),
                    "written": figures(&q.written),
                })
            })
            .collect();
        types.insert(
            dtype(r.precision).to_owned(),
            json!({ "quantities": quantities, "confirmed": r.confirmed }),
        );
    }
    let params: Map<String, Value> =
        m.params.iter().map(|(n, x)| (n.clone(), number::to_json(*x))).collect();
    json!({ "loss": m.name, "params": params, "dtype": types })
}

fn figures(f: &Figures) -> Value {
    let worst = f.at.as_ref().map(|w| {
        let inputs: Map<String, Value> = w
            .inputs
            .iter()
            .map(|(n, v)| {
                let shown = match v.as_slice() {
                    [x] => number::to_json(*x),
                    many => many.iter().map(|x| number::to_json(*x)).collect(),
                };
                (n.clone(), shown)
            })
            .collect();
        json!({
            "inputs": inputs,
            "exact": number::to_json(w.exact),
            "computed": number::to_json(w.computed),
            "conditioning": number::to_json(w.conditioning),
        })
    });
    json!({
        "values": f.values,
        "worst": number::to_json(f.worst),
        "mean": number::to_json(f.mean),
        "failures": f.failures,
        "at": worst,
    })
}

/// A number of units in the last place, short.
fn ulps(x: f64) -> String {
    match x {
        x if x < 1000.0 => format!("{x:.1}"),
        x if x < 1e6 => format!("{x:.0}"),
        x => format!("{x:.0e}"),
    }
}

/// The worst error, or how often there is none because the result is NaN or wrongly infinite.
fn worst(f: &Figures) -> String {
    if f.failures > 0 { format!("{} fail", f.failures) } else { ulps(f.worst) }
}

fn show(m: &Measured, ui: &mut Ui) -> Result<(), Failure> {
    let params: Vec<String> =
        m.params.iter().map(|(n, x)| format!("{n}={}", number::to_text(*x))).collect();
    ui.line(format!("{}  {}", m.name, params.join(" ")).trim_end())?;
    let titles =
        ["type", "result", ">worst", ">mean", ">data", ">as written", ">mean", "worst point"];
    let mut table = Table::new(titles);
    for r in &m.reports {
        for q in &r.quantities {
            let name = if q.gradient { format!("d/{}", q.name) } else { q.name.clone() };
            let at = q.stable.at.as_ref();
            table.row(vec![
                dtype(r.precision).to_owned(),
                name,
                worst(&q.stable),
                ulps(q.stable.mean),
                at.map_or_else(String::new, |w| ulps(w.conditioning)),
                worst(&q.written),
                ulps(q.written.mean),
                at.map_or_else(String::new, |w| point(&w.inputs)),
            ]);
        }
    }
    ui.lines(table.lines(ui.style))?;
    let (values, confirmed) = m.reports.iter().fold((0, 0), |(v, c), r| {
        (v + r.quantities.iter().map(|q| q.stable.values).sum::<usize>(), c + r.confirmed)
    });
    ui.line(format!(
        "{values} values in ulp; `data`: how far the exact result moves there when each number of the data \
         moves by one ulp.\n{confirmed} exact values confirmed by the text at 1024 bits.\n"
    ))
}

fn point(inputs: &[(String, Vec<f64>)]) -> String {
    let value = |v: &Vec<f64>| match v.as_slice() {
        [x] => format!("{x:.6e}"),
        many => format!("{} numbers", many.len()),
    };
    let all: Vec<String> = inputs.iter().map(|(n, v)| format!("{n}={}", value(v))).collect();
    all.join(" ")
}
