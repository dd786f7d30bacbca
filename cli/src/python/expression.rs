//! Expressions of Python as symbols.

use super::call::{self, relation, squared};
use super::scope::{Meaning, Scope};
use super::statement::{Reader, Result};
use super::symbol::{Condition, Symbol, binary, negate};
use ponens_dsl::ast::BinaryOp;
use rustpython_parser::ast::{self, BoolOp, CmpOp, Constant, Expr, Operator, Ranged, UnaryOp};

/// Expressions nest this deep, through calls as well.
const NESTING: usize = 1000;

impl<'a> Reader<'a> {
    /// Reads an expression.
    pub(super) fn expression(&mut self, e: &'a Expr, scope: &mut Scope) -> Result<Symbol> {
        self.step(e)?;
        if self.nesting == NESTING {
            return self.refuse(e, "expressions nest too deeply");
        }
        self.nesting += 1;
        let value = self.kind(e, scope);
        self.nesting -= 1;
        let value = value?;
        match &value {
            Symbol::Tensor(t) if t.is_too_large() => {
                self.refuse(e, "the expression becomes too large")
            }
            _ => Ok(value),
        }
    }

    fn kind(&mut self, e: &'a Expr, scope: &mut Scope) -> Result<Symbol> {
        match e {
            Expr::Constant(c) => self.constant(e, &c.value),
            Expr::Name(n) => self.name(e, n.id.as_str(), scope),
            Expr::Attribute(a) => self.attribute(e, a, scope),
            Expr::BinOp(b) => {
                let (x, y) = (self.expression(&b.left, scope)?, self.expression(&b.right, scope)?);
                let value = self.operator(e, b.op, &x, &y)?;
                Ok(self.kept(value))
            }
            Expr::UnaryOp(u) => match u.op {
                UnaryOp::Not => Ok(Symbol::Bool(!self.truth(&u.operand, scope)?)),
                UnaryOp::USub => {
                    let x = self.expression(&u.operand, scope)?;
                    let span = self.module.span(e);
                    match negate(&x, span) {
                        Some(s) => Ok(self.kept(s)),
                        None => self.refuse(e, format!("minus {}", x.what())),
                    }
                }
                UnaryOp::UAdd => self.expression(&u.operand, scope),
                UnaryOp::Invert => self.refuse(e, "the operator `~`"),
            },
            Expr::Compare(c) => self.compare(e, c, scope),
            Expr::BoolOp(b) => {
                // The value is that of the operand which decides.
                let mut last = Symbol::Bool(b.op == BoolOp::And);
                for (i, v) in b.values.iter().enumerate() {
                    last = self.expression(v, scope)?;
                    let more = i + 1 < b.values.len();
                    if more && self.truthy(v, &last)? != (b.op == BoolOp::And) {
                        break;
                    }
                }
                Ok(last)
            }
            Expr::IfExp(i) => {
                let taken = self.truth(&i.test, scope)?;
                self.expression(if taken { &i.body } else { &i.orelse }, scope)
            }
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                let all: Result<Vec<Symbol>> =
                    elts.iter().map(|x| self.expression(x, scope)).collect();
                Ok(Symbol::Tuple(all?))
            }
            Expr::Dict(d) => {
                let mut all = Vec::new();
                for (k, v) in d.keys.iter().zip(&d.values) {
                    match k {
                        Some(Expr::Constant(c)) if c.value.is_str() => {
                            let key = c.value.as_str().cloned().unwrap_or_default();
                            // The last of a key counts; metrics beside the loss may be of any kind.
                            all.retain(|(k, _)| *k != key);
                            if let Ok(v) = self.expression(v, scope) {
                                all.push((key, v));
                            }
                        }
                        _ => return self.refuse(e, "a dictionary with other keys than texts"),
                    }
                }
                Ok(Symbol::Dict(all))
            }
            Expr::Subscript(s) => {
                let base = self.expression(&s.value, scope)?;
                let index = self.expression(&s.slice, scope)?;
                match (&base, &index) {
                    (Symbol::Tuple(t), Symbol::Number(i))
                        if *i >= 0.0 && i.fract() == 0.0 && (*i as usize) < t.len() =>
                    {
                        Ok(t[*i as usize].clone())
                    }
                    (Symbol::Dict(d), Symbol::Text(k)) => match d.iter().find(|(n, _)| n == k) {
                        Some((_, v)) => Ok(v.clone()),
                        None => self.refuse(e, format!("a dictionary without `{k}`")),
                    },
                    _ => self.refuse(e, format!("a part of {}", base.what())),
                }
            }
            Expr::Call(c) => self.call(e, c, scope),
            Expr::JoinedStr(_) => self.refuse(e, "a text with values in it"),
            Expr::NamedExpr(n) => {
                let value = self.expression(&n.value, scope)?;
                if let Expr::Name(name) = n.target.as_ref() {
                    scope.insert(name.id.to_string(), value.clone());
                }
                Ok(value)
            }
            Expr::Lambda(_) => self.refuse(e, "a lambda"),
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::GeneratorExp(_) => {
                self.refuse(e, "a comprehension")
            }
            _ => self.refuse(e, "an expression of a kind that computes no loss"),
        }
    }

    fn constant(&self, e: &Expr, c: &Constant) -> Result<Symbol> {
        Ok(match c {
            Constant::None => Symbol::None,
            Constant::Bool(b) => Symbol::Bool(*b),
            Constant::Str(s) => Symbol::Text(s.clone()),
            Constant::Float(x) => Symbol::Number(*x),
            Constant::Int(i) => match i.to_string().parse::<f64>() {
                Ok(x) if x.is_finite() => Symbol::Number(x),
                _ => return self.refuse(e, "a number that is too large"),
            },
            _ => return self.refuse(e, "a constant that is no number"),
        })
    }

    fn name(&mut self, e: &Expr, name: &str, scope: &Scope) -> Result<Symbol> {
        match scope.get(name) {
            Meaning::Known(s) => return Ok(s.clone()),
            Meaning::Unset => return self.refuse(e, format!("`{name}`, which has no value here")),
            Meaning::Changing => {
                let d = format!("`{name}`, which the enclosing function sets elsewhere as well");
                return self.refuse(e, d);
            }
            Meaning::Free => {}
        }
        match self.globals.get(name) {
            Some(Some(s)) => return Ok(s.clone()),
            Some(None) => {
                return self.refuse(e, format!("`{name}`, whose value in the file is not sure"));
            }
            None => {}
        }
        match name {
            "float" | "int" | "max" | "min" | "abs" | "len" | "isinstance" | "pow"
            | "staticmethod"
                if !self.starred =>
            {
                Ok(Symbol::Path(name.to_owned()))
            }
            _ => self.refuse(e, format!("`{name}`, which nothing that is read defines")),
        }
    }

    fn attribute(
        &mut self,
        e: &Expr,
        a: &'a ast::ExprAttribute,
        scope: &mut Scope,
    ) -> Result<Symbol> {
        let attribute = a.attr.to_string();
        match self.expression(&a.value, scope)? {
            Symbol::Path(p) => match (p.as_str(), attribute.as_str()) {
                ("math" | "numpy" | "np" | "torch", "pi") => {
                    Ok(Symbol::Number(std::f64::consts::PI))
                }
                ("math" | "numpy" | "np" | "torch", "inf") => Ok(Symbol::Number(f64::INFINITY)),
                _ => Ok(Symbol::Path(format!("{p}.{attribute}"))),
            },
            Symbol::Own => {
                self.asked.insert(attribute.clone());
                if let Some(s) = self.own.get(&attribute) {
                    return Ok(s.clone());
                }
                let span = self.module.span(e);
                self.wanted.push((attribute.clone(), span));
                let s = super::assemble::parameter(&attribute, span);
                self.own.insert(attribute, s.clone());
                Ok(s)
            }
            // Where and as what a tensor is kept.
            Symbol::Tensor(_) if matches!(attribute.as_str(), "device" | "dtype") => {
                Ok(Symbol::Path(format!("tensor.{attribute}")))
            }
            other => self.refuse(e, format!("the attribute `{attribute}` of {}", other.what())),
        }
    }

    /// An operator on two symbols.
    pub(super) fn operator(
        &self,
        e: &impl Ranged,
        op: Operator,
        x: &Symbol,
        y: &Symbol,
    ) -> Result<Symbol> {
        let ours = match op {
            Operator::Add => BinaryOp::Add,
            Operator::Sub => BinaryOp::Sub,
            Operator::Mult => BinaryOp::Mul,
            Operator::Div => BinaryOp::Div,
            Operator::Pow => BinaryOp::Pow,
            _ => return self.refuse(e, "an operator other than + - * / **"),
        };
        match binary(ours, x, y, self.module.span(e)) {
            Some(s) if ours == BinaryOp::Pow => Ok(squared(&s).unwrap_or(s)),
            Some(s) => Ok(s),
            None => self.refuse(e, format!("arithmetic of {} and {}", x.what(), y.what())),
        }
    }

    fn compare(&mut self, e: &Expr, c: &'a ast::ExprCompare, scope: &mut Scope) -> Result<Symbol> {
        let ([op], [right]) = (c.ops.as_slice(), c.comparators.as_slice()) else {
            return self.refuse(e, "a chain of comparisons");
        };
        let (a, b) = (self.expression(&c.left, scope)?, self.expression(right, scope)?);
        let equal = |a: &Symbol, b: &Symbol| match (a, b) {
            (Symbol::Text(a), Symbol::Text(b)) => Some(a == b),
            (Symbol::None, Symbol::None) => Some(true),
            (Symbol::None, _) | (_, Symbol::None) => Some(false),
            (Symbol::Bool(_) | Symbol::Number(_), Symbol::Bool(_) | Symbol::Number(_)) => {
                Some(a.number() == b.number())
            }
            (Symbol::Text(_), Symbol::Bool(_) | Symbol::Number(_))
            | (Symbol::Bool(_) | Symbol::Number(_), Symbol::Text(_)) => Some(false),
            _ => None,
        };
        let known = match (op, &b) {
            (CmpOp::Eq | CmpOp::Is, _) => equal(&a, &b),
            (CmpOp::NotEq | CmpOp::IsNot, _) => equal(&a, &b).map(|x| !x),
            (CmpOp::In | CmpOp::NotIn, Symbol::Tuple(all)) => {
                let each: Option<Vec<bool>> = all.iter().map(|x| equal(&a, x)).collect();
                each.map(|x| x.contains(&true) == (*op == CmpOp::In))
            }
            _ => None,
        };
        if let Some(known) = known {
            return Ok(Symbol::Bool(known));
        }
        let Some(op) = relation(*op) else {
            return self.refuse(e, format!("a comparison of {} with {}", a.what(), b.what()));
        };
        use ponens_dsl::ast::CompareOp as C;
        if let (Some(x), Some(y)) = (a.number(), b.number()) {
            return Ok(Symbol::Bool(match op {
                C::Lt => x < y,
                C::Le => x <= y,
                C::Gt => x > y,
                C::Ge => x >= y,
            }));
        }
        Ok(Symbol::Condition(Box::new(Condition { op, a, b })))
    }

    /// The value of a condition that is known without a run.
    pub(super) fn truth(&mut self, e: &'a Expr, scope: &mut Scope) -> Result<bool> {
        let value = self.expression(e, scope)?;
        self.truthy(e, &value)
    }

    fn truthy(&self, e: &Expr, value: &Symbol) -> Result<bool> {
        match value {
            Symbol::Bool(b) => Ok(*b),
            Symbol::Number(x) => Ok(*x != 0.0),
            Symbol::None => Ok(false),
            Symbol::Text(t) => Ok(!t.is_empty()),
            Symbol::Condition(c) => {
                let d = self.refuse::<bool>(e, "a branch that depends on an argument");
                d.map_err(|d| match (&c.a, &c.b) {
                    (Symbol::Tensor(t), _) | (_, Symbol::Tensor(t))
                        if call::is_uniform(&t.expr) =>
                    {
                        d.help("give the argument a value: --set ARGUMENT=VALUE")
                    }
                    _ => d,
                })
            }
            other => self.refuse(e, format!("a branch on {}", other.what())),
        }
    }
}
