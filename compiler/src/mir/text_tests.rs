//! The text forms: round trips, errors with their places, and formulas as people read them.

use super::infix::infix;
use super::parse::{ParseError, parse};
use super::testing::graphs;
use super::text::{BINARY, REDUCE, UNARY, print};
use super::{Binary, Graph, Input, Interval, Level, Node, NodeId, Op, Param, Reduce, Root, Stage};
use super::{Unary, verify};
use proptest::prelude::*;

fn dpo() -> Graph {
    let mut g = Graph::new("dpo");
    g.stage = Stage::Total;
    g.params.push(Param { name: "beta".to_owned(), default: Some(0.1), range: Interval::POS });
    let names = ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"];
    for name in names {
        let differentiable = name.contains("pi");
        let (level, range) = (Level::Example, Interval::LOG_PROB);
        g.inputs.push(Input { name: name.to_owned(), level, range, differentiable });
    }
    let beta = g.add(Op::Param(0));
    let [pw, pl, rw, rl] = [0, 1, 2, 3].map(|i| g.add(Op::Input(i)));
    let w = g.binary(Binary::Sub, pw, rw);
    let l = g.binary(Binary::Sub, pl, rl);
    let rho = g.binary(Binary::Sub, w, l);
    let scaled = g.binary(Binary::Mul, beta, rho);
    let minus = g.unary(Unary::Neg, scaled);
    let loss = g.unary(Unary::Softplus, minus);
    let slope = g.unary(Unary::Sigmoid, minus);
    let downhill = g.binary(Binary::Mul, beta, slope);
    let gradient = g.unary(Unary::Neg, downhill);
    g.roots.push(Root { name: "loss".to_owned(), node: loss });
    g.roots.push(Root { name: "d/logp(pi,w)".to_owned(), node: gradient });
    g
}

#[test]
fn dpo_reads_well() {
    let g = dpo();
    assert_eq!(verify(&g), Ok(()));
    insta::assert_snapshot!(print(&g));
    assert_eq!(parse(&print(&g)), Ok(g.clone()));
    let formula = "softplus(-(beta * ((logp(pi,w) - logp(ref,w)) - (logp(pi,l) - logp(ref,l)))))";
    assert_eq!(infix(&g, g.roots[0].node), formula);
}

#[test]
fn sharing_makes_let_lines() {
    let mut g = dpo();
    let sum = g.binary(Binary::Add, g.roots[0].node, g.roots[1].node);
    let two = g.constant(-2.0);
    let power = g.binary(Binary::Pow, sum, two);
    let batch = g.add_at(Op::Reduce(Reduce::Mean, power), Level::Batch);
    let zero = g.constant(0.0);
    let node = g.add(Op::Select(batch, power, zero));
    insta::assert_snapshot!(infix(&g, node));
    assert_eq!(infix(&g, NodeId(999)), "%999");
}

#[test]
fn tables_hold_every_operation() {
    let keywords: std::collections::HashSet<&str> =
        UNARY.iter().map(|x| x.1).chain(BINARY.iter().map(|x| x.1)).collect();
    assert_eq!(keywords.len(), UNARY.len() + BINARY.len());
    // The discriminants of fieldless variants count them.
    assert_eq!(Unary::StopGradient as usize + 1, UNARY.len());
    assert_eq!(Binary::LogAddExp as usize + 1, BINARY.len());
    assert_eq!(Reduce::LogSumExp as usize + 1, REDUCE.len());
    for (i, (op, _)) in UNARY.iter().enumerate() {
        assert_eq!(*op as usize, i);
    }
}

#[test]
fn odd_names_and_numbers_read_back() {
    let mut g = dpo();
    g.name = "a \"b\"\\\n\u{1F600}".to_owned();
    g.params[0].name = "in".to_owned();
    g.params[0].default = None;
    g.inputs[0].name = "% = {".to_owned();
    g.inputs[1].name = String::new();
    g.inputs[2].name = g.inputs[3].name.clone();
    g.inputs[2].range = Interval { lo: -0.0, hi: 5e-324, lo_open: false, hi_open: false };
    for c in [-0.0, 1e300, 5e-324, 0.1, 1e15, 123456789.0, f64::INFINITY, f64::NEG_INFINITY] {
        g.nodes.push(Node { op: Op::Const(c), level: Level::Uniform });
    }
    g.nodes.push(Node { op: Op::Param(77), level: Level::Token });
    g.nodes.push(Node { op: Op::Shift(NodeId(3_000_000_000), -128), level: Level::Token });
    let read = parse(&print(&g)).unwrap();
    assert_eq!(read, g);
    let sign = |g: &Graph| match g.nodes[14].op {
        Op::Const(c) => c.to_bits(),
        _ => 0,
    };
    assert_eq!(sign(&read), (-0.0_f64).to_bits());
}

#[test]
fn errors_say_where() {
    let error = |text: &str| {
        let ParseError { line, column, message } = parse(text).unwrap_err();
        format!("{line}:{column}: {message}")
    };
    let head = "mir \"x\" total {\n";
    assert_eq!(error(""), "1:1: expected `mir`, found the end of the text");
    assert_eq!(error("mir \"x\" partial {"), "1:9: expected `written` or `total`, found `p`");
    assert_eq!(error("mir \"x"), "1:7: expected the closing quote, found the end of the text");
    assert_eq!(
        error(&format!("{head}  param b in (0, one)\n}}")),
        "2:18: expected a number, found `o`"
    );
    assert_eq!(
        error(&format!("{head}  %1 = const 1 : uniform")),
        "2:3: expected node %0, found `%`"
    );
    assert_eq!(
        error(&format!("{head}  %0 = input é : example")),
        "2:14: expected a name, found `é`"
    );
    assert_eq!(
        error(&format!("{head}  %0 = input y : example")),
        "2:14: expected the name of a declared parameter or input, found `y`"
    );
    assert_eq!(
        error(&format!("{head}  %0 = frob %1 : uniform")),
        "2:8: expected an operation, found `f`"
    );
    assert_eq!(error(&format!("{head}}} more")), "2:3: expected the end of the text, found `m`");
    assert!(parse(&format!("{head} // a remark\n}}")).is_ok());
}

proptest! {
    #[test]
    fn parsing_what_is_printed_gives_the_graph(
        graph in prop_oneof![graphs(Stage::Written, 40), graphs(Stage::Total, 40)]
    ) {
        let text = print(&graph);
        prop_assert_eq!(print(&parse(&text).unwrap()), text.clone());
        prop_assert_eq!(parse(&text), Ok(graph));
    }

    #[test]
    fn no_text_makes_the_parser_panic(graph in graphs(Stage::Written, 5), cut in any::<u16>(), junk in "\\PC{0,3}") {
        let text = print(&graph);
        let mut at = cut as usize % text.len();
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let _ = parse(&format!("{}{junk}{}", &text[..at], &text[at..]));
        let _ = parse(&text[..at]);
    }

    #[test]
    fn formulas_of_random_graphs_are_closed(graph in graphs(Stage::Written, 40)) {
        for root in &graph.roots {
            let text = infix(&graph, root.node);
            prop_assert_eq!(text.matches('(').count(), text.matches(')').count());
            prop_assert!(!text.contains('%'), "{}", text);
        }
    }
}
