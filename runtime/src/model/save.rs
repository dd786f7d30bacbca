//! Models and adapters as files that other programs read: Hugging Face folders, PEFT adapters.
//!
//! Each file is written beside its place under another name, flushed to disk and renamed: a run that is
//! killed leaves the old file or the new one, never a half.

use std::{borrow::Cow, collections::HashMap, io::Write, path::Path};

use candle_core::{DType, Device, Tensor};
use half::bf16;
use safetensors::{Dtype, View};
use serde_json::json;
use tempfile::NamedTempFile;

use super::{
    causal_lm::CausalLm,
    error::{Error, Result},
    llama::Llama,
    load::hugging_face::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG, WEIGHTS},
};
use crate::files;

/// Element type of saved weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveType {
    /// As they are held.
    #[default]
    F32,
    /// Half the size, rounded to 8 significant bits.
    Bf16,
}

/// Writes `config.json` and `model.safetensors` to `folder`, which is created. An adapter is merged
/// into the weights. The tokenizer is saved by itself.
///
/// # Errors
/// If a file cannot be written.
pub fn save_model(model: &Llama, folder: &Path, save_type: SaveType) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let merged;
    let model = match model.adapter() {
        None => model,
        Some(_) => {
            merged = model.merged()?;
            &merged
        }
    };
    let mut config = model.config().to_json();
    if save_type == SaveType::Bf16 {
        config = config.replace("\"float32\"", "\"bfloat16\"");
    }
    save_tensors(&folder.join(WEIGHTS), model.weights()?, save_type)?;
    save_text(&folder.join(CONFIG), &config)
}

/// Writes the model's adapter in PEFT's layout: `adapter_config.json`, `adapter_model.safetensors`.
/// `base` is the name or path of the base model that is recorded.
///
/// # Errors
/// If the model has no adapter or a file cannot be written.
pub fn save_adapter(model: &Llama, base: &str, folder: &Path) -> Result<()> {
    let Some(lora) = model.adapter() else {
        return Err(Error::Adapter("the model has none to save".into()));
    };
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let config = json!({
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": lora.rank,
        "target_modules": lora.target_modules,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": false,
    });
    save_tensors(&folder.join(ADAPTER_WEIGHTS), model.adapter_weights()?, SaveType::F32)?;
    save_text(&folder.join(ADAPTER_CONFIG), &format!("{config:#}\n"))
}

/// Writes named tensors to one safetensors file.
///
/// # Errors
/// If the file cannot be written.
pub fn save_tensors(
    path: &Path,
    tensors: Vec<(String, Tensor)>,
    save_type: SaveType,
) -> Result<()> {
    let views: Result<Vec<(String, Bytes)>> =
        tensors.iter().map(|(name, t)| Ok((name.clone(), Bytes::new(t, save_type)?))).collect();
    // Readers of this format refuse a file that does not say whose layout it has.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let temporary = temporary_beside(path)?;
    safetensors::serialize_to_file(views?, Some(metadata), temporary.path())
        .map_err(|e| Error::format(path, e))?;
    persist(temporary, path)
}

/// Writes a small text file.
///
/// # Errors
/// If the file cannot be written.
pub fn save_text(path: &Path, text: &str) -> Result<()> {
    let mut temporary = temporary_beside(path)?;
    temporary.write_all(text.as_bytes()).map_err(Error::io(path))?;
    persist(temporary, path)
}

fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    files::temporary_file().tempfile_in(folder).map_err(Error::io(path))
}

fn persist(temporary: NamedTempFile, path: &Path) -> Result<()> {
    // By name: the writer of tensors may have replaced the file that was opened first.
    let file = std::fs::File::open(temporary.path()).map_err(Error::io(path))?;
    file.sync_all().map_err(Error::io(path))?;
    let ordinary = temporary.as_file().metadata().map_err(Error::io(path))?.permissions();
    file.set_permissions(ordinary).map_err(Error::io(path))?;
    temporary.persist(path).map_err(|e| Error::io(path)(e.error))?;
    Ok(())
}

/// A tensor whose bytes are made when they are written, so that one copy exists at a time.
struct Bytes {
    tensor: Tensor,
    save_type: SaveType,
}

impl Bytes {
    fn new(tensor: &Tensor, save_type: SaveType) -> Result<Self> {
        let tensor = tensor.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        Ok(Self { tensor: tensor.contiguous()?, save_type })
    }
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        match self.save_type {
            SaveType::F32 => Dtype::F32,
            SaveType::Bf16 => Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        self.tensor.dims()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = super::ops::slices::with_slice(&self.tensor, |values| match self.save_type {
            SaveType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            SaveType::Bf16 => {
                values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect::<Vec<u8>>()
            }
        });
        // The constructor made a contiguous CPU tensor of f32, for which this cannot fail; an empty
        // answer would be caught by the writer's own length check.
        Cow::Owned(bytes.unwrap_or_default())
    }

    fn data_len(&self) -> usize {
        let width = match self.save_type {
            SaveType::F32 => 4,
            SaveType::Bf16 => 2,
        };
        self.tensor.elem_count() * width
    }
}

impl Llama {
    /// The adapter's weights by PEFT's names; empty without an adapter.
    ///
    /// # Errors
    /// If the device fails.
    pub fn adapter_weights(&self) -> Result<Vec<(String, Tensor)>> {
        let mut body = self.plain.clone();
        let mut out = Vec::new();
        body.each_map(|layer, name, map| {
            if let Some(adapter) = &map.adapter {
                out.push((super::lora::variable_name(layer, name, 'A'), adapter.a.clone()));
                out.push((super::lora::variable_name(layer, name, 'B'), adapter.b.clone()));
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// Whether any weight is trained.
    #[must_use]
    pub fn is_trainable(&self) -> bool {
        !self.trainable().is_empty()
    }
}
