//! The model's hyperparameters, in the vocabulary of Hugging Face's `config.json`.

use serde_json::{Map, Value, json};

use super::error::{Error, Result};

/// The model families that share Llama's computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama 2 and 3, SmolLM, TinyLlama and others.
    Llama,
    /// Mistral without sliding-window attention.
    Mistral,
    /// Qwen 2 and 2.5: Llama with biases on the query, key and value maps.
    Qwen2,
}

impl Architecture {
    /// Name of the class in `architectures`.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
        }
    }

    /// `model_type`.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
        }
    }

    fn from_model_type(name: &str) -> Option<Self> {
        [Self::Llama, Self::Mistral, Self::Qwen2].into_iter().find(|a| a.model_type() == name)
    }
}

/// How rotary frequencies are stretched to longer contexts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Every frequency divided by `factor`.
    Linear {
        /// Stretch, at least 1.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// Stretch of the low frequencies.
        factor: f64,
        /// Turns over the original context below which a frequency is low.
        low_freq_factor: f64,
        /// Turns over the original context above which a frequency is high.
        high_freq_factor: f64,
        /// Positions that the model was first trained on.
        original_max_position_embeddings: f64,
    },
}

/// A Llama-family model, by the field names of `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Which family.
    pub architecture: Architecture,
    /// Features of a token.
    pub hidden_size: usize,
    /// Features inside the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Features of one head; even.
    pub head_dim: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Positions that the model takes.
    pub max_position_embeddings: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How they are stretched, if at all.
    pub rope_scaling: Option<RopeScaling>,
    /// Added to the mean square in normalisation.
    pub rms_norm_eps: f64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Biases on the query, key and value maps.
    pub qkv_bias: bool,
    /// Bias on the attention output map.
    pub o_bias: bool,
    /// Biases in the feed-forward layer.
    pub mlp_bias: bool,
    /// Standard deviation of random initial weights.
    pub initializer_range: f64,
    /// Begin-of-text token.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
}

/// Name and shape of one weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in Hugging Face checkpoints.
    pub name: String,
    /// Its shape; linear maps are `[out, in]`.
    pub shape: Vec<usize>,
}

impl Config {
    /// A small Llama with tied embeddings and default constants, for tests and embedded tasks.
    ///
    /// # Errors
    /// If the sizes contradict each other.
    pub fn small(
        vocab_size: usize,
        hidden_size: usize,
        layers: usize,
        heads: usize,
        key_value_heads: usize,
        context: usize,
    ) -> Result<Self> {
        let config = Self {
            architecture: Architecture::Llama,
            hidden_size,
            intermediate_size: hidden_size * 3,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: key_value_heads,
            head_dim: hidden_size / heads.max(1),
            vocab_size,
            max_position_embeddings: context,
            rope_theta: 10_000.0,
            rope_scaling: None,
            rms_norm_eps: 1e-5,
            tie_word_embeddings: true,
            qkv_bias: false,
            o_bias: false,
            mlp_bias: false,
            initializer_range: 0.02,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
        };
        config.verify()?;
        Ok(config)
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// If it is not JSON, lacks a field, contradicts itself, or describes a model that this crate does
    /// not compute: a wrong answer is worse than none.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value =
            serde_json::from_str(text).map_err(|e| Error::config("(document)", e))?;
        let Value::Object(fields) = value else {
            return Err(Error::config("(document)", "is not an object"));
        };
        Reader { fields: &fields }.config()
    }

