//! Values modulo a prime: an independent judge of whether two expressions are equal.
//!
//! Weights and parameters get random values modulo a prime p, and sums and products are taken there:
//! two different rational functions agree by chance with probability about degree / p. Logarithms
//! and exponents need a second field: p = 2q + 1 with q prime, so x -> g^x maps the numbers modulo q,
//! where constants under an exponent live, homomorphically to the squares modulo p. A logarithm is
//! held as the number whose logarithm it is; after a power that is not whole that number is known
//! up to its sign only, and is compared by its square.

use super::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::logic::{Atom, Rational};
use std::collections::BTreeMap;

/// p = 2q + 1
const P: u64 = 4_611_686_018_427_377_339;
const Q: u64 = 2_305_843_009_213_688_669;
/// A square modulo p, so of order q.
const G: u64 = 4;

fn times(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

fn plus(a: u64, b: u64, modulus: u64) -> u64 {
    ((u128::from(a) + u128::from(b)) % u128::from(modulus)) as u64
}

fn power(base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let (mut base, mut out) = (base, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            out = times(out, base, modulus);
        }
        base = times(base, base, modulus);
        exponent >>= 1;
    }
    out
}

/// 1 / a; `None` for 0.
fn inverse(a: u64, modulus: u64) -> Option<u64> {
    (a != 0).then(|| power(a, modulus - 2, modulus))
}

fn reduced(r: Rational, modulus: u64) -> Option<u64> {
    let part = |n: i128| n.rem_euclid(i128::from(modulus)) as u64;
    Some(times(part(r.numerator()), inverse(part(r.denominator()), modulus)?, modulus))
}

/// A value in one of the three sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Residue {
    /// A constant: as a factor, under an exponent, and as a whole number where it is one.
    Scalar { in_p: u64, in_q: u64, whole: Option<i64> },
    /// A logarithm, by the number that it is of; not `exact`: up to the sign of that.
    Log { of: u64, exact: bool },
    /// A weight.
    Weight(u64),
}

impl Residue {
    /// Whether both are the same value, as far as they are known.
    pub(super) fn agrees(self, other: Residue) -> bool {
        match (self, other) {
            (Residue::Log { of: a, exact: true }, Residue::Log { of: b, exact: true }) => a == b,
            (Residue::Log { of: a, .. }, Residue::Log { of: b, .. }) => {
                times(a, a, P) == times(b, b, P)
            }
            (Residue::Weight(a), Residue::Weight(b)) => a == b,
            (
                Residue::Scalar { in_p: a, in_q: b, .. },
                Residue::Scalar { in_p: c, in_q: d, .. },
            ) => a == c && b == d,
            _ => false,
        }
    }
}

/// Random values for the names of an expression, the same for the same seed.
#[derive(Debug)]
pub(super) struct Point<'a> {
    seed: u64,
    /// The constant atoms with their |c|.
    constants: &'a [(Atom, Expr)],
    names: BTreeMap<String, (u64, u64)>,
}

impl<'a> Point<'a> {
    pub(super) fn new(seed: u64, constants: &'a [(Atom, Expr)]) -> Self {
        Self { seed, constants, names: BTreeMap::new() }
    }

    fn named(&mut self, name: &str) -> (u64, u64) {
        let seed = self.seed;
        *self.names.entry(name.into()).or_insert_with(|| {
            // FNV-1a over the name, then two rounds of a 64-bit mixer.
            let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325 ^ seed, |h, b| {
                (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
            });
            let mix = |x: u64| {
                let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
                x ^ x >> 31
            };
            (2 + mix(hash) % (P - 3), 2 + mix(hash ^ 0x9E37_79B9_7F4A_7C15) % (Q - 3))
        })
    }

    /// The value of an expression; `None` where it divides by 0 or is of no sort.
    pub(super) fn value(&mut self, expr: &Expr) -> Option<Residue> {
        match &expr.kind {
            ExprKind::Number(r) => scalar(*r),
            ExprKind::Symbol { name, .. } => {
                let (in_p, in_q) = self.named(name);
                Some(Residue::Scalar { in_p, in_q, whole: None })
            }
            ExprKind::Prob(atom) => self.weight(atom).map(Residue::Weight),
            ExprKind::Logp(atom) => self.weight(atom).map(|of| Residue::Log { of, exact: true }),
            ExprKind::Opaque(_) => None,
            ExprKind::Unary(op, a) => {
                let a = self.value(a)?;
                unary(*op, a)
            }
            ExprKind::Binary(op, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                binary(*op, a, b)
            }
            ExprKind::LogSumExp(list) => {
                let mut sum = scalar(Rational::ZERO)?;
                for a in list {
                    let a = self.value(a)?;
                    sum = binary(BinaryOp::Add, sum, unary(UnaryOp::Exp, a)?)?;
                }
                unary(UnaryOp::Log, sum)
            }
        }
    }

    fn weight(&mut self, atom: &Atom) -> Option<u64> {
        let known = self.constants.iter().find(|(a, _)| a == atom);
        if let Some((_, size)) = known {
            let minus = Expr::unary(UnaryOp::Neg, size.clone(), 0);
            let weight = self.value(&minus).and_then(|c| unary(UnaryOp::Exp, c))?;
            return in_p(weight);
        }
        // Atoms are told apart by what they are, not by what they are called.
        Some(self.named(&format!("{atom:?}")).0)
    }
}

fn scalar(r: Rational) -> Option<Residue> {
    let whole = r.as_integer().and_then(|k| i64::try_from(k).ok());
    Some(Residue::Scalar { in_p: reduced(r, P)?, in_q: reduced(r, Q)?, whole })
}

