//! Reading a product of powers as two weighted counts.

use super::blame::{blame, last_mentioned};
use super::expr::{Expr, UnaryOp};
use super::normal::Normaliser;
use super::product::{Factor, Product};
use super::range::Range;
use super::reason::{Failure, NotLogic, Reason};
use super::scalar::Scalar;
use super::step::{Claim, Form, Law, Step};
use super::{Decompiled, ExprKind, Found, LargeDecompiled, nearest};
use crate::logic::{
    Atom, AtomKind, Function, Inadmissible, LargeStructure, Monomial, Polynomial, Rational,
    Structure,
};

/// What reading needs from normalising.
pub(super) struct Reader {
    pub(super) normaliser: Normaliser,
    /// The tag of the whole expression.
    pub(super) tag: usize,
    /// The steps so far.
    pub(super) steps: Vec<Step>,
    /// The expression that they led to.
    pub(super) plain: Expr,
}

/// A structure with tables, or with diagrams where its atoms are too many.
enum Shape {
    Small(Structure),
    Large(LargeStructure),
}

impl Shape {
    fn atoms(&self) -> &[Atom] {
        match self {
            Shape::Small(s) => &s.atoms,
            Shape::Large(s) => &s.atoms,
        }
    }
}

impl Reader {
    /// The structure, where six atoms are enough for it.
    pub(super) fn read(self, product: &Product) -> Result<Decompiled, NotLogic> {
        let tag = self.tag;
        match self.read_any(product)? {
            Found::Small(found) => Ok(*found),
            Found::Large(found) => {
                Err(Failure::new(Reason::TooManyAtoms(found.structure.n()), tag).into())
            }
        }
    }

    pub(super) fn read_any(mut self, product: &Product) -> Result<Found, NotLogic> {
        let tag = self.tag;
        let too_large = || Failure::too_large(tag);
        let own = product.coprime().ok_or_else(too_large)?;
        if own.is_empty() {
            let written = self.constant_structure(product).map(Box::new);
            let why = NotLogic::from(Failure::new(Reason::Constant, self.tag));
            return Err(NotLogic { written, ..why });
        }
        if let Some(factor) = own.iter().find(|f| f.exponent.as_integer().is_none()) {
            return Err(nearest::not_whole(&self, product, &own, factor));
        }
        if own.iter().all(|f| f.exponent.as_integer().is_some_and(|e| e.abs() > 1))
            && common_power(&own).is_some()
        {
            return Err(nearest::not_whole(&self, product, &own, &own[0]));
        }
        let number = product.scale.times(product.content).ok_or_else(too_large)?;
        if let Some(mixed) = self.mixtures(product, &own)? {
            self.toss(product, &mixed, number);
            return self.read_any(&mixed);
        }
        if product.content != Rational::ONE && number != Rational::ONE {
            return Err(nearest::coefficient(self, product));
        }
        let constant = self.constant(product, number)?;
        let mut all = product.clone();
        (all.scale, all.content) = (Rational::ONE, Rational::ONE);
        all.constant = Scalar::default();
        if let Some((_, factor)) = &constant {
            all.factors.push(factor.clone());
        }
        let coprime = all.coprime().ok_or_else(too_large)?;
        if coprime.is_empty() {
            return Err(Failure::new(Reason::Constant, self.tag).into());
        }
        self.aggregates(&coprime)?;
        let (written, cancelled) = (whole(&all.factors), whole(&coprime));
        let form = Form::of_factors(&self.normaliser.atoms, cancelled);
        let (t, b) = form.expanded().ok_or_else(too_large)?;
        let (shape, t, b) = self.structure(&coprime, &t, &b)?;
        self.first_form(product, number, &all, constant.is_some());
        let written = Form::of_factors(&self.normaliser.atoms, written);
        let before = written.expanded();
        let reduced = Form::of_quotient(shape.atoms(), &t, &b);
        if before.as_ref() != form.expanded().as_ref() {
            self.same(Law::CommonFactor, written.clone(), form.clone());
            self.same(Law::Expanded, form, reduced.clone());
        } else {
            self.same(Law::Expanded, written.clone(), reduced.clone());
        }
        let constant = constant.map(|(c, _)| c);
        let structure = match shape {
            Shape::Small(structure) => structure,
            Shape::Large(structure) => {
                let core = structure.core();
                let rows = Claim::LargeRows { form: reduced, structure: structure.clone() };
                self.steps.push(Step { law: Law::Semantics, claim: rows });
                let (structure_, core_) = (structure.clone(), core.clone());
                let clauses = Claim::LargeClauses { structure: structure_, core: core_ };
                self.steps.push(Step { law: Law::Clauses, claim: clauses });
                let (constants, steps) = (self.normaliser.constants, self.steps);
                let found = LargeDecompiled { structure, core, constant, t, b, constants, steps };
                return Ok(Found::Large(Box::new(found)));
            }
        };
        let core = structure.core();
        let rows = Claim::Rows { form: reduced, structure: structure.clone() };
        self.steps.push(Step { law: Law::Semantics, claim: rows });
        let clauses = Claim::Clauses { structure: structure.clone(), core: core.clone() };
        self.steps.push(Step { law: Law::Clauses, claim: clauses });
        let written = before.and_then(|(t, b)| as_written(&self.normaliser.atoms, &t, &b));
        Ok(Found::Small(Box::new(Decompiled {
            structure,
            core,
            written,
            constant,
            t,
            b,
            constants: self.normaliser.constants,
            steps: self.steps,
        })))
    }

