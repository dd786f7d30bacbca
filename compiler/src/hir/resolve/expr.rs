//! Arithmetic: expressions to HIR nodes.

use super::value::{At, Value};
use super::{Resolver, State};
use crate::hir::model::*;
use crate::hir::quantity::Quantity;
use ponens_dsl::ast::{self, BinaryOp, CompareOp, ExprKind, UnaryOp};
use ponens_dsl::{Diagnostic, Span, suggest};

/// Definitions and functions unfold into each other this deep: later stages walk what comes out.
const DEPTH: usize = 300;

impl<'a> Resolver<'a> {
    /// Resolves an expression that has to be one number; `None` when an error has been reported.
    pub(super) fn number(&mut self, e: &'a ast::Expr) -> Option<Value> {
        let v = self.value(e)?;
        self.closed(v, e.span)
    }

    /// Resolves an expression that may be all values of a loop.
    pub(super) fn value(&mut self, e: &'a ast::Expr) -> Option<Value> {
        if self.has_enough() {
            return None;
        }
        if self.depth >= DEPTH || self.exhausted {
            self.exhaust(e.span);
            return None;
        }
        self.depth += 1;
        let value = self.expression(e);
        self.depth -= 1;
        value
    }

    fn expression(&mut self, e: &'a ast::Expr) -> Option<Value> {
        match &e.kind {
            ExprKind::Number(x) => Some(self.constant(*x, e.span)),
            ExprKind::Name(n) => self.name(n, e.span),
            ExprKind::Unary { op: UnaryOp::Neg, operand } => {
                let a = self.number(operand)?;
                self.call1(Fn1::Neg, a, e.span)
            }
            ExprKind::Binary { op, lhs, rhs } => {
                let f = match op {
                    BinaryOp::Add => Fn2::Add,
                    BinaryOp::Sub => Fn2::Sub,
                    BinaryOp::Mul => Fn2::Mul,
                    BinaryOp::Div => Fn2::Div,
                    BinaryOp::Pow => Fn2::Pow,
                    _ => return self.not_a_number(e),
                };
                let (a, b) = (self.number(lhs), self.number(rhs));
                self.call2(f, a?, b?, e.span)
            }
            ExprKind::If { cond, then, otherwise } => {
                let c = self.condition(cond);
                let (a, b) = (self.number(then), self.number(otherwise));
                let ((c, flipped), a, b) = (c?, a?, b?);
                let (a, b) = if flipped { (b, a) } else { (a, b) };
                self.choose(c, a, b, e.span)
            }
            ExprKind::Call { callee, args } => self.call(callee, args, false, e.span),
            ExprKind::Index { base, index } => self.indexed(base, index, e.span),
            ExprKind::Reduce { op, var, bound, body } => {
                self.reduction(op, var, bound.as_ref().map(|(op, b)| (*op, &**b)), body, e.span)
            }
            ExprKind::Bool(_) | ExprKind::Unary { op: UnaryOp::Not, .. } => self.not_a_number(e),
        }
    }

    /// Adds a node over values of matching turns.
    pub(super) fn node(&mut self, kind: Kind, of: &[Value], span: Span) -> Option<Value> {
        let at = self.join(of, span)?;
        Some(Value { id: self.push(kind, span), at, open: Default::default() })
    }

    pub(super) fn constant(&mut self, x: f64, span: Span) -> Value {
        Value::plain(self.push(Kind::Number(x), span))
    }

    pub(super) fn call1(&mut self, f: Fn1, a: Value, span: Span) -> Option<Value> {
        self.node(Kind::Call1(f, a.id), &[a], span)
    }

    pub(super) fn call2(&mut self, f: Fn2, a: Value, b: Value, span: Span) -> Option<Value> {
        self.node(Kind::Call2(f, a.id, b.id), &[a, b], span)
    }

