//! What a loss declares: parameters, data shape, models, columns, names.

use super::{Binding, Resolver, State};
use crate::hir::model::*;
use crate::mir::Interval;
use ponens_dsl::ast::{self, Clause, DataArg, ExprKind};
use ponens_dsl::{Diagnostic, Span, suggest};

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
            let first = loss.params.iter().find(|q| q.name.text == p.name.text);
            if let Some(first) = first.filter(|f| f.span != p.span) {
                let message = format!("parameter `{}` is declared twice", p.name.text);
                self.error(
                    Diagnostic::error("E0102", message)
                        .at(p.name.span, "declared again")
                        .at(first.name.span, "first declared here"),
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
                        continue;
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
                            .at(e.span, format!("not in {range}")),
                        );
                        continue;
                    }
                    Some(v) => Some(v),
                },
            };
            self.params.push(Param { name: p.name.text.clone(), default, range });
            self.params_used.push(false);
        }
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
                Clause::Column { name, range, span } => {
                    self.claim(name);
                    let range = range.as_ref().map_or(Interval::REAL, interval);
                    let _ = span;
                    self.data_columns.insert(&name.text, range);
                }
                Clause::Let { name, index, value, span } => {
                    if let Some(i) = index {
                        self.error(
                            Diagnostic::error(
                                "E0205",
                                "indexed definitions need `ranked` or `trajectory` data",
                            )
                            .at(i.span, "no loop in sight for this index"),
                        );
                        continue;
                    }
                    self.claim(name);
                    let b = Binding { value, span: *span, state: State::Unresolved, used: false };
                    self.lets.insert(&name.text, b);
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
    fn claim(&mut self, name: &ast::Name) {
        let n = name.text.as_str();
        let taken = self.params.iter().any(|p| p.name == n)
            || self.models.iter().any(|m| m.name == n)
            || self.data_columns.contains_key(n)
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

    fn data_shape(&mut self, d: &'a ast::Data) -> Option<DataShape> {
        let usage = |this: &mut Self, form: &str| {
            this.error(
                Diagnostic::error("E0203", format!("`{}` data are written `{form}`", d.shape.text))
                    .at(d.span, "not of that form"),
            );
            None
        };
        match d.shape.text.as_str() {
            "pair" => match d.args.as_slice() {
                [DataArg::Ordered(w, l), rest @ ..] => {
                    let mut others = Vec::new();
                    for a in rest {
                        match a {
                            DataArg::Plain(n) => others.push(n.text.clone()),
                            _ => return usage(self, "pair(w > l, other)"),
                        }
                    }
                    if w.text == l.text {
                        self.error(
                            Diagnostic::error("E0102", "a response is not preferred to itself")
                                .at(l.span, "the same name as the winner"),
                        );
                        return None;
                    }
                    Some(DataShape::Pair { winner: w.text.clone(), loser: l.text.clone(), others })
                }
                _ => usage(self, "pair(w > l)"),
            },
            "labelled" => match d.args.as_slice() {
                [DataArg::Plain(y), DataArg::Plain(good)] => {
                    Some(DataShape::Labelled { response: y.text.clone(), label: good.text.clone() })
                }
                _ => usage(self, "labelled(y, good)"),
            },
            "ranked" | "trajectory" | "group" => {
                self.error(
                    Diagnostic::error(
                        "E0205",
                        format!("`{}` data parse, and are not compiled yet", d.shape.text),
                    )
                    .at(d.shape.span, "only `pair` and `labelled` data are compiled"),
                );
                None
            }
            other => {
                let mut e = Diagnostic::error("E0203", format!("there is no data shape `{other}`"))
                    .at(d.shape.span, "unknown shape");
                let known = ["pair", "labelled", "ranked", "trajectory", "group"];
                e = match suggest::closest(other, known) {
                    Some(s) => e.help(format!("did you mean `{s}`?")),
                    None => e.help("shapes are pair, labelled, ranked, trajectory and group"),
                };
                self.error(e);
                None
            }
        }
    }

    fn model(&mut self, m: &'a ast::Model) {
        self.claim(&m.name);
        let role = match m.role.text.as_str() {
            "policy" => Role::Policy,
            "reference" => Role::Reference,
            other => {
                self.error(
                    Diagnostic::error("E0204", format!("a model is not a `{other}`"))
                        .at(m.role.span, "unknown role")
                        .help("a model is `policy` (trained) or `reference` (frozen)"),
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
        for o in &m.options {
            match (o.key.text.as_str(), &o.value.kind) {
                ("aggregate", ExprKind::Name(n)) if n == "sum" => aggregate = Aggregate::Sum,
                ("aggregate", ExprKind::Name(n)) if n == "mean" => aggregate = Aggregate::Mean,
                ("aggregate", _) => self.error(
                    Diagnostic::error("E0205", "token log-probabilities are summed or averaged")
                        .at(o.value.span, "neither `sum` nor `mean`")
                        .help("write `aggregate sum` or `aggregate mean`"),
                ),
                (other, _) => {
                    let d = Diagnostic::error("E0204", format!("a model has no option `{other}`"))
                        .at(o.key.span, "unknown option")
                        .help("the option of a model is `aggregate sum` or `aggregate mean`");
                    self.error(d);
                }
            }
        }
        self.models.push(Model { name: m.name.text.clone(), role, aggregate, span: m.span });
    }
}
