//! `ponens emit`

use crate::args::LossArg;
use crate::failure::{Failure, Outcome, Status};
use crate::kernels;
use crate::output::Ui;
use clap::ValueEnum;
use ponens::compiler::adjoint::Wrt;
use ponens::compiler::codegen::{Header, candle, cuda, fingerprint, latex, rust, torch};
use ponens::compiler::lir;
use ponens::compiler::mir::{Graph, dot};
use ponens::compiler::rewrite;
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::Diagnostic;
use ponens::locate;
use ponens::runtime::kernel::{self, Arch};
use serde_json::{Value, json};
use std::sync::Arc;

const EXAMPLE: &str = "\
Examples:
  ponens emit dpo --target mir
  ponens emit orpo --target mir --stage written
  ponens emit orpo --target mir --stage value --explain
  ponens emit orpo --target cuda > orpo.cu
  ponens emit orpo --target ptx --arch sm_90 > orpo.ptx
  ponens emit dpo --target rust > src/dpo.rs
  ponens emit dpo --target candle > src/dpo.rs
  ponens emit orpo --target torch > orpo.py
  ponens emit orpo --target torch --trl > orpo.py
  ponens emit orpo --target latex
  ponens emit orpo --target dot --stage value | dot -Tsvg > orpo.svg";

/// Print the code that a loss is compiled to
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    loss: LossArg,
    /// The language
    #[arg(long, value_enum)]
    target: Target,
    /// For `mir` and `dot`: the loss as written, in its stable form, or with its gradients
    #[arg(long, value_enum, default_value = "gradient")]
    stage: Stage,
    /// For `cuda` and `ptx`: what the kernels read
    #[arg(long, value_enum, default_value = "logits")]
    from: Reads,
    /// For `ptx`: the graphics processor, sm_80 or newer
    #[arg(long, value_name = "ARCH", value_parser = arch, default_value = "sm_80")]
    arch: Arch,
    /// For `mir`: also print the derivation of the stable form, rule by rule
    #[arg(long)]
    explain: bool,
    /// For `torch`: also write a trainer for TRL that trains with the loss
    #[arg(long)]
    trl: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The scalar graph
    Mir,
    /// CUDA C: the streaming kernels and one generated kernel a phase
    Cuda,
    /// The kernel plan that the CUDA C is written from
    Lir,
    /// What NVRTC compiles the CUDA C to
    Ptx,
    /// A Rust file of plain functions, in f64 and f32, that needs no crate
    Rust,
    /// A Rust file of differentiable candle operations
    Candle,
    /// One Python file that needs nothing but PyTorch
    Torch,
    /// The equations of a paper
    Latex,
    /// A drawing of the scalar graph, for Graphviz
    Dot,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Target::Mir => "mir",
            Target::Cuda => "cuda",
            Target::Lir => "lir",
            Target::Ptx => "ptx",
            Target::Rust => "rust",
            Target::Candle => "candle",
            Target::Torch => "torch",
            Target::Latex => "latex",
            Target::Dot => "dot",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Reads {
    /// Logits, overwritten by their gradient
    Logits,
    /// Hidden states and the head: logits are never in memory
    Hidden,
}

