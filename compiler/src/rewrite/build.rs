//! Joins the normal form of every sum and product to its class.
//!
//! Why and invariants: see [`super::normal`]; the shape of the trees: [`super::shape`]. In: an e-graph.
//! Out: unions, each between two terms that are equal as polynomials over their atoms.

use super::analysis::Egraph;
use super::exact::exact_product;
use super::language::Expr;
use super::normal::{Product, Sum, exponent, operands_of};
use super::rules::{PRODUCT, SUM};
use super::shape::{Builder, Signed, add, mul, sub};
use crate::mir::{Binary, Unary};
use egg::{Id, Language};
use std::collections::BTreeSet;

/// A union made: the two terms' ids and the rule.
pub(super) type Union = (Id, Id, &'static str);

/// Puts every sum and product of the e-graph into its normal form once. The e-graph must be rebuilt
/// before and after. Returns the unions that changed it.
pub(super) fn normalise(egraph: &mut Egraph) -> Vec<Union> {
    let ids = class_ids(egraph);
    let exponents = exponents(egraph);
    let mut pass = Pass { builder: Builder::new(egraph), exponents, unions: Vec::new() };
    for id in &ids {
        pass.sum_step(*id);
        pass.product_step(*id);
        pass.gather_exponentials(*id);
        pass.part_overflow(*id);
        pass.part_choice(*id);
        pass.meet_partners(*id);
        pass.meet_choices(*id);
        pass.expand_exponent(*id);
        pass.add_negation(*id);
    }
    pass.unions
}

/// The nodes of the trees that the normal forms of all classes have now: what the cost calls canonical.
pub(super) fn canonical_nodes(egraph: &mut Egraph) -> Vec<Expr> {
    let ids = class_ids(egraph);
    let mut builder = Builder::new(egraph);
    for id in ids {
        let tree = builder.tree(id);
        builder.whole(tree);
    }
    builder.made
}

fn class_ids(egraph: &Egraph) -> Vec<Id> {
    let mut ids: Vec<Id> = egraph.classes().map(|c| c.id).collect();
    ids.sort_unstable();
    ids
}

/// The operands of exponentials.
fn exponents(egraph: &Egraph) -> BTreeSet<Id> {
    let operand = |n: &Expr| match n {
        Expr::Unary(Unary::Exp, [u]) => Some(egraph.find(*u)),
        _ => None,
    };
    egraph.classes().flat_map(|c| c.nodes.iter().filter_map(operand)).collect()
}

/// One pass over all classes.
struct Pass<'a> {
    builder: Builder<'a>,
    exponents: BTreeSet<Id>,
    unions: Vec<Union>,
}

