//! A loss on columns that are on the host: a machine evaluates it as the processor does.

use super::catalogue::{all, column};
use super::support::{Dice, Interpreter, compiler, module};
use ponens_compiler::codegen::cuda::{example, prelude};
use ponens_compiler::lir::{self, Plan};
use ponens_runtime::op::{GraphKernel, LossKernel, MachineKernel, RuntimeError};
use std::collections::HashMap;
use std::sync::Arc;

/// Pairs, labels, a sort, odds of nearly certain responses, and one loss of the whole batch.
fn chosen() -> Vec<(Arc<GraphKernel>, Plan)> {
    let planned = all().iter().filter_map(|(compiled, plan)| {
        plan.as_ref().ok()?;
        let host = GraphKernel::new(compiled.graph(), &HashMap::new()).ok()?;
        let plan = lir::plan(host.graph()).ok()?;
        Some((Arc::new(host), plan))
    });
    let (whole, each): (Vec<_>, Vec<_>) = planned.partition(|(_, p)| p.is_scalar_output("loss"));
    let wanted = ["dpo", "orpo", "aot", "kto"];
    let each = each.into_iter().filter(|(host, _)| wanted.contains(&host.name()));
    let list: Vec<_> = each.chain(whole.into_iter().take(1)).collect();
    let names: Vec<&str> = list.iter().map(|(host, _)| host.name()).collect();
    assert_eq!(list.len(), wanted.len() + 1, "{names:?}");
    list
}

#[test]
fn a_machine_evaluates_columns_as_the_processor_does() {
    let Some(compiler) = compiler() else { return };
    let chosen = chosen();
    let texts: String = chosen.iter().map(|(_, plan)| example::emit(plan)).collect();
    let module = module(compiler, &(prelude() + &texts));
    let mut dice = Dice(11);
    for (host, _) in chosen {
        let (graph, name) = (host.graph(), host.name());
        let machine = MachineKernel::new(host.clone(), |_| Ok(Interpreter::new(&module)));
        let machine = machine.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(machine.couples_examples(), host.couples_examples());
        for examples in [1, 40] {
            let narrow = (0..graph.inputs.len()).map(|i| column(graph, i, examples, &mut dice));
            let columns: Vec<Vec<f64>> =
                narrow.map(|c| c.into_iter().map(f64::from).collect()).collect();
            let (a, b) = (machine.evaluate(&columns).expect("runs"), host.evaluate(&columns));
            let b = b.expect("runs");
            let near = |what: &str, a: &[f64], b: &[f64]| {
                assert_eq!(a.len(), examples, "{name}, {what}");
                let scale = b.iter().map(|x| x.abs()).fold(1e-3, f64::max);
                for (x, y) in a.iter().zip(b) {
                    assert!((x - y).abs() <= 1e-5 * scale, "{name}, {what}: {x:e} for {y:e}");
                }
            };
            near("loss", &a.loss, &b.loss);
            assert_eq!(a.grads.len(), b.grads.len());
            for ((a, b), input) in a.grads.iter().zip(&b.grads).zip(&graph.inputs) {
                assert_eq!(a.is_some(), b.is_some(), "{name}, {}", input.name);
                if let (Some(a), Some(b)) = (a, b) {
                    near(&input.name, a, b);
                }
            }
        }
        let none = vec![Vec::new(); graph.inputs.len()];
        let empty = machine.evaluate(&none).expect("no example is a batch");
        assert!(empty.loss.is_empty() && empty.grads.iter().flatten().all(Vec::is_empty));
    }
}

/// Both are found before anything is launched.
#[test]
fn what_f32_or_the_kernels_do_not_hold_is_refused() {
    let Some(compiler) = compiler() else { return };
    let module = module(compiler, &prelude());
    let kernel = |name: &str| {
        let (compiled, _) = all().iter().find(|(c, _)| c.loss.name == name).expect("a loss");
        let host = GraphKernel::new(compiled.graph(), &HashMap::new()).expect("defaults");
        MachineKernel::new(Arc::new(host), |_| Ok(Interpreter::new(&module))).expect("a plan")
    };
    let refused = kernel("simpo").evaluate(&[vec![-1.0, -1e300], vec![-1.0, -1.0]]);
    let Err(RuntimeError::Loss { loss, reason }) = refused else { panic!("{refused:?}") };
    assert_eq!(loss, "simpo");
    assert_eq!(reason, "`mean_logp(pi,w)` of example 1 is -1e300, and the kernels compute in f32");
    let refused = kernel("simpo").evaluate(&[vec![-1.0], vec![-1.0]]);
    assert!(matches!(refused, Err(RuntimeError::Kernel(_))), "no such kernel: {refused:?}");
}
