//! The functions of PyTorch that the language has.
//!
//! In: a function's full name, or that of a tensor's method, with its arguments. Out: a symbol, or `None`
//! where the function is not known. A logarithm of a sigmoid becomes a link, which is where rho is
//! looked for.

use super::finish::again;
use super::symbol::{Symbol, Tensor, binary, call, choose, compare, negate, tensor};
use ponens_dsl::Span;
use ponens_dsl::ast::{BinaryOp, CompareOp, ExprKind, UnaryOp};

/// The arguments of a call.
pub(super) struct Arguments {
    pub(super) plain: Vec<Symbol>,
    pub(super) named: Vec<(String, Symbol)>,
    pub(super) span: Span,
}

impl Arguments {
    /// An argument by its place or name.
    fn get(&self, place: usize, name: &str) -> Option<&Symbol> {
        self.plain.get(place).or_else(|| self.named.iter().find(|(n, _)| n == name).map(|(_, s)| s))
    }

    fn tensor(&self, place: usize, name: &str) -> Option<Tensor> {
        tensor(self.get(place, name)?, self.span)
    }

    fn all(&self) -> impl Iterator<Item = &Symbol> {
        self.plain.iter().chain(self.named.iter().map(|(_, s)| s))
    }

    /// True when nothing else than these is given.
    fn only(&self, most: usize, names: &[&str]) -> bool {
        self.plain.len() <= most && self.named.iter().all(|(n, _)| names.contains(&n.as_str()))
    }
}

/// Calls a function by its last name; a method has the tensor as its first argument.
pub(super) fn function(name: &str, args: &Arguments) -> Option<Symbol> {
    let span = args.span;
    // Arguments that do not change what is computed.
    let one = |names: &[&str]| {
        let known = [names, &["input", "x", "inplace", "dim", "keepdim"]].concat();
        let off = |(n, s): &(String, Symbol)| n != "inplace" || matches!(s, Symbol::Bool(false));
        let fits = args.only(1, &known) && args.named.iter().all(off);
        fits.then(|| args.get(0, "input")).flatten()
    };
    let number = |f: fn(f64) -> f64, x: &Symbol| x.number().map(|x| Symbol::Number(f(x)));
    let plain = |theirs: fn(f64) -> f64, ours: &str| {
        let x = one(&[])?;
        number(theirs, x).or_else(|| Some(call(ours, &[&tensor(x, span)?], span)))
    };
    let two = |op: BinaryOp| {
        args.only(2, &["other", "exponent", "input"]).then(|| {
            binary(
                op,
                args.get(0, "input")?,
                args.get(1, "other").or(args.get(1, "exponent"))?,
                span,
            )
        })?
    };
    match name {
        "exp" => plain(f64::exp, "exp"),
        "log" => plain(f64::ln, "log"),
        "log1p" => plain(f64::ln_1p, "log1p"),
        "expm1" => plain(f64::exp_m1, "expm1"),
        "sqrt" => plain(f64::sqrt, "sqrt"),
        "abs" | "absolute" | "fabs" => plain(f64::abs, "abs"),
        "square" => plain(|x| x * x, "square"),
        "sigmoid" | "expit" => plain(|x| 1.0 / (1.0 + (-x).exp()), "sigmoid"),
        "logsigmoid" | "log_sigmoid" => negate(&logistic(one(&[])?, span)?, span),
        "softplus" => match args.only(1, &["input"]) {
            true => logistic(&negate(args.get(0, "input")?, span)?, span),
            false => None,
        },
        "relu" => at_least(one(&[])?, 0.0, span),
        "clamp" | "clip" | "clamp_min" | "clamp_max" => clamp(name, args),
        "maximum" | "fmax" | "max" => {
            Some(call("max", &[&args.tensor(0, "input")?, &args.tensor(1, "other")?], span))
        }
        "minimum" | "fmin" | "min" => {
            Some(call("min", &[&args.tensor(0, "input")?, &args.tensor(1, "other")?], span))
        }
        "logaddexp" => {
            Some(call("logaddexp", &[&args.tensor(0, "input")?, &args.tensor(1, "other")?], span))
        }
        "where" => {
            let c = condition(args.get(0, "condition")?, span)?;
            let (x, y) = (args.tensor(1, "input")?, args.tensor(2, "other")?);
            Some(choose(&c, &x, &y, span))
        }
        "add" => two(BinaryOp::Add),
        "sub" | "subtract" => two(BinaryOp::Sub),
        "mul" | "multiply" => two(BinaryOp::Mul),
        "div" | "divide" | "true_divide" => two(BinaryOp::Div),
        "pow" | "power" => two(BinaryOp::Pow).map(|s| squared(&s).unwrap_or(s)),
        "neg" | "negative" => negate(one(&[])?, span),
        "reciprocal" => binary(BinaryOp::Div, &Symbol::Number(1.0), one(&[])?, span),
        "rsqrt" => {
            let root = call("sqrt", &[&tensor(one(&[])?, span)?], span);
            binary(BinaryOp::Div, &Symbol::Number(1.0), &root, span)
        }
        "zeros_like" => Some(Symbol::Number(0.0)),
        "ones_like" => Some(Symbol::Number(1.0)),
        "full_like" => args.get(1, "fill_value").cloned(),
        "as_tensor" => args.get(0, "data").cloned(),
        // A copy that knows nothing of what it was made from.
        "tensor" | "float64" => Some(detached(args.get(0, "data")?, span)),
        "mean" if args.plain.len() == 1 => mean("batch_mean", one(&[])?, span),
        "sum" if args.plain.len() == 1 => mean("batch_sum", one(&[])?, span),
        "detach" => Some(detached(one(&[])?, span)),
        // Of whole numbers the type cuts off.
        "to" | "type" if args.all().any(is_whole) => None,
        // Kinds and places of tensors are no part of the mathematics.
        "float" | "double" | "half" | "bfloat16" | "to" | "type_as" | "cpu" | "cuda"
        | "contiguous" | "type" => args.plain.first().cloned(),
        // Another tensor, which nothing else holds.
        "clone" => match args.plain.first()? {
            Symbol::Tensor(t) => Some(Symbol::Tensor(t.with((*t.expr).clone()))),
            other => Some(other.clone()),
        },
        _ => None,
    }
}