    /// The structure of a product of which nothing is left, before it cancelled: rho is 0 everywhere.
    fn constant_structure(&self, product: &Product) -> Option<Structure> {
        let number = product.scale.times(product.content)?;
        let plain = number == Rational::ONE && product.constant.is_zero();
        if !plain || product.factors.iter().any(|f| f.exponent.as_integer().is_none()) {
            return None;
        }
        let form = Form::of_factors(&self.normaliser.atoms, whole(&product.factors));
        let (t, b) = form.expanded()?;
        as_written(&form.atoms, &t, &b)
    }

    /// The constant added to the logarithm, written out, and the factor that stands for it.
    fn constant(
        &mut self,
        product: &Product,
        number: Rational,
    ) -> Result<Option<(Expr, Factor)>, Failure> {
        let tag = self.tag;
        let too_large = || Failure::too_large(tag);
        let mut sum = product.constant.clone();
        if number != Rational::ONE {
            // log of a number below 1 is written as the negative of one above.
            let above = number > Rational::ONE;
            let size =
                if above { number } else { Rational::ONE.over(number).ok_or_else(too_large)? };
            let log = Expr::unary(UnaryOp::Log, Expr::rational(size, tag), tag);
            let range = Range::point(size.numerator(), size.denominator()).ln();
            let range = Range::new(range.lo.max(0.0), range.hi);
            let log = self.normaliser.symbols.define(log.clone(), log.to_string(), range);
            let signed = if above { Some(log) } else { log.negated() };
            sum = signed.and_then(|log| sum.plus(&log)).ok_or_else(too_large)?;
        }
        if sum.is_zero() {
            return Ok(None);
        }
        let positive = self.normaliser.is_positive(&sum, tag)?;
        let size = if positive { sum.clone() } else { sum.negated().ok_or_else(too_large)? };
        let base = self.normaliser.constant_atom(&size, tag)?;
        let factor = Factor::plain(base, if positive { -1 } else { 1 }, tag);
        Ok(Some((sum.expr(&self.normaliser.symbols, tag), factor)))
    }

