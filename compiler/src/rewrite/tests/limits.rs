//! What the optimiser says when it cannot do all that it should.

use super::losses::LOSSES;
use super::text::written;
use crate::adjoint::{Wrt, differentiate};
use crate::mir::{NodeId, Op, Unary, verify};
use crate::rewrite::{Limits, Options, Purpose, optimise};

fn orpo() -> crate::mir::Graph {
    written(LOSSES[3].1)
}

#[test]
fn a_limit_is_reported() {
    let limits = Limits { iterations: 2, ..Limits::default() };
    let few = optimise(&orpo(), &Options { limits, ..Options::default() });
    match few {
        Ok(found) => {
            assert_eq!(found.stats.stopped.as_deref(), Some("2 iterations"));
            assert_eq!(found.warnings[0].code, "W0601");
            assert_eq!(verify::verify(&found.graph), Ok(()));
        }
        Err(refused) => assert_eq!(refused.code, "E0602"),
    }
    let limits = Limits { nodes: 10, ..Limits::default() };
    let small = optimise(&orpo(), &Options { limits, ..Options::default() });
    match small {
        Ok(found) => assert_eq!(found.stats.stopped.as_deref(), Some("10 e-nodes")),
        Err(refused) => assert_eq!(refused.code, "E0602"),
    }
}

#[test]
fn the_search_budget_is_reported() {
    // A greedy graph and the bounds are often enough: a graph that needs a search is looked for.
    let graphs = LOSSES.iter().flat_map(|(_, text)| {
        let options = Options { purpose: Purpose::BeforeGradient, ..Options::default() };
        let value = optimise(&written(text), &options).expect("a stable form").graph;
        [written(text), differentiate(&value, Wrt::Policy)]
    });
    let few = Options { extraction_steps: 1, ..Options::default() };
    let stopped = graphs.into_iter().find_map(|graph| {
        let found = optimise(&graph, &few).expect("the greedy form");
        let says = found.warnings.iter().any(|w| w.message.contains("1 steps"));
        says.then_some((graph, found))
    });
    let (graph, found) = stopped.expect("a graph that needs a search");
    assert_eq!(verify::verify(&found.graph), Ok(()));
    let best = optimise(&graph, &Options::default()).expect("the best form");
    assert!(best.warnings.is_empty() && best.cost <= found.cost);
}

#[test]
fn an_undefined_expression_is_refused_with_its_reason() {
    let refused =
        optimise(&written("log(lw - rw)"), &Options::default()).expect_err("a negative log");
    assert_eq!(refused.code, "E0601");
    assert!(refused.notes[0].contains("log(logp(pi,w) - logp(ref,w))"), "{:?}", refused.notes);
    assert!(refused.notes[1].contains("(-inf, inf)"), "{:?}", refused.notes);
    let point = "it happens: the argument is -1 at logp(pi,w) = -2, logp(ref,w) = -1";
    assert_eq!(refused.notes[2], point);
    let refused =
        optimise(&written("1 / (lw - rw)"), &Options::default()).expect_err("a zero divisor");
    assert_eq!(refused.code, "E0601");
    assert!(refused.notes[2].contains("the divisor is -"), "{:?}", refused.notes);
    assert!(refused.notes[2].ends_with(": in between it is 0"), "{:?}", refused.notes);
}

/// A point is looked for among all parameters and inputs, and only what the operation reads is shown.
#[test]
fn a_point_shows_what_is_undefined() {
    let point = |text: &str| {
        let refused = optimise(&written(text), &Options::default()).expect_err("partial");
        refused.notes.get(2).cloned().unwrap_or_default()
    };
    assert!(point("lw + log(beta - 1)").contains("beta = "), "{}", point("lw + log(beta - 1)"));
    assert!(!point("lw + log(beta - 1)").contains("logp"));
    assert!(point("log1mexp(lw + beta)").starts_with("it happens: the argument is "));
    assert!(point("pow(lw + 1, beta)").starts_with("it happens: the base is -"));
}

#[test]
fn a_broken_graph_is_refused() {
    let mut graph = orpo();
    graph.nodes[0].op = Op::Unary(Unary::Exp, NodeId(99));
    assert_eq!(
        optimise(&graph, &Options::default()).expect_err("an operand is missing").code,
        "E0603"
    );
    let mut graph = orpo();
    graph.roots[0].node = NodeId(4_000);
    assert_eq!(optimise(&graph, &Options::default()).expect_err("a root is missing").code, "E0603");
}
