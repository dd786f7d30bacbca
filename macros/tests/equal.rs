//! The generated functions give the interpreter's values to the last bit.

use ponens_compiler::codegen::interp::{Batch, Real, evaluate};
use ponens_compiler::hir::Program;
use ponens_compiler::mir::Graph;
use ponens_compiler::session;
use ponens_losses::Catalogue;
use ponens_macros::{catalogue_loss, include_loss, loss};

catalogue_loss!(dpo);
catalogue_loss!(cdpo);
catalogue_loss!(orpo);
catalogue_loss!(simpo);
catalogue_loss!(dpop);
catalogue_loss!(discopop);
catalogue_loss!(tdpo1);
catalogue_loss!(lattice.l5_ref);
include_loss!("tests/losses/hinged.loss");

loss! {
    /// A loss written in place: conservative, with a column and a threshold.
    #[ponens(name = "Thresholded")]
    pub loss mine(beta = 0.1 in >0..inf, epsilon = 0.1 in 0..0.5) {
        data pair(w > l)
        model pi = policy, aggregate mean
        column weight in 0..=1
        prefer pi(l) -> pi(w)
        minimize weight * smooth(epsilon, logistic(beta * rho)) + max(0, logp(pi, l) - logp(pi, w))
    }
}

/// Numbers in (0, 1), the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A value of a column's domain, of any magnitude.
    fn within(&mut self, lo: f64, hi: f64) -> f64 {
        let size = 10f64.powf(self.next() * 16.0 - 12.0);
        match (lo.is_finite(), hi.is_finite()) {
            (true, true) => lo + (hi - lo) * self.next(),
            (true, false) => lo + size,
            (false, true) => hi - size,
            (false, false) => if self.next() < 0.5 { size } else { -size },
        }
    }
}

const EXAMPLES: usize = 64;

/// Columns for a graph: edges first, then random values.
fn columns(graph: &Graph) -> Vec<Vec<f64>> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let columns = graph.inputs.iter().map(|input| {
        let (lo, hi) = (input.range.lo, input.range.hi);
        let mut values: Vec<f64> = (0..EXAMPLES).map(|_| random.within(lo, hi)).collect();
        let edges = [0.0, -0.0, -1e-12, -1e4, -core::f64::consts::LN_2, 1.0];
        for (v, e) in values.iter_mut().zip(edges) {
            if input.range.contains(e) {
                *v = e;
            }
        }
        values
    });
    columns.collect()
}

/// What the interpreter says, a vector a root.
fn expected<T: Real>(graph: &Graph, params: &[f64], columns: &[Vec<f64>]) -> Vec<Vec<T>> {
    let mut batch = Batch::<T>::new(EXAMPLES);
    for (i, c) in columns.iter().enumerate() {
        batch.set(graph, i as u16, c).expect("a column of the graph");
    }
    evaluate::<T>(graph, params, &batch).expect("values")
}

macro_rules! equal {
    ($test:ident, $graph:expr, $loss:expr, $module:ident, [$($column:ident),*], [$($out:ident),*], $params:expr) => {
        #[test]
        fn $test() {
            let graph: Graph = $graph;
            let read = columns(&graph);
            let narrow: Vec<Vec<f32>> =
                read.iter().map(|c| c.iter().map(|x| *x as f32).collect()).collect();
            let loss = $loss;
            let roots = graph.roots.len();
            let mut wide_out = vec![vec![0.0_f64; EXAMPLES]; roots];
            let mut narrow_out = vec![vec![0.0_f32; EXAMPLES]; roots];
            {
                let mut read = read.iter();
                $(let $column = read.next().expect("a column").as_slice();)*
                assert!(read.next().is_none());
                let mut out = wide_out.iter_mut();
                $(let $out = out.next().expect("a root").as_mut_slice();)*
                assert!(out.next().is_none());
                let columns = $module::Columns { $($column),* };
                loss.value_and_gradient(columns, &mut $module::Outputs { $($out),* })
                    .expect("equal lengths");
                for i in 0..EXAMPLES {
                    let one = loss.example($($column[i]),*);
                    $(assert_eq!(one.$out.to_bits(), wide_out_at(&$out, i));)*
                }
            }
            {
                let mut read = narrow.iter();
                $(let $column = read.next().expect("a column").as_slice();)*
                let mut out = narrow_out.iter_mut();
                $(let $out = out.next().expect("a root").as_mut_slice();)*
                let columns = $module::Columns { $($column),* };
                loss.value_and_gradient_f32(columns, &mut $module::Outputs { $($out),* })
                    .expect("equal lengths");
            }
            let params: &[f64] = &$params;
            let wide = expected::<f64>(&graph, params, &read);
            let small = expected::<f32>(&graph, params, &read);
            for r in 0..roots {
                let name = &graph.roots[r].name;
                for i in 0..EXAMPLES {
                    let (a, b) = (wide_out[r][i], wide[r][i]);
                    assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{name}[{i}]: {a:e} for {b:e}");
                    let (a, b) = (narrow_out[r][i], small[r][i]);
                    assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{name}[{i}]: {a:e} for {b:e} in f32");
                }
            }
            assert!(wide_out[0].iter().any(|x| *x != wide_out[0][0]), "it depends on its columns");
        }
    };
}

fn wide_out_at(out: &&mut [f64], i: usize) -> u64 {
    out[i].to_bits()
}

fn catalogue(name: &str) -> Graph {
    ponens_losses::compile(name, &Default::default()).expect("in the catalogue").graph().clone()
}

fn text(text: &str, name: &str) -> Graph {
    let mut program = Program::new();
    let (_, found) = program.add_text("a.loss", text);
    assert!(found.is_empty(), "{found:?}");
    let compiled = session::compile(&mut program, name, &Catalogue, &Default::default());
    compiled.expect("it compiles").graph().clone()
}

const HINGED: &str = include_str!("losses/hinged.loss");

equal!(dpo_is_bit_equal, catalogue("dpo"), Dpo::default().with_beta(0.3).unwrap(), dpo,
    [logp_pi_w, logp_ref_l, logp_pi_l, logp_ref_w], [loss, d_logp_pi_w, d_logp_pi_l], [0.3]);
