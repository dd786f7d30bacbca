//! What a loss says: its logical core, the arithmetic around it, and where it stands.
//!
//! In: a compiled loss. Out: an [`Explanation`], plain data that the command line renders. Invariant:
//! the core and the parts outside it together make up the whole loss (SEMANTICS, section 7).

mod around;
pub mod bind;
pub mod dynamics;
mod gradient;
mod names;
pub mod picture;
mod place;
pub mod rho;

pub use around::{Around, Outside, around};
pub use names::in_plain_names;
pub use place::Place;

use crate::decompile::{self, Decompiled, LargeDecompiled, NotLogic};
use crate::hir::{self, Core};
use crate::logic::{Atom, Core as Clauses, LargeStructure, MAX_ATOMS, Mark, Structure};
use crate::lower;
use crate::mir::infix::infix;
use crate::mir::{Graph, Stage};
use crate::rewrite::{self, Purpose};
use crate::session::Compiled;
use bind::Binding;
use ponens_dsl::{Diagnostic, Span};

/// A row of the truth table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Atoms and their truth values.
    pub assignment: Vec<(String, bool)>,
    /// Ticked, crossed, both or neither.
    pub mark: Mark,
}

/// The formulas (P, Pc, Pa) as text.
#[derive(Clone, Debug, PartialEq)]
pub struct CoreText {
    /// P
    pub p: String,
    /// Pc
    pub given: String,
    /// Pa
    pub tie: String,
}

/// Everything that `explain` shows.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The name of the loss.
    pub name: String,
    /// First sentence of its documentation.
    pub title: String,
    /// Its paper.
    pub source: Option<String>,
    /// The structure, when rho is logic.
    pub structure: Option<Structure>,
    /// The structure, when rho is logic of more atoms than a table holds.
    pub large: Option<LargeStructure>,
    /// Its formulas.
    pub core: Option<CoreText>,
    /// Its truth table.
    pub rows: Vec<Row>,
    /// Why there is no structure.
    pub no_core: Option<NoStructure>,
    /// Where the structure stands in the two-atom lattice.
    pub place: Option<Place>,
    /// rho in its stable form.
    pub rho: Option<String>,
    /// The link and its argument, as written.
    pub link: Option<String>,
    /// The terms outside the core, and why each is outside.
    pub outside: Vec<Outside>,
    /// The loss in its stable form.
    pub value: String,
    /// The gradients in their stable form, by column.
    pub gradients: Vec<(String, String)>,
    /// What deserves attention.
    pub warnings: Vec<Diagnostic>,
}

/// How a loss came to have a structure.
#[derive(Clone, Debug)]
pub struct Found {
    /// The structure: of the clauses, or of the canonical fraction.
    pub structure: Structure,
    /// How it was decompiled, and from what; `None` when the text gives it.
    pub decompiled: Option<Box<(decompile::Expr, Decompiled)>>,
}

/// Why a loss has no structure.
#[derive(Clone, Debug, PartialEq)]
pub struct NoStructure {
    /// The reason, with the nearest reading where there is one.
    pub reason: String,
    /// The expression to blame.
    pub span: Option<Span>,
    /// What the decompiler found, where there is a rho to read.
    pub cause: Option<Box<NotLogic>>,
}

/// The structure of a loss, from its formulas or by decompiling its rho (SEMANTICS, section 3).
///
/// # Errors
/// The reason why rho is no structure, and its place in the text when it has one.
pub fn structure(loss: &hir::Loss) -> Result<Found, NoStructure> {
    if let Some(Core::Logical { prefer, given, tie, span }) = &loss.core {
        let atoms = loss.atoms.iter().map(|a| a.atom.clone()).collect();
        return match Structure::from_clauses(atoms, *prefer, *given, *tie) {
            Ok(structure) => Ok(Found { structure, decompiled: None }),
            Err(e) => Err(NoStructure { reason: e.to_string(), span: Some(*span), cause: None }),
        };
    }
    if let Some(Core::Large { span, .. }) = &loss.core {
        let reason = format!("its {} atoms are more than a truth table holds", loss.atoms.len());
        return Err(NoStructure { reason, span: Some(*span), cause: None });
    }
    let binding = bind::bind(loss);
    if let Binding::Bound(bound) = binding {
        return structure(&bound);
    }
    let Some(id) = rho::core_expression(loss) else {
        let whole = Some(loss.expr(loss.minimize).span);
        return Err(match binding {
            Binding::Failed(cause, span) => {
                NoStructure { reason: cause.to_string(), span: span.or(whole), cause: Some(cause) }
            }
            Binding::Several(n) => {
                let reason = format!("no single rho: the loss has {n} of them in its terms");
                NoStructure { reason, span: whole, cause: None }
            }
            _ => {
                let reason = "no single rho: the loss is arithmetic only".to_owned();
                NoStructure { reason, span: whole, cause: None }
            }
        });
    };
    match rho::decompile(loss, id) {
        Ok((rho, d)) => {
            Ok(Found { structure: d.structure.clone(), decompiled: Some(Box::new((rho, d))) })
        }
        Err(n) => {
            let span = loss.exprs.get(n.tag).map(|e| e.span);
            Err(NoStructure { reason: n.to_string(), span, cause: Some(Box::new(n)) })
        }
    }
}

