//! Visits every span of a tree: to forget places before trees are compared, or to move them.

use super::{
    Clause, Comment, Data, DataArg, Expr, ExprKind, File, Function, Import, Item, Loss, Model,
    Name, Param, Range, Variant,
};
use crate::span::Span;

/// Trees whose spans can be changed.
pub trait Spans {
    /// Calls `visit` on every span of the tree, each once.
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span));

    /// Sets every span to the default one, so that `==` compares trees up to spans.
    fn strip_spans(&mut self) {
        self.each_span(&mut |span| *span = Span::default());
    }
}

impl<T: Spans> Spans for [T] {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.iter_mut().for_each(|part| part.each_span(visit));
    }
}

impl<T: Spans> Spans for Option<T> {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.iter_mut().for_each(|part| part.each_span(visit));
    }
}

impl Spans for File {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        if let Some((_, span)) = &mut self.edition {
            visit(span);
        }
        self.imports.each_span(visit);
        self.items.each_span(visit);
        self.comments.each_span(visit);
    }
}

impl Spans for Import {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        visit(&mut self.span);
    }
}

impl Spans for Comment {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        visit(&mut self.span);
    }
}

impl Spans for Name {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        visit(&mut self.span);
    }
}

impl Spans for Range {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        visit(&mut self.span);
    }
}

impl Spans for Item {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        match self {
            Item::Loss(loss) => loss.each_span(visit),
            Item::Variant(variant) => variant.each_span(visit),
            Item::Function(function) => function.each_span(visit),
        }
    }
}

impl Spans for Loss {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.name.each_span(visit);
        self.params.each_span(visit);
        self.clauses.each_span(visit);
        visit(&mut self.span);
    }
}

impl Spans for Variant {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.name.each_span(visit);
        self.base.each_span(visit);
        for (key, value) in &mut self.overrides {
            key.each_span(visit);
            value.each_span(visit);
        }
        visit(&mut self.span);
    }
}

impl Spans for Function {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.name.each_span(visit);
        self.args.each_span(visit);
        self.body.each_span(visit);
        visit(&mut self.span);
    }
}

impl Spans for Param {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.name.each_span(visit);
        self.default.each_span(visit);
        self.range.each_span(visit);
        visit(&mut self.span);
    }
}

impl Spans for Clause {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        match self {
            Clause::Data(data) => data.each_span(visit),
            Clause::Model(model) => model.each_span(visit),
            Clause::Column { name, of, range, span } => {
                name.each_span(visit);
                of.each_span(visit);
                range.each_span(visit);
                visit(span);
            }
            Clause::Let { name, indices, value, span } => {
                name.each_span(visit);
                indices.each_span(visit);
                value.each_span(visit);
                visit(span);
            }
            Clause::Rho { value, span } | Clause::Minimize { value, span } => {
                value.each_span(visit);
                visit(span);
            }
            Clause::Prefer { formula, span }
            | Clause::Given { formula, span }
            | Clause::Tie { formula, span } => {
                formula.each_span(visit);
                visit(span);
            }
        }
    }
}

impl Spans for Data {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.shape.each_span(visit);
        for arg in &mut self.args {
            match arg {
                DataArg::Plain(name) => name.each_span(visit),
                DataArg::Ordered(first, second) | DataArg::Family(first, second) => {
                    first.each_span(visit);
                    second.each_span(visit);
                }
            }
        }
        visit(&mut self.span);
    }
}

impl Spans for Model {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        self.name.each_span(visit);
        self.role.each_span(visit);
        for option in &mut self.options {
            option.key.each_span(visit);
            option.value.each_span(visit);
        }
        visit(&mut self.span);
    }
}

impl Spans for Expr {
    fn each_span(&mut self, visit: &mut dyn FnMut(&mut Span)) {
        match &mut self.kind {
            ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Name(_) => {}
            ExprKind::Call { callee, args } => {
                callee.each_span(visit);
                args.each_span(visit);
            }
            ExprKind::Index { base, index } => {
                base.each_span(visit);
                index.each_span(visit);
            }
            ExprKind::Unary { operand, .. } => operand.each_span(visit),
            ExprKind::Binary { lhs, rhs, .. } => {
                lhs.each_span(visit);
                rhs.each_span(visit);
            }
            ExprKind::If { cond, then, otherwise } => {
                cond.each_span(visit);
                then.each_span(visit);
                otherwise.each_span(visit);
            }
            ExprKind::Reduce { var, op, bound, body } => {
                op.each_span(visit);
                var.each_span(visit);
                if let Some((_, bound)) = bound {
                    bound.each_span(visit);
                }
                body.each_span(visit);
            }
        }
        visit(&mut self.span);
    }
}
