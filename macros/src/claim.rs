//! What an attribute says about a loss: its Rust name, and claims that are checked at expansion.

use ponens_compiler::codegen::interp::{Batch, evaluate};
use ponens_compiler::explain;
use ponens_compiler::hir::{DataShape, Loss, Quantity, Role};
use ponens_compiler::logic::{Atom, AtomKind, Polynomial, Rational, Structure};
use ponens_compiler::relate::{self, Limit, Order, Sign, Verdict, Witness, non_negative};
use ponens_compiler::session::{self, Compiled};
use proc_macro2::Span;
use std::collections::HashMap;
use syn::parse::ParseStream;
use syn::{Attribute, LitStr, Path, Token};

/// Below this a gradient moves nothing in training.
const USABLE: f32 = 1e-6;

/// The log-probability of a long response: summed, and a token of it on average.
const SUMMED: f64 = -100.0;
const MEAN: f64 = -1.0;

/// One claim and where it stands.
pub(crate) enum Claim {
    /// The same rho as another loss's.
    Equals(LitStr),
    /// rho nowhere above another loss's, by containment of rows.
    Entails(LitStr),
    /// rho nowhere falls with the winner nor rises with the loser.
    Monotone(Span),
    /// The gradient survives f32 on responses of usual length.
    GradientInF32(Span),
}

/// The contents of the `#[ponens(..)]` attributes of one loss.
#[derive(Default)]
pub(crate) struct Attributes {
    /// The name of the generated struct.
    pub(crate) name: Option<LitStr>,
    /// The claims in order.
    pub(crate) claims: Vec<Claim>,
    /// The crate whose tensors the loss is to take.
    pub(crate) candle: Option<Path>,
    /// The functions that `core` lacks come from the crate `libm`.
    pub(crate) libm: bool,
}

/// The crate that the feature `candle` speaks of.
fn candle(input: ParseStream<'_>, span: Span) -> syn::Result<Path> {
    if !cfg!(feature = "candle") {
        let text = "the feature `candle` of `ponens-macros` is off\n\
                    help: write `ponens-macros = { .., features = [\"candle\"] }` into Cargo.toml";
        return Err(syn::Error::new(span, text));
    }
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        return input.parse::<LitStr>()?.parse();
    }
    Ok(syn::parse_quote!(::candle_core))
}

impl Attributes {
    /// True if nothing is said that only one loss can bear.
    pub(crate) fn is_empty(&self) -> bool {
        self.name.is_none() && self.claims.is_empty() && self.candle.is_none() && !self.libm
    }

    /// Reads one `#[ponens(..)]`.
    pub(crate) fn read(&mut self, attribute: &Attribute) -> syn::Result<()> {
        attribute.parse_nested_meta(|meta| {
            let span = meta.path.get_ident().map_or_else(Span::call_site, |i| i.span());
            match meta.path.get_ident().map(ToString::to_string).as_deref() {
                Some("name") => {
                    let name: LitStr = meta.value()?.parse()?;
                    if syn::parse_str::<syn::Ident>(&name.value()).is_err() {
                        return Err(syn::Error::new(name.span(), "this is no name for a struct"));
                    }
                    if crate::types::TYPES.contains(&name.value().as_str()) {
                        let text = "a type of the generated module has this name";
                        return Err(syn::Error::new(name.span(), text));
                    }
                    self.name = Some(name);
                }
                Some("equals") => self.claims.push(Claim::Equals(meta.value()?.parse()?)),
                Some("entails") => self.claims.push(Claim::Entails(meta.value()?.parse()?)),
                Some("monotone") => self.claims.push(Claim::Monotone(span)),
                Some("candle") => self.candle = Some(candle(meta.input, span)?),
                Some("libm") => self.libm = true,
                Some("gradient_in_f32") => self.claims.push(Claim::GradientInF32(span)),
                _ => {
                    return Err(meta.error(
                        "expected `name = \"..\"`, `equals = \"LOSS\"`, `entails = \"LOSS\"`, \
                         `monotone`, `gradient_in_f32`, `candle` or `libm`",
                    ));
                }
            }
            Ok(())
        })
    }
}

/// Compiles a loss by the name that a claim gives.
pub(crate) type Find<'a> = &'a mut dyn FnMut(&str) -> Result<Compiled, String>;

