//! Comparing two losses at every level at which they can be the same (SEMANTICS, section 3).
//!
//! In: two compiled losses with parameters. Out: [`Comparison`]: structure, rho, core and value, and the
//! order of their rho with its proof. Names do not matter: the second loss's models and responses are
//! renamed after the first's by role and rank. Constants in rho count by their value at the given
//! parameters. Invariant: what is said is proved, and judged by [`relate::check`] or the rewriter's
//! checker, or refuted by an example; what is neither is left open.
//!
//! | module | what it does |
//! |---|---|
//! | `rename` | one loss in the names of the other |
//! | `atoms` | equal atoms for equal predictions of equal weight |
//! | `core` | what is left of a structure without margins and aggregation |
//! | `join` | both losses as one graph |
//! | `value` | whether they have the same value |

mod atoms;
mod core;
mod join;
mod rename;
mod value;

use atoms::Valued;
use ponens_compiler::decompile;
use ponens_compiler::explain;
use ponens_compiler::hir::{Core, Loss};
use ponens_compiler::logic::{AtomKind, LargeStructure};
use ponens_compiler::mir::Graph;
use ponens_compiler::relate::{self, Order, Refuted, Relation, Verdict};
use ponens_compiler::session::Compiled;
use ponens_dsl::Diagnostic;
use rename::Renaming;

pub use value::{Difference, LossEquality, POINTS};

/// How two losses compare.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How their structures compare; the reason where one of them has none.
    pub relation: Result<Relation, String>,
    /// What the judge says of the relation's proof.
    pub judged: Result<(), Refuted>,
    /// The same rho when link, margins and aggregation are left aside; `None` without structures.
    pub core_equal: Option<bool>,
    /// Whether they have the same value at the given parameters.
    pub value: LossEquality,
    /// What a reader must know about the atoms.
    pub notes: Vec<String>,
}

impl Comparison {
    /// True when both have the same rho for all weights.
    pub fn is_equal(&self) -> bool {
        self.order() == Some(Order::Equal)
    }

    /// How the first stands to the second; `None` where one of them has no structure.
    pub fn order(&self) -> Option<Order> {
        self.relation.as_ref().ok().map(|r| r.order)
    }

    /// The same comparison once its proof has passed the judge. What is too large to be multiplied out
    /// again was found by the same exact arithmetic and passes.
    ///
    /// # Errors
    /// `E0603`: the judge refuses the relation.
    pub fn judged(self) -> std::result::Result<Self, Diagnostic> {
        match &self.judged {
            Ok(()) | Err(Refuted::TooLarge) => Ok(self),
            Err(e) => {
                let text = format!("the checker refuses the relation: {e}");
                Err(Diagnostic::error("E0603", text))
            }
        }
    }

    /// Why there is no order: no structure, or a bound that was met.
    pub fn reason(&self) -> Option<String> {
        let relation = match &self.relation {
            Ok(relation) => relation,
            Err(reason) => return Some(reason.clone()),
        };
        if relation.order != Order::Undecided {
            return None;
        }
        let limit = [relation.dominates, relation.dominated_by].into_iter().find_map(|v| match v {
            Verdict::Undecided { within } => Some(within),
            _ => None,
        });
        Some(match limit {
            Some(within) => format!("undecided within {within}"),
            None => "undecided: no witness was found".to_owned(),
        })
    }
}

/// Compares two losses, each with values for its parameters in order.
pub fn compare(a: (&Compiled, &[f64]), b: (&Compiled, &[f64])) -> Comparison {
    let names = Renaming::new(&b.0.loss, &a.0.loss);
    if [a, b].iter().any(|(c, _)| explain::large(&c.loss).is_some()) {
        return compare_large(a, b, &names);
    }
    let structures = structure(&a.0.loss, a.1).and_then(|x| {
        let mut y = structure(&b.0.loss, b.1)?;
        y.structure = names.structure(&y.structure);
        Ok((x, y))
    });
    let value = equality(a, b, &names);
    match structures {
        Ok((x, y)) => {
            let core_equal = Some(core::same(&x.structure, &y.structure));
            let (mut x, mut y) = atoms::with_constants(x, y);
            let apart = atoms::tell_apart(&mut x, &mut y);
            let relation = relate::compare(&x, &y);
            let judged = relate::check(&x, &y, &relation);
            let notes = notes(&relation, apart);
            Comparison { relation: Ok(relation), judged, core_equal, value, notes }
        }
        Err(reason) => Comparison {
            relation: Err(reason),
            judged: Ok(()),
            core_equal: None,
            value,
            notes: Vec::new(),
        },
    }
}

