//! Terms outside the e-graph: what a derivation speaks of, and the patterns of rules.
//!
//! Why: the checker of derivations must not use the e-graph that it checks. In: rule text, egg's
//! expressions. Out: [`Term`], which shares equal parts, and [`Pattern`] with matching. Invariant: a
//! node's own operand ids mean nothing; the operands are `args`.

use super::language::Expr;
use egg::{ENodeOrVar, Id, Language, PatternAst, RecExpr, Var};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A term: an operator and its operands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// The operator; its own operand ids are all 0.
    pub op: Expr,
    /// The operands.
    pub args: Vec<Arc<Term>>,
}

impl Term {
    /// A term from an operator and operands.
    pub fn new(op: &Expr, args: Vec<Arc<Term>>) -> Arc<Term> {
        Arc::new(Term { op: op.operator(), args })
    }

    /// A constant.
    pub fn constant(value: f64) -> Arc<Term> {
        Term::new(&Expr::constant(value), Vec::new())
    }

    /// The term at the last place of an expression.
    pub fn from_expr(expr: &RecExpr<Expr>) -> Arc<Term> {
        let mut built: Vec<Arc<Term>> = Vec::with_capacity(expr.len());
        for node in expr {
            let args = node.children().iter().map(|c| built[usize::from(*c)].clone()).collect();
            built.push(Term::new(node, args));
        }
        // egg's expressions have at least one node; an empty one would be the number 0.
        built.pop().unwrap_or_else(|| Term::constant(0.0))
    }

    /// The term as an expression of egg, each distinct part once.
    pub fn to_expr(self: &Arc<Term>) -> RecExpr<Expr> {
        let mut expr = RecExpr::default();
        let mut seen = BTreeMap::new();
        self.push_into(&mut expr, &mut seen);
        expr
    }

    fn push_into(
        self: &Arc<Term>,
        expr: &mut RecExpr<Expr>,
        seen: &mut BTreeMap<Arc<Term>, Id>,
    ) -> Id {
        if let Some(id) = seen.get(self) {
            return *id;
        }
        let args: Vec<Id> = self.args.iter().map(|a| a.push_into(expr, seen)).collect();
        let id = expr.add(with_children(&self.op, &args));
        seen.insert(self.clone(), id);
        id
    }

    /// The part at a path of operand places.
    pub fn at(self: &Arc<Term>, path: &[usize]) -> Option<&Arc<Term>> {
        match path {
            [] => Some(self),
            [first, rest @ ..] => self.args.get(*first)?.at(rest),
        }
    }

    /// The term with the part at a path replaced.
    pub fn replace(self: &Arc<Term>, path: &[usize], part: &Arc<Term>) -> Option<Arc<Term>> {
        match path {
            [] => Some(part.clone()),
            [first, rest @ ..] => {
                let mut args = self.args.clone();
                let new = args.get(*first)?.replace(rest, part)?;
                args[*first] = new;
                Some(Arc::new(Term { op: self.op, args }))
            }
        }
    }
}

/// A node with these operands, as many as it has places.
pub(super) fn with_children(op: &Expr, children: &[Id]) -> Expr {
    let mut node = *op;
    for (place, id) in node.children_mut().iter_mut().zip(children) {
        *place = *id;
    }
    node
}

/// A term with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Stands for any term.
    Var(Var),
    /// An operator and the patterns of its operands.
    Node(Expr, Vec<Pattern>),
}

/// What the variables stand for.
pub(super) type Bindings = BTreeMap<Var, Arc<Term>>;

