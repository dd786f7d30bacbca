//! Hugging Face folders: models and PEFT adapters.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use candle_core::Device;
use serde::Deserialize;
use serde_json::Value;

use super::safetensors::read_safetensors;
use crate::model::{
    body::Weights,
    config::Config,
    error::{Error, Result},
    lora::LoraConfig,
};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";
pub(crate) const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// Configuration and f32 weights of a folder with `config.json` and `model.safetensors`, or the shards
/// that `model.safetensors.index.json` lists.
///
/// # Errors
/// If a file is missing, truncated or corrupt, or describes a model that this crate does not compute.
pub fn load_hugging_face(folder: &Path, device: &Device) -> Result<(Config, Weights)> {
    let mut config = in_file(&folder.join(CONFIG), Config::from_json)?;
    add_generation_eos(folder, &mut config)?;
    let mut weights = Weights::new();
    for file in weight_files(folder)? {
        read_safetensors(&file, device, |name, tensor| {
            match weights.insert(name.clone(), tensor) {
                None => Ok(()),
                Some(_) => Err(Error::format(&file, format!("tensor `{name}` occurs twice"))),
            }
        })?;
    }
    Ok((config, weights))
}

/// Instruction-tuned checkpoints name further end tokens in `generation_config.json`.
fn add_generation_eos(folder: &Path, config: &mut Config) -> Result<()> {
    let path = folder.join("generation_config.json");
    if !path.is_file() {
        return Ok(());
    }
    let value: Value =
        in_file(&path, |text| serde_json::from_str(text).map_err(|e| Error::format(&path, e)))?;
    let ids = match value.get("eos_token_id") {
        Some(Value::Array(ids)) => ids.clone(),
        Some(id) => vec![id.clone()],
        None => Vec::new(),
    };
    for id in ids.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()) {
        if !config.eos_token_ids.contains(&id) && (id as usize) < config.vocab_size {
            config.eos_token_ids.push(id);
        }
    }
    Ok(())
}

fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let whole = folder.join(WEIGHTS);
    let index = folder.join(INDEX);
    if whole.is_file() || !index.is_file() {
        return Ok(vec![whole]);
    }
    let parsed: Index =
        in_file(&index, |text| serde_json::from_str(text).map_err(|e| Error::format(&index, e)))?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    for name in &names {
        // A shard is a file beside the index, never somewhere else.
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(Error::format(&index, format!("shard `{name}` is no plain file name")));
        }
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// A PEFT adapter: its configuration and weights by PEFT's names.
///
/// # Errors
/// If a file is missing, truncated or corrupt, or the adapter is of a kind that this crate does not
/// compute.
pub fn load_adapter(folder: &Path, device: &Device) -> Result<(LoraConfig, Weights)> {
    let path = folder.join(ADAPTER_CONFIG);
    let config = in_file(&path, |text| {
        let value: Value = serde_json::from_str(text).map_err(|e| Error::format(&path, e))?;
        adapter_config(&value)
    })?;
    let mut weights = Weights::new();
    read_safetensors(&folder.join(ADAPTER_WEIGHTS), device, |name, tensor| {
        weights.insert(name, tensor);
        Ok(())
    })?;
    Ok((config, weights))
}

fn adapter_config(value: &Value) -> Result<LoraConfig> {
    let refuse = |what: String| Err(Error::Adapter(format!("{what} is not supported")));
    if value.get("peft_type").and_then(Value::as_str) != Some("LORA") {
        return refuse(format!("peft_type {}", value.get("peft_type").unwrap_or(&Value::Null)));
    }
    for flag in ["use_dora", "use_rslora", "fan_in_fan_out"] {
        if value.get(flag).and_then(Value::as_bool).unwrap_or(false) {
            return refuse(flag.to_owned());
        }
    }
    let is_empty = |v: &Value| match v {
        Value::Null => true,
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    };
    for list in [
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "layers_to_transform",
        "layers_pattern",
    ] {
        if value.get(list).is_some_and(|v| !is_empty(v)) {
            return refuse(list.to_owned());
        }
    }
    match value.get("bias").and_then(Value::as_str) {
        None | Some("none") => {}
        Some(other) => return refuse(format!("bias `{other}`")),
    }
    let number = |field: &str| {
        let number = value.get(field).and_then(Value::as_f64);
        number.ok_or_else(|| Error::config(field, "is missing or no number"))
    };
    let target_modules = match value.get("target_modules") {
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::String(all)) if all == "all-linear" => {
            LoraConfig::MODULES.map(str::to_owned).to_vec()
        }
        other => return refuse(format!("target_modules {}", other.unwrap_or(&Value::Null))),
    };
    let rank = number("r")?;
    if rank.fract() != 0.0 || !(1.0..=65_536.0).contains(&rank) {
        return Err(Error::config("r", format!("is {rank}, not a rank")));
    }
    let config = LoraConfig {
        rank: rank as usize,
        alpha: number("lora_alpha")?,
        dropout: value.get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.0),
        target_modules,
    };
    config.verify()?;
    Ok(config)
}

/// Reads and interprets a small text file; errors of the interpretation name the file.
fn in_file<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    parse(&text).map_err(|error| match error {
        named @ (Error::Format { .. } | Error::Io { .. }) => named,
        other => Error::format(path, other),
    })
}
