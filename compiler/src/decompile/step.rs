//! The steps from an expression to its clauses, each with a claim that can be checked on its own.

use super::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::logic::{Atom, Core, LargeStructure, Polynomial, Rational, Structure};
use std::fmt;

/// The law that a step uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// A function written out by its definition.
    Definition(UnaryOp),
    /// logsumexp(a, b, ..) = log(e^a + e^b + ..)
    LogSumExp,
    /// A log-probability is the logarithm of a weight.
    LogProbability,
    /// e^(log x) = x
    ExpOfLog,
    /// k log x = log x^k
    LogOfPower,
    /// log x + log y = log(x y)
    LogOfProduct,
    /// log x - log y = log(x / y)
    LogOfQuotient,
    /// Brought over one fraction bar.
    OneQuotient,
    /// A constant factor e^c is the weight e^-|c| of an atom, on the other side where c > 0.
    ConstantAtom,
    /// A number q between 0 and 1 inside a sum is the weight of an atom.
    CoinAtom,
    /// A factor of both sides of the bar is gone.
    CommonFactor,
    /// Products multiplied out.
    Expanded,
    /// The vertices where a polynomial is 1 are the rows of its formula.
    Semantics,
    /// P = Sem(B) -> Sem(T), Pc = Sem(T) | Sem(B), Pa = Sem(T) & Sem(B), each simplified.
    Clauses,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Law::Definition(op) => return write!(f, "definition of {}", op.name()),
            Law::LogSumExp => "definition of logsumexp",
            Law::LogProbability => "log-probability as log of a weight",
            Law::ExpOfLog => "exp of log",
            Law::LogOfPower => "multiple of a log as log of a power",
            Law::LogOfProduct => "sum of logs as log of product",
            Law::LogOfQuotient => "difference of logs as log of quotient",
            Law::OneQuotient => "one quotient",
            Law::ConstantAtom => "constant factor as atom",
            Law::CoinAtom => "number in a sum as atom",
            Law::CommonFactor => "common factor cancelled",
            Law::Expanded => "multiplied out",
            Law::Semantics => "rows where the polynomial is 1",
            Law::Clauses => "clauses",
        };
        f.write_str(text)
    }
}

/// log of a number times whole powers of polynomials, plus a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The atoms whose weights are the variables.
    pub atoms: Vec<Atom>,
    /// The number.
    pub number: Rational,
    /// The constant added to the logarithm.
    pub constant: Option<Expr>,
    /// The polynomials with their powers, in the order of writing.
    pub factors: Vec<(Polynomial, i64)>,
}

impl Form {
    /// log(T / B), T and B products.
    pub(super) fn of_factors(atoms: &[Atom], factors: Vec<(Polynomial, i64)>) -> Self {
        Self { atoms: atoms.to_vec(), number: Rational::ONE, constant: None, factors }
    }

    /// log(T / B) with its polynomials, left out where they are 1.
    pub(super) fn of_quotient(atoms: &[Atom], top: &Polynomial, bottom: &Polynomial) -> Self {
        let mut factors = vec![(top.clone(), 1), (bottom.clone(), -1)];
        factors.retain(|(p, _)| p.support() != 0);
        Self::of_factors(atoms, factors)
    }

    /// The product of the polynomials above the bar and of those below it; `None` when too large.
    pub fn expanded(&self) -> Option<(Polynomial, Polynomial)> {
        let mut sides = [Polynomial::constant(1), Polynomial::constant(1)];
        for (base, e) in &self.factors {
            let side = &mut sides[usize::from(*e < 0)];
            *side = side.times(&base.pow(u32::try_from(e.unsigned_abs()).ok()?)?)?;
        }
        let [top, bottom] = sides;
        Some((top, bottom))
    }

