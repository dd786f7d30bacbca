//! Calls: of functions of the file, of methods of tensors, of functions of PyTorch.
//!
//! In: a call and the names that it sees. Out: the symbol that it gives. Where no gradient is kept, what an
//! operation gives is constant; what it was given is not.

use super::call::{self, Arguments, function};
use super::scope::{self, Scope};
use super::statement::{Reader, Result};
use super::symbol::{Symbol, choose, tensor};
use rustpython_parser::ast::{self, Expr};

/// Modules whose functions are known.
const MODULES: &[&str] = &["torch", "math", "numpy", "np", "scipy.special"];

impl<'a> Reader<'a> {
    /// Reads a call.
    pub(super) fn call(
        &mut self,
        e: &Expr,
        c: &'a ast::ExprCall,
        scope: &mut Scope,
    ) -> Result<Symbol> {
        let mut plain = Vec::new();
        // A method of a tensor: the tensor is its first argument.
        let callee = match c.func.as_ref() {
            Expr::Attribute(a) => match self.expression(&a.value, scope)? {
                Symbol::Own => return self.refuse(e, "a method of `self`"),
                Symbol::Path(p) => Symbol::Path(format!("{p}.{}", a.attr)),
                own => {
                    let name = a.attr.to_string();
                    plain.push(own);
                    Symbol::Path(format!("tensor.{name}"))
                }
            },
            other => self.expression(other, scope)?,
        };
        for a in &c.args {
            if matches!(a, Expr::Starred(_)) {
                return self.refuse(a, "a starred argument");
            }
            plain.push(self.expression(a, scope)?);
        }
        let mut named = Vec::new();
        for k in &c.keywords {
            let Some(name) = &k.arg else { return self.refuse(e, "a starred argument") };
            named.push((name.to_string(), self.expression(&k.value, scope)?));
        }
        let args = Arguments { plain, named, span: self.module.span(e) };
        match callee {
            Symbol::Function(i) => {
                let scope = self.bind(e, i, args)?;
                self.enter(e, i, scope)
            }
            Symbol::Path(path) => {
                let value = self.known(e, &path, &args)?;
                Ok(self.kept(value))
            }
            other => self.refuse(e, format!("a call of {}", other.what())),
        }
    }

    fn known(&mut self, e: &Expr, path: &str, args: &Arguments) -> Result<Symbol> {
        let (module, name) = path.rsplit_once('.').unwrap_or(("", path));
        let method = module == "tensor";
        let ours = method
            || MODULES.contains(&module)
            || module == "torch.nn.functional"
            || module.starts_with("torch.special")
            || (module.is_empty() && matches!(name, "float" | "max" | "min" | "abs" | "pow"));
        let found = match (ours, name) {
            (false, _) => None,
            // A number of Python has no gradient.
            (true, "float") if module.is_empty() => {
                args.plain.first().map(|x| call::detached(x, args.span))
            }
            (true, "max" | "min") if module.is_empty() => self.extreme(name, args),
            // With a number these look for the extreme along a dimension.
            (true, "max" | "min") if !args.plain.iter().all(|s| matches!(s, Symbol::Tensor(_))) => {
                None
            }
            (true, "where") => match args.plain.first() {
                Some(Symbol::Bool(b)) => args.plain.get(if *b { 1 } else { 2 }).cloned(),
                _ => self.labelled(args).or_else(|| function(name, args)),
            },
            _ => function(name, args),
        };
        match found {
            Some(s) => Ok(s),
            None => {
                let shown =
                    if method { format!("the method `{name}`") } else { format!("`{path}`") };
                self.refuse(e, format!("{shown} with these arguments"))
            }
        }
    }

    /// `max` and `min` of two numbers or tensors.
    fn extreme(&self, name: &str, args: &Arguments) -> Option<Symbol> {
        match args.plain.as_slice() {
            [a, b] => match (a.number(), b.number()) {
                (Some(x), Some(y)) => {
                    Some(Symbol::Number(if name == "max" { x.max(y) } else { x.min(y) }))
                }
                _ => function(name, args),
            },
            _ => None,
        }
    }

    /// `torch.where` on a label.
    fn labelled(&self, args: &Arguments) -> Option<Symbol> {
        let [c, x, y] = args.plain.as_slice() else { return None };
        let c = call::condition(c, args.span)?;
        Some(choose(&c, &tensor(x, args.span)?, &tensor(y, args.span)?, args.span))
    }

    /// The scope of a call: arguments by place, by name, by default.
    fn bind(&mut self, e: &Expr, index: usize, args: Arguments) -> Result<Scope> {
        let function = self.functions[index].clone();
        let a = &function.tree.args;
        let mut scope = Scope::new(function.bound, function.outer);
        let all: Vec<&ast::ArgWithDefault> = a.posonlyargs.iter().chain(&a.args).collect();
        if args.plain.len() > all.len() {
            return self.refuse(e, format!("too many arguments for `{}`", function.tree.name));
        }
        for (arg, value) in all.iter().zip(args.plain) {
            scope.insert(arg.def.arg.to_string(), value);
        }
        for (name, value) in args.named {
            if scope.has(&name) || scope::arguments(a).all(|x| x.def.arg.as_str() != name) {
                return self
                    .refuse(e, format!("an argument `{name}` that is none, or is there twice"));
            }
            scope.insert(name, value);
        }
        for arg in scope::arguments(a) {
            let name = arg.def.arg.to_string();
            if scope.has(&name) {
                continue;
            }
            match function.defaults.get(&name) {
                Some(d) => scope.insert(name, d.clone()?),
                None => return self.refuse(e, format!("no argument for `{name}`")),
            }
        }
        Ok(scope)
    }

    /// What an operation gives: a constant where no gradient is kept.
    pub(super) fn kept(&self, value: Symbol) -> Symbol {
        match &value {
            Symbol::Tensor(t) if self.no_grad => call::detached(&value, t.expr.span),
            _ => value,
        }
    }
}
