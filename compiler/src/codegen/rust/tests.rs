//! What the text says; that it computes what the interpreter does is tested where it can be compiled,
//! beside the macros.

use super::*;
use crate::hir::{NoLibrary, Program};
use crate::mir::{Binary, Input, Interval, Param, Root, Unary};
use crate::session;

/// A graph with one of everything that has a helper of its own.
fn everything() -> Graph {
    let mut g = Graph::new("all");
    g.stage = crate::mir::Stage::Total;
    let range = Interval::POS;
    g.params = vec![Param { name: "beta".into(), default: Some(0.1), range }];
    let input = |name: &str, range| Input {
        name: name.into(),
        level: Level::Example,
        range,
        differentiable: true,
    };
    g.inputs = vec![input("logp(pi,w)", Interval::LOG_PROB), input("type", Interval::NONNEG)];
    let (beta, w, x) = (g.add(Op::Param(0)), g.add(Op::Input(0)), g.add(Op::Input(1)));
    let root = g.unary(Unary::Log, beta);
    let minus = g.constant(-0.5);
    let mut sum = g.binary(Binary::Mul, minus, root);
    for op in [Unary::Log1mExp, Unary::Softplus, Unary::Sigmoid, Unary::Step, Unary::Sign] {
        let value = g.unary(op, w);
        sum = g.binary(Binary::Add, sum, value);
    }
    for op in [Binary::Max, Binary::Min, Binary::Pow, Binary::LogAddExp, Binary::Div] {
        let value = g.binary(op, x, beta);
        sum = g.binary(Binary::Sub, sum, value);
    }
    let chosen = g.add(Op::Select(x, sum, minus));
    let negative = g.unary(Unary::Neg, chosen);
    g.roots = vec![
        Root { name: "loss".into(), node: negative },
        Root { name: "d/type".into(), node: root },
    ];
    g
}

#[test]
fn every_operation_has_its_text() {
    let module = emit(&everything(), Float::F64).expect("one example at a time");
    assert_eq!(module.params, ["beta"]);
    assert_eq!(module.columns, ["logp(pi,w)", "type"]);
    assert_eq!(module.roots, ["loss", "d/type"]);
    insta::assert_snapshot!(module.text);
}

#[test]
fn the_two_float_types_differ_in_their_names_only() {
    let wide = emit(&everything(), Float::F64).expect("f64").text;
    let narrow = emit(&everything(), Float::F32).expect("f32").text;
    let back = narrow.replace("param_beta as f32", "param_beta").replace("f32", "f64");
    assert_eq!(back, wide);
}

fn compiled(minimize: &str) -> Graph {
    let mut program = Program::new();
    let text = format!("loss a() {{ data pair(w > l) model pi = policy minimize {minimize} }}");
    let (_, found) = program.add_text("a.loss", &text);
    assert!(found.is_empty(), "{found:?}");
    let compiled = session::compile(&mut program, "a", &NoLibrary, &Default::default());
    compiled.expect("it compiles").graph().clone()
}

#[test]
fn what_couples_a_batch_works_in_scratch() {
    let graph = compiled("softplus(batch_sort(logp(pi, w)) - batch_mean(logp(pi, l)))");
    let module = emit(&graph, Float::F64).expect("a batch");
    assert!(matches!(&module.form, Form::Batch(plan) if plan.sorts()));
    insta::assert_snapshot!(module.text);
    let plain = emit(&compiled("softplus(logp(pi, l))"), Float::F64).expect("an example");
    assert_eq!(plain.form, Form::Example);
    let summed = emit(&compiled("logp(pi, w) * batch_mean(logp(pi, l))"), Float::F64);
    assert!(matches!(summed.expect("a batch").form, Form::Batch(plan) if !plan.sorts()));
}

#[test]
fn what_is_not_one_value_an_example_is_refused() {
    let mut g = everything();
    g.inputs[0].level = Level::Token;
    g.inputs[0].name = "token_logp(pi,w)".into();
    let refused = emit(&g, Float::F64).expect_err("a token is no example").to_string();
    assert!(refused.starts_with("the column token_logp(pi,w) has one value a token"), "{refused}");
    g.inputs[0].level = Level::Batch;
    let refused = emit(&g, Float::F64).expect_err("a batch is no example").to_string();
    assert!(refused.starts_with("a column of the whole batch is not"), "{refused}");
    let mut g = compiled("softplus(batch_sort(logp(pi, w)))");
    let sort = g.nodes.iter().position(|n| matches!(n.op, Op::Sort(_))).expect("it sorts");
    g.nodes[sort].level = Level::Batch;
    assert_eq!(emit(&g, Float::F64), Err(Refused::Batch { operation: "batch_sort" }));
}

#[test]
fn a_graph_that_refers_to_nothing_is_refused() {
    let mut g = everything();
    g.roots[0].node = NodeId(1000);
    assert_eq!(emit(&g, Float::F64), Err(Refused::Malformed(NodeId(1000))));
    let mut g = everything();
    g.inputs.clear();
    assert!(matches!(emit(&g, Float::F64), Err(Refused::Malformed(_))));
}

#[test]
fn names_become_identifiers() {
    for (name, snake, camel) in [
        ("dpo", "dpo", "Dpo"),
        ("dpo_logic", "dpo_logic", "DpoLogic"),
        ("lattice.CPO_ref", "lattice_cpo_ref", "LatticeCPORef"),
        ("logp(pi,w)", "logp_pi_w", "LogpPiW"),
        ("fUNL", "f_unl", "FUNL"),
        ("type", "type_", "Type"),
        ("2x", "x2x", "X2x"),
        ("", "x", "X"),
    ] {
        assert_eq!((snake_case(name).as_str(), upper_camel_case(name).as_str()), (snake, camel));
    }
    let mut names = Names::without(&["new"]);
    let four: Vec<String> = ["a(b)", "a b", "new", "a_b"].iter().map(|n| names.of(n)).collect();
    assert_eq!(four, ["a_b", "a_b_2", "new_2", "a_b_3"]);
}
