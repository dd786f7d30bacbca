//! Losses whose examples depend on each other.

use crate::catalogue;
use crate::data::{EXAMPLES, columns, expected};
use ponens_compiler::codegen::rust::snake_case;
use ponens_compiler::mir::{Graph, Level};
use ponens_macros::{catalogue_loss, loss};

catalogue_loss!(aot);
catalogue_loss!(aot_unpaired);
catalogue_loss!(kto);
catalogue_loss!(sft);

loss! {
    /// Every operation along a batch that the language has, one behind the other.
    loss entangled(beta = 0.5 in >0..inf) {
        data pair(w > l)
        model pi = policy, aggregate mean
        let r = mean_logp(pi, w) - mean_logp(pi, l)
        let ranked = batch_sort(r)
        let center = batch_mean(ranked * sigmoid(r))
        minimize softplus(beta * (center - ranked)) + square(r - center) / (1 + batch_sum(square(r)))
    }
}

/// The interpreter's roots as the generated code defines them: one value an example, the derivative of the
/// sum of the losses.
fn spread<T: Copy>(
    graph: &Graph,
    roots: Vec<Vec<T>>,
    n: usize,
    times: impl Fn(T, usize) -> T,
) -> Vec<Vec<T>> {
    let whole = graph.node(graph.roots[0].node).level < Level::Example;
    let root = |(i, values): (usize, Vec<T>)| -> Vec<T> {
        let values = if values.len() == 1 { vec![values[0]; n] } else { values };
        let scaled = whole && i > 0;
        values.into_iter().map(|x| if scaled { times(x, n) } else { x }).collect()
    };
    roots.into_iter().enumerate().map(root).collect()
}

macro_rules! equal {
    ($test:ident, $graph:expr, $loss:ident, $module:ident, [$($column:ident),*], [$($out:ident),*], $params:expr) => {
        #[test]
        fn $test() {
            let graph: Graph = $graph;
            let snake = |name: &String| snake_case(name);
            let named: Vec<String> = graph.inputs.iter().map(|i| snake(&i.name)).collect();
            assert_eq!(named, [$(stringify!($column)),*]);
            let params: &[f64] = &$params;
            for n in [0, 1, 2, 9, EXAMPLES] {
                // The last examples repeat the first: equal values keep their order.
                let read: Vec<Vec<f64>> = columns(&graph)
                    .into_iter()
                    .map(|c| (0..n).map(|i| c[if i > 40 { i - 40 } else { i }]).collect())
                    .collect();
                let narrow: Vec<Vec<f32>> =
                    read.iter().map(|c| c.iter().map(|x| *x as f32).collect()).collect();
                let roots = graph.roots.len();
                let mut wide_out = vec![vec![0.0_f64; n]; roots];
                let mut narrow_out = vec![vec![0.0_f32; n]; roots];
                // What the scratch holds before does not matter.
                let mut order = vec![7; $loss::ORDER * n];
                let mut wide_scratch = vec![f64::NAN; $loss::SCRATCH * n];
                let mut narrow_scratch = vec![f32::NAN; $loss::SCRATCH * n];
                macro_rules! run {
                    ($method:ident, $read:ident, $results:ident, $values:ident) => {
                        let mut read = $read.iter();
                        $(let $column = read.next().expect("a column").as_slice();)*
                        let mut out = $results.iter_mut();
                        $(let $out = out.next().expect("a root").as_mut_slice();)*
                        assert!(read.next().is_none() && out.next().is_none());
                        let columns = $module::Columns { $($column),* };
                        let mut out = $module::Outputs { $($out),* };
                        let mut scratch = $module::Scratch { values: &mut $values, order: &mut order };
                        $loss::default().$method(columns, &mut out, &mut scratch).expect("one length");
                    };
                }
                { run!(value_and_gradient, read, wide_out, wide_scratch); }
                { run!(value_and_gradient_f32, narrow, narrow_out, narrow_scratch); }
                if n == 0 {
                    continue;
                }
                let wide = spread(&graph, expected::<f64>(&graph, params, &read), n, |x, n| x * n as f64);
                let small = spread(&graph, expected::<f32>(&graph, params, &read), n, |x, n| x * n as f32);
                for (r, root) in graph.roots.iter().enumerate() {
                    for i in 0..n {
                        let (a, b) = (wide_out[r][i], wide[r][i]);
                        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                        assert!(same, "{}[{i}] of {n}: {a:e} for {b:e}", root.name);
                        let (a, b) = (narrow_out[r][i], small[r][i]);
                        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                        assert!(same, "{}[{i}] of {n}: {a:e} for {b:e} in f32", root.name);
                    }
                }
            }
        }
    };
}

equal!(
    aot_is_bit_equal,
    catalogue("aot"),
    Aot,
    aot,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.1, 0.0]
);
equal!(
    aot_unpaired_is_bit_equal,
    catalogue("aot_unpaired"),
    AotUnpaired,
    aot_unpaired,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.1, 0.0]
);
equal!(
    kto_is_bit_equal,
    catalogue("kto"),
    Kto,
    kto,
    [logp_pi_y, logp_ref_y, mismatched_logp_pi, mismatched_logp_ref, label],
    [loss, d_logp_pi_y, d_mismatched_logp_pi],
    [0.1, 1.0, 1.0]
);
equal!(
    a_loss_of_the_whole_batch_is_bit_equal,
    catalogue("sft"),
    Sft,
    sft,
    [logp_pi_w, len_w],
    [loss, d_logp_pi_w],
    []
);
equal!(
    entangled_is_bit_equal,
    crate::text(ENTANGLED, "entangled"),
    Entangled,
    entangled,
    [mean_logp_pi_w, mean_logp_pi_l],
    [loss, d_mean_logp_pi_w, d_mean_logp_pi_l],
    [0.5]
);

const ENTANGLED: &str = "loss entangled(beta = 0.5 in (0, inf)) {
    data pair(w > l)
    model pi = policy, aggregate mean
    let r = mean_logp(pi, w) - mean_logp(pi, l)
    let ranked = batch_sort(r)
    let center = batch_mean(ranked * sigmoid(r))
    minimize softplus(beta * (center - ranked)) + square(r - center) / (1 + batch_sum(square(r)))
}";
