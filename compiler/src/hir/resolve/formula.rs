//! The core: `prefer`, `given` and `tie` as truth tables, or `rho = ..` as an expression.

use super::Resolver;
use crate::hir::model::*;
use crate::logic::{Formula, LargeStructure, MAX_ATOMS, Structure, StructureError};
use ponens_dsl::ast::{self, BinaryOp, Clause, ExprKind, UnaryOp};
use ponens_dsl::{Diagnostic, Span};

impl<'a> Resolver<'a> {
    pub(super) fn core(&mut self, loss: &'a ast::Loss) {
        let mut clauses: [Option<(&ast::Expr, Span)>; 4] = [None; 4];
        for c in &loss.clauses {
            let (slot, e, span) = match c {
                Clause::Prefer { formula, span } => (0, formula, *span),
                Clause::Given { formula, span } => (1, formula, *span),
                Clause::Tie { formula, span } => (2, formula, *span),
                Clause::Rho { value, span } => (3, value, *span),
                _ => continue,
            };
            if let Some((_, first)) = clauses[slot] {
                let name = ["prefer", "given", "tie", "rho"][slot];
                self.error(
                    Diagnostic::error("E0106", format!("`{name}` stands twice"))
                        .at(span, "this is the second")
                        .at(first, "the first stands here"),
                );
            } else {
                clauses[slot] = Some((e, span));
            }
        }
        match clauses {
            [None, None, None, None] => {}
            [None, None, None, Some((value, span))] => {
                self.in_core = true;
                let v = self.number(value);
                self.in_core = false;
                if let Some(v) = v {
                    self.core = Some(Core::Arithmetic { value: v.id, span });
                }
            }
            [Some((_, p)), _, _, Some((_, rho))] => self.error(
                Diagnostic::error("E0106", "rho is bound twice: by an expression and by logic")
                    .at(rho, "bound here by an expression")
                    .at(p, "and here by a formula")
                    .help("keep one of the two; `compare` can prove them equal"),
            ),
            [Some(p), g, t, None] => self.logical_core(p, g, t),
            [None, g, t, _] => {
                let span = g.or(t).map_or(loss.span, |(_, s)| s);
                self.error(
                    Diagnostic::error("E0105", "a constraint needs a core formula")
                        .at(span, "constrains nothing")
                        .help("add a `prefer` clause"),
                );
            }
        }
    }

    fn logical_core(
        &mut self,
        prefer: (&'a ast::Expr, Span),
        given: Option<(&'a ast::Expr, Span)>,
        tie: Option<(&'a ast::Expr, Span)>,
    ) {
        let p = self.formula(prefer.0);
        let g = given.map_or(Some(Formula::True), |(e, _)| self.formula(e));
        let t = tie.map_or(Some(Formula::False), |(e, _)| self.formula(e));
        let (Some(p), Some(g), Some(t)) = (p, g, t) else { return };
        let n = self.atoms.len();
        let atoms = self.atoms.iter().map(|a| a.atom.clone()).collect();
        let (core, checked) = if n > MAX_ATOMS {
            let checked = LargeStructure::from_clauses(atoms, &p, &g, &t);
            let core = Core::Large { prefer: p, given: g, tie: t, span: prefer.1 };
            (core, checked.and_then(|s| s.validate()))
        } else {
            let (p, g, t) = (p.table(n), g.table(n), t.table(n));
            let checked = Structure::from_clauses(atoms, p, g, t);
            let core = Core::Logical { prefer: p, given: g, tie: t, span: prefer.1 };
            (core, checked.and_then(|s| s.validate()))
        };
        if let Err(e) = checked {
            let note = match e {
                StructureError::NoWinningRow => {
                    "under a logistic or hinge link the loss would be infinite everywhere"
                }
                StructureError::NoLosingRow => {
                    "under a logistic or hinge link the loss would be 0 everywhere: nothing to learn"
                }
                _ => "rho is not defined",
            };
            let code = match e {
                StructureError::TooManyAtoms(_) => "E0503",
                _ => "E0502",
            };
            self.error(
                Diagnostic::error(code, e.to_string())
                    .at(prefer.1, "this core formula")
                    .note(note)
                    .help("weaken the `given` clause, or change the core formula"),
            );
            return;
        }
        self.core = Some(core);
    }

    fn formula(&mut self, e: &'a ast::Expr) -> Option<Formula> {
        match &e.kind {
            ExprKind::Bool(b) => Some(if *b { Formula::True } else { Formula::False }),
            ExprKind::Unary { op: UnaryOp::Not, operand } => Some(self.formula(operand)?.negated()),
            ExprKind::Binary {
                op:
                    op @ (BinaryOp::And
                    | BinaryOp::Or
                    | BinaryOp::Implies
                    | BinaryOp::Iff
                    | BinaryOp::Xor),
                lhs,
                rhs,
            } => {
                let (a, b) = (self.formula(lhs), self.formula(rhs));
                let (a, b) = (a?, b?);
                Some(match op {
                    BinaryOp::And => Formula::And(vec![a, b]),
                    BinaryOp::Or => Formula::Or(vec![a, b]),
                    BinaryOp::Implies => a.implies(b),
                    BinaryOp::Iff => a.iff(b),
                    _ => a.xor(b),
                })
            }
            ExprKind::Call { callee, args } if self.model_named(&callee.text).is_some() => {
                self.atom(callee, args, e.span).map(Formula::Atom)
            }
            // One argument, and no function: an atom of a model that is not there.
            ExprKind::Call { callee, args } if args.len() == 1 && !self.is_function(callee) => {
                let kind = ExprKind::Name(callee.text.clone());
                self.model_arg(&ast::Expr { kind, span: callee.span });
                None
            }
            _ => {
                let mut d = Diagnostic::error("E0201", "a formula is wanted here, not a number")
                    .at(e.span, "not a formula");
                d = match self.models.iter().find(|m| m.role == Role::Policy) {
                    Some(m) => d.help(format!(
                        "formulas are built from atoms such as `{}({})` with ! & | xor -> <->",
                        m.name,
                        self.shape
                            .as_ref()
                            .and_then(|s| s.responses().first().copied())
                            .unwrap_or("w")
                    )),
                    None => d,
                };
                self.error(d);
                None
            }
        }
    }
}
