//! From logic to loss text.
//!
//! In: formulas for the core and its constraints. Out: the text of a loss that has them, in the canonical
//! form. Invariant: the text compiles, and its structure is that of the formulas.

use crate::refusal::{Refusal, Result};
use ponens_compiler::hir::Program;
use ponens_compiler::session::{self, Compiled, Options};
use ponens_dsl::ast::{Expr, ExprKind};
use ponens_dsl::{Diagnostic, SourceMap, parse, parse_expr, print};
use ponens_losses::Catalogue;
use std::fmt::Write as _;

/// What a derived loss is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// P.
    pub core: String,
    /// Pc, true when absent.
    pub given: Option<String>,
    /// Pa, false when absent.
    pub tie: Option<String>,
    /// What `minimize` says, over `rho` and `beta`.
    pub link: Link,
    /// True for mean token log-probabilities.
    pub mean: bool,
}

/// The link of a derived loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// softplus(-beta rho)
    #[default]
    Logistic,
    /// max(0, 1 - beta rho)
    Hinge,
    /// (rho - 1 / (2 beta))^2
    Squared,
}

impl Link {
    fn text(self) -> &'static str {
        match self {
            Link::Logistic => "logistic(beta * rho)",
            Link::Hinge => "hinge(beta * rho)",
            Link::Squared => "squared(rho, 1 / (2 * beta))",
        }
    }
}

/// A derived loss.
pub struct Derived {
    /// Its text.
    pub text: String,
    /// The loss itself.
    pub compiled: Compiled,
    /// The text as a source, for the places of warnings.
    pub sources: SourceMap,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Derived").field("text", &self.text).finish_non_exhaustive()
    }
}

/// Writes the text of a loss with these formulas and compiles it.
///
/// `pi` is the policy; every other model is a reference. `w` is preferred to `l`; every other response
/// is a further one.
///
/// # Errors
/// A formula that does not parse, says something else than logic, or leaves no row to win or to lose.
pub fn derive(wish: &Wish) -> Result<Derived> {
    let mut names = Names::default();
    for (place, text) in [
        ("<core>", Some(&wish.core)),
        ("<given>", wish.given.as_ref()),
        ("<tie>", wish.tie.as_ref()),
    ] {
        let Some(text) = text else { continue };
        let mut sources = SourceMap::default();
        let file = sources.add(place, text.as_str());
        match parse_expr(&sources, file) {
            Ok(e) => names.collect(&e),
            Err(found) => return Err(Refusal::new(sources, found)),
        }
    }
    let text = canonical(&names.text(wish))?;
    let mut program = Program::new();
    let (_, found) = program.add_text("<derived>", &text);
    if found.iter().any(Diagnostic::is_error) {
        return Err(Refusal::new(program.sources, found));
    }
    match session::compile(&mut program, &wish.name, &Catalogue, &Options::default()) {
        Ok(compiled) => Ok(Derived { text, compiled, sources: program.sources }),
        Err(found) => Err(Refusal::new(program.sources, found)),
    }
}

fn canonical(text: &str) -> Result<String> {
    let mut sources = SourceMap::default();
    let file = sources.add("<derived>", text);
    let (tree, found) = parse(&sources, file);
    if found.iter().any(Diagnostic::is_error) {
        return Err(Refusal::new(sources, found));
    }
    Ok(print::file(&tree))
}

/// The models and responses that formulas speak of.
#[derive(Default)]
struct Names {
    references: Vec<String>,
    responses: Vec<String>,
}

impl Names {
    fn collect(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Call { callee, args } => {
                let add = |list: &mut Vec<String>, name: &String, own: &[&str]| {
                    if !own.contains(&name.as_str()) && !list.contains(name) {
                        list.push(name.clone());
                    }
                };
                add(&mut self.references, &callee.text, &["pi"]);
                for a in args {
                    if let ExprKind::Name(n) = &a.kind {
                        add(&mut self.responses, n, &["w", "l"]);
                    }
                }
            }
            ExprKind::Unary { operand, .. } => self.collect(operand),
            ExprKind::Binary { lhs, rhs, .. } => {
                self.collect(lhs);
                self.collect(rhs);
            }
            _ => {}
        }
    }

    fn text(&self, wish: &Wish) -> String {
        let others: String = self.responses.iter().map(|r| format!(", {r}")).collect();
        let aggregate = if wish.mean { ", aggregate mean" } else { "" };
        let mut text = format!("/// Derived from its logic.\nloss {}(beta = ", wish.name);
        let _ = writeln!(text, "{} in (0, inf)) {{", if wish.mean { "1" } else { "0.1" });
        let _ = writeln!(text, "data pair(w > l{others})\nmodel pi = policy{aggregate}");
        for r in &self.references {
            let _ = writeln!(text, "model {r} = reference{aggregate}");
        }
        let _ = writeln!(text, "prefer {}", wish.core);
        if let Some(given) = &wish.given {
            let _ = writeln!(text, "given {given}");
        }
        if let Some(tie) = &wish.tie {
            let _ = writeln!(text, "tie {tie}");
        }
        let _ = writeln!(text, "minimize {}\n}}", wish.link.text());
        text
    }
}