fn arch(text: &str) -> Result<Arch, String> {
    text.parse().map_err(|e: kernel::KernelError| e.to_string())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// As the text says it
    Written,
    /// The value in its stable form
    Value,
    /// Value and gradients in their stable form
    Gradient,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    if args.explain && (args.target != Target::Mir || args.stage == Stage::Written) {
        return Err(Failure::Usage(
            "--explain belongs to --target mir with --stage value or gradient".to_owned(),
        ));
    }
    if args.trl && args.target != Target::Torch {
        return Err(Failure::Usage("--trl belongs to --target torch".to_owned()));
    }
    // In Python anything may be differentiated, the reference's columns as well.
    let wrt = if args.target == Target::Torch { Wrt::AllReal } else { Wrt::Policy };
    let mut options = Options { wrt, ..Options::default() };
    options.rewrite.derive = args.explain;
    let (compiled, located) = locate::locate(&args.loss.loss)?.compile(&options)?;
    ui.report(&located.program.sources, &located.warnings);
    let planned = || {
        lir::plan(compiled.graph()).map_err(|e| {
            Diagnostic::error("E0205", format!("`{}` has no kernel: {e}", located.name))
        })
    };
    let code = match args.target {
        Target::Cuda => program(&planned()?, args.from)?,
        Target::Lir => planned()?.to_string(),
        Target::Ptx => {
            let plan = planned()?;
            kernels::ptx(&plan, &program(&plan, args.from)?, args.arch)?
        }
        Target::Rust => rust::file(&compiled.reduced, &header(&compiled)).map_err(|e| {
            Diagnostic::error("E0205", format!("`{}` has no Rust code: {e}", located.name))
        })?,
        Target::Candle => {
            let module = candle::emit(compiled.graph(), &header(&compiled)).map_err(|e| {
                Diagnostic::error("E0205", format!("`{}` has no candle code: {e}", located.name))
            })?;
            module.text
        }
        Target::Torch => {
            torch::emit(&compiled, &torch::Options { trl: args.trl }).map_err(|e| {
                Diagnostic::error("E0205", format!("`{}` has no PyTorch file: {e}", located.name))
            })?
        }
        Target::Latex => latex::emit(&compiled),
        Target::Mir => staged(args, &compiled).to_string(),
        Target::Dot => dot::dot(staged(args, &compiled)),
    };
    let target = args.target.name();
    let steps = if args.explain { Some(derivation(args, &compiled)?) } else { None };
    if ui.is_json() {
        ui.json(&json!({
            "name": located.name, "target": target, "code": code, "derivation": steps,
        }))?;
        return Ok(Status::Done);
    }
    ui.text(&code)?;
    for lemma in steps.iter().flatten() {
        ui.line("")?;
        let text = |key: &str| lemma[key].as_str().unwrap_or_default().to_owned();
        ui.line(format!("{} {}", ui.style.strong(&text("node")), text("from")))?;
        for step in lemma["steps"].as_array().into_iter().flatten() {
            let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
            ui.line(format!("  {}  {}", text("rule"), ui.style.faint(&text("law"))))?;
            ui.line(format!("    {}", text("before")))?;
            ui.line(format!("    = {}", text("after")))?;
        }
        ui.line(format!("  so {}", text("to")))?;
    }
    if steps.is_some() {
        ui.line("")?;
        ui.line(
            "every step was checked: instance of its rule, conditions, value in high precision",
        )?;
    }
    Ok(Status::Done)
}

/// The CUDA C of a loss.
fn program(plan: &lir::Plan, from: Reads) -> Result<String, Diagnostic> {
    match from {
        Reads::Logits => Ok(cuda::emit(plan, &cuda::Element::ALL)),
        Reads::Hidden => cuda::emit_from_hidden(plan, &cuda::Element::ALL).map_err(|statistic| {
            let reason = format!(
                "`{}` wants {statistic} of its tokens: whole rows of logits",
                plan.header.name
            );
            Diagnostic::error("E0205", reason).help("leave --from hidden out")
        }),
    }
}

/// The steps from the written form to the stable one, accepted by the checker.
fn derivation(args: &Args, compiled: &Compiled) -> Result<Vec<Value>, Failure> {
    let optimised = if args.stage == Stage::Value { &compiled.value } else { &compiled.gradient };
    let Some(d) = &optimised.derivation else {
        return Err(Diagnostic::error("E0602", "the rewriter found no derivation")
            .help("leave --explain out to see the result")
            .into());
    };
    rewrite::verify_derivation(d).map_err(|e| {
        Diagnostic::error("E0603", format!("the checker refuses the derivation: {e}"))
    })?;
    let text = |t: &Arc<rewrite::Term>| rewrite::infix(t, &d.written.params, &d.written.inputs);
    let lemma = |l: &rewrite::Lemma| {
        let steps: Vec<Value> = l
            .steps
            .iter()
            .map(|s| {
                let rule =
                    if s.reversed { format!("{} (backwards)", s.rule) } else { s.rule.to_owned() };
                json!({
                    "rule": rule, "law": s.law, "path": s.path,
                    "before": text(&s.before), "after": text(&s.after),
                })
            })
            .collect();
        json!({
            "node": l.node.to_string(), "from": text(&l.from), "to": text(&l.to), "steps": steps,
        })
    };
    Ok(d.lemmas.iter().map(lemma).collect())
}

fn staged<'a>(args: &Args, compiled: &'a Compiled) -> &'a Graph {
    match args.stage {
        Stage::Written => &compiled.written,
        Stage::Value => &compiled.value.graph,
        Stage::Gradient => &compiled.gradient.graph,
    }
}

fn header(compiled: &Compiled) -> Header {
    Header { title: compiled.loss.title(), hash: fingerprint(&compiled.written.to_string()) }
}
