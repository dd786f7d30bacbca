//! `ponens decompile`

mod large;

use super::explain::{rows, truth_table};
use super::outside::Parts;
use super::verify::literal;
use crate::args::assignment;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::decompile::{self, Decompiled, Nearest, Step};
use ponens::compiler::explain::{self, NoStructure};
use ponens::compiler::hir;
use ponens::compiler::logic::{Atom, Core, Structure};
use ponens::dsl::{Diagnostic, FileId, SourceMap, parse_expr};
use ponens::embed::Embedded;
use ponens::loss::no_logic;
use ponens::python::{Hints, Read};
use ponens::verify::Subject;
use ponens::{Refusal, locate};
use serde_json::{Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens decompile dpo
  ponens decompile --rho 'log(pi(w) * ref(l) / (pi(l) * ref(w)))'
  ponens decompile --rho 'mean_logp(pi, w) - mean_logp(pi, l)'
  ponens decompile --rho 'log(pi(w) / pi(l)) - gamma / beta' \\
      --params 'beta = 2 in (0, inf), gamma = 0.5 in [0, inf)'
  ponens decompile my_losses.py:dpo_loss --set loss_type=sigmoid

A function of PyTorch is read, not run: arithmetic, branches whose condition is known, calls of functions
of the same file. Its arguments are taken by their names (policy_chosen_logps, ref_rejected_logps, beta).

Exit status 1 when there is no logic in it: the reason, the place and the nearest reading are shown.";

/// Find the logic in a loss: (P, Pc, Pa), with the steps that lead there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Catalogue name, `.loss` file, `file.loss:name`, or `file.py:function`
    #[arg(value_name = "LOSS", required_unless_present = "rho", conflicts_with = "rho")]
    loss: Option<String>,
    /// An expression for rho over pi(w), pi(l), ref(w) and ref(l)
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    rho: Option<String>,
    /// With --rho: declarations of the parameters that it uses
    #[arg(long, value_name = "PARAMS", requires = "rho")]
    params: Option<String>,
    /// With --rho or a Python function: log-probabilities are means over tokens
    #[arg(long)]
    mean: bool,
    /// Of a Python function: says which quantity or column an argument is; may be repeated
    #[arg(long, value_name = "ARGUMENT=COLUMN", value_parser = assignment)]
    map: Vec<(String, String)>,
    /// Of a Python function: gives an argument a value; may be repeated
    #[arg(long, value_name = "ARGUMENT=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Of a Python function: which of several returned things is the loss
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let function = args.loss.as_deref().filter(|l| is_function(l));
    // The parser drops this requirement where the other argument is there.
    if args.rho.is_none() && (args.mean && function.is_none() || args.params.is_some()) {
        return Err(Failure::Usage("--mean and --params belong to --rho".to_owned()));
    }
    if function.is_none() && !(args.map.is_empty() && args.set.is_empty() && args.output.is_none())
    {
        let text = "--map, --set and --output belong to a function: FILE.py:FUNCTION";
        return Err(Failure::Usage(text.to_owned()));
    }
    let mut source = match (&args.loss, &args.rho) {
        (Some(_), None) if function.is_some() => python(function.unwrap_or_default(), args, ui)?,
        (Some(loss), _) => {
            let (loss, located) = locate::locate(loss)?.resolve()?;
            let warnings = located.warnings;
            Source { loss, sources: located.program.sources, warnings, typed: None, read: None }
        }
        (None, Some(rho)) => typed(rho, args)?,
        (None, None) => return Err(Failure::Usage("name a LOSS, or give --rho".to_owned())),
    };
    ui.report(&source.sources, &source.warnings);
    let loss = &source.loss;
    // Around an expression stands only the link that it was given here.
    let outside = if args.rho.is_some() { Vec::new() } else { explain::around(loss).outside };
    let outside = Parts { list: &outside, sources: &source.sources };
    match explain::decompiled(loss) {
        Ok((rho, found)) => {
            decompile::check(&rho, &found).map_err(|e| {
                Diagnostic::error("E0603", format!("the checker refuses the decompilation: {e}"))
            })?;
            if ui.is_json() {
                let mut all = document(&loss.name, &rho.to_string(), &found, &outside);
                with_text(&mut all, &source);
                ui.json(&all)?;
            } else {
                read(&source, ui)?;
                show(&rho.to_string(), &found, &outside, ui)?;
            }
            Ok(Status::Done)
        }
        Err(none) => {
            if let Some((rho, found)) = explain::decompiled_large(loss) {
                return large::run(&loss.name, &rho, &found, &outside, ui);
            }
            if ui.is_json() {
                let mut all = refusal(&loss.name, &none, &outside);
                with_text(&mut all, &source);
                ui.json(&all)?;
            } else {
                read(&source, ui)?;
                outside.show(ui)?;
            }
            let mut found = vec![no_logic(loss, &none)];
            source.relocate(&mut found);
            Err(Refusal::new(source.sources, found).into())
        }
    }
}

