//! From logic to loss text.
//!
//! In: formulas for the core and its constraints, a link, further terms. Out: the text of a loss that has
//! them, in the canonical form, with remarks on what it is. Invariant: the text compiles, its structure is
//! that of the formulas (or its reference version), and findings point into the arguments.

use crate::embed::Embedded;
use crate::known::Known;
use crate::refusal::{Refusal, Result};
use ponens_compiler::explain::{self, Explanation};
use ponens_compiler::hir::{Loss, NoLibrary, Program};
use ponens_compiler::logic::{
    Atom, Core, Formula, LargeStructure, MAX_ATOMS, Structure, StructureError,
};
use ponens_compiler::session::{self, Compiled, Options};
use ponens_dsl::ast::{Expr, ExprKind, Item};
use ponens_dsl::{Diagnostic, SourceMap, parse, parse_expr, print};

/// What a derived loss is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// P.
    pub core: String,
    /// Pc, true when absent.
    pub given: Option<String>,
    /// Pa, false when absent.
    pub tie: Option<String>,
    /// What `minimize` says, over `rho` and `beta`.
    pub link: Link,
    /// True for mean token log-probabilities.
    pub mean: bool,
    /// True for the reference version: rho - (log ref(w) - log ref(l)).
    pub reference: bool,
    /// What `minimize` adds to the link.
    pub terms: Option<String>,
    /// Declarations of parameters; names of `terms` that it lacks are declared `name = 1 in [0, inf)`.
    pub params: Option<String>,
}

/// The link of a derived loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// softplus(-beta rho)
    #[default]
    Logistic,
    /// max(0, 1 - beta rho)
    Hinge,
    /// (rho - 1 / (2 beta))^2
    Squared,
}

impl Link {
    fn text(self) -> &'static str {
        match self {
            Link::Logistic => "logistic(beta * rho)",
            Link::Hinge => "hinge(beta * rho)",
            Link::Squared => "squared(rho, 1 / (2 * beta))",
        }
    }
}

/// A derived loss.
pub struct Derived {
    /// Its text.
    pub text: String,
    /// The loss itself.
    pub compiled: Compiled,
    /// What it is.
    pub explanation: Explanation,
    /// The remarks at the head of the text.
    pub notes: Vec<String>,
    /// The text as a source, for the places of warnings.
    pub sources: SourceMap,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Derived").field("text", &self.text).finish_non_exhaustive()
    }
}

/// Writes the text of a loss with these formulas and compiles it.
///
/// `pi` is the policy; every other model of the formulas is a reference. `w` is preferred to `l`; every
/// other response is a further one.
///
/// # Errors
/// An argument that does not parse or does not resolve; `E0502` for a structure without a row to win
/// or to lose; `E0106` and `E0503` where there is no room for the reference's atoms.
pub fn derive(wish: &Wish) -> Result<Derived> {
    let (typed, loss) = resolve(wish)?;
    if let Some(large) = explain::large(&loss) {
        return derive_large(wish, typed, large);
    }
    let structure = match explain::structure(&loss) {
        Ok(found) => found.structure,
        Err(n) => return Err(Diagnostic::error("E0501", n.reason).into()),
    };
    if wish.reference && structure.n() + 2 > MAX_ATOMS {
        return derive_large(wish, typed, LargeStructure::from(&structure));
    }
    let (body, structure) = if wish.reference {
        let (referenced, structure) = with_reference(wish, &structure)?;
        (embedded(&referenced)?, structure)
    } else {
        (typed, structure)
    };
    let body = canonical(body.as_str())?;
    let (compiled, _) = compile(&body, wish)?;
    let explanation = explain::explain(&compiled);
    let notes = notes(&compiled, &explanation);
    let comments: String = notes.iter().map(|n| format!("// {n}\n")).collect();
    let text = canonical(&format!("{comments}{body}"))?;
    let (compiled, sources) = compile(&text, wish)?;
    let explanation = explain::explain(&compiled);
    let has = explanation.structure.as_ref().map(Structure::sorted);
    if has != Some(structure.sorted()) {
        let text = "the text that was written has another structure than the formulas";
        return Err(Diagnostic::error("E0603", text).into());
    }
    Ok(Derived { text, compiled, explanation, notes, sources })
}

/// The same for logic of more atoms than a truth table holds.
fn derive_large(wish: &Wish, typed: Embedded, own: LargeStructure) -> Result<Derived> {
    let (typed, large) = if wish.reference {
        let large = own.relative_to("ref", "w", "l").map_err(no_room)?;
        (embedded(&reworded(wish, &large.core(), &large.atoms))?, large)
    } else {
        (typed, own)
    };
    let body = canonical(typed.as_str())?;
    let notes = vec![format!("Its logic speaks of {} atoms.", large.n())];
    let text = canonical(&format!("// {}\n{body}", notes[0]))?;
    let (compiled, sources) = compile(&text, wish)?;
    let explanation = explain::explain(&compiled);
    let same = |s: &LargeStructure| s.over(&large.atoms).as_ref() == Some(&large);
    if !explanation.large.as_ref().is_some_and(same) {
        let text = "the text that was written has another structure than the formulas";
        return Err(Diagnostic::error("E0603", text).into());
    }
    Ok(Derived { text, compiled, explanation, notes, sources })
}

