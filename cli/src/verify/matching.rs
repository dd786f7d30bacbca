//! Which argument of the function is which quantity of the loss.
//!
//! In: the arguments, the loss, and what the user says by hand. Out: a [`Meaning`] for every argument.
//! Invariants: an argument without a default always has a meaning, or there is a diagnostic; no two
//! arguments have the same one; what was guessed from a name is part of the report.

use super::Request;
use super::masks;
use super::words::{self, Kind, Said};
use super::worker::{Argument, Signature};
use ponens_compiler::codegen::torch;
use ponens_compiler::hir::{Loop, Loss, Quantity, Role};
use ponens_compiler::mir::Graph;
use ponens_dsl::{Diagnostic, suggest};
use serde_json::Value;

/// A quantity that rows can have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) quantity: Quantity,
    /// The loop that it has one number a turn of.
    pub(super) of: Option<Loop>,
}

impl Source {
    pub(super) fn name(&self) -> String {
        self.quantity.to_string()
    }
}

/// What an argument is given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// A column.
    Column(Source),
    /// True at every token of the response, false at the padding behind them.
    Mask(usize),
    /// True at every candidate of the example, false at the padding behind them.
    Candidates,
    /// A parameter of the loss, by its place.
    Param(usize),
    /// A value given by hand.
    Fixed(Value),
    /// Its default.
    Default,
}

/// The arguments of a function with their meanings, and remarks on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Matched {
    pub(super) meanings: Vec<(Argument, Meaning)>,
    /// Attributes of `self` that are given by hand: values and parameters.
    pub(super) own: Vec<(String, Meaning)>,
    pub(super) remarks: Vec<String>,
}

impl Matched {
    /// The columns that the function sees.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Source> {
        self.meanings.iter().filter_map(|(_, m)| match m {
            Meaning::Column(s) => Some(s),
            _ => None,
        })
    }

    /// The responses whose tokens have a mask.
    pub(super) fn masked(&self) -> impl Iterator<Item = usize> + '_ {
        self.meanings.iter().filter_map(|(_, m)| match m {
            Meaning::Mask(r) => Some(*r),
            _ => None,
        })
    }

    pub(super) fn has_param(&self, index: usize) -> bool {
        self.meanings.iter().any(|(_, m)| *m == Meaning::Param(index))
    }
}

/// Every quantity that a row of the loss can hold: what it reads, and what that may be made from.
fn universe(loss: &Loss) -> Vec<Source> {
    let mut all: Vec<Source> = Vec::new();
    let mut add = |quantity: Quantity, of| {
        if all.iter().all(|s| s.quantity != quantity) {
            all.push(Source { quantity, of });
        }
    };
    let responses = loss.shape.responses();
    let outer = loss.shape.family().map(|_| Loop::Candidates);
    for c in &loss.columns {
        add(c.quantity.clone(), c.of);
    }
    for c in &loss.columns {
        let Some(at) = c.quantity.response().and_then(|r| responses.iter().position(|x| *x == r))
        else {
            continue;
        };
        let response = responses[at].to_owned();
        match &c.quantity {
            Quantity::MeanLogp { model, .. } | Quantity::Logp { model, .. } => {
                let logp = Quantity::Logp { model: model.clone(), response: response.clone() };
                add(Quantity::Token(Box::new(logp.clone())), Some(Loop::Tokens(at)));
                if outer.is_none() {
                    add(logp, outer);
                    add(Quantity::Len { response }, outer);
                }
            }
            Quantity::Kl { .. } | Quantity::Entropy { .. } | Quantity::LogSumP2 { .. } => {
                add(Quantity::Token(Box::new(c.quantity.clone())), Some(Loop::Tokens(at)));
            }
            _ => {}
        }
    }
    all
}