    /// The text of a `config.json` that other programs read too.
    #[must_use]
    pub fn to_json(&self) -> String {
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let mut value = json!({
            "architectures": [self.architecture.class()],
            "model_type": self.architecture.model_type(),
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.max_position_embeddings,
            "rope_theta": self.rope_theta,
            "rope_scaling": self.rope_scaling.map(RopeScaling::to_json),
            "rms_norm_eps": self.rms_norm_eps,
            "tie_word_embeddings": self.tie_word_embeddings,
            "attention_bias": self.qkv_bias && self.o_bias,
            "mlp_bias": self.mlp_bias,
            "initializer_range": self.initializer_range,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "torch_dtype": "float32",
        });
        if self.architecture == Architecture::Mistral {
            value["sliding_window"] = Value::Null;
        }
        format!("{value:#}\n")
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// Names the first field that does not.
    pub fn verify(&self) -> Result<()> {
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            // No real model comes near; products of two such sizes stay far from overflow.
            if value == 0 || value > 1 << 28 {
                return Err(Error::config(field, format!("is {value}, not a usable size")));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let message = format!("is no divisor of {} heads", self.num_attention_heads);
            return Err(Error::config("num_key_value_heads", message));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::config("head_dim", "is odd: rotary embedding turns pairs"));
        }
        let positive = |field, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::config(field, format!("is {value}, not a positive number"))),
        };
        positive("rope_theta", self.rope_theta)?;
        positive("rms_norm_eps", self.rms_norm_eps)?;
        positive("initializer_range", self.initializer_range)?;
        let tokens = self.eos_token_ids.iter().chain(&self.bos_token_id);
        for &id in tokens {
            if id as usize >= self.vocab_size {
                let message = format!("is {id}, outside the vocabulary of {}", self.vocab_size);
                return Err(Error::config("eos_token_id or bos_token_id", message));
            }
        }
        Ok(())
    }

    /// Rotary frequencies, one for each pair of features of a head, in radians a position.
    #[must_use]
    pub fn rope_frequencies(&self) -> Vec<f32> {
        let size = self.head_dim as f32;
        let base = self.rope_theta as f32;
        (0..self.head_dim)
            .step_by(2)
            .map(|i| 1.0 / base.powf(i as f32 / size))
            .map(|frequency| match self.rope_scaling {
                None => frequency,
                Some(scaling) => scaling.apply(frequency),
            })
            .collect()
    }

    /// Every weight of the model in a fixed order: embedding, layers, final norm, head if untied.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let (q, kv) =
            (self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim);
        let mut out = Vec::new();
        let mut add = |name: String, shape: &[usize]| {
            out.push(Parameter { name, shape: shape.to_vec() });
        };
        add("model.embed_tokens.weight".into(), &[self.vocab_size, d]);
        for i in 0..self.num_hidden_layers {
            let p = format!("model.layers.{i}");
            add(format!("{p}.input_layernorm.weight"), &[d]);
            for (name, rows, columns, bias) in [
                ("q_proj", q, d, self.qkv_bias),
                ("k_proj", kv, d, self.qkv_bias),
                ("v_proj", kv, d, self.qkv_bias),
                ("o_proj", d, q, self.o_bias),
            ] {
                add(format!("{p}.self_attn.{name}.weight"), &[rows, columns]);
                if bias {
                    add(format!("{p}.self_attn.{name}.bias"), &[rows]);
                }
            }
            add(format!("{p}.post_attention_layernorm.weight"), &[d]);
            for (name, rows, columns) in
                [("gate_proj", f, d), ("up_proj", f, d), ("down_proj", d, f)]
            {
                add(format!("{p}.mlp.{name}.weight"), &[rows, columns]);
                if self.mlp_bias {
                    add(format!("{p}.mlp.{name}.bias"), &[rows]);
                }
            }
        }
        add("model.norm.weight".into(), &[d]);
        if !self.tie_word_embeddings {
            add("lm_head.weight".into(), &[self.vocab_size, d]);
        }
        out
    }

    /// Number of weights.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }
}

impl RopeScaling {
    fn apply(self, frequency: f32) -> f32 {
        match self {
            Self::Linear { factor } => frequency / factor as f32,
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let turns = original_max_position_embeddings * f64::from(frequency)
                    / (2.0 * std::f64::consts::PI);
                let slow = f64::from(frequency) / factor;
                if turns > high_freq_factor {
                    frequency
                } else if turns < low_freq_factor {
                    slow as f32
                } else {
                    let ramp = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    ((1.0 - ramp) * slow + ramp * f64::from(frequency)) as f32
                }
            }
        }
    }

    fn to_json(self) -> Value {
        match self {
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings as u64,
            }),
        }
    }
}

