//! The one tree of a sum or product.
//!
//! Why: whatever way a sum is written, its tree must be the same, and exact in floating point. In: the
//! [`Forms`] of an e-graph. Out: trees, built in the e-graph. The shape of a sum: common factors are
//! taken out; terms about one response stand together, policy minus reference; what is subtracted
//! comes last, `(lw - rw) - (ll - rl)`; of a sum and its negation one is the tree and the other its
//! negative. The shape of a product: sign outermost, one quotient, numbers of the run first.
//!
//! Invariant: a tree and the form that it is built of are equal as polynomials over the atoms.

use super::analysis::Egraph;
use super::exact::{exact_product, exact_quotient, exact_sum};
use super::language::Expr;
use super::normal::{Forms, Product, Sum};
use crate::mir::{Binary, Level, Unary};
use egg::{Id, Language};
use std::collections::BTreeMap;

/// A sign, 1 or -1, and the tree that it stands before.
pub(super) type Signed = (f64, Id);

/// Factors taken out of sums inside each other; forms that refer to each other in a circle stop here.
const MOST_FACTORS: usize = 16;

/// Builds trees from forms.
pub(super) struct Builder<'a> {
    pub(super) egraph: &'a mut Egraph,
    pub(super) forms: Forms,
    /// Every node of a tree, with the ids that it was made of.
    pub(super) made: Vec<Expr>,
    trees: BTreeMap<Id, Signed>,
    open: Vec<Id>,
    depth: usize,
}

pub(super) fn sub(a: Id, b: Id) -> Expr {
    Expr::Binary(Binary::Sub, [a, b])
}

pub(super) fn add(a: Id, b: Id) -> Expr {
    Expr::Binary(Binary::Add, [a, b])
}

pub(super) fn mul(a: Id, b: Id) -> Expr {
    Expr::Binary(Binary::Mul, [a, b])
}

impl<'a> Builder<'a> {
    pub(super) fn new(egraph: &'a mut Egraph) -> Builder<'a> {
        let forms = Forms::read(egraph);
        Builder {
            egraph,
            forms,
            made: Vec::new(),
            trees: BTreeMap::new(),
            open: Vec::new(),
            depth: 0,
        }
    }

    pub(super) fn node(&mut self, node: Expr) -> Id {
        self.made.push(node);
        self.egraph.add_uncanonical(node)
    }

    pub(super) fn number(&mut self, value: f64) -> Id {
        self.node(Expr::constant(value))
    }

    /// The tree with its sign.
    pub(super) fn whole(&mut self, (sign, tree): Signed) -> Id {
        if sign < 0.0 { self.node(Expr::Unary(Unary::Neg, [tree])) } else { tree }
    }

    fn level(&self, id: Id) -> Level {
        self.egraph[id].data.level
    }

    fn print(&self, id: Id) -> f64 {
        self.egraph[id].data.print
    }

    /// The canonical tree of a class.
    pub(super) fn tree(&mut self, id: Id) -> Signed {
        let id = self.egraph.find(id);
        if let Some(tree) = self.trees.get(&id) {
            return *tree;
        }
        // Forms that refer to each other in a circle end in the class itself.
        if self.open.contains(&id) {
            return (1.0, id);
        }
        self.open.push(id);
        let sum = self.forms.sum(id);
        let tree = if sum.as_atom() == Some(id) {
            let product = self.forms.product(id);
            self.product_tree(&product)
        } else {
            self.sum_tree(&sum)
        };
        self.open.pop();
        self.trees.insert(id, tree);
        tree
    }

    /// The tree of a product.
    pub(super) fn product_tree(&mut self, product: &Product) -> Signed {
        self.product_over(product, &[])
    }

    /// The tree of a product with further factors.
    pub(super) fn product_over(&mut self, product: &Product, more: &[(Signed, i32)]) -> Signed {
        let mut factors: Vec<(Signed, i32)> = Vec::new();
        for (atom, p) in &product.powers {
            // A factor is a sum in its normal form, or the class itself.
            let sum = self.forms.sum(*atom);
            let tree = if sum.as_atom() == Some(*atom) { (1.0, *atom) } else { self.tree(*atom) };
            factors.push((tree, *p));
        }
        factors.extend_from_slice(more);
        let odd = factors.iter().filter(|((sign, _), p)| *sign < 0.0 && p % 2 != 0).count();
        let sign = product.coefficient.signum() * if odd % 2 == 0 { 1.0 } else { -1.0 };
        let mut factors: Vec<(Id, i32)> =
            factors.into_iter().map(|((_, tree), p)| (tree, p)).collect();
        factors.sort_by(|a, b| {
            // What depends on more responses is shared by more gradients: it comes first.
            let breadth = |id: Id| self.egraph[id].data.support.count_ones();
            let (x, y) = (a.0, b.0);
            self.level(x)
                .cmp(&self.level(y))
                .then(breadth(y).cmp(&breadth(x)))
                .then(self.print(x).total_cmp(&self.print(y)))
                .then(a.cmp(b))
        });
        let magnitude = product.coefficient.abs();
        let first = (magnitude != 1.0).then(|| self.number(magnitude));
        let above = self.times(first, factors.iter().filter(|(_, p)| *p > 0));
        let below = self.times(None, factors.iter().filter(|(_, p)| *p < 0));
        let above = match above {
            Some(tree) => tree,
            None => self.number(1.0),
        };
        let tree = match below {
            Some(b) => self.node(Expr::Binary(Binary::Div, [above, b])),
            None => above,
        };
        (sign, tree)
    }

    fn times<'f>(
        &mut self,
        first: Option<Id>,
        factors: impl Iterator<Item = &'f (Id, i32)>,
    ) -> Option<Id> {
        let mut tree = first;
        for (id, p) in factors {
            for _ in 0..p.abs() {
                tree = Some(match tree {
                    Some(t) => self.node(mul(t, *id)),
                    None => *id,
                });
            }
        }
        tree
    }

