//! Normal forms of sums and products inside the e-graph.
//!
//! Why: associativity and commutativity as rules multiply the nodes and regroup sums of log-probabilities
//! into inexact ones. Instead every class gets one sum, `constant + sum of coefficient * class`, and
//! one product, `coefficient * product of class^power`, read off its nodes; from these one tree is
//! built, the same however the terms were written, and joined to the class. In: the e-graph. Out:
//! [`Forms`]. Invariants:
//! * coefficients are exact, or the node is taken as an atom;
//! * a class that a proper function computes (a sigmoid, an exponential, ..) is an atom, so that
//!   1 - sigmoid(x) never comes back from sigmoid(-x).

use super::analysis::Egraph;
use super::exact::{exact_product, exact_quotient, exact_sum};
use super::language::Expr;
use crate::mir::{Binary, Level, Unary};
use egg::Id;
use std::collections::BTreeMap;

/// constant + sum of coefficient * class. No coefficient is 0.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Sum {
    pub(super) constant: f64,
    pub(super) terms: BTreeMap<Id, f64>,
}

impl Sum {
    pub(super) fn atom(id: Id) -> Sum {
        Sum { constant: 0.0, terms: BTreeMap::from([(id, 1.0)]) }
    }

    /// The class, where the sum is just that.
    pub(super) fn as_atom(&self) -> Option<Id> {
        let (id, c) = self.terms.first_key_value()?;
        (self.terms.len() == 1 && *c == 1.0 && self.constant == 0.0).then_some(*id)
    }

    /// `self + factor * other`; `None` where a coefficient is not exact.
    pub(super) fn plus(&self, factor: f64, other: &Sum) -> Option<Sum> {
        let mut out = self.clone();
        out.constant = exact_sum(out.constant, exact_product(factor, other.constant)?)?;
        for (id, c) in &other.terms {
            out.add_term(*id, exact_product(factor, *c)?)?;
        }
        Some(out)
    }

    pub(super) fn add_term(&mut self, id: Id, coefficient: f64) -> Option<()> {
        let sum = exact_sum(self.terms.get(&id).copied().unwrap_or(0.0), coefficient)?;
        if sum == 0.0 {
            self.terms.remove(&id);
        } else {
            self.terms.insert(id, sum);
        }
        Some(())
    }
}

/// coefficient * product of class^power. No power is 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    pub(super) coefficient: f64,
    pub(super) powers: BTreeMap<Id, i32>,
}

/// Powers beyond this are left as they are written.
const LARGEST_POWER: i32 = 8;

impl Product {
    pub(super) fn one() -> Product {
        Product { coefficient: 1.0, powers: BTreeMap::new() }
    }

    pub(super) fn atom(id: Id) -> Product {
        Product { coefficient: 1.0, powers: BTreeMap::from([(id, 1)]) }
    }

    /// `self * other^power` for a power of 1 or -1; `None` where it is not exact or a power grows too large.
    pub(super) fn times(&self, other: &Product, power: i32) -> Option<Product> {
        let coefficient = if power < 0 {
            exact_quotient(self.coefficient, other.coefficient)?
        } else {
            exact_product(self.coefficient, other.coefficient)?
        };
        let mut powers = self.powers.clone();
        for (id, p) in &other.powers {
            let sum = powers.get(id).copied().unwrap_or(0) + power * p;
            if sum.abs() > LARGEST_POWER {
                return None;
            }
            if sum == 0 {
                powers.remove(id);
            } else {
                powers.insert(*id, sum);
            }
        }
        Some(Product { coefficient, powers })
    }
}

/// The forms of every class of an e-graph, read at one moment.
#[derive(Debug, Default)]
pub(super) struct Forms {
    sums: BTreeMap<Id, Sum>,
    products: BTreeMap<Id, Product>,
    /// The node that each form was read from, where it is not an atom.
    pub(super) sum_node: BTreeMap<Id, Expr>,
    pub(super) product_node: BTreeMap<Id, Expr>,
    readings: usize,
}