impl Pattern {
    /// Reads rule text: `(log (exp ?x))`. The error names the word.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let ast: egg::Pattern<Expr> = text.parse().map_err(|e| format!("{text}: {e}"))?;
        let root = ast.ast.len().checked_sub(1).ok_or_else(|| "empty pattern".to_owned())?;
        Ok(Pattern::from_ast(&ast.ast, root))
    }

    fn from_ast(ast: &PatternAst<Expr>, at: usize) -> Pattern {
        match &ast[Id::from(at)] {
            ENodeOrVar::Var(v) => Pattern::Var(*v),
            ENodeOrVar::ENode(node) => {
                let args = node.children().iter().map(|c| Pattern::from_ast(ast, usize::from(*c)));
                Pattern::Node(node.operator(), args.collect())
            }
        }
    }

    /// The pattern for egg.
    pub(super) fn to_egg(&self) -> egg::Pattern<Expr> {
        let mut ast = PatternAst::default();
        self.push_into(&mut ast);
        egg::Pattern::new(ast)
    }

    fn push_into(&self, ast: &mut PatternAst<Expr>) -> Id {
        match self {
            Pattern::Var(v) => ast.add(ENodeOrVar::Var(*v)),
            Pattern::Node(op, args) => {
                let args: Vec<Id> = args.iter().map(|a| a.push_into(ast)).collect();
                ast.add(ENodeOrVar::ENode(with_children(op, &args)))
            }
        }
    }

    /// The pattern in every order of its commutative operands, duplicates by renaming left out.
    pub(super) fn orders(&self) -> Vec<Pattern> {
        let mut out: Vec<Pattern> = Vec::new();
        for candidate in self.all_orders() {
            if !out.iter().any(|p| p.renames_to(&candidate)) {
                out.push(candidate);
            }
        }
        out
    }

    fn all_orders(&self) -> Vec<Pattern> {
        let Pattern::Node(op, args) = self else { return vec![self.clone()] };
        let mut lists: Vec<Vec<Pattern>> = vec![Vec::new()];
        for arg in args {
            let orders = arg.all_orders();
            lists = lists
                .iter()
                .flat_map(|list| {
                    orders.iter().map(move |o| {
                        let mut longer = list.clone();
                        longer.push(o.clone());
                        longer
                    })
                })
                .collect();
        }
        if op.is_commutative() {
            let swapped: Vec<Vec<Pattern>> =
                lists.iter().map(|l| l.iter().rev().cloned().collect()).collect();
            lists.extend(swapped);
        }
        lists.into_iter().map(|args| Pattern::Node(*op, args)).collect()
    }

    fn renames_to(&self, other: &Pattern) -> bool {
        fn go(a: &Pattern, b: &Pattern, map: &mut BTreeMap<Var, Var>) -> bool {
            match (a, b) {
                (Pattern::Var(x), Pattern::Var(y)) => {
                    let free = !map.values().any(|v| v == y);
                    match map.get(x) {
                        Some(v) => v == y,
                        None => free && map.insert(*x, *y).is_none(),
                    }
                }
                (Pattern::Node(f, xs), Pattern::Node(g, ys)) => {
                    f == g && xs.iter().zip(ys).all(|(x, y)| go(x, y, map))
                }
                _ => false,
            }
        }
        go(self, other, &mut BTreeMap::new())
    }

    /// The bindings under which the pattern is this term.
    pub(super) fn matches(&self, term: &Arc<Term>) -> Option<Bindings> {
        let mut bindings = Bindings::new();
        self.match_into(term, &mut bindings).then_some(bindings)
    }

    fn match_into(&self, term: &Arc<Term>, bindings: &mut Bindings) -> bool {
        match self {
            Pattern::Var(v) => match bindings.get(v) {
                Some(bound) => bound == term,
                None => bindings.insert(*v, term.clone()).is_none(),
            },
            Pattern::Node(op, args) => {
                *op == term.op
                    && args.iter().zip(&term.args).all(|(p, t)| p.match_into(t, bindings))
            }
        }
    }

    /// The term under bindings; `None` where a variable is unbound.
    pub(super) fn instantiate(&self, bindings: &Bindings) -> Option<Arc<Term>> {
        match self {
            Pattern::Var(v) => bindings.get(v).cloned(),
            Pattern::Node(op, args) => {
                let args: Option<Vec<_>> = args.iter().map(|a| a.instantiate(bindings)).collect();
                Some(Term::new(op, args?))
            }
        }
    }

    /// The variables, each once, in order of appearance.
    #[cfg(test)]
    pub(super) fn vars(&self) -> Vec<Var> {
        let mut out = Vec::new();
        self.collect_vars(&mut out);
        out
    }

    #[cfg(test)]
    fn collect_vars(&self, out: &mut Vec<Var>) {
        match self {
            Pattern::Var(v) if !out.contains(v) => out.push(*v),
            Pattern::Var(_) => {}
            Pattern::Node(_, args) => args.iter().for_each(|a| a.collect_vars(out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_leave_out_renamings() {
        let count = |text: &str| Pattern::parse(text).expect("parses").orders().len();
        assert_eq!(count("(+ (exp ?a) (exp ?b))"), 1);
        assert_eq!(count("(+ 1 (exp ?x))"), 2);
        assert_eq!(count("(- ?x (+ ?x ?y))"), 2);
        assert_eq!(count("(log (- 1 ?x))"), 1);
    }

    #[test]
    fn parts_are_found_and_replaced() {
        let term = Term::from_expr(&"(log (exp x0))".parse().expect("parses"));
        let x = Term::from_expr(&"x0".parse().expect("parses"));
        assert_eq!(term.at(&[0, 0]), Some(&x));
        assert_eq!(term.at(&[1]), None);
        let new = term.replace(&[0], &x).expect("a place");
        assert_eq!(new.to_expr().to_string(), "(log x0)");
    }
}