struct Reader<'a> {
    fields: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn config(&self) -> Result<Config> {
        let architecture = self.architecture()?;
        match self.present("hidden_act").map(|v| v.as_str().unwrap_or_default()) {
            None | Some("silu" | "swish") => {}
            Some(other) => {
                return Err(Error::Unsupported(format!("activation `{other}` (only silu)")));
            }
        }
        if let Some(quantization) = self.present("quantization_config") {
            return Err(Error::Unsupported(format!("quantised weights ({quantization})")));
        }
        let hidden_size = self.size("hidden_size")?;
        let heads = self.size("num_attention_heads")?;
        let max_position_embeddings = self.size_or("max_position_embeddings", 2048)?;
        self.refuse_sliding_window(architecture, max_position_embeddings)?;
        let attention_bias = self.flag("attention_bias", false)?;
        let qwen = architecture == Architecture::Qwen2;
        let head_dim = match self.present("head_dim") {
            Some(_) => self.size("head_dim")?,
            None if heads > 0 && hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                let message = format!("is no multiple of {heads} heads");
                return Err(Error::config("hidden_size", message));
            }
        };
        let config = Config {
            architecture,
            hidden_size,
            intermediate_size: self.size("intermediate_size")?,
            num_hidden_layers: self.size("num_hidden_layers")?,
            num_attention_heads: heads,
            num_key_value_heads: self.size_or("num_key_value_heads", heads)?,
            head_dim,
            vocab_size: self.size("vocab_size")?,
            max_position_embeddings,
            rope_theta: self.rope_theta()?,
            rope_scaling: self.rope_scaling()?,
            rms_norm_eps: self.number_or("rms_norm_eps", 1e-6)?,
            tie_word_embeddings: self.flag("tie_word_embeddings", false)?,
            qkv_bias: qwen || attention_bias,
            o_bias: !qwen && attention_bias,
            mlp_bias: self.flag("mlp_bias", false)?,
            initializer_range: self.number_or("initializer_range", 0.02)?,
            bos_token_id: self.tokens("bos_token_id")?.first().copied(),
            eos_token_ids: self.tokens("eos_token_id")?,
        };
        config.verify()?;
        Ok(config)
    }

    fn architecture(&self) -> Result<Architecture> {
        let classes: Vec<&str> = self
            .present("architectures")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let model_type = self.present("model_type").and_then(Value::as_str);
        let known = [Architecture::Llama, Architecture::Mistral, Architecture::Qwen2];
        let by_class = known.into_iter().find(|a| classes.contains(&a.class()));
        let found = match (by_class, classes.is_empty(), model_type) {
            (Some(architecture), _, _) => Some(architecture),
            (None, true, Some(name)) => Architecture::from_model_type(name),
            _ => None,
        };
        found.ok_or_else(|| {
            let name = classes.first().copied().or(model_type).unwrap_or("(none named)");
            let known = known.map(Architecture::class).join(", ");
            Error::Unsupported(format!("architecture `{name}`; known are {known}"))
        })
    }

    fn refuse_sliding_window(&self, architecture: Architecture, positions: usize) -> Result<()> {
        let used = match architecture {
            Architecture::Llama => false,
            Architecture::Mistral => true,
            Architecture::Qwen2 => self.flag("use_sliding_window", false)?,
        };
        match self.present("sliding_window").and_then(Value::as_u64) {
            Some(window) if used && window < positions as u64 => Err(Error::Unsupported(format!(
                "sliding-window attention ({window} of {positions} positions)"
            ))),
            _ => Ok(()),
        }
    }

    /// Rotary parameters lie at the top level, or, since Transformers 5, in an object of their own.
    fn rope_fields(&self) -> Option<Reader<'_>> {
        ["rope_parameters", "rope_scaling"]
            .into_iter()
            .find_map(|name| self.present(name).and_then(Value::as_object))
            .map(|fields| Reader { fields })
    }

    fn rope_theta(&self) -> Result<f64> {
        match self.rope_fields() {
            Some(nested) if nested.present("rope_theta").is_some() => {
                nested.number_or("rope_theta", 10_000.0)
            }
            _ => self.number_or("rope_theta", 10_000.0),
        }
    }

    fn rope_scaling(&self) -> Result<Option<RopeScaling>> {
        let Some(nested) = self.rope_fields() else { return Ok(None) };
        let kind = nested.present("rope_type").or_else(|| nested.present("type"));
        match kind.and_then(Value::as_str) {
            None | Some("default") => Ok(None),
            Some("linear") => Ok(Some(RopeScaling::Linear { factor: nested.number("factor")? })),
            Some("llama3") => Ok(Some(RopeScaling::Llama3 {
                factor: nested.number("factor")?,
                low_freq_factor: nested.number("low_freq_factor")?,
                high_freq_factor: nested.number("high_freq_factor")?,
                original_max_position_embeddings: nested
                    .number("original_max_position_embeddings")?,
            })),
            Some(other) => Err(Error::Unsupported(format!("rotary scaling `{other}`"))),
        }
    }

    /// A field that is there and not null.
    fn present(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|v| !v.is_null())
    }

    fn size(&self, field: &str) -> Result<usize> {
        let value = self.present(field).ok_or_else(|| Error::config(field, "is missing"))?;
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
        size.ok_or_else(|| Error::config(field, format!("is {value}, not a size")))
    }

    fn size_or(&self, field: &str, default: usize) -> Result<usize> {
        if self.present(field).is_some() { self.size(field) } else { Ok(default) }
    }

    fn number(&self, field: &str) -> Result<f64> {
        let value = self.present(field).ok_or_else(|| Error::config(field, "is missing"))?;
        value.as_f64().ok_or_else(|| Error::config(field, format!("is {value}, not a number")))
    }

    fn number_or(&self, field: &str, default: f64) -> Result<f64> {
        if self.present(field).is_some() { self.number(field) } else { Ok(default) }
    }

    fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.present(field) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(other) => Err(Error::config(field, format!("is {other}, not true or false"))),
        }
    }

    /// One token id or a list of them.
    fn tokens(&self, field: &str) -> Result<Vec<u32>> {
        let id = |value: &Value| {
            let id = value.as_u64().and_then(|n| u32::try_from(n).ok());
            id.ok_or_else(|| Error::config(field, format!("holds {value}, not a token id")))
        };
        match self.present(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(value) => Ok(vec![id(value)?]),
        }
    }
}
