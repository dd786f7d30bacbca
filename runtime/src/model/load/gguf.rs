//! GGUF models: quantised weights to f32, names and row order back to Hugging Face's.

use std::path::Path;
use std::sync::Arc;

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, ggml_file::qtensor_from_ggml},
};

pub use super::gguf_header::GgufFile;
use super::gguf_header::TensorInfo;
use crate::model::{
    body::{PackedWeights, Weights},
    config::{Architecture, Config, RopeScaling},
    error::{Error, Result},
    ops::PackedMatrix,
};

/// Configuration and f32 weights of a GGUF file.
///
/// # Errors
/// If the file is truncated or corrupt, or holds a model that this crate does not compute.
pub fn load_gguf(path: &Path, device: &Device) -> Result<(Config, Weights)> {
    let (config, weights, _) = load(path, device, false)?;
    Ok((config, weights))
}

/// As [`load_gguf`], but quantised linear maps stay as they are in the file.
///
/// # Errors
/// As [`load_gguf`].
pub fn load_gguf_packed(path: &Path) -> Result<(Config, Weights, PackedWeights)> {
    load(path, &Device::Cpu, true)
}

fn load(path: &Path, device: &Device, pack: bool) -> Result<(Config, Weights, PackedWeights)> {
    let mut file = GgufFile::open(path)?;
    let config = config(&file)?;
    let (mut weights, mut packed) = (Weights::new(), PackedWeights::new());
    for (name, info) in file.tensors.clone() {
        // Rotary factors that a model stretches its context with.
        if name == "rope_freqs.weight" {
            return Err(Error::Unsupported(format!(
                "{}: rotary frequencies in a tensor (`{name}`)",
                path.display()
            )));
        }
        let target = hugging_face_name(&name)
            .ok_or_else(|| Error::UnexpectedTensor { name: name.clone() })?;
        let block = Block::read(&mut file, &name, &info)?;
        let heads = match config.architecture {
            Architecture::Llama => rotated_heads(&target, &config),
            _ => None,
        };
        if pack && target.ends_with("_proj.weight") && block.is_packed() {
            packed.insert(target.clone(), Arc::new(block.packed(&target, heads, &config)?));
        } else {
            let tensor = block.dequantised(device)?;
            let tensor = match heads {
                Some(heads) => restore_row_order(&target, tensor, heads, &config)?,
                None => tensor,
            };
            weights.insert(target, tensor);
        }
    }
    Ok((config, weights, packed))
}

/// The configuration in a GGUF file's metadata.
///
/// # Errors
/// If a field is missing or the model is not one that this crate computes.
pub fn config(file: &GgufFile) -> Result<Config> {
    let name = file
        .string("general.architecture")
        .ok_or_else(|| Error::format(&file.path, "no `general.architecture`"))?;
    let architecture = match name {
        "llama" => Architecture::Llama,
        "qwen2" => Architecture::Qwen2,
        "qwen3" => Architecture::Qwen3,
        other => {
            return Err(Error::Unsupported(format!(
                "{}: architecture `{other}`; known are llama, qwen2, qwen3",
                file.path.display()
            )));
        }
    };
    let key = |field: &str| format!("{name}.{field}");
    let optional = |field: &str| file.unsigned(&key(field)).and_then(|v| usize::try_from(v).ok());
    let size = |field: &str| {
        optional(field).ok_or_else(|| Error::config(&key(field), "is missing or no size"))
    };
    let number = |field: &str| file.metadata.get(&key(field)).and_then(|v| v.as_f64());
    if optional("expert_count").is_some_and(|n| n > 0) {
        return Err(Error::Unsupported(format!("{}: mixture of experts", file.path.display())));
    }
    let hidden_size = size("embedding_length")?;
    let heads = size("attention.head_count")?;
    let head_dim = match optional("attention.key_length") {
        Some(n) => n,
        None if heads > 0 => hidden_size / heads,
        None => 0,
    };
    if optional("rope.dimension_count").is_some_and(|n| n != head_dim) {
        return Err(Error::Unsupported(format!(
            "{}: rotary embedding of a part of each head",
            file.path.display()
        )));
    }
    let rope_scaling = match file.string(&key("rope.scaling.type")) {
        None | Some("none") => None,
        Some("linear") => {
            let factor = number("rope.scaling.factor")
                .ok_or_else(|| Error::config(&key("rope.scaling.factor"), "is missing"))?;
            Some(RopeScaling::Linear { factor })
        }
        Some(other) => {
            return Err(Error::Unsupported(format!("rotary scaling `{other}`")));
        }
    };
    let vocabulary = file.tensors.get("token_embd.weight").and_then(|t| t.shape.first()).copied();
    let token = |key: &str| file.unsigned(key).and_then(|id| u32::try_from(id).ok());
    let has = |tensor: &str| file.tensors.contains_key(tensor);
    let config = Config {
        architecture,
        hidden_size,
        intermediate_size: size("feed_forward_length")?,
        num_hidden_layers: size("block_count")?,
        num_attention_heads: heads,
        num_key_value_heads: optional("attention.head_count_kv").unwrap_or(heads),
        head_dim,
        vocab_size: vocabulary
            .ok_or_else(|| Error::MissingTensor { name: "token_embd.weight".into() })?,
        max_position_embeddings: size("context_length")?,
        sliding_window: None,
        rope_theta: number("rope.freq_base").unwrap_or(10_000.0),
        rope_scaling,
        rms_norm_eps: number("attention.layer_norm_rms_epsilon")
            .ok_or_else(|| Error::config(&key("attention.layer_norm_rms_epsilon"), "is missing"))?,
        tie_word_embeddings: !has("output.weight"),
        qkv_bias: has("blk.0.attn_q.bias"),
        o_bias: has("blk.0.attn_output.bias"),
        mlp_bias: has("blk.0.ffn_gate.bias"),
        initializer_range: 0.02,
        bos_token_id: token("tokenizer.ggml.bos_token_id"),
        eos_token_ids: token("tokenizer.ggml.eos_token_id").into_iter().collect(),
    };
    config.verify()?;
    Ok(config)
}

