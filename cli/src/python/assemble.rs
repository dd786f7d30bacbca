//! A loss from what a function returns.
//!
//! In: a function, and what the user says of its arguments. Out: the tree of a loss. Arguments become
//! quantities by their names, as `ponens verify` reads them, and numbers with a default become
//! parameters. An option that is off (a default of 0, false, None, or a text) is read at its default.

use super::finish::{Used, again, finished, means, unreduced};
use super::names::{PARAMETERS, plain_name};
use super::scope::Scope;
use super::source::Module;
use super::statement::Reader;
use super::symbol::{Symbol, Tensor, tensor};
use super::{Hints, links};
use crate::verify::words::{self, Kind};
use ponens_compiler::hir::{DataShape, Role};
use ponens_dsl::ast::{self as dsl, Clause, Expr, ExprKind, Name};
use ponens_dsl::{Diagnostic, Span};
use rustpython_parser::ast::{ArgWithDefault, Constant, Expr as Python, UnaryOp};
use std::collections::HashSet;

/// Calls that stand for what an example brings, until the loss is done.
pub(super) const QUANTITIES: &[&str] = &["logp", "mean_logp", "len", COLUMN];

/// The call that stands for a column.
pub(super) const COLUMN: &str = "column";

/// A loss and remarks on how it was read.
pub(super) struct Assembled {
    pub(super) tree: dsl::Loss,
    pub(super) remarks: Vec<String>,
}

/// Reads a function as a loss.
///
/// # Errors
/// `E0802`, `E0803`, `E0804`, as [`super::read`].
pub(super) fn loss(module: &Module, path: &str, hints: &Hints) -> Result<Assembled, Diagnostic> {
    let found = module.find(path)?;
    let function = found.function;
    let mut reader = Reader::new(module);
    let index = reader.define(function, &mut Scope::default());
    let seen = reader.functions[index].clone();
    let a = &function.args;
    let mut all: Vec<&ArgWithDefault> = a.posonlyargs.iter().chain(&a.args).collect();
    all.extend(&a.kwonlyargs);
    let mut scope = Scope::new(seen.bound, seen.outer);
    let mut build = Builder {
        module,
        hints,
        shape: shape(&all),
        params: vec![],
        others: vec![],
        remarks: vec![],
    };
    if found.method && !all.is_empty() {
        scope.insert(all.remove(0).def.arg.to_string(), Symbol::Own);
        reader.own = hints.set.iter().map(|(n, v)| (n.clone(), value(v))).collect();
    }
    build.known(&all, found.method)?;
    for arg in all {
        let symbol = build.argument(arg)?;
        scope.insert(arg.def.arg.to_string(), symbol);
    }
    let result = reader.enter(function, index, scope)?;
    for (name, span) in std::mem::take(&mut reader.wanted) {
        build.declare(&format!("self.{name}"), &name, None, span)?;
    }
    build.used(&reader.asked)?;
    let result = chosen(result, hints, module, function, &mut build.remarks)?;
    let span = module.span(function);
    let Some(tensor) = tensor(&result, span) else {
        let d = format!("`{path}` returns {}, not a loss", result.what());
        return Err(Diagnostic::error("E0803", d)
            .at(span, "this function")
            .help("say which of the returned things is the loss: --output NAME"));
    };
    let mut expr = (*tensor.expr).clone();
    if let Some(each) = unreduced(&expr) {
        build.remarks.push("the mean over the batch is taken by every loss".to_owned());
        expr = each;
    }
    let expr = means(&again(&expr));
    let name = path.rsplit('.').next().unwrap_or(path);
    Ok(Assembled { tree: build.tree(&plain_name(name), expr, span), remarks: build.remarks })
}

/// The data that the arguments speak of.
fn shape(all: &[&ArgWithDefault]) -> DataShape {
    let (winner, loser) = ("w".to_owned(), "l".to_owned());
    let pair = DataShape::Pair { winner, loser, others: Vec::new() };
    let said: Vec<_> = all.iter().map(|a| words::said(a.def.arg.as_str(), &pair)).collect();
    let label = said.iter().any(|s| s.kind == Some(Kind::Label));
    if label && said.iter().all(|s| s.response.is_none()) {
        return DataShape::Labelled { response: "y".to_owned(), label: "good".to_owned() };
    }
    pair
}

