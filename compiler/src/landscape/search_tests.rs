//! Queries against their definitions.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::gradient::Scale;
use super::{brute, cube, factor, *};
use crate::logic::Structure;

fn node(name: &str) -> Node {
    nodes().into_iter().find(|n| n.name == name).expect("a node of the lattice")
}

fn between(lower: &str, upper: &str) -> Filter {
    Filter::Between { lower: node(lower).structure(), upper: node(upper).structure() }
}

fn gradient(aggregate: Aggregate, inputs: Inputs) -> Filter {
    Filter::UsableGradient { aggregate, inputs }
}

/// The filters whose combinations are tried; the catalogue is half of the lattice, and two losses of
/// one rho.
fn filters() -> Vec<Filter> {
    let mut catalogue: Vec<Structure> = nodes().iter().step_by(2).map(Node::structure).collect();
    catalogue.push(atom::structure(&atoms(2), 0b1000, 0b0100));
    catalogue.push(atom::structure(&atoms(2), 0b1010, 0b0101));
    vec![
        Filter::Monotone,
        Filter::DependsOnBoth,
        Filter::Symmetric,
        between("cUNL", "unCPO"),
        gradient(Aggregate::Sum, Inputs::All),
        gradient(Aggregate::Mean, Inputs::Policy),
        Filter::NotIn(catalogue),
    ]
}

/// What a filter means, on one structure given by its tables.
fn holds(filter: &Filter, t: u64, b: u64, atoms: usize) -> bool {
    let depends = |i| brute::slope(t, b, i, atoms).iter().any(|&c| c != 0);
    match filter {
        Filter::NonEmpty => t != 0 && b != 0,
        Filter::Between { lower, upper } => {
            let own = atom::structure(&super::atoms(atoms), t, b);
            entails(lower, &own) == Ok(true) && entails(&own, upper) == Ok(true)
        }
        _ if t == 0 || b == 0 => false,
        Filter::Monotone => brute::is_monotone(t, b, atoms),
        Filter::DependsOnBoth => depends(0) && depends(1),
        Filter::Symmetric => {
            let swap = |f| atom::swap_responses(f, atoms);
            match (swap(t), swap(b)) {
                (Some(x), Some(y)) => brute::key(x, y, atoms) == brute::key(b, t, atoms),
                // With one reference only, rho must not depend on it.
                _ => {
                    let (t, b) = factor::cancel(t, b, atoms);
                    swap(t).is_some() && swap(t) == Some(b)
                }
            }
        }
        Filter::UsableGradient { aggregate, inputs } => {
            let scale = Scale::new(*aggregate, *inputs, atoms);
            scale.usable(&scale.weigh(t, atoms), &scale.weigh(b, atoms))
        }
        Filter::NotIn(list) => list.iter().all(|s| match atom::tables(s, atoms) {
            Ok((x, y)) => brute::key(x, y, atoms) != brute::key(t, b, atoms),
            Err(_) => true,
        }),
    }
}

/// All structures that pass, or the reduced ones of all rho that pass.
fn by_definition(query: &Query) -> BTreeSet<(u64, u64)> {
    let full = cube::full(query.atoms);
    let mut found = BTreeSet::new();
    for t in 0..=full {
        for b in 0..=full {
            if query.each == Each::DistinctRho
                && (t == 0 || b == 0 || factor::cancel(t, b, query.atoms) != (t, b))
            {
                continue;
            }
            if query.filters.iter().all(|f| holds(f, t, b, query.atoms)) {
                found.insert((t, b));
            }
        }
    }
    found
}

fn listed(query: &Query) -> Vec<(u64, u64)> {
    stream(query).expect("a good query").map(|s| (s.wins.0, s.loses.0)).collect()
}

fn counted(query: &Query) -> u64 {
    count(query, &|_, _| ()).expect("a good query")
}

fn queries(atoms: usize, choices: impl Iterator<Item = u32>) -> impl Iterator<Item = Query> {
    choices.flat_map(move |chosen| {
        let picked = filters().into_iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1);
        let query = picked.fold(Query::new(atoms), |query, (_, filter)| query.with(filter));
        [query.clone(), query.every_structure()]
    })
}

#[test]
fn every_combination_of_filters_over_two_atoms_is_what_it_says() {
    for query in queries(2, 0..128) {
        let expected: Vec<_> = by_definition(&query).into_iter().collect();
        assert_eq!(listed(&query), expected, "{:?}", query);
        assert_eq!(counted(&query), expected.len() as u64, "{:?}", query);
    }
}

#[test]
fn some_filters_over_three_atoms_are_what_they_say() {
    // symmetric; between with a gradient
    for query in queries(3, [0b100, 0b1_1000].into_iter()) {
        let expected: Vec<_> = by_definition(&query).into_iter().collect();
        assert_eq!(listed(&query), expected, "{:?}", query);
    }
}

#[test]
fn counting_is_the_length_of_listing_over_three_atoms() {
    for query in queries(3, [0, 1, 2, 0b10_0000, 0b11_0010, 0b100_0011, 0b100_1010].into_iter()) {
        assert_eq!(counted(&query), listed(&query).len() as u64, "{:?}", query);
    }
}