    /// The tree of a sum.
    pub(super) fn sum_tree(&mut self, sum: &Sum) -> Signed {
        if let Some(tree) = self.factored(sum) {
            return tree;
        }
        let mut by_factor: Vec<(Product, Sum)> = Vec::new();
        for (atom, c) in &sum.terms {
            let uniform = self.uniform_part(*atom, *c);
            match by_factor.iter_mut().find(|(u, _)| *u == uniform) {
                Some((_, part)) => {
                    part.terms.insert(*atom, *c);
                }
                None => {
                    let terms = BTreeMap::from([(*atom, *c)]);
                    by_factor.push((uniform, Sum { constant: 0.0, terms }));
                }
            }
        }
        let mut single: Vec<(Id, f64)> = Vec::new();
        let mut parts = self.share_overflow(&mut by_factor);
        for (uniform, part) in by_factor {
            let tree = if uniform == Product::one() { None } else { self.factored(&part) };
            match tree {
                Some(tree) => parts.push(tree),
                None => single.extend(part.terms),
            }
        }
        parts.extend(self.response_groups(&single));
        if sum.constant != 0.0 {
            let c = self.number(sum.constant.abs());
            parts.push((sum.constant.signum(), c));
        }
        self.combine(parts)
    }

    /// Common factors times the sum of what remains; `None` where there are none.
    fn factored(&mut self, sum: &Sum) -> Option<Signed> {
        let (factor, inner) = self.common_factor(sum)?;
        let tree = self.sum_tree(&inner);
        Some(self.product_over(&factor, &[(tree, 1)]))
    }