/// Checks one claim; the error says what refutes it, or that it could not be decided.
pub(crate) fn check(claim: &Claim, compiled: &Compiled, find: Find<'_>) -> syn::Result<()> {
    let (span, verdict) = match claim {
        Claim::Equals(other) => (other.span(), equals(compiled, &other.value(), find)),
        Claim::Entails(other) => (other.span(), entails(compiled, &other.value(), find)),
        Claim::Monotone(span) => (*span, monotone(&compiled.loss)),
        Claim::GradientInF32(span) => (*span, gradient_in_f32(compiled)),
    };
    verdict.map_err(|text| syn::Error::new(span, text))
}

fn structure(loss: &Loss) -> Result<Structure, String> {
    let found = explain::structure(loss).map(|f| f.structure);
    found.map_err(|e| format!("`{}` has no logical structure to compare: {}", loss.name, e.reason))
}

/// Both structures, the other one in the names of the first.
fn pair(compiled: &Compiled, other: &str, find: Find<'_>) -> Result<[Structure; 2], String> {
    let other = find(other)?;
    let own = structure(&compiled.loss)?;
    Ok([own, renamed(&structure(&other.loss)?, &other.loss, &compiled.loss)])
}

fn equals(compiled: &Compiled, other: &str, find: Find<'_>) -> Result<(), String> {
    let [a, b] = pair(compiled, other, find)?;
    let relation = relate::compare(&a, &b);
    let name = &compiled.loss.name;
    match relation.order {
        Order::Equal => Ok(()),
        // Whether two rho are the same is decided where the atoms fit; which one is higher may not be.
        Order::Undecided if is_beyond(&relation) => {
            Err(undecided(&relation, &format!("`{name}` equals `{other}`")))
        }
        _ => {
            let witness = relation.witnesses.as_ref().map(|w| at(&w[0])).or_else(|| row(&a, &b));
            Err(format!(
                "`{name}` does not equal `{other}`: {}{}",
                standing(relation.order),
                witness.map(|w| format!("\n{w}")).unwrap_or_default()
            ))
        }
    }
}

fn entails(compiled: &Compiled, other: &str, find: Find<'_>) -> Result<(), String> {
    let [a, b] = pair(compiled, other, find)?;
    let relation = relate::compare(&a, &b);
    let name = &compiled.loss.name;
    if matches!(relation.order, Order::Equal | Order::Entails) {
        return Ok(());
    }
    // Entailment is containment of rows and always decided, even where dominance is not.
    let shown = row(&a, &b).map(|w| format!("\n{w}")).unwrap_or_default();
    let points = relation.witnesses.iter().flat_map(|w| w.iter());
    let above = points.filter(|w| w.rho_first > w.rho_second).map(|w| format!("\n{}", at(w)));
    Err(format!(
        "`{name}` does not entail `{other}`: {}{shown}{}",
        standing(relation.order),
        above.collect::<String>()
    ))
}

/// How the first stands to the second instead.
fn standing(order: Order) -> &'static str {
    match order {
        Order::Equal => "they have the same rho",
        Order::Entails => "it entails it, and their rho differ",
        Order::EntailedBy => "it is entailed by it, and their rho differ",
        Order::Dominates => "its rho is nowhere higher, yet the rows are not contained",
        Order::DominatedBy => "its rho is nowhere lower",
        Order::Incomparable => "the rho of each is lower somewhere",
        Order::Undecided => "which rho is higher was not settled within the bounds of the search",
        Order::Undefined => "one of them has no winning or no losing row",
    }
}

/// The two have more atoms together than can be compared.
fn is_beyond(relation: &relate::Relation) -> bool {
    relation.dominates == Verdict::Undecided { within: Limit::Atoms }
}

fn undecided(relation: &relate::Relation, claim: &str) -> String {
    let limit = [relation.dominates, relation.dominated_by].into_iter().find_map(|v| match v {
        Verdict::Undecided { within } => Some(within.to_string()),
        _ => None,
    });
    let limit = limit.unwrap_or_else(|| "the bounds of the search".to_owned());
    format!("undecided whether {claim}: the search ended at {limit}")
}

