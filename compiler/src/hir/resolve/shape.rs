//! The shape of an example: responses, and columns beside them.

use super::header::interval;
use super::{DataColumn, Resolver};
use crate::hir::model::*;
use crate::mir::Interval;
use ponens_dsl::ast::{self, DataArg};
use ponens_dsl::{Diagnostic, suggest};
use std::collections::HashSet;

const SHAPES: [&str; 5] = ["pair", "labelled", "ranked", "trajectory", "group"];

impl<'a> Resolver<'a> {
    fn wrong_form(&mut self, d: &ast::Data, form: &str) -> Option<DataShape> {
        self.error(
            Diagnostic::error("E0203", format!("`{}` data are written `{form}`", d.shape.text))
                .at(d.span, "not of that form")
                .help(format!("write `data {form}`")),
        );
        None
    }

    pub(super) fn data_shape(&mut self, d: &'a ast::Data) -> Option<DataShape> {
        match d.shape.text.as_str() {
            "pair" => self.pair(d),
            "labelled" => match d.args.as_slice() {
                [DataArg::Plain(y), DataArg::Plain(good)] => {
                    Some(DataShape::Labelled { response: y.text.clone(), label: good.text.clone() })
                }
                _ => self.wrong_form(d, "labelled(y, good)"),
            },
            "ranked" => self.responses(d, "ranked(y[K], score[K])").map(DataShape::Ranked),
            "group" => self.responses(d, "group(y[G], reward[G])").map(DataShape::Group),
            "trajectory" => self.trajectory(d),
            other => {
                let e = Diagnostic::error("E0203", format!("there is no data shape `{other}`"))
                    .at(d.shape.span, "unknown shape");
                let e = match suggest::closest(other, SHAPES) {
                    Some(s) => e.help(format!("did you mean `{s}`?")),
                    None => e.help("shapes are pair, labelled, ranked, trajectory and group"),
                };
                self.error(e);
                None
            }
        }
    }

    fn pair(&mut self, d: &'a ast::Data) -> Option<DataShape> {
        let form = "pair(w > l, other)";
        let [DataArg::Ordered(w, l), rest @ ..] = d.args.as_slice() else {
            return self.wrong_form(d, "pair(w > l)");
        };
        let mut others = Vec::new();
        for a in rest {
            match a {
                DataArg::Plain(n) => others.push(n.text.clone()),
                _ => return self.wrong_form(d, form),
            }
        }
        let names = [w, l].into_iter().map(|n| &n.text).chain(&others);
        let mut seen: HashSet<&String> = HashSet::new();
        for n in names {
            if !seen.insert(n) {
                let what = if w.text == l.text {
                    "a response is not preferred to itself"
                } else {
                    "two responses have one name"
                };
                let (d, n) = (d.span, n.clone());
                self.error(
                    Diagnostic::error("E0102", what)
                        .at(if w.text == l.text { l.span } else { d }, format!("`{n}` again"))
                        .help("give each response a name of its own"),
                );
                return None;
            }
        }
        Some(DataShape::Pair { winner: w.text.clone(), loser: l.text.clone(), others })
    }

    /// `y[K], score[K], difficulty`
    fn responses(&mut self, d: &'a ast::Data, form: &str) -> Option<Family> {
        let [DataArg::Family(y, k), rest @ ..] = d.args.as_slice() else {
            self.wrong_form(d, form);
            return None;
        };
        let mut family = Family {
            response: y.text.clone(),
            size: k.text.clone(),
            columns: Vec::new(),
            numbers: Vec::new(),
        };
        for a in rest {
            match a {
                DataArg::Family(n, size) if size.text == k.text => {
                    self.given(n, Some(Loop::Candidates));
                    family.columns.push(n.text.clone());
                }
                DataArg::Plain(n) => {
                    self.given(n, None);
                    family.numbers.push(n.text.clone());
                }
                _ => {
                    self.wrong_form(d, form);
                    return None;
                }
            }
        }
        Some(family)
    }

    /// `y, reward` or `y[T], reward, advantage[T]`
    fn trajectory(&mut self, d: &'a ast::Data) -> Option<DataShape> {
        let form = "trajectory(y, reward), or trajectory(y[T], reward, mask[T])";
        let (y, size) = match d.args.first() {
            Some(DataArg::Plain(y)) => (y, None),
            Some(DataArg::Family(y, t)) => (y, Some(t.text.clone())),
            _ => return self.wrong_form(d, form),
        };
        let (mut numbers, mut tokens) = (Vec::new(), Vec::new());
        for a in &d.args[1..] {
            match a {
                DataArg::Plain(n) => {
                    self.given(n, None);
                    numbers.push(n.text.clone());
                }
                DataArg::Family(n, t) if size.as_ref() == Some(&t.text) => {
                    self.given(n, Some(Loop::Tokens(0)));
                    tokens.push(n.text.clone());
                }
                _ => return self.wrong_form(d, form),
            }
        }
        Some(DataShape::Trajectory { response: y.text.clone(), size, numbers, tokens })
    }

    /// A column that the data shape brings along.
    fn given(&mut self, name: &'a ast::Name, of: Option<Loop>) {
        self.claim(name);
        let column = DataColumn { range: Interval::REAL, of, of_shape: true };
        self.data_columns.insert(name.text.clone(), column);
    }

    /// `column margin in [0, 1]` or `column mask[w]`
    pub(super) fn data_column(
        &mut self,
        name: &'a ast::Name,
        of: Option<&'a ast::Name>,
        range: Option<&ast::Range>,
    ) {
        let mut inner = None;
        if let Some(of) = of {
            inner = self.tokens_of(&of.text).or_else(|| self.size_name(&of.text));
            if inner.is_none() {
                let known = self.shape.as_ref().map(|s| s.responses().join(", "));
                let d =
                    Diagnostic::error("E0203", format!("this loss has no response `{}`", of.text))
                        .at(of.span, "not a response");
                self.error(match known {
                    Some(known) => d.help(format!(
                        "`column {}[y]` has one number a token of the response y; the responses \
                         are {known}",
                        name.text
                    )),
                    None => d,
                });
            }
        }
        // A column of the data shape may be declared once more, with its range.
        let known = self.data_columns.get(&name.text).copied();
        let redeclared = known.is_some_and(|k| k.of_shape) && of.is_none();
        if !redeclared {
            self.claim(name);
        }
        let of = if redeclared { known.and_then(|k| k.of) } else { inner };
        let range = range.map_or(Interval::REAL, interval);
        self.data_columns.insert(name.text.clone(), DataColumn { range, of, of_shape: false });
    }
}