/// The text around the arguments, and what it resolves to; findings point into the arguments.
fn resolve(wish: &Wish) -> Result<(Embedded, Loss)> {
    let text = embedded(wish)?;
    let mut program = Program::new();
    let (file, mut found) = program.add_text("<derived>", text.as_str());
    let mut loss = None;
    if !found.iter().any(Diagnostic::is_error) {
        let items: usize = program.files().iter().map(|f| f.items.len()).sum();
        let named = program.losses_of(file).iter().any(|n| n.text == wish.name.trim());
        if items == 1 && named {
            let (resolved, more) = program.resolve(wish.name.trim(), &NoLibrary);
            found.extend(more);
            loss = resolved;
        } else {
            found.push(
                Diagnostic::error("E0001", "the arguments do not make one loss")
                    .help("--name is a name, --params a list of declarations"),
            );
        }
    }
    match loss {
        Some(loss) => Ok((text, loss)),
        None => {
            text.relocate(file, &mut program.sources, &mut found);
            Err(Refusal::new(program.sources, found))
        }
    }
}

fn compile(text: &str, wish: &Wish) -> Result<(Compiled, SourceMap)> {
    let mut program = Program::new();
    let (_, found) = program.add_text("<derived>", text);
    if found.iter().any(Diagnostic::is_error) {
        return Err(Refusal::new(program.sources, found));
    }
    match session::compile(&mut program, wish.name.trim(), &NoLibrary, &Options::default()) {
        Ok(compiled) => Ok((compiled, program.sources)),
        Err(found) => Err(Refusal::new(program.sources, found)),
    }
}

fn canonical(text: &str) -> Result<String> {
    let mut sources = SourceMap::default();
    let file = sources.add("<derived>", text);
    let (tree, found) = parse(&sources, file);
    if found.iter().any(Diagnostic::is_error) {
        return Err(Refusal::new(sources, found));
    }
    Ok(print::file(&tree))
}

/// The same wish with the formulas of the reference version, and its structure.
fn with_reference(wish: &Wish, structure: &Structure) -> Result<(Wish, Structure)> {
    let relative = structure.relative_to("ref", "w", "l").map_err(no_room)?;
    Ok((reworded(wish, &relative.core(), &relative.atoms), relative))
}

/// Why a reference version cannot be.
fn no_room(error: StructureError) -> Diagnostic {
    match error {
        StructureError::RepeatedAtom(name) => Diagnostic::error(
            "E0106",
            format!("--reference adds {name}, of which the logic speaks already"),
        )
        .help("leave --reference out, or call the model of the formulas by another name"),
        e => Diagnostic::error("E0503", format!("the reference version has too many atoms: {e}")),
    }
}

/// The same wish with other formulas.
fn reworded(wish: &Wish, core: &Core, atoms: &[Atom]) -> Wish {
    let text = |f: &Formula| f.shown(atoms).to_string();
    Wish {
        core: text(&core.p),
        given: (core.given != Formula::True).then(|| text(&core.given)),
        tie: (core.tie != Formula::False).then(|| text(&core.tie)),
        ..wish.clone()
    }
}

/// What a reader wants to know about the loss before training with it.
fn notes(compiled: &Compiled, explanation: &Explanation) -> Vec<String> {
    let mut notes = Vec::new();
    let known = Known::catalogue();
    let plain =
        explanation.structure.as_ref().and_then(|s| explain::in_plain_names(&compiled.loss, s));
    let same = plain.as_ref().map_or(&[][..], |s| known.names(s));
    notes.push(match same {
        [] => "No loss of the catalogue has this rho.".to_owned(),
        names => format!("The same rho, sums or means: {}.", names.join(", ")),
    });
    notes.push(match &explanation.place {
        Some(place) => {
            let list = |names: &[String]| match names {
                [] => "none of its nodes".to_owned(),
                names => names.join(", "),
            };
            let node = place.node.as_deref().unwrap_or("no node of it");
            let (above, below) = (list(&place.above), list(&place.below));
            format!("In the two-atom lattice: {node}; entails {above}; entailed by {below}.")
        }
        None => {
            "Outside the two-atom lattice: it speaks of more than pi and ref on w and l.".to_owned()
        }
    });
    if explanation.warnings.iter().any(|w| w.code == "W0501") {
        notes.push("No usable gradient with summed log-probabilities: average them.".to_owned());
    }
    notes
}