    /// The sum and the mean of one response must not both be left.
    fn aggregates(&self, factors: &[Factor]) -> Result<(), Failure> {
        let left = factors.iter().fold(0, |mask, f| mask | f.base.support());
        let atoms = self.normaliser.atoms.iter().enumerate();
        let mut present = atoms.filter(|(i, _)| left >> i & 1 == 1);
        let clash = present.find_map(|(i, atom)| {
            let AtomKind::Response { model, response, mean } = &atom.kind else { return None };
            let other = AtomKind::Response {
                model: model.clone(),
                response: response.clone(),
                mean: !mean,
            };
            let twin = self.normaliser.atoms.iter().position(|a| a.kind == other)?;
            (left >> twin & 1 == 1).then(|| (i.max(twin), model.clone(), response.clone()))
        });
        let Some((_, model, response)) = clash else { return Ok(()) };
        // The later mention is the odd one out.
        let tags = self.normaliser.atoms.iter().zip(&self.normaliser.atom_tags);
        let named = tags.filter(|(a, _)| {
            matches!(&a.kind, AtomKind::Response { model: m, response: r, .. }
                if *m == model && *r == response)
        });
        let tag = last_mentioned(&self.plain, &named.map(|(a, _)| a).collect::<Vec<_>>());
        Err(Failure::new(Reason::MixedAggregates { model, response }, tag.unwrap_or(self.tag)))
    }

    /// The structure of T and B, with both over its atoms.
    fn structure(
        &self,
        factors: &[Factor],
        t: &Polynomial,
        b: &Polynomial,
    ) -> Result<(Shape, Polynomial, Polynomial), NotLogic> {
        let tag = self.tag;
        let too_large = || Failure::too_large(tag);
        let (atoms, map) = compact(&self.normaliser.atoms, t.support() | b.support());
        let n = atoms.len();
        let [t, b] = [t, b].map(|p| p.remap(&map).ok_or_else(too_large));
        let (t, b) = (t?, b?);
        let mut rows = Vec::new();
        for (p, above) in [(&t, true), (&b, false)] {
            match Function::of_polynomial(p, n) {
                Ok(function) => rows.push(function),
                Err(why) => {
                    let side: Vec<&Factor> = factors
                        .iter()
                        .filter(|f| f.exponent.as_integer().is_some_and(|e| (e > 0) == above))
                        .collect();
                    let tag = blame(&side, &why).unwrap_or(self.tag);
                    return Err(self.inadmissible(factors, &atoms, p, why, tag));
                }
            }
        }
        let refuse = |e| NotLogic::from(Failure::new(Reason::Structure(e), tag));
        let loses = rows.pop().ok_or_else(too_large)?;
        let wins = rows.pop().ok_or_else(too_large)?;
        let structure = LargeStructure::from_rows(atoms, wins, loses).map_err(refuse)?;
        structure.validate().map_err(refuse)?;
        let shape = match structure.small() {
            Some(small) => Shape::Small(small),
            None => Shape::Large(structure),
        };
        Ok((shape, t, b))
    }

    fn inadmissible(
        &self,
        factors: &[Factor],
        atoms: &[Atom],
        p: &Polynomial,
        why: Inadmissible,
        tag: usize,
    ) -> NotLogic {
        let coefficient = |m: &Monomial| p.terms().find(|(n, _)| n == m).map_or(1, |(_, c)| c);
        let text = |m: &Monomial| {
            Polynomial::of_terms([(*m, coefficient(m))]).unwrap_or_default().shown(atoms)
        };
        let (reason, monomials) = match &why {
            Inadmissible::TooLarge => (Reason::TooLarge, Vec::new()),
            Inadmissible::Squared(list) => (Reason::Squared, list.iter().map(text).collect()),
            Inadmissible::Value { vertex, value, monomials } => {
                let row = atoms.iter().enumerate().filter(|(i, _)| vertex >> i & 1 == 1);
                let row = row.map(|(_, a)| a.name.clone()).collect();
                let value = Rational::new(*value, 1).unwrap_or(Rational::ZERO);
                let reason = Reason::NotAnIndicator { row, value };
                (reason, monomials.iter().map(text).collect())
            }
        };
        let nearest = nearest::of_polynomials(&self.normaliser.atoms, factors).or_else(|| {
            let factors_only = Product::number(Rational::ONE);
            nearest::powers(self, &factors_only, factors)
        });
        NotLogic { reason, tag, monomials, nearest: nearest.map(Box::new), written: None }
    }

