//! Statements: assignments, branches, returns.
//!
//! In: the body of a function and the names that it sees. Out: what it returns. A branch is taken where
//! its condition is known; everything that would need a run is refused with its place.

use super::call::detached;
use super::source::Module;
use super::symbol::Symbol;
use ponens_dsl::{Diagnostic, Span};
use rustpython_parser::ast::{self, Expr, Ranged, Stmt};
use std::collections::HashMap;

/// Names and what they stand for.
pub(super) type Scope = HashMap<String, Symbol>;

/// Calls nest this deep.
const DEPTH: usize = 16;

/// So many statements and expressions are looked at.
const STEPS: usize = 100_000;

/// A function being read.
pub(super) struct Reader<'a> {
    pub(super) module: &'a Module,
    pub(super) globals: Scope,
    /// The functions that a [`Symbol::Function`] speaks of.
    pub(super) functions: Vec<&'a ast::StmtFunctionDef>,
    /// What the attributes of `self` stand for.
    pub(super) own: Scope,
    /// Attributes of `self` that were read and have no value yet: parameters.
    pub(super) wanted: Vec<(String, Span)>,
    pub(super) depth: usize,
    pub(super) nesting: usize,
    pub(super) steps: usize,
}

/// What a statement did.
enum Flow {
    Next,
    Return(Symbol),
}

pub(super) type Result<T> = std::result::Result<T, Diagnostic>;

impl<'a> Reader<'a> {
    /// A reader that knows the imports, numbers and functions of a file.
    pub(super) fn new(module: &'a Module) -> Self {
        let mut reader = Self {
            module,
            globals: Scope::new(),
            functions: Vec::new(),
            own: Scope::new(),
            wanted: Vec::new(),
            depth: 0,
            nesting: 0,
            steps: 0,
        };
        for s in &module.body {
            match s {
                Stmt::FunctionDef(f) => {
                    reader.functions.push(f);
                    let at = Symbol::Function(reader.functions.len() - 1);
                    reader.globals.insert(f.name.to_string(), at);
                }
                Stmt::Import(_) | Stmt::ImportFrom(_) => {
                    let mut scope = std::mem::take(&mut reader.globals);
                    imports(s, &mut scope);
                    reader.globals = scope;
                }
                Stmt::Assign(a) => {
                    // Constants of the file; what is something else is refused where it is used.
                    let mut scope = Scope::new();
                    if let ([Expr::Name(n)], Ok(value)) =
                        (a.targets.as_slice(), reader.expression(&a.value, &mut scope))
                    {
                        reader.globals.insert(n.id.to_string(), value);
                    }
                }
                _ => {}
            }
        }
        reader.steps = 0;
        reader
    }

    /// A construct that is not read.
    pub(super) fn refuse<T>(&self, node: &impl Ranged, what: impl Into<String>) -> Result<T> {
        Err(Diagnostic::error("E0803", what.into())
            .at(self.module.span(node), "this is not read")
            .help("`ponens verify` compares any function with a loss, by running it"))
    }

    /// Counts a step.
    pub(super) fn step(&mut self, node: &impl Ranged) -> Result<()> {
        self.steps += 1;
        if self.steps > STEPS { self.refuse(node, "the function is too long") } else { Ok(()) }
    }

    /// Reads a call of a function of the file.
    pub(super) fn enter(
        &mut self,
        node: &impl Ranged,
        index: usize,
        scope: Scope,
    ) -> Result<Symbol> {
        if self.depth == DEPTH {
            return self.refuse(node, "calls nest too deeply: a function that calls itself");
        }
        self.depth += 1;
        let mut scope = scope;
        let function = self.functions[index];
        let flow = self.block(&function.body, &mut scope);
        self.depth -= 1;
        match flow? {
            Flow::Return(s) => Ok(s),
            Flow::Next => self.refuse(node, format!("`{}` returns nothing", function.name)),
        }
    }

