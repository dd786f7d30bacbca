//! The weights of a Llama and its forward pass, layer by layer.

use std::{collections::HashMap, sync::Arc};

use candle_core::{Result as TensorResult, Tensor};

use super::{
    config::Config,
    error::{Error, Result},
    lora::{self, Adapter},
    ops::{
        MapWeight, PackedMatrix, RotaryTable, Span, attention, attention::Heads, map_linear,
        rms_norm, rope, swiglu,
    },
    rows::Packed,
};

/// Weights by their Hugging Face names.
pub type Weights = HashMap<String, Tensor>;

/// Weights of linear maps that stay packed, by the same names.
pub type PackedWeights = HashMap<String, Arc<PackedMatrix>>;

/// What a pass knows beside the activations.
pub(crate) struct Pass {
    pub(crate) table: RotaryTable,
    pub(crate) positions: Arc<Vec<u32>>,
    pub(crate) spans: Arc<Vec<Span>>,
    /// Of each token the seed of its dropout masks; none outside training. The same seeds give the same
    /// masks, so a layer that is computed again in the backward pass is the same layer.
    pub(crate) dropout: Option<Vec<u64>>,
}

impl Pass {
    pub(crate) fn new(config: &Config, packed: &Packed, dropout: Option<u64>) -> Self {
        let positions = packed.positions.iter().max().map_or(0, |&p| p as usize + 1);
        Self {
            table: RotaryTable::new(&config.rope_frequencies(), positions),
            positions: packed.positions.clone(),
            spans: packed.spans.clone(),
            dropout: dropout.map(|seed| lora::token_seeds(seed, packed)),
        }
    }
}

/// `x W^T + b`, with a low-rank correction where one is attached.
#[derive(Clone, Debug)]
pub(crate) struct LinearMap {
    pub(crate) weight: MapWeight,
    pub(crate) bias: Option<Tensor>,
    pub(crate) adapter: Option<Adapter>,
}

impl LinearMap {
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass) -> TensorResult<Tensor> {
        let y = match &self.adapter {
            None => map_linear(x, &self.weight)?,
            Some(adapter) => adapter.forward(x, &self.weight, pass.dropout.as_deref())?,
        };
        match &self.bias {
            None => Ok(y),
            Some(bias) => y.broadcast_add(bias),
        }
    }
}

/// How many of a layer's linear maps belong to attention; the others are the feed-forward layer's.
const ATTENTION_MAPS: usize = 4;

/// Weights `[head size]` of a layer's query and key normalisation (Qwen 3).
#[derive(Clone, Debug)]
pub(crate) struct HeadNorms {
    pub(crate) q: Tensor,
    pub(crate) k: Tensor,
}

/// Normalises every head of `x [N, heads * head size]`.
fn norm_heads(x: &Tensor, weight: &Tensor, eps: f32) -> TensorResult<Tensor> {
    let heads = x.reshape(((), weight.elem_count()))?;
    rms_norm(&heads, weight, eps)?.reshape(x.shape())
}

/// One transformer layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) input_norm: Tensor,
    pub(crate) q: LinearMap,
    pub(crate) k: LinearMap,
    pub(crate) v: LinearMap,
    pub(crate) o: LinearMap,
    /// Normalisation of each query head and each key head, where the family has it.
    pub(crate) head_norms: Option<HeadNorms>,
    pub(crate) post_norm: Tensor,
    pub(crate) gate: LinearMap,
    pub(crate) up: LinearMap,
    pub(crate) down: LinearMap,
}

impl Layer {
    /// Keys and values of new tokens, rotated: `[N, key heads * head size]` each.
    pub(crate) fn keys_values(
        &self,
        normed: &Tensor,
        config: &Config,
        pass: &Pass,
    ) -> TensorResult<(Tensor, Tensor)> {
        let mut k = self.k.forward(normed, pass)?;
        if let Some(norms) = &self.head_norms {
            k = norm_heads(&k, &norms.k, config.rms_norm_eps as f32)?;
        }
        let k = rope(&k, &pass.table, &pass.positions)?;
        Ok((k, self.v.forward(normed, pass)?))
    }

    pub(crate) fn norm_input(&self, x: &Tensor, eps: f32) -> TensorResult<Tensor> {
        rms_norm(x, &self.input_norm, eps)
    }

