//! A direction in which the loss and the chosen probability fall together.

use super::Response;
use super::points::{Point, Points, Side};

/// Steps that are tried along a direction, in nats of the chosen log-probability.
const STEPS: [f64; 4] = [1.0, 0.1, 0.01, 0.001];
/// How much faster than needed the rejected response falls in a witness.
const MARGIN: f64 = 2.0;

/// Whether a loss can fall while the chosen response becomes less likely (likelihood displacement).
#[derive(Clone, Debug, PartialEq)]
pub enum Displacement {
    /// It can: a step of gradient descent alone lowers the chosen log-probability somewhere.
    Direct(Step),
    /// It can, though the loss never asks for it: the rejected response has to change enough to pay for it.
    Traded(Step),
    /// It cannot: the loss reads nothing else of the policy.
    Impossible,
    /// The loss reads no log-probability of the chosen response, so nothing holds it up.
    Unread,
    /// No step was found at so many examples.
    NotFound(usize),
}

impl Displacement {
    /// The witness, if there is one.
    pub fn step(&self) -> Option<&Step> {
        match self {
            Displacement::Direct(s) | Displacement::Traded(s) => Some(s),
            _ => None,
        }
    }
}

/// A step that has been evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The example, by column.
    pub example: Vec<(String, f64)>,
    /// The change of every column that moves.
    pub direction: Vec<(String, f64)>,
    /// The loss before the step.
    pub before: f64,
    /// The loss after it, which is lower.
    pub after: f64,
    /// How much the rejected log-probability has to change for each nat that the chosen one falls, so that
    /// the loss does not rise; 0 where it need not change.
    pub price: f64,
}

pub(super) fn find(points: &Points<'_>) -> Displacement {
    let (mut alone, mut read) = (true, false);
    for side in points.sides() {
        if side == Side::Bad {
            continue;
        }
        let columns = points.pulled(side);
        let of = |wanted: Response| -> Vec<(String, f64)> {
            let own = columns.iter().filter(|(_, r)| *r == wanted);
            own.map(|(c, _)| (c.clone(), points.share(c))).collect()
        };
        let (chosen, rejected) = (of(Response::Chosen), of(Response::Rejected));
        if chosen.is_empty() {
            continue;
        }
        read = true;
        alone &= columns.iter().all(|(_, r)| *r == Response::Chosen);
        // The pull on a response: along all its columns together.
        let pull = |p: &Point, list: &[(String, f64)]| {
            let parts = list.iter().map(|(c, share)| Some(points.pull(side, p, c)? * share));
            parts.sum::<Option<f64>>()
        };
        for p in in_order(points.grid()) {
            if pull(p, &chosen).is_some_and(|g| g < 0.0)
                && let Some(step) = try_step(points, side, p, &[(chosen.as_slice(), -1.0)], 0.0)
            {
                return Displacement::Direct(step);
            }
        }
        for p in in_order(points.grid()) {
            let Some((up, down)) = pull(p, &chosen).zip(pull(p, &rejected)) else { continue };
            if down == 0.0 {
                continue;
            }
            let price = up.abs() / down.abs();
            let change = down.signum() * price.max(f64::MIN_POSITIVE) * MARGIN;
            let moves: [(&[(String, f64)], f64); 2] =
                [(chosen.as_slice(), -1.0), (rejected.as_slice(), change)];
            if let Some(step) = try_step(points, side, p, &moves, price) {
                return Displacement::Traded(step);
            }
        }
    }
    match (read, alone) {
        (false, _) => Displacement::Unread,
        (true, true) => Displacement::Impossible,
        (true, false) => Displacement::NotFound(points.grid().len()),
    }
}

/// The points, those with everyday numbers first: a witness should read well.
fn in_order(grid: &[Point]) -> impl Iterator<Item = &Point> {
    let strange = |p: &Point| {
        p.policy.iter().chain(&p.frozen).map(|x| (x.abs().ln().abs() * 1e6) as u64).sum::<u64>()
    };
    let mut sorted: Vec<&Point> = grid.iter().collect();
    sorted.sort_by_key(|p| strange(p));
    sorted.into_iter()
}

/// The first step along a direction after which the loss is lower and all log-probabilities are below 0.
fn try_step(
    points: &Points<'_>,
    side: Side,
    point: &Point,
    moves: &[(&[(String, f64)], f64)],
    price: f64,
) -> Option<Step> {
    let direction: Vec<(String, f64)> = moves
        .iter()
        .flat_map(|(list, by)| list.iter().map(move |(c, share)| (c.clone(), by * share)))
        .collect();
    let example = points.example(side, point);
    let before = points.loss_after(side, point, 0.0, &[])?;
    STEPS.into_iter().find_map(|step| {
        let fits = |(name, x): &(String, f64)| {
            let moved = direction.iter().find(|(n, _)| n == name).map_or(0.0, |(_, d)| d * step);
            x + moved < 0.0
        };
        if !example.iter().all(fits) {
            return None;
        }
        let after = points.loss_after(side, point, step, &direction)?;
        (after < before).then(|| Step {
            example: example.clone(),
            direction: direction.iter().map(|(c, d)| (c.clone(), d * step)).collect(),
            before,
            after,
            price,
        })
    })
}
