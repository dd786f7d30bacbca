//! Arithmetic: expressions to HIR nodes.

use super::builtin::{self, Builtin};
use super::{Resolver, State};
use crate::hir::model::*;
use crate::hir::quantity::Quantity;
use ponens_dsl::ast::{self, BinaryOp, ExprKind, UnaryOp};
use ponens_dsl::{Diagnostic, Span, suggest};

/// Functions may call functions this deep.
const CALL_DEPTH: usize = 32;

impl<'a> Resolver<'a> {
    /// Resolves an expression that has to be a number; `None` when an error has been reported.
    pub(super) fn number(&mut self, e: &'a ast::Expr) -> Option<ExprId> {
        match &e.kind {
            ExprKind::Number(x) => Some(self.push(Kind::Number(*x), e.span)),
            ExprKind::Name(n) => self.name(n, e.span),
            ExprKind::Unary { op: UnaryOp::Neg, operand } => {
                let a = self.number(operand)?;
                Some(self.push(Kind::Call1(Fn1::Neg, a), e.span))
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
                Some(self.push(Kind::Call2(f, a?, b?), e.span))
            }
            ExprKind::If { cond, then, otherwise } => {
                let c = self.condition(cond);
                let (a, b) = (self.number(then), self.number(otherwise));
                Some(self.push(Kind::If(c?, a?, b?), e.span))
            }
            ExprKind::Call { callee, args } => self.call(callee, args, e.span),
            ExprKind::Index { .. } | ExprKind::Reduce { .. } => {
                let d = Diagnostic::error(
                    "E0205",
                    "indices and reductions over them need `ranked` or `trajectory` data",
                )
                .at(e.span, "no loop in sight");
                self.error(d);
                None
            }
            ExprKind::Bool(_) | ExprKind::Unary { op: UnaryOp::Not, .. } => self.not_a_number(e),
        }
    }

    fn not_a_number(&mut self, e: &ast::Expr) -> Option<ExprId> {
        self.error(
            Diagnostic::error("E0201", "a number is wanted here, not a formula")
                .at(e.span, "a truth value")
                .help("formulas stand in `prefer`, `given` and `tie`; `rho` is their log-odds"),
        );
        None
    }

    fn name(&mut self, n: &str, span: Span) -> Option<ExprId> {
        if let Some((_, frame)) = self.frames.last()
            && let Some(id) = frame.get(n)
        {
            return *id;
        }
        if let Some(i) = self.params.iter().position(|p| p.name == n) {
            self.params_used[i] = true;
            return Some(self.push(Kind::Param(i), span));
        }
        if n == "rho" && !self.lets.contains_key("rho") {
            return self.rho(span);
        }
        if self.lets.contains_key(n) {
            return self.binding(n, span);
        }
        if let Some((name, _)) = self.data_columns.get_key_value(n) {
            let c = self.column(Quantity::Data { name: (*name).to_owned() });
            return Some(self.push(Kind::Column(c), span));
        }
        let label = matches!(&self.shape, Some(DataShape::Labelled { label, .. }) if label == n);
        let d = if label {
            Diagnostic::error("E0201", format!("`{n}` is true or false, not a number"))
                .at(span, "a truth value")
                .help(format!("write `if {n} {{ .. }} else {{ .. }}`"))
        } else if self.models.iter().any(|m| m.name == n) {
            Diagnostic::error("E0201", format!("`{n}` is a model, not a number"))
                .at(span, "a model")
                .help(format!("the probability of a response is `{n}(w)`"))
        } else if self.shape.as_ref().is_some_and(|s| s.responses().contains(&n)) {
            Diagnostic::error("E0202", format!("`{n}` is a whole response, not a number"))
                .at(span, "a response")
                .help(format!("reduce it first: `len({n})`, `logp(pi, {n})` or `pi({n})`"))
        } else {
            let d = Diagnostic::error("E0101", format!("nothing here is called `{n}`"))
                .at(span, "unknown name");
            match suggest::closest(n, self.names_in_sight()) {
                Some(s) => d.help(format!("did you mean `{s}`?")),
                None => d.help("declare it as a parameter, a `let`, or a data `column`"),
            }
        };
        self.error(d);
        None
    }