    /// The layer given the keys and values that its queries see.
    pub(crate) fn attend(
        &self,
        x: &Tensor,
        normed: &Tensor,
        (k, v): (&Tensor, &Tensor),
        config: &Config,
        pass: &Pass,
    ) -> TensorResult<Tensor> {
        let heads = Heads {
            queries: config.num_attention_heads,
            keys: config.num_key_value_heads,
            size: config.head_dim,
            window: config.sliding_window,
        };
        let mut q = self.q.forward(normed, pass)?;
        if let Some(norms) = &self.head_norms {
            q = norm_heads(&q, &norms.q, config.rms_norm_eps as f32)?;
        }
        let q = rope(&q, &pass.table, &pass.positions)?;
        let y = attention(&q, k, v, heads, &pass.spans)?;
        let x = (x + self.o.forward(&y, pass)?)?;
        let h = rms_norm(&x, &self.post_norm, config.rms_norm_eps as f32)?;
        let inner = swiglu(&self.gate.forward(&h, pass)?, &self.up.forward(&h, pass)?)?;
        x + self.down.forward(&inner, pass)?
    }

    /// Tokens that see only tokens of the same batch: `x [N, hidden]`, result like `x`.
    pub(crate) fn forward(&self, x: &Tensor, config: &Config, pass: &Pass) -> TensorResult<Tensor> {
        let normed = self.norm_input(x, config.rms_norm_eps as f32)?;
        let (k, v) = self.keys_values(&normed, config, pass)?;
        self.attend(x, &normed, (&k, &v), config, pass)
    }

    fn linear_maps(&mut self) -> [(&'static str, &mut LinearMap); 7] {
        [
            ("self_attn.q_proj", &mut self.q),
            ("self_attn.k_proj", &mut self.k),
            ("self_attn.v_proj", &mut self.v),
            ("self_attn.o_proj", &mut self.o),
            ("mlp.gate_proj", &mut self.gate),
            ("mlp.up_proj", &mut self.up),
            ("mlp.down_proj", &mut self.down),
        ]
    }
}

/// All weights.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) embedding: Tensor,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Tensor,
    /// The head, if it is not the embedding.
    pub(crate) head: Option<Tensor>,
}

impl Body {
    /// Takes the weights that the configuration asks for, checking names and shapes.
    pub(crate) fn new(
        config: &Config,
        mut weights: Weights,
        mut packed: PackedWeights,
    ) -> Result<Self> {
        if config.tie_word_embeddings {
            // Some checkpoints repeat the embedding as a head; tying makes it redundant.
            weights.remove("lm_head.weight");
        }
        // Constants that old checkpoints hold; they follow from the configuration.
        weights.retain(|name, _| !name.ends_with("rotary_emb.inv_freq"));
        let mut taken: HashMap<String, Tensor> = HashMap::new();
        let mut kept: HashMap<String, MapWeight> = HashMap::new();
        for parameter in config.parameters() {
            // Only the linear maps of the layers can stay packed.
            let map = parameter.name.ends_with("_proj.weight");
            if let Some(matrix) = packed.remove(&parameter.name).filter(|_| map) {
                let weight = MapWeight::Packed(matrix);
                let (rows, columns) = weight.dims2()?;
                if parameter.shape != [rows, columns] {
                    return Err(Error::Shape {
                        name: parameter.name,
                        expected: parameter.shape,
                        actual: vec![rows, columns],
                    });
                }
                kept.insert(parameter.name, weight);
                continue;
            }
            let tensor = weights
                .remove(&parameter.name)
                .ok_or_else(|| Error::MissingTensor { name: parameter.name.clone() })?;
            if tensor.dims() != parameter.shape {
                return Err(Error::Shape {
                    name: parameter.name,
                    expected: parameter.shape,
                    actual: tensor.dims().to_vec(),
                });
            }
            taken.insert(parameter.name, tensor.contiguous()?);
        }
        if let Some(name) = weights.into_keys().chain(packed.into_keys()).min() {
            return Err(Error::UnexpectedTensor { name });
        }
        let mut take = |name: &str| {
            taken.remove(name).ok_or_else(|| Error::MissingTensor { name: name.to_owned() })
        };
        let embedding = take("model.embed_tokens.weight")?;
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for i in 0..config.num_hidden_layers {
            let mut map = |name: &str, bias: bool| -> Result<LinearMap> {
                let name_of_weight = format!("model.layers.{i}.{name}.weight");
                let weight = match kept.remove(&name_of_weight) {
                    Some(packed) => packed,
                    None => MapWeight::Dense(take(&name_of_weight)?),
                };
                let bias = match bias {
                    true => Some(take(&format!("model.layers.{i}.{name}.bias"))?),
                    false => None,
                };
                Ok(LinearMap { weight, bias, adapter: None })
            };
            let maps = [
                map("self_attn.q_proj", config.qkv_bias)?,
                map("self_attn.k_proj", config.qkv_bias)?,
                map("self_attn.v_proj", config.qkv_bias)?,
                map("self_attn.o_proj", config.o_bias)?,
                map("mlp.gate_proj", config.mlp_bias)?,
                map("mlp.up_proj", config.mlp_bias)?,
                map("mlp.down_proj", config.mlp_bias)?,
            ];
            let [q, k, v, o, gate, up, down] = maps;
            let mut part = |name: &str| take(&format!("model.layers.{i}.{name}.weight"));
            let head_norms = match config.has_head_norms() {
                true => {
                    Some(HeadNorms { q: part("self_attn.q_norm")?, k: part("self_attn.k_norm")? })
                }
                false => None,
            };
            let input_norm = part("input_layernorm")?;
            let post_norm = part("post_attention_layernorm")?;
            layers.push(Layer { input_norm, q, k, v, o, head_norms, post_norm, gate, up, down });
        }
        let norm = take("model.norm.weight")?;
        let head = if config.tie_word_embeddings { None } else { Some(take("lm_head.weight")?) };
        Ok(Self { embedding, layers, norm, head })
    }