/// As a factor modulo p.
fn in_p(value: Residue) -> Option<u64> {
    match value {
        Residue::Scalar { in_p, .. } | Residue::Weight(in_p) => Some(in_p),
        Residue::Log { .. } => None,
    }
}

fn unary(op: UnaryOp, a: Residue) -> Option<Residue> {
    let one = scalar(Rational::ONE)?;
    let minus = |a| binary(BinaryOp::Mul, scalar(Rational::integer(-1))?, a);
    match op {
        UnaryOp::Neg => minus(a),
        UnaryOp::Exp => match a {
            Residue::Scalar { in_q, .. } => Some(Residue::Weight(power(G, in_q, P))),
            Residue::Log { of, exact: true } => Some(Residue::Weight(of)),
            Residue::Log { exact: false, .. } | Residue::Weight(_) => None,
        },
        UnaryOp::Log => in_p(a).filter(|of| *of != 0).map(|of| Residue::Log { of, exact: true }),
        UnaryOp::Log1p => unary(UnaryOp::Log, binary(BinaryOp::Add, one, a)?),
        UnaryOp::Expm1 => binary(BinaryOp::Sub, unary(UnaryOp::Exp, a)?, one),
        UnaryOp::Log1mExp => {
            unary(UnaryOp::Log, binary(BinaryOp::Sub, one, unary(UnaryOp::Exp, a)?)?)
        }
        UnaryOp::Sigmoid => {
            let e = unary(UnaryOp::Exp, a)?;
            binary(BinaryOp::Div, e, binary(BinaryOp::Add, one, e)?)
        }
        UnaryOp::LogSigmoid => unary(UnaryOp::Log, unary(UnaryOp::Sigmoid, a)?),
        UnaryOp::Softplus => {
            unary(UnaryOp::Log, binary(BinaryOp::Add, one, unary(UnaryOp::Exp, a)?)?)
        }
        UnaryOp::Odds => binary(BinaryOp::Div, a, binary(BinaryOp::Sub, one, a)?),
        UnaryOp::Logit => unary(UnaryOp::Log, unary(UnaryOp::Odds, a)?),
    }
}

fn binary(op: BinaryOp, a: Residue, b: Residue) -> Option<Residue> {
    use Residue::{Log, Scalar, Weight};
    match op {
        BinaryOp::Sub => binary(BinaryOp::Add, a, unary(UnaryOp::Neg, b)?),
        BinaryOp::Add => match (a, b) {
            (Scalar { in_p: p, in_q: q, whole: m }, Scalar { in_p: r, in_q: s, whole: n }) => {
                let whole = m.zip(n).and_then(|(m, n)| m.checked_add(n));
                Some(Scalar { in_p: plus(p, r, P), in_q: plus(q, s, Q), whole })
            }
            (Log { of: x, exact: e }, Log { of: y, exact: f }) => {
                Some(Log { of: times(x, y, P), exact: e && f })
            }
            (Log { of, exact }, Scalar { in_q, .. }) | (Scalar { in_q, .. }, Log { of, exact }) => {
                Some(Log { of: times(of, power(G, in_q, P), P), exact })
            }
            (Log { .. }, Weight(_)) | (Weight(_), Log { .. }) => None,
            _ => Some(Weight(plus(in_p(a)?, in_p(b)?, P))),
        },
        BinaryOp::Mul => match (a, b) {
            (Scalar { in_p: p, in_q: q, whole: m }, Scalar { in_p: r, in_q: s, whole: n }) => {
                let whole = m.zip(n).and_then(|(m, n)| m.checked_mul(n));
                Some(Scalar { in_p: times(p, r, P), in_q: times(q, s, Q), whole })
            }
            (Scalar { in_q, whole, .. }, Log { of, exact })
            | (Log { of, exact }, Scalar { in_q, whole, .. }) => {
                let (of, whole) = match whole {
                    Some(k) => (signed_power(of, k)?, true),
                    None => (power(of, in_q, P), false),
                };
                Some(Log { of, exact: exact && whole })
            }
            (Log { .. }, _) | (_, Log { .. }) => None,
            _ => Some(Weight(times(in_p(a)?, in_p(b)?, P))),
        },
        BinaryOp::Div => match b {
            Scalar { in_p: p, in_q: q, whole } => {
                let whole = whole.filter(|k| k.abs() == 1);
                let b = Scalar { in_p: inverse(p, P)?, in_q: inverse(q, Q)?, whole };
                binary(BinaryOp::Mul, a, b)
            }
            Weight(b) => Some(Weight(times(in_p(a)?, inverse(b, P)?, P))),
            Log { .. } => None,
        },
        BinaryOp::Pow => match (a, b) {
            (Scalar { in_p: p, in_q: q, whole: m }, Scalar { whole: Some(k), .. }) => {
                let up = |base: u64, modulus: u64| {
                    let size = power(base, k.unsigned_abs(), modulus);
                    if k < 0 { inverse(size, modulus) } else { Some(size) }
                };
                let whole = m.zip(u32::try_from(k).ok()).and_then(|(m, k)| m.checked_pow(k));
                Some(Scalar { in_p: up(p, P)?, in_q: up(q, Q)?, whole })
            }
            (Weight(a), Scalar { whole: Some(k), .. }) => Some(Weight(signed_power(a, k)?)),
            _ => None,
        },
    }
}

fn signed_power(base: u64, k: i64) -> Option<u64> {
    let size = power(base, k.unsigned_abs(), P);
    if k < 0 { inverse(size, P) } else { Some(size) }
}
