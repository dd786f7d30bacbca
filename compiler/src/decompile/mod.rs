//! From an expression for rho to its logic (SEMANTICS, section 3).
//!
//! Why: published losses are given as formulas of probabilities; what they prefer is the Boolean
//! core hidden in them. In: an expression as people write it ([`Expr`]), probabilities or
//! log-probabilities, whatever the order of operations. Out: its preference structure with every step
//! that leads there ([`Decompiled`]), or the reason why there is none, the sub-expression to blame
//! and the nearest reading ([`NotLogic`]).
//!
//! The way: shorthands are written out (`define`); every sub-expression is brought to a product
//! of powers of polynomials (`normal`, `product`); common factors cancel (`gcd`); what is left above
//! and below the bar must be 0 or 1 at every vertex of the cube (`read`).
//!
//! Invariants: arithmetic is exact or refused; the steps are claims that [`check`] judges anew, by
//! polynomial identity, by random evaluation modulo a prime (`field`), and by truth table.
//! Bounds: [`Reason::TooLarge`] beyond 4,096 nodes, 96 levels or 4,096 monomials, and
//! [`Reason::TooManyAtoms`] beyond six atoms, or twelve for [`decompile_any`].

mod blame;
mod check;
mod constant;
mod define;
mod expr;
mod field;
mod gcd;
mod mixture;
mod nearest;
mod normal;
mod product;
mod range;
mod read;
mod reason;
mod scalar;
mod step;

pub use check::{Wrong, check, check_large};
pub use expr::{BinaryOp, Expr, ExprKind, UnaryOp};
pub use range::Range;
pub use reason::{Nearest, NotLogic, Reason};
pub use step::{Claim, Form, Law, Step};

use crate::logic::{
    Atom, AtomKind, Core, LargeStructure, MAX_VARIABLES, Polynomial, Structure, Table, conjuncts,
};
use normal::{Normaliser, Value};
use reason::Failure;

/// An expression's preference structure, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Decompiled {
    /// The canonical structure: nothing common to W and L is left, and rho depends on every atom.
    pub structure: Structure,
    /// Its clauses.
    pub core: Core,
    /// The structure before anything cancelled, where the polynomials as written have one: what was
    /// compiled comes back.
    pub written: Option<Structure>,
    /// The constant added to log(T / B), which its own atom stands for: `-gamma / beta`.
    pub constant: Option<Expr>,
    /// WMC(W), in the weights of `structure.atoms`.
    pub t: Polynomial,
    /// WMC(L), in the weights of `structure.atoms`.
    pub b: Polynomial,
    /// The constant atoms of the steps with the |c| of their weight e^-|c|.
    pub constants: Vec<(Atom, Expr)>,
    /// From the expression to the clauses, each step beginning where the one before ended.
    pub steps: Vec<Step>,
}

/// The same for a structure of seven to twelve atoms.
#[derive(Clone, Debug, PartialEq)]
pub struct LargeDecompiled {
    /// The canonical structure.
    pub structure: LargeStructure,
    /// Its clauses.
    pub core: Core,
    /// The constant added to log(T / B).
    pub constant: Option<Expr>,
    /// WMC(W), in the weights of `structure.atoms`.
    pub t: Polynomial,
    /// WMC(L), in the weights of `structure.atoms`.
    pub b: Polynomial,
    /// The constant atoms of the steps with the |c| of their weight e^-|c|.
    pub constants: Vec<(Atom, Expr)>,
    /// From the expression to the clauses.
    pub steps: Vec<Step>,
}

/// A structure of any number of atoms, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Up to six.
    Small(Box<Decompiled>),
    /// Seven to twelve.
    Large(Box<LargeDecompiled>),
}

/// The structure of `rho`.
///
/// Atoms are ordered by model, then by response, each in the order of their first mention.
///
/// # Errors
/// The reason why there is none.
pub fn decompile(rho: &Expr) -> Result<Decompiled, NotLogic> {
    decompile_over(rho, &[])
}

/// The structure of `rho`, its atoms in the given order; those not listed follow, ordered as
/// [`decompile`] does. Listed atoms that rho does not depend on are left out.
///
/// # Errors
/// The reason why there is none.
pub fn decompile_over(rho: &Expr, order: &[Atom]) -> Result<Decompiled, NotLogic> {
    match decompile_any(rho, order)? {
        Found::Small(found) => Ok(*found),
        Found::Large(found) => {
            Err(Failure::new(Reason::TooManyAtoms(found.structure.n()), rho.tag).into())
        }
    }
}

/// The structure of `rho`, of up to [`MAX_VARIABLES`] atoms.
///
/// # Errors
/// The reason why there is none.
pub fn decompile_any(rho: &Expr, order: &[Atom]) -> Result<Found, NotLogic> {
    let Normal { normaliser, product, steps, plain } = normal(rho, order)?;
    read::Reader { normaliser, tag: rho.tag, steps, plain }.read_any(&product)
}