/// True where the class is computed by a proper function: it is never taken apart.
pub(super) fn is_proper(egraph: &Egraph, id: Id) -> bool {
    let functions = |id: Id| egraph[id].nodes.iter().filter(|n| is_function(egraph, n));
    // -log1mexp(a) is a softplus as well: the negation shows the term that sums share.
    let only_softplus = functions(id).all(|n| matches!(n, Expr::Unary(Unary::Softplus, _)));
    let negates = |n: &Expr| match n {
        Expr::Unary(Unary::Neg, [a]) => functions(egraph.find(*a)).next().is_some(),
        _ => false,
    };
    functions(id).next().is_some() && !(only_softplus && egraph[id].nodes.iter().any(negates))
}

fn is_function(egraph: &Egraph, node: &Expr) -> bool {
    match node {
        Expr::Const(_) => false,
        Expr::Unary(Unary::Neg | Unary::Log | Unary::Log1p, _) => false,
        // Of an atom it is the log-probability of a negation; of anything else some other function is meant.
        Expr::Unary(Unary::Log1mExp, [a]) => egraph[*a].data.rational,
        Expr::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Div, _) => false,
        _ => true,
    }
}

/// How far up its path a reading was cut off because a class recurred; `WHOLE` where it was not. A form
/// that was cut off above its own class holds on that path only.
type Cut = usize;
const WHOLE: Cut = usize::MAX;

/// Readings after which cut-off forms are kept as well, so that circles cannot multiply the work.
const MOST_READINGS: usize = 20_000;

impl Forms {
    /// The forms of all classes.
    pub(super) fn read(egraph: &Egraph) -> Forms {
        let mut forms = Forms::default();
        let mut ids: Vec<Id> = egraph.classes().map(|c| c.id).collect();
        ids.sort_unstable();
        for id in ids {
            forms.read_sum(egraph, id, &mut Vec::new());
            forms.read_product(egraph, id, &mut Vec::new());
        }
        forms
    }

    /// The sum of a class, which must be canonical.
    pub(super) fn sum(&self, id: Id) -> Sum {
        self.sums.get(&id).cloned().unwrap_or_else(|| Sum::atom(id))
    }

    /// The product of a class, which must be canonical.
    pub(super) fn product(&self, id: Id) -> Product {
        self.products.get(&id).cloned().unwrap_or_else(|| Product::atom(id))
    }

    fn keeps(&mut self, cut: Cut, depth: usize) -> bool {
        self.readings += 1;
        cut >= depth || self.readings > MOST_READINGS
    }

    fn read_sum(&mut self, egraph: &Egraph, id: Id, open: &mut Vec<Id>) -> (Sum, Cut) {
        if let Some(known) = self.sums.get(&id) {
            return (known.clone(), WHOLE);
        }
        // A class on its own path is an atom there.
        if let Some(place) = open.iter().position(|o| *o == id) {
            return (Sum::atom(id), place);
        }
        let depth = open.len();
        let constant = egraph[id].data.constant;
        let mut best: Option<(Sum, Expr)> = None;
        let mut cut = WHOLE;
        if constant.is_none() && !is_proper(egraph, id) {
            open.push(id);
            for node in sorted_nodes(egraph, id) {
                let Some((sum, c)) = self.sum_of_node(egraph, id, &node, open) else { continue };
                cut = cut.min(c);
                if sum.terms.contains_key(&id) {
                    continue;
                }
                let better =
                    best.as_ref().is_none_or(|(b, _)| measure(egraph, &sum) < measure(egraph, b));
                if better {
                    best = Some((sum, node));
                }
            }
            open.pop();
        }
        let (sum, node) = match (constant, best) {
            (Some(c), _) => (Sum { constant: c, terms: BTreeMap::new() }, None),
            (None, Some((sum, node))) => (sum, Some(node)),
            (None, None) => (Sum::atom(id), None),
        };
        if self.keeps(cut, depth) {
            self.sums.insert(id, sum.clone());
            if let Some(node) = node {
                self.sum_node.insert(id, node);
            }
            cut = WHOLE;
        }
        (sum, cut)
    }

