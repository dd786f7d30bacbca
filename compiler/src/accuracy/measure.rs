//! Errors in units in the last place, and where they are worst.
//!
//! In: a graph and the groups of a sample. Out: [`Figures`] a root. Invariant: an error is measured against
//! 256 bits at the very numbers that the type holds, so it is the formula's and not the data's.

use super::sample::Group;
use crate::codegen::interp::{Big, EvalError, Real, evaluate};
use crate::mir::Graph;
use crate::mir::interval::Precision;

/// The oracle's numbers.
pub(super) type Exact = Big<256>;

/// The errors of one result over a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many values were compared.
    pub values: usize,
    /// The largest error in units in the last place, of those that are finite; a result below the smallest
    /// normal number may be 0.
    pub worst: f64,
    /// The mean of the errors that are finite.
    pub mean: f64,
    /// How many values are NaN, or infinite where the exact value fits the type.
    pub failures: usize,
    /// Where the first failure is, or else the largest error.
    pub at: Option<Worst>,
}

/// A point and what is computed there.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// The columns by name: one number an example of the batch that counts.
    pub inputs: Vec<(String, Vec<f64>)>,
    /// The value that was computed.
    pub computed: f64,
    /// The exact value, as the nearest f64.
    pub exact: f64,
    /// How far the exact value moves, in units in its last place, when every number of the data moves by
    /// one unit in its own last place: what no formula can be asked to see.
    pub conditioning: f64,
    /// Group and element.
    place: (usize, usize),
}

impl Figures {
    fn add(&mut self, exact: &Exact, computed: f64, precision: Precision) -> bool {
        self.values += 1;
        let least = precision.min_normal();
        if exact.to_f64().abs() < least && computed.abs() <= least {
            // Underflow: such a number may be flushed to 0.
            return false;
        }
        let error = exact.error_in_ulps(computed, precision);
        if !error.is_finite() {
            self.failures += 1;
            return self.failures == 1;
        }
        // Until the end `mean` is the sum.
        self.mean += error;
        let larger = error > self.worst;
        if larger {
            self.worst = error;
        }
        larger && self.failures == 0
    }

    fn end(&mut self) {
        let finite = self.values - self.failures;
        if finite > 0 {
            self.mean /= finite as f64;
        }
    }
}

/// Every value of every root in a type, as f64.
fn run(
    graph: &Graph,
    params: &[f64],
    group: &Group,
    precision: Precision,
) -> Result<Vec<Vec<f64>>, EvalError> {
    Ok(match precision {
        Precision::F64 => evaluate::<f64>(graph, params, &group.batch(graph)?)?,
        Precision::F32 => {
            let roots = evaluate::<f32>(graph, params, &group.batch(graph)?)?;
            roots.into_iter().map(|r| r.into_iter().map(f64::from).collect()).collect()
        }
    })
}

/// The value of an element; a root that stands at an outer level is broadcast.
fn element<T>(values: &[T], i: usize) -> Option<&T> {
    values.get(i).or_else(|| values.first().filter(|_| values.len() == 1))
}

/// The figures of several graphs with the same roots, a list a graph; the first is the oracle's.
pub(super) fn measure(
    graphs: &[&Graph],
    params: &[f64],
    groups: &[Group],
    precision: Precision,
    mut tick: impl FnMut(),
) -> Result<Vec<Vec<Figures>>, EvalError> {
    let Some(oracle) = graphs.first().copied() else { return Ok(Vec::new()) };
    let params = rounded(params, precision);
    let mut out = vec![vec![Figures::default(); oracle.roots.len()]; graphs.len()];
    for (g, group) in groups.iter().enumerate() {
        let group = group.rounded(precision);
        let exact = evaluate::<Exact>(oracle, &params, &group.batch(oracle)?)?;
        for (figures, graph) in out.iter_mut().zip(graphs) {
            let computed = run(graph, &params, &group, precision)?;
            for ((figure, exact), computed) in figures.iter_mut().zip(&exact).zip(&computed) {
                for (i, e) in exact.iter().enumerate() {
                    let Some(c) = element(computed, i) else { continue };
                    if figure.add(e, *c, precision) {
                        figure.at = Some(Worst {
                            inputs: group.shown(oracle, i),
                            computed: *c,
                            exact: e.to_f64(),
                            conditioning: 0.0,
                            place: (g, i),
                        });
                    }
                }
            }
        }
        tick();
    }
    for figures in &mut out {
        for (root, figure) in figures.iter_mut().enumerate() {
            figure.end();
            if let Some(worst) = &mut figure.at {
                let group = groups[worst.place.0].rounded(precision);
                worst.conditioning =
                    conditioning(oracle, &params, &group, root, worst.place.1, precision)?;
            }
        }
    }
    Ok(out)
}

/// Parameters as a type holds them.
pub(super) fn rounded(params: &[f64], precision: Precision) -> Vec<f64> {
    let round = |x: &f64| if precision == Precision::F32 { f64::from(*x as f32) } else { *x };
    params.iter().map(round).collect()
}

/// See [`Worst::conditioning`].
fn conditioning(
    graph: &Graph,
    params: &[f64],
    group: &Group,
    root: usize,
    i: usize,
    precision: Precision,
) -> Result<f64, EvalError> {
    let at = |group: &Group, params: &[f64]| -> Result<Option<Exact>, EvalError> {
        let mut roots = evaluate::<Exact>(graph, params, &group.batch(graph)?)?;
        let values = roots.swap_remove(root);
        Ok(element(&values, i).cloned())
    };
    let Some(base) = at(group, params)? else { return Ok(0.0) };
    let mut total = 0.0;
    let mut add = |moved: Option<Exact>| {
        // The distance in units of `base`, whatever type the moved value would round to.
        if let Some(moved) = moved {
            let ulps = base.distance_in_ulps(&moved, precision);
            if ulps.is_finite() {
                total += ulps;
            }
        }
    };
    for (k, input) in graph.inputs.iter().enumerate() {
        if input.name == "label" || input.name.starts_with("len(") {
            continue;
        }
        let mut moved = group.clone();
        moved.columns[k].iter_mut().for_each(|x| *x *= 1.0 + precision.epsilon());
        add(at(&moved, params)?);
    }
    for k in 0..params.len() {
        let mut moved = params.to_vec();
        moved[k] *= 1.0 + precision.epsilon();
        add(at(group, &moved)?);
    }
    Ok(total)
}