    /// The output head `[vocabulary, hidden]`.
    pub(crate) fn head(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Calls `f` on every base weight, with its name, in the order of [`Config::parameters`].
    pub(crate) fn each_weight(
        &mut self,
        mut f: impl FnMut(&str, &mut Tensor) -> Result<()>,
    ) -> Result<()> {
        f("model.embed_tokens.weight", &mut self.embedding)?;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let name = |part: &str| format!("model.layers.{i}.{part}");
            f(&name("input_layernorm.weight"), &mut layer.input_norm)?;
            for (part, map) in layer.linear_maps().into_iter().take(ATTENTION_MAPS) {
                each_of_map(&name(part), map, &mut f)?;
            }
            if let Some(norms) = &mut layer.head_norms {
                f(&name("self_attn.q_norm.weight"), &mut norms.q)?;
                f(&name("self_attn.k_norm.weight"), &mut norms.k)?;
            }
            f(&name("post_attention_layernorm.weight"), &mut layer.post_norm)?;
            for (part, map) in layer.linear_maps().into_iter().skip(ATTENTION_MAPS) {
                each_of_map(&name(part), map, &mut f)?;
            }
        }
        f("model.norm.weight", &mut self.norm)?;
        if let Some(head) = &mut self.head {
            f("lm_head.weight", head)?;
        }
        Ok(())
    }

    /// Calls `f` on every linear map of the layers: layer index, name within the layer, map.
    pub(crate) fn each_map(
        &mut self,
        mut f: impl FnMut(usize, &'static str, &mut LinearMap) -> Result<()>,
    ) -> Result<()> {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            for (name, map) in layer.linear_maps() {
                f(i, name, map)?;
            }
        }
        Ok(())
    }

    /// The same storage, without gradient tracking.
    pub(crate) fn detach(&self) -> Self {
        let mut body = self.clone();
        let detach = |t: &mut Tensor| *t = t.detach();
        detach(&mut body.embedding);
        detach(&mut body.norm);
        body.head.iter_mut().for_each(detach);
        for layer in &mut body.layers {
            detach(&mut layer.input_norm);
            detach(&mut layer.post_norm);
            if let Some(norms) = &mut layer.head_norms {
                detach(&mut norms.q);
                detach(&mut norms.k);
            }
            for (_, map) in layer.linear_maps() {
                map.weight = map.weight.detach();
                map.bias.iter_mut().for_each(detach);
                if let Some(adapter) = &mut map.adapter {
                    detach(&mut adapter.a);
                    detach(&mut adapter.b);
                }
            }
        }
        body
    }

    /// Token embeddings, `[N, hidden]`.
    pub(crate) fn embed(&self, tokens: &[u32]) -> TensorResult<Tensor> {
        let index = Tensor::from_slice(tokens, tokens.len(), self.embedding.device())?;
        self.embedding.index_select(&index, 0)
    }

    /// Final normalisation of the chosen rows of `x`.
    pub(crate) fn finish(&self, x: &Tensor, rows: &[u32], config: &Config) -> TensorResult<Tensor> {
        let index = Tensor::from_slice(rows, rows.len(), x.device())?;
        rms_norm(&x.index_select(&index, 0)?, &self.norm, config.rms_norm_eps as f32)
    }
}

fn each_of_map(
    name: &str,
    map: &mut LinearMap,
    f: &mut impl FnMut(&str, &mut Tensor) -> Result<()>,
) -> Result<()> {
    let name_of_weight = format!("{name}.weight");
    match &mut map.weight {
        MapWeight::Dense(weight) => f(&name_of_weight, weight)?,
        packed => {
            // Looked at, it is f32 for a moment; made a variable, it stays f32.
            let mut weight = packed.dense()?;
            f(&name_of_weight, &mut weight)?;
            if weight.is_variable() {
                *packed = MapWeight::Dense(weight);
            }
        }
    }
    if let Some(bias) = &mut map.bias {
        f(&format!("{name}.bias"), bias)?;
    }
    Ok(())
}