/// Finds the meaning of every argument.
///
/// # Errors
/// `E0804`: an argument without a default has no meaning, two have the same, or one that is given by
/// hand is not there.
pub(super) fn matched(
    loss: &Loss,
    graph: &Graph,
    signature: &Signature,
    request: &Request,
) -> Result<Matched, Vec<Diagnostic>> {
    let all = universe(loss);
    let mut found = Vec::new();
    let torch::Signature { columns: identifiers, masks, .. } = match torch::signature(graph) {
        Ok(own) => own,
        Err(_) => torch::Signature {
            function: String::new(),
            columns: Vec::new(),
            masks: Vec::new(),
            params: Vec::new(),
            coupled: false,
        },
    };
    let masks = masks::emitted(loss, &masks, signature);
    let context = Context { loss, all: &all, identifiers: &identifiers, masks: &masks, signature };
    let mut out = Matched::default();
    let known = |name: &str| signature.arguments.iter().any(|a| a.name == name);
    let strange = |name: &str| {
        let d = format!("{} has no argument `{name}`", request.subject);
        let names = signature.arguments.iter().map(|a| a.name.as_str());
        match suggest::closest(name, names) {
            Some(s) => Diagnostic::error("E0804", d).help(format!("did you mean `{s}`?")),
            None => Diagnostic::error("E0804", d),
        }
    };
    for (name, text) in request.map.iter().filter(|(n, _)| !known(n)) {
        match context.named(text) {
            // `self` may call a parameter by another name.
            Ok(m @ Meaning::Param(_)) if signature.method => out.own.push((name.clone(), m)),
            _ => found.push(strange(name)),
        }
    }
    for (name, value) in request.set.iter().filter(|(n, _)| !known(n)) {
        match signature.method {
            true => out.own.push((name.clone(), Meaning::Fixed(value.clone()))),
            false => found.push(strange(name)),
        }
    }
    for a in &signature.arguments {
        let by_hand = request.map.iter().rev().find(|(name, _)| *name == a.name);
        let fixed = request.set.iter().rev().find(|(name, _)| *name == a.name);
        let meaning = match (by_hand, fixed) {
            (_, Some((_, value))) => Ok(Some(Meaning::Fixed(value.clone()))),
            (Some((_, text)), None) => context.named(text).map(Some),
            (None, None) => Ok(context.guessed(a)),
        };
        match meaning {
            Err(d) => found.push(d),
            Ok(Some(m)) => out.meanings.push((a.clone(), m)),
            Ok(None) if a.optional => out.meanings.push((a.clone(), Meaning::Default)),
            Ok(None) => found.push(context.unknown(a, &request.subject.to_string())),
        }
    }
    found.extend(masks::settle(loss, &mut out, &request.subject.to_string()));
    for (i, (a, m)) in out.meanings.iter().enumerate() {
        let before = out.meanings[..i].iter().find(|(_, n)| n == m);
        let shared = matches!(m, Meaning::Column(_) | Meaning::Param(_));
        if let (Some((b, _)), true) = (before, shared) {
            let what = context.shown(m);
            let d = format!("the arguments `{}` and `{}` would both be {what}", b.name, a.name);
            found.push(
                Diagnostic::error("E0804", d)
                    .help(format!("say what they are: --map {}=COLUMN", a.name)),
            );
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    context.remark(&mut out);
    Ok(out)
}

struct Context<'a> {
    loss: &'a Loss,
    all: &'a [Source],
    identifiers: &'a [(String, String)],
    masks: &'a [(String, Meaning)],
    signature: &'a Signature,
}

impl Context<'_> {
    fn shown(&self, m: &Meaning) -> String {
        match m {
            Meaning::Column(s) => format!("`{}`", s.name()),
            Meaning::Param(i) => format!("the parameter `{}`", self.loss.params[*i].name),
            _ => "one thing".to_owned(),
        }
    }

    /// The meaning that the user states.
    fn named(&self, text: &str) -> Result<Meaning, Diagnostic> {
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(s) = self.all.iter().find(|s| s.name() == plain) {
            return Ok(Meaning::Column(s.clone()));
        }
        if let Some(i) = self.loss.params.iter().position(|p| p.name == plain) {
            return Ok(Meaning::Param(i));
        }
        let masked = plain.strip_prefix("mask(").and_then(|r| r.strip_suffix(')'));
        let responses = self.loss.shape.responses();
        if let Some(r) = masked.and_then(|r| responses.iter().position(|x| *x == r)) {
            return Ok(Meaning::Mask(r));
        }
        if plain == "mask" && self.loss.shape.family().is_some() {
            return Ok(Meaning::Candidates);
        }
        let names: Vec<String> = self.all.iter().map(Source::name).collect();
        let params = self.loss.params.iter().map(|p| p.name.as_str());
        let d = Diagnostic::error("E0804", format!("loss `{}` has no `{plain}`", self.loss.name));
        Err(match suggest::closest(&plain, names.iter().map(String::as_str).chain(params)) {
            Some(s) => d.help(format!("did you mean `{s}`?")),
            None => d.help(format!("an argument can be {}", self.choices())),
        })
    }

    fn choices(&self) -> String {
        let columns = self.all.iter().map(|s| format!("`{}`", s.name()));
        let params = self.loss.params.iter().map(|p| format!("`{}`", p.name));
        columns.chain(params).collect::<Vec<_>>().join(", ")
    }

    fn unknown(&self, a: &Argument, subject: &str) -> Diagnostic {
        let d = format!("what the argument `{}` of {subject} is does not show in its name", a.name);
        Diagnostic::error("E0804", d)
            .note(format!("an argument can be {}", self.choices()))
            .help(format!("say it: --map {0}=COLUMN, or --set {0}=VALUE", a.name))
    }

    /// The meaning that the name suggests.
    fn guessed(&self, a: &Argument) -> Option<Meaning> {
        let column = |s: &Source| Meaning::Column(s.clone());
        let bare = a.name.trim_end_matches('_');
        let of = |name: &str| self.all.iter().find(|s| s.name() == name);
        if let Some((name, _)) = self.identifiers.iter().find(|(_, i)| *i == a.name) {
            return of(name).map(column);
        }
        if let Some((_, m)) = self.masks.iter().find(|(n, _)| *n == a.name) {
            return Some(m.clone());
        }
        if let Some(i) = self.param(bare) {
            return Some(Meaning::Param(i));
        }
        let data = |s: &&Source| matches!(&s.quantity, Quantity::Data { name } if same(name, bare));
        if let Some(s) = self.all.iter().find(data) {
            return Some(column(s));
        }
        let said = words::said(&a.name, &self.loss.shape);
        if said.kind == Some(Kind::Mask) {
            return said.response.map(Meaning::Mask);
        }
        self.by_words(said).map(column)
    }

    /// A parameter by its name, or by what trainers call it.
    fn param(&self, name: &str) -> Option<usize> {
        const SYNONYMS: &[(&str, &[&str])] = &[
            ("epsilon", &["label_smoothing", "eps", "smoothing", "cliprange", "clip_eps"]),
            ("lambda", &["lam", "lmbda", "lambd", "lamb"]),
            ("tau", &["discopop_tau"]),
            ("desirable", &["desirable_weight"]),
            ("undesirable", &["undesirable_weight"]),
        ];
        let at = |name: &str| self.loss.params.iter().position(|p| p.name == name);
        at(name).or_else(|| {
            SYNONYMS.iter().find(|(_, others)| others.contains(&name)).and_then(|(p, _)| at(p))
        })
    }

    fn by_words(&self, said: Said) -> Option<&Source> {
        let Said { role, response, kind } = said;
        // A name that speaks of a model and a response and nothing else means the log-probability.
        let kind = kind.or((role.is_some() && response.is_some()).then_some(Kind::Logp))?;
        let role_of = |m: &str| self.loss.models.iter().find(|x| x.name == m).map(|x| x.role);
        let responses = self.loss.shape.responses();
        let speaks = |s: &&Source| {
            let at = s.quantity.response().and_then(|r| responses.iter().position(|x| *x == r));
            let models = s.quantity.models();
            let model = models.first().and_then(|m| role_of(m));
            let of_two = matches!(kind, Kind::Kl | Kind::Len | Kind::Label);
            let role_fits = of_two || model == Some(role.unwrap_or(Role::Policy));
            role_fits && (at.is_none() || at == response)
        };
        let is = |want: Kind| {
            self.all.iter().filter(speaks).find(|s| words::kind_of(&s.quantity) == Some(want))
        };
        match kind {
            Kind::Logp => {
                let sum = is(Kind::Logp);
                let reads =
                    |s: &&Source| self.loss.columns.iter().any(|c| c.quantity == s.quantity);
                // Where the loss reads the mean alone, a sum is of use with a length beside it.
                sum.filter(|s| reads(s) || self.has_length(response))
                    .or(is(Kind::Mean))
                    .or(sum)
                    .or(is(Kind::Token))
            }
            kind => is(kind),
        }
    }

    fn has_length(&self, response: Option<usize>) -> bool {
        self.signature.arguments.iter().any(|a| {
            let said = words::said(&a.name, &self.loss.shape);
            said.kind == Some(Kind::Len) && said.response == response
        })
    }

    /// What the reader should know about the match.
    fn remark(&self, out: &mut Matched) {
        let mut remarks = Vec::new();
        for (i, p) in self.loss.params.iter().enumerate() {
            let own = out.meanings.iter().find(|(_, m)| *m == Meaning::Param(i));
            match (own.and_then(|(a, _)| a.default), p.default) {
                (Some(theirs), Some(ours)) if theirs != ours => remarks.push(format!(
                    "the default of `{}` is {theirs} in the function, {ours} in the loss",
                    p.name
                )),
                _ if own.is_none() && !self.signature.method => {
                    remarks.push(format!(
                        "the function has no argument for the parameter `{}`",
                        p.name
                    ));
                }
                _ => {}
            }
        }
        for c in &self.loss.columns {
            if !seen(&c.quantity, out) {
                remarks.push(format!("the function has no argument for `{}`", c.name()));
            }
        }
        let defaults = out.meanings.iter().filter(|(_, m)| *m == Meaning::Default);
        remarks.extend(defaults.map(|(a, _)| format!("`{}` is left at its default", a.name)));
        out.remarks = remarks;
    }
}

/// True when the arguments determine a quantity that the loss reads.
pub(super) fn seen(q: &Quantity, out: &Matched) -> bool {
    let has = |q: &Quantity| out.columns().any(|s| s.quantity == *q);
    let logp = |model: &String, response: &String| Quantity::Logp {
        model: model.clone(),
        response: response.clone(),
    };
    has(q)
        || has(&Quantity::Token(Box::new(q.clone())))
        || match q {
            Quantity::MeanLogp { model, response } => {
                let sum = logp(model, response);
                has(&Quantity::Token(Box::new(sum.clone())))
                    || (has(&sum) && has(&Quantity::Len { response: response.clone() }))
            }
            Quantity::Len { response } => out.columns().any(|s| {
                matches!(s.quantity, Quantity::Token(_)) && s.quantity.response() == Some(response)
            }),
            _ => false,
        }
}

fn same(name: &str, argument: &str) -> bool {
    let plain = |s: &str| s.to_lowercase().trim_end_matches('s').to_owned();
    plain(name) == plain(argument)
}