/// The same where one of them has more atoms than a truth table holds: on diagrams. A constant is an atom
/// of its own there, whatever its value.
fn compare_large(a: (&Compiled, &[f64]), b: (&Compiled, &[f64]), names: &Renaming) -> Comparison {
    let value = equality(a, b, names);
    let of = |(c, params): (&Compiled, &[f64])| match explain::large(&c.loss) {
        Some(large) => Ok(large),
        None => structure(&c.loss, params).map(|v| LargeStructure::from(&v.structure)),
    };
    let structures = of(a).and_then(|x| {
        let y = of(b)?;
        Ok((x, LargeStructure { atoms: names.atoms(&y.atoms), ..y }))
    });
    match structures {
        Ok((x, y)) => {
            let relation = relate::compare_large(&x, &y);
            let judged = relate::check_large(&x, &y, &relation);
            let core_equal = Some(core::same_large(&x, &y));
            let notes = notes(&relation, false);
            Comparison { relation: Ok(relation), judged, core_equal, value, notes }
        }
        Err(reason) => Comparison {
            relation: Err(reason),
            judged: Ok(()),
            core_equal: None,
            value,
            notes: Vec::new(),
        },
    }
}

fn notes(relation: &Relation, apart: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if apart {
        notes.push(
            "one loss sums the log-probabilities of a response and the other averages them: these are \
             different atoms"
                .to_owned(),
        );
    }
    let constant = |a: &&ponens_compiler::logic::Atom| matches!(a.kind, AtomKind::Constant(_));
    let free: Vec<&str> = relation.atoms.iter().filter(constant).map(|a| a.name.as_str()).collect();
    if !free.is_empty() {
        notes.push(format!(
            "the relation is about every weight of {}, not only the one at these parameters",
            free.join(" and ")
        ));
    }
    notes
}

/// The structure of a loss, its decompilation checked, with the values of its constants.
fn structure(loss: &Loss, params: &[f64]) -> Result<Valued, String> {
    let because = |reason: &str| format!("`{}` has no logical core: {reason}", loss.name);
    let none = |n: explain::NoStructure| because(&n.reason);
    if matches!(loss.core, Some(Core::Logical { .. })) {
        let structure = explain::structure(loss).map_err(none)?.structure;
        return Ok(Valued { structure, constants: Vec::new() });
    }
    let (rho, found) = explain::decompiled(loss).map_err(none)?;
    decompile::check(&rho, &found)
        .map_err(|e| because(&format!("the checker refuses the decompilation: {e}")))?;
    let values: Vec<(&str, f64)> =
        loss.params.iter().map(|p| p.name.as_str()).zip(params.iter().copied()).collect();
    let constants = found
        .constants
        .iter()
        .filter(|(atom, _)| found.structure.atoms.contains(atom))
        .filter_map(|(atom, c)| Some((atom.clone(), atoms::value(c, &values)?)))
        .collect();
    Ok(Valued { structure: found.structure, constants })
}

/// Whether the values are the same.
fn equality(a: (&Compiled, &[f64]), b: (&Compiled, &[f64]), names: &Renaming) -> LossEquality {
    if !rename::same_shape(&a.0.loss, &b.0.loss) {
        let evidence =
            format!("they read different data: {} and {}", a.0.loss.shape, b.0.loss.shape);
        return LossEquality::Different { evidence, example: None };
    }
    let joined = |pick: fn(&Compiled) -> &Graph| {
        let first =
            join::Part { graph: pick(a.0), columns: &a.0.loss.columns, params: a.1, names: None };
        let second = join::Part {
            graph: pick(b.0),
            columns: &b.0.loss.columns,
            params: b.1,
            names: Some(names),
        };
        join::join(&first, &second)
    };
    match (joined(|c| &c.written), joined(|c| &c.value.graph)) {
        (Some(written), Some(stable)) => value::decide(&written, &stable),
        _ => LossEquality::Open("a column of one loss has no place in the other".to_owned()),
    }
}
