//! The core: `prefer`, `given` and `tie` as truth tables, or `rho = ..` as an expression.

use super::Resolver;
use crate::hir::model::*;
use crate::logic::Table;
use ponens_dsl::ast::{self, BinaryOp, Clause, ExprKind, UnaryOp};
use ponens_dsl::{Diagnostic, Span, print};

/// The same function after atom `i` has become atom `place(i)`, of `n` atoms in all.
pub(super) fn permute(t: Table, n: usize, place: &dyn Fn(usize) -> usize) -> Table {
    let mut out = 0u64;
    for row in 0..1u64 << n {
        let moved: u64 = (0..n).map(|i| (row >> i & 1) << place(i)).sum();
        out |= (t.0 >> row & 1) << moved;
    }
    Table(out)
}

/// A formula over the atoms found so far; evaluated once all atoms are known.
enum Formula {
    Constant(bool),
    Atom(usize),
    Not(Box<Formula>),
    Binary(BinaryOp, Box<Formula>, Box<Formula>),
}

impl Formula {
    fn holds(&self, row: u64) -> bool {
        match self {
            Formula::Constant(b) => *b,
            Formula::Atom(i) => row >> i & 1 == 1,
            Formula::Not(f) => !f.holds(row),
            Formula::Binary(op, a, b) => {
                let (a, b) = (a.holds(row), b.holds(row));
                match op {
                    BinaryOp::And => a && b,
                    BinaryOp::Or => a || b,
                    BinaryOp::Implies => !a || b,
                    BinaryOp::Iff => a == b,
                    _ => a != b,
                }
            }
        }
    }

    fn table(&self, n: usize) -> Table {
        Table((0..1u64 << n).map(|r| u64::from(self.holds(r)) << r).sum())
    }
}

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
                let id = self.number(value);
                self.in_core = false;
                if let Some(value) = id {
                    self.core = Some(Core::Arithmetic { value, span });
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
        let g = given.map_or(Some(Formula::Constant(true)), |(e, _)| self.formula(e));
        let t = tie.map_or(Some(Formula::Constant(false)), |(e, _)| self.formula(e));
        let (Some(p), Some(g), Some(t)) = (p, g, t) else { return };
        let n = self.atoms.len();
        let all = Table(if n == 6 { u64::MAX } else { (1 << (1u64 << n)) - 1 });
        let (pt, gt, tt) = (p.table(n), g.table(n), t.table(n));
        let wins = (pt.0 | tt.0) & gt.0;
        let loses = ((!pt.0 & all.0) | tt.0) & gt.0;
        for (rows, what) in [(wins, "winning"), (loses, "losing")] {
            if rows == 0 {
                self.error(
                    Diagnostic::error("E0502", format!("the structure has no {what} row"))
                        .at(prefer.1, "no truth assignment is counted on that side")
                        .note("rho would be infinite everywhere")
                        .help("weaken the `given` clause, or change the core formula"),
                );
                return;
            }
        }
        let text = |c: Option<(&ast::Expr, Span)>, d: &str| {
            c.map_or(d.to_owned(), |(e, _)| print::expr(e))
        };
        self.core = Some(Core::Logical {
            prefer: pt,
            given: gt,
            tie: tt,
            texts: [print::expr(prefer.0), text(given, "true"), text(tie, "false")],
            span: prefer.1,
        });
    }

    fn formula(&mut self, e: &'a ast::Expr) -> Option<Formula> {
        match &e.kind {
            ExprKind::Bool(b) => Some(Formula::Constant(*b)),
            ExprKind::Unary { op: UnaryOp::Not, operand } => {
                Some(Formula::Not(Box::new(self.formula(operand)?)))
            }
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
                Some(Formula::Binary(*op, Box::new(a?), Box::new(b?)))
            }
            ExprKind::Call { callee, args }
                if self.models.iter().any(|m| m.name == callee.text) =>
            {
                self.atom(callee, args, e.span).map(Formula::Atom)
            }
            _ => {
                let mut d = Diagnostic::error("E0201", "a formula is wanted here, not a number")
                    .at(e.span, "not a formula");
                d = match self.models.iter().find(|m| m.role == Role::Policy) {
                    Some(m) => d.help(format!(
                        "formulas are built from atoms such as `{}({})` with ! & | xor -> <->",
                        m.name,
                        self.shape.as_ref().and_then(|s| s.responses().first().copied()).unwrap_or("w")
                    )),
                    None => d,
                };
                self.error(d);
                None
            }
        }
    }
}
