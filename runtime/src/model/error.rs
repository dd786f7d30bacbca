//! What can go wrong with a model.

use std::path::PathBuf;

use thiserror::Error;

/// Result of this crate's model functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with the file, tensor or row that it is about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name or place says.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A model configuration that is incomplete or contradicts itself.
    #[error("model configuration: `{field}` {message}")]
    Config {
        /// The field, as `config.json` names it.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A model that this crate does not compute.
    #[error("unsupported model: {0}")]
    Unsupported(String),
    /// A weight that the configuration asks for is absent.
    #[error("the model has no tensor `{name}`")]
    MissingTensor {
        /// The weight.
        name: String,
    },
    /// A weight that the configuration does not know: ignoring it would compute another model.
    #[error("the model has a tensor `{name}` that its configuration does not account for")]
    UnexpectedTensor {
        /// The weight.
        name: String,
    },
    /// A weight of the wrong shape.
    #[error("tensor `{name}` has the shape {actual:?}, expected {expected:?}")]
    Shape {
        /// The weight.
        name: String,
        /// What the configuration asks for.
        expected: Vec<usize>,
        /// What was found.
        actual: Vec<usize>,
    },
    /// A row of token ids that the model cannot take.
    #[error("row {row}: {message}")]
    Row {
        /// Index of the row.
        row: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A backward pass over rows that hold no completion token.
    #[error("no row has a completion token, so there is nothing to learn from")]
    NoCompletion,
    /// A backward pass through a model whose weights are all frozen.
    #[error("the model has no trainable variable")]
    NothingTrainable,
    /// Trainable variables that a backward pass did not reach.
    #[error("the backward pass reached no gradient for {}", .0.join(", "))]
    Unreached(Vec<String>),
    /// Gradients that do not belong together.
    #[error("gradients of different variables: `{0}` and `{1}`")]
    Gradients(String, String),
    /// A loss returned a wrong number of weights.
    #[error("the loss returned {actual} weights for {expected} {what}")]
    Weights {
        /// Rows or tokens.
        what: &'static str,
        /// How many there are.
        expected: usize,
        /// How many weights came back.
        actual: usize,
    },
    /// An adapter request that does not fit the model.
    #[error("adapter: {0}")]
    Adapter(String),
    /// The caller's loss failed.
    #[error("{0}")]
    Loss(Box<dyn std::error::Error + Send + Sync>),
    /// Text could not be turned into tokens or back.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
}

impl Error {
    /// An input or output error of one file.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// A file that is malformed.
    pub(crate) fn format(path: &std::path::Path, message: impl std::fmt::Display) -> Self {
        Self::Format { path: path.to_path_buf(), message: message.to_string() }
    }

    /// A configuration field that is wrong.
    pub(crate) fn config(field: &str, message: impl std::fmt::Display) -> Self {
        Self::Config { field: field.to_owned(), message: message.to_string() }
    }
}