/// The symbol of a parameter.
pub(super) fn parameter(name: &str, span: Span) -> Symbol {
    Symbol::Tensor(Tensor::new(Expr { kind: ExprKind::Name(plain_name(name)), span }))
}

/// A value given by hand.
fn value(v: &serde_json::Value) -> Symbol {
    match v {
        serde_json::Value::Bool(b) => Symbol::Bool(*b),
        serde_json::Value::Number(n) => n.as_f64().map_or(Symbol::None, Symbol::Number),
        serde_json::Value::String(s) => Symbol::Text(s.clone()),
        _ => Symbol::None,
    }
}

/// A default as it stands in the file.
fn constant(e: &Python) -> Option<Symbol> {
    Some(match e {
        Python::Constant(c) => match &c.value {
            Constant::None => Symbol::None,
            Constant::Bool(b) => Symbol::Bool(*b),
            Constant::Str(s) => Symbol::Text(s.clone()),
            Constant::Float(x) => Symbol::Number(*x),
            Constant::Int(i) => Symbol::Number(i.to_string().parse().ok()?),
            _ => return None,
        },
        Python::UnaryOp(u) if u.op == UnaryOp::USub => match constant(&u.operand)? {
            Symbol::Number(x) => Symbol::Number(-x),
            _ => return None,
        },
        _ => return None,
    })
}

struct Builder<'a> {
    module: &'a Module,
    hints: &'a Hints,
    shape: DataShape,
    /// Parameters with their defaults, and what each is in the file.
    params: Vec<(String, Option<f64>, Span, String)>,
    /// Values given by hand that are no arguments.
    others: Vec<String>,
    remarks: Vec<String>,
}