/// A type of whole numbers or of truth values.
fn is_whole(s: &Symbol) -> bool {
    const TYPES: &[&str] =
        &["bool", "int", "int8", "int16", "int32", "int64", "long", "short", "uint8"];
    match s {
        Symbol::Path(p) => TYPES.contains(&p.rsplit('.').next().unwrap_or_default()),
        Symbol::Text(t) => t.starts_with("torch."),
        _ => false,
    }
}

fn mean(name: &str, x: &Symbol, span: Span) -> Option<Symbol> {
    match x.number() {
        Some(x) if name == "batch_mean" => Some(Symbol::Number(x)),
        _ => Some(call(name, &[&tensor(x, span)?], span)),
    }
}

/// What is constant for the gradient.
pub(super) fn detached(x: &Symbol, span: Span) -> Symbol {
    match x {
        Symbol::Tensor(t) if !is_uniform(&t.expr) && !t.is_too_large() => {
            call("stop_gradient", &[&t.with(again(&attached(&t.expr)))], span)
        }
        other => other.clone(),
    }
}

/// The same without `stop_gradient`, which says nothing inside another one.
fn attached(e: &ponens_dsl::ast::Expr) -> ponens_dsl::ast::Expr {
    super::finish::map(e, &|e| match &e.kind {
        ExprKind::Call { callee, args } if callee.text == "stop_gradient" => {
            args.first().map(attached)
        }
        _ => None,
    })
}

/// softplus(-x).
fn logistic(x: &Symbol, span: Span) -> Option<Symbol> {
    match x.number() {
        Some(x) => Some(Symbol::Number((-x).exp().ln_1p())),
        None => Some(call("logistic", &[&tensor(x, span)?], span)),
    }
}

/// max(low, x): a hinge where `x` is a margin less something.
fn at_least(x: &Symbol, low: f64, span: Span) -> Option<Symbol> {
    let t = tensor(x, span)?;
    if let (true, ExprKind::Binary { op: BinaryOp::Sub, lhs, rhs }) = (low == 0.0, &t.expr.kind)
        && is_uniform(lhs)
    {
        let part = |e: &ponens_dsl::ast::Expr| Tensor::new(e.clone());
        let (margin, rest) = (part(lhs), part(rhs));
        return Some(match lhs.kind {
            ExprKind::Number(1.0) => call("hinge", &[&rest], span),
            _ => call("hinge", &[&rest, &margin], span),
        });
    }
    Some(call("max", &[&tensor(&Symbol::Number(low), span)?, &t], span))
}

