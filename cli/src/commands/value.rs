//! `ponens value`

use super::numbers;
use crate::args::{LossArg, ParamArgs};
use crate::failure::{Failure, Outcome, Status};
use crate::kernels;
use crate::output::Ui;
use crate::table::Table;
use clap::ValueEnum;
use ponens::compiler::adjoint::Wrt;
use ponens::compiler::codegen::interp::{Big, Real};
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::Diagnostic;
use ponens::runtime::device::Device;
use ponens::runtime::kernel::Cache;
use ponens::value::{self, Batching, Bound, CardError, Engine, Nested, Outcome as Evaluated, Rows};
use ponens::{locate, number};
use serde_json::{Map, Value};
use std::path::PathBuf;

const EXAMPLE: &str = "\
Example:
  $ cat rows.jsonl
  {\"logp(pi,w)\": -10, \"logp(pi,l)\": -12, \"logp(ref,w)\": -11, \"logp(ref,l)\": -11}
  $ ponens value dpo --data rows.jsonl --grad --format json
  {\"loss\":0.598...,\"grad\":{\"logp(pi,w)\":-0.045...,\"logp(pi,l)\":0.045...,...}}

Columns are the quantities of the loss by name; `ponens list --format json` shows them.
A mean log-probability is given as `mean_logp(pi,w)`, or as `logp(pi,w)` with `len(w)`.";

/// Evaluate a loss and its gradients on given log-probabilities
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    loss: LossArg,
    /// JSON lines, one example a line; `-` is standard input
    #[arg(long, value_name = "FILE.jsonl")]
    data: PathBuf,
    #[command(flatten)]
    params: ParamArgs,
    /// Also print the derivative with respect to every column
    #[arg(long)]
    grad: bool,
    /// The type of every input and of every operation
    #[arg(long, value_enum, default_value = "f64", conflicts_with = "exact")]
    dtype: Dtype,
    /// What evaluates
    #[arg(long, value_enum, default_value = "interp")]
    backend: Backend,
    /// Evaluate with 256 bits and print 40 decimal digits, as texts
    #[arg(long)]
    exact: bool,
    /// Which rows make a batch; a column `batch` groups them where this is not given
    #[arg(long, value_enum)]
    batch: Option<BatchArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    F32,
    F64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// The plain interpreter
    Interp,
    /// The tape that training runs on a processor
    Cpu,
    /// The kernels of a graphics processor
    Cuda,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BatchArg {
    /// All rows together
    All,
    /// Each row alone
    Line,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let engine = match args.backend {
        Backend::Interp => Engine::Interpreter,
        Backend::Cpu => Engine::Tape,
        Backend::Cuda => return on_card(args, ui),
    };
    let (compiled, params, bound) = prepare(args, ui)?;
    let job = Job { args, compiled: &compiled, params: &params, bound: &bound };
    match (args.exact, args.dtype) {
        (true, _) => job.evaluate::<Big>(engine, ui, |x| Value::from(x.to_decimal(40))),
        (false, Dtype::F32) => job.evaluate::<f32>(engine, ui, |x| number::to_json(f64::from(*x))),
        (false, Dtype::F64) => job.evaluate::<f64>(engine, ui, |x| number::to_json(*x)),
    }
}

/// The loss, its parameters and the rows.
fn prepare(args: &Args, ui: &mut Ui) -> Result<(Compiled, Vec<f64>, Bound), Failure> {
    let given = numbers(&args.params)?;
    let options = Options { wrt: Wrt::AllReal, ..Options::default() };
    let (compiled, located) = locate::locate(&args.loss.loss)?.compile(&options)?;
    ui.report(&located.program.sources, &located.warnings);
    let params = compiled.bind(&given)?;
    let rows = Rows::from_file(&args.data)?;
    let batching = match args.batch {
        None => Batching::ByColumn,
        Some(BatchArg::All) => Batching::All,
        Some(BatchArg::Line) => Batching::Line,
    };
    let bound = value::bind(&compiled.loss, &rows, batching)?;
    if args.dtype == Dtype::F32 {
        bound.check_f32(&rows)?;
    }
    ui.report(&rows.sources, &bound.warnings);
    Ok((compiled, params, bound))
}

/// The kernels compute in f32: other types are asked for in vain.
fn on_card(args: &Args, ui: &mut Ui) -> Outcome {
    let device = Device::open(0).map_err(|e| kernels::diagnostic(&e))?;
    if args.exact || args.dtype != Dtype::F32 {
        let d = Diagnostic::error("E0702", "the kernels of a graphics processor compute in f32");
        return Err(d.help("add --dtype f32, or use --backend cpu").into());
    }
    let (compiled, params, bound) = prepare(args, ui)?;
    let cache = Cache::of_user();
    let graph = compiled.graph();
    let outcomes = value::evaluate_on_card(&device, cache.as_ref(), graph, &params, &bound);
    let outcomes = outcomes.map_err(|e| match e {
        CardError::Plan(e) => Diagnostic::error("E0205", format!("the loss has no kernel: {e}")),
        CardError::Kernel(e) => kernels::diagnostic(&e),
        CardError::Eval(e) => Diagnostic::error("E0401", e.to_string()),
    })?;
    let job = Job { args, compiled: &compiled, params: &params, bound: &bound };
    job.print(&outcomes, ui, |x| number::to_json(f64::from(*x)))
}

/// Derivatives of one row as JSON.
fn list<R>(n: &Nested<R>, show: &impl Fn(&R) -> Value) -> Value {
    match n {
        Nested::List(v) => v.iter().map(show).collect(),
        Nested::Lists(v) => v.iter().map(|v| v.iter().map(show).collect::<Value>()).collect(),
    }
}

/// Derivatives of one row as text.
fn array_text<R>(n: &Nested<R>, text: &impl Fn(&R) -> String) -> String {
    let list = |v: &Vec<R>| format!("[{}]", v.iter().map(text).collect::<Vec<_>>().join(", "));
    match n {
        Nested::List(v) => list(v),
        Nested::Lists(v) => format!("[{}]", v.iter().map(list).collect::<Vec<_>>().join(", ")),
    }
}

struct Job<'a> {
    args: &'a Args,
    compiled: &'a Compiled,
    params: &'a [f64],
    bound: &'a Bound,
}

impl Job<'_> {
    fn evaluate<R: Real>(
        &self,
        engine: Engine,
        ui: &mut Ui,
        show: impl Fn(&R) -> Value,
    ) -> Outcome {
        let graph = self.compiled.graph();
        let outcomes = value::evaluate::<R>(engine, graph, self.params, self.bound)
            .map_err(|e| Diagnostic::error("E0401", e.to_string()))?;
        self.print(&outcomes, ui, show)
    }

    fn print<R: Real>(
        &self,
        outcomes: &[Evaluated<R>],
        ui: &mut Ui,
        show: impl Fn(&R) -> Value,
    ) -> Outcome {
        if ui.is_json() {
            for o in outcomes {
                ui.json_line(&self.document(o, &show))?;
            }
        } else {
            ui.lines(self.table(outcomes, &show).lines(ui.style))?;
        }
        Ok(Status::Done)
    }

    fn document<R: Real>(&self, o: &Evaluated<R>, show: &impl Fn(&R) -> Value) -> Value {
        let mut object = Map::new();
        if let Some(key) = &o.batch {
            object.insert("batch".to_owned(), key.clone());
        }
        object.insert("loss".to_owned(), show(&o.loss));
        if self.args.grad {
            let grad: Map<String, Value> = o
                .grad
                .iter()
                .map(|(name, values)| {
                    let values: Vec<Value> = values.iter().map(show).collect();
                    let one = !o.grouped && values.len() == 1;
                    (name.clone(), if one { values[0].clone() } else { Value::from(values) })
                })
                .chain(o.arrays.iter().map(|(name, rows)| {
                    let mut rows: Vec<Value> = rows.iter().map(|n| list(n, show)).collect();
                    let one = if o.grouped || rows.len() != 1 { None } else { rows.pop() };
                    (name.clone(), one.unwrap_or(Value::from(rows)))
                }))
                .collect();
            object.insert("grad".to_owned(), Value::Object(grad));
        }
        Value::Object(object)
    }

    fn table<R: Real>(&self, outcomes: &[Evaluated<R>], show: &impl Fn(&R) -> Value) -> Table {
        let text = |x: &R| match show(x) {
            Value::String(s) => s,
            v => v.as_f64().map_or_else(|| v.to_string(), number::to_text),
        };
        let grouped = outcomes.iter().any(|o| o.grouped);
        let mut titles = vec![if grouped { ">batch" } else { ">row" }.to_owned()];
        if grouped && self.args.grad {
            titles.push(">row".to_owned());
        }
        titles.push(">loss".to_owned());
        if self.args.grad {
            let names = outcomes.first().map(|o| o.grad.as_slice()).unwrap_or_default();
            titles.extend(names.iter().map(|(n, _)| format!(">d/{n}")));
            let arrays = outcomes.first().map(|o| o.arrays.as_slice()).unwrap_or_default();
            titles.extend(arrays.iter().map(|(n, _)| format!(">d/{n}")));
        }
        let mut table = Table::new(titles);
        for (i, o) in outcomes.iter().enumerate() {
            let batch = match &o.batch {
                Some(Value::String(s)) => s.clone(),
                Some(v) => v.to_string(),
                None => "all".to_owned(),
            };
            if !self.args.grad {
                let name = if grouped { batch } else { (i + 1).to_string() };
                table.row(vec![name, text(&o.loss)]);
                continue;
            }
            for (k, row) in o.rows.iter().enumerate() {
                let mut cells = Vec::new();
                if grouped {
                    cells.push(if k == 0 { batch.clone() } else { String::new() });
                }
                cells.push((row + 1).to_string());
                cells.push(if k == 0 { text(&o.loss) } else { String::new() });
                cells.extend(o.grad.iter().map(|(_, v)| v.get(k).map_or_else(String::new, text)));
                let array = |n: &Nested<R>| array_text(n, &text);
                let arrays = o.arrays.iter();
                cells.extend(arrays.map(|(_, v)| v.get(k).map_or_else(String::new, array)));
                table.row(cells);
            }
        }
        table
    }
}
