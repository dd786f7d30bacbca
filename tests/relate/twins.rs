//! One loss written twice, as arithmetic and as logic: the same structure, the same stable graph, the
//! same numbers.

use ponens_compiler::codegen::interp::{Batch, Big, Real, evaluate};
use ponens_compiler::explain;
use ponens_compiler::hir::Program;
use ponens_compiler::session::{self, Compiled, Options};
use ponens_losses::Catalogue;
use proptest::prelude::*;
use std::path::Path;

fn twins(file: &str) -> (Compiled, Compiled) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/twins").join(file);
    let mut program = Program::new();
    let (_, found) = program.add_file(&path);
    assert!(found.is_empty(), "{found:?}");
    let mut one = |name: &str| {
        session::compile(&mut program, name, &Catalogue, &Options::default())
            .unwrap_or_else(|e| panic!("{file}: {name}: {e:?}"))
    };
    (one("arithmetic"), one("logical"))
}

const FILES: [&str; 3] = ["dpo.loss", "cpo.loss", "orpo.loss"];

#[test]
fn both_have_the_same_canonical_structure() {
    for file in FILES {
        let (a, l) = twins(file);
        let a = explain::structure(&a.loss).expect("decompiles").structure.canonical();
        let l = explain::structure(&l.loss).expect("is logic").structure.canonical();
        assert_eq!(a, l, "{file}");
        assert!(a.same_rho(&l));
    }
}

#[test]
fn both_read_the_same_columns_and_cost_the_same() {
    for file in FILES {
        let (a, l) = twins(file);
        assert_eq!(a.loss.columns, l.loss.columns, "{file}");
        assert_eq!(a.graph().inputs, l.graph().inputs, "{file}");
        assert_eq!(a.gradient.cost, l.gradient.cost, "{file}");
        assert_eq!(a.graph().nodes.len(), l.graph().nodes.len(), "{file}");
    }
}

fn values<T: Real>(c: &Compiled, columns: &[f64]) -> Vec<f64> {
    let graph = c.graph();
    let mut batch = Batch::<T>::new(1);
    for (i, x) in columns.iter().take(graph.inputs.len()).enumerate() {
        batch.set(graph, i as u16, &[*x]).expect("a column of one example");
    }
    let params = c.bind(&[]).expect("defaults");
    let roots = evaluate::<T>(graph, &params, &batch).expect("a verified graph");
    roots.into_iter().map(|v| v[0].to_f64()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn both_have_the_same_value_and_gradients(
        which in 0..FILES.len(),
        columns in prop::collection::vec(prop_oneof![-1e4..-1e-3, -2.0..-1e-9, Just(-1e-12)], 6),
    ) {
        let (a, l) = twins(FILES[which]);
        let exact = values::<Big<256>>(&a, &columns);
        for other in [values::<Big<256>>(&l, &columns), values::<f64>(&a, &columns), values::<f64>(&l, &columns)] {
            for (x, y) in exact.iter().zip(&other) {
                // Rounding rho costs |rho| units in the last place; rho is below 2e4 here.
                prop_assert!((x - y).abs() <= 1e-11 * x.abs().max(1e-280), "{x:e} {y:e} at {columns:?}");
            }
        }
    }
}
