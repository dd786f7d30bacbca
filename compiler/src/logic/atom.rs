//! Atoms: the predictions that a structure speaks about.

use std::fmt;

/// What the weight of an atom is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AtomKind {
    /// The probability that a model gives to a response; `mean` when its token log-probabilities
    /// are averaged.
    Response {
        /// The model's name in the loss.
        model: String,
        /// The response's name in the loss.
        response: String,
        /// Averaged instead of summed.
        mean: bool,
    },
    /// A constant weight e^-|c|, written as the text of |c| (SimPO's margin).
    Constant(String),
    /// A copy of another atom, for a weight that stands twice (DPOP).
    Copy(Box<AtomKind>, u8),
    /// The weight of another atom to a power, written as text.
    Power(Box<AtomKind>, String),
}

/// A prediction that is true or false, with a name for printing.
///
/// Two structures speak about the same prediction exactly where their atoms are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Atom {
    /// `pi(w)`, `ref(l)`, ...
    pub name: String,
    /// Its weight.
    pub kind: AtomKind,
}

impl Atom {
    /// `model(response)`, weighted by the summed log-probability.
    pub fn response(model: &str, response: &str) -> Self {
        Self::aggregated(model, response, false)
    }

    /// `model(response)`, weighted by the summed log-probability, or the averaged one where `mean`.
    pub fn aggregated(model: &str, response: &str, mean: bool) -> Self {
        Self {
            name: format!("{model}({response})"),
            kind: AtomKind::Response { model: model.into(), response: response.into(), mean },
        }
    }

    /// A constant atom of weight e^-|c|; `text` is how |c| is written.
    pub fn constant(text: &str) -> Self {
        let kind = AtomKind::Constant(text.into());
        Self { name: name_of(&kind), kind }
    }

    /// The `number`-th copy of this atom: as likely, but an event of its own.
    #[must_use]
    pub fn copy(&self, number: u8) -> Self {
        Self {
            name: format!("{}#{number}", self.name),
            kind: AtomKind::Copy(Box::new(self.kind.clone()), number),
        }
    }

    /// An atom whose weight is that of this one to a power, `exponent` being how that is written.
    #[must_use]
    pub fn power(&self, exponent: &str) -> Self {
        let kind = AtomKind::Power(Box::new(self.kind.clone()), exponent.into());
        Self { name: raised(&self.name, exponent), kind }
    }

    /// The atom about response `to` where this one is about `from`, and the other way round.
    #[must_use]
    pub fn swapped(&self, from: &str, to: &str) -> Self {
        let kind = swap(&self.kind, from, to);
        if kind == self.kind {
            return self.clone();
        }
        Self { name: name_of(&kind), kind }
    }
}

fn swap(kind: &AtomKind, from: &str, to: &str) -> AtomKind {
    match kind {
        AtomKind::Response { model, response, mean } => {
            let other = if response == from {
                to
            } else if response == to {
                from
            } else {
                response
            };
            AtomKind::Response { model: model.clone(), response: other.into(), mean: *mean }
        }
        AtomKind::Constant(text) => AtomKind::Constant(text.clone()),
        AtomKind::Copy(inner, number) => AtomKind::Copy(Box::new(swap(inner, from, to)), *number),
        AtomKind::Power(inner, exponent) => {
            AtomKind::Power(Box::new(swap(inner, from, to)), exponent.clone())
        }
    }
}

fn name_of(kind: &AtomKind) -> String {
    match kind {
        AtomKind::Response { model, response, .. } => format!("{model}({response})"),
        AtomKind::Constant(text) if text.contains(" + ") || text.contains(" - ") => {
            format!("exp(-({text}))")
        }
        // -log(0.3) is the size of exp(log(0.3)).
        AtomKind::Constant(text) => match text.strip_prefix('-') {
            Some(minus) => format!("exp({minus})"),
            None => format!("exp(-{text})"),
        },
        AtomKind::Copy(inner, number) => format!("{}#{number}", name_of(inner)),
        AtomKind::Power(inner, exponent) => raised(&name_of(inner), exponent),
    }
}

fn raised(name: &str, exponent: &str) -> String {
    if exponent.contains(' ') {
        format!("{name}^({exponent})")
    } else {
        format!("{name}^{exponent}")
    }
}

impl AsRef<str> for Atom {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
