//! Infix text of terms, with the names of the loss.
//!
//! Why: derivations and tests are read by people. In: a term or a graph. Out: one line each.

use super::language::{Expr, binary_name, unary_name};
use super::term::Term;
use crate::mir::{Binary, Graph, Input, NodeId, Op, Param, Unary};
use egg::Id;
use std::fmt::Write;
use std::sync::Arc;

/// Binding strengths: a part that binds weaker than its place is put in parentheses.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const NEGATION: u8 = 3;
const ATOM: u8 = 4;

/// The term as infix text.
pub fn infix(term: &Arc<Term>, params: &[Param], inputs: &[Input]) -> String {
    print(term, params, inputs).0
}

fn print(term: &Arc<Term>, params: &[Param], inputs: &[Input]) -> (String, u8) {
    let args: Vec<(String, u8)> = term.args.iter().map(|a| print(a, params, inputs)).collect();
    join(&term.op, &args, params, inputs)
}

fn join(op: &Expr, args: &[(String, u8)], params: &[Param], inputs: &[Input]) -> (String, u8) {
    let part = |i: usize, least: u8| match args.get(i) {
        Some((text, strength)) if *strength < least => format!("({text})"),
        Some((text, _)) => text.clone(),
        None => String::new(),
    };
    let two = |sign: &str, left: u8, right: u8, own: u8| {
        (format!("{} {sign} {}", part(0, left), part(1, right)), own)
    };
    match op {
        Expr::Const(_) => {
            let c = op.as_constant().unwrap_or(0.0);
            (format!("{c}"), if c < 0.0 { NEGATION } else { ATOM })
        }
        Expr::Param(i) => {
            let name = params.get(*i as usize).map(|p| p.name.clone());
            (name.unwrap_or_else(|| format!("p{i}")), ATOM)
        }
        Expr::Input(i) => {
            let name = inputs.get(*i as usize).map(|p| p.name.clone());
            (name.unwrap_or_else(|| format!("x{i}")), ATOM)
        }
        Expr::Unary(Unary::Neg, _) => (format!("-{}", part(0, ATOM)), NEGATION),
        Expr::Unary(u, _) => (format!("{}({})", unary_name(*u), part(0, 0)), ATOM),
        Expr::Binary(Binary::Add, _) => two("+", SUM, SUM, SUM),
        Expr::Binary(Binary::Sub, _) => two("-", SUM, PRODUCT, SUM),
        Expr::Binary(Binary::Mul, _) => two("*", PRODUCT, NEGATION, PRODUCT),
        Expr::Binary(Binary::Div, _) => two("/", PRODUCT, NEGATION, PRODUCT),
        Expr::Binary(b, _) => {
            (format!("{}({}, {})", binary_name(*b), part(0, 0), part(1, 0)), ATOM)
        }
        Expr::Select(_) => {
            (format!("select({} > 0, {}, {})", part(0, 0), part(1, 0), part(2, 0)), ATOM)
        }
        Expr::Unsort(_) => (format!("unsort({}, {})", part(0, 0), part(1, 0)), ATOM),
        _ => (format!("{op}({})", part(0, 0)), ATOM),
    }
}

/// A graph as text: shared parts of more than one operation are named once, then one line a root.
pub fn listing(graph: &Graph) -> String {
    let mut uses = vec![0_usize; graph.nodes.len()];
    let mut live = vec![false; graph.nodes.len()];
    for root in &graph.roots {
        live[root.node.0 as usize] = true;
    }
    for i in (0..graph.nodes.len()).rev() {
        if live[i] {
            for operand in graph.nodes[i].op.operands() {
                uses[operand.0 as usize] += 1;
                live[operand.0 as usize] = true;
            }
        }
    }
    let mut texts: Vec<(String, u8)> = Vec::with_capacity(graph.nodes.len());
    let mut out = String::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let args: Vec<(String, u8)> =
            node.op.operands().map(|o| texts[o.0 as usize].clone()).collect();
        let expr = Expr::from_node(&node.op, node.level, |id: NodeId| Id::from(id.0 as usize));
        let text = join(&expr, &args, &graph.params, &graph.inputs);
        let small = matches!(
            node.op,
            Op::Const(_) | Op::Param(_) | Op::Input(_) | Op::Unary(Unary::Neg, _)
        );
        if live[i] && uses[i] > 1 && !small {
            let name = format!("t{i}");
            // Writing to a string does not fail.
            let _ = writeln!(out, "{name} = {}", text.0);
            texts.push((name, ATOM));
        } else {
            texts.push(text);
        }
    }
    for root in &graph.roots {
        let _ = writeln!(out, "{} = {}", root.name, texts[root.node.0 as usize].0);
    }
    out
}