    /// Terms with a common factor that can overflow become one product, so that infinities of opposite
    /// sign do not meet in the sum. They are taken out of `by_factor`.
    fn share_overflow(&mut self, by_factor: &mut Vec<(Product, Sum)>) -> Vec<Signed> {
        let mut uses: BTreeMap<Id, Vec<(Id, f64)>> = BTreeMap::new();
        for (atom, c) in by_factor.iter().flat_map(|(_, part)| &part.terms) {
            for factor in self.forms.product(*atom).powers.keys() {
                if self.egraph[*factor].data.practical.hi > f64::from(f32::MAX) {
                    uses.entry(*factor).or_default().push((*atom, *c));
                }
            }
        }
        let mut parts = Vec::new();
        for list in uses.into_values().filter(|l| l.len() > 1) {
            let held = |atom: &Id| by_factor.iter().any(|(_, p)| p.terms.contains_key(atom));
            if !list.iter().all(|(atom, _)| held(atom)) {
                continue;
            }
            let part = Sum { constant: 0.0, terms: list.into_iter().collect() };
            let Some(tree) = self.factored(&part) else { continue };
            parts.push(tree);
            for (_, rest) in by_factor.iter_mut() {
                rest.terms.retain(|atom, _| !part.terms.contains_key(atom));
            }
        }
        by_factor.retain(|(_, part)| !part.terms.is_empty());
        parts
    }

    /// The uniform factors of a term, with the size of its coefficient; one for a term that is uniform.
    fn uniform_part(&self, atom: Id, c: f64) -> Product {
        let product = self.forms.product(atom);
        let uniform = |id: &Id| self.level(*id) == Level::Uniform;
        if product.powers.keys().all(uniform) {
            return Product::one();
        }
        Product {
            coefficient: exact_product(product.coefficient, c).map_or(1.0, f64::abs),
            powers: product.powers.into_iter().filter(|(id, _)| uniform(id)).collect(),
        }
    }

    /// The factors that all terms share, and the sum of what remains; `None` where there are none.
    fn common_factor(&mut self, sum: &Sum) -> Option<(Product, Sum)> {
        if sum.constant != 0.0 || sum.terms.len() < 2 || self.depth >= MOST_FACTORS {
            return None;
        }
        let products: Vec<(Product, f64)> =
            sum.terms.iter().map(|(id, c)| (self.forms.product(*id), *c)).collect();
        let mut common = products[0].0.clone();
        common.coefficient = self.common_size(sum)?;
        for (p, _) in &products {
            common.powers.retain(|id, power| {
                let other = p.powers.get(id).copied().unwrap_or(0);
                *power =
                    if *power > 0 { other.min(*power).max(0) } else { other.max(*power).min(0) };
                *power != 0
            });
        }
        if common == Product::one() {
            return None;
        }
        self.depth += 1;
        let inner = self.without_factor(&products, &common);
        self.depth -= 1;
        let inner = inner?;
        (inner != Sum::default()).then_some((common, inner))
    }

    /// The size of the coefficient that is taken out: that of the term about the last response, where it
    /// divides all others exactly.
    fn common_size(&self, sum: &Sum) -> Option<f64> {
        let size = |(id, c): (&Id, &f64)| {
            exact_product(self.forms.product(*id).coefficient, *c).map(f64::abs)
        };
        let last = sum.terms.iter().max_by(|a, b| {
            let support = |id: &Id| self.egraph[*id].data.support;
            support(a.0)
                .cmp(&support(b.0))
                .then(self.print(*a.0).abs().total_cmp(&self.print(*b.0).abs()))
        });
        let leading = size(last?)?;
        let mut divides = true;
        for term in &sum.terms {
            divides &= exact_quotient(size(term)?, leading).is_some();
        }
        Some(if divides { leading } else { 1.0 })
    }

    /// The sum of products divided by a factor that all of them have.
    fn without_factor(&mut self, products: &[(Product, f64)], common: &Product) -> Option<Sum> {
        let mut inner = Sum::default();
        for (p, c) in products {
            let mut rest = p.times(common, -1)?;
            let mut size = exact_product(rest.coefficient, *c)?;
            rest.coefficient = 1.0;
            let form = match rest.powers.first_key_value() {
                None => {
                    inner.constant = exact_sum(inner.constant, size)?;
                    continue;
                }
                Some((only, 1)) if rest.powers.len() == 1 => self.forms.sum(*only),
                _ => {
                    let (sign, tree) = self.product_tree(&rest);
                    size *= sign;
                    // A new class has no form yet: it is an atom.
                    self.forms.sum(self.egraph.find(tree))
                }
            };
            inner = inner.plus(size, &form)?;
        }
        Some(inner)
    }

