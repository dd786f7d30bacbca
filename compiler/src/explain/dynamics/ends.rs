//! The sign of the pull on the whole cube, and its order where a weight goes to 0 or to 1.
//!
//! With rho = log T - log B the pull on log p is p (T' B - B' T) / (T B) times minus the slope of the link,
//! where ' is the derivative by p. Because T and B are multilinear, T' B - B' T is T1 B0 - T0 B1, the digits
//! the value of p: a polynomial without p, whose sign is decided exactly.

use super::Sign;
use super::link::Slope;
use crate::hir::Link;
use crate::logic::{Polynomial, Structure, Table};
use crate::relate::{self, non_negative};

/// Orders nearer to 0 than this are 0: they are sums of whole numbers and multiples of the scale.
const NONE: f64 = 1e-9;

pub(super) struct Exact<'a> {
    structure: &'a Structure,
    atom: usize,
    slope: Slope,
    /// T1 B0 - T0 B1; `None` beyond 128 bits.
    turn: Option<Polynomial>,
}

impl<'a> Exact<'a> {
    pub(super) fn new(structure: &'a Structure, atom: usize, slope: &Slope) -> Self {
        let n = structure.n();
        let side = |t: Table, value| Polynomial::of_table(t.cofactor(atom, value, n), n);
        let (t, b) = (structure.wins, structure.loses);
        let turn = || {
            let up = side(t, true).times(&side(b, false))?;
            up.minus(&side(t, false).times(&side(b, true))?)
        };
        Self { structure, atom, slope: *slope, turn: turn() }
    }

    pub(super) fn structure(&self) -> &Structure {
        self.structure
    }

    /// Where the pull points on the open cube; `None` where that is not settled, or turns with rho.
    pub(super) fn sign(&self) -> Option<Sign> {
        let turn = self.turn.as_ref()?;
        if turn.is_empty() {
            return Some(Sign::None);
        }
        if !self.slope.falls() {
            return None;
        }
        let (up, down) = (non_negative(turn), non_negative(&turn.scaled(-1)?));
        match (up, down) {
            (relate::Sign::NonNegative(_), _) => Some(Sign::Up),
            (_, relate::Sign::NonNegative(_)) => Some(Sign::Down),
            (relate::Sign::Negative(_), relate::Sign::Negative(_)) => Some(Sign::Both),
            _ => None,
        }
    }

    /// Where the pull goes to 0 and where it grows without bound, as one of `weights` goes to 0 or to 1 and
    /// the others stay inside the cube.
    pub(super) fn ends(&self, weights: &[usize]) -> (Vec<String>, Vec<String>) {
        let (mut vanishes, mut grows) = (Vec::new(), Vec::new());
        if self.turn.as_ref().is_none_or(Polynomial::is_empty) {
            return (vanishes, grows);
        }
        let n = self.structure.n();
        let (t, b) = (
            Polynomial::of_table(self.structure.wins, n),
            Polynomial::of_table(self.structure.loses, n),
        );
        for (&x, one) in weights.iter().flat_map(|x| [(x, false), (x, true)]) {
            let order = |p: &Polynomial| relate::multiplicity(p, x, one).map(f64::from);
            let Some(((turn, top), bottom)) =
                self.turn.as_ref().and_then(order).zip(order(&t)).zip(order(&b))
            else {
                continue;
            };
            let own = f64::from(u8::from(x == self.atom && !one));
            // rho goes to infinity where B vanishes faster than T, to minus infinity where T does.
            let rising = bottom - top;
            let mut total = own + turn - top - bottom;
            let flat = self.slope.link == Link::Hinge && rising > 0.0;
            if self.slope.link == Link::Logistic {
                total += self.slope.scale * rising.max(0.0);
            }
            let logarithmic = self.slope.link == Link::Squared && rising != 0.0;
            let text = format!("{} -> {}", self.structure.atoms[x], u8::from(one));
            if flat || total > NONE {
                vanishes.push(text);
            } else if total < -NONE || logarithmic {
                grows.push(text);
            }
        }
        // In rho itself, whichever weights make it so.
        match self.slope.link {
            Link::Logistic => vanishes.push("rho -> inf".to_owned()),
            Link::Hinge => vanishes.push("rho beyond the margin".to_owned()),
            Link::Squared => vanishes.push("rho at its target".to_owned()),
        }
        (vanishes, grows)
    }
}