    pub(super) fn choose(&mut self, c: Value, a: Value, b: Value, span: Span) -> Option<Value> {
        self.node(Kind::If(c.id, a.id, b.id), &[c, a, b], span)
    }

    fn not_a_number(&mut self, e: &ast::Expr) -> Option<Value> {
        self.error(
            Diagnostic::error("E0201", "a number is wanted here, not a formula")
                .at(e.span, "a truth value")
                .help("formulas stand in `prefer`, `given` and `tie`; `rho` is their log-odds"),
        );
        None
    }

    fn name(&mut self, n: &'a str, span: Span) -> Option<Value> {
        if let Some((_, frame)) = self.frames.last()
            && let Some(v) = frame.get(n)
        {
            return *v;
        }
        if let Some(var) = self.index_in_sight(n) {
            // Its number is the place in the loop.
            return match self.vars[var.0].over {
                Some(inner) => {
                    let mut at = At::default();
                    at.set(inner, Some(var));
                    let id = self.push(Kind::Position(inner), span);
                    Some(Value { id, at, open: Default::default() })
                }
                None => {
                    self.vars[var.0].wanted = true;
                    None
                }
            };
        }
        if let Some(i) = self.param_places.get(n).copied() {
            self.params_used[i] = true;
            return Some(Value::plain(self.push(Kind::Param(i), span)));
        }
        if n == "rho" && !self.lets.contains_key("rho") {
            return self.rho(span);
        }
        if self.lets.contains_key(n) {
            return self.binding(n, span);
        }
        if self.data_columns.contains_key(n) {
            let quantity = Quantity::Data { name: n.to_owned() };
            return Some(self.column_value(quantity, span));
        }
        match self.size_name(n) {
            Some(inner) => Some(Value::plain(self.push(Kind::Size(inner), span))),
            None => self.unknown_name(n, span),
        }
    }

    /// The loop whose number of turns has this name.
    pub(super) fn size_name(&self, n: &str) -> Option<Loop> {
        match self.shape.as_ref()? {
            DataShape::Ranked(f) | DataShape::Group(f) if f.size == n => Some(Loop::Candidates),
            DataShape::Trajectory { size: Some(size), .. } if size == n => Some(Loop::Tokens(0)),
            _ => None,
        }
    }

    fn unknown_name(&mut self, n: &str, span: Span) -> Option<Value> {
        let label = matches!(&self.shape, Some(DataShape::Labelled { label, .. }) if label == n);
        let responses = self.shape.as_ref().map(|s| s.responses()).unwrap_or_default();
        let d = if label {
            Diagnostic::error("E0201", format!("`{n}` is true or false, not a number"))
                .at(span, "a truth value")
                .help(format!("write `if {n} {{ .. }} else {{ .. }}`"))
        } else if self.model_named(n).is_some() {
            let response = responses.first().copied().unwrap_or("w");
            Diagnostic::error("E0201", format!("`{n}` is a model, not a number"))
                .at(span, "a model")
                .help(format!("the probability of a response is `{n}({response})`"))
        } else if responses.contains(&n) {
            Diagnostic::error("E0202", format!("`{n}` is a whole response, not a number"))
                .at(span, "a response")
                .help(format!("reduce it first: `len({n})`, `logp(pi, {n})` or `pi({n})`"))
        } else {
            self.undeclared(n, span)
        };
        self.error(d);
        None
    }

    fn undeclared(&self, n: &str, span: Span) -> Diagnostic {
        let d = Diagnostic::error("E0101", format!("nothing here is called `{n}`"))
            .at(span, "unknown name");
        match (suggest::closest(n, self.names_in_sight()), &self.shape) {
            (Some(s), _) => d.help(format!("did you mean `{s}`?")),
            (None, Some(shape)) => d.help(format!(
                "`{shape}` data have no column `{n}`: declare it as a parameter, a `let`, or with \
                 `column {n}`"
            )),
            (None, None) => d.help("declare it as a parameter, a `let`, or a data `column`"),
        }
    }

