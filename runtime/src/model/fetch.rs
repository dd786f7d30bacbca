//! Where a model comes from: a GGUF file, a Hugging Face folder, an adapter folder, or the name of a
//! model in the local Hugging Face cache.
//!
//! With the feature `hub` a model that is not in the cache is downloaded into it. The feature is off by
//! default: the client brings an asynchronous HTTP stack that is larger than this program, and every user
//! of the hub has a tool that fills the cache.

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    error::{Error, Result},
    llama::Llama,
    load::{
        hugging_face::{ADAPTER_CONFIG, CONFIG},
        load_adapter, load_gguf, load_gguf_packed, load_hugging_face,
    },
};
use crate::files;

/// The extensions of the files that a model in a folder consists of.
const PARTS: [&str; 5] = ["safetensors", "json", "model", "jinja", "txt"];

/// What a model argument turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A GGUF file.
    Gguf(PathBuf),
    /// A folder with `config.json` and weights.
    Folder(PathBuf),
    /// A folder with a PEFT adapter, which names its base model.
    Adapter(PathBuf),
}

impl Source {
    /// Finds the model that `name` means: a path, or `owner/model` in the local Hugging Face cache.
    ///
    /// # Errors
    /// If there is no such model; the message says where was looked and how to get it.
    pub fn find(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path.is_file() {
            return match path.extension().and_then(|e| e.to_str()) {
                Some(extension) if extension.eq_ignore_ascii_case("gguf") => {
                    Ok(Self::Gguf(path.to_path_buf()))
                }
                _ => Err(Error::format(path, "a model is a .gguf file or a folder")),
            };
        }
        if path.is_dir() {
            return Self::in_folder(path);
        }
        match cached(name, &cache_folders()) {
            Some(folder) => Self::in_folder(&folder),
            None => Self::from_hub(name),
        }
    }

    #[cfg(feature = "hub")]
    fn from_hub(name: &str) -> Result<Self> {
        match name.split_once('/') {
            Some((owner, model)) if !model.contains('/') => {
                Self::in_folder(&super::hub::download(owner, model)?)
            }
            _ => Err(Error::Unsupported(not_found(name))),
        }
    }

    #[cfg(not(feature = "hub"))]
    fn from_hub(name: &str) -> Result<Self> {
        Err(Error::Unsupported(not_found(name)))
    }

    fn in_folder(folder: &Path) -> Result<Self> {
        if folder.join(CONFIG).is_file() {
            return Ok(Self::Folder(folder.to_path_buf()));
        }
        if folder.join(ADAPTER_CONFIG).is_file() {
            return Ok(Self::Adapter(folder.to_path_buf()));
        }
        Err(Error::format(folder, format!("holds neither {CONFIG} nor {ADAPTER_CONFIG}")))
    }

    /// The file or folder that the tokenizer comes from.
    ///
    /// # Errors
    /// If an adapter's base model is not found.
    pub fn base(&self) -> Result<Self> {
        match self {
            Self::Adapter(folder) => match Self::find(&adapted(folder)?)? {
                Self::Adapter(_) => {
                    Err(Error::format(&folder.join(ADAPTER_CONFIG), "the base model is an adapter"))
                }
                base => Ok(base),
            },
            other => Ok(other.clone()),
        }
    }

    /// What an adapter of the model `name` records as its base: for an adapter the base of that one, and
    /// a path in full, so that it is found from anywhere.
    ///
    /// # Errors
    /// If there is no such model, or an adapter does not name its base.
    pub fn base_name(name: &str) -> Result<String> {
        let base = match Self::find(name)? {
            Self::Adapter(folder) => adapted(&folder)?,
            _ => name.to_owned(),
        };
        Ok(Path::new(&base).canonicalize().map_or(base, |p| p.display().to_string()))
    }

