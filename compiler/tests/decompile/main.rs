//! Expressions for rho, and the logic in them.

// A helper that fails is a failing test.
#![allow(clippy::unwrap_used)]

mod refused;
mod rows;
mod spellings;
#[path = "../support/mod.rs"]
mod support;

use ponens_compiler::decompile::{
    BinaryOp, Decompiled, Expr, NotLogic, Range, UnaryOp, check, decompile,
};
use ponens_compiler::logic::{Atom, Polynomial, Rational, Structure};

/// Builds expressions with a fresh tag for every node, counting from 1 in order of construction.
#[derive(Default)]
pub(crate) struct Build {
    next: std::cell::Cell<usize>,
}

impl Build {
    pub(crate) fn tag(&self) -> usize {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    pub(crate) fn pi(&self, y: &str) -> Expr {
        Expr::prob(Atom::response("pi", y), self.tag())
    }

    pub(crate) fn reference(&self, y: &str) -> Expr {
        Expr::prob(Atom::response("ref", y), self.tag())
    }

    pub(crate) fn logp(&self, y: &str) -> Expr {
        Expr::logp(Atom::response("pi", y), self.tag())
    }

    pub(crate) fn mean(&self, y: &str) -> Expr {
        Expr::logp(Atom::aggregated("pi", y, true), self.tag())
    }

    pub(crate) fn n(&self, value: i64) -> Expr {
        Expr::integer(value, self.tag())
    }

    pub(crate) fn symbol(&self, name: &str, lo: f64, hi: f64) -> Expr {
        Expr::symbol(name, Range::new(lo, hi), self.tag())
    }

    pub(crate) fn un(&self, op: UnaryOp, a: Expr) -> Expr {
        Expr::unary(op, a, self.tag())
    }

    pub(crate) fn add(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Add, a, b, self.tag())
    }

    pub(crate) fn sub(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Sub, a, b, self.tag())
    }

    pub(crate) fn mul(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Mul, a, b, self.tag())
    }

    pub(crate) fn div(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Div, a, b, self.tag())
    }

    pub(crate) fn log(&self, a: Expr) -> Expr {
        self.un(UnaryOp::Log, a)
    }
}

/// A polynomial as an expression, its terms in their own order.
pub(crate) fn written(p: &Polynomial, atoms: &[Atom]) -> Expr {
    let term = |(m, c): (ponens_compiler::logic::Monomial, i128)| {
        let mut e = Expr::rational(Rational::new(c, 1).unwrap(), 0);
        for (atom, _) in atoms.iter().zip(m.0).filter(|(_, e)| *e == 1) {
            e = Expr::binary(BinaryOp::Mul, e, Expr::prob(atom.clone(), 0), 0);
        }
        e
    };
    p.terms()
        .map(term)
        .reduce(|a, b| Expr::binary(BinaryOp::Add, a, b, 0))
        .unwrap_or(Expr::integer(0, 0))
}

/// log(WMC(W) / WMC(L))
pub(crate) fn compiled(structure: &Structure) -> Expr {
    let (t, b) = structure.polynomials();
    let [t, b] = [t, b].map(|p| written(&p, &structure.atoms));
    Expr::unary(UnaryOp::Log, Expr::binary(BinaryOp::Div, t, b, 0), 0)
}

pub(crate) fn shown(rho: &Expr) -> String {
    let mut out = format!("{rho}\n");
    match decompile(rho) {
        Ok(found) => {
            check(rho, &found).unwrap();
            for step in &found.steps {
                out.push_str(&format!("  by {}\n{}\n", step.law, step.after()));
            }
        }
        Err(why) => {
            out.push_str(&format!("NOT LOGIC at {}: {why}\n", why.tag));
            if let Some(nearest) = why.nearest {
                out.push_str(&format!("{}\n", nearest.core.shown(&nearest.structure.atoms)));
            }
        }
    }
    out
}

pub(crate) fn not_logic(rho: &Expr) -> NotLogic {
    decompile(rho).unwrap_err()
}

pub(crate) fn clauses(found: &Decompiled) -> String {
    found.core.shown(&found.structure.atoms)
}
