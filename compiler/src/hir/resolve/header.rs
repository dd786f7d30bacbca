//! What a loss declares: parameters, data shape, models, columns, names.

use super::{Binding, Resolver, State};
use crate::hir::model::*;
use crate::mir::Interval;
use ponens_dsl::ast::{self, Clause, ExprKind};
use ponens_dsl::{Diagnostic, Span};

/// The interval of a written range.
pub(super) fn interval(range: &ast::Range) -> Interval {
    Interval {
        lo: range.lo,
        hi: range.hi,
        lo_open: !range.lo_closed || range.lo.is_infinite(),
        hi_open: !range.hi_closed || range.hi.is_infinite(),
    }
}

/// The value of an expression of numbers alone.
pub(super) fn constant(e: &ast::Expr) -> Option<f64> {
    use ast::{BinaryOp as B, UnaryOp};
    let v = match &e.kind {
        ExprKind::Number(x) => *x,
        ExprKind::Unary { op: UnaryOp::Neg, operand } => -constant(operand)?,
        ExprKind::Binary { op, lhs, rhs } => {
            let (a, b) = (constant(lhs)?, constant(rhs)?);
            match op {
                B::Add => a + b,
                B::Sub => a - b,
                B::Mul => a * b,
                B::Div => a / b,
                B::Pow => a.powf(b),
                _ => return None,
            }
        }
        _ => return None,
    };
    v.is_finite().then_some(v)
}

impl<'a> Resolver<'a> {
    pub(super) fn params(&mut self, loss: &'a ast::Loss) {
        for p in &loss.params {
            if let Some(first) = self.param_places.get(p.name.text.as_str()).copied() {
                let message = format!("parameter `{}` is declared twice", p.name.text);
                self.error(
                    Diagnostic::error("E0102", message)
                        .at(p.name.span, "declared again")
                        .at(self.param_spans[first], "first declared here"),
                );
                continue;
            }
            let range = p.range.as_ref().map_or(Interval::REAL, interval);
            if range.lo > range.hi || (range.lo == range.hi && (range.lo_open || range.hi_open)) {
                let span = p.range.as_ref().map_or(p.span, |r| r.span);
                self.error(
                    Diagnostic::error("E0301", format!("the range {range} holds no number"))
                        .at(span, "empty"),
                );
                self.declare(p, None, Interval::REAL);
                continue;
            }
            let default = match &p.default {
                None => None,
                Some(e) => match constant(e) {
                    None => {
                        self.error(
                            Diagnostic::error("E0304", "a parameter's default is a number")
                                .at(e.span, "not a constant")
                                .help("compute it with `let` from other parameters instead"),
                        );
                        None
                    }
                    Some(v) if !range.contains(v) => {
                        self.error(
                            Diagnostic::error(
                                "E0301",
                                format!(
                                    "the default {v} of `{}` lies outside its range {range}",
                                    p.name.text
                                ),
                            )
                            .at(e.span, format!("not in {range}"))
                            .help("change the default, or the range"),
                        );
                        None
                    }
                    Some(v) => Some(v),
                },
            };
            self.declare(p, default, range);
        }
    }

    /// A parameter that is wrong is declared all the same, so that its uses are not reported too.
    fn declare(&mut self, p: &'a ast::Param, default: Option<f64>, range: Interval) {
        self.param_places.insert(&p.name.text, self.params.len());
        self.params.push(Param { name: p.name.text.clone(), default, range });
        self.params_used.push(false);
        self.param_spans.push(p.name.span);
    }

    pub(super) fn header(&mut self, loss: &'a ast::Loss) {
        let mut data: Option<Span> = None;
        for c in &loss.clauses {
            match c {
                Clause::Data(d) => {
                    if let Some(first) = data.replace(d.span) {
                        self.error(
                            Diagnostic::error("E0106", "a loss has one `data` clause")
                                .at(d.span, "this is the second")
                                .at(first, "the first stands here"),
                        );
                    } else {
                        self.shape = self.data_shape(d);
                    }
                }
                Clause::Model(m) => self.model(m),
                _ => {}
            }
        }
        // What a column or definition means depends on the shape, wherever that is written.
        for c in &loss.clauses {
            match c {
                Clause::Column { name, of, range, .. } => {
                    self.data_column(name, of.as_ref(), range.as_ref());
                }
                Clause::Let { name, indices, value, span } => {
                    self.claim(name);
                    let (span, state, used) = (*span, State::Unresolved, false);
                    self.lets.insert(&name.text, Binding { indices, value, span, state, used });
                }
                _ => {}
            }
        }
        if data.is_none() {
            self.error(
                Diagnostic::error(
                    "E0105",
                    format!("loss `{}` does not say what its data look like", loss.name.text),
                )
                .at(loss.name.span, "no `data` clause in this loss")
                .help("add a line such as `data pair(w > l)`"),
            );
        }
        if !self.models.iter().any(|m| m.role == Role::Policy) {
            self.error(
                Diagnostic::error("E0204", "no model is trained")
                    .at(loss.name.span, "no `model .. = policy` clause in this loss")
                    .help("add the line `model pi = policy`"),
            );
        }
    }

