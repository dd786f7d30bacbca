//! Calls: of functions, links, noise operators and everything that is built in.

use super::Resolver;
use super::builtin::{self, Builtin};
use super::value::Value;
use crate::hir::model::*;
use crate::hir::quantity::Quantity;
use crate::mir::Level;
use ponens_dsl::ast::{self, ExprKind};
use ponens_dsl::{Diagnostic, Span, suggest};

/// Functions may call functions this deep.
const CALL_DEPTH: usize = 32;

impl<'a> Resolver<'a> {
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

    /// A call; `per_token` when an index for a token follows it.
    pub(super) fn call(
        &mut self,
        callee: &'a ast::Name,
        args: &'a [ast::Expr],
        per_token: bool,
        span: Span,
    ) -> Option<Value> {
        let name = callee.text.as_str();
        if self.model_named(name).is_some() {
            return self.probability(callee, args, span);
        }
        if let Some(f) = self.functions.get(name) {
            return self.unfold(f, callee, args, span);
        }
        let Some((b, usage)) = builtin::builtin(name) else {
            return self.unknown_function(callee, args);
        };
        let want = match b {
            Builtin::Quantity(q) => {
                return self.quantity(q, usage, callee, args, per_token, span);
            }
            Builtin::One(_) | Builtin::Batch(_) | Builtin::Mismatched | Builtin::Sqrt => 1..=1,
            Builtin::Vector(_) | Builtin::RunningMean | Builtin::SegmentStart => 1..=1,
            Builtin::Two(_) | Builtin::Noise(_) => 2..=2,
            Builtin::Discounted | Builtin::SegmentSum => 2..=2,
            Builtin::Clip => 3..=3,
            Builtin::Link(Link::Logistic) => 1..=1,
            Builtin::Link(Link::Hinge) => 1..=2,
            Builtin::Link(Link::Squared) => 2..=2,
        };
        if !want.contains(&args.len()) {
            self.arity(callee, usage, *want.start(), args.len(), span);
            return None;
        }
        match b {
            Builtin::Noise(n) => return self.noise(n, &args[0], &args[1], span),
            Builtin::Vector(f) => return self.vector(f, &args[0], span),
            Builtin::Discounted => return self.discounted(&args[0], &args[1], span),
            Builtin::SegmentSum => return self.segment_sum(&args[0], &args[1], span),
            Builtin::SegmentStart => return self.segment_start(&args[0], span),
            _ => {}
        }
        let values: Vec<Option<Value>> = args.iter().map(|a| self.number(a)).collect();
        let mut values = values.into_iter();
        let mut next = || values.next().flatten();
        let a = next()?;
        match b {
            Builtin::One(f) => self.call1(f, a, span),
            Builtin::Two(f) => {
                let b = next()?;
                self.call2(f, a, b, span)
            }
            Builtin::Sqrt => {
                let half = self.constant(0.5, span);
                self.call2(Fn2::Pow, a, half, span)
            }
            Builtin::Clip => {
                let (lo, hi) = (next()?, next()?);
                let below = self.call2(Fn2::Max, a, lo, span)?;
                self.call2(Fn2::Min, below, hi, span)
            }
            Builtin::Batch(f) => {
                self.varies_by_example(a, name, args[0].span)?;
                self.node(Kind::Batch(f, a.id), &[a], span)
            }
            Builtin::RunningMean => {
                self.varies_by_example(a, name, args[0].span)?;
                self.running_mean(a.id, span)
            }
            Builtin::Mismatched => self.mismatched(a.id, span).map(Value::plain),
            Builtin::Link(l) => {
                let extra = match (l, args.len()) {
                    (_, 2) => Some(next()?),
                    (Link::Hinge, _) => Some(self.constant(1.0, span)),
                    _ => None,
                };
                let of: Vec<Value> = [Some(a), extra].into_iter().flatten().collect();
                self.node(Kind::Link(l, a.id, extra.map(|e| e.id)), &of, span)
            }
            Builtin::Noise(_) | Builtin::Quantity(_) => None,
            Builtin::Vector(_) | Builtin::Discounted => None,
            Builtin::SegmentSum | Builtin::SegmentStart => None,
        }
    }

    /// Whether a function has this name, one of the language or of the file.
    pub(super) fn is_function(&self, callee: &ast::Name) -> bool {
        let name = callee.text.as_str();
        builtin::BUILTINS.iter().any(|b| b.0 == name) || self.functions.get(name).is_some()
    }

    fn unknown_function(&mut self, callee: &ast::Name, args: &[ast::Expr]) -> Option<Value> {
        let name = callee.text.as_str();
        let mut known: Vec<&str> = builtin::BUILTINS.iter().map(|b| b.0).collect();
        known.extend(self.functions.names());
        known.extend(self.models.iter().map(|m| m.name.as_str()));
        known.sort_unstable();
        let d = Diagnostic::error("E0101", format!("there is no function `{name}`"))
            .at(callee.span, "unknown function");
        let responses = self.shape.as_ref().map(|s| s.responses()).unwrap_or_default();
        let of_response = matches!(args, [ast::Expr { kind: ExprKind::Name(n), .. }] if responses.contains(&n.as_str()));
        let other = spelled(name).map(str::to_owned);
        let d = match other
            .or_else(|| Some(format!("did you mean `{}`?", suggest::closest(name, known)?)))
        {
            Some(s) => d.help(s),
            None if of_response => d.help(format!(
                "if it is a model, declare it: `model {name} = reference` (frozen) or \
                 `model {name} = policy` (trained)"
            )),
            None => d.help("define it with `fn`, or declare a model of that name"),
        };
        self.error(d);
        None
    }