/// A loss, and the texts that it comes from.
struct Source {
    loss: hir::Loss,
    sources: SourceMap,
    warnings: Vec<Diagnostic>,
    /// The text around an argument.
    typed: Option<(Embedded, FileId)>,
    /// The text of a loss that was read from Python.
    read: Option<String>,
}

/// True for `FILE.py:FUNCTION`, and for a Python file without a function, so that this can be said.
fn is_function(loss: &str) -> bool {
    loss.ends_with(".py") || loss.rsplit_once(':').is_some_and(|(f, _)| f.ends_with(".py"))
}

/// The loss that a Python function is.
fn python(function: &str, args: &Args, ui: &mut Ui) -> Result<Source, Failure> {
    let subject = Subject::parse(function)?;
    let hints = Hints {
        map: args.map.clone(),
        set: args.set.iter().map(|(k, v)| (k.clone(), literal(v))).collect(),
        output: args.output.as_deref().map(literal),
        mean: args.mean,
    };
    let Read { loss, text, sources, remarks, warnings } = ponens::python::read(&subject, &hints)?;
    remarks.iter().for_each(|r| ui.remark(r));
    Ok(Source { loss, sources, warnings, typed: None, read: Some(text) })
}

impl Source {
    fn relocate(&mut self, found: &mut [Diagnostic]) {
        if let Some((text, file)) = &self.typed {
            text.relocate(*file, &mut self.sources, found);
        }
    }
}

/// The loss around an expression.
fn typed(rho: &str, args: &Args) -> Result<Source, Failure> {
    let mut sources = SourceMap::default();
    let file = sources.add("<--rho>", rho);
    if let Err(found) = parse_expr(&sources, file) {
        return Err(Refusal::new(sources, found).into());
    }
    let aggregate = if args.mean { ", aggregate mean" } else { "" };
    let mut text = Embedded::default();
    text.text("loss rho(").argument("--params", args.params.as_deref().unwrap_or_default());
    text.text(format!(
        ") {{\n    data pair(w > l)\n    model pi = policy{aggregate}\n    \
         model ref = reference{aggregate}\n    rho = "
    ));
    text.argument("--rho", rho).text("\n    minimize logistic(rho)\n}\n");
    let mut program = hir::Program::new();
    let (file, mut found) = program.add_text("<text>", text.as_str());
    let mut loss = None;
    if !found.iter().any(Diagnostic::is_error) {
        let (resolved, more) = program.resolve("rho", &hir::NoLibrary);
        found.extend(more);
        loss = resolved;
    }
    let mut sources = program.sources;
    text.relocate(file, &mut sources, &mut found);
    let of_a_name = |d: &&mut Diagnostic| {
        d.code == "E0101" && d.help.is_some() && !d.message.starts_with("there is no function")
    };
    for d in found.iter_mut().filter(of_a_name) {
        d.help = Some("declare a parameter: --params 'name = 1 in (0, inf)'".to_owned());
    }
    match loss {
        Some(loss) => {
            Ok(Source { loss, sources, warnings: found, typed: Some((text, file)), read: None })
        }
        None => Err(Refusal::new(sources, found).into()),
    }
}