    /// Reports a name that is already taken in this loss.
    pub(super) fn claim(&mut self, name: &ast::Name) {
        let n = name.text.as_str();
        let taken = self.param_places.contains_key(n)
            || self.model_places.contains_key(n)
            || self.data_columns.contains_key(n)
            || self.size_name(n).is_some()
            || self.lets.contains_key(n)
            || self.shape.as_ref().is_some_and(|s| s.responses().contains(&n));
        if taken {
            self.error(
                Diagnostic::error("E0102", format!("`{n}` already has a meaning in this loss"))
                    .at(name.span, "defined again")
                    .help("choose another name"),
            );
        }
    }

    fn model(&mut self, m: &'a ast::Model) {
        self.claim(&m.name);
        let role = match m.role.text.as_str() {
            "policy" => Role::Policy,
            "reference" => Role::Reference,
            "sampler" => Role::Sampler,
            other => {
                self.error(
                    Diagnostic::error("E0204", format!("a model is not a `{other}`"))
                        .at(m.role.span, "unknown role")
                        .help(
                            "a model is `policy` (trained), `reference` (frozen), or `sampler` (the \
                             policy that the responses were sampled from)",
                        ),
                );
                return;
            }
        };
        let first = self.models.iter().find(|o| o.role == Role::Policy && role == Role::Policy);
        if let Some(first) = first.map(|o| o.span) {
            self.error(
                Diagnostic::error("E0204", "one model is trained, not two")
                    .at(m.span, "a second policy")
                    .at(first, "the first policy"),
            );
        }
        let mut aggregate = Aggregate::Sum;
        let mut heads = Vec::new();
        for o in &m.options {
            match o.key.text.as_str() {
                "aggregate" => {
                    self.aggregates.insert(&m.name.text, &o.value);
                    aggregate = self.aggregate(&o.value);
                }
                "head" => heads.extend(self.head(&o.value)),
                other => {
                    let d = Diagnostic::error("E0204", format!("a model has no option `{other}`"))
                        .at(o.key.span, "unknown option")
                        .help("the options of a model are `aggregate` and `head`");
                    self.error(d);
                }
            }
        }
        let name = m.name.text.clone();
        self.model_places.entry(&m.name.text).or_insert(self.models.len());
        self.models.push(Model { name, role, aggregate, heads, span: m.span });
    }

    fn aggregate(&mut self, e: &ast::Expr) -> Aggregate {
        let found = match &e.kind {
            ExprKind::Name(n) if n == "sum" => Some(Aggregate::Sum),
            ExprKind::Name(n) if n == "mean" => Some(Aggregate::Mean),
            ExprKind::Name(n) if n == "diverged" => Some(Aggregate::Diverged),
            ExprKind::Binary { op: ast::BinaryOp::Pow, lhs, .. } if matches!(&lhs.kind, ExprKind::Name(n) if n == "len") => {
                Some(Aggregate::Length)
            }
            ExprKind::Call { callee, args } if callee.text == "shared" && args.len() == 1 => {
                Some(Aggregate::Shared)
            }
            _ => None,
        };
        let pairwise = matches!(found, Some(Aggregate::Diverged | Aggregate::Shared));
        let known = self.shape.as_ref().is_some_and(|s| !matches!(s, DataShape::Pair { .. }));
        let d = match found {
            Some(_) if pairwise && known => {
                Diagnostic::error("E0205", "this aggregate compares two responses")
                    .at(e.span, "needs `pair` data")
                    .help("use `sum`, `mean` or `len ^ p`")
            }
            Some(found) => return found,
            None => Diagnostic::error("E0205", "token log-probabilities do not aggregate like this")
                .at(e.span, "no known aggregate")
                .help(
                    "write `sum`, `mean`, `len ^ p` (sum / len^p), `shared(alpha)` (tokens past the \
                     other response's length weigh alpha) or `diverged` (tokens after the responses \
                     part)",
                ),
        };
        self.error(d);
        Aggregate::Sum
    }

    fn head(&mut self, e: &ast::Expr) -> Option<Head> {
        let heads = [Head::Value, Head::Reward, Head::Advantage];
        let named = |h: &Head| matches!(&e.kind, ExprKind::Name(n) if *n == h.to_string());
        let found = heads.into_iter().find(named);
        if found.is_none() {
            self.error(
                Diagnostic::error("E0204", "there is no such head")
                    .at(e.span, "unknown head")
                    .help("a head is `value`, `reward` or `advantage`"),
            );
        }
        found
    }
}
