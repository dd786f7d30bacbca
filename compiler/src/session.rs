//! The pipeline, readable on one screen: from the text of a loss to its stable graph.
//!
//! In: a [`Program`] and the name of a loss. Out: [`Compiled`], what every back end starts from.
//! Invariant: after each stage the stage's verifier has passed (in debug builds it is run).

use crate::adjoint::{self, Wrt};
use crate::hir::{self, Library, Program};
use crate::lower;
use crate::mir::{Graph, Param, Stage};
use crate::rewrite::{self, Optimised, Purpose};
use crate::strength;
use ponens_dsl::{Diagnostic, Severity, suggest};

/// What the pipeline is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which gradients to derive.
    pub wrt: Wrt,
    /// Limits and target of the rewriter.
    pub rewrite: rewrite::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self { wrt: Wrt::Policy, rewrite: rewrite::Options::default() }
    }
}

/// A loss with all that the compiler derives from it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The resolved text.
    pub loss: hir::Loss,
    /// The value as the text says it, root `loss`.
    pub written: Graph,
    /// The value in its stable form, with the derivation from `written`.
    pub value: Optimised,
    /// rho in its stable form, root `rho`, if the loss has one.
    pub rho: Option<Graph>,
    /// Value and gradients in their stable form: roots `loss` and `d/COLUMN`.
    pub gradient: Optimised,
    /// By the column of each running mean that the loss reads, what it is the mean of, in its stable form:
    /// root `loss`, over the inputs of the loss.
    pub running: Vec<(String, Graph)>,
    /// The same as `gradient` with fewer transcendental functions: what generated Rust computes.
    pub reduced: Graph,
    /// What deserves attention.
    pub warnings: Vec<Diagnostic>,
}

impl Compiled {
    /// The graph with value and gradients that back ends run.
    pub fn graph(&self) -> &Graph {
        &self.gradient.graph
    }

    /// Values for all parameters, from defaults and the ones given by name.
    ///
    /// # Errors
    /// An unknown name, a value outside the range, a parameter without any value.
    pub fn bind(&self, given: &[(String, f64)]) -> Result<Vec<f64>, Vec<Diagnostic>> {
        bind(&self.loss.name, &self.loss.params, given)
    }
}

/// Compiles a loss by name. Errors come with all warnings found so far.
pub fn compile(
    program: &mut Program,
    name: &str,
    library: &dyn Library,
    options: &Options,
) -> Result<Compiled, Vec<Diagnostic>> {
    let (loss, diagnostics) = program.resolve(name, library);
    let Some(loss) = loss else { return Err(diagnostics) };
    compile_resolved(loss, diagnostics, options)
}

/// Compiles a resolved loss; `diagnostics` are what was found while it was resolved.
///
/// # Errors
/// An operation that is undefined somewhere, or a limit of the rewriter, behind all found so far.
pub fn compile_resolved(
    loss: hir::Loss,
    diagnostics: Vec<Diagnostic>,
    options: &Options,
) -> Result<Compiled, Vec<Diagnostic>> {
    let lowered = lower::lower(&loss);
    let rewrite = |graph: &Graph, purpose: Purpose| {
        let written = Graph { stage: Stage::Written, ..graph.clone() };
        rewrite::optimise(&written, &rewrite::Options { purpose, ..options.rewrite.clone() })
    };
    let derive = || -> Result<Compiled, Diagnostic> {
        let value = rewrite(&lowered.graph, Purpose::Final)?;
        let rho = lower::rho(&lowered).map(|g| rewrite(&g, Purpose::Final)).transpose()?;
        let smooth = rewrite(&lowered.graph, Purpose::BeforeGradient)?;
        let adjoints = adjoint::differentiate(&smooth.graph, options.wrt);
        let gradient = rewrite(&adjoints, Purpose::Final)?;
        let running = lower::running(&loss)
            .into_iter()
            .map(|(name, graph)| Ok((name, rewrite(&graph, Purpose::Final)?.graph)))
            .collect::<Result<Vec<_>, Diagnostic>>()?;
        let found = value.warnings.iter().chain(&gradient.warnings).cloned();
        let warnings = diagnostics.iter().cloned().chain(found).collect();
        let rho = rho.map(|r| r.graph);
        let written = lowered.graph.clone();
        let reduced = strength::reduce(&gradient.graph);
        Ok(Compiled {
            loss: loss.clone(),
            written,
            value,
            gradient,
            reduced,
            rho,
            running,
            warnings,
        })
    };
    derive().map_err(|d| {
        let d = if d.labels.is_empty() { d.at(loss.span, "in this loss") } else { d };
        diagnostics.iter().cloned().chain([d]).collect()
    })
}

/// Values for parameters in order, from defaults and the ones given by name.
///
/// # Errors
/// See [`Compiled::bind`].
pub fn bind(
    loss: &str,
    params: &[Param],
    given: &[(String, f64)],
) -> Result<Vec<f64>, Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    for (name, _) in given {
        if !params.iter().any(|p| p.name == *name) {
            let d = Diagnostic::error("E0303", format!("loss `{loss}` has no parameter `{name}`"));
            let known: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
            wrong.push(match suggest::closest(name, known.iter().copied()) {
                Some(s) => d.help(format!("did you mean `{s}`?")),
                None if known.is_empty() => d.help("it has no parameters"),
                None => d.help(format!("its parameters: {}", known.join(", "))),
            });
        }
    }
    let mut values = Vec::with_capacity(params.len());
    for p in params {
        let value = given.iter().rev().find(|(n, _)| *n == p.name).map(|(_, v)| *v).or(p.default);
        match value {
            None => wrong.push(
                Diagnostic::error("E0302", format!("parameter `{}` has no value", p.name))
                    .help(format!("give one in {}: --param {}=..", p.range, p.name)),
            ),
            Some(v) if !p.range.contains(v) || !v.is_finite() => wrong.push(
                Diagnostic::error("E0301", format!("{} = {v} lies outside its range", p.name))
                    .help(format!("`{}` lies in {}", p.name, p.range)),
            ),
            Some(v) => values.push(v),
        }
    }
    debug_assert!(wrong.iter().all(|d| d.severity == Severity::Error));
    if wrong.is_empty() { Ok(values) } else { Err(wrong) }
}