/// A point in words.
fn at(w: &Witness) -> String {
    let point: Vec<String> = w
        .point
        .iter()
        .map(|(a, x)| format!("{} = {}/{}", a.name, x.numerator(), x.denominator()))
        .collect();
    format!(
        "witness: at the weights {} its rho is {:.6}, the other's {:.6}",
        point.join(", "),
        w.rho_first,
        w.rho_second
    )
}

/// A row on which the reduced structures differ: one that breaks the containment of the first in the
/// second where there is one, else one that breaks the opposite containment.
fn row(a: &Structure, b: &Structure) -> Option<String> {
    let (x, y) = a.canonical().aligned(&b.canonical())?;
    let sides = [
        ("wins", x.wins.without(y.wins), "does not win in the other"),
        ("does not lose", y.loses.without(x.loses), "loses in the other"),
        ("does not win", y.wins.without(x.wins), "wins in the other"),
        ("loses", x.loses.without(y.loses), "does not lose in the other"),
    ];
    let (own, rows, other) = sides.into_iter().find(|(_, rows, _)| !rows.is_false())?;
    let index = rows.rows().next()?;
    let literals: Vec<String> = x
        .atoms
        .iter()
        .enumerate()
        .map(|(i, a)| format!("{}{}", if index >> i & 1 == 1 { "" } else { "!" }, a.name))
        .collect();
    Some(format!("witness: the row {} {own} here and {other}", literals.join(" & ")))
}

/// A structure of `from` in the names of `to`: models by role, responses by rank.
fn renamed(s: &Structure, from: &Loss, to: &Loss) -> Structure {
    let models = |l: &Loss, role: Role| -> Vec<String> {
        l.models.iter().filter(|m| m.role == role).map(|m| m.name.clone()).collect()
    };
    let mut names: HashMap<String, String> = HashMap::new();
    for role in [Role::Policy, Role::Reference] {
        names.extend(models(from, role).into_iter().zip(models(to, role)));
    }
    let mut responses: HashMap<&str, &str> = HashMap::new();
    if std::mem::discriminant(&from.shape) == std::mem::discriminant(&to.shape) {
        responses.extend(from.shape.responses().into_iter().zip(to.shape.responses()));
    }
    let atom = |a: &Atom| match &a.kind {
        AtomKind::Response { model, response, mean } => {
            let model = names.get(model).unwrap_or(model);
            let response = responses.get(response.as_str()).copied().unwrap_or(response);
            Atom::aggregated(model, response, *mean)
        }
        _ => a.clone(),
    };
    Structure { atoms: s.atoms.iter().map(atom).collect(), ..s.clone() }
}

fn monotone(loss: &Loss) -> Result<(), String> {
    let DataShape::Pair { winner, loser, .. } = &loss.shape else {
        return Err(format!("`{}` has no winner and loser to be monotone in", loss.name));
    };
    let s = structure(loss)?.canonical();
    let policy = |m: &str| loss.models.iter().any(|d| d.name == m && d.role == Role::Policy);
    let mut depends = false;
    for (i, atom) in s.atoms.iter().enumerate() {
        let (model, response) = match &atom.kind {
            AtomKind::Response { model, response, .. } => (model, response),
            _ => continue,
        };
        if !policy(model) || !(response == winner || response == loser) {
            continue;
        }
        depends = true;
        let rises = response == winner;
        match slope(&s, i, rises) {
            Some(Sign::NonNegative(_)) => {}
            Some(Sign::Negative(point)) => {
                return Err(format!(
                    "`{}` is not monotone: rho {} with {}\nwitness: {}",
                    loss.name,
                    if rises { "falls" } else { "rises" },
                    atom.name,
                    weights(&s, &point, i)
                ));
            }
            Some(Sign::Undecided(limit)) => {
                return Err(format!(
                    "undecided whether `{}` is monotone in {}: the search ended at {limit}",
                    loss.name, atom.name
                ));
            }
            None => {
                return Err(format!(
                    "undecided whether `{}` is monotone in {}: numbers beyond 128 bits",
                    loss.name, atom.name
                ));
            }
        }
    }
    if depends {
        Ok(())
    } else {
        Err(format!("`{}` does not depend on {winner} or {loser}: its rho is constant", loss.name))
    }
}

