//! Items and clauses: from what the grammar saw to nodes of the tree.
//!
//! Every function answers `None` only after a diagnostic was reported; [`checked`] holds them to it.

use pest::iterators::Pair;

use super::expr::inner_of;
use super::piece::{Piece, Rule};
use crate::ast::{
    Clause, Data, DataArg, Expr, Function, Import, Model, ModelOption, Name, Param, Range, Variant,
};
use crate::diagnostic::Diagnostic;

/// Builds the nodes of one piece.
pub(super) struct Builder<'p, 'a> {
    pub(super) piece: &'p Piece<'a>,
    diagnostics: &'p mut Vec<Diagnostic>,
}

/// The head of a loss: what stands before its body.
pub(super) struct Header {
    pub(super) name: Name,
    pub(super) params: Vec<Param>,
}

/// Reads `rule` and builds its first node with `build`.
fn checked<'p, 'a, T>(
    piece: &'p Piece<'a>,
    diagnostics: &'p mut Vec<Diagnostic>,
    rule: Rule,
    build: impl FnOnce(&mut Builder<'p, 'a>, Pair<'a, Rule>) -> Option<T>,
) -> Option<T> {
    let pair = piece.read(rule, diagnostics)?.next()?;
    let before = diagnostics.len();
    let mut builder = Builder { piece, diagnostics };
    let built = build(&mut builder, pair);
    if built.is_none() && builder.diagnostics.len() == before {
        let silent = Diagnostic::error("E0001", "this text is not understood");
        builder.report(silent.at(piece.whole_span(), "in here"));
    }
    built
}

pub(super) fn expression(piece: &Piece<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Expr> {
    checked(piece, diagnostics, Rule::expr_piece, Builder::root)
}

pub(super) fn header(piece: &Piece<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Header> {
    checked(piece, diagnostics, Rule::header_piece, Builder::header)
}

pub(super) fn variant(piece: &Piece<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Variant> {
    checked(piece, diagnostics, Rule::variant_piece, Builder::variant)
}

pub(super) fn function(piece: &Piece<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Function> {
    checked(piece, diagnostics, Rule::function_piece, Builder::function)
}

pub(super) fn clause(piece: &Piece<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Clause> {
    checked(piece, diagnostics, Rule::clause_piece, Builder::clause)
}

pub(super) fn import(piece: &Piece<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Import> {
    checked(piece, diagnostics, Rule::import_piece, |b, pair| {
        let span = b.piece.span_of(&pair);
        let path = inner_of(inner_of(pair, Rule::quoted)?, Rule::path)?;
        Some(Import { path: path.as_str().to_owned(), span })
    })
}

/// The year as written, and where.
pub(super) fn edition(piece: &Piece<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Name> {
    checked(piece, diagnostics, Rule::edition_piece, |b, pair| {
        let span = b.piece.span_of(&pair);
        Some(Name { text: inner_of(pair, Rule::year)?.as_str().to_owned(), span })
    })
}

impl<'a> Builder<'_, 'a> {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn name(&self, pair: Pair<'_, Rule>) -> Name {
        Name { text: pair.as_str().to_owned(), span: self.piece.span_of(&pair) }
    }

    fn root(&mut self, pair: Pair<'_, Rule>) -> Option<Expr> {
        self.expr(pair, 1).map(|tall| tall.expr)
    }

    /// The expression inside a pair.
    fn value(&mut self, pair: Pair<'_, Rule>) -> Option<Expr> {
        self.root(inner_of(pair, Rule::expr)?)
    }

    fn header(&mut self, pair: Pair<'a, Rule>) -> Option<Header> {
        let mut parts =
            pair.into_inner().filter(|p| matches!(p.as_rule(), Rule::name | Rule::params));
        let name = self.name(parts.next()?);
        let params = parts.next().map(Pair::into_inner).into_iter().flatten();
        let params: Vec<Option<Param>> =
            params.filter(|p| p.as_rule() == Rule::param).map(|p| self.param(p)).collect();
        Some(Header { name, params: params.into_iter().collect::<Option<_>>()? })
    }

    fn param(&mut self, pair: Pair<'_, Rule>) -> Option<Param> {
        let span = self.piece.span_of(&pair);
        let (mut name, mut default, mut range) = (None, None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => name = Some(self.name(part)),
                Rule::default => default = Some(self.value(part)?),
                _ => range = Some(self.range(part)?),
            }
        }
        Some(Param { name: name?, default, range, span })
    }

    /// The range of `Rule::within`.
    fn range(&mut self, pair: Pair<'_, Rule>) -> Option<Range> {
        let pair = inner_of(pair, Rule::range)?;
        let span = self.piece.span_of(&pair);
        let (mut ends, mut lo_closed, mut hi_closed) = (Vec::new(), false, false);
        let (mut above, mut up_to) = (false, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::lower => lo_closed = part.as_str() == "[",
                Rule::upper => hi_closed = part.as_str() == "]",
                Rule::bound => ends.push(self.bound(part)?),
                Rule::above => above = true,
                Rule::dots => {
                    lo_closed = !above && ends != [f64::NEG_INFINITY];
                    up_to = Some(part.as_str() == "..=");
                }
                _ => {}
            }
        }
        let (lo, hi) = (*ends.first()?, *ends.get(1)?);
        let hi_closed = up_to.map_or(hi_closed, |included| included && hi < f64::INFINITY);
        Some(Range { lo, lo_closed, hi, hi_closed, span })
    }

    fn bound(&mut self, pair: Pair<'_, Rule>) -> Option<f64> {
        let (mut sign, mut size) = (1.0, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::minus => sign = -1.0,
                Rule::infinity => size = Some(f64::INFINITY),
                _ => size = Some(self.number(&part)?),
            }
        }
        Some(sign * size?)
    }

    fn variant(&mut self, pair: Pair<'_, Rule>) -> Option<Variant> {
        let mut span = self.piece.span_of(&pair);
        let (mut names, mut overrides, mut complete) = (Vec::new(), Vec::new(), true);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => names.push(self.name(part)),
                Rule::changes => {
                    for change in part.into_inner().filter(|p| p.as_rule() == Rule::change) {
                        let key = self.name(inner_of(change.clone(), Rule::ident)?);
                        match self.value(change) {
                            Some(value) => overrides.push((key, value)),
                            None => complete = false,
                        }
                    }
                }
                Rule::right => span.end = self.piece.span_of(&part).end,
                _ => {}
            }
        }
        let base = names.pop()?;
        complete.then_some(Variant { docs: Vec::new(), name: names.pop()?, base, overrides, span })
    }

    fn function(&mut self, pair: Pair<'_, Rule>) -> Option<Function> {
        let mut span = self.piece.span_of(&pair);
        let (mut name, mut args, mut body) = (None, Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.name(part)),
                Rule::ident => args.push(self.name(part)),
                Rule::expr => {
                    span.end = self.piece.span_of(&part).end;
                    body = Some(self.root(part)?);
                }
                _ => {}
            }
        }
        Some(Function { docs: Vec::new(), name: name?, args, body: body?, span })
    }

    /// The names in `[i][t]`.
    fn families(&mut self, pair: &Pair<'_, Rule>) -> Vec<Name> {
        let families = pair.clone().into_inner().filter(|p| p.as_rule() == Rule::family);
        families.filter_map(|f| inner_of(f, Rule::ident)).map(|i| self.name(i)).collect()
    }

    fn clause(&mut self, pair: Pair<'_, Rule>) -> Option<Clause> {
        let span = self.piece.span_of(&pair);
        Some(match pair.as_rule() {
            Rule::data => self.data(pair)?,
            Rule::model => self.model(pair)?,
            Rule::column => {
                let name = self.name(inner_of(pair.clone(), Rule::ident)?);
                let of = self.families(&pair).pop();
                let range = match inner_of(pair, Rule::within) {
                    Some(within) => Some(self.range(within)?),
                    None => None,
                };
                Clause::Column { name, of, range, span }
            }
            Rule::binding => {
                let name = self.name(inner_of(pair.clone(), Rule::ident)?);
                let indices = self.families(&pair);
                Clause::Let { name, indices, value: self.value(pair)?, span }
            }
            Rule::rho => Clause::Rho { value: self.value(pair)?, span },
            Rule::prefer => Clause::Prefer { formula: self.value(pair)?, span },
            Rule::given => Clause::Given { formula: self.value(pair)?, span },
            Rule::tie => Clause::Tie { formula: self.value(pair)?, span },
            Rule::minimize => Clause::Minimize { value: self.value(pair)?, span },
            _ => return None,
        })
    }

    fn data(&mut self, pair: Pair<'_, Rule>) -> Option<Clause> {
        let span = self.piece.span_of(&pair);
        let (mut shape, mut args) = (None, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => shape = Some(self.name(part)),
                Rule::data_arg => args.push(self.data_arg(part)?),
                _ => {}
            }
        }
        Some(Clause::Data(Data { shape: shape?, args, span }))
    }

    fn data_arg(&mut self, pair: Pair<'_, Rule>) -> Option<DataArg> {
        let mut parts = pair.into_inner();
        let first = self.name(parts.next()?);
        let Some(rest) = parts.next() else { return Some(DataArg::Plain(first)) };
        let ordered = rest.as_rule() == Rule::over;
        let second = self.name(inner_of(rest, Rule::ident)?);
        Some(if ordered { DataArg::Ordered(first, second) } else { DataArg::Family(first, second) })
    }

    fn model(&mut self, pair: Pair<'_, Rule>) -> Option<Clause> {
        let span = self.piece.span_of(&pair);
        let (mut names, mut options) = (Vec::new(), Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => names.push(self.name(part)),
                Rule::option => {
                    let key = self.name(inner_of(part.clone(), Rule::ident)?);
                    options.push(ModelOption { key, value: self.value(part)? });
                }
                _ => {}
            }
        }
        let role = names.pop()?;
        Some(Clause::Model(Model { name: names.pop()?, role, options, span }))
    }
}
