//! What an expression means while it is resolved: a node, and the loops that it still hangs in.
//!
//! A node alone does not say which turn of a loop it is read at: `s[i]` and `s[j]` are the same node.
//! So every value carries, for each loop, the index variable that picks its turn, or that none does yet:
//! then it is all values of the loop at once, and wants an index or a reduction.

use super::Resolver;
use crate::hir::model::*;
use ponens_dsl::{Diagnostic, Span};

/// An index variable; a number of its own each time one is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Var(pub(super) usize);

/// Which turn of each loop a value belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    pub(super) candidate: Option<Var>,
    pub(super) token: Option<Var>,
}

/// The loops whose turn is not picked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) candidates: bool,
    /// The tokens of the response with this place in the data shape.
    pub(super) tokens: Option<usize>,
}

/// A resolved expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) id: ExprId,
    pub(super) at: At,
    pub(super) open: Open,
}

impl At {
    pub(super) fn get(&self, inner: Loop) -> Option<Var> {
        match inner {
            Loop::Candidates => self.candidate,
            Loop::Tokens(_) => self.token,
        }
    }

    pub(super) fn set(&mut self, inner: Loop, var: Option<Var>) {
        match inner {
            Loop::Candidates => self.candidate = var,
            Loop::Tokens(_) => self.token = var,
        }
    }
}

impl Open {
    /// The outermost loop that wants an index.
    pub(super) fn first(&self) -> Option<Loop> {
        if self.candidates { Some(Loop::Candidates) } else { self.tokens.map(Loop::Tokens) }
    }

    pub(super) fn set(&mut self, inner: Loop, open: bool) {
        match inner {
            Loop::Candidates => self.candidates = open,
            Loop::Tokens(r) => self.tokens = open.then_some(r),
        }
    }
}

impl Value {
    /// A value of an example or an outer level.
    pub(super) fn plain(id: ExprId) -> Self {
        Self { id, at: At::default(), open: Open::default() }
    }
}

/// A variable in sight.
pub(super) struct Index<'a> {
    pub(super) name: &'a str,
    pub(super) var: Var,
}

/// What is known of a variable.
pub(super) struct VarFacts {
    pub(super) name: String,
    /// What it runs over: known from its first use as an index.
    pub(super) over: Option<Loop>,
    /// Used as a number before that was known.
    pub(super) wanted: bool,
}

impl<'a> Resolver<'a> {
    /// Binds a variable.
    pub(super) fn bind_index(&mut self, name: &'a str) -> Var {
        let var = Var(self.vars.len());
        self.vars.push(VarFacts { name: name.to_owned(), over: None, wanted: false });
        self.indices.push(Index { name, var });
        var
    }

    pub(super) fn index_in_sight(&self, name: &str) -> Option<Var> {
        self.indices.iter().rev().find(|i| i.name == name).map(|i| i.var)
    }

    /// What the loop runs over, in words.
    pub(super) fn loop_words(&self, inner: Loop) -> String {
        let name = |r: usize| {
            let of = self.shape.as_ref().map(|s| s.responses());
            of.and_then(|of| of.get(r).map(|n| (*n).to_owned())).unwrap_or_default()
        };
        match inner {
            Loop::Candidates => format!("the responses `{}`", name(0)),
            Loop::Tokens(r) => format!("the tokens of `{}`", name(r)),
        }
    }

    /// Says that a variable runs over a loop; `None` after an error.
    pub(super) fn unify(&mut self, var: Var, inner: Loop, span: Span) -> Option<()> {
        match self.vars[var.0].over {
            None => {
                self.vars[var.0].over = Some(inner);
                Some(())
            }
            Some(known) if known == inner => Some(()),
            Some(known) => {
                let name = self.vars[var.0].name.clone();
                let (known, here) = (self.loop_words(known), self.loop_words(inner));
                self.error(
                    Diagnostic::error(
                        "E0202",
                        format!("`{name}` runs over {known}, and is used for {here}"),
                    )
                    .at(span, format!("one value for each of {here}"))
                    .help("reduce the two separately: `sum(t) .. + sum(u) ..`"),
                );
                None
            }
        }
    }

    /// The turns that an expression over several values belongs to.
    pub(super) fn join(&mut self, values: &[Value], span: Span) -> Option<At> {
        let mut at = At::default();
        for v in values {
            for inner in [Loop::Candidates, Loop::Tokens(0)] {
                match (at.get(inner), v.at.get(inner)) {
                    (_, None) => {}
                    (None, var) => at.set(inner, var),
                    (Some(a), Some(b)) if a == b => {}
                    (Some(a), Some(b)) => {
                        let (a, b) = (self.vars[a.0].name.clone(), self.vars[b.0].name.clone());
                        self.error(
                            Diagnostic::error(
                                "E0202",
                                format!("this has a value for every pair of `{a}` and `{b}`"),
                            )
                            .at(span, "two variables of one loop")
                            .help(format!(
                                "reduce over `{b}` first, in an expression without `{a}`, such as \
                                 `logsumexp({b} >= {a}) s[{b}]`"
                            )),
                        );
                        return None;
                    }
                }
            }
        }
        Some(at)
    }

    /// A value of which each turn is one number; `None` after an error.
    pub(super) fn closed(&mut self, v: Value, span: Span) -> Option<Value> {
        let Some(inner) = v.open.first() else { return Some(v) };
        let (each, index) = match inner {
            Loop::Candidates => ("response", "i"),
            Loop::Tokens(_) => ("token", "t"),
        };
        self.error(
            Diagnostic::error("E0202", format!("this is one number a {each}, not one number"))
                .at(span, "a reduction is missing")
                .help(format!(
                    "pick one with an index and reduce over it: `mean({index}) ..[{index}]` or \
                     `sum({index}) ..[{index}]`"
                )),
        );
        None
    }
}
