//! Download from the Hugging Face hub into its local cache (feature `hub`).

use std::path::PathBuf;

use hf_hub::HFClientSync;

use super::error::{Error, Result};

/// What a model needs of its repository.
const FILES: [&str; 4] = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"];

/// The snapshot folder of `owner/model`, downloaded where it is not in the cache.
///
/// # Errors
/// If there is no network, no such model, or no right to read it.
pub(super) fn download(owner: &str, model: &str) -> Result<PathBuf> {
    let failed = |e: hf_hub::HFError| Error::Unsupported(format!("{owner}/{model}: {e}"));
    let client = HFClientSync::new().map_err(failed)?;
    client
        .model(owner, model)
        .snapshot_download()
        .allow_patterns(FILES.map(str::to_owned).to_vec())
        .send()
        .map_err(failed)
}