impl Pass<'_> {
    /// Joins two terms unless a loop would read a value at the wrong level.
    fn join(&mut self, from: Id, to: Id, rule: &'static str) {
        let egraph = &mut *self.builder.egraph;
        let (a, b) = (egraph[from].data.level, egraph[to].data.level);
        if from == to || !egraph.analysis.may_lift(a.max(b), a.min(b)) {
            return;
        }
        egraph.analysis.applying = rule;
        if egraph.union_trusted(from, to, rule) {
            self.unions.push((from, to, rule));
        }
    }

    fn sum_step(&mut self, id: Id) {
        let Some(node) = self.builder.forms.sum_node.get(&id).copied() else { return };
        let sum = self.builder.forms.sum(id);
        let to = self.builder.sum_tree(&sum);
        let to = self.builder.whole(to);
        let from = self.over_trees(&node);
        self.join(from, to, SUM);
    }

    fn product_step(&mut self, id: Id) {
        let Some(node) = self.builder.forms.product_node.get(&id).copied() else { return };
        let product = self.builder.forms.product(id);
        if product == Product::atom(id) {
            return;
        }
        let (sign, tree) = self.builder.product_tree(&product);
        let top = self.builder.made.last().copied();
        let to = self.builder.whole((sign, tree));
        let from = self.over_trees(&node);
        self.join(from, to, PRODUCT);
        // The tree itself and not another node of its class: both sides have the same polynomial.
        if let (true, Some(top)) = (sign < 0.0, top) {
            self.move_sign(to, tree, top);
        }
    }

    /// -(a / b) is (-a) / b and a / (-b), where that negation is there already: whichever way a text is
    /// written, it can share it.
    fn move_sign(&mut self, whole: Id, tree: Id, top: Expr) {
        let egraph = &*self.builder.egraph;
        let (op, operands) = match top {
            Expr::Binary(op @ (Binary::Mul | Binary::Div), operands)
                if egraph.lookup(top) == Some(egraph.find(tree)) =>
            {
                (op, operands)
            }
            _ => return,
        };
        for place in 0..operands.len() {
            let negated = Expr::Unary(Unary::Neg, [operands[place]]);
            if self.builder.egraph.lookup(negated).is_some() {
                let mut moved = operands;
                moved[place] = self.builder.node(negated);
                let to = self.builder.node(Expr::Binary(op, moved));
                self.join(whole, to, PRODUCT);
            }
        }
    }

    /// The node over the canonical trees of its operands.
    fn over_trees(&mut self, node: &Expr) -> Id {
        let mut node = *node;
        for place in node.children_mut() {
            let tree = self.builder.tree(*place);
            *place = self.builder.whole(tree);
        }
        self.builder.node(node)
    }

    /// Two or more exponentials among the factors become one.
    fn gather_exponentials(&mut self, id: Id) {
        let product = self.builder.forms.product(id);
        let exps: Vec<(Id, i32, f64, Id)> = product
            .powers
            .iter()
            .filter_map(|(atom, p)| {
                exponent(self.builder.egraph, *atom).map(|(s, u)| (*atom, *p, s, u))
            })
            .collect();
        let count: i32 = exps.iter().map(|e| e.1.abs()).sum();
        let single = count < 2 && exps.iter().all(|e| e.1 == 1);
        if single || !self.builder.forms.product_node.contains_key(&id) {
            return;
        }
        let mut total = Sum::default();
        let mut rest = product.clone();
        let mut separate: Vec<(Signed, i32)> = Vec::new();
        for (atom, power, sign, operand) in &exps {
            let u = self.builder.forms.sum(*operand);
            let Some(next) = total.plus(f64::from(*power), &u) else { return };
            total = next;
            rest.powers.remove(atom);
            let tree = self.builder.tree(*operand);
            let tree = self.builder.whole(tree);
            let exp = self.builder.node(Expr::Unary(Unary::Exp, [tree]));
            separate.push(((*sign, exp), *power));
        }
        let from = self.builder.product_over(&rest, &separate);
        let joined = self.builder.sum_tree(&total);
        let joined = self.builder.whole(joined);
        let exp = self.builder.node(Expr::Unary(Unary::Exp, [joined]));
        let negative = exps.iter().filter(|e| e.2 < 0.0 && e.1 % 2 != 0).count();
        let sign = if negative % 2 == 0 { 1.0 } else { -1.0 };
        let to = self.builder.product_over(&rest, &[((sign, exp), 1)]);
        let (from, to) = (self.builder.whole(from), self.builder.whole(to));
        self.join(from, to, PRODUCT);
    }

    /// An exponential that can overflow is put beside the product of the other factors.
    fn part_overflow(&mut self, id: Id) {
        let product = self.builder.forms.product(id);
        if !self.builder.forms.product_node.contains_key(&id) || product.powers.len() < 2 {
            return;
        }
        let egraph = &*self.builder.egraph;
        let large = product.powers.iter().find(|(atom, p)| {
            let hi = egraph[**atom].data.practical.hi;
            **p == 1 && hi > f64::from(f32::MAX) && exponent(egraph, **atom).is_some()
        });
        let Some(large) = large.map(|(atom, _)| *atom) else { return };
        let mut rest = product.clone();
        rest.powers.remove(&large);
        let rest = self.builder.product_tree(&rest);
        let rest = self.builder.whole(rest);
        let from = self.builder.product_tree(&product);
        let from = self.builder.whole(from);
        let to = self.builder.node(mul(large, rest));
        self.join(from, to, PRODUCT);
    }

    /// A choice with a branch 0, a mask of a gradient, is put beside the product of the other factors.
    fn part_choice(&mut self, id: Id) {
        let product = self.builder.forms.product(id);
        if !self.builder.forms.product_node.contains_key(&id) || product.powers.len() < 2 {
            return;
        }
        let egraph = &*self.builder.egraph;
        let zero = |id: Id| egraph[id].data.constant == Some(0.0);
        let masks = |atom: Id| {
            egraph[atom].nodes.iter().any(|n| match n {
                Expr::Select([_, a, b]) => zero(*a) || zero(*b),
                _ => false,
            })
        };
        let mask = product.powers.iter().find(|(atom, p)| **p == 1 && masks(**atom));
        let Some(mask) = mask.map(|(atom, _)| *atom) else { return };
        let mut rest = product.clone();
        rest.powers.remove(&mask);
        let rest = self.builder.product_tree(&rest);
        let rest = self.builder.whole(rest);
        let from = self.builder.product_tree(&product);
        let from = self.builder.whole(from);
        let to = self.builder.node(mul(mask, rest));
        self.join(from, to, PRODUCT);
    }

    /// Two choices by one condition are put side by side.
    fn meet_choices(&mut self, id: Id) {
        if !self.builder.forms.sum_node.contains_key(&id) {
            return;
        }
        let sum = self.builder.forms.sum(id);
        let condition = |atom: Id| {
            let egraph = &*self.builder.egraph;
            egraph[atom].nodes.iter().find_map(|n| match n {
                Expr::Select([c, _, _]) => Some(egraph.find(*c)),
                _ => None,
            })
        };
        let choices: Vec<(Id, f64, Id)> = sum
            .terms
            .iter()
            .filter(|(_, k)| k.abs() == 1.0)
            .filter_map(|(atom, k)| condition(*atom).map(|c| (*atom, *k, c)))
            .collect();
        for (i, (a, k, c)) in choices.iter().enumerate() {
            for (b, l, d) in &choices[i + 1..] {
                if c != d {
                    continue;
                }
                let mut rest = sum.clone();
                rest.terms.remove(a);
                rest.terms.remove(b);
                let pair = self.builder.node(if k == l { add(*a, *b) } else { sub(*a, *b) });
                self.split(&sum, &rest, *k, pair);
            }
        }
    }

    /// Inside an exponential, softplus(p - q) stands as logaddexp(p, q) - q where that logaddexp is there:
    /// it may cancel.
    fn expand_exponent(&mut self, id: Id) {
        if !self.exponents.contains(&id) || !self.builder.forms.sum_node.contains_key(&id) {
            return;
        }
        let sum = self.builder.forms.sum(id);
        for (atom, k) in sum.terms.clone() {
            for y in operands_of(self.builder.egraph, atom, Unary::Softplus) {
                let Some((whole, summand)) = self.logaddexp_behind(y) else { continue };
                let mut rest = sum.clone();
                rest.terms.remove(&atom);
                let minus = self.builder.forms.sum(summand);
                let expanded =
                    rest.plus(k, &Sum::atom(whole)).and_then(|total| total.plus(-k, &minus));
                let Some(expanded) = expanded else { continue };
                let tree = self.builder.tree(summand);
                let tree = self.builder.whole(tree);
                let pair = self.builder.node(sub(whole, tree));
                let from = self.split_tree(&rest, k, pair);
                let to = self.builder.sum_tree(&expanded);
                let to = self.builder.whole(to);
                self.join(from, to, SUM);
            }
        }
    }

    /// x - (-y) is x + y in a class that is a function as well: it has no normal form as a sum.
    fn add_negation(&mut self, id: Id) {
        if self.builder.forms.sum(id) != Sum::atom(id) {
            return;
        }
        let egraph = &*self.builder.egraph;
        let negated = |b: &Id| {
            egraph[*b].nodes.iter().filter_map(|n| match n {
                Expr::Unary(Unary::Neg, [y]) => Some(egraph.find(*y)),
                _ => None,
            })
        };
        let pairs: BTreeSet<(Id, Id)> = egraph[id]
            .nodes
            .iter()
            .filter_map(|n| match n {
                Expr::Binary(Binary::Sub, [x, b]) => Some((egraph.find(*x), negated(b).min()?)),
                _ => None,
            })
            .collect();
        for (x, y) in pairs {
            let minus = self.builder.node(Expr::Unary(Unary::Neg, [y]));
            let from = self.builder.node(sub(x, minus));
            let to = self.builder.node(add(x, y));
            self.join(from, to, SUM);
        }
    }

    /// A class of logaddexp(p, q) with p - q = y, and q.
    fn logaddexp_behind(&self, y: Id) -> Option<(Id, Id)> {
        let wanted = self.builder.forms.sum(y);
        let egraph = &*self.builder.egraph;
        for id in class_ids(egraph) {
            for node in &egraph[id].nodes {
                let Expr::Binary(Binary::LogAddExp, [p, q]) = node else { continue };
                for (p, q) in [(p, q), (q, p)] {
                    let (p, q) = (egraph.find(*p), egraph.find(*q));
                    let minus = self.builder.forms.sum(q);
                    if self.builder.forms.sum(p).plus(-1.0, &minus).as_ref() == Some(&wanted) {
                        return Some((id, q));
                    }
                }
            }
        }
        None
    }

    /// Where a sum holds a function and minus what that function nearly is, puts the two side by side, for
    /// the rules that know their difference.
    fn meet_partners(&mut self, id: Id) {
        if !self.builder.forms.sum_node.contains_key(&id) {
            return;
        }
        let sum = self.builder.forms.sum(id);
        for (atom, k) in sum.terms.clone() {
            let egraph = &*self.builder.egraph;
            let softplus = operands_of(egraph, atom, Unary::Softplus);
            let mut partners = softplus.clone();
            for node in &egraph[atom].nodes {
                if let Expr::Binary(Binary::LogAddExp, [a, b]) = node {
                    partners.extend([egraph.find(*a), egraph.find(*b)]);
                }
            }
            for partner in partners {
                self.meet(&sum, atom, k, partner);
            }
            for y in softplus {
                self.meet_infinity(&sum, atom, k, y);
            }
        }
    }

    /// k f - k y + rest, with y the operand that f follows, becomes rest + k (f - y).
    fn meet(&mut self, sum: &Sum, atom: Id, k: f64, partner: Id) {
        let y = self.builder.forms.sum(partner);
        let held = |(i, c): (&Id, &f64)| {
            exact_product(-k, *c).is_some_and(|c| sum.terms.get(i) == Some(&c))
        };
        let constant = y.constant == 0.0 || sum.constant == -k * y.constant;
        if y.terms.is_empty() || !y.terms.iter().all(held) || !constant {
            return;
        }
        let Some(mut rest) = sum.plus(k, &y) else { return };
        rest.terms.remove(&atom);
        let f = self.builder.tree(atom);
        let y = self.builder.tree(partner);
        let (f, y) = (self.builder.whole(f), self.builder.whole(y));
        let pair = self.builder.node(sub(f, y));
        self.split(sum, &rest, k, pair);
    }

    /// k L + k softplus(y) + rest, with -L inside y and L possibly -inf, becomes
    /// rest + k (L + softplus(y)).
    fn meet_infinity(&mut self, sum: &Sum, atom: Id, k: f64, y: Id) {
        let inside = self.builder.forms.sum(y);
        let found = sum.terms.iter().find(|(l, c)| {
            **c == k
                && inside.terms.get(l) == Some(&-1.0)
                && self.builder.egraph[**l].data.interval.contains(f64::NEG_INFINITY)
        });
        let Some(l) = found.map(|(l, _)| *l) else { return };
        let mut rest = sum.clone();
        rest.terms.remove(&atom);
        rest.terms.remove(&l);
        let f = self.builder.tree(atom);
        let l = self.builder.tree(l);
        let (f, l) = (self.builder.whole(f), self.builder.whole(l));
        let pair = self.builder.node(add(l, f));
        self.split(sum, &rest, k, pair);
    }

    /// Joins a sum to rest + k pair. The sum is that which both were read from: by now its class may be joined to
    /// another one with another sum.
    fn split(&mut self, sum: &Sum, rest: &Sum, k: f64, pair: Id) {
        let from = self.builder.sum_tree(sum);
        let from = self.builder.whole(from);
        let to = self.split_tree(rest, k, pair);
        self.join(from, to, SUM);
    }

    /// rest + k pair.
    fn split_tree(&mut self, rest: &Sum, k: f64, pair: Id) -> Id {
        let scaled = if k.abs() == 1.0 {
            pair
        } else {
            let c = self.builder.number(k.abs());
            self.builder.node(mul(c, pair))
        };
        if *rest == Sum::default() {
            return self.builder.whole((k.signum(), scaled));
        }
        let rest = self.builder.sum_tree(rest);
        let rest = self.builder.whole(rest);
        self.builder.node(if k < 0.0 { sub(rest, scaled) } else { add(rest, scaled) })
    }
}
