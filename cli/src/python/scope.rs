//! Names: which of them a function binds, and what each stands for.
//!
//! In: bodies. Out: a [`Scope`] for a call. Python decides by the text of a whole function which names are
//! its own, and looks up the others around it when it runs. Invariant: a name of which the value depends on
//! what ran before has none here.

use super::symbol::Symbol;
use rustpython_parser::ast::{self, Expr, Ranged, Stmt};
use rustpython_parser::text_size::TextSize;
use std::collections::HashMap;
use std::rc::Rc;

/// What the names of the enclosing functions stand for; `None` where that changes after the function is
/// defined, or is not known.
pub(super) type Outer = Rc<HashMap<String, Option<Symbol>>>;

/// The names that a function binds anywhere, and where it does so last.
pub(super) type Bound = Rc<HashMap<String, TextSize>>;

/// The names of a call.
#[derive(Clone, Default)]
pub(super) struct Scope {
    names: HashMap<String, Symbol>,
    bound: Bound,
    outer: Outer,
}

/// What a name stands for.
pub(super) enum Meaning<'s> {
    Known(&'s Symbol),
    /// Bound by the function, but not before this.
    Unset,
    /// Bound by an enclosing function, more than once or later.
    Changing,
    /// Not bound by a function.
    Free,
}

impl Scope {
    pub(super) fn new(bound: Bound, outer: Outer) -> Self {
        Self { names: HashMap::new(), bound, outer }
    }

    pub(super) fn insert(&mut self, name: String, value: Symbol) {
        self.names.insert(name, value);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Meaning<'_> {
        if let Some(s) = self.names.get(name) {
            return Meaning::Known(s);
        }
        if self.binds(name) {
            return Meaning::Unset;
        }
        match self.outer.get(name) {
            Some(Some(s)) => Meaning::Known(s),
            Some(None) => Meaning::Changing,
            None => Meaning::Free,
        }
    }

    /// Whether the function has this name for its own.
    pub(super) fn binds(&self, name: &str) -> bool {
        self.bound.contains_key(name)
    }

    /// Whether an enclosing function has this name for its own.
    pub(super) fn is_enclosed(&self, name: &str) -> bool {
        self.outer.contains_key(name)
    }

    /// The names that were given values.
    pub(super) fn into_names(self) -> impl Iterator<Item = (String, Symbol)> {
        self.names.into_iter()
    }

    /// How many names a function defined here sees.
    pub(super) fn size(&self) -> usize {
        self.bound.len() + self.outer.len()
    }

    /// What a function that is defined here sees: names that are bound later may have changed when it is
    /// called.
    pub(super) fn around(&self, definition: TextSize) -> Outer {
        let mut all = (*self.outer).clone();
        for (name, last) in self.bound.iter() {
            let value = self.names.get(name).filter(|_| *last <= definition);
            all.insert(name.clone(), value.cloned());
        }
        Rc::new(all)
    }
}

/// A name that a statement binds.
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) at: TextSize,
    /// What an import binds.
    pub(super) path: Option<String>,
}

/// The arguments of a function.
pub(super) fn arguments(a: &ast::Arguments) -> impl Iterator<Item = &ast::ArgWithDefault> {
    a.posonlyargs.iter().chain(&a.args).chain(&a.kwonlyargs)
}

/// The names that a function binds.
pub(super) fn bound(function: &ast::StmtFunctionDef) -> Bound {
    let a = &function.args;
    let rest = a.vararg.iter().chain(&a.kwarg).map(|r| r.arg.to_string());
    let all = arguments(a).map(|x| x.def.arg.to_string()).chain(rest);
    let mut names: HashMap<_, _> = all.map(|n| (n, function.start())).collect();
    let mut found = Vec::new();
    bindings(&function.body, &mut found);
    for b in found {
        let last = names.entry(b.name).or_insert(b.at);
        *last = b.at.max(*last);
    }
    Rc::new(names)
}