/// The sign of the derivative of T/B by atom `i`, that of T1 B0 - T0 B1 with the cofactors of the two.
fn slope(s: &Structure, i: usize, rises: bool) -> Option<Sign> {
    let n = s.n();
    let [t1, t0] = [true, false].map(|v| Polynomial::of_table(s.wins.cofactor(i, v, n), n));
    let [b1, b0] = [true, false].map(|v| Polynomial::of_table(s.loses.cofactor(i, v, n), n));
    let (up, down) = (t1.times(&b0)?, t0.times(&b1)?);
    let d = if rises { up.minus(&down)? } else { down.minus(&up)? };
    Some(non_negative(&d))
}

fn weights(s: &Structure, point: &[Rational], except: usize) -> String {
    let shown =
        |(a, x): (&Atom, &Rational)| format!("{} = {}/{}", a.name, x.numerator(), x.denominator());
    let others = s.atoms.iter().zip(point).enumerate().filter(|(i, _)| *i != except);
    let list: Vec<String> = others.map(|(_, pair)| shown(pair)).collect();
    if list.is_empty() {
        "at every weight".to_owned()
    } else {
        format!("at the weights {}", list.join(", "))
    }
}

/// Values of the columns at which a gradient should be alive: long, equally likely responses.
fn typical(compiled: &Compiled, label: f64) -> Vec<f64> {
    let value = |name: &str| {
        let column = compiled.loss.columns.iter().find(|c| c.name() == name)?;
        let quantity = match &column.quantity {
            Quantity::Token(inner) => inner,
            q => q,
        };
        Some(match quantity {
            Quantity::MeanLogp { .. } => MEAN,
            Quantity::Logp { .. } | Quantity::MismatchedLogp { .. } => SUMMED,
            Quantity::SharedLogp { .. } | Quantity::TailLogp { .. } => SUMMED / 2.0,
            Quantity::DivergedLogp { .. } => SUMMED / 2.0,
            Quantity::LogSumP2 { .. } | Quantity::Token(_) => MEAN,
            Quantity::Kl { .. } | Quantity::Entropy { .. } | Quantity::Head { .. } => 1.0,
            Quantity::Len { .. } => SUMMED / MEAN,
            Quantity::Label { .. } => label,
            Quantity::Data { .. } => {
                let r = column.range;
                let middle = if r.lo.is_finite() && r.hi.is_finite() {
                    (r.lo + r.hi) / 2.0
                } else if r.lo.is_finite() {
                    r.lo + 1.0
                } else if r.hi.is_finite() {
                    r.hi - 1.0
                } else {
                    1.0
                };
                return Some(middle);
            }
        })
    };
    compiled.graph().inputs.iter().map(|i| value(&i.name).unwrap_or(SUMMED)).collect()
}

fn gradient_in_f32(compiled: &Compiled) -> Result<(), String> {
    let name = &compiled.loss.name;
    let params = session::bind(name, &compiled.loss.params, &[]).map_err(|_| {
        format!(
            "undecided whether the gradient of `{name}` survives f32: a parameter has no default"
        )
    })?;
    let graph = compiled.graph();
    for label in [0.0, 1.0] {
        let columns = typical(compiled, label);
        let mut batch = Batch::<f32>::new(1);
        for (i, x) in columns.iter().enumerate() {
            batch.set(graph, i as u16, &[*x]).map_err(|e| e.to_string())?;
        }
        let values = evaluate::<f32>(graph, &params, &batch).map_err(|e| e.to_string())?;
        let mut largest = 0.0_f32;
        for (root, value) in graph.roots.iter().zip(&values) {
            if let Some(x) = value.iter().find(|x| !x.is_finite()) {
                return Err(format!(
                    "in f32 `{}` of `{name}` is {x} at {}",
                    root.name,
                    point(graph, &columns)
                ));
            }
            if root.name.starts_with("d/") {
                largest = value.iter().fold(largest, |m, x| m.max(x.abs()));
            }
        }
        if largest < USABLE {
            return Err(format!(
                "the gradient of `{name}` does not survive f32: its largest component is {largest:e}\nwitness: at {}",
                point(graph, &columns)
            ));
        }
    }
    Ok(())
}

fn point(graph: &ponens_compiler::mir::Graph, columns: &[f64]) -> String {
    let list = graph.inputs.iter().zip(columns).map(|(i, x)| format!("{} = {x}", i.name));
    list.collect::<Vec<String>>().join(", ")
}
