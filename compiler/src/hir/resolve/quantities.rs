//! Calls that name models and responses: `logp(pi, w)`, `token_logp(pi, y)[t]`, `len(w)`, `pi(w)`.

use super::Resolver;
use super::builtin::QuantityFn as Q;
use super::value::{Open, Value};
use crate::hir::model::*;
use crate::hir::quantity::Quantity;
use crate::logic::{self, AtomKind, MAX_VARIABLES};
use crate::mir::Level;
use ponens_dsl::ast::{self, BinaryOp, ExprKind};
use ponens_dsl::{Diagnostic, Span, suggest};

/// A response as an argument: its name, and the index of one of a family.
type Response<'a> = (String, Option<&'a ast::Expr>);

impl<'a> Resolver<'a> {
    /// The model that an argument names.
    pub(super) fn model_arg(&mut self, e: &ast::Expr) -> Option<String> {
        if let ExprKind::Name(n) = &e.kind
            && self.model_named(n).is_some()
        {
            return Some(n.clone());
        }
        let names: Vec<String> = self.models.iter().map(|m| m.name.clone()).collect();
        let reference = self.models.iter().any(|m| m.role == Role::Reference);
        let declare = match &e.kind {
            ExprKind::Name(n) if !reference => format!("declare it: `model {n} = reference`"),
            _ => "declare a model first".to_owned(),
        };
        self.name_arg(e, &names, "model", "E0204", Some(declare).filter(|_| !reference))
    }

