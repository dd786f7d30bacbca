//! `loss b = a with { .. }`: a variant becomes an ordinary loss before names are resolved.

use super::builtin::{self, Builtin};
use ponens_dsl::ast::{self, Clause, Expr, ExprKind};
use ponens_dsl::{Diagnostic, suggest};

/// The loss that a variant stands for, given its unfolded base.
pub(super) fn unfold(
    variant: &ast::Variant,
    base: &ast::Loss,
) -> Result<ast::Loss, Vec<Diagnostic>> {
    let mut loss = base.clone();
    let mut wrong = Vec::new();
    loss.name = variant.name.clone();
    loss.span = variant.span;
    if !variant.docs.is_empty() {
        loss.docs.clone_from(&variant.docs);
    }
    for (key, value) in &variant.overrides {
        let applied = match key.text.as_str() {
            "link" => replace_link(&mut loss, value),
            "aggregate" => set_aggregate(&mut loss, value),
            name => set_named(&mut loss, name, value),
        };
        if !applied {
            let mut known: Vec<&str> = vec!["link", "aggregate"];
            known.extend(loss.params.iter().map(|p| p.name.text.as_str()));
            known.extend(loss.clauses.iter().filter_map(|c| match c {
                Clause::Let { name, .. } => Some(name.text.as_str()),
                Clause::Rho { .. } => Some("rho"),
                _ => None,
            }));
            let d = Diagnostic::error(
                "E0303",
                format!("`{}` has nothing called `{}` to change", base.name.text, key.text),
            )
            .at(key.span, "cannot be changed");
            wrong.push(match suggest::closest(&key.text, known.iter().copied()) {
                Some(s) => d.help(format!("did you mean `{s}`?")),
                None => d.help(format!("what can change: {}", known.join(", "))),
            });
        }
    }
    if wrong.is_empty() { Ok(loss) } else { Err(wrong) }
}

fn set_named(loss: &mut ast::Loss, name: &str, value: &Expr) -> bool {
    if let Some(p) = loss.params.iter_mut().find(|p| p.name.text == name) {
        p.default = Some(value.clone());
        return true;
    }
    for c in &mut loss.clauses {
        match c {
            Clause::Let { name: n, value: v, .. } if n.text == name => {
                *v = value.clone();
                return true;
            }
            Clause::Rho { value: v, .. } if name == "rho" => {
                *v = value.clone();
                return true;
            }
            _ => {}
        }
    }
    false
}

fn set_aggregate(loss: &mut ast::Loss, value: &Expr) -> bool {
    let mut any = false;
    for c in &mut loss.clauses {
        if let Clause::Model(m) = c {
            m.options.retain(|o| o.key.text != "aggregate");
            let key = ast::Name { text: "aggregate".to_owned(), span: value.span };
            m.options.push(ast::ModelOption { key, value: value.clone() });
            any = true;
        }
    }
    any
}

/// `link = hinge(1)`: every link keeps its argument and takes the new function and margin.
fn replace_link(loss: &mut ast::Loss, value: &Expr) -> bool {
    let (name, extra): (&str, &[Expr]) = match &value.kind {
        ExprKind::Name(n) => (n, &[]),
        ExprKind::Call { callee, args } => (&callee.text, args),
        _ => return false,
    };
    let is_link = |n: &str| matches!(builtin::builtin(n), Some((Builtin::Link(_), _)));
    if !is_link(name) {
        return false;
    }
    let mut any = false;
    let mut change = |e: &mut Expr| {
        if let ExprKind::Call { callee, args } = &mut e.kind
            && is_link(&callee.text)
            && !args.is_empty()
        {
            name.clone_into(&mut callee.text);
            args.truncate(1);
            args.extend_from_slice(extra);
            any = true;
        }
    };
    for c in &mut loss.clauses {
        if let Clause::Minimize { value, .. } | Clause::Let { value, .. } = c {
            walk(value, &mut change);
        }
    }
    any
}

fn walk(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    f(e);
    match &mut e.kind {
        ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Name(_) => {}
        ExprKind::Call { args, .. } => args.iter_mut().for_each(|a| walk(a, f)),
        ExprKind::Index { base, index } => {
            walk(base, f);
            walk(index, f);
        }
        ExprKind::Unary { operand, .. } => walk(operand, f),
        ExprKind::Binary { lhs, rhs, .. } => {
            walk(lhs, f);
            walk(rhs, f);
        }
        ExprKind::If { cond, then, otherwise } => {
            walk(cond, f);
            walk(then, f);
            walk(otherwise, f);
        }
        ExprKind::Reduce { body, .. } => walk(body, f),
    }
}
