//! Builds the one tree of a sum or product, and joins it to its class.
//!
//! Why and invariants: see [`super::normal`]. In: the [`Forms`] of an e-graph. Out: unions, each between
//! two terms that are equal as polynomials over their atoms. The shape of a sum: common factors are
//! taken out; terms about one response stand together, policy minus reference; what is subtracted comes
//! last, `(lw - rw) - (ll - rl)`.

use super::analysis::{Egraph, exact_product, exact_sum};
use super::language::Expr;
use super::normal::{Forms, Product, Sum, exponent, is_leaf_class, operands_of};
use super::rules::{PRODUCT, SUM};
use crate::mir::{Binary, Level, Unary};
use egg::{Id, Language};
use std::collections::BTreeMap;

/// Factors taken out of sums inside each other; forms that refer to each other in a circle stop here.
const MOST_FACTORS: usize = 16;

/// One pass over all classes.
pub(super) struct Builder<'a> {
    egraph: &'a mut Egraph,
    forms: Forms,
    trees: BTreeMap<Id, Id>,
    open: Vec<Id>,
    depth: usize,
    unions: Vec<(Id, Id, &'static str)>,
    /// Every node of a tree, with the ids that it was made of.
    made: Vec<Expr>,
}

/// A union made: the two terms' ids and the rule.
pub(super) type Union = (Id, Id, &'static str);

/// Puts every sum and product of the e-graph into its normal form once. The e-graph must be rebuilt
/// before and after. Returns the unions that changed it.
pub(super) fn normalise(egraph: &mut Egraph) -> Vec<Union> {
    let forms = Forms::read(egraph);
    let mut ids: Vec<Id> = egraph.classes().map(|c| c.id).collect();
    ids.sort_unstable();
    let mut builder = Builder::new(egraph, forms);
    for id in &ids {
        builder.sum_step(*id);
        builder.product_step(*id);
        builder.gather_exponentials(*id);
        builder.meet_partners(*id);
    }
    builder.unions
}

/// The nodes of the trees that the normal forms of all classes have now: what the cost calls canonical.
pub(super) fn canonical_nodes(egraph: &mut Egraph) -> Vec<Expr> {
    let forms = Forms::read(egraph);
    let mut ids: Vec<Id> = egraph.classes().map(|c| c.id).collect();
    ids.sort_unstable();
    let mut builder = Builder::new(egraph, forms);
    for id in ids {
        builder.tree(id);
    }
    builder.made
}

fn sub(a: Id, b: Id) -> Expr {
    Expr::Binary(Binary::Sub, [a, b])
}

fn add(a: Id, b: Id) -> Expr {
    Expr::Binary(Binary::Add, [a, b])
}

fn mul(a: Id, b: Id) -> Expr {
    Expr::Binary(Binary::Mul, [a, b])
}

impl<'a> Builder<'a> {
    fn new(egraph: &'a mut Egraph, forms: Forms) -> Builder<'a> {
        Builder {
            egraph,
            forms,
            trees: BTreeMap::new(),
            open: Vec::new(),
            depth: 0,
            unions: Vec::new(),
            made: Vec::new(),
        }
    }

    fn node(&mut self, node: Expr) -> Id {
        self.made.push(node);
        self.egraph.add_uncanonical(node)
    }

    fn number(&mut self, value: f64) -> Id {
        self.node(Expr::constant(value))
    }

    fn negate(&mut self, id: Id) -> Id {
        self.node(Expr::Unary(Unary::Neg, [id]))
    }

    fn level(&self, id: Id) -> Level {
        self.egraph[id].data.level
    }

    fn print(&self, id: Id) -> f64 {
        self.egraph[id].data.print
    }

    /// Joins two terms unless a loop would read a value at the wrong level.
    fn join(&mut self, from: Id, to: Id, rule: &'static str) {
        let (a, b) = (self.level(from), self.level(to));
        let domain = &self.egraph.analysis;
        let kept = domain.may_lift(a.max(b), a.min(b));
        if from != to && kept {
            self.egraph.analysis.applying = rule;
            if self.egraph.union_trusted(from, to, rule) {
                self.unions.push((from, to, rule));
            }
        }
    }

    /// The canonical tree of a class.
    fn tree(&mut self, id: Id) -> Id {
        let id = self.egraph.find(id);
        if let Some(tree) = self.trees.get(&id) {
            return *tree;
        }
        // Forms that refer to each other in a circle end in the class itself.
        if self.open.contains(&id) {
            return id;
        }
        self.open.push(id);
        let sum = self.forms.sum(id);
        let tree = if self.egraph[id].data.constant.is_some() || sum.as_atom() != Some(id) {
            self.sum_tree(&sum)
        } else {
            let product = self.forms.product(id);
            self.product_tree(&product)
        };
        self.open.pop();
        self.trees.insert(id, tree);
        tree
    }

    /// The tree of an atom of a sum: its product.
    fn atom_tree(&mut self, id: Id) -> Id {
        let product = self.forms.product(id);
        if self.open.contains(&id) && product != Product::atom(id) {
            return self.product_tree(&product);
        }
        self.tree(id)
    }

    fn sum_step(&mut self, id: Id) {
        let Some(node) = self.forms.sum_node.get(&id).copied() else { return };
        let sum = self.forms.sum(id);
        let to = self.sum_tree(&sum);
        let from = self.over_trees(&node);
        self.join(from, to, SUM);
    }

    fn product_step(&mut self, id: Id) {
        let Some(node) = self.forms.product_node.get(&id).copied() else { return };
        let product = self.forms.product(id);
        if product.powers.len() == 1 && product == Product::atom(id) {
            return;
        }
        let to = self.product_tree(&product);
        let from = self.over_trees(&node);
        self.join(from, to, PRODUCT);
    }

    /// The node over the canonical trees of its operands.
    fn over_trees(&mut self, node: &Expr) -> Id {
        let mut node = *node;
        for place in 0..node.children().len() {
            let child = self.egraph.find(node.children()[place]);
            node.children_mut()[place] = self.tree(child);
        }
        self.node(node)
    }

    /// Two or more exponentials among the factors become one.
    fn gather_exponentials(&mut self, id: Id) {
        let product = self.forms.product(id);
        let exps: Vec<(Id, i32, f64, Id)> = product
            .powers
            .iter()
            .filter_map(|(atom, p)| exponent(self.egraph, *atom).map(|(s, u)| (*atom, *p, s, u)))
            .collect();
        let count: i32 = exps.iter().map(|e| e.1.abs()).sum();
        let trivial = count < 2 && exps.iter().all(|e| e.1 == 1);
        if trivial || self.forms.product_node.get(&id).is_none() {
            return;
        }
        let mut total = Sum::default();
        let mut rest = product.clone();
        let mut separate: Vec<(Id, i32)> = Vec::new();
        for (atom, power, sign, operand) in &exps {
            let u = self.forms.sum(*operand);
            let Some(next) = total.plus(f64::from(*power), &u) else { return };
            total = next;
            rest.powers.remove(atom);
            let tree = self.tree(*operand);
            let exp = self.node(Expr::Unary(Unary::Exp, [tree]));
            let factor = if *sign < 0.0 { self.negate(exp) } else { exp };
            separate.push((factor, *power));
            if *sign < 0.0 && power % 2 != 0 {
                rest.coefficient = -rest.coefficient;
            }
        }
        let written = Product { coefficient: product.coefficient, powers: rest.powers.clone() };
        let from = self.product_over(&written, &separate);
        let joined = self.sum_tree(&total);
        let exp = self.node(Expr::Unary(Unary::Exp, [joined]));
        let to = self.product_over(&rest, &[(exp, 1)]);
        self.join(from, to, PRODUCT);
    }

    /// An exponential that can overflow is put beside the product of the other factors.
    fn part_overflow(&mut self, id: Id) {
        let product = self.forms.product(id);
        if !self.forms.product_node.contains_key(&id) || product.powers.len() < 2 {
            return;
        }
        let large = product.powers.iter().find(|(atom, p)| {
            let hi = self.egraph[**atom].data.practical.hi;
            **p == 1 && hi > f64::from(f32::MAX) && exponent(self.egraph, **atom).is_some()
        });
        let Some(large) = large.map(|(atom, _)| *atom) else { return };
        let mut rest = product.clone();
        rest.powers.remove(&large);
        let rest = self.product_tree(&rest);
        let to = self.node(mul(large, rest));
        let from = self.product_tree(&product);
        self.join(from, to, PRODUCT);
    }

    /// Where a sum holds a function and minus what that function nearly is, puts the two side by side, for
    /// the rules that know their difference.
    fn meet_partners(&mut self, id: Id) {
        if !self.forms.sum_node.contains_key(&id) {
            return;
        }
        let sum = self.forms.sum(id);
        let atoms: Vec<(Id, f64)> = sum.terms.iter().map(|(i, c)| (*i, *c)).collect();
        for (atom, k) in atoms {
            let mut partners = operands_of(self.egraph, atom, Unary::Softplus);
            let softplus = partners.clone();
            for node in self.egraph[atom].nodes.clone() {
                if let Expr::Binary(Binary::LogAddExp, [a, b]) = node {
                    partners.extend([self.egraph.find(a), self.egraph.find(b)]);
                }
            }
            for partner in partners {
                self.meet(id, &sum, atom, k, partner);
            }
            for y in softplus {
                self.meet_infinity(id, &sum, atom, k, y);
            }
        }
    }

    /// k f - k y + rest, with y the operand that f follows, becomes rest + k (f - y).
    fn meet(&mut self, id: Id, sum: &Sum, atom: Id, k: f64, partner: Id) {
        let y = self.forms.sum(partner);
        let held = |(i, c): (&Id, &f64)| sum.terms.get(i) == exact_product(-k, *c).as_ref();
        let constant = y.constant == 0.0 || sum.constant == -k * y.constant;
        if y.terms.is_empty() || !y.terms.iter().all(held) || !constant {
            return;
        }
        let Some(mut rest) = sum.plus(k, &y) else { return };
        rest.terms.remove(&atom);
        let (f, y) = (self.atom_tree(atom), self.tree(partner));
        let pair = self.node(sub(f, y));
        self.split(id, &rest, k, pair);
    }

    /// k L + k softplus(y) + rest, with -L inside y and L possibly -inf, becomes
    /// rest + k (L + softplus(y)).
    fn meet_infinity(&mut self, id: Id, sum: &Sum, atom: Id, k: f64, y: Id) {
        let inside = self.forms.sum(y);
        let found = sum.terms.iter().find(|(l, c)| {
            **c == k
                && inside.terms.get(l) == Some(&-1.0)
                && self.egraph[**l].data.interval.contains(f64::NEG_INFINITY)
        });
        let Some(l) = found.map(|(l, _)| *l) else { return };
        let mut rest = sum.clone();
        rest.terms.remove(&atom);
        rest.terms.remove(&l);
        let (f, l) = (self.atom_tree(atom), self.atom_tree(l));
        let pair = self.node(add(l, f));
        self.split(id, &rest, k, pair);
    }

    fn split(&mut self, id: Id, rest: &Sum, k: f64, pair: Id) {
        let scaled = if k.abs() == 1.0 {
            pair
        } else {
            let c = self.number(k.abs());
            self.node(mul(c, pair))
        };
        let from = self.tree(id);
        let to = if rest.terms.is_empty() && rest.constant == 0.0 {
            if k < 0.0 { self.negate(scaled) } else { scaled }
        } else {
            let rest = self.sum_tree(rest);
            self.node(if k < 0.0 { sub(rest, scaled) } else { add(rest, scaled) })
        };
        self.join(from, to, SUM);
    }

    /// The tree of a product.
    fn product_tree(&mut self, product: &Product) -> Id {
        self.product_over(product, &[])
    }

    /// The tree of a product with further factors: sign outermost, a quotient, uniform factors first.
    fn product_over(&mut self, product: &Product, more: &[(Id, i32)]) -> Id {
        let mut factors: Vec<(Id, i32)> = Vec::new();
        for (atom, p) in &product.powers {
            let tree = self.factor_tree(*atom);
            factors.push((tree, *p));
        }
        factors.extend_from_slice(more);
        let mut coefficient = product.coefficient;
        for (tree, p) in &mut factors {
            let (sign, rest) = self.unsigned(*tree);
            coefficient *= if *p % 2 == 0 { 1.0 } else { sign };
            *tree = rest;
        }
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
        let magnitude = coefficient.abs();
        let times = |builder: &mut Self, wanted: fn(i32) -> bool, first: Option<Id>| {
            let mut tree = first;
            for (id, p) in factors.iter().filter(|(_, p)| wanted(*p)) {
                for _ in 0..p.abs() {
                    tree = Some(match tree {
                        Some(t) => builder.node(mul(t, *id)),
                        None => *id,
                    });
                }
            }
            tree
        };
        let first = (magnitude != 1.0).then(|| self.number(magnitude));
        let above = times(self, |p| p > 0, first);
        let below = times(self, |p| p < 0, None);
        let above = match above {
            Some(tree) => tree,
            None => self.number(1.0),
        };
        let tree = match below {
            Some(b) => self.node(Expr::Binary(Binary::Div, [above, b])),
            None => above,
        };
        if coefficient < 0.0 { self.negate(tree) } else { tree }
    }

    /// The sign of a tree and what follows it.
    fn unsigned(&self, tree: Id) -> (f64, Id) {
        match self.egraph.id_to_node(tree) {
            Expr::Unary(Unary::Neg, [a]) => (-1.0, *a),
            _ => (1.0, tree),
        }
    }

    /// A factor: a sum in its normal form, or the class itself.
    fn factor_tree(&mut self, id: Id) -> Id {
        let sum = self.forms.sum(id);
        if sum.as_atom() == Some(id) || self.open.contains(&id) { id } else { self.tree(id) }
    }

    /// The tree of a sum.
    fn sum_tree(&mut self, sum: &Sum) -> Id {
        if let Some((factor, inner)) = self.common_factor(sum) {
            let tree = self.sum_tree(&inner);
            return self.product_over(&factor, &[(tree, 1)]);
        }
        let mut parts: Vec<(f64, Id)> = Vec::new();
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
        let (by_factor, shared) = self.share_overflow(by_factor);
        parts.extend(shared);
        for (uniform, part) in by_factor {
            let factored = if uniform == Product::one() { None } else { self.common_factor(&part) };
            match factored {
                Some((factor, inner)) => {
                    let tree = self.sum_tree(&inner);
                    let tree = self.product_over(&factor, &[(tree, 1)]);
                    parts.push(self.unsigned(tree));
                }
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

    /// Terms with a common factor that can overflow become one product, so that infinities of opposite
    /// sign do not meet in the sum.
    fn share_overflow(
        &mut self,
        mut by_factor: Vec<(Product, Sum)>,
    ) -> (Vec<(Product, Sum)>, Vec<(f64, Id)>) {
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
            let Some((factor, inner)) = self.common_factor(&part) else { continue };
            let tree = self.sum_tree(&inner);
            let tree = self.product_over(&factor, &[(tree, 1)]);
            parts.push(self.unsigned(tree));
            for (_, rest) in &mut by_factor {
                rest.terms.retain(|atom, _| !part.terms.contains_key(atom));
            }
        }
        by_factor.retain(|(_, part)| !part.terms.is_empty());
        (by_factor, parts)
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
        let scaled = |(p, c): &(Product, f64)| exact_product(p.coefficient, *c);
        let sizes: Option<Vec<f64>> = products.iter().map(|p| scaled(p).map(f64::abs)).collect();
        let sizes = sizes?;
        let mut common = products[0].0.clone();
        common.coefficient = if sizes.iter().all(|s| *s == sizes[0]) { sizes[0] } else { 1.0 };
        for (p, _) in &products {
            common.powers.retain(|id, power| {
                let other = p.powers.get(id).copied().unwrap_or(0);
                let shared =
                    if *power > 0 { other.min(*power).max(0) } else { other.max(*power).min(0) };
                *power = shared;
                shared != 0
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

    /// The sum of products divided by a factor that all of them have.
    fn without_factor(&mut self, products: &[(Product, f64)], common: &Product) -> Option<Sum> {
        let mut inner = Sum::default();
        for (p, c) in products {
            let mut rest = p.times(common, -1)?;
            let size = exact_product(rest.coefficient, *c)?;
            rest.coefficient = 1.0;
            if rest.powers.is_empty() {
                inner.constant = exact_sum(inner.constant, size)?;
                continue;
            }
            let id = self.product_tree(&rest);
            let id = self.egraph.find(id);
            // A new class has no form yet: it is an atom, or the one class that is its only factor.
            let form = match rest.powers.first_key_value() {
                Some((only, 1)) if rest.powers.len() == 1 => self.forms.sum(*only),
                _ => self.forms.sum(id),
            };
            inner = inner.plus(size, &form)?;
        }
        Some(inner)
    }

    /// Terms about the same responses become one part each, led by the policy's input.
    fn response_groups(&mut self, terms: &[(Id, f64)]) -> Vec<(f64, Id)> {
        let mut groups: BTreeMap<u64, Vec<(Id, f64)>> = BTreeMap::new();
        for (atom, c) in terms {
            groups.entry(self.egraph[*atom].data.support).or_default().push((*atom, *c));
        }
        let mut parts = Vec::new();
        for mut list in groups.into_values() {
            let whole = Sum { constant: 0.0, terms: list.iter().copied().collect() };
            if let Some((factor, inner)) = self.common_factor(&whole) {
                let tree = self.sum_tree(&inner);
                let tree = self.product_over(&factor, &[(tree, 1)]);
                parts.push(self.unsigned(tree));
                continue;
            }
            list.sort_by(|a, b| {
                let key = |id: Id| (self.rank(id), self.print(id));
                let ((ra, pa), (rb, pb)) = (key(a.0), key(b.0));
                ra.cmp(&rb).then(pa.total_cmp(&pb)).then(a.0.cmp(&b.0))
            });
            let mut inner = Vec::new();
            for (atom, c) in list {
                let product = self.forms.product(atom);
                let signed = exact_product(product.coefficient, c);
                let tree = match signed {
                    Some(size) => {
                        self.product_tree(&Product { coefficient: size.abs(), ..product })
                    }
                    None => {
                        let (n, t) = (self.number(c.abs()), self.atom_tree(atom));
                        self.node(mul(n, t))
                    }
                };
                let (sign, tree) = self.unsigned(tree);
                inner.push((sign * signed.unwrap_or(c).signum(), tree));
            }
            // The order inside a group is kept; the group's sign is its leading term's.
            let first = inner[0].0;
            let mut tree = inner[0].1;
            for (sign, next) in &inner[1..] {
                tree = self.node(if *sign == first { add(tree, *next) } else { sub(tree, *next) });
            }
            parts.push((first, tree));
        }
        parts
    }

    /// Policy inputs, then other inputs, then everything else.
    fn rank(&self, id: Id) -> u8 {
        let inputs = self.egraph.analysis.inputs();
        let leaf = self.egraph[id].nodes.iter().find_map(|n| match n {
            Expr::Input(i) => inputs.get(*i as usize),
            _ => None,
        });
        match leaf {
            Some(input) if input.differentiable => 0,
            Some(_) => 1,
            None if is_leaf_class(self.egraph, id) => 2,
            None => 3,
        }
    }

    /// What is added by value, then what is subtracted by value.
    ///
    /// Of a sum and its negation one is the tree and the other its negative, so that both are made of the
    /// same parts however they are written: the part about the last response in order of names is added.
    /// A sum with a number stands as it is: `1 - x`.
    fn combine(&mut self, mut parts: Vec<(f64, Id)>) -> Id {
        let varies = |(_, id): &&(f64, Id)| self.level(*id) != Level::Uniform;
        let number = parts.iter().any(|(_, id)| self.egraph[*id].data.constant.is_some());
        let leading = parts.iter().filter(varies).max_by(|a, b| {
            let support = |id: Id| self.egraph[id].data.support;
            support(a.1).cmp(&support(b.1)).then(self.print(a.1).total_cmp(&self.print(b.1)))
        });
        let negative = !number && leading.is_some_and(|(sign, _)| *sign < 0.0);
        if negative {
            parts.iter_mut().for_each(|(sign, _)| *sign = -*sign);
        }
        parts.sort_by(|a, b| {
            let place = |s: f64| u8::from(s < 0.0);
            place(a.0)
                .cmp(&place(b.0))
                .then(self.print(a.1).total_cmp(&self.print(b.1)))
                .then(a.1.cmp(&b.1))
        });
        let mut parts = parts.into_iter();
        let Some((sign, mut tree)) = parts.next() else { return self.number(0.0) };
        for (s, next) in parts {
            tree = self.node(if s == sign { add(tree, next) } else { sub(tree, next) });
        }
        if (sign < 0.0) != negative { self.negate(tree) } else { tree }
    }
}