/// The loss that was read from Python, for people.
fn read(source: &Source, ui: &mut Ui) -> Result<(), Failure> {
    let Some(text) = &source.read else { return Ok(()) };
    ui.text(text)?;
    ui.line("")
}

/// The same for programs.
fn with_text(document: &mut Value, source: &Source) {
    if let Some(text) = &source.read {
        document["text"] = json!(text);
    }
}

fn core_json(core: &Core, structure: &Structure) -> Value {
    clauses_json(core, &structure.atoms)
}

fn clauses_json(core: &Core, atoms: &[Atom]) -> Value {
    let text = |f: &ponens::compiler::logic::Formula| f.shown(atoms).to_string();
    json!({ "p": text(&core.p), "given": text(&core.given), "tie": text(&core.tie) })
}

fn proof_json(steps: &[Step]) -> Value {
    steps
        .iter()
        .map(|s| json!({ "law": s.law.to_string(), "before": s.before(), "after": s.after() }))
        .collect()
}

fn constants_json(constants: &[(Atom, decompile::Expr)], atoms: &[Atom]) -> Value {
    constants
        .iter()
        .filter(|(a, _)| atoms.contains(a))
        .map(|(a, c)| json!({ "atom": a.name, "weight": format!("exp(-({c}))") }))
        .collect()
}

fn document(name: &str, rho: &str, found: &Decompiled, outside: &Parts<'_>) -> Value {
    json!({
        "name": name,
        "rho": rho,
        "core": core_json(&found.core, &found.structure),
        "rows": rows(&explain::table(&found.structure)),
        "constants": constants_json(&found.constants, &found.structure.atoms),
        "cancelled": written(found).map(|s| core_json(&s.core(), s)),
        "outside": outside.json(),
        "proof": proof_json(&found.steps),
    })
}

/// The structure before common factors were cancelled, where that makes a difference.
fn written(found: &Decompiled) -> Option<&Structure> {
    found.written.as_ref().filter(|s| s.sorted() != found.structure.sorted())
}

fn refusal(name: &str, none: &NoStructure, outside: &Parts<'_>) -> Value {
    let cause = none.cause.as_deref();
    let nearest = |n: &Nearest| {
        json!({ "reading": n.reading, "core": core_json(&n.core, &n.structure),
            "rows": rows(&explain::table(&n.structure)) })
    };
    json!({
        "name": name,
        "core": null,
        "rows": [],
        "proof": [],
        "reason": cause.map_or_else(|| none.reason.clone(), |c| c.reason.to_string()),
        "monomials": cause.map(|c| c.monomials.clone()).unwrap_or_default(),
        "nearest": cause.and_then(|c| c.nearest.as_deref()).map(nearest),
        "cancelled": cause.and_then(|c| c.written.as_deref()).map(|s| core_json(&s.core(), s)),
        "outside": outside.json(),
    })
}

fn show(rho: &str, found: &Decompiled, outside: &Parts<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let core = explain::core_text(&found.structure);
    let style = ui.style;
    ui.line(format!("{}     {rho}", style.strong("rho")))?;
    for (name, text) in [("prefer", &core.p), ("given ", &core.given), ("tie   ", &core.tie)] {
        ui.line(format!("{}  {text}", style.strong(name)))?;
    }
    if let Some(structure) = written(found) {
        let text = structure.core().shown(&structure.atoms).replace('\n', ", ");
        ui.line(style.faint(&format!("before common factors cancel: {text}")))?;
    }
    ui.line("")?;
    truth_table(&explain::table(&found.structure), ui)?;
    outside.show(ui)?;
    proof(&found.steps, ui)
}

fn proof(steps: &[Step], ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    let Some(first) = steps.first() else { return Ok(()) };
    ui.line("")?;
    ui.line(style.strong("proof"))?;
    let indented = |text: String| text.lines().map(|l| format!("  {l}")).collect::<Vec<_>>();
    ui.lines(indented(first.before()))?;
    for s in steps {
        ui.line(style.faint(&format!("    by {}", s.law)))?;
        ui.lines(indented(s.after()))?;
    }
    ui.line("every step was checked")
}
