//! What a loss calls models and responses.

use crate::data::Shape;

/// The names that a loss gives to models and responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The trained model.
    pub policy: String,
    /// The frozen model.
    pub reference: String,
    /// The model that the responses were sampled from, where the loss reads one. It is asked once, as the
    /// reference is, and is the same model.
    pub sampler: Option<String>,
    /// The responses.
    pub responses: ResponseNames,
}

/// The names of the responses, by what one example of the loss is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseNames {
    /// Two responses.
    Pair {
        /// The preferred response.
        chosen: String,
        /// The other response.
        rejected: String,
        /// Further responses to the prompt, such as a rationale.
        further: Vec<String>,
    },
    /// One response with a label.
    Labelled {
        /// The response.
        response: String,
    },
    /// Any number of responses under one name, ranked or with numbers.
    List {
        /// Each response.
        responses: String,
    },
    /// One response, token by token.
    Trajectory {
        /// The response.
        response: String,
    },
}

impl Names {
    /// The names of further responses.
    pub(super) fn further(&self) -> &[String] {
        match &self.responses {
            ResponseNames::Pair { further, .. } => further,
            _ => &[],
        }
    }

    /// What one example of the loss is.
    pub fn shape(&self) -> Shape {
        match self.responses {
            ResponseNames::Pair { .. } => Shape::Pair,
            ResponseNames::Labelled { .. } => Shape::Labelled,
            ResponseNames::List { .. } => Shape::List,
            ResponseNames::Trajectory { .. } => Shape::Trajectory,
        }
    }

    /// Whether a name is the reference's, or the sampler's.
    pub(super) fn is_frozen(&self, model: &str) -> bool {
        model == self.reference || self.sampler.as_deref() == Some(model)
    }

    /// Which response of an example a name means: its place, or 0 for any of a list.
    pub(super) fn side(&self, response: &str) -> Option<usize> {
        match &self.responses {
            ResponseNames::Pair { chosen, .. } if response == chosen => Some(0),
            ResponseNames::Pair { rejected, .. } if response == rejected => Some(1),
            ResponseNames::Pair { further, .. } => {
                further.iter().position(|f| f == response).map(|i| 2 + i)
            }
            ResponseNames::Labelled { response: own }
            | ResponseNames::Trajectory { response: own }
            | ResponseNames::List { responses: own } => (own == response).then_some(0),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            policy: "pi".into(),
            reference: "ref".into(),
            sampler: None,
            responses: ResponseNames::Pair {
                chosen: "w".into(),
                rejected: "l".into(),
                further: Vec::new(),
            },
        }
    }
}
