//! The model's hyperparameters from and to the text of a `config.json`.

use serde_json::{Map, Value, json};

use super::{
    config::{Architecture, Config, RopeScaling},
    error::{Error, Result},
};

impl Config {
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
            value["sliding_window"] = json!(self.sliding_window);
        }
        format!("{value:#}\n")
    }
}

impl Architecture {
    fn from_model_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.model_type() == name)
    }
}

impl RopeScaling {
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
        let sliding_window = self.sliding_window(architecture, max_position_embeddings)?;
        let attention_bias = self.flag("attention_bias", false)?;
        let qwen = architecture == Architecture::Qwen2;
        let head_dim = match self.present("head_dim") {
            Some(_) => self.size("head_dim")?,
            // What Transformers takes where the file does not say.
            None if architecture == Architecture::Qwen3 => 128,
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
            sliding_window,
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
        let known = Architecture::ALL;
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

    /// The bound on the keys that a query sees, where it is one. Qwen bounds some layers only, which is
    /// not computed here.
    fn sliding_window(&self, family: Architecture, positions: usize) -> Result<Option<usize>> {
        let used = match family {
            Architecture::Llama => false,
            Architecture::Mistral => true,
            Architecture::Qwen2 | Architecture::Qwen3 => self.flag("use_sliding_window", false)?,
        };
        match self.present("sliding_window") {
            Some(_) if used => {}
            _ => return Ok(None),
        }
        let window = self.size("sliding_window")?;
        match family {
            _ if window >= positions => Ok(None),
            Architecture::Mistral => Ok(Some(window)),
            _ => Err(Error::Unsupported(format!(
                "sliding-window attention of some layers ({window} of {positions} positions)"
            ))),
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