fn hugging_face_name(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".into()),
        "output_norm.weight" => return Some("model.norm.weight".into()),
        "output.weight" => return Some("lm_head.weight".into()),
        _ => {}
    }
    let mut parts = name.split('.');
    let (Some("blk"), Some(layer), Some(part), Some(kind @ ("weight" | "bias")), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let layer: usize = layer.parse().ok()?;
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}

fn element_type(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// The bytes of one tensor of the file.
struct Block {
    dtype: GgmlDType,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Block {
    fn read(file: &mut GgufFile, name: &str, info: &TensorInfo) -> Result<Self> {
        let Some(dtype) = element_type(info.kind) else {
            let message =
                format!("tensor `{name}` has the element type {}, not read here", info.kind);
            return Err(Error::format(&file.path, message));
        };
        let elements = info.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let bytes = elements
            .filter(|n| n.is_multiple_of(dtype.block_size()))
            .and_then(|n| (n / dtype.block_size()).checked_mul(dtype.type_size()));
        let rows_whole = info.shape.last().is_some_and(|n| n.is_multiple_of(dtype.block_size()));
        let (Some(bytes), true) = (bytes, rows_whole) else {
            let message =
                format!("tensor `{name}` of shape {:?} is no whole number of blocks", info.shape);
            return Err(Error::format(&file.path, message));
        };
        let data = file.bytes(name, info.offset, bytes)?;
        Ok(Self { dtype, shape: info.shape.clone(), data })
    }

    /// Whether it takes less than 16 bits a number.
    fn is_packed(&self) -> bool {
        self.dtype.block_size() > 1 && self.shape.len() == 2
    }

    fn dequantised(&self, device: &Device) -> Result<Tensor> {
        Ok(match self.dtype {
            GgmlDType::F32 => {
                let values =
                    self.data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                Tensor::from_vec(values.collect::<Vec<f32>>(), self.shape.as_slice(), device)?
            }
            dtype => qtensor_from_ggml(dtype, &self.data, self.shape.clone(), &Device::Cpu)?
                .dequantize(&Device::Cpu)?
                .to_device(device)?,
        })
    }

    /// The matrix as it is, its rows in the order of [`restore_row_order`]: blocks lie within a row, so
    /// that whole rows move.
    fn packed(&self, name: &str, heads: Option<usize>, config: &Config) -> Result<PackedMatrix> {
        let rows = self.shape.first().copied().unwrap_or(0);
        let mut ordered = Vec::new();
        let mut data = self.data.as_slice();
        if let Some(heads) = heads {
            check_rows(name, &self.shape, heads, config)?;
            let (row, half) = (self.data.len() / rows.max(1), config.head_dim / 2);
            ordered.reserve_exact(self.data.len());
            for i in 0..rows {
                let (head, within) = (i / config.head_dim, i % config.head_dim);
                let from = head * config.head_dim + 2 * (within % half) + within / half;
                ordered.extend_from_slice(&self.data[from * row..(from + 1) * row]);
            }
            data = &ordered;
        }
        let matrix = qtensor_from_ggml(self.dtype, data, self.shape.clone(), &Device::Cpu)?;
        Ok(PackedMatrix::new(matrix)?)
    }
}

/// The number of heads of a map whose rows GGUF stores in another order.
fn rotated_heads(name: &str, config: &Config) -> Option<usize> {
    match name.rsplit('.').nth(1) {
        Some("q_proj") => Some(config.num_attention_heads),
        Some("k_proj") => Some(config.num_key_value_heads),
        _ => None,
    }
}

fn check_rows(name: &str, shape: &[usize], heads: usize, config: &Config) -> Result<()> {
    let mut expected = shape.to_vec();
    if let Some(rows) = expected.first_mut() {
        *rows = heads * config.head_dim;
    }
    match expected == shape {
        true => Ok(()),
        false => Err(Error::Shape { name: name.to_owned(), expected, actual: shape.to_vec() }),
    }
}

/// GGUF stores Llama's query and key rows so that rotary pairs are neighbours; here, as in Hugging Face
/// checkpoints, the two halves of a head are rotated against each other.
fn restore_row_order(name: &str, tensor: Tensor, heads: usize, config: &Config) -> Result<Tensor> {
    let shape = tensor.dims().to_vec();
    check_rows(name, &shape, heads, config)?;
    let columns: usize = shape.iter().skip(1).product();
    let paired = tensor.reshape((heads, config.head_dim / 2, 2, columns))?;
    Ok(paired.transpose(1, 2)?.contiguous()?.reshape(shape)?)
}