    /// A digest (SHA-256) of the content of its files, an adapter's base included.
    ///
    /// # Errors
    /// If a file cannot be read, or an adapter's base model is not found.
    pub fn digest(&self) -> Result<String> {
        let (folder, base) = match self {
            Self::Gguf(path) => return files::digest(path).map_err(Error::io(path)),
            Self::Folder(folder) => (folder, None),
            Self::Adapter(folder) => (folder, Some(self.base()?.digest()?)),
        };
        let mut content = base.unwrap_or_default();
        let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
        let mut paths = entries
            .map(|e| e.map(|e| e.path()))
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(Error::io(folder))?;
        let is_part = |path: &PathBuf| {
            let extension = path.extension().and_then(|e| e.to_str());
            extension.is_some_and(|e| PARTS.contains(&e)) && path.is_file()
        };
        paths.retain(is_part);
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let digest = files::digest(&path).map_err(Error::io(&path))?;
            content.push_str(&format!("\n{name} {digest}"));
        }
        Ok(files::named(Sha256::new_with_prefix(content)))
    }

    /// Loads the model, frozen; an adapter is attached and trainable.
    ///
    /// # Errors
    /// If a file is missing, truncated or corrupt, or the model is not one that this crate computes.
    pub fn load(&self, device: &Device) -> Result<Llama> {
        self.load_as(device, false)
    }

    /// As [`Source::load`]; the quantised linear maps of a GGUF file stay packed, which costs the memory of
    /// the file and not of f32. Packed models run on the CPU, and only adapters of them are trained.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn load_packed(&self) -> Result<Llama> {
        self.load_as(&Device::Cpu, true)
    }

    fn load_as(&self, device: &Device, packed: bool) -> Result<Llama> {
        let (config, weights) = match self {
            Self::Gguf(path) if packed => {
                let (config, weights, packed) = load_gguf_packed(path)?;
                return Llama::packed(config, weights, packed);
            }
            Self::Gguf(path) => load_gguf(path, device)?,
            Self::Folder(folder) => load_hugging_face(folder, device)?,
            Self::Adapter(folder) => {
                let base = self.base()?.load_as(device, packed)?;
                let (lora, weights) = load_adapter(folder, device)?;
                return base.with_adapter_weights(&lora, weights);
            }
        };
        Llama::new(config, weights)
    }
}

/// The base model that an adapter folder names.
fn adapted(folder: &Path) -> Result<String> {
    let path = folder.join(ADAPTER_CONFIG);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| Error::format(&path, e))?;
    match value.get("base_model_name_or_path").and_then(Value::as_str) {
        Some(base) => Ok(base.to_owned()),
        None => Err(Error::format(&path, "no `base_model_name_or_path`")),
    }
}

fn not_found(name: &str) -> String {
    let mut message = format!("`{name}` is no file, no folder and not in the Hugging Face cache");
    if name.split('/').count() == 2 && !name.contains(['\\', ' ']) {
        message.push_str(&format!(
            "; `hf download {name}` gets it, or a build with the feature `hub`"
        ));
    }
    message
}

/// Cache folders in the order in which the Hugging Face tools look.
fn cache_folders() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .into_iter()
        .collect()
}

/// `owner/model` in a cache: the snapshot that `refs/main` names.
fn cached(name: &str, caches: &[PathBuf]) -> Option<PathBuf> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let (owner, model) = name.split_once('/')?;
    if !plain(owner) || !plain(model) {
        return None;
    }
    caches.iter().find_map(|cache| {
        let folder = cache.join(format!("models--{owner}--{model}"));
        let revision = std::fs::read_to_string(folder.join("refs/main")).ok()?;
        let snapshot = folder.join("snapshots").join(revision.trim());
        snapshot.is_dir().then_some(snapshot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_model_is_found_by_name_and_nothing_else_is() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models--owner--tiny");
        std::fs::create_dir_all(folder.join("refs")).unwrap();
        std::fs::create_dir_all(folder.join("snapshots/abc")).unwrap();
        std::fs::write(folder.join("refs/main"), "abc\n").unwrap();
        let caches = [cache.path().to_path_buf()];
        assert_eq!(cached("owner/tiny", &caches), Some(folder.join("snapshots/abc")));
        for name in ["owner/other", "owner", "../x", "owner/..", "/owner"] {
            assert_eq!(cached(name, &caches), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_says_how_to_get_it() {
        let message = Source::find("no-such-owner/no-such-model").unwrap_err().to_string();
        assert!(message.contains("hf download no-such-owner/no-such-model"), "{message}");
        assert!(!Source::find("no such file.gguf").unwrap_err().to_string().contains("download"));
    }
}
