//! The passes against sums in f64, in both forms, over lengths around the blocks.

use super::scan::{Moments, PairMoments, Scan, moments, pair_moments, scan};

fn row(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 4001) as f32 * 0.01 - 20.0).collect()
}

fn max(x: &[f32]) -> f32 {
    x.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn close(what: &str, got: f64, want: f64) {
    assert!(
        (got - want).abs() <= 4e-7 * want.abs().max(1e-3),
        "{what}: {got} where {want} is right"
    );
}

#[test]
fn sums_match_exact_ones_across_blocks_and_merges() {
    for n in [1, 7, 8, 31, 32, 33, 1023, 1024, 1025, 5000] {
        let (x, y) = (row(n, 1), row(n, 2));
        let (mx, my) = (max(&x), max(&y));
        let d = |v: &f32, m: f32| f64::from(*v - m);
        let sum = x.iter().map(|v| d(v, mx).exp()).sum::<f64>();
        let first = x.iter().map(|v| d(v, mx).exp() * d(v, mx)).sum::<f64>();
        let second = x.iter().map(|v| (2.0 * d(v, mx)).exp()).sum::<f64>();
        let gap = |x: &f32, y: &f32| d(x, mx) - d(y, my);
        let under_x = x.iter().zip(&y).map(|(x, y)| d(x, mx).exp() * gap(x, y)).sum::<f64>();
        let under_y = x.iter().zip(&y).map(|(x, y)| -d(y, my).exp() * gap(x, y)).sum::<f64>();
        for cut in [0, n / 3, n] {
            let s = scan(&x[..cut]).merge(scan(&x[cut..]));
            assert_eq!((s.max, s.finite), (mx, true));
            close("sum", s.sum, sum);
            let m = moments(&x[..cut]).merge(moments(&x[cut..]));
            assert_eq!(m.scan.max, mx);
            close("sum", m.scan.sum, sum);
            close("first", m.first, first);
            close("second", m.second, second);
            let p = pair_moments(&x[..cut], &y[..cut]).merge(pair_moments(&x[cut..], &y[cut..]));
            assert_eq!((p.x.max, p.y.max), (mx, my));
            close("sum of x", p.x.sum, sum);
            assert!((p.under_x - under_x).abs() < 2e-6 * sum * 40.0, "{} {under_x}", p.under_x);
            assert!((p.under_y - under_y).abs() < 2e-6 * p.y.sum * 40.0, "{} {under_y}", p.under_y);
        }
    }
}

#[test]
fn one_number_is_a_row_of_one() {
    let close = |a: Scan, b: Scan| assert_eq!(a, b);
    close(Moments::of(2.5).scan, scan(&[2.5]));
    assert_eq!(Moments::of(2.5), moments(&[2.5]));
    assert_eq!(PairMoments::of(2.5, -1.0), pair_moments(&[2.5], &[-1.0]));
}

#[test]
fn what_is_not_finite_shows() {
    let mut x = vec![f32::NEG_INFINITY; 3000];
    assert_eq!(scan(&x), Scan { finite: false, ..Scan::EMPTY });
    x[2500] = 1.5;
    let s = scan(&x);
    assert_eq!((s.max, s.finite), (1.5, false));
    assert!((s.sum - 1.0).abs() < 1e-6);
    x[10] = f32::NAN;
    assert!(scan(&x).sum.is_nan());
    for at in [0, 8, 31, 40, 1030, 1031] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = row(1032, 3);
            assert!(scan(&x).finite && moments(&x).scan.finite);
            x[at] = bad;
            assert!(!scan(&x).finite && !moments(&x).scan.finite, "{bad} at {at}");
            assert!(!pair_moments(&x, &x).y.finite);
            assert!(bad == f32::NEG_INFINITY || scan(&x).sum.is_nan(), "{bad} at {at}");
        }
    }
}