    fn block(&mut self, body: &'a [Stmt], scope: &mut Scope) -> Result<Flow> {
        for s in body {
            match self.statement(s, scope)? {
                Flow::Next => {}
                done => return Ok(done),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, s: &'a Stmt, scope: &mut Scope) -> Result<Flow> {
        self.step(s)?;
        match s {
            Stmt::Return(r) => {
                let value = match &r.value {
                    Some(v) => self.expression(v, scope)?,
                    None => Symbol::None,
                };
                return Ok(Flow::Return(value));
            }
            Stmt::Assign(a) => {
                let value = self.expression(&a.value, scope)?;
                for target in &a.targets {
                    self.assign(target, value.clone(), scope)?;
                }
            }
            Stmt::AnnAssign(a) => {
                if let Some(v) = &a.value {
                    let value = self.expression(v, scope)?;
                    self.assign(&a.target, value, scope)?;
                }
            }
            Stmt::AugAssign(a) => {
                let old = self.expression(&a.target, scope)?;
                let more = self.expression(&a.value, scope)?;
                let value = self.operator(s, a.op, &old, &more)?;
                self.assign(&a.target, value, scope)?;
            }
            Stmt::If(i) => {
                let taken = self.truth(&i.test, scope)?;
                return self.block(if taken { &i.body } else { &i.orelse }, scope);
            }
            Stmt::With(w) => {
                let mut none = false;
                for item in &w.items {
                    let text = name_of(&item.context_expr);
                    match text.as_deref().map(|t| t.rsplit('.').next().unwrap_or_default()) {
                        Some("no_grad") | Some("inference_mode") => none = true,
                        Some("autocast") | Some("enable_grad") => {}
                        _ => return self.refuse(&item.context_expr, "a `with` of an unknown kind"),
                    }
                }
                let before: Vec<String> = scope.keys().cloned().collect();
                let flow = self.block(&w.body, scope)?;
                if none {
                    self.detach(&w.body, &before, scope);
                }
                return Ok(flow);
            }
            Stmt::FunctionDef(f) => {
                self.functions.push(f);
                scope.insert(f.name.to_string(), Symbol::Function(self.functions.len() - 1));
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => imports(s, scope),
            // Texts, checks and messages compute nothing.
            Stmt::Assert(_) | Stmt::Pass(_) | Stmt::Global(_) => {}
            Stmt::Expr(e) => {
                let silent = match e.value.as_ref() {
                    Expr::Constant(_) => true,
                    Expr::Call(c) => name_of(&c.func).is_some_and(|n| {
                        n == "print" || n.starts_with("warnings.") || n.starts_with("logger.")
                    }),
                    _ => false,
                };
                if !silent {
                    return self.refuse(s, "a statement that computes no name");
                }
            }
            Stmt::Raise(_) => return self.refuse(s, "with these arguments the function raises"),
            Stmt::For(_) | Stmt::While(_) | Stmt::AsyncFor(_) => {
                return self.refuse(s, "a loop");
            }
            Stmt::Try(_) | Stmt::TryStar(_) => return self.refuse(s, "a `try`"),
            _ => return self.refuse(s, "a statement of a kind that computes no loss"),
        }
        Ok(Flow::Next)
    }

    /// What was assigned under `no_grad` has no gradient.
    fn detach(&self, body: &[Stmt], before: &[String], scope: &mut Scope) {
        let assigned: Vec<String> = body
            .iter()
            .flat_map(|s| match s {
                Stmt::Assign(a) => a.targets.iter().flat_map(names).collect(),
                Stmt::AugAssign(a) => names(&a.target),
                Stmt::AnnAssign(a) => names(&a.target),
                _ => Vec::new(),
            })
            .collect();
        for (name, value) in scope.iter_mut() {
            let here = assigned.contains(name) || !before.contains(name);
            if here && let Symbol::Tensor(t) = &*value {
                *value = detached(value, t.expr.span);
            }
        }
    }

    fn assign(&mut self, target: &'a Expr, value: Symbol, scope: &mut Scope) -> Result<()> {
        match target {
            Expr::Name(n) => {
                scope.insert(n.id.to_string(), value);
                Ok(())
            }
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                match value {
                    Symbol::Tuple(parts) if parts.len() == elts.len() => {
                        elts.iter().zip(parts).try_for_each(|(t, v)| self.assign(t, v, scope))
                    }
                    other => self
                        .refuse(target, format!("{} taken apart into several names", other.what())),
                }
            }
            Expr::Attribute(a) if matches!(self.expression(&a.value, scope)?, Symbol::Own) => {
                self.own.insert(a.attr.to_string(), value);
                Ok(())
            }
            _ => self.refuse(target, "an assignment to a part of something"),
        }
    }
}

fn names(target: &Expr) -> Vec<String> {
    match target {
        Expr::Name(n) => vec![n.id.to_string()],
        Expr::Tuple(t) => t.elts.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

/// `a.b.c` for names and attributes, and calls of them.
pub(super) fn name_of(e: &Expr) -> Option<String> {
    match e {
        Expr::Name(n) => Some(n.id.to_string()),
        Expr::Attribute(a) => Some(format!("{}.{}", name_of(&a.value)?, a.attr)),
        Expr::Call(c) => name_of(&c.func),
        _ => None,
    }
}

/// The names that an import binds.
fn imports(s: &Stmt, scope: &mut Scope) {
    match s {
        Stmt::Import(i) => {
            for a in &i.names {
                let full = a.name.to_string();
                let (name, path) = match &a.asname {
                    Some(n) => (n.to_string(), full),
                    None => {
                        let first = full.split('.').next().unwrap_or_default().to_owned();
                        (first.clone(), first)
                    }
                };
                scope.insert(name, Symbol::Path(path));
            }
        }
        Stmt::ImportFrom(i) => {
            let module = i.module.as_ref().map(ToString::to_string).unwrap_or_default();
            for a in &i.names {
                let name = a.asname.as_ref().unwrap_or(&a.name).to_string();
                scope.insert(name, Symbol::Path(format!("{module}.{}", a.name)));
            }
        }
        _ => {}
    }
}
