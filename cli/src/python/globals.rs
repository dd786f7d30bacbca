//! The names of the file.
//!
//! In: the statements of a file. Out: what each name stands for once the file has run. Invariant: a name
//! whose value is not sure (bound in a branch, from something that is not read, or by a function) has
//! none, and is refused where it is used.

use super::scope::{Scope, bindings, imports, names, rebound};
use super::statement::{Reader, name_of};
use super::symbol::Symbol;
use rustpython_parser::ast::{self, Constant, Expr, Stmt};

impl<'a> Reader<'a> {
    /// Runs the file, as an import of it does.
    pub(super) fn file(&mut self, body: &'a [Stmt]) {
        for s in body {
            let mut scope = Scope::default();
            self.global(s, &mut scope);
            // Names bound inside an expression.
            for (name, value) in scope.into_names() {
                self.globals.insert(name, Some(value));
            }
        }
        let mut changed = Vec::new();
        rebound(body, &mut changed);
        changed.into_iter().for_each(|n| drop(self.globals.insert(n, None)));
    }

    fn global(&mut self, s: &'a Stmt, scope: &mut Scope) {
        match s {
            Stmt::FunctionDef(f) => {
                let at = Symbol::Function(self.define(f, scope));
                self.globals.insert(f.name.to_string(), Some(at));
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => {
                for (name, path) in imports(s) {
                    match name.as_str() {
                        "*" => self.anything(),
                        _ => drop(self.globals.insert(name, Some(Symbol::Path(path)))),
                    }
                }
            }
            Stmt::Assign(a) => {
                let value = self.expression(&a.value, scope).ok();
                a.targets.iter().for_each(|t| self.bind_global(t, value.as_ref()));
            }
            Stmt::AnnAssign(a) => {
                if let Some(v) = &a.value {
                    let value = self.expression(v, scope).ok();
                    self.bind_global(&a.target, value.as_ref());
                }
            }
            Stmt::AugAssign(a) => {
                let old = self.expression(&a.target, scope);
                let more = self.expression(&a.value, scope);
                let value = old.and_then(|old| self.operator(s, a.op, &old, &more?));
                self.bind_global(&a.target, value.ok().as_ref());
            }
            // An import does not run it.
            Stmt::If(i) if is_main(&i.test) => self.file(&i.orelse),
            Stmt::Match(_) => self.anything(),
            Stmt::Expr(e) => {
                // A method may change a list or a dictionary.
                let base = name_of(&e.value).and_then(|n| n.split('.').next().map(str::to_owned));
                if let Some(base) = base
                    && let Some(Some(Symbol::Tuple(_) | Symbol::Dict(_))) = self.globals.get(&base)
                {
                    self.globals.insert(base, None);
                }
                self.nested(s);
            }
            _ => self.nested(s),
        }
    }

    /// What a branch or a loop binds is not sure; the same import again changes nothing.
    fn nested(&mut self, s: &'a Stmt) {
        let mut found = Vec::new();
        bindings(std::slice::from_ref(s), &mut found);
        for b in found {
            let same = match (self.globals.get(&b.name), &b.path) {
                (Some(Some(Symbol::Path(known))), Some(path)) => known == path,
                _ => false,
            };
            if b.name == "*" {
                self.anything();
            } else if !same {
                self.globals.insert(b.name, None);
            }
        }
    }

    /// Any name may have been bound.
    fn anything(&mut self) {
        self.globals.values_mut().for_each(|s| *s = None);
        self.starred = true;
    }

    fn bind_global(&mut self, target: &Expr, value: Option<&Symbol>) {
        match (target, value) {
            (Expr::Name(n), _) => drop(self.globals.insert(n.id.to_string(), value.cloned())),
            (
                Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }),
                Some(Symbol::Tuple(parts)),
            ) if parts.len() == elts.len() && !elts.iter().any(Expr::is_starred_expr) => {
                elts.iter().zip(parts).for_each(|(t, v)| self.bind_global(t, Some(v)));
            }
            (Expr::Attribute(_) | Expr::Subscript(_), _) => {
                // A part of something is set: what it is part of is no longer known.
                let mut base = target;
                while let Expr::Attribute(ast::ExprAttribute { value, .. })
                | Expr::Subscript(ast::ExprSubscript { value, .. }) = base
                {
                    base = value;
                }
                names(base).into_iter().for_each(|n| drop(self.globals.insert(n, None)));
            }
            _ => names(target).into_iter().for_each(|n| drop(self.globals.insert(n, None))),
        }
    }
}

/// `__name__ == "__main__"`
fn is_main(test: &Expr) -> bool {
    let Expr::Compare(c) = test else { return false };
    let name = |e: &Expr| matches!(e, Expr::Name(n) if n.id.as_str() == "__name__");
    let main = |e: &Expr| matches!(e, Expr::Constant(ast::ExprConstant { value: Constant::Str(s), .. }) if s == "__main__");
    c.ops.as_slice() == [ast::CmpOp::Eq]
        && c.comparators.len() == 1
        && (name(&c.left) && main(&c.comparators[0]) || main(&c.left) && name(&c.comparators[0]))
}
