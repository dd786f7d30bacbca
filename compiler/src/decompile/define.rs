//! The first steps: every shorthand written out by its definition, one law at a time.

use super::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::step::Law;

/// The most nodes of an expression, before and after its shorthands are written out.
pub(super) const MAX_NODES: usize = 4096;

/// The deepest nesting that is read.
pub(super) const MAX_DEPTH: usize = 96;

/// Whether an expression is within [`MAX_NODES`] and [`MAX_DEPTH`]; on failure the tag of a node
/// that is not. Walks without recursion: this is what makes recursion safe afterwards.
pub(super) fn bounded(expr: &Expr) -> Result<(), usize> {
    let mut nodes = 0;
    let mut todo = vec![(expr, 0)];
    while let Some((node, depth)) = todo.pop() {
        nodes += 1;
        if nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(node.tag);
        }
        todo.extend(node.operands().into_iter().map(|a| (a, depth + 1)));
    }
    Ok(())
}

/// The laws in the order in which they are applied.
pub(super) const DEFINITIONS: [Law; 12] = [
    Law::Definition(UnaryOp::Softplus),
    Law::Definition(UnaryOp::LogSigmoid),
    Law::Definition(UnaryOp::Sigmoid),
    Law::Definition(UnaryOp::Logit),
    Law::Definition(UnaryOp::Odds),
    Law::Definition(UnaryOp::Log1mExp),
    Law::Definition(UnaryOp::Log1p),
    Law::Definition(UnaryOp::Expm1),
    Law::LogSumExp,
    Law::LogProbability,
    Law::ExpOfLog,
    Law::LogOfPower,
];

/// `expr` with one law applied wherever it can be; `Err` with a tag where the result is too large.
pub(super) fn apply(law: Law, expr: &Expr) -> Result<Expr, usize> {
    let mut left = MAX_NODES;
    rewrite(law, expr, &mut left)
}

fn rewrite(law: Law, expr: &Expr, left: &mut usize) -> Result<Expr, usize> {
    let tag = expr.tag;
    *left = left.checked_sub(1).ok_or(tag)?;
    let kind = match &expr.kind {
        ExprKind::Unary(op, a) => ExprKind::Unary(*op, Box::new(rewrite(law, a, left)?)),
        ExprKind::Binary(op, a, b) => ExprKind::Binary(
            *op,
            Box::new(rewrite(law, a, left)?),
            Box::new(rewrite(law, b, left)?),
        ),
        ExprKind::LogSumExp(list) => ExprKind::LogSumExp(
            list.iter().map(|a| rewrite(law, a, left)).collect::<Result<_, _>>()?,
        ),
        leaf => leaf.clone(),
    };
    let node = Expr { kind, tag };
    if let (Law::Definition(UnaryOp::Odds | UnaryOp::Logit), ExprKind::Unary(op, a)) =
        (law, &node.kind)
        && law == Law::Definition(*op)
    {
        // The operand stands twice in the result.
        *left = left.checked_sub(size(a)).ok_or(tag)?;
    }
    Ok(root(law, node))
}

fn size(expr: &Expr) -> usize {
    1 + expr.operands().into_iter().map(size).sum::<usize>()
}

/// The law applied at the root, where it fits.
fn root(law: Law, node: Expr) -> Expr {
    let tag = node.tag;
    let one = || Expr::integer(1, tag);
    let unary = |op, a| Expr::unary(op, a, tag);
    let binary = |op, a, b| Expr::binary(op, a, b, tag);
    let odds = |p: Expr| binary(BinaryOp::Div, p.clone(), binary(BinaryOp::Sub, one(), p));
    let one_plus_exp = |a: Expr| binary(BinaryOp::Add, one(), unary(UnaryOp::Exp, a));
    let minus = |a: Expr| unary(UnaryOp::Neg, a);
    match (law, node.kind) {
        (Law::Definition(law_op), ExprKind::Unary(op, a)) if law_op == op => match op {
            UnaryOp::Softplus => unary(UnaryOp::Log, one_plus_exp(*a)),
            UnaryOp::LogSigmoid => minus(unary(UnaryOp::Log, one_plus_exp(minus(*a)))),
            UnaryOp::Sigmoid => binary(BinaryOp::Div, one(), one_plus_exp(minus(*a))),
            UnaryOp::Logit => unary(UnaryOp::Log, odds(*a)),
            UnaryOp::Odds => odds(*a),
            UnaryOp::Log1mExp => {
                unary(UnaryOp::Log, binary(BinaryOp::Sub, one(), unary(UnaryOp::Exp, *a)))
            }
            UnaryOp::Log1p => unary(UnaryOp::Log, binary(BinaryOp::Add, one(), *a)),
            UnaryOp::Expm1 => binary(BinaryOp::Sub, unary(UnaryOp::Exp, *a), one()),
            UnaryOp::Neg | UnaryOp::Exp | UnaryOp::Log => unary(op, *a),
        },
        (Law::LogSumExp, ExprKind::LogSumExp(list)) => {
            let sum = list
                .into_iter()
                .map(|a| unary(UnaryOp::Exp, a))
                .reduce(|a, b| binary(BinaryOp::Add, a, b));
            unary(UnaryOp::Log, sum.unwrap_or_else(|| Expr::integer(0, tag)))
        }
        (Law::LogProbability, ExprKind::Logp(atom)) => unary(UnaryOp::Log, Expr::prob(atom, tag)),
        (Law::ExpOfLog, ExprKind::Unary(UnaryOp::Exp, a)) => match a.kind {
            ExprKind::Unary(UnaryOp::Log, inner) => *inner,
            kind => unary(UnaryOp::Exp, Expr { kind, tag: a.tag }),
        },
        (Law::LogOfPower, ExprKind::Binary(BinaryOp::Mul, k, log)) => power_of(*k, *log, tag),
        (_, kind) => Expr { kind, tag },
    }
}

/// `k * log(x)` as `log(x^k)` for a whole number k.
fn power_of(k: Expr, log: Expr, tag: usize) -> Expr {
    let whole = match &k.kind {
        ExprKind::Number(r) => r.as_integer().and_then(|k| i64::try_from(k).ok()),
        _ => None,
    };
    match (whole, log.kind) {
        // What is wrong with the power is wrong with the whole product as it was written.
        (Some(k), ExprKind::Unary(UnaryOp::Log, x)) => {
            Expr::unary(UnaryOp::Log, Expr { tag, ..x.raised(k) }, tag)
        }
        (_, kind) => {
            let log = Expr { kind, tag: log.tag };
            Expr::binary(BinaryOp::Mul, k, log, tag)
        }
    }
}