impl Builder<'_> {
    /// What is said by hand has to speak of arguments that are there, or of attributes of `self`.
    fn known(&mut self, all: &[&ArgWithDefault], method: bool) -> Result<(), Diagnostic> {
        let is_argument = |name: &str| all.iter().any(|a| a.def.arg.as_str() == name);
        let maps = self.hints.map.iter().map(|(n, _)| (n, false));
        for (name, may_be_own) in maps.chain(self.hints.set.iter().map(|(n, _)| (n, method))) {
            if is_argument(name) {
                continue;
            }
            if may_be_own {
                self.others.push(name.clone());
                continue;
            }
            let d = Diagnostic::error("E0804", format!("the function has no argument `{name}`"));
            let names = all.iter().map(|a| a.def.arg.as_str());
            return Err(match ponens_dsl::suggest::closest(name, names) {
                Some(s) => d.help(format!("did you mean `{s}`?")),
                None => d,
            });
        }
        Ok(())
    }

    /// Values given by hand have to be attributes that the method reads.
    fn used(&self, asked: &HashSet<String>) -> Result<(), Diagnostic> {
        match self.others.iter().find(|n| !asked.contains(*n)) {
            Some(name) => {
                let d = format!("the method has no argument `{name}`, and reads no `self.{name}`");
                Err(Diagnostic::error("E0804", d))
            }
            None => Ok(()),
        }
    }

    /// Declares a parameter; `origin` is what it is in the file.
    fn declare(
        &mut self,
        origin: &str,
        name: &str,
        default: Option<f64>,
        span: Span,
    ) -> Result<(), Diagnostic> {
        let name = plain_name(name);
        match self.params.iter().find(|(n, ..)| *n == name) {
            None => self.params.push((name, default, span, origin.to_owned())),
            Some((.., other)) if other != origin => {
                let d = format!("`{other}` and `{origin}` would both be the parameter `{name}`");
                let bare = origin.trim_start_matches("self.");
                return Err(Diagnostic::error("E0803", d)
                    .at(span, "the second of them")
                    .help(format!("give one a value: --set {bare}=VALUE")));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn argument(&mut self, arg: &ArgWithDefault) -> Result<Symbol, Diagnostic> {
        let name = arg.def.arg.as_str();
        let span = self.module.span(&arg.def);
        let last = |list: &[(String, String)]| list.iter().rev().find(|(n, _)| n == name).cloned();
        if let Some((_, v)) = self.hints.set.iter().rev().find(|(n, _)| n == name) {
            return Ok(value(v));
        }
        if let Some((_, text)) = last(&self.hints.map) {
            return self.named(name, &text, span);
        }
        let default = arg.default.as_ref().map(|d| constant(d));
        match default {
            Some(Some(Symbol::Number(x))) if x != 0.0 => {
                self.declare(name, name, Some(x), span)?;
                Ok(parameter(name, span))
            }
            Some(Some(off)) => {
                let shown = match &off {
                    Symbol::Number(x) => x.to_string(),
                    Symbol::Bool(b) => b.to_string(),
                    Symbol::Text(t) => format!("{t:?}"),
                    _ => "None".to_owned(),
                };
                self.remarks.push(format!("`{name}` is read at its default, {shown}"));
                Ok(off)
            }
            Some(None) => {
                Err(Diagnostic::error("E0804", format!("the default of `{name}` is not read"))
                    .at(span, "this argument")
                    .help(format!("give it a value: --set {name}=VALUE")))
            }
            None => self.guessed(name, span),
        }
    }

    /// The quantity that a name speaks of.
    fn guessed(&mut self, name: &str, span: Span) -> Result<Symbol, Diagnostic> {
        if PARAMETERS.contains(&name) {
            self.declare(name, name, None, span)?;
            return Ok(parameter(name, span));
        }
        let said = words::said(name, &self.shape);
        let model = match said.role {
            Some(Role::Reference) => "ref",
            _ => "pi",
        };
        let responses = self.shape.responses();
        let response = said.response.and_then(|r| responses.get(r).copied());
        let kind = said.kind.or((said.role.is_some() && response.is_some()).then_some(Kind::Logp));
        let sum = if self.hints.mean { "mean_logp" } else { "logp" };
        Ok(match (kind, response) {
            (Some(Kind::Logp), Some(y)) => quantity(sum, &[model, y], span),
            (Some(Kind::Mean), Some(y)) => quantity("mean_logp", &[model, y], span),
            (Some(Kind::Len), Some(y)) => quantity("len", &[y], span),
            (Some(Kind::Label), _) if matches!(self.shape, DataShape::Labelled { .. }) => {
                Symbol::Tensor(Tensor::new(Expr { kind: ExprKind::Name("good".to_owned()), span }))
            }
            _ => {
                let d = format!("what the argument `{name}` is does not show in its name");
                return Err(Diagnostic::error("E0804", d).at(span, "this argument").help(format!(
                    "say it: --map '{name}=logp(pi,w)', a column's name, or --set {name}=VALUE"
                )));
            }
        })
    }

    /// The meaning that the user states: a quantity, `parameter`, or the name of a column.
    fn named(&mut self, name: &str, text: &str, span: Span) -> Result<Symbol, Diagnostic> {
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some((callee, rest)) = plain.split_once('(') {
            let args: Vec<&str> = rest.trim_end_matches(')').split(',').collect();
            let known = QUANTITIES.contains(&callee) && callee != COLUMN && plain.ends_with(')');
            let responses = self.shape.responses();
            let fits = match (callee, args.as_slice()) {
                ("len", [y]) => responses.contains(y),
                (_, [m, y]) => ["pi", "ref"].contains(m) && responses.contains(y),
                _ => false,
            };
            if known && fits {
                return Ok(quantity(callee, &args, span));
            }
            let d = format!("`{plain}` is no quantity of {}", self.shape);
            return Err(Diagnostic::error("E0804", d).at(span, format!("`{name}`")).help(
                "write logp(pi,w), mean_logp(ref,l), len(w) or the like, or the name of a column",
            ));
        }
        if plain == "parameter" {
            self.declare(name, name, None, span)?;
            return Ok(parameter(name, span));
        }
        Ok(quantity(COLUMN, &[&plain_name(&plain)], span))
    }

    /// The loss.
    fn tree(&mut self, name: &str, expr: Expr, span: Span) -> dsl::Loss {
        let named = |text: &str| Name { text: text.to_owned(), span };
        let (rho, minimize) = match links::bind(&expr) {
            Some((rho, loss)) => (Some(rho), loss),
            None => (None, expr),
        };
        let mut used = Used::default();
        rho.iter().chain([&minimize]).for_each(|e| used.add(e));
        let args = match &self.shape {
            DataShape::Labelled { response, label } => {
                vec![dsl::DataArg::Plain(named(response)), dsl::DataArg::Plain(named(label))]
            }
            _ => vec![dsl::DataArg::Ordered(named("w"), named("l"))],
        };
        let shape = named(self.shape.name());
        let mut clauses = vec![Clause::Data(dsl::Data { shape, args, span })];
        for (model, role) in [("pi", "policy"), ("ref", "reference")] {
            if model == "pi" || used.models.contains(model) {
                let (name, role) = (named(model), named(role));
                clauses.push(Clause::Model(dsl::Model { name, role, options: Vec::new(), span }));
            }
        }
        for c in &used.columns {
            clauses.push(Clause::Column { name: named(c), of: None, range: None, span });
        }
        clauses.extend(rho.map(|value| Clause::Rho { value: finished(&value), span }));
        clauses.push(Clause::Minimize { value: finished(&minimize), span });
        let params = self.params.iter().filter(|(n, ..)| used.names.contains(n));
        let params = params.map(|(n, default, span, _)| param(n, *default, *span)).collect();
        dsl::Loss { docs: Vec::new(), name: named(name), params, clauses, span }
    }
}

fn param(name: &str, default: Option<f64>, span: Span) -> dsl::Param {
    let number = |x: f64| {
        let literal = Expr { kind: ExprKind::Number(x.abs()), span };
        if x < 0.0 {
            let op = dsl::UnaryOp::Neg;
            Expr { kind: ExprKind::Unary { op, operand: Box::new(literal) }, span }
        } else {
            literal
        }
    };
    let range =
        |lo_closed| dsl::Range { lo: 0.0, lo_closed, hi: f64::INFINITY, hi_closed: false, span };
    let range = match (name, default) {
        ("beta" | "tau" | "temperature", _) => Some(range(false)),
        (_, Some(x)) if x < 0.0 => None,
        _ => Some(range(true)),
    };
    let name = Name { text: name.to_owned(), span };
    dsl::Param { name, default: default.map(number), range, span }
}

/// A call of a quantity.
fn quantity(callee: &str, args: &[&str], span: Span) -> Symbol {
    let name = |n: &&str| Expr { kind: ExprKind::Name((*n).to_owned()), span };
    let callee = Name { text: callee.to_owned(), span };
    let kind = ExprKind::Call { callee, args: args.iter().map(name).collect() };
    Symbol::Tensor(Tensor::new(Expr { kind, span }))
}

/// The loss among what is returned.
fn chosen(
    result: Symbol,
    hints: &Hints,
    module: &Module,
    function: &rustpython_parser::ast::StmtFunctionDef,
    remarks: &mut Vec<String>,
) -> Result<Symbol, Diagnostic> {
    let none =
        |what: String| Diagnostic::error("E0803", what).at(module.span(function), "this function");
    match (result, &hints.output) {
        (Symbol::Tuple(all), Some(o)) => {
            let at = o.as_u64().unwrap_or(u64::MAX) as usize;
            all.get(at).cloned().ok_or_else(|| none(format!("it returns no part {o}")))
        }
        (Symbol::Dict(all), Some(o)) => {
            let key = o.as_str().unwrap_or_default();
            let found = all.into_iter().find(|(k, _)| k == key).map(|(_, s)| s);
            found.ok_or_else(|| none(format!("it returns no part {o}")))
        }
        (Symbol::Tuple(all), None) if !all.is_empty() => {
            let n = all.len();
            remarks.push(format!("the result is the first of the {n} that are returned"));
            Ok(all.into_iter().next().unwrap_or(Symbol::None))
        }
        (Symbol::Dict(all), None) => {
            let found = all.iter().find(|(k, _)| k == "loss" || k == "losses");
            let Some((k, s)) = found else {
                return Err(none("it returns a dictionary without `loss`".to_owned())
                    .help("say which part is the loss: --output NAME"));
            };
            remarks.push(format!("the result is the part `{k}`"));
            Ok(s.clone())
        }
        (other, _) => Ok(other),
    }
}
