//! From the syntax tree to the HIR: names, types, levels.
//!
//! One pass a file: [`variant`] unfolds `with`, [`header`] and [`shape`] read what is declared, [`formula`]
//! reads the logical clauses, [`expr`] the arithmetic with its [`calls`], [`quantities`], [`index`]es and
//! reductions ([`reduce`]). All errors of a loss are reported together.

mod builtin;
mod calls;
mod expr;
mod formula;
mod header;
mod index;
mod linear;
mod order;
mod program;
mod prune;
mod quantities;
mod reduce;
mod shape;
mod value;
mod variant;

pub use builtin::{functions, usages};
pub use program::{Library, NoLibrary, Program};

use program::Functions;

use super::model::*;
use super::quantity::{Column, Quantity};
use crate::mir::Level;
use ponens_dsl::ast::{self, Clause};
use ponens_dsl::diagnostic::{MAX_DIAGNOSTICS, limited};
use ponens_dsl::{Diagnostic, Span};
use std::collections::HashMap;
use value::{At, Index, Value, VarFacts};

/// Resolves one loss whose variants are already unfolded. `functions` are the `fn` items in sight.
pub(crate) fn resolve(
    loss: &ast::Loss,
    functions: &Functions<'_>,
) -> (Option<Loss>, Vec<Diagnostic>) {
    let mut r = Resolver::new(*functions);
    let result = r.run(loss);
    let failed = r.diagnostics.iter().any(Diagnostic::is_error);
    (result.filter(|_| !failed), limited(r.diagnostics))
}

/// A `let` and what has become of it.
struct Binding<'a> {
    indices: &'a [ast::Name],
    value: &'a ast::Expr,
    span: Span,
    state: State,
    used: bool,
}

enum State {
    Unresolved,
    InProgress,
    Done(Option<Value>),
}

/// A declared column of numbers.
#[derive(Clone, Copy)]
struct DataColumn {
    range: crate::mir::Interval,
    /// The loop that it has one value a turn of.
    of: Option<Loop>,
    /// Declared by the data shape, and not by a `column` clause yet.
    of_shape: bool,
}

/// Errors after which the rest of a loss is not looked at: each may be held against every name in sight.
const ENOUGH: usize = MAX_DIAGNOSTICS + 1;

/// Expressions hold this many nodes, shared ones counted as often as they are used.
const LARGEST: u32 = 50_000;

struct Resolver<'a> {
    functions: Functions<'a>,
    diagnostics: Vec<Diagnostic>,
    params: Vec<Param>,
    /// Their places by name.
    param_places: HashMap<&'a str, usize>,
    params_used: Vec<bool>,
    param_spans: Vec<Span>,
    shape: Option<DataShape>,
    models: Vec<Model>,
    /// Their places by name.
    model_places: HashMap<&'a str, usize>,
    /// The `aggregate` option of each model.
    aggregates: HashMap<&'a str, &'a ast::Expr>,
    data_columns: HashMap<String, DataColumn>,
    columns: Vec<Column>,
    /// Their places by what they hold.
    column_places: HashMap<Quantity, usize>,
    atoms: Vec<Atom>,
    exprs: Vec<Expr>,
    /// The size of each expression as a tree.
    sizes: Vec<u32>,
    /// How deep the expression under way is nested.
    depth: usize,
    /// True once an expression has grown too large: said once.
    exhausted: bool,
    /// Every index variable so far.
    vars: Vec<VarFacts>,
    /// Those in sight, innermost last.
    indices: Vec<Index<'a>>,
    lets: HashMap<&'a str, Binding<'a>>,
    /// Arguments of the functions being unfolded, innermost last.
    frames: Vec<(&'a str, HashMap<&'a str, Option<Value>>)>,
    core: Option<Core>,
    running: Vec<Running>,
    /// True while `rho` itself is being resolved, where its own name is not in sight.
    in_core: bool,
    has_core: bool,
}

impl<'a> Resolver<'a> {
    fn new(functions: Functions<'a>) -> Self {
        Self {
            functions,
            param_places: HashMap::new(),
            model_places: HashMap::new(),
            column_places: HashMap::new(),
            diagnostics: Vec::new(),
            params: Vec::new(),
            params_used: Vec::new(),
            param_spans: Vec::new(),
            aggregates: HashMap::new(),
            sizes: Vec::new(),
            depth: 0,
            exhausted: false,
            vars: Vec::new(),
            indices: Vec::new(),
            shape: None,
            models: Vec::new(),
            data_columns: HashMap::new(),
            columns: Vec::new(),
            atoms: Vec::new(),
            exprs: Vec::new(),
            lets: HashMap::new(),
            frames: Vec::new(),
            core: None,
            running: Vec::new(),
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
            running: std::mem::take(&mut self.running),
            span: loss.span,
        };
        prune::prune(&mut result);
        order::order(&mut result);
        self.loops_are_read(&result)?;
        debug_assert_eq!(super::verify(&result), Ok(()), "resolving broke the HIR");
        Some(result)
    }

