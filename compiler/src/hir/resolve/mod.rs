//! From the syntax tree to the HIR: names, types, levels.
//!
//! One pass a file: [`variant`] unfolds `with`, [`header`] reads what is declared, [`formula`] reads
//! the logical clauses, [`expr`] the arithmetic. All errors of a loss are reported together.

mod builtin;
mod expr;
mod formula;
mod header;
mod order;
mod program;
mod prune;
mod quantities;
mod variant;

pub use program::{Library, NoLibrary, Program};

use super::model::*;
use super::quantity::{Column, Quantity};
use crate::mir::Level;
use ponens_dsl::ast::{self, Clause};
use ponens_dsl::{Diagnostic, Span};
use std::collections::HashMap;

/// Resolves one loss whose variants are already unfolded. `functions` are the `fn` items in sight.
pub(crate) fn resolve(
    loss: &ast::Loss,
    functions: &[ast::Function],
) -> (Option<Loss>, Vec<Diagnostic>) {
    let mut r = Resolver::new(loss, functions);
    let result = r.run(loss);
    let failed = r.diagnostics.iter().any(Diagnostic::is_error);
    (result.filter(|_| !failed), r.diagnostics)
}

/// A `let` and what has become of it.
struct Binding<'a> {
    value: &'a ast::Expr,
    span: Span,
    state: State,
    used: bool,
}

enum State {
    Unresolved,
    InProgress,
    Done(Option<ExprId>),
}

struct Resolver<'a> {
    functions: HashMap<&'a str, &'a ast::Function>,
    diagnostics: Vec<Diagnostic>,
    params: Vec<Param>,
    params_used: Vec<bool>,
    shape: Option<DataShape>,
    models: Vec<Model>,
    data_columns: HashMap<&'a str, crate::mir::Interval>,
    columns: Vec<Column>,
    atoms: Vec<Atom>,
    exprs: Vec<Expr>,
    lets: HashMap<&'a str, Binding<'a>>,
    /// Arguments of the functions being unfolded, innermost last.
    frames: Vec<(&'a str, HashMap<&'a str, Option<ExprId>>)>,
    core: Option<Core>,
    /// True while `rho` itself is being resolved, where its own name is not in sight.
    in_core: bool,
    has_core: bool,
}

impl<'a> Resolver<'a> {
    fn new(loss: &'a ast::Loss, functions: &'a [ast::Function]) -> Self {
        let _ = loss;
        Self {
            functions: functions.iter().map(|f| (f.name.text.as_str(), f)).collect(),
            diagnostics: Vec::new(),
            params: Vec::new(),
            params_used: Vec::new(),
            shape: None,
            models: Vec::new(),
            data_columns: HashMap::new(),
            columns: Vec::new(),
            atoms: Vec::new(),
            exprs: Vec::new(),
            lets: HashMap::new(),
            frames: Vec::new(),
            core: None,
            in_core: false,
            has_core: false,
        }
    }

    fn run(&mut self, loss: &'a ast::Loss) -> Option<Loss> {
        self.params(loss);
        self.header(loss);
        self.has_core =
            loss.clauses.iter().any(|c| matches!(c, Clause::Rho { .. } | Clause::Prefer { .. }));
        if self.shape.is_some() {
            self.core(loss);
        }
        let minimize = self.minimize(loss);
        self.resolve_unused_lets();
        self.warn_unused();
        let mut result = Loss {
            name: loss.name.text.clone(),
            docs: loss.docs.clone(),
            params: std::mem::take(&mut self.params),
            shape: self.shape.take()?,
            models: std::mem::take(&mut self.models),
            columns: std::mem::take(&mut self.columns),
            atoms: std::mem::take(&mut self.atoms),
            exprs: std::mem::take(&mut self.exprs),
            core: self.core.take(),
            minimize: minimize?,
            span: loss.span,
        };
        prune::prune(&mut result);
        order::order(&mut result);
        debug_assert_eq!(super::verify(&result), Ok(()), "resolving broke the HIR");
        Some(result)
    }

    fn error(&mut self, d: Diagnostic) {
        self.diagnostics.push(d);
    }

    /// Adds an expression; its level is the deepest operand's unless it is a leaf or a reduction.
    fn push(&mut self, kind: Kind, span: Span) -> ExprId {
        let level = match kind {
            Kind::Number(_) | Kind::Param(_) => Level::Uniform,
            Kind::Column(c) => self.columns[c].level,
            Kind::Probability(_) | Kind::Rho => Level::Example,
            Kind::Batch(BatchFn::Mean | BatchFn::Sum, _) => Level::Batch,
            _ => kind
                .operands()
                .iter()
                .map(|o| self.exprs[o.0 as usize].level)
                .max()
                .unwrap_or(Level::Uniform),
        };
        self.exprs.push(Expr { kind, level, span });
        ExprId(self.exprs.len() as u32 - 1)
    }

    /// The column of a quantity, added on first use.
    fn column(&mut self, quantity: Quantity) -> usize {
        if let Some(i) = self.columns.iter().position(|c| c.quantity == quantity) {
            return i;
        }
        let policy = |m: &str| self.models.iter().any(|d| d.name == m && d.role == Role::Policy);
        let differentiable = quantity.models().iter().any(|m| policy(m));
        let range = match &quantity {
            Quantity::Data { name } => {
                self.data_columns.get(name.as_str()).copied().unwrap_or(quantity.domain())
            }
            q => q.domain(),
        };
        self.columns.push(Column { quantity, level: Level::Example, range, differentiable });
        self.columns.len() - 1
    }

    fn minimize(&mut self, loss: &'a ast::Loss) -> Option<ExprId> {
        let mut found: Option<(&ast::Expr, Span)> = None;
        for c in &loss.clauses {
            if let Clause::Minimize { value, span } = c {
                if let Some((_, first)) = found {
                    self.error(
                        Diagnostic::error("E0106", "a loss has one `minimize` clause")
                            .at(*span, "this is the second")
                            .at(first, "the first stands here")
                            .help("add the two terms in one clause"),
                    );
                } else {
                    found = Some((value, *span));
                }
            }
        }
        let Some((value, span)) = found else {
            self.error(
                Diagnostic::error(
                    "E0105",
                    format!("loss `{}` says nothing to minimize", loss.name.text),
                )
                .at(loss.name.span, "no `minimize` clause in this loss")
                .help("end the loss with a line such as `minimize logistic(beta * rho)`"),
            );
            return None;
        };
        let id = self.number(value)?;
        if self.exprs[id.0 as usize].level == Level::Uniform {
            self.error(
                Diagnostic::error("E0204", "the loss does not depend on any model or data")
                    .at(span, "the same number for every example")
                    .help("use `rho`, or a quantity such as `logp(pi, w)`"),
            );
            return None;
        }
        Some(id)
    }

    fn warn_unused(&mut self) {
        for (p, used) in self.params.iter().zip(&self.params_used) {
            if !used {
                let d = Diagnostic::warning(
                    "W0301",
                    format!("parameter `{}` changes nothing: no expression uses it", p.name),
                );
                self.diagnostics.push(d);
            }
        }
        let mut unused: Vec<_> =
            self.lets.iter().filter(|(_, b)| !b.used).map(|(n, b)| (*n, b.span)).collect();
        unused.sort_by_key(|(_, s)| *s);
        for (name, span) in unused {
            self.diagnostics.push(
                Diagnostic::warning("W0502", format!("`{name}` is defined and not used"))
                    .at(span, "defined here"),
            );
        }
    }
}
