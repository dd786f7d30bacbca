//! `ponens bench`

use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use ponens::bench::{Demand, Group, Report, Row, Settings, Shape, Target, peak_of, run as measure};
use ponens::dsl::Diagnostic;
use std::path::PathBuf;

const EXAMPLE: &str = "\
Examples:
  ponens bench
  ponens bench --python venv/bin/python          also against PyTorch
  ponens bench --part hidden --hidden 896 --shape 4x128x151936
  ponens bench --quick --format json

Times are medians over the rounds; ratios are medians of the ratios of one round. A peak is that of a
process of its own above its inputs. Figures mean something only while the machine is otherwise idle.";

/// Measure speed and memory of the kernels against what cannot be avoided and against others
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Which tables; may be repeated [default: all]
    #[arg(long, value_name = "PART", value_parser = ["logits", "hidden", "catalogue", "accuracy"])]
    part: Vec<String>,
    /// Responses x tokens x vocabulary; may be repeated
    #[arg(long, value_name = "RxTxV", default_values = ["4x128x49152", "2x512x49152", "4x128x151936"])]
    shape: Vec<Shape>,
    /// Width of hidden states; may be repeated
    #[arg(long, value_name = "WIDTH", default_values = ["576", "896"])]
    hidden: Vec<usize>,
    /// Rounds that count; one more comes first
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,
    /// A Python with PyTorch, to be measured as well
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// A tiny shape and two rounds: shows that everything runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Leave the peaks out
    #[arg(long)]
    no_memory: bool,
    /// Prints the peak of one contender: how the command measures it
    #[arg(long, hide = true, value_name = "NAME")]
    peak_of: Option<String>,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let all = ["logits", "hidden", "catalogue", "accuracy"].map(str::to_owned);
    let quick = Shape { responses: 4, tokens: 8, vocabulary: 1000 };
    let settings = Settings {
        shapes: if args.quick { vec![quick] } else { args.shape.clone() },
        widths: if args.quick { vec![32] } else { args.hidden.clone() },
        parts: if args.part.is_empty() { all.to_vec() } else { args.part.clone() },
        rounds: if args.quick { 2 } else { args.rounds.max(1) },
        python: args.python.clone(),
        memory: !args.no_memory,
        only: args.peak_of.clone(),
    };
    if settings.widths.contains(&0) {
        return Err(Failure::Usage("--hidden 0: a width is at least 1".to_owned()));
    }
    let failed = |e: Box<dyn std::error::Error>| {
        Failure::from(Diagnostic::error("E0705", format!("the benchmark stopped: {e}")))
    };
    if let Some(name) = &args.peak_of {
        let target = settings.targets().into_iter().next();
        let target = target.unwrap_or(Target::Logits(quick));
        ui.line(peak_of(&target, name, &settings).map_err(failed)?.to_string())?;
        return Ok(Status::Done);
    }
    let report = measure(&settings, |next| ui.remark(next)).map_err(failed)?;
    if ui.is_json() {
        ui.json(&report.to_json())?;
    } else {
        text(&report, ui)?;
    }
    Ok(Status::Done)
}

fn text(report: &Report, ui: &mut Ui) -> Result<(), Failure> {
    let Report { threads, rounds, groups } = report;
    ui.line(format!("{threads} threads, medians of {rounds} rounds"))?;
    for group in groups {
        ui.line("")?;
        ui.line(ui.style.strong(&group.title))?;
        if !group.rows.is_empty() {
            ui.lines(table(group).lines(ui.style))?;
        }
        for demand in &group.demands {
            ui.line(line(demand))?;
        }
    }
    Ok(())
}

fn table(group: &Group) -> Table {
    let mut table = Table::new(["contender", ">ms", ">ratio", "to", ">peak MiB"]);
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.1}"));
    for Row { name, median_ms, peak_mib, ratio, skipped } in &group.rows {
        let (ratio, to) = match (ratio, skipped) {
            (_, Some(why)) => ("-".to_owned(), format!("skipped: {why}")),
            (Some((to, r)), _) => (format!("{r:.2}"), to.clone()),
            (None, _) => ("-".to_owned(), String::new()),
        };
        table.row(vec![name.clone(), number(*median_ms), ratio, to, number(*peak_mib)]);
    }
    table
}

fn line(demand: &Demand) -> String {
    let Demand { what, value, bound, at_most } = demand;
    let relation = if *at_most { "at most" } else { "at least" };
    let verdict = match demand.met() {
        Some(true) => "met",
        Some(false) => "NOT MET",
        None => "not measured",
    };
    let value = value.map_or_else(
        || "-".to_owned(),
        // Errors are small, and 0.00 would hide them.
        |v| if v != 0.0 && v.abs() < 0.01 { format!("{v:.1e}") } else { format!("{v:.2}") },
    );
    format!("  {what}: {value} ({relation} {bound}: {verdict})")
}