    fn error(&mut self, d: Diagnostic) {
        if self.has_enough() {
            return;
        }
        self.diagnostics.push(d);
    }

    /// True when the loss is not looked at any further.
    fn has_enough(&self) -> bool {
        self.diagnostics.len() >= ENOUGH
    }

    fn model_named(&self, name: &str) -> Option<&Model> {
        self.model_places.get(name).map(|i| &self.models[*i])
    }

    /// Adds an expression; its level is the deepest operand's unless it is a leaf or a reduction.
    fn push(&mut self, kind: Kind, span: Span) -> ExprId {
        let level = match kind {
            Kind::Number(_) | Kind::Param(_) => Level::Uniform,
            Kind::Column(c) => self.columns[c].level,
            Kind::Probability(_) | Kind::Rho => Level::Example,
            Kind::Fold(_, _, to) => to,
            Kind::Position(inner) => inner.level(),
            Kind::Size(inner) => self.outside(inner),
            Kind::Batch(BatchFn::Mean | BatchFn::Sum, _) => Level::Batch,
            _ => kind
                .operands()
                .iter()
                .map(|o| self.exprs[o.0 as usize].level)
                .max()
                .unwrap_or(Level::Uniform),
        };
        let parts = kind.operands().into_iter().map(|o| self.sizes[o.0 as usize]);
        let size = parts.fold(1u32, u32::saturating_add);
        if size > LARGEST || self.exprs.len() > LARGEST as usize {
            self.exhaust(span);
        }
        self.sizes.push(size);
        self.exprs.push(Expr { kind, level, span });
        ExprId(self.exprs.len() as u32 - 1)
    }

    /// The column of a quantity, added on first use.
    fn column(&mut self, quantity: Quantity) -> usize {
        if let Some(i) = self.column_places.get(&quantity) {
            return *i;
        }
        let policy = |m: &str| self.model_named(m).is_some_and(|d| d.role == Role::Policy);
        let differentiable = quantity.models().iter().any(|m| policy(m));
        let declared = match &quantity {
            Quantity::Data { name } => self.data_columns.get(name.as_str()).copied(),
            _ => None,
        };
        let range = declared.map_or(quantity.domain(), |d| d.range);
        let of = match (&quantity, declared) {
            (_, Some(d)) => d.of,
            (Quantity::Token(_), _) => quantity.response().and_then(|r| self.tokens_of(r)),
            (q, _) => {
                let family = self.shape.as_ref().and_then(DataShape::family);
                q.response().and(family).map(|_| Loop::Candidates)
            }
        };
        let level = of.map_or(Level::Example, Loop::level);
        self.column_places.insert(quantity.clone(), self.columns.len());
        self.columns.push(Column { quantity, level, of, range, differentiable });
        self.columns.len() - 1
    }

    /// The loop over the tokens of a response.
    fn tokens_of(&self, response: &str) -> Option<Loop> {
        let place = self.shape.as_ref()?.responses().iter().position(|r| *r == response);
        place.map(Loop::Tokens)
    }

    fn exhaust(&mut self, span: Span) {
        if !std::mem::replace(&mut self.exhausted, true) {
            self.error(
                Diagnostic::error("E0004", "this unfolds into too large an expression")
                    .at(span, "functions and definitions use each other too often or too deeply")
                    .help("write the loss with fewer levels of `fn` and `let`"),
            );
        }
    }

    /// A place in a loop, or its length, is known from a column that runs over it.
    fn loops_are_read(&mut self, loss: &Loss) -> Option<()> {
        let unread = loss.exprs.iter().find_map(|e| match e.kind {
            Kind::Position(l) | Kind::Size(l) if loss.column_of(l).is_none() => Some((l, e.span)),
            _ => None,
        });
        let Some((inner, span)) = unread else { return Some(()) };
        let words = self.loop_words(inner);
        self.error(
            Diagnostic::error(
                "E0205",
                format!("the loss counts {words}, and reads nothing of them"),
            )
            .at(span, "counted here")
            .help("use a quantity of them, such as `logp(pi, y[i])`"),
        );
        None
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
        let v = self.number(value)?;
        if v.at != At::default() {
            // Index variables end with their reduction: none can be in sight here.
            return None;
        }
        let id = v.id;
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
        // What was not looked at may be used there.
        if self.exhausted || self.has_enough() {
            return;
        }
        let params = self.params.iter().zip(&self.params_used).zip(&self.param_spans);
        for ((p, used), span) in params {
            if !used {
                let d = Diagnostic::warning(
                    "W0301",
                    format!("parameter `{}` changes nothing: no expression uses it", p.name),
                )
                .at(*span, "declared here")
                .help("use it, or leave it out");
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