/// The text of the loss with its arguments, each of which parses by itself.
fn embedded(wish: &Wish) -> Result<Embedded> {
    let mut names = Names::default();
    let formulas = [
        ("--core", "prefer", Some(&wish.core)),
        ("--given", "given", wish.given.as_ref()),
        ("--tie", "tie", wish.tie.as_ref()),
    ];
    for (option, _, text) in formulas {
        if let Some(text) = text {
            names.formula(&parsed(option, text)?);
        }
    }
    if let Some(terms) = &wish.terms {
        names.terms(&parsed("--terms", terms)?);
    }
    let declared = wish.params.as_deref().map_or_else(Vec::new, declared);
    let mut text = Embedded::default();
    text.text("/// Derived from its logic.\nloss ").argument("--name", wish.name.trim()).text("(");
    let mut first = true;
    let mut separate = |text: &mut Embedded| {
        text.text(if std::mem::take(&mut first) { "" } else { ", " });
    };
    if !declared.iter().any(|n| n == "beta") {
        separate(&mut text);
        text.text(format!("beta = {} in (0, inf)", if wish.mean { "1" } else { "0.1" }));
    }
    for name in names.parameters.iter().filter(|n| !declared.contains(n)) {
        separate(&mut text);
        text.text(format!("{name} = 1 in [0, inf)"));
    }
    if let Some(params) = &wish.params {
        separate(&mut text);
        text.argument("--params", params);
    }
    let others: String = names.responses.iter().map(|r| format!(", {r}")).collect();
    let aggregate = if wish.mean { ", aggregate mean" } else { "" };
    text.text(format!(") {{\ndata pair(w > l{others})\nmodel pi = policy{aggregate}\n"));
    for r in &names.references {
        text.text(format!("model {r} = reference{aggregate}\n"));
    }
    for (option, clause, formula) in formulas {
        if let Some(formula) = formula {
            text.text(format!("{clause} ")).argument(option, formula).text("\n");
        }
    }
    text.text(format!("minimize {}", wish.link.text()));
    if let Some(terms) = &wish.terms {
        text.text(" + (").argument("--terms", terms).text("\n)");
    }
    text.text("\n}\n");
    Ok(text)
}

fn parsed(option: &str, text: &str) -> Result<Expr> {
    let mut sources = SourceMap::default();
    let file = sources.add(format!("<{option}>"), text);
    parse_expr(&sources, file).map_err(|found| Refusal::new(sources, found))
}

/// The parameters that a list of declarations declares; what is wrong with it is found later.
fn declared(params: &str) -> Vec<String> {
    let mut sources = SourceMap::default();
    let file = sources.add("<--params>", format!("loss x({params}) {{\n}}\n"));
    let (tree, _) = parse(&sources, file);
    let params = tree.items.iter().flat_map(|i| match i {
        Item::Loss(l) => l.params.as_slice(),
        _ => &[],
    });
    params.map(|p| p.name.text.clone()).collect()
}

/// The models, responses and parameters that the arguments speak of.
#[derive(Default)]
struct Names {
    references: Vec<String>,
    responses: Vec<String>,
    parameters: Vec<String>,
}

fn add(list: &mut Vec<String>, name: &str, own: &[&str]) {
    if !own.contains(&name) && !list.iter().any(|n| n == name) {
        list.push(name.to_owned());
    }
}

impl Names {
    /// In a formula what is called is a model, and what it is called with a response.
    fn formula(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Call { callee, args } => {
                add(&mut self.references, &callee.text, &["pi"]);
                for a in args {
                    if let ExprKind::Name(n) = &a.kind {
                        add(&mut self.responses, n, &["w", "l"]);
                    }
                }
            }
            ExprKind::Unary { operand, .. } => self.formula(operand),
            ExprKind::Binary { lhs, rhs, .. } => {
                self.formula(lhs);
                self.formula(rhs);
            }
            _ => {}
        }
    }

    /// In a term a name that is neither a model nor a response is a parameter.
    fn terms(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Name(n) => self.term_name(n),
            ExprKind::Call { callee, args } => {
                if callee.text == "ref" {
                    self.term_name("ref");
                }
                args.iter().for_each(|a| self.terms(a));
            }
            ExprKind::Unary { operand, .. } => self.terms(operand),
            ExprKind::Binary { lhs, rhs, .. } => {
                self.terms(lhs);
                self.terms(rhs);
            }
            ExprKind::If { cond, then, otherwise } => {
                [cond, then, otherwise].into_iter().for_each(|x| self.terms(x));
            }
            ExprKind::Index { base, index } => {
                self.terms(base);
                self.terms(index);
            }
            ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Reduce { .. } => {}
        }
    }

    fn term_name(&mut self, name: &str) {
        if name == "ref" {
            add(&mut self.references, name, &[]);
        } else if !self.references.iter().chain(&self.responses).any(|n| n == name) {
            add(&mut self.parameters, name, &["pi", "w", "l", "rho", "beta"]);
        }
    }
}
