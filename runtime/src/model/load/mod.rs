//! From files to a configuration and weights: GGUF files and Hugging Face folders.
//!
//! Files are read tensor by tensor, so that at no time both the file and the weights are held. Headers
//! are read with every length checked against what the file still holds: a truncated or corrupt file
//! is an error that names it.

pub mod gguf;
pub(crate) mod gguf_header;
pub mod hugging_face;
mod safetensors;

pub use gguf::{load_gguf, load_gguf_packed};
pub use hugging_face::{load_adapter, load_hugging_face};