/// The names that statements bind, in branches and loops as well.
pub(super) fn bindings(body: &[Stmt], out: &mut Vec<Binding>) {
    for s in body {
        let at = s.start();
        let plain = |name: String| Binding { name, at, path: None };
        match s {
            Stmt::Assign(a) => out.extend(a.targets.iter().flat_map(names).map(plain)),
            Stmt::AugAssign(a) => out.extend(names(&a.target).into_iter().map(plain)),
            Stmt::AnnAssign(a) => out.extend(names(&a.target).into_iter().map(plain)),
            Stmt::Delete(d) => out.extend(d.targets.iter().flat_map(names).map(plain)),
            Stmt::For(f) => out.extend(names(&f.target).into_iter().map(plain)),
            Stmt::AsyncFor(f) => out.extend(names(&f.target).into_iter().map(plain)),
            Stmt::With(ast::StmtWith { items, .. })
            | Stmt::AsyncWith(ast::StmtAsyncWith { items, .. }) => {
                let all = items.iter().filter_map(|i| i.optional_vars.as_deref());
                out.extend(all.flat_map(names).map(plain));
            }
            Stmt::Try(ast::StmtTry { handlers, .. })
            | Stmt::TryStar(ast::StmtTryStar { handlers, .. }) => {
                for ast::ExceptHandler::ExceptHandler(h) in handlers {
                    out.extend(h.name.iter().map(|n| plain(n.to_string())));
                }
            }
            Stmt::FunctionDef(f) => out.push(plain(f.name.to_string())),
            Stmt::AsyncFunctionDef(f) => out.push(plain(f.name.to_string())),
            Stmt::ClassDef(c) => out.push(plain(c.name.to_string())),
            Stmt::Expr(e) => {
                if let Expr::NamedExpr(n) = e.value.as_ref() {
                    out.extend(names(&n.target).into_iter().map(plain));
                }
            }
            _ => {
                let all = imports(s).into_iter();
                out.extend(all.map(|(name, path)| Binding { name, at, path: Some(path) }));
            }
        }
        blocks(s).into_iter().for_each(|b| bindings(b, out));
    }
}

/// The blocks inside a statement that run in the same scope.
fn blocks(s: &Stmt) -> Vec<&[Stmt]> {
    match s {
        Stmt::If(i) => vec![&i.body, &i.orelse],
        Stmt::For(f) => vec![&f.body, &f.orelse],
        Stmt::AsyncFor(f) => vec![&f.body, &f.orelse],
        Stmt::While(w) => vec![&w.body, &w.orelse],
        Stmt::With(w) => vec![&w.body],
        Stmt::AsyncWith(w) => vec![&w.body],
        Stmt::Try(ast::StmtTry { body, handlers, orelse, finalbody, .. })
        | Stmt::TryStar(ast::StmtTryStar { body, handlers, orelse, finalbody, .. }) => {
            let caught = handlers.iter().map(|ast::ExceptHandler::ExceptHandler(h)| &*h.body);
            [&**body, orelse, finalbody].into_iter().chain(caught).collect()
        }
        Stmt::Match(m) => m.cases.iter().map(|c| &*c.body).collect(),
        _ => Vec::new(),
    }
}

/// The names of the file that a function may bind anew: those that one declares as global and binds.
pub(super) fn rebound(body: &[Stmt], out: &mut Vec<String>) {
    for s in body {
        let inner: &[Stmt] = match s {
            Stmt::FunctionDef(f) => &f.body,
            Stmt::AsyncFunctionDef(f) => &f.body,
            Stmt::ClassDef(c) => &c.body,
            _ => {
                blocks(s).into_iter().for_each(|b| rebound(b, out));
                continue;
            }
        };
        let (mut declared, mut found) = (Vec::new(), Vec::new());
        declarations(inner, &mut declared);
        if !declared.is_empty() {
            bindings(inner, &mut found);
            out.extend(declared.into_iter().filter(|n| found.iter().any(|b| b.name == *n)));
        }
        rebound(inner, out);
    }
}

fn declarations(body: &[Stmt], out: &mut Vec<String>) {
    for s in body {
        if let Stmt::Global(g) = s {
            out.extend(g.names.iter().map(ToString::to_string));
        }
        blocks(s).into_iter().for_each(|b| declarations(b, out));
    }
}

/// The names in a target of an assignment.
pub(super) fn names(target: &Expr) -> Vec<String> {
    match target {
        Expr::Name(n) => vec![n.id.to_string()],
        Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
            elts.iter().flat_map(names).collect()
        }
        Expr::Starred(s) => names(&s.value),
        _ => Vec::new(),
    }
}

/// The names that an import binds, with what they stand for.
pub(super) fn imports(s: &Stmt) -> Vec<(String, String)> {
    match s {
        Stmt::Import(i) => i
            .names
            .iter()
            .map(|a| {
                let full = a.name.to_string();
                match &a.asname {
                    Some(n) => (n.to_string(), full),
                    None => {
                        let first = full.split('.').next().unwrap_or_default().to_owned();
                        (first.clone(), first)
                    }
                }
            })
            .collect(),
        Stmt::ImportFrom(i) => {
            // A module beside the file is none of those that are known.
            let dots = ".".repeat(i.level.map_or(0, |l| l.to_usize()));
            let module = i.module.as_ref().map(ToString::to_string).unwrap_or_default();
            let bound = i.names.iter().map(|a| {
                let name = a.asname.as_ref().unwrap_or(&a.name).to_string();
                (name, format!("{dots}{module}.{}", a.name))
            });
            bound.collect()
        }
        _ => Vec::new(),
    }
}
