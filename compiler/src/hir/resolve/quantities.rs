//! Calls that name models and responses: `logp(pi, w)`, `len(w)`, `pi(w)`.

use super::Resolver;
use super::builtin::QuantityFn as Q;
use crate::hir::model::*;
use crate::hir::quantity::Quantity;
use crate::logic::{self, AtomKind, MAX_VARIABLES};
use ponens_dsl::ast::{self, ExprKind};
use ponens_dsl::{Diagnostic, Span, suggest};

impl<'a> Resolver<'a> {
    /// The model that an argument names.
    fn model_arg(&mut self, e: &ast::Expr) -> Option<String> {
        let names: Vec<String> = self.models.iter().map(|m| m.name.clone()).collect();
        self.name_arg(e, &names, "model", "E0204")
    }

    /// The response that an argument names.
    fn response_arg(&mut self, e: &ast::Expr) -> Option<String> {
        let names: Vec<String> = self
            .shape
            .as_ref()
            .map(|s| s.responses().into_iter().map(str::to_owned).collect())
            .unwrap_or_default();
        self.name_arg(e, &names, "response", "E0203")
    }

    fn name_arg(
        &mut self,
        e: &ast::Expr,
        known: &[String],
        what: &str,
        code: &'static str,
    ) -> Option<String> {
        let list = || known.join(", ");
        let d = match &e.kind {
            ExprKind::Name(n) if known.contains(n) => return Some(n.clone()),
            ExprKind::Name(n) => {
                let d = Diagnostic::error(code, format!("this loss has no {what} `{n}`"))
                    .at(e.span, format!("not a {what}"));
                match suggest::closest(n, known.iter().map(String::as_str)) {
                    Some(s) => d.help(format!("did you mean `{s}`?")),
                    None if known.is_empty() => d.help(format!("declare a {what} first")),
                    None => d.help(format!("declared: {}", list())),
                }
            }
            _ => Diagnostic::error(code, format!("the name of a {what} is wanted here"))
                .at(e.span, "an expression")
                .help(format!("declared: {}", list())),
        };
        self.error(d);
        None
    }

    pub(super) fn quantity(
        &mut self,
        q: Q,
        usage: &str,
        callee: &ast::Name,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<ExprId> {
        let want = match q {
            Q::Len => 1,
            Q::Kl => 3,
            _ => 2,
        };
        if args.len() != want {
            self.arity(callee, usage, want, args.len(), span);
            return None;
        }
        let quantity = match q {
            Q::Len => Quantity::Len { response: self.response_arg(&args[0])? },
            Q::Kl => {
                let first = self.model_arg(&args[0]);
                let second = self.model_arg(&args[1]);
                let response = self.response_arg(&args[2]);
                Quantity::Kl { first: first?, second: second?, response: response? }
            }
            _ => {
                let model = self.model_arg(&args[0]);
                let response = self.response_arg(&args[1]);
                let (model, response) = (model?, response?);
                match q {
                    Q::MeanLogp | Q::Nll => Quantity::MeanLogp { model, response },
                    Q::SharedLogp => Quantity::SharedLogp { model, response },
                    Q::TailLogp => Quantity::TailLogp { model, response },
                    Q::LogSumP2 => Quantity::LogSumP2 { model, response },
                    _ => Quantity::Logp { model, response },
                }
            }
        };
        let column = self.column(quantity);
        let id = self.push(Kind::Column(column), span);
        Some(if q == Q::Nll { self.push(Kind::Call1(Fn1::Neg, id), span) } else { id })
    }

    /// The atom `model(response)`, added on first use.
    pub(super) fn atom(
        &mut self,
        callee: &ast::Name,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<usize> {
        if args.len() != 1 {
            self.arity(callee, &format!("{}(response)", callee.text), 1, args.len(), span);
            return None;
        }
        let response = self.response_arg(&args[0])?;
        let model = self.models.iter().find(|m| m.name == callee.text)?;
        let (name, mean) = (model.name.clone(), model.aggregate == Aggregate::Mean);
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
        let column = self.column(if mean {
            Quantity::MeanLogp { model: name, response }
        } else {
            Quantity::Logp { model: name, response }
        });
        self.atoms.push(Atom { atom, column });
        Some(self.atoms.len() - 1)
    }
}