    /// Of a class and its negation, each a node of the other, one is the one that both are made of: that
    /// with other nodes, else the positive one at the generic point.
    fn is_made_of_negation(egraph: &Egraph, id: Id, other: Id) -> bool {
        let negates =
            |n: &Expr, id: Id| matches!(n, Expr::Unary(Unary::Neg, [a]) if egraph.find(*a) == id);
        let mutual = egraph[other].nodes.iter().any(|n| negates(n, id));
        let has_own = |of: Id, not: Id| {
            egraph[of].nodes.iter().any(|n| {
                !negates(n, not) && !matches!(n, Expr::Unary(Unary::Log | Unary::Log1p, _))
            })
        };
        if !mutual || !has_own(id, other) {
            return true;
        }
        let sums = |of: Id| {
            let sum = |n: &Expr| matches!(n, Expr::Binary(Binary::Add | Binary::Sub, _));
            egraph[of].nodes.iter().any(sum)
        };
        has_own(other, id) && !sums(id) && egraph[id].data.print < 0.0
    }

    fn sum_of_node(
        &mut self,
        egraph: &Egraph,
        id: Id,
        node: &Expr,
        open: &mut Vec<Id>,
    ) -> Option<(Sum, Cut)> {
        let of = |id: Id| egraph.find(id);
        let constant = |id: Id| egraph[of(id)].data.constant;
        let (operands, factors) = match *node {
            Expr::Unary(Unary::Neg, [a]) if Forms::is_made_of_negation(egraph, id, of(a)) => {
                (vec![a], vec![-1.0])
            }
            Expr::Binary(Binary::Add, [a, b]) => (vec![a, b], vec![1.0, 1.0]),
            Expr::Binary(Binary::Sub, [a, b]) => (vec![a, b], vec![1.0, -1.0]),
            Expr::Binary(Binary::Mul, [a, b]) => match (constant(a), constant(b)) {
                (Some(c), _) => (vec![b], vec![c]),
                (_, Some(c)) => (vec![a], vec![c]),
                _ => return None,
            },
            Expr::Binary(Binary::Div, [a, b]) => {
                (vec![a], vec![exact_quotient(1.0, constant(b)?)?])
            }
            _ => return None,
        };
        let (mut sum, mut cut) = (Sum::default(), WHOLE);
        for (operand, factor) in operands.into_iter().zip(factors) {
            let (part, c) = self.read_sum(egraph, of(operand), open);
            sum = sum.plus(factor, &part)?;
            cut = cut.min(c);
        }
        Some((sum, cut))
    }

    fn read_product(&mut self, egraph: &Egraph, id: Id, open: &mut Vec<Id>) -> (Product, Cut) {
        if let Some(known) = self.products.get(&id) {
            return (known.clone(), WHOLE);
        }
        if let Some(place) = open.iter().position(|o| *o == id) {
            return (Product::atom(id), place);
        }
        let depth = open.len();
        let constant = egraph[id].data.constant;
        let mut best: Option<(Product, Expr)> = None;
        let mut cut = WHOLE;
        let size = |p: &Product| {
            let mut prints: Vec<f64> = p.powers.keys().map(|i| egraph[*i].data.print).collect();
            prints.sort_by(f64::total_cmp);
            (p.powers.len(), prints)
        };
        if constant.is_none() && !is_proper(egraph, id) {
            open.push(id);
            for node in sorted_nodes(egraph, id) {
                let Some((product, c)) = self.product_of_node(egraph, id, &node, open) else {
                    continue;
                };
                cut = cut.min(c);
                if product.powers.contains_key(&id) {
                    continue;
                }
                if best.as_ref().is_none_or(|(b, _)| size(&product) < size(b)) {
                    best = Some((product, node));
                }
            }
            open.pop();
        }
        let (product, node) = match (constant, best) {
            (Some(c), _) if c != 0.0 => (Product { coefficient: c, powers: BTreeMap::new() }, None),
            (None, Some((product, node))) => (product, Some(node)),
            _ => (Product::atom(id), None),
        };
        if self.keeps(cut, depth) {
            self.products.insert(id, product.clone());
            if let Some(node) = node {
                self.product_node.insert(id, node);
            }
            cut = WHOLE;
        }
        (product, cut)
    }