    /// Terms about the same responses become one part each, led by the policy's input.
    fn response_groups(&mut self, terms: &[(Id, f64)]) -> Vec<Signed> {
        let mut groups: BTreeMap<u64, Vec<(Id, f64)>> = BTreeMap::new();
        for (atom, c) in terms {
            groups.entry(self.egraph[*atom].data.support).or_default().push((*atom, *c));
        }
        let mut parts = Vec::new();
        for mut list in groups.into_values() {
            let whole = Sum { constant: 0.0, terms: list.iter().copied().collect() };
            // Where the whole sum is one group, its factors have been taken out before.
            if terms.len() > list.len()
                && let Some(tree) = self.factored(&whole)
            {
                parts.push(tree);
                continue;
            }
            list.sort_by(|a, b| {
                let (x, y) = (a.0, b.0);
                self.rank(x)
                    .cmp(&self.rank(y))
                    .then(self.print(x).total_cmp(&self.print(y)))
                    .then(x.cmp(&y))
            });
            let mut inner: Vec<Signed> = Vec::new();
            for (atom, c) in list {
                inner.push(self.term(atom, c));
            }
            parts.extend(self.chain(inner));
        }
        parts
    }

    /// A term of a sum.
    fn term(&mut self, atom: Id, c: f64) -> Signed {
        let product = self.forms.product(atom);
        if let Some(coefficient) = exact_product(product.coefficient, c) {
            return self.product_tree(&Product { coefficient, ..product });
        }
        let (sign, tree) = self.tree(atom);
        let n = self.number(c.abs());
        (sign * c.signum(), self.node(mul(n, tree)))
    }

    /// The sum of parts in their order, with the sign of the first.
    fn chain(&mut self, parts: Vec<Signed>) -> Option<Signed> {
        let mut parts = parts.into_iter();
        let (first, mut tree) = parts.next()?;
        for (sign, next) in parts {
            tree = self.node(if sign == first { add(tree, next) } else { sub(tree, next) });
        }
        Some((first, tree))
    }

    /// Policy inputs, then other inputs, then everything else.
    fn rank(&self, id: Id) -> u8 {
        let inputs = self.egraph.analysis.inputs();
        let nodes = &self.egraph[id].nodes;
        let leaf = nodes.iter().find_map(|n| match n {
            Expr::Input(i) => inputs.get(*i as usize),
            _ => None,
        });
        match leaf {
            Some(input) if input.differentiable => 0,
            Some(_) => 1,
            None if nodes.iter().any(|n| n.is_leaf()) => 2,
            None => 3,
        }
    }

    /// What is added by value, then what is subtracted by value.
    ///
    /// Of a sum and its negation one is the tree and the other its negative, so that both are made of the
    /// same parts however they are written: the part about the last response in order of names is added.
    /// A sum with a number stands as it is: `1 - x`. One of parameters and a number is positive: `1 - k`.
    fn combine(&mut self, mut parts: Vec<Signed>) -> Signed {
        let varies = |(_, id): &&Signed| self.level(*id) != Level::Uniform;
        let number = parts.iter().any(|(_, id)| self.egraph[*id].data.constant.is_some());
        let leading = parts.iter().filter(varies).max_by(|a, b| {
            let support = |id: Id| self.egraph[id].data.support;
            support(a.1)
                .cmp(&support(b.1))
                .then(self.print(a.1).abs().total_cmp(&self.print(b.1).abs()))
        });
        let sign = match leading {
            Some((sign, _)) if !number => *sign,
            None if number => {
                let total: f64 = parts.iter().map(|(sign, id)| sign * self.print(*id)).sum();
                if total < 0.0 { -1.0 } else { 1.0 }
            }
            _ => 1.0,
        };
        parts.iter_mut().for_each(|part| part.0 *= sign);
        parts.sort_by(|a, b| {
            let place = |s: f64| u8::from(s < 0.0);
            place(a.0)
                .cmp(&place(b.0))
                .then(self.print(a.1).total_cmp(&self.print(b.1)))
                .then(a.1.cmp(&b.1))
        });
        match self.chain(parts) {
            Some((first, tree)) => (sign * first, tree),
            None => (1.0, self.number(0.0)),
        }
    }
}
