//! What can go wrong between a loss and its kernels.

use std::path::PathBuf;

/// Why kernels could not be compiled or run.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A library of CUDA is not there.
    #[error("{library} is not installed: looked for {}", tried.join(", "))]
    Missing {
        /// `NVRTC`, or `the CUDA driver`.
        library: &'static str,
        /// Where it was looked for.
        tried: Vec<String>,
        /// How to get it.
        help: String,
    },
    /// There is no such graphics processor.
    #[error("there is no graphics processor {index}: {reason}")]
    NoDevice {
        /// Which one, from 0.
        index: usize,
        /// What the driver says.
        reason: String,
    },
    /// No such architecture, or one that is too old.
    #[error(
        "`{given}` is no architecture of kernels: they need sm_80 or newer, as in sm_80, sm_90, sm_90a"
    )]
    Arch {
        /// The text.
        given: String,
    },
    /// The compiler refuses the text.
    #[error("NVRTC does not compile the kernels for {arch}:\n{log}")]
    Compile {
        /// What it was to be compiled for.
        arch: String,
        /// What the compiler says.
        log: String,
        /// The text.
        source_text: String,
    },
    /// A function of CUDA failed.
    #[error("{call} failed: {reason}")]
    Cuda {
        /// The function.
        call: &'static str,
        /// What it returned.
        reason: String,
    },
    /// An argument does not fit.
    #[error("{argument}: {reason}")]
    Input {
        /// Which one.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the cache cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A machine refuses or interrupts a launch.
    #[error("{kernel}: {reason}")]
    Launch {
        /// The kernel.
        kernel: String,
        /// What happened.
        reason: String,
    },
}

impl KernelError {
    pub(crate) fn input(argument: impl Into<String>, reason: impl Into<String>) -> Self {
        KernelError::Input { argument: argument.into(), reason: reason.into() }
    }

    /// True where a card, or a part of CUDA, is not there at all.
    pub fn is_missing(&self) -> bool {
        matches!(self, KernelError::Missing { .. } | KernelError::NoDevice { .. })
    }

    /// How to go on, where that is known.
    pub fn help(&self) -> Option<&str> {
        match self {
            KernelError::Missing { help, .. } => Some(help),
            KernelError::NoDevice { .. } => Some("use --backend cpu"),
            _ => None,
        }
    }
}
