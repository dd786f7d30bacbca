//! The logic in a loss, or why there is none.
//!
//! In: a resolved loss. Out: [`Logic`], or a diagnostic with the place, the reason and the nearest
//! reading. Invariant: what is handed out has passed the checker of decompilations.

use ponens_compiler::decompile::{self, Decompiled};
use ponens_compiler::explain::{self, CoreText, NoStructure, Outside, Row};
use ponens_compiler::hir;
use ponens_dsl::Diagnostic;
use std::fmt;

/// The logical core of a loss and what stands around it.
#[derive(Clone, Debug)]
pub struct Logic {
    /// rho as it was read.
    pub rho: String,
    /// `prefer`, `given` and `tie`.
    pub core: CoreText,
    /// The truth table.
    pub rows: Vec<Row>,
    /// The parts of the loss that are no logic, each with the reason.
    pub outside: Vec<Outside>,
    /// The structure, and the steps that lead there from rho.
    pub found: Decompiled,
}

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CoreText { p, given, tie } = &self.core;
        write!(f, "prefer {p}\ngiven  {given}\ntie    {tie}")
    }
}

/// Finds the logic in a loss.
///
/// # Errors
/// `E0501`: there is none. `E0603`: the checker refuses what was found.
pub(crate) fn decompile(loss: &hir::Loss) -> Result<Logic, Diagnostic> {
    let (rho, found) = explain::decompiled(loss).map_err(|none| no_logic(loss, &none))?;
    decompile::check(&rho, &found).map_err(|e| {
        Diagnostic::error("E0603", format!("the checker refuses the decompilation: {e}"))
    })?;
    Ok(Logic {
        rho: rho.to_string(),
        core: explain::core_text(&found.structure),
        rows: explain::table(&found.structure),
        outside: explain::around(loss).outside,
        found,
    })
}

/// Why a loss has no logic, at the expression to blame.
pub fn no_logic(loss: &hir::Loss, none: &NoStructure) -> Diagnostic {
    let place = none.span.unwrap_or(loss.span);
    let Some(cause) = &none.cause else {
        return Diagnostic::error("E0501", format!("no logic: {}", none.reason))
            .at(place, "outside the logic");
    };
    let mut d = Diagnostic::error("E0501", format!("no logic: {}", cause.reason))
        .at(place, "this is not the logarithm of a ratio of counts");
    if !cause.monomials.is_empty() {
        d = d.note(format!("monomials to blame: {}", cause.monomials.join(", ")));
    }
    if let Some(written) = &cause.written {
        let text = written.core().shown(&written.atoms).replace('\n', ", ");
        d = d.note(format!("before everything cancels: {text}; the same rows win and lose"));
    }
    if let decompile::Reason::UnknownSign { .. } = cause.reason {
        return d
            .help("declare its parameters in ranges that settle the sign: `x = 1 in [0, inf)`");
    }
    match &cause.nearest {
        Some(n) => {
            d.help(format!("nearest reading: {}\n{}", n.reading, n.core.shown(&n.structure.atoms)))
        }
        None => d,
    }
}