/// What the powers of all factors of an expression have in common, as a factor of its logarithm: `beta` of
/// `beta * (log a - log b)`. Written without a minus, so that dividing by it may leave the ratio either way up.
/// `None` where that is 1, or the expression is no logarithm of a product.
pub fn scale(rho: &Expr) -> Option<Expr> {
    let Normal { normaliser, product, .. } = normal(rho, &[]).ok()?;
    let power = read::common_power(&product.coprime()?)?;
    (power.as_integer() != Some(1)).then(|| power.expr(&normaliser.symbols, rho.tag))
}

/// The logarithm of a product, and the way there.
struct Normal {
    normaliser: Normaliser,
    product: product::Product,
    steps: Vec<Step>,
    plain: Expr,
}

fn normal(rho: &Expr, order: &[Atom]) -> Result<Normal, Failure> {
    define::bounded(rho).map_err(Failure::too_large)?;
    let mut steps = Vec::new();
    let mut plain = rho.clone();
    for law in define::DEFINITIONS {
        let next = define::apply(law, &plain).map_err(Failure::too_large)?;
        if next != plain {
            let claim = Claim::Equal { before: plain, after: next.clone() };
            steps.push(Step { law, claim });
            plain = next;
        }
    }
    define::bounded(&plain).map_err(Failure::too_large)?;
    let (atoms, atom_tags) = mentioned(&plain, order)?;
    let mut normaliser = Normaliser { atoms, atom_tags, ..Normaliser::default() };
    let product = match normaliser.value(&plain)? {
        Value::Log(product) => product,
        Value::Weight(_) => return Err(Failure::new(Reason::NotALogarithm, rho.tag)),
        Value::Scalar(_) => return Err(Failure::new(Reason::Constant, rho.tag)),
    };
    Ok(Normal { normaliser, product, steps, plain })
}

/// rho of a structure written out: log(T / B), the weighted counts of its winning and losing rows as
/// products of their irreducible factors. A side without rows counts 0.
pub fn quotient(structure: &Structure) -> Expr {
    let n = structure.n();
    let side = |rows: Table| {
        let factors = conjuncts(rows, n)
            .into_iter()
            .map(|f| Expr::of_polynomial(&Polynomial::of_table(f, n), &structure.atoms, 0));
        Expr::product(factors.collect(), 0)
    };
    let top = side(structure.wins);
    let ratio = if structure.loses.is_true(n) {
        top
    } else {
        Expr::binary(BinaryOp::Div, top, side(structure.loses), 0)
    };
    Expr::unary(UnaryOp::Log, ratio, 0)
}

/// The same for a structure of more atoms; `None` where a polynomial is too large.
pub fn large_quotient(structure: &LargeStructure) -> Option<Expr> {
    let side = |rows: &crate::logic::Function| {
        let factors = rows.conjuncts().into_iter();
        let factors =
            factors.map(|f| Some(Expr::of_polynomial(&f.polynomial()?, &structure.atoms, 0)));
        Some(Expr::product(factors.collect::<Option<_>>()?, 0))
    };
    let ratio = Expr::binary(BinaryOp::Div, side(&structure.wins)?, side(&structure.loses)?, 0);
    Some(Expr::unary(UnaryOp::Log, ratio, 0))
}

/// The atoms of an expression in their order, each with the tag of its first mention.
fn mentioned(expr: &Expr, order: &[Atom]) -> Result<(Vec<Atom>, Vec<usize>), Failure> {
    let mut met: Vec<(Atom, usize)> = Vec::new();
    let mut todo = vec![expr];
    while let Some(node) = todo.pop() {
        if let ExprKind::Prob(atom) | ExprKind::Logp(atom) = &node.kind
            && !met.iter().any(|(a, _)| a == atom)
        {
            if met.len() == MAX_VARIABLES {
                return Err(Failure::new(Reason::TooManyAtoms(met.len() + 1), node.tag));
            }
            met.push((atom.clone(), node.tag));
        }
        // Last in, first out: the left operand must be read first.
        todo.extend(node.operands().into_iter().rev());
    }
    let mut models: Vec<&String> = Vec::new();
    let mut responses: Vec<&String> = Vec::new();
    for (atom, _) in &met {
        if let AtomKind::Response { model, response, .. } = &atom.kind {
            if !models.contains(&model) {
                models.push(model);
            }
            if !responses.contains(&response) {
                responses.push(response);
            }
        }
    }
    let place = |list: &[&String], name: &String| list.iter().position(|n| *n == name);
    let rank = |atom: &Atom| match &atom.kind {
        AtomKind::Response { model, response, mean } => {
            (place(&models, model), place(&responses, response), *mean)
        }
        _ => (Some(usize::MAX), None, false),
    };
    let mut sorted: Vec<&(Atom, usize)> = met.iter().collect();
    sorted.sort_by_key(|(atom, _)| {
        let listed = order.iter().position(|a| a == atom).unwrap_or(usize::MAX);
        (listed, rank(atom))
    });
    Ok(sorted.into_iter().cloned().unzip())
}
