//! Attention against its composed version, and what causality promises.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{Heads, Span, attention, composed::composed};
use crate::model::ops::check::{assert_same_gradients, random_var};

const HEADS: Heads = Heads { queries: 4, keys: 2, size: 6, window: None };

fn against_composed(n: usize, m: usize, spans: Vec<Span>) {
    for window in [None, Some(2), Some(3), Some(100)] {
        in_window(n, m, spans.clone(), Heads { window, ..HEADS });
    }
}

fn in_window(n: usize, m: usize, spans: Vec<Span>, heads: Heads) {
    let spans = Arc::new(spans);
    let q = random_var(&[n, 24], 1);
    let (k, v) = (random_var(&[m, 12], 2), random_var(&[m, 12], 3));
    let seed = random_var(&[n, 24], 4).as_tensor().detach();
    assert_same_gradients(
        &[&q, &k, &v],
        || (attention(&q, &k, &v, heads, &spans)? * &seed)?.sum_all(),
        || (composed(&q, &k, &v, heads, &spans)? * &seed)?.sum_all(),
    );
}

#[test]
fn separate_sequences_equal_the_composed_version_with_gradients() {
    let span =
        |start: usize, end: usize| Span { queries: start..end, context: 0..0, own: start..end };
    against_composed(9, 9, vec![span(0, 4), span(4, 5), span(5, 9)]);
}

#[test]
fn a_context_shared_by_two_spans_equals_the_composed_version_with_gradients() {
    let spans = vec![
        Span { queries: 0..3, context: 0..0, own: 0..3 },
        Span { queries: 3..5, context: 0..3, own: 3..5 },
        Span { queries: 5..9, context: 0..3, own: 5..9 },
    ];
    against_composed(9, 9, spans);
}

#[test]
fn a_cached_context_serves_new_queries() {
    against_composed(2, 7, vec![Span { queries: 0..2, context: 0..5, own: 5..7 }]);
}

#[test]
fn queries_outside_every_span_are_zero() {
    let span = Span { queries: 1..3, context: 0..0, own: 1..3 };
    against_composed(4, 4, vec![span]);
}

#[test]
fn the_future_has_no_influence() {
    let spans = Arc::new(vec![Span { queries: 0..5, context: 0..0, own: 0..5 }]);
    let (q, k) = (random_var(&[5, 24], 1), random_var(&[5, 12], 2));
    let v = random_var(&[5, 12], 3);
    let run = |v: &Tensor| {
        attention(&q, &k, v, HEADS, &spans).unwrap().narrow(0, 0, 4).unwrap().flatten_all().unwrap()
    };
    let before = run(&v).to_vec1::<f32>().unwrap();
    let mut values = v.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values[48..].fill(1e30);
    let after = run(&Tensor::from_vec(values, (5, 12), &Device::Cpu).unwrap());
    assert_eq!(before, after.to_vec1::<f32>().unwrap());
}

#[test]
fn spans_out_of_bounds_are_errors() {
    let (q, k) = (random_var(&[5, 24], 1), random_var(&[5, 12], 2));
    for bad in [
        Span { queries: 0..6, context: 0..0, own: 0..6 },
        Span { queries: 0..2, context: 0..0, own: 0..3 },
        Span { queries: 0..2, context: 4..6, own: 0..2 },
    ] {
        assert!(attention(&q, &k, &k, HEADS, &Arc::new(vec![bad])).is_err());
    }
}