    /// Refuses what is not one number an example.
    fn varies_by_example(&mut self, a: Value, name: &str, arg: Span) -> Option<()> {
        let level = self.exprs[a.id.0 as usize].level;
        let d = if level < Level::Example {
            Diagnostic::error("E0202", "this is the same for every example already")
                .at(arg, "does not vary over the batch")
                .help(format!("leave `{name}` out"))
        } else if level > Level::Example {
            Diagnostic::error("E0202", format!("this is one number a {level}, not an example"))
                .at(arg, "a reduction is missing")
                .help(format!("reduce it first: `{name}(sum(..) ..)` or `{name}(mean(..) ..)`"))
        } else {
            return Some(());
        };
        self.error(d);
        None
    }

    /// A column of its own, which holds the mean of the expression over the run so far.
    fn running_mean(&mut self, of: ExprId, span: Span) -> Option<Value> {
        if let Some(known) = self.running.iter().find(|r| r.of == of) {
            let quantity = Quantity::Data { name: known.name.clone() };
            return Some(self.column_value(quantity, span));
        }
        let name = match self.running.len() {
            0 => "running_mean".to_owned(),
            n => format!("running_mean_{}", n + 1),
        };
        if self.data_columns.contains_key(&name) {
            let message = format!("`{name}` already has a meaning in this loss");
            self.error(
                Diagnostic::error("E0102", message)
                    .at(span, "the mean is kept under that name")
                    .help("give the column another name"),
            );
            return None;
        }
        let reads = |c: usize| {
            let of =
                |r: &Running| self.columns[c].quantity == Quantity::Data { name: r.name.clone() };
            self.running.iter().any(of)
        };
        let mut seen = vec![false; self.exprs.len()];
        let mut left = vec![of];
        while let Some(id) = left.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let kind = self.exprs[id.0 as usize].kind;
            if matches!(kind, Kind::Column(c) if reads(c)) {
                self.error(
                    Diagnostic::error("E0205", "a running mean of a running mean is not kept")
                        .at(span, "contains one"),
                );
                return None;
            }
            left.extend(kind.operands());
        }
        self.running.push(Running { name: name.clone(), of });
        Some(self.column_value(Quantity::Data { name }, span))
    }

    fn unfold(
        &mut self,
        f: &'a ast::Function,
        callee: &ast::Name,
        args: &'a [ast::Expr],
        span: Span,
    ) -> Option<Value> {
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
        let values: Vec<Option<Value>> = args.iter().map(|a| self.value(a)).collect();
        let frame = f.args.iter().map(|a| a.text.as_str()).zip(values).collect();
        // The body sees its arguments, and no index variable of its caller.
        let outer = std::mem::take(&mut self.indices);
        self.frames.push((&f.name.text, frame));
        let v = self.value(&f.body);
        self.frames.pop();
        self.indices = outer;
        v
    }

    /// `smooth(e, link(h))` needs the link twice, at h and at -h.
    fn noise(
        &mut self,
        noise: Noise,
        rate: &'a ast::Expr,
        link: &'a ast::Expr,
        span: Span,
    ) -> Option<Value> {
        let (rate, plain) = (self.number(rate), self.number(link));
        let (rate, plain) = (rate?, plain?);
        let Kind::Link(l, h, extra) = self.exprs[plain.id.0 as usize].kind else {
            self.error(
                Diagnostic::error("E0201", "label noise acts on a link")
                    .at(link.span, "not a link")
                    .help("write for example `smooth(epsilon, logistic(beta * rho))`"),
            );
            return None;
        };
        let minus = self.push(Kind::Call1(Fn1::Neg, h), link.span);
        let flipped = self.push(Kind::Link(l, minus, extra), link.span);
        self.node(Kind::Noise(noise, rate.id, plain.id, flipped), &[rate, plain], span)
    }

    /// The same expression with every log-probability taken of a mismatched response.
    fn mismatched(&mut self, id: ExprId, span: Span) -> Option<ExprId> {
        if self.exhausted {
            return None;
        }
        let Expr { kind, .. } = self.exprs[id.0 as usize];
        let sub = |this: &mut Self, x: ExprId| this.mismatched(x, span);
        let kind = match kind {
            Kind::Column(c) => {
                let model = match &self.columns[c].quantity {
                    Quantity::Logp { model, .. } if self.columns[c].level == Level::Example => {
                        model.clone()
                    }
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

/// How the language says what other places have a function for.
fn spelled(name: &str) -> Option<&'static str> {
    Some(match name {
        "logit" | "log_odds" => {
            "write `log(p / (1 - p))`; of a log-probability a it is `a - log1mexp(a)`"
        }
        "odds" => "write `p / (1 - p)`; of a log-probability a it is `exp(a - log1mexp(a))`",
        "logsumexp" => "of two numbers it is `logaddexp(a, b)`, over an index `logsumexp(i) s[i]`",
        "logdiffexp" => "write `a + log1mexp(b - a)`",
        "ln" => "the natural logarithm is `log(x)`",
        "relu" => "write `max(0, x)`",
        "detach" | "sg" => "write `stop_gradient(x)`",
        "expit" => "write `sigmoid(x)`",
        "tanh" => "write `2 * sigmoid(2 * x) - 1`",
        "clamp" => "write `clip(x, low, high)`",
        "pow" => "write `x ^ y`",
        "log_prob" | "logprob" | "logprobs" => "write `logp(pi, w)`",
        _ => return None,
    })
}