/// The structure of a loss that speaks of more atoms than a truth table holds.
pub fn large(loss: &hir::Loss) -> Option<LargeStructure> {
    if let Some(Core::Large { prefer, given, tie, .. }) = &loss.core {
        let atoms = loss.atoms.iter().map(|a| a.atom.clone()).collect();
        return LargeStructure::from_clauses(atoms, prefer, given, tie).ok();
    }
    if loss.atoms.len() <= MAX_ATOMS && loss.columns.len() <= MAX_ATOMS {
        return None;
    }
    Some(decompiled_large(loss)?.1.structure)
}

/// Decompiles a loss of more atoms than a truth table holds, with every step; `None` where it has not so
/// many, or is no logic, or too large to be written out.
pub fn decompiled_large(loss: &hir::Loss) -> Option<(decompile::Expr, LargeDecompiled)> {
    let order: Vec<Atom> = loss.atoms.iter().map(|a| a.atom.clone()).collect();
    let rho = match &loss.core {
        Some(Core::Large { .. }) => decompile::large_quotient(&large(loss)?)?,
        _ => rho::expression(loss, rho::core_expression(loss)?),
    };
    match decompile::decompile_any(&rho, &order) {
        Ok(decompile::Found::Large(found)) => Some((rho, *found)),
        _ => None,
    }
}

/// Decompiles a loss with every step, also one that its text gives as logic: that one from the
/// fraction that its clauses denote, so that what comes out has nothing left to cancel. The expression
/// that was read comes with it, for [`decompile::check`].
///
/// # Errors
/// The reason why rho is no structure.
pub fn decompiled(loss: &hir::Loss) -> Result<(decompile::Expr, Decompiled), NoStructure> {
    let Found { structure, decompiled } = structure(loss)?;
    if let Some(found) = decompiled {
        return Ok(*found);
    }
    let rho = decompile::quotient(&structure);
    match decompile::decompile_over(&rho, &structure.atoms) {
        Ok(found) => Ok((rho, found)),
        Err(n) => {
            let span = match &loss.core {
                Some(Core::Logical { span, .. }) => Some(*span),
                _ => None,
            };
            Err(NoStructure { reason: n.to_string(), span, cause: Some(Box::new(n)) })
        }
    }
}

/// The formulas of a structure, in the names of its atoms.
pub fn core_text(structure: &Structure) -> CoreText {
    clauses_text(&structure.core(), &structure.atoms)
}

fn clauses_text(c: &Clauses, atoms: &[Atom]) -> CoreText {
    let names: Vec<&str> = atoms.iter().map(|a| a.name.as_str()).collect();
    CoreText {
        p: c.p.shown(&names).to_string(),
        given: c.given.shown(&names).to_string(),
        tie: c.tie.shown(&names).to_string(),
    }
}

/// The truth table of a structure.
pub fn table(structure: &Structure) -> Vec<Row> {
    let names = || structure.atoms.iter().map(|a| a.name.clone());
    structure
        .rows()
        .map(|r| Row { assignment: names().zip(r.assignment).collect(), mark: r.mark })
        .collect()
}

/// The truth table of a structure of more atoms.
pub fn large_table(structure: &LargeStructure) -> Vec<Row> {
    let names = || structure.atoms.iter().enumerate();
    let row = |index: usize| Row {
        assignment: names().map(|(i, a)| (a.name.clone(), index >> i & 1 == 1)).collect(),
        mark: structure.mark(index),
    };
    (0..1usize << structure.n()).map(row).collect()
}

/// Explains a compiled loss.
pub fn explain(compiled: &Compiled) -> Explanation {
    let bound = bind::bind(&compiled.loss).loss();
    let stable_rho = stable_rho(compiled);
    let loss = bound.as_ref().unwrap_or(&compiled.loss);
    let found = structure(loss);
    let Around { link, outside, .. } = around::around(loss);
    let mut warnings = compiled.warnings.clone();
    warnings.extend(gradient::usable(compiled, loss, stable_rho.as_ref()));
    let large = large(loss);
    let (structure, no_core) = match found {
        Ok(f) => (Some(f.structure), None),
        Err(_) if large.is_some() => (None, None),
        Err(e) => (None, Some(e)),
    };
    let (core, rows) = match (&structure, &large) {
        (Some(s), _) => (Some(core_text(s)), table(s)),
        (None, Some(s)) => (Some(clauses_text(&s.core(), &s.atoms)), large_table(s)),
        (None, None) => (None, Vec::new()),
    };
    let graph = compiled.graph();
    Explanation {
        name: loss.name.clone(),
        title: loss.title(),
        source: loss.source(),
        place: structure.as_ref().and_then(|s| place::place(loss, s)),
        structure,
        large,
        core,
        rows,
        no_core,
        rho: stable_rho.map(|g| infix(&g, g.roots[0].node)),
        link,
        outside,
        value: infix(&compiled.value.graph, compiled.value.graph.roots[0].node),
        gradients: graph
            .roots
            .iter()
            .filter_map(|r| Some((r.name.strip_prefix("d/")?.to_owned(), infix(graph, r.node))))
            .collect(),
        warnings,
    }
}

/// rho in its stable form, also where the text does not name it.
fn stable_rho(compiled: &Compiled) -> Option<Graph> {
    let Some(bound) = bind::bind(&compiled.loss).loss() else { return compiled.rho.clone() };
    let lowered = lower::lower(&bound);
    let written = Graph { stage: Stage::Written, ..lower::rho(&lowered)? };
    let options = rewrite::Options { purpose: Purpose::Final, ..rewrite::Options::default() };
    rewrite::optimise(&written, &options).ok().map(|done| done.graph)
}