    fn names_in_sight(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.params.iter().map(|p| p.name.as_str()).collect();
        names.extend(self.lets.keys());
        names.extend(self.data_columns.keys().map(String::as_str));
        names.extend(self.indices.iter().map(|i| i.name));
        if self.has_core {
            names.push("rho");
        }
        names.sort_unstable();
        names
    }

    fn rho(&mut self, span: Span) -> Option<Value> {
        if self.in_core {
            self.error(
                Diagnostic::error("E0107", "rho is defined by itself").at(span, "used here"),
            );
            return None;
        }
        if self.core.is_none() {
            // When the core itself was wrong, that has been reported already.
            if !self.has_core {
                self.error(
                    Diagnostic::error("E0105", "this loss does not say what rho is")
                        .at(span, "used here")
                        .help("add `prefer formula`, or `rho = expression`"),
                );
            }
            return None;
        }
        Some(Value::plain(self.push(Kind::Rho, span)))
    }

    fn binding(&mut self, n: &str, span: Span) -> Option<Value> {
        let (indices, value) = {
            let b = self.lets.get_mut(n)?;
            b.used = true;
            match b.state {
                State::Done(v) => return v,
                State::InProgress => {
                    let first = b.span;
                    self.error(
                        Diagnostic::error("E0107", format!("`{n}` is defined by itself"))
                            .at(span, "used here")
                            .at(first, "while this is being defined"),
                    );
                    return None;
                }
                State::Unresolved => {
                    b.state = State::InProgress;
                    (b.indices, b.value)
                }
            }
        };
        // A `let` sees neither the arguments nor the index variables of what happens to use it.
        let frames = std::mem::take(&mut self.frames);
        let outer = std::mem::take(&mut self.indices);
        let v = self.family(indices, value);
        self.frames = frames;
        self.indices = outer;
        if let Some(b) = self.lets.get_mut(n) {
            b.state = State::Done(v);
        }
        v
    }

    /// Unused definitions are checked all the same.
    pub(super) fn resolve_unused_lets(&mut self) {
        let mut names: Vec<(&'a str, Span)> =
            self.lets.iter().filter(|(_, b)| !b.used).map(|(n, b)| (*n, b.span)).collect();
        names.sort_by_key(|(_, s)| *s);
        for (n, span) in names {
            self.binding(n, span);
            if let Some(b) = self.lets.get_mut(n) {
                b.used = false;
            }
        }
    }

    /// A condition as a number that is positive where it holds, or (true) where it does not.
    fn condition(&mut self, e: &'a ast::Expr) -> Option<(Value, bool)> {
        match &e.kind {
            ExprKind::Name(n) if matches!(&self.shape, Some(DataShape::Labelled { label, .. }) if n == label) =>
            {
                let q = Quantity::Label { name: n.clone() };
                return Some((self.column_value(q, e.span), false));
            }
            ExprKind::Unary { op: UnaryOp::Not, operand } => {
                let (c, flipped) = self.condition(operand)?;
                return Some((c, !flipped));
            }
            ExprKind::Binary { op: BinaryOp::Compare(op), lhs, rhs } => {
                let (a, b) = (self.number(lhs), self.number(rhs));
                let (a, b) = (a?, b?);
                let (high, low, flipped) = match op {
                    CompareOp::Gt => (a, b, false),
                    CompareOp::Lt => (b, a, false),
                    CompareOp::Ge => (b, a, true),
                    CompareOp::Le => (a, b, true),
                };
                return Some((self.call2(Fn2::Sub, high, low, e.span)?, flipped));
            }
            _ => {}
        }
        self.error(
            Diagnostic::error("E0201", "the condition of `if` is a label or a comparison")
                .at(e.span, "neither")
                .help(
                    "write `if good { .. }` with `data labelled(y, good)`, or compare two numbers \
                     as in `if reward > 0 { .. }`",
                ),
        );
        None
    }
}