fn clamp(name: &str, args: &Arguments) -> Option<Symbol> {
    let span = args.span;
    let x = args.get(0, "input")?;
    let none = |s: &Symbol| matches!(s, Symbol::None);
    let (low, high) = match name {
        "clamp_min" => (args.get(1, "min"), None),
        "clamp_max" => (None, args.get(1, "max")),
        _ => (args.get(1, "min"), args.get(2, "max")),
    };
    let (low, high) = (low.filter(|s| !none(s)), high.filter(|s| !none(s)));
    match (low, high) {
        (Some(low), None) if low.number() == Some(0.0) => at_least(x, 0.0, span),
        (Some(low), None) => Some(call("max", &[&tensor(low, span)?, &tensor(x, span)?], span)),
        (None, Some(high)) => Some(call("min", &[&tensor(x, span)?, &tensor(high, span)?], span)),
        (Some(low), Some(high)) => {
            let (x, low, high) = (tensor(x, span)?, tensor(low, span)?, tensor(high, span)?);
            Some(call("clip", &[&x, &low, &high], span))
        }
        (None, None) => None,
    }
}

/// A comparison as an expression.
pub(super) fn condition(s: &Symbol, span: Span) -> Option<Tensor> {
    match s {
        Symbol::Condition(c) => {
            Some(compare(c.op, &tensor(&c.a, span)?, &tensor(&c.b, span)?, span))
        }
        // A label by its name.
        Symbol::Tensor(t) if matches!(t.expr.kind, ExprKind::Name(_)) => Some(t.clone()),
        _ => None,
    }
}

/// (x - t)^2 as a link, x^2 as a square.
pub(super) fn squared(s: &Symbol) -> Option<Symbol> {
    let Symbol::Tensor(t) = s else { return None };
    let ExprKind::Binary { op: BinaryOp::Pow, lhs, rhs } = &t.expr.kind else { return None };
    if rhs.kind != ExprKind::Number(2.0) {
        return None;
    }
    let part = |e: &ponens_dsl::ast::Expr| Tensor::new(e.clone());
    let span = t.expr.span;
    Some(match &lhs.kind {
        ExprKind::Binary { op: BinaryOp::Sub, lhs: x, rhs: target } if is_uniform(target) => {
            call("squared", &[&part(x), &part(target)], span)
        }
        ExprKind::Binary { op: BinaryOp::Add, lhs: x, rhs: target } if is_uniform(target) => {
            let negative = ponens_dsl::ast::Expr {
                kind: ExprKind::Unary { op: UnaryOp::Neg, operand: target.clone() },
                span,
            };
            call("squared", &[&part(x), &part(&negative)], span)
        }
        _ => call("square", &[&part(lhs)], span),
    })
}

/// True for numbers, parameters, and what is made of them.
pub(super) fn is_uniform(e: &ponens_dsl::ast::Expr) -> bool {
    match &e.kind {
        ExprKind::Number(_) => true,
        // What an example brings stands in calls while the function is read.
        ExprKind::Name(_) => true,
        ExprKind::Unary { operand, .. } => is_uniform(operand),
        ExprKind::Binary { lhs, rhs, .. } => is_uniform(lhs) && is_uniform(rhs),
        ExprKind::Call { callee, args } => {
            !super::assemble::QUANTITIES.contains(&callee.text.as_str())
                && args.iter().all(is_uniform)
        }
        _ => false,
    }
}

/// The comparison that a Python operator makes.
pub(super) fn relation(op: rustpython_parser::ast::CmpOp) -> Option<CompareOp> {
    use rustpython_parser::ast::CmpOp;
    match op {
        CmpOp::Lt => Some(CompareOp::Lt),
        CmpOp::LtE => Some(CompareOp::Le),
        CmpOp::Gt => Some(CompareOp::Gt),
        CmpOp::GtE => Some(CompareOp::Ge),
        _ => None,
    }
}