    /// The steps from the expression to the quotient of factors as written.
    fn first_form(&mut self, product: &Product, number: Rational, all: &Product, constant: bool) {
        let joined = self.joined(product, number);
        if constant {
            let after = Form::of_factors(&self.normaliser.atoms, whole(&all.factors)).expr();
            let claim = Claim::Equal { before: joined, after };
            self.steps.push(Step { law: Law::ConstantAtom, claim });
        }
    }

    /// log of a number times the factors of a product.
    pub(super) fn form(&self, product: &Product, number: Rational) -> Form {
        let symbols = &self.normaliser.symbols;
        let added = Some(product.constant.expr(symbols, self.tag)).filter(|c| !c.is_zero());
        let atoms = self.normaliser.atoms.clone();
        Form { atoms, number, constant: added, factors: whole(&product.factors) }
    }

    /// The step to one logarithm, where the text differs; returns what it leads to.
    pub(super) fn joined(&mut self, product: &Product, number: Rational) -> Expr {
        let (before, after) = (self.plain.clone(), self.form(product, number).expr());
        if before.to_string() != after.to_string() {
            let law = joining_law(&before);
            self.steps.push(Step { law, claim: Claim::Equal { before, after: after.clone() } });
        }
        after
    }

    /// A reader of the same expression, without steps.
    pub(super) fn again(&self) -> Self {
        let (normaliser, plain) = (self.normaliser.clone(), self.plain.clone());
        Self { normaliser, tag: self.tag, steps: Vec::new(), plain }
    }

    fn same(&mut self, law: Law, before: Form, after: Form) {
        if before.expr().to_string() != after.expr().to_string() {
            self.steps.push(Step { law, claim: Claim::SameFraction { before, after } });
        }
    }
}

/// The power that all factors share up to sign, if they do and it is not 1; the one of the two that is
/// written without a minus.
pub(super) fn common_power(factors: &[Factor]) -> Option<Scalar> {
    let first = &factors.first()?.exponent;
    let minus = first.negated()?;
    let negative = first.is_written_negative();
    let all = factors.iter().all(|f| f.exponent == *first || f.exponent == minus);
    all.then(|| if negative { minus } else { first.clone() })
}

/// The factors with their powers, all whole by now.
fn whole(factors: &[Factor]) -> Vec<(Polynomial, i64)> {
    factors.iter().filter_map(|f| Some((f.base.clone(), f.exponent.as_integer()?))).collect()
}

/// The atoms of `mask`, and the map from their old numbers to their new ones.
pub(super) fn compact(atoms: &[Atom], mask: u32) -> (Vec<Atom>, Vec<usize>) {
    let mut kept = Vec::new();
    let map = atoms
        .iter()
        .enumerate()
        .map(|(i, atom)| {
            if mask >> i & 1 == 1 {
                kept.push(atom.clone());
                kept.len() - 1
            } else {
                usize::MAX
            }
        })
        .collect();
    (kept, map)
}

/// The structure of the polynomials before cancelling, if they have one.
fn as_written(atoms: &[Atom], t: &Polynomial, b: &Polynomial) -> Option<Structure> {
    let (atoms, map) = compact(atoms, t.support() | b.support());
    let n = atoms.len();
    let rows = |p: &Polynomial| p.remap(&map)?.indicator(n).ok();
    Structure::from_rows(atoms, rows(t)?, rows(b)?).ok()
}

/// The law by which a sum becomes one logarithm.
fn joining_law(expr: &Expr) -> Law {
    use super::BinaryOp::{Add, Div, Mul, Sub};
    let (mut logs, mut minus) = (0, false);
    let mut todo = vec![expr];
    while let Some(node) = todo.pop() {
        match &node.kind {
            ExprKind::Unary(UnaryOp::Log, _) => logs += 1,
            ExprKind::Unary(UnaryOp::Neg, a) => {
                minus = true;
                todo.push(a);
            }
            ExprKind::Binary(op @ (Add | Sub | Mul | Div), a, b) => {
                minus |= *op == Sub;
                todo.extend([&**a, &**b]);
            }
            _ => {}
        }
    }
    match (logs, minus) {
        (0 | 1, _) => Law::OneQuotient,
        (_, true) => Law::LogOfQuotient,
        (_, false) => Law::LogOfProduct,
    }
}
