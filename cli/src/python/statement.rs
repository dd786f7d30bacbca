//! Statements: assignments, branches, returns.
//!
//! In: the body of a function and the names that it sees. Out: what it returns. A branch is taken where
//! its condition is known; everything that would need a run is refused with its place. What is computed
//! without gradient is constant for it.

use super::call::is_uniform;
use super::scope::{self, Bound, Outer, Scope, imports};
use super::source::Module;
use super::symbol::Symbol;
use ponens_dsl::{Diagnostic, Span};
use rustpython_parser::ast::{self, Expr, Ranged, Stmt};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Calls nest this deep.
const DEPTH: usize = 16;

/// Decorators that leave the value of a function as it is.
const HARMLESS: &[&str] = &["staticmethod", "torch.jit.script", "torch.compile"];

/// What switches the gradient on and off.
const MODES: &[&str] = &["no_grad", "inference_mode", "enable_grad", "set_grad_enabled"];

/// So many statements and expressions are looked at.
const STEPS: usize = 100_000;

/// A function being read.
pub(super) struct Reader<'a> {
    pub(super) module: &'a Module,
    /// The names of the file; `None` where the value is not sure.
    pub(super) globals: HashMap<String, Option<Symbol>>,
    /// True when the file may bind any name.
    pub(super) starred: bool,
    /// The functions that a [`Symbol::Function`] speaks of.
    pub(super) functions: Vec<Function<'a>>,
    /// What the attributes of `self` stand for.
    pub(super) own: HashMap<String, Symbol>,
    /// Attributes of `self` that were read.
    pub(super) asked: HashSet<String>,
    /// Attributes of `self` that were read and have no value yet: parameters.
    pub(super) wanted: Vec<(String, Span)>,
    /// True where PyTorch keeps no gradient.
    pub(super) no_grad: bool,
    pub(super) depth: usize,
    pub(super) nesting: usize,
    pub(super) steps: usize,
}

