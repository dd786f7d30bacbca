//! What a gradient step on a loss does to the chosen and to the rejected response.
//!
//! Why: a preference loss can fall while the chosen response becomes less likely (likelihood
//! displacement), or stop pushing where it should; whether it does can be read off its formula. In: a
//! compiled loss. Out: [`Dynamics`]: for every log-probability of the policy the sign and size of the pull,
//! minus the gradient, where it vanishes and where it grows without bound, and a witness of displacement.
//!
//! | module | what it does |
//! |---|---|
//! | `ends` | the order at which the pull vanishes where a weight goes to 0 or to 1, in exact arithmetic |
//! | `link` | what the link does to the pull on rho |
//! | `points` | examples at which the compiled gradient is evaluated |
//! | `field` | rho and the pull over the two probabilities, for a picture |
//! | `displacement` | a direction in which the loss and the chosen probability fall together |
//!
//! Invariant: what is called proved rests on polynomials over the whole cube; everything else says at how
//! many examples it was seen. A witness has been evaluated: the loss is lower after the step.

mod displacement;
mod ends;
mod field;
mod link;
mod points;

pub use displacement::{Displacement, Step};
pub use field::{FROZEN_PROBABILITY, Field, field};

use crate::explain::around::around;
use crate::explain::bind::bind;
use crate::hir::Loss;
use crate::logic::{AtomKind, Structure};
use crate::session::Compiled;
use points::Points;
use std::fmt;

/// Which response a column speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// The preferred one; of labelled data, one that is good.
    Chosen,
    /// The other; of labelled data, one that is not good.
    Rejected,
    /// Neither: a rationale, a value.
    Other,
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Response::Chosen => "chosen",
            Response::Rejected => "rejected",
            Response::Other => "other",
        })
    }
}

/// Where a gradient step moves a log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nowhere down, somewhere up.
    Up,
    /// Nowhere up, somewhere down.
    Down,
    /// Up at some examples, down at others.
    Both,
    /// Nowhere.
    None,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sign::Up => "up",
            Sign::Down => "down",
            Sign::Both => "both",
            Sign::None => "none",
        })
    }
}

impl Sign {
    /// That of a loss of which minus is taken.
    fn turned(self) -> Self {
        match self {
            Sign::Up => Sign::Down,
            Sign::Down => Sign::Up,
            other => other,
        }
    }

    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut up, mut down) = (false, false);
        for x in values {
            up |= x > 0.0;
            down |= x < 0.0;
        }
        match (up, down) {
            (true, true) => Sign::Both,
            (true, false) => Sign::Up,
            (false, true) => Sign::Down,
            (false, false) => Sign::None,
        }
    }
}

/// What a statement about the sign rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A polynomial that has one sign on the whole cube, and a link that falls in rho.
    Proved,
    /// The gradient at so many examples.
    Seen(usize),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Proved => f.write_str("proved"),
            Evidence::Seen(n) => write!(f, "at {n} examples"),
        }
    }
}

/// The pull at one example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// The log-probability of every response under every model.
    pub at: f64,
    /// Minus the gradient there, with the default parameters.
    pub pull: f64,
}

/// What a gradient step does to one log-probability of the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Pull {
    /// The column: `logp(pi,w)`.
    pub column: String,
    /// The response that it speaks of.
    pub response: Response,
    /// Where the step moves it.
    pub sign: Sign,
    /// What that rests on.
    pub evidence: Evidence,
    /// How strongly.
    pub sizes: Vec<Size>,
    /// True where further terms stand beside the preference term: the two lists below are then about that
    /// one alone.
    pub partial: bool,
    /// Where the pull of the preference term goes to 0: `pi(l) -> 0`.
    pub vanishes: Vec<String>,
    /// Where it grows without bound.
    pub grows: Vec<String>,
}

/// What a gradient step on a loss does.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamics {
    /// One for each log-probability of the policy that the loss reads; of labelled data one for good and
    /// one for bad responses.
    pub pulls: Vec<Pull>,
    /// Whether the loss can fall while the chosen probability falls.
    pub displacement: Displacement,
}

/// The dynamics of a compiled loss.
///
/// # Errors
/// Why there are none: a parameter without a default, or data that cannot be made up.
pub fn dynamics(compiled: &Compiled, structure: Option<&Structure>) -> Result<Dynamics, String> {
    let loss = &compiled.loss;
    let params = compiled.bind(&[]).map_err(|_| "a parameter has no default value".to_owned())?;
    let points = Points::new(compiled, params.clone())?;
    let bound = bind(loss).loss();
    let loss = bound.as_ref().unwrap_or(loss);
    let link = link::of(loss, &params);
    let parts = around(loss);
    let whole = link.is_some() && parts.outside.is_empty();
    let reduced = structure.map(Structure::canonical);
    let mut pulls = Vec::new();
    for side in points.sides() {
        for (column, response) in points.pulled(side) {
            let seen = points.pulls(side, &column);
            let exact = reduced.as_ref().and_then(|s| {
                let atom = atom_of(loss, s, &column)?;
                Some(ends::Exact::new(s, atom, link.as_ref()?))
            });
            let proved = exact.as_ref().filter(|_| whole).and_then(ends::Exact::sign);
            let proved = proved.map(|s| if parts.reversed { s.turned() } else { s });
            let (vanishes, grows) = exact
                .as_ref()
                .map_or_else(Default::default, |e| e.ends(&trained(loss, e.structure())));
            pulls.push(Pull {
                sign: proved.unwrap_or_else(|| Sign::of(seen.iter().copied())),
                evidence: proved.map_or(Evidence::Seen(seen.len()), |_| Evidence::Proved),
                sizes: points.sizes(side, &column),
                column,
                response,
                partial: !whole,
                vanishes,
                grows,
            });
        }
    }
    let displacement = displacement::find(&points);
    Ok(Dynamics { pulls, displacement })
}

/// The atom of a structure whose log-weight a column is.
fn atom_of(loss: &Loss, structure: &Structure, column: &str) -> Option<usize> {
    let atom = loss
        .atoms
        .iter()
        .find(|a| loss.columns.get(a.column).is_some_and(|c| c.name() == column))?;
    structure.atoms.iter().position(|a| *a == atom.atom)
}

/// The atoms of a structure that the policy weighs.
fn trained(loss: &Loss, structure: &Structure) -> Vec<usize> {
    let of_policy = |kind: &AtomKind| match kind {
        AtomKind::Response { model, .. } => {
            loss.models.iter().any(|m| m.name == *model && m.role == crate::hir::Role::Policy)
        }
        _ => false,
    };
    (0..structure.n()).filter(|i| of_policy(&structure.atoms[*i].kind)).collect()
}

#[cfg(test)]
mod tests;
