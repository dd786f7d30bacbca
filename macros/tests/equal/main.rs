//! The generated functions give the interpreter's values to the last bit.

mod batch;
mod data;

use data::{EXAMPLES, columns, expected};
use ponens_compiler::codegen::rust::snake_case;
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

macro_rules! equal {
    ($test:ident, $graph:expr, $loss:expr, $module:ident, [$($column:ident),*], [$($out:ident),*], $params:expr) => {
        #[test]
        fn $test() {
            let graph: Graph = $graph;
            let snake = |name: &String| snake_case(name);
            let named: Vec<String> = graph.inputs.iter().map(|i| snake(&i.name)).collect();
            assert_eq!(named, [$(stringify!($column)),*]);
            let named: Vec<String> = graph.roots.iter().map(|r| snake(&r.name)).collect();
            assert_eq!(named, [$(stringify!($out)),*]);
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
    ponens_losses::compile(name, &Default::default()).expect("in the catalogue").reduced
}

fn text(text: &str, name: &str) -> Graph {
    let mut program = Program::new();
    let (_, found) = program.add_text("a.loss", text);
    assert!(found.is_empty(), "{found:?}");
    let compiled = session::compile(&mut program, name, &Catalogue, &Default::default());
    compiled.expect("it compiles").reduced
}

const HINGED: &str = include_str!("../losses/hinged.loss");

const MINE: &str = "loss mine(beta = 0.1 in (0, inf), epsilon = 0.1 in [0, 0.5)) {
    data pair(w > l)
    model pi = policy, aggregate mean
    column weight in [0, 1]
    prefer pi(l) -> pi(w)
    minimize weight * smooth(epsilon, logistic(beta * rho)) + max(0, logp(pi, l) - logp(pi, w))
}";

equal!(
    dpo_is_bit_equal,
    catalogue("dpo"),
    Dpo::default().with_beta(0.3).unwrap(),
    dpo,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.3]
);
equal!(
    cdpo_is_bit_equal,
    catalogue("cdpo"),
    Cdpo::new(0.2, 0.25).unwrap(),
    cdpo,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.2, 0.25]
);
equal!(
    orpo_is_bit_equal,
    catalogue("orpo"),
    Orpo::default(),
    orpo,
    [mean_logp_pi_w, mean_logp_pi_l],
    [loss, d_mean_logp_pi_w, d_mean_logp_pi_l],
    [0.1]
);
equal!(
    simpo_is_bit_equal,
    catalogue("simpo"),
    Simpo::default(),
    simpo,
    [mean_logp_pi_w, mean_logp_pi_l],
    [loss, d_mean_logp_pi_w, d_mean_logp_pi_l],
    [2.0, 0.5]
);
equal!(
    dpop_is_bit_equal,
    catalogue("dpop"),
    Dpop::default(),
    dpop,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.1, 5.0]
);
equal!(
    discopop_is_bit_equal,
    catalogue("discopop"),
    Discopop::default(),
    discopop,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.1, 0.05]
);
equal!(
    tdpo1_is_bit_equal,
    catalogue("tdpo1"),
    Tdpo1::default(),
    tdpo1,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l, kl_ref_pi_w, kl_ref_pi_l],
    [loss, d_logp_pi_w, d_logp_pi_l, d_kl_ref_pi_w, d_kl_ref_pi_l],
    [0.1]
);
equal!(
    l5_ref_is_bit_equal,
    catalogue("lattice.l5_ref"),
    LatticeL5Ref::default(),
    lattice_l5_ref,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [1.0]
);
equal!(
    a_file_is_bit_equal,
    text(HINGED, "hinged"),
    Hinged::default(),
    hinged,
    [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.1, 1.0]
);
equal!(
    the_second_of_a_file_is_bit_equal,
    text(HINGED, "squared_up"),
    SquaredUp::default(),
    squared_up,
    [logp_pi_w, logp_pi_l],
    [loss, d_logp_pi_w, d_logp_pi_l],
    [0.5]
);
equal!(
    a_loss_in_place_is_bit_equal,
    text(MINE, "mine"),
    Thresholded::default(),
    thresholded,
    [logp_pi_w, logp_pi_l, mean_logp_pi_w, mean_logp_pi_l, weight],
    [loss, d_logp_pi_w, d_logp_pi_l, d_mean_logp_pi_w, d_mean_logp_pi_l],
    [0.1, 0.1]
);

#[test]
fn parameters_keep_their_ranges() {
    let refused = Thresholded::default().with_epsilon(0.5).unwrap_err();
    assert_eq!(refused.to_string(), "epsilon = 0.5 lies outside [0, 0.5)");
    assert_eq!(Thresholded::default().with_epsilon(0.0).map(|l| l.epsilon()), Ok(0.0));
    assert!(
        Dpo::new(0.0).is_err() && Dpo::new(f64::NAN).is_err() && Dpo::new(f64::INFINITY).is_err()
    );
    assert!(Dpo::new(f64::MIN_POSITIVE).is_ok());
}

#[test]
fn lengths_that_differ_are_refused_before_anything_is_written() {
    let (four, three) = ([-1.0; 4], [-1.0; 3]);
    let columns = orpo::Columns { mean_logp_pi_w: &four, mean_logp_pi_l: &three };
    let (mut loss, mut w, mut l) = ([7.0; 4], [7.0; 4], [7.0; 4]);
    let mut out =
        orpo::Outputs { loss: &mut loss, d_mean_logp_pi_w: &mut w, d_mean_logp_pi_l: &mut l };
    let refused = Orpo::default().value_and_gradient(columns, &mut out).unwrap_err();
    let expected = orpo::WrongLength { name: "mean_logp(pi,l)", expected: 4, given: 3 };
    assert_eq!(refused, expected);
    assert_eq!((loss, w, l), ([7.0; 4], [7.0; 4], [7.0; 4]));
}

#[test]
fn the_constants_say_what_the_loss_is() {
    assert_eq!(Thresholded::NAME, "mine");
    assert_eq!(Thresholded::SOURCE, None);
    assert!(Thresholded::TEXT.starts_with("/// A loss written in place: conservative"));
    assert!(Thresholded::TEXT.contains("epsilon = 0.1 in [0, 0.5)"), "{}", Thresholded::TEXT);
    assert_eq!(Dpo::SOURCE, Some("Rafailov et al. 2023, arXiv 2305.18290, eq. 7"));
    assert_eq!(Dpo::COLUMNS, ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"]);
    assert_eq!(Dpo::CORE.map(|c| c.prefer), Some("pi(l) & ref(w) -> pi(w) & ref(l)"));
    assert!(Dpo::FORMULA.starts_with("softplus("));
}
