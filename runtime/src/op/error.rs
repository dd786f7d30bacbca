//! What can go wrong while a compiled loss runs.

use std::path::PathBuf;

/// An error of the runtime: where it happened and what was wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A model or a tokenizer failed.
    #[error(transparent)]
    Model(#[from] crate::model::Error),
    /// A graphics processor, or the compiler of its kernels, failed or is missing.
    #[error(transparent)]
    Kernel(#[from] crate::kernel::KernelError),
    /// The data is refused.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// The loss cannot be evaluated on what it was given.
    #[error("loss `{loss}`: {reason}")]
    Loss {
        /// The name of the loss.
        loss: String,
        /// What was wrong.
        reason: String,
    },
    /// An argument of an operation holds what it must not.
    #[error("`{argument}`: {reason}")]
    Argument {
        /// Which one.
        argument: &'static str,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// Sizes that must agree do not.
    #[error("{0}")]
    Shape(String),
    /// The operation has no implementation for this device, type or level.
    #[error("{0}")]
    Unsupported(String),
    /// A setting is outside its range, or two settings contradict each other.
    #[error("{0}")]
    Setting(String),
    /// A file cannot be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried: `cannot write`, `cannot read`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason that the system gave.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A loss or a gradient became infinite or NaN.
    #[error("step {step}: {what} is {value}; rows of the batch: {rows:?}")]
    Diverged {
        /// The optimiser step, counted from 1.
        step: usize,
        /// Which quantity.
        what: String,
        /// Its value.
        value: f64,
        /// The numbers of the batch's rows in the data, counted from 0.
        rows: Vec<usize>,
    },
}

impl RuntimeError {
    /// An error about an argument.
    pub(crate) fn argument(argument: &'static str, reason: impl Into<String>) -> Self {
        Self::Argument { argument, reason: reason.into() }
    }

    /// An error about a file, with the system's reason.
    pub fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// An error about what a file holds.
    pub fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.into(), reason: reason.into() }
    }
}