    fn names_in_sight(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.params.iter().map(|p| p.name.as_str()).collect();
        names.extend(self.lets.keys());
        names.extend(self.data_columns.keys());
        if self.has_core {
            names.push("rho");
        }
        names.sort_unstable();
        names
    }

    fn rho(&mut self, span: Span) -> Option<ExprId> {
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
        Some(self.push(Kind::Rho, span))
    }

    fn binding(&mut self, n: &str, span: Span) -> Option<ExprId> {
        let (value, binding_span) = {
            let b = self.lets.get_mut(n)?;
            b.used = true;
            match b.state {
                State::Done(id) => return id,
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
                    (b.value, b.span)
                }
            }
        };
        // A `let` does not see the arguments of the function that happens to use it.
        let frames = std::mem::take(&mut self.frames);
        let id = self.number(value);
        self.frames = frames;
        let _ = binding_span;
        if let Some(b) = self.lets.get_mut(n) {
            b.state = State::Done(id);
        }
        id
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

    fn condition(&mut self, e: &'a ast::Expr) -> Option<ExprId> {
        if let (ExprKind::Name(n), Some(DataShape::Labelled { label, .. })) = (&e.kind, &self.shape)
            && n == label
        {
            let q = Quantity::Label { name: n.clone() };
            let c = self.column(q);
            return Some(self.push(Kind::Column(c), e.span));
        }
        self.error(
            Diagnostic::error("E0201", "the condition of `if` is a boolean column")
                .at(e.span, "not one")
                .help("`data labelled(y, good)` declares the boolean column `good`"),
        );
        None
    }

    pub(super) fn arity(
        &mut self,
        callee: &ast::Name,
        usage: &str,
        want: usize,
        got: usize,
        span: Span,
    ) {
        self.error(
            Diagnostic::error(
                "E0104",
                format!("`{}` takes {want} argument(s), not {got}", callee.text),
            )
            .at(span, format!("{got} given"))
            .help(format!("write `{usage}`")),
        );
    }

    fn call(&mut self, callee: &'a ast::Name, args: &'a [ast::Expr], span: Span) -> Option<ExprId> {
        let name = callee.text.as_str();
        if self.models.iter().any(|m| m.name == name) {
            let a = self.atom(callee, args, span)?;
            return Some(self.push(Kind::Probability(a), span));
        }
        if let Some(f) = self.functions.get(name).copied() {
            return self.unfold(f, callee, args, span);
        }
        let Some((b, usage)) = builtin::builtin(name) else {
            let mut known: Vec<&str> = builtin::BUILTINS.iter().map(|b| b.0).collect();
            known.extend(self.functions.keys());
            known.extend(self.models.iter().map(|m| m.name.as_str()));
            known.sort_unstable();
            let d = Diagnostic::error("E0101", format!("there is no function `{name}`"))
                .at(callee.span, "unknown function");
            let d = match suggest::closest(name, known) {
                Some(s) => d.help(format!("did you mean `{s}`?")),
                None => d.help("define it with `fn`, or declare a model of that name"),
            };
            self.error(d);
            return None;
        };
        let want = match b {
            Builtin::Quantity(q) => return self.quantity(q, usage, callee, args, span),
            Builtin::One(_) | Builtin::Batch(_) | Builtin::Mismatched => 1..=1,
            Builtin::Two(_) | Builtin::Noise(_) => 2..=2,
            Builtin::Link(Link::Logistic) => 1..=1,
            Builtin::Link(Link::Hinge) => 1..=2,
            Builtin::Link(Link::Squared) => 2..=2,
        };
        if !want.contains(&args.len()) {
            self.arity(callee, usage, *want.start(), args.len(), span);
            return None;
        }
        match b {
            Builtin::Noise(n) => self.noise(n, &args[0], &args[1], span),
            _ => {
                let ids: Vec<Option<ExprId>> = args.iter().map(|a| self.number(a)).collect();
                let a = ids[0]?;
                let kind = match b {
                    Builtin::One(f) => Kind::Call1(f, a),
                    Builtin::Two(f) => Kind::Call2(f, a, ids[1]?),
                    Builtin::Batch(f) => Kind::Batch(f, a),
                    Builtin::Mismatched => return self.mismatched(a, span),
                    Builtin::Link(l) => {
                        let extra = match (l, ids.get(1)) {
                            (_, Some(id)) => Some((*id)?),
                            (Link::Hinge, None) => Some(self.push(Kind::Number(1.0), span)),
                            _ => None,
                        };
                        Kind::Link(l, a, extra)
                    }
                    Builtin::Noise(_) | Builtin::Quantity(_) => return None,
                };
                if let (Kind::Batch(..), true) =
                    (kind, self.exprs[a.0 as usize].level < crate::mir::Level::Example)
                {
                    self.error(
                        Diagnostic::error("E0202", "this is the same for every example already")
                            .at(args[0].span, "does not vary over the batch")
                            .help(format!("leave `{name}` out")),
                    );
                    return None;
                }
                Some(self.push(kind, span))
            }
        }
    }

