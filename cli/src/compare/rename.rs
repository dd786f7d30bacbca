//! One loss in the names of another.

use ponens_compiler::hir::{Loss, Quantity, Role};
use ponens_compiler::logic::{Atom, AtomKind, Structure};
use std::collections::HashMap;

/// From the names of one loss to those of another with the same roles and ranks.
pub(super) struct Renaming {
    models: HashMap<String, String>,
    responses: HashMap<String, String>,
}

impl Renaming {
    /// Names of `from` as `to` would call them. A name without a counterpart stays, marked where `to` uses
    /// it for something else.
    pub(super) fn new(from: &Loss, to: &Loss) -> Self {
        let of_role = |l: &Loss, role: Role| -> Vec<String> {
            l.models.iter().filter(|m| m.role == role).map(|m| m.name.clone()).collect()
        };
        let mut models = HashMap::new();
        for role in [Role::Policy, Role::Reference] {
            models.extend(of_role(from, role).into_iter().zip(of_role(to, role)));
        }
        let names = |l: &Loss| l.models.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        keep_apart(&mut models, names(from), names(to));
        let all = |l: &Loss| l.shape.responses().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut responses = HashMap::new();
        if same_shape(from, to) {
            responses.extend(all(from).into_iter().zip(all(to)));
        }
        keep_apart(&mut responses, all(from), all(to));
        Self { models, responses }
    }

    fn model(&self, name: &str) -> String {
        self.models.get(name).map_or(name, String::as_str).to_owned()
    }

    fn response(&self, name: &str) -> String {
        self.responses.get(name).map_or(name, String::as_str).to_owned()
    }

    /// A structure with its atoms renamed.
    pub(super) fn structure(&self, s: &Structure) -> Structure {
        Structure { atoms: self.atoms(&s.atoms), ..s.clone() }
    }

    /// Atoms after renaming.
    pub(super) fn atoms(&self, atoms: &[Atom]) -> Vec<Atom> {
        let atom = |a: &Atom| match &a.kind {
            AtomKind::Response { model, response, mean } => {
                Atom::aggregated(&self.model(model), &self.response(response), *mean)
            }
            _ => a.clone(),
        };
        atoms.iter().map(atom).collect()
    }

    /// A quantity after renaming.
    pub(super) fn quantity(&self, q: &Quantity) -> Quantity {
        let mut q = q.clone();
        match &mut q {
            Quantity::Token(inner) => **inner = self.quantity(inner),
            Quantity::Logp { model, response }
            | Quantity::MeanLogp { model, response }
            | Quantity::SharedLogp { model, response }
            | Quantity::TailLogp { model, response }
            | Quantity::DivergedLogp { model, response }
            | Quantity::Entropy { model, response }
            | Quantity::Head { model, response, .. }
            | Quantity::LogSumP2 { model, response } => {
                *model = self.model(model);
                *response = self.response(response);
            }
            Quantity::MismatchedLogp { model } => *model = self.model(model),
            Quantity::Kl { first, second, response } => {
                *first = self.model(first);
                *second = self.model(second);
                *response = self.response(response);
            }
            Quantity::Len { response } => *response = self.response(response),
            Quantity::Label { .. } | Quantity::Data { .. } => {}
        }
        q
    }
}

/// Whether examples of the two losses have the same parts.
pub(super) fn same_shape(a: &Loss, b: &Loss) -> bool {
    a.shape.name() == b.shape.name()
}

/// Gives every name without a counterpart one that nothing else has.
fn keep_apart(map: &mut HashMap<String, String>, from: Vec<String>, to: Vec<String>) {
    for name in from {
        if map.contains_key(&name) {
            continue;
        }
        let mut own = name.clone();
        while to.contains(&own) || map.values().any(|v| *v == own) {
            own.push('\'');
        }
        map.insert(name, own);
    }
}