/// A function and what it saw where it was defined.
#[derive(Clone)]
pub(super) struct Function<'a> {
    pub(super) tree: &'a ast::StmtFunctionDef,
    /// The defaults of its arguments.
    pub(super) defaults: Rc<HashMap<String, Result<Symbol>>>,
    pub(super) bound: Bound,
    pub(super) outer: Outer,
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
            globals: HashMap::new(),
            starred: false,
            functions: Vec::new(),
            own: HashMap::new(),
            asked: HashSet::new(),
            wanted: Vec::new(),
            no_grad: false,
            depth: 0,
            nesting: 0,
            steps: 0,
        };
        reader.file(&module.body);
        reader.steps = 0;
        reader
    }

    /// Defines a function; its defaults are evaluated where it stands.
    pub(super) fn define(&mut self, tree: &'a ast::StmtFunctionDef, scope: &mut Scope) -> usize {
        let mut defaults = HashMap::new();
        for a in scope::arguments(&tree.args) {
            if let Some(d) = &a.default {
                defaults.insert(a.def.arg.to_string(), self.expression(d, scope));
            }
        }
        // Names are copied here.
        self.steps += scope.size();
        let outer = scope.around(tree.start());
        let bound = scope::bound(tree);
        self.functions.push(Function { tree, defaults: Rc::new(defaults), bound, outer });
        self.functions.len() - 1
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
        let mut scope = scope;
        let function = self.functions[index].clone();
        let before = self.no_grad;
        let mut off = before;
        // The decorator next to the function acts last.
        for d in &function.tree.decorator_list {
            off = self.decorator(d, &function)?.unwrap_or(off);
        }
        self.no_grad = off;
        self.depth += 1;
        let flow = self.block(&function.tree.body, &mut scope);
        self.depth -= 1;
        self.no_grad = before;
        match flow? {
            Flow::Return(s) => Ok(s),
            Flow::Next => self.refuse(node, format!("`{}` returns nothing", function.tree.name)),
        }
    }

    /// What a decorator does to the gradient: `Some(true)` ends it.
    fn decorator(&mut self, d: &'a Expr, function: &Function<'a>) -> Result<Option<bool>> {
        let mut scope = Scope::new(Bound::default(), function.outer.clone());
        if let Some(mode) = self.mode(d, &mut scope) {
            return mode.map(Some);
        }
        let callee = match d {
            Expr::Call(c) => &c.func,
            other => other,
        };
        match self.expression(callee, &mut scope) {
            // These change how a function is called or run, not what it computes.
            Ok(Symbol::Path(p)) if HARMLESS.contains(&p.as_str()) => Ok(None),
            _ => {
                let name = name_of(d).map_or_else(String::new, |n| format!(" `{n}`"));
                self.refuse(d, format!("the decorator{name}"))
            }
        }
    }

    /// `torch.no_grad()` and its like: whether what follows has no gradient; `None` for anything else.
    fn mode(&mut self, e: &'a Expr, scope: &mut Scope) -> Option<Result<bool>> {
        let (callee, call) = match e {
            Expr::Call(c) => (c.func.as_ref(), Some(c)),
            other => (other, None),
        };
        let Ok(Symbol::Path(path)) = self.expression(callee, scope) else { return None };
        let path = path.strip_prefix("torch.autograd.").unwrap_or(&path);
        let path = path.strip_prefix("grad_mode.").or(path.strip_prefix("torch."));
        let name = path.filter(|p| MODES.contains(p))?;
        let given = call.map(|c| (c.args.as_slice(), c.keywords.as_slice()));
        let mode = match given {
            None | Some(([], [])) if name != "set_grad_enabled" => true,
            Some(([x], [])) => match self.truth(x, scope) {
                Ok(on) => on,
                Err(d) => return Some(Err(d)),
            },
            Some(([], [k])) => match self.truth(&k.value, scope) {
                Ok(on) => on,
                Err(d) => return Some(Err(d)),
            },
            _ => return None,
        };
        Some(Ok(match name {
            "no_grad" | "inference_mode" => mode,
            _ => !mode,
        }))
    }

    /// What a `with` does to the gradient.
    fn context(&mut self, e: &'a Expr, scope: &mut Scope) -> Result<Option<bool>> {
        let name = name_of(e).unwrap_or_default();
        if name.rsplit('.').next() == Some("autocast") {
            return Ok(None);
        }
        match self.mode(e, scope) {
            Some(mode) => mode.map(Some),
            None => self.refuse(e, "a `with` of an unknown kind"),
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
                self.in_place(s, &old)?;
                let more = self.expression(&a.value, scope)?;
                let value = self.operator(s, a.op, &old, &more)?;
                self.assign(&a.target, value, scope)?;
            }
            Stmt::If(i) => {
                let taken = self.truth(&i.test, scope)?;
                return self.block(if taken { &i.body } else { &i.orelse }, scope);
            }
            Stmt::With(w) => {
                let before = self.no_grad;
                let mut off = before;
                for item in &w.items {
                    off = self.context(&item.context_expr, scope)?.unwrap_or(off);
                }
                self.no_grad = off;
                let flow = self.block(&w.body, scope);
                self.no_grad = before;
                return flow;
            }
            Stmt::FunctionDef(f) => {
                let at = Symbol::Function(self.define(f, scope));
                scope.insert(f.name.to_string(), at);
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => {
                for (name, path) in imports(s) {
                    scope.insert(name, Symbol::Path(path));
                }
            }
            Stmt::Global(g) => {
                let own = |n: &ast::Identifier| scope.binds(n) || scope.is_enclosed(n);
                if g.names.iter().any(own) {
                    return self.refuse(s, "an assignment to a name of the file");
                }
            }
            // Texts, checks and messages compute nothing.
            Stmt::Assert(_) | Stmt::Pass(_) => {}
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

    /// An operator that writes into a tensor reaches whatever else holds it.
    fn in_place(&self, s: &Stmt, old: &Symbol) -> Result<()> {
        match old {
            Symbol::Tensor(t) if is_uniform(&t.expr) => Ok(()),
            Symbol::Tensor(_) if self.no_grad => {
                self.refuse(s, "a tensor that is changed in place where no gradient is kept")
            }
            // Held by the name and by `old`.
            Symbol::Tensor(t) if Rc::strong_count(&t.expr) > 2 => {
                self.refuse(s, "a tensor that is changed in place and has another name")
            }
            _ => Ok(()),
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

/// `a.b.c` for names and attributes, and calls of them.
pub(super) fn name_of(e: &Expr) -> Option<String> {
    match e {
        Expr::Name(n) => Some(n.id.to_string()),
        Expr::Attribute(a) => Some(format!("{}.{}", name_of(&a.value)?, a.attr)),
        Expr::Call(c) => name_of(&c.func),
        _ => None,
    }
}
