use super::{Fault, Phase, Plan, evaluate, parse, plan, verify};
use crate::codegen::interp::{Batch, evaluate as interpret};
use crate::mir::testing::{columns, graphs};
use crate::mir::{Graph, Level, NodeId, Op, Root, Stage};
use proptest::prelude::*;

/// True when nothing that the interpreter computes for a node runs over tokens or candidates.
fn is_shallow(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    node.level <= Level::Example && node.op.operands().all(|o| is_shallow(graph, o))
}

/// The last nodes of a random graph that have a plan, as roots.
fn planned(mut graph: Graph) -> Option<(Graph, Plan)> {
    graph.roots.clear();
    for i in (0..graph.nodes.len() as u32).rev().take(12) {
        let name = if graph.roots.is_empty() { "loss".to_owned() } else { format!("d/{i}") };
        graph.roots.push(Root { name, node: NodeId(i) });
        if !is_shallow(&graph, NodeId(i)) || plan(&graph).is_err() {
            graph.roots.pop();
        }
    }
    let plan = plan(&graph).ok().filter(|_| !graph.roots.is_empty())?;
    Some((graph, plan))
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The interpreter of plans gives what the graph's gives; plans verify and read back.
    #[test]
    fn a_plan_computes_its_graph(
        (graph, data) in graphs(Stage::Total, 20).prop_flat_map(|g| (columns(&g, 5), Just(g)))
            .prop_map(|(c, g)| (g, c))
    ) {
        let Some((graph, plan)) = planned(graph) else { return Ok(()) };
        prop_assert_eq!(verify(&plan), Ok(()), "{}", plan);
        let text = plan.to_string();
        let read = parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&plan), "{}", text);
        let examples = data.candidates.len();
        let mut batch = Batch::<f64>::new(examples);
        let mut given = Vec::new();
        for (i, input) in graph.inputs.iter().enumerate() {
            // No planned root reads a deeper column.
            let deep = input.level > Level::Example;
            given.push(if deep { vec![0.0; examples] } else { data.values[i].clone() });
            if !deep {
                batch.set(&graph, i as u16, &data.values[i]).expect("a column");
            }
        }
        let want = interpret(&graph, &data.params, &batch).expect("a verified graph");
        let got = evaluate(&plan, &data.params, &given, examples).expect("a verified plan");
        for ((name, got), want) in got.iter().zip(&want) {
            for (e, x) in got.iter().enumerate() {
                let w = want[e.min(want.len() - 1)];
                prop_assert!(close(*x, w), "{}[{}]: {} and {}\n{}", name, e, x, w, plan);
            }
        }
    }
}

const KTO: &str = "mir \"t\" total {
  param beta = 0.1 in (0, inf)
  input logp(pi,y) : example in (-inf, 0] grad
  input logp(ref,y) : example in (-inf, 0]
  %0 = param beta : uniform
  %1 = input logp(pi,y) : example
  %2 = input logp(ref,y) : example
  %3 = sub %1 %2 : example
  %4 = reduce mean %3 : batch
  %5 = sub %3 %4 : example
  %6 = sort %5 : example
  %7 = mul %0 %6 : example
  %8 = unsort %7 %5 : example
  root loss = %7
  root d/logp(pi,y) = %8
}
";

fn kto() -> Plan {
    plan(&crate::mir::parse::parse(KTO).expect("a graph")).expect("a plan")
}

#[test]
fn phases_end_where_the_batch_has_to_be_finished() {
    let plan = kto();
    assert_eq!(verify(&plan), Ok(()));
    assert_eq!(
        plan.to_string(),
        "lir \"t\" {
  param beta = 0.1 in (0, inf)
  column logp(pi,y) : example in (-inf, 0] grad = sum target_logp of pi over all y
  column logp(ref,y) : example in (-inf, 0] = sum target_logp of ref over all y
  stream pi : target_logp grad target_logp
  stream ref : target_logp
  uniform {
    %0 = param beta
  }
  phase {
    example {
      %1 = input logp(pi,y)
      %2 = input logp(ref,y)
      %3 = sub %1 %2
    }
    partial %4 = mean %3
  }
  phase {
    batch {
      %4 = reduce mean %3
    }
    example {
      %1 = input logp(pi,y)
      %2 = input logp(ref,y)
      %3 = sub %1 %2
      %5 = sub %3 %4
    }
    save %5
  }
  phase {
    rank %5
    example {
      %6 = sort %5
      %7 = mul %0 %6
    }
    save %7
  }
  phase {
    example {
      %6 = sort %5
      %7 = mul %0 %6
      %8 = unsort %7 %5
    }
    output loss = %7
    output d/logp(pi,y) = %8
  }
}
"
    );
}

#[test]
fn a_broken_plan_is_refused_and_never_panics() {
    type Break = fn(&mut Plan);
    type Expected = fn(&Fault) -> bool;
    let cases: [(Break, Expected); 9] = [
        (|p| p.phases[0].example.swap(1, 2), |f| matches!(f, Fault::Undefined { .. })),
        (|p| p.phases[0].partials.clear(), |f| matches!(f, Fault::NotLeft { .. })),
        (|p| p.phases[1].saves.clear(), |f| matches!(f, Fault::NotLeft { .. })),
        (|p| p.phases.clear(), |f| *f == Fault::Empty),
        (|p| p.streams.truncate(1), |f| matches!(f, Fault::NotStreamed(_))),
        (|p| p.streams[0].gradients.clear(), |f| matches!(f, Fault::NoGradient(_))),
        (|p| p.phases.push(Phase::default()), |f| matches!(f, Fault::EarlyOutput(_))),
        (|p| p.uniform[0].op = Op::Param(7), |f| matches!(f, Fault::Index(_))),
        (|p| p.uniform[0].op = Op::Input(0), |f| matches!(f, Fault::Misplaced { .. })),
    ];
    for (i, (change, wanted)) in cases.into_iter().enumerate() {
        let mut plan = kto();
        change(&mut plan);
        let faults = verify(&plan).expect_err("broken");
        assert!(faults.iter().any(wanted), "case {i}: {faults:?}");
        let _ = (plan.to_string(), evaluate::<f32>(&plan, &[0.1], &[vec![-1.0], vec![-2.0]], 1));
    }
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let plan = kto();
    let given = evaluate::<f32>(&plan, &[0.1], &[vec![-1.0], vec![]], 1);
    assert!(given.expect_err("short").to_string().contains("logp(ref,y)"));
    assert!(evaluate::<f32>(&plan, &[], &[vec![], vec![]], 0).is_err());
}
