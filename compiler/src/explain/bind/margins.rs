//! The numbers of a loss that enter a link, or another function of a margin.

use super::Binder;
use crate::explain::rho;
use crate::hir::{ExprId, Fn1, Fn2, Kind, Quantity};
use crate::mir::Level;

/// A number, and the function that it enters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margin {
    /// The value of the function.
    pub(super) node: ExprId,
    /// The number.
    pub(super) argument: ExprId,
    pub(super) form: Form,
}

/// The functions that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A link by its name.
    Link,
    /// Plus or minus softplus(-x), of x or of -x.
    Logistic {
        /// The node is minus the link: `log_sigmoid(x)`.
        value: bool,
        /// The link is of minus the number: `softplus(x)`.
        argument: bool,
    },
    /// max(0, x)
    Hinge,
    /// x^2
    Squared,
    /// Any other: sigmoid(x), e^x.
    Value,
}

impl Form {
    /// Whether the function falls in its number, as a link does in rho; `None` where that is open.
    pub(super) fn falls(self, link_falls: bool) -> Option<bool> {
        match self {
            Form::Link => link_falls.then_some(true),
            Form::Logistic { argument, .. } => Some(!argument),
            Form::Hinge => Some(false),
            Form::Squared | Form::Value => None,
        }
    }
}

impl Binder {
    /// The margins in a term, from left to right.
    pub(super) fn margins(&self, id: ExprId) -> Vec<Margin> {
        let mut out = Vec::new();
        self.collect(id, &mut out);
        out
    }

    fn collect(&self, id: ExprId, out: &mut Vec<Margin>) {
        if self.loss.expr(id).level > Level::Example || !self.has_weight(id) {
            return;
        }
        if let Some((form, argument)) = self.form(id) {
            out.push(Margin { node: id, argument, form });
            return;
        }
        match self.kind(id) {
            // A weight of the term, not a part of it.
            Kind::Call1(Fn1::StopGradient, _) | Kind::Batch(..) => {}
            Kind::Noise(_, _, a, b) | Kind::If(_, a, b) => {
                self.collect(a, out);
                self.collect(b, out);
            }
            kind => kind.operands().into_iter().for_each(|o| self.collect(o, out)),
        }
    }

    fn form(&self, id: ExprId) -> Option<(Form, ExprId)> {
        let is = |id: ExprId, x: f64| self.kind(id) == Kind::Number(x);
        let softplus = |x| Some((Form::Logistic { value: false, argument: true }, x));
        let log_sigmoid = |x| Some((Form::Logistic { value: true, argument: false }, x));
        let exponent = |id: ExprId| match self.kind(id) {
            Kind::Call1(Fn1::Exp, x) => Some(x),
            _ => None,
        };
        match self.kind(id) {
            Kind::Link(_, x, _) => Some((Form::Link, x)),
            Kind::Call1(Fn1::LogSigmoid, x) => log_sigmoid(x),
            Kind::Call1(Fn1::Softplus, x) => softplus(x),
            Kind::Call1(Fn1::Log1p, a) => softplus(exponent(a)?),
            Kind::Call1(Fn1::Log, a) => match self.kind(a) {
                Kind::Call1(Fn1::Sigmoid, x) => log_sigmoid(x),
                Kind::Call2(Fn2::Add, one, e) if is(one, 1.0) => softplus(exponent(e)?),
                Kind::Call2(Fn2::Add, e, one) if is(one, 1.0) => softplus(exponent(e)?),
                Kind::Call2(Fn2::Div, one, b) if is(one, 1.0) => match self.kind(b) {
                    Kind::Call2(Fn2::Add, one, e) if is(one, 1.0) => {
                        Some((Form::Logistic { value: true, argument: true }, exponent(e)?))
                    }
                    _ => None,
                },
                _ => None,
            },
            Kind::Call2(Fn2::LogAddExp, zero, x) if is(zero, 0.0) => softplus(x),
            Kind::Call2(Fn2::LogAddExp, x, zero) if is(zero, 0.0) => softplus(x),
            Kind::Call1(Fn1::Square, x) => Some((Form::Squared, x)),
            Kind::Call2(Fn2::Pow, x, two) if is(two, 2.0) => Some((Form::Squared, x)),
            Kind::Call2(Fn2::Mul, x, y) if x == y => Some((Form::Squared, x)),
            Kind::Call2(Fn2::Max, zero, x) if is(zero, 0.0) => Some((Form::Hinge, x)),
            Kind::Call2(Fn2::Max, x, zero) if is(zero, 0.0) => Some((Form::Hinge, x)),
            Kind::Call1(Fn1::Sigmoid | Fn1::Exp, x) => Some((Form::Value, x)),
            _ => None,
        }
    }

    /// Whether the probability of a response enters.
    pub(super) fn has_weight(&self, id: ExprId) -> bool {
        let kind = self.kind(id);
        match kind {
            Kind::Probability(_) => true,
            Kind::Column(c) => {
                let quantity = &self.loss.columns[c].quantity;
                rho::atom(quantity).is_some() || is_part(quantity)
            }
            _ => kind.operands().into_iter().any(|o| self.has_weight(o)),
        }
    }

    /// Whether it is a log-probability of some of a response's tokens: like a weight, and none.
    pub(super) fn is_part(&self, id: ExprId) -> bool {
        matches!(self.kind(id), Kind::Column(c) if is_part(&self.loss.columns[c].quantity))
    }
}

fn is_part(quantity: &Quantity) -> bool {
    matches!(
        quantity,
        Quantity::SharedLogp { .. } | Quantity::TailLogp { .. } | Quantity::DivergedLogp { .. }
    )
}
