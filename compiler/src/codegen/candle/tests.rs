//! The text of the generated files; `ponens-tests` compiles and runs them.

use super::{Header, Refused, emit};
use crate::mir::{Graph, Input, Interval, Level, Op, Root, parse::parse};

fn header() -> Header {
    Header { title: "A loss for tests".into(), hash: "00".into() }
}

#[test]
fn a_loss_reads_as_code() {
    let graph = parse(
        r#"mir "tiny" total {
  param beta = 0.1 in (0, inf)
  input logp(pi,w) : example in (-inf, 0] grad
  input label : example in [0, 1]
  %0 = param beta : uniform
  %1 = input logp(pi,w) : example
  %2 = input label : example
  %3 = mul %0 %1 : example
  %4 = neg %3 : example
  %5 = softplus %4 : example
  %6 = reduce mean %5 : batch
  %7 = sub %5 %6 : example
  %8 = select %2 %7 %5 : example
  %9 = sigmoid %4 : example
  root loss = %8
  root d/logp(pi,w) = %9
}
"#,
    );
    let text = match graph {
        Ok(graph) => emit(&graph, &header()).expect("tensors").text,
        Err(e) => panic!("{e:?}"),
    };
    insta::assert_snapshot!(text);
}

#[test]
fn what_lives_below_the_example_is_refused() {
    let mut g = Graph::new("deep");
    g.inputs.push(Input {
        name: "token_logp(pi,y)".into(),
        level: Level::Token,
        range: Interval::REAL,
        differentiable: true,
    });
    let node = g.add(Op::Input(0));
    g.roots.push(Root { name: "loss".into(), node });
    let error = emit(&g, &header()).expect_err("a token column");
    assert!(matches!(&error, Refused::Inner { level: Level::Token, .. }), "{error}");
    assert!(error.to_string().contains("token_logp(pi,y)"), "{error}");
}