/// By exact support: a pair of non-empty functions is a coprime pair times one function of the atoms
/// that the pair does not use. This gives the number of coprime pairs with full support from those
/// with less, without any factorisation.
#[test]
fn distinct_rho_agrees_with_a_recursion_over_supports() {
    let binomial = |n: u64, k: u64| (0..k).fold(1, |c, i| c * (n - i) / (i + 1));
    let nonzero = |k: u64| (1_u64 << (1 << k)) - 1;
    let mut with_support: Vec<u64> = Vec::new();
    for n in 0..=4_u64 {
        let lesser = |weight: &dyn Fn(u64) -> u64| -> u64 {
            (0..n).map(|k| binomial(n, k) * with_support[k as usize] * weight(k)).sum()
        };
        let own = nonzero(n) * nonzero(n) - lesser(&|k| nonzero(n - k));
        let distinct = own + lesser(&|_| 1);
        with_support.push(own);
        if n >= 2 {
            let query = Query::new(n as usize).with(Filter::NonEmpty);
            assert_eq!(counted(&query), distinct);
            // and every non-empty structure has one of these rho
            assert_eq!(counted(&query.every_structure()), nonzero(n) * nonzero(n));
        }
    }
}

/// Every structure of a monotone rho is met by the search that does not reduce; their number must be
/// that of the reduced ones, each with its paddings.
#[test]
fn monotone_structures_are_the_padded_monotone_rho() {
    for atoms in 2..=3 {
        let query = Query::new(atoms).with(Filter::Monotone).every_structure();
        assert_eq!(counted(&query), listed(&query).len() as u64);
    }
}

#[test]
fn four_atoms_are_pruned_by_symmetry_and_intervals() {
    let symmetric = Query::new(4).with(Filter::Symmetric);
    assert_eq!(counted(&symmetric), listed(&symmetric).len() as u64);
    let both = symmetric.clone().with(Filter::Monotone).with(Filter::DependsOnBoth);
    let found = listed(&both);
    assert_eq!(counted(&both), found.len() as u64);
    let dpo = node("CPO").with_reference();
    assert!(found.contains(&(dpo.wins.0, dpo.loses.0)), "DPO is symmetric and monotone");

    let (lower, upper) = (dpo.clone(), node("unCPO").with_reference());
    let interval =
        Query::new(4).with(Filter::Between { lower: lower.clone(), upper: upper.clone() });
    let inside = listed(&interval);
    assert_eq!(counted(&interval), inside.len() as u64);
    for &(t, b) in &inside {
        let own = atom::structure(&atoms(4), t, b);
        assert_eq!((entails(&lower, &own), entails(&own, &upper)), (Ok(true), Ok(true)));
    }
    let monotone = interval.with(Filter::Monotone).with(Filter::NotIn(vec![dpo, upper]));
    let expected: Vec<_> = inside
        .into_iter()
        .filter(|&(t, b)| {
            monotone.filters[1..].iter().all(|f| match f {
                Filter::NotIn(list) => list.iter().all(|s| (s.wins.0, s.loses.0) != (t, b)),
                _ => brute::is_monotone(t, b, 4),
            })
        })
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(listed(&monotone), expected);
    assert_eq!(counted(&monotone), expected.len() as u64);
}

#[test]
fn an_interval_the_wrong_way_round_is_empty() {
    let query = Query::new(2).with(between("unCPO", "CEUnl"));
    assert_eq!(counted(&query), 0);
    assert_eq!(counted(&query.clone().every_structure()), 0);
    assert_eq!(listed(&query), []);
}

#[test]
fn a_stream_stops_at_its_limit_and_says_so() {
    let query = Query::new(4).limit(5);
    let mut found = stream(&query).expect("a good query");
    assert_eq!(found.by_ref().count(), 5);
    assert_eq!(found.stopped(), Some(&LandscapeError::Limit { limit: 5 }));
    let mut all = stream(&Query::new(2)).expect("a good query");
    assert_eq!(all.by_ref().count(), 187);
    assert_eq!((all.stopped(), all.progress()), (None, (16, 16)));
}

#[test]
fn a_raised_flag_cancels() {
    let flag = Arc::new(AtomicBool::new(false));
    let query = Query::new(4).with(Filter::Symmetric).cancelled_by(flag.clone());
    let mut found = stream(&query).expect("a good query");
    assert!(found.next().is_some());
    flag.store(true, Ordering::Relaxed);
    assert_eq!(found.next(), None);
    assert!(matches!(found.stopped(), Some(LandscapeError::Cancelled { .. })));

    flag.store(false, Ordering::Relaxed);
    let calls = Cell::new(0);
    let result = count(&query, &|done, total| {
        assert!(done <= total);
        calls.set(calls.get() + 1);
        if calls.get() == 2 {
            flag.store(true, Ordering::Relaxed);
        }
    });
    assert!(matches!(result, Err(LandscapeError::Cancelled { .. })));
    assert_eq!(calls.get(), 2);
}

#[test]
fn bad_queries_are_refused() {
    for atoms in [0, 1, 5, 64] {
        assert_eq!(counts(atoms), Err(LandscapeError::Atoms { atoms }));
        assert!(matches!(stream(&Query::new(atoms)), Err(LandscapeError::Atoms { .. })));
    }
    let upper = node("unCPO").with_reference();
    let query = Query::new(2).with(Filter::Between { lower: node("CEUnl").structure(), upper });
    let error = count(&query, &|_, _| ());
    assert!(matches!(error, Err(LandscapeError::ForeignAtom { atoms: 2, .. })), "{error:?}");
}