    /// It written out.
    pub fn expr(&self) -> Expr {
        let factor =
            |(p, e): &(Polynomial, i64)| Expr::of_polynomial(p, &self.atoms, 0).raised(e.abs());
        let side = |above: bool, number: i128| {
            let mut list: Vec<Expr> =
                self.factors.iter().filter(|(_, e)| (*e > 0) == above).map(factor).collect();
            if let Some(r) = Rational::new(number, 1).filter(|r| *r != Rational::ONE) {
                list.insert(0, Expr::rational(r, 0));
            }
            list
        };
        let top = Expr::product(side(true, self.number.numerator()), 0);
        let bottom = side(false, self.number.denominator());
        let ratio = if bottom.is_empty() {
            top
        } else {
            Expr::binary(BinaryOp::Div, top, Expr::product(bottom, 0), 0)
        };
        let log = Expr::unary(UnaryOp::Log, ratio, 0);
        match &self.constant {
            Some(Expr { kind: ExprKind::Unary(UnaryOp::Neg, size), .. }) => {
                Expr::binary(BinaryOp::Sub, log, (**size).clone(), 0)
            }
            Some(constant) => Expr::binary(BinaryOp::Add, log, constant.clone(), 0),
            None => log,
        }
    }
}

/// What a step says: that two things are the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// The two expressions are equal wherever both are defined.
    Equal {
        /// Before.
        before: Expr,
        /// After.
        after: Expr,
    },
    /// The two products are equal as rational functions.
    SameFraction {
        /// Before.
        before: Form,
        /// After.
        after: Form,
    },
    /// T and B of the form are the weighted counts of the rows of the structure.
    Rows {
        /// log(T / B)
        form: Form,
        /// Its rows.
        structure: Structure,
    },
    /// The same for a structure of more atoms than a table holds.
    LargeRows {
        /// log(T / B)
        form: Form,
        /// Its rows.
        structure: LargeStructure,
    },
    /// The clauses describe the structure of more atoms.
    LargeClauses {
        /// The rows.
        structure: LargeStructure,
        /// The clauses.
        core: Core,
    },
    /// The clauses describe the structure.
    Clauses {
        /// The rows.
        structure: Structure,
        /// The clauses.
        core: Core,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The law used.
    pub law: Law,
    /// What it says.
    pub claim: Claim,
}

impl Step {
    /// The text before the step.
    pub fn before(&self) -> String {
        match &self.claim {
            Claim::Equal { before, .. } => before.to_string(),
            Claim::SameFraction { before, .. } => before.expr().to_string(),
            Claim::Rows { form, .. } | Claim::LargeRows { form, .. } => form.expr().to_string(),
            Claim::Clauses { structure, .. } => rows_text(structure),
            Claim::LargeClauses { structure, .. } => large_text(structure),
        }
    }

    /// The text after it.
    pub fn after(&self) -> String {
        match &self.claim {
            Claim::Equal { after, .. } => after.to_string(),
            Claim::SameFraction { after, .. } => after.expr().to_string(),
            Claim::Rows { structure, .. } => rows_text(structure),
            Claim::LargeRows { structure, .. } => large_text(structure),
            Claim::Clauses { structure, core } => core.shown(&structure.atoms),
            Claim::LargeClauses { structure, core } => core.shown(&structure.atoms),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  by {}\n{}", self.before(), self.law, self.after())
    }
}

/// How many rows win and lose: too many to write out.
fn large_text(structure: &LargeStructure) -> String {
    let rows = 1usize << structure.n();
    let count = |f: &crate::logic::Function| (0..rows).filter(|r| f.holds(*r)).count();
    let (wins, loses) = (count(&structure.wins), count(&structure.loses));
    format!("wins in {wins} of {rows} rows\nloses in {loses} of {rows} rows")
}

/// The winning and losing rows, each as the conjunction that it is.
fn rows_text(structure: &Structure) -> String {
    let row = |index: usize| {
        let literal = |(i, atom): (usize, &Atom)| {
            if index >> i & 1 == 1 { atom.to_string() } else { format!("!{atom}") }
        };
        structure.atoms.iter().enumerate().map(literal).collect::<Vec<_>>().join(" & ")
    };
    let list = |rows: Vec<usize>| {
        let rows: Vec<String> = rows.into_iter().map(row).collect();
        if rows.is_empty() { "none".into() } else { rows.join(" | ") }
    };
    let (wins, loses) = (structure.wins.rows().collect(), structure.loses.rows().collect());
    format!("wins {}\nloses {}", list(wins), list(loses))
}