    fn product_of_node(
        &mut self,
        egraph: &Egraph,
        id: Id,
        node: &Expr,
        open: &mut Vec<Id>,
    ) -> Option<(Product, Cut)> {
        let of = |id: Id| egraph.find(id);
        match *node {
            Expr::Unary(Unary::Neg, [a]) if Forms::is_made_of_negation(egraph, id, of(a)) => {
                let (x, cut) = self.read_product(egraph, of(a), open);
                Some((Product { coefficient: -x.coefficient, ..x }, cut))
            }
            Expr::Binary(op @ (Binary::Mul | Binary::Div), [a, b]) => {
                let (x, c) = self.read_product(egraph, of(a), open);
                let (y, d) = self.read_product(egraph, of(b), open);
                Some((x.times(&y, if op == Binary::Mul { 1 } else { -1 })?, c.min(d)))
            }
            _ => None,
        }
    }
}

fn sorted_nodes(egraph: &Egraph, id: Id) -> Vec<Expr> {
    let mut nodes = egraph[id].nodes.clone();
    nodes.sort_unstable();
    nodes
}

/// Orders the sums of one class: functions of inputs that are not field operations last, then the shorter,
/// then by value, which does not depend on the way of writing.
fn measure(egraph: &Egraph, sum: &Sum) -> (usize, usize, Vec<f64>) {
    let curved = sum.terms.keys().filter(|id| !egraph[**id].data.rational).count();
    let mut prints: Vec<f64> = sum.terms.keys().map(|id| egraph[*id].data.print).collect();
    prints.sort_by(f64::total_cmp);
    (curved, sum.terms.len() + usize::from(sum.constant != 0.0), prints)
}

/// The operand of an exponential in the class, and the sign with which it stands: `e^u` or `-e^u`.
pub(super) fn exponent(egraph: &Egraph, id: Id) -> Option<(f64, Id)> {
    let exp = |id: Id| {
        egraph[id].nodes.iter().filter_map(|n| match n {
            Expr::Unary(Unary::Exp, [u]) => Some(egraph.find(*u)),
            _ => None,
        })
    };
    let negated = egraph[id].nodes.iter().filter_map(|n| match n {
        Expr::Unary(Unary::Neg, [a]) => exp(egraph.find(*a)).min(),
        _ => None,
    });
    exp(id).min().map(|u| (1.0, u)).or_else(|| negated.min().map(|u| (-1.0, u)))
}

/// True where the class is a product of exponentials and numbers of the run.
pub(super) fn has_logarithm(egraph: &Egraph, id: Id, depth: usize) -> bool {
    if egraph[id].data.level == Level::Uniform || exponent(egraph, id).is_some() {
        return true;
    }
    depth > 0
        && egraph[id].nodes.iter().any(|n| match n {
            Expr::Unary(Unary::Neg, [a]) => has_logarithm(egraph, *a, depth - 1),
            Expr::Binary(Binary::Mul | Binary::Div, [a, b]) => {
                has_logarithm(egraph, *a, depth - 1) && has_logarithm(egraph, *b, depth - 1)
            }
            _ => false,
        })
}

/// The operands of one unary function in the class.
pub(super) fn operands_of(egraph: &Egraph, id: Id, op: Unary) -> Vec<Id> {
    let mut out: Vec<Id> = egraph[id]
        .nodes
        .iter()
        .filter_map(|n| match n {
            Expr::Unary(u, [x]) if *u == op => Some(egraph.find(*x)),
            _ => None,
        })
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}
