//! The model's hyperparameters, in the vocabulary of Hugging Face's `config.json`.

use super::error::{Error, Result};

/// The model families that share Llama's computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama 2 and 3, SmolLM, TinyLlama and others.
    Llama,
    /// Mistral: Llama whose queries may see a bounded number of keys.
    Mistral,
    /// Qwen 2 and 2.5: Llama with biases on the query, key and value maps.
    Qwen2,
    /// Qwen 3: Llama with every query head and key head normalised.
    Qwen3,
}

impl Architecture {
    /// All families.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// Name of the class in `architectures`.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// `model_type`.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
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
    /// How many keys a query sees, its own included; all if there is no bound.
    pub sliding_window: Option<usize>,
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
        let config = Self::plain(vocab_size, hidden_size, layers, heads, key_value_heads, context);
        config.verify()?;
        Ok(config)
    }

    /// [`Config::small`] of sizes that are known to fit together.
    pub(crate) fn plain(
        vocab_size: usize,
        hidden_size: usize,
        layers: usize,
        heads: usize,
        key_value_heads: usize,
        context: usize,
    ) -> Self {
        Self {
            architecture: Architecture::Llama,
            hidden_size,
            intermediate_size: hidden_size * 3,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: key_value_heads,
            head_dim: hidden_size / heads.max(1),
            vocab_size,
            max_position_embeddings: context,
            sliding_window: None,
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
        }
    }

    /// Whether query heads and key heads are normalised.
    #[must_use]
    pub fn has_head_norms(&self) -> bool {
        self.architecture == Architecture::Qwen3
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// Names the first field that does not.
    pub fn verify(&self) -> Result<()> {
        // No real model comes near these bounds; below them no product of sizes overflows.
        const TOKENS: usize = 1 << 28;
        const FEATURES: usize = 1 << 24;
        const HEADS: usize = 1 << 12;
        const LAYERS: usize = 1 << 12;
        for (field, value, most) in [
            ("hidden_size", self.hidden_size, FEATURES),
            ("intermediate_size", self.intermediate_size, FEATURES),
            ("num_hidden_layers", self.num_hidden_layers, LAYERS),
            ("num_attention_heads", self.num_attention_heads, HEADS),
            ("num_key_value_heads", self.num_key_value_heads, HEADS),
            ("head_dim", self.head_dim, FEATURES / HEADS),
            ("vocab_size", self.vocab_size, TOKENS),
            ("max_position_embeddings", self.max_position_embeddings, TOKENS),
        ] {
            if value == 0 || value > most {
                return Err(Error::config(field, format!("is {value}, outside 1..={most}")));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let message = format!("is no divisor of {} heads", self.num_attention_heads);
            return Err(Error::config("num_key_value_heads", message));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::config("head_dim", "is odd: rotary embedding turns pairs"));
        }
        if self.sliding_window == Some(0) {
            return Err(Error::config("sliding_window", "is 0: a query sees its own key at least"));
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
            if self.has_head_norms() {
                add(format!("{p}.self_attn.q_norm.weight"), &[self.head_dim]);
                add(format!("{p}.self_attn.k_norm.weight"), &[self.head_dim]);
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
}