    /// The response that an argument names.
    fn response_arg(&mut self, e: &'a ast::Expr) -> Option<Response<'a>> {
        // Without a shape there are no responses: what is wrong with it has been reported.
        let shape = self.shape.as_ref()?;
        let names: Vec<String> = shape.responses().into_iter().map(str::to_owned).collect();
        if let ExprKind::Index { base, index } = &e.kind {
            let name = self.name_arg(base, &names, "response", "E0203", None)?;
            if self.shape.as_ref().is_some_and(|s| s.family().is_none()) {
                self.error(
                    Diagnostic::error("E0203", format!("`{name}` is one response, not a list"))
                        .at(index.span, "an index")
                        .help(format!("write `{name}`; `data ranked(y[K])` has a list")),
                );
                return None;
            }
            return Some((name, Some(index)));
        }
        Some((self.name_arg(e, &names, "response", "E0203", None)?, None))
    }

    fn name_arg(
        &mut self,
        e: &ast::Expr,
        known: &[String],
        what: &str,
        code: &'static str,
        declare: Option<String>,
    ) -> Option<String> {
        let list = || known.join(", ");
        let d = match &e.kind {
            ExprKind::Name(n) if known.contains(n) => return Some(n.clone()),
            ExprKind::Name(n) => {
                let d = Diagnostic::error(code, format!("this loss has no {what} `{n}`"))
                    .at(e.span, format!("not a {what}"));
                match (suggest::closest(n, known.iter().map(String::as_str)), declare) {
                    (Some(s), _) => d.help(format!("did you mean `{s}`?")),
                    (None, Some(declare)) => d.help(declare),
                    (None, None) if known.is_empty() => d.help(format!("declare a {what} first")),
                    (None, None) => d.help(format!("declared: {}", list())),
                }
            }
            _ => Diagnostic::error(code, format!("the name of a {what} is wanted here"))
                .at(e.span, "an expression")
                .help(format!("declared: {}", list())),
        };
        self.error(d);
        None
    }

    /// The response that goes without saying, where a loss has one.
    fn only_response(&mut self, callee: &ast::Name, usage: &str, span: Span) -> Option<String> {
        match self.shape.as_ref()?.responses().as_slice() {
            [only] => Some((*only).to_owned()),
            many => {
                let (want, got) = (usage.matches(',').count() + 1, usage.matches(',').count());
                let list = many.join(", ");
                self.arity(callee, usage, want, got, span);
                if let Some(d) = self.diagnostics.last_mut() {
                    d.notes.push(format!("the responses are {list}"));
                }
                None
            }
        }
    }

    pub(super) fn quantity(
        &mut self,
        q: Q,
        usage: &str,
        callee: &ast::Name,
        args: &'a [ast::Expr],
        indexed: bool,
        span: Span,
    ) -> Option<Value> {
        let want = match q {
            Q::Len => 1,
            Q::Kl => 3,
            _ => 2,
        };
        let implied = want > 1 && args.len() + 1 == want;
        if args.len() != want && !implied {
            self.arity(callee, usage, want, args.len(), span);
            return None;
        }
        let models: Vec<Option<String>> =
            args.iter().take(want - 1).map(|a| self.model_arg(a)).collect();
        let response = match args.get(want - 1) {
            Some(e) => self.response_arg(e),
            None => self.only_response(callee, usage, span).map(|r| (r, None)),
        };
        let models: Vec<String> = models.into_iter().collect::<Option<_>>()?;
        let (response, index) = response?;
        // `kl(pi, ref)[t]` on a family still wants the response's index first.
        let tokens_follow = indexed && (index.is_some() || self.one_response());
        let model = models.first().cloned().unwrap_or_default();
        let quantity = match q {
            Q::Len => Quantity::Len { response },
            Q::Kl => {
                let second = models.get(1).cloned().unwrap_or_default();
                Quantity::Kl { first: model, second, response }
            }
            Q::MeanLogp | Q::Nll => Quantity::MeanLogp { model, response },
            Q::SharedLogp => Quantity::SharedLogp { model, response },
            Q::TailLogp => Quantity::TailLogp { model, response },
            Q::DivergedLogp => Quantity::DivergedLogp { model, response },
            Q::LogSumP2 => Quantity::LogSumP2 { model, response },
            Q::Entropy => Quantity::Entropy { model, response },
            Q::Logp | Q::TokenLogp => Quantity::Logp { model, response },
            Q::Head(head) => {
                self.has_head(&model, head, span)?;
                Quantity::Head { head, model, response }
            }
        };
        let pairwise = matches!(q, Q::SharedLogp | Q::TailLogp | Q::DivergedLogp);
        if pairwise && !matches!(self.shape, Some(DataShape::Pair { .. })) {
            self.error(
                Diagnostic::error("E0205", format!("`{}` compares two responses", callee.text))
                    .at(span, "needs `pair` data")
                    .help("use `logp(model, response)` here"),
            );
            return None;
        }
        let per_token = match q {
            Q::TokenLogp | Q::Head(Head::Value | Head::Advantage) => true,
            Q::Kl | Q::Entropy | Q::LogSumP2 | Q::Head(Head::Reward) => tokens_follow || implied,
            _ => false,
        };
        let quantity = if per_token { Quantity::Token(Box::new(quantity)) } else { quantity };
        let mut v = self.column_value(quantity, span);
        if let Some(index) = index {
            v = self.pick(v, index, span)?;
        }
        if q == Q::Nll {
            self.call1(Fn1::Neg, v, span).map(|n| Value { id: n.id, ..v })
        } else {
            Some(v)
        }
    }

    fn one_response(&self) -> bool {
        self.shape.as_ref().is_some_and(|s| s.family().is_none())
    }

    fn has_head(&mut self, model: &str, head: Head, span: Span) -> Option<()> {
        let m = self.model_named(model)?;
        if m.heads.contains(&head) {
            return Some(());
        }
        let place = m.span;
        self.error(
            Diagnostic::error("E0204", format!("`{model}` has no {head} head"))
                .at(span, format!("reads a {head} of each token"))
                .at(place, "declared here")
                .help(format!("write `model {model} = .., head {head}`")),
        );
        None
    }

    /// A column as a value: open in every loop that it runs over.
    pub(super) fn column_value(&mut self, quantity: Quantity, span: Span) -> Value {
        let c = self.column(quantity);
        let column = &self.columns[c];
        let family = self.shape.as_ref().is_some_and(|s| s.family().is_some());
        let open = match column.of {
            None => Open::default(),
            Some(Loop::Candidates) => Open { candidates: true, tokens: None },
            Some(Loop::Tokens(r)) => Open { candidates: family, tokens: Some(r) },
        };
        Value { open, ..Value::plain(self.push(Kind::Column(c), span)) }
    }

    /// `model(response)`: an atom, or the probability of one response of a family.
    pub(super) fn probability(
        &mut self,
        callee: &ast::Name,
        args: &'a [ast::Expr],
        span: Span,
    ) -> Option<Value> {
        if self.one_response() || self.shape.is_none() {
            let a = self.atom(callee, args, span)?;
            return Some(Value::plain(self.push(Kind::Probability(a), span)));
        }
        let [arg] = args else {
            self.arity(callee, &format!("{}(response)", callee.text), 1, args.len(), span);
            return None;
        };
        let (response, index) = self.response_arg(arg)?;
        let model = callee.text.clone();
        let mean = self.model_named(&model).is_some_and(|m| m.aggregate == Aggregate::Mean);
        let logp = if mean {
            Quantity::MeanLogp { model, response }
        } else {
            Quantity::Logp { model, response }
        };
        let mut v = self.column_value(logp, span);
        if let Some(index) = index {
            v = self.pick(v, index, span)?;
        }
        let p = self.call1(Fn1::Exp, v, span)?;
        Some(Value { id: p.id, ..v })
    }

    /// The atom `model(response)`, added on first use.
    pub(super) fn atom(
        &mut self,
        callee: &ast::Name,
        args: &'a [ast::Expr],
        span: Span,
    ) -> Option<usize> {
        if args.len() != 1 {
            self.arity(callee, &format!("{}(response)", callee.text), 1, args.len(), span);
            return None;
        }
        let (response, index) = self.response_arg(&args[0])?;
        if index.is_some() || self.shape.as_ref().is_some_and(|s| s.family().is_some()) {
            self.error(
                Diagnostic::error("E0205", "the logic speaks of named responses, not of a list")
                    .at(span, "one response of a list")
                    .help("write the preference with `data pair(w > l)`, or as arithmetic"),
            );
            return None;
        }
        let model = self.model_named(&callee.text)?;
        let (name, aggregate) = (model.name.clone(), model.aggregate);
        let mean = matches!(aggregate, Aggregate::Mean | Aggregate::Length);
        let atom = logic::Atom {
            name: format!("{name}({response})"),
            kind: AtomKind::Response { model: name.clone(), response: response.clone(), mean },
        };
        if let Some(i) = self.atoms.iter().position(|a| a.atom == atom) {
            return Some(i);
        }
        if self.atoms.len() == MAX_VARIABLES {
            self.error(
                Diagnostic::error("E0503", format!("a loss has at most {MAX_VARIABLES} atoms"))
                    .at(span, "one more than that"),
            );
            return None;
        }
        let (column, weight) = self.log_weight(name, response, aggregate, span)?;
        self.atoms.push(Atom { atom, column, weight });
        Some(self.atoms.len() - 1)
    }

    /// The column of an atom, and its log-weight where that is an expression of its own.
    fn log_weight(
        &mut self,
        model: String,
        response: String,
        aggregate: Aggregate,
        span: Span,
    ) -> Option<(usize, Option<ExprId>)> {
        let option = self.aggregates.get(model.as_str()).copied();
        Some(match aggregate {
            Aggregate::Sum => (self.column(Quantity::Logp { model, response }), None),
            Aggregate::Mean => (self.column(Quantity::MeanLogp { model, response }), None),
            Aggregate::Diverged => (self.column(Quantity::DivergedLogp { model, response }), None),
            Aggregate::Length => {
                let power = self.aggregate_number(option)?;
                let column = self.column(Quantity::Logp { model, response: response.clone() });
                let sum = Value::plain(self.push(Kind::Column(column), span));
                let len = self.column_value(Quantity::Len { response }, span);
                let one = self.constant(1.0, span);
                // An empty response has log-weight 0.
                let len = self.call2(Fn2::Max, len, one, span)?;
                let scale = self.call2(Fn2::Pow, len, power, span)?;
                (column, Some(self.call2(Fn2::Div, sum, scale, span)?.id))
            }
            Aggregate::Shared => {
                let alpha = self.aggregate_number(option)?;
                let (m, r) = (model.clone(), response.clone());
                let column = self.column(Quantity::SharedLogp { model: m, response: r });
                let shared = Value::plain(self.push(Kind::Column(column), span));
                let tail = self.column_value(Quantity::TailLogp { model, response }, span);
                let tail = self.call2(Fn2::Mul, alpha, tail, span)?;
                (column, Some(self.call2(Fn2::Add, shared, tail, span)?.id))
            }
        })
    }

    /// The number in `aggregate len ^ p` or `aggregate shared(alpha)`.
    fn aggregate_number(&mut self, option: Option<&'a ast::Expr>) -> Option<Value> {
        let e = match &option?.kind {
            ExprKind::Binary { op: BinaryOp::Pow, rhs, .. } => rhs,
            ExprKind::Call { args, .. } => args.first()?,
            _ => return None,
        };
        let v = self.number(e)?;
        if self.exprs[v.id.0 as usize].level > Level::Uniform {
            self.error(
                Diagnostic::error("E0202", "an aggregate is the same for every example")
                    .at(e.span, "varies over the data")
                    .help("use a number or a parameter"),
            );
            return None;
        }
        Some(v)
    }
}