    fn unfold(
        &mut self,
        f: &'a ast::Function,
        callee: &ast::Name,
        args: &'a [ast::Expr],
        span: Span,
    ) -> Option<ExprId> {
        if args.len() != f.args.len() {
            let names: Vec<&str> = f.args.iter().map(|a| a.text.as_str()).collect();
            let usage = format!("{}({})", f.name.text, names.join(", "));
            self.arity(callee, &usage, f.args.len(), args.len(), span);
            return None;
        }
        if self.frames.iter().any(|(n, _)| *n == f.name.text) || self.frames.len() >= CALL_DEPTH {
            self.error(
                Diagnostic::error("E0107", format!("function `{}` calls itself", f.name.text))
                    .at(span, "unfolds for ever")
                    .at(f.name.span, "defined here"),
            );
            return None;
        }
        let ids: Vec<Option<ExprId>> = args.iter().map(|a| self.number(a)).collect();
        let frame = f.args.iter().map(|a| a.text.as_str()).zip(ids).collect();
        self.frames.push((&f.name.text, frame));
        let id = self.number(&f.body);
        self.frames.pop();
        id
    }

    /// `smooth(e, link(h))` needs the link twice, at h and at -h.
    fn noise(
        &mut self,
        noise: Noise,
        rate: &'a ast::Expr,
        link: &'a ast::Expr,
        span: Span,
    ) -> Option<ExprId> {
        let (rate, plain) = (self.number(rate), self.number(link));
        let (rate, plain) = (rate?, plain?);
        let Kind::Link(l, h, extra) = self.exprs[plain.0 as usize].kind else {
            self.error(
                Diagnostic::error("E0201", "label noise acts on a link")
                    .at(link.span, "not a link")
                    .help("write for example `smooth(epsilon, logistic(beta * rho))`"),
            );
            return None;
        };
        let minus = self.push(Kind::Call1(Fn1::Neg, h), link.span);
        let flipped = self.push(Kind::Link(l, minus, extra), link.span);
        Some(self.push(Kind::Noise(noise, rate, plain, flipped), span))
    }

    /// The same expression with every log-probability taken of a mismatched response.
    fn mismatched(&mut self, id: ExprId, span: Span) -> Option<ExprId> {
        let Expr { kind, .. } = self.exprs[id.0 as usize];
        let sub = |this: &mut Self, x: ExprId| this.mismatched(x, span);
        let kind = match kind {
            Kind::Column(c) => {
                let model = match &self.columns[c].quantity {
                    Quantity::Logp { model, .. } => model.clone(),
                    other => {
                        let d = Diagnostic::error(
                            "E0205",
                            format!("`{other}` of a mismatched response is not known"),
                        )
                        .at(span, "only logp(model, y) is");
                        self.error(d);
                        return None;
                    }
                };
                Kind::Column(self.column(Quantity::MismatchedLogp { model }))
            }
            Kind::Number(_) | Kind::Param(_) => kind,
            Kind::Call1(f, a) => Kind::Call1(f, sub(self, a)?),
            Kind::Call2(f, a, b) => Kind::Call2(f, sub(self, a)?, sub(self, b)?),
            _ => {
                let d = Diagnostic::error(
                    "E0205",
                    "only arithmetic over logp(model, y) can be mismatched",
                )
                .at(span, "contains something else");
                self.error(d);
                return None;
            }
        };
        // A column that only the mismatched form uses is not read.
        Some(self.push(kind, span))
    }
}
