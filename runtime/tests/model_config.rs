//! Configurations of published models, and those that are refused.

// Helpers of a test fail as the test does.
#![allow(clippy::unwrap_used)]

use ponens_runtime::model::{Architecture, Config, RopeScaling};
use serde_json::{Value, json};

fn smollm2() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
        "max_position_embeddings": 8192, "rope_theta": 100000, "rope_scaling": null,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "attention_bias": false,
        "bos_token_id": 1, "eos_token_id": 2,
    })
}

fn read(change: Value) -> Result<Config, String> {
    let mut config = smollm2();
    for (key, value) in change.as_object().unwrap() {
        config[key] = value.clone();
    }
    Config::from_json(&config.to_string()).map_err(|e| e.to_string())
}

#[test]
fn a_published_configuration_is_read_and_written_back() {
    let config = read(json!({})).unwrap();
    assert_eq!((config.head_dim, config.parameter_count()), (64, 134_515_008));
    assert_eq!(config.eos_token_ids, [2]);
    assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
}

#[test]
fn qwen2_has_biases_on_queries_keys_and_values_only() {
    let config =
        read(json!({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"})).unwrap();
    assert_eq!(config.architecture, Architecture::Qwen2);
    let names: Vec<String> = config.parameters().into_iter().map(|p| p.name).collect();
    assert!(names.contains(&"model.layers.0.self_attn.k_proj.bias".to_owned()));
    assert!(!names.contains(&"model.layers.0.self_attn.o_proj.bias".to_owned()));
    assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
}

#[test]
fn rotary_parameters_are_found_in_both_places() {
    let scaling = json!({
        "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    let old = read(json!({"rope_scaling": scaling})).unwrap();
    let mut nested = scaling;
    nested["rope_theta"] = json!(100_000.0);
    let new = read(json!({"rope_theta": null, "rope_parameters": nested})).unwrap();
    assert_eq!(old, new);
    assert!(matches!(old.rope_scaling, Some(RopeScaling::Llama3 { .. })));
    assert_eq!(Config::from_json(&old.to_json()).unwrap(), old);
    // High frequencies stay, low ones are divided, those between are mixed.
    let plain = read(json!({})).unwrap().rope_frequencies();
    let scaled = old.rope_frequencies();
    assert_eq!(scaled[0], plain[0]);
    assert!((scaled[31] * 32.0 / plain[31] - 1.0).abs() < 1e-6);
    let ratios: Vec<f32> = scaled.iter().zip(&plain).map(|(s, p)| s / p).collect();
    assert!(ratios.windows(2).all(|r| r[1] <= r[0] + 1e-6), "{ratios:?}");
    assert!(ratios.iter().any(|r| *r > 0.1 && *r < 0.9), "{ratios:?}");
    let linear = read(json!({"rope_scaling": {"type": "linear", "factor": 2.0}})).unwrap();
    assert_eq!(linear.rope_frequencies()[3], plain[3] / 2.0);
}

#[test]
fn models_that_are_not_computed_here_are_refused_by_name() {
    for (change, word) in [
        (json!({"architectures": ["GPT2LMHeadModel"]}), "GPT2LMHeadModel"),
        (json!({"architectures": ["Qwen3MoeForCausalLM"]}), "Qwen3MoeForCausalLM"),
        (json!({"architectures": null, "model_type": "mamba"}), "mamba"),
        (json!({"hidden_act": "gelu"}), "gelu"),
        (json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}), "yarn"),
        (json!({"quantization_config": {"bits": 4}}), "quantised"),
        (
            json!({
                "architectures": ["Qwen3ForCausalLM"], "use_sliding_window": true,
                "sliding_window": 4096
            }),
            "sliding-window",
        ),
    ] {
        let error = read(change).unwrap_err();
        assert!(error.contains("unsupported") && error.contains(word), "{error}");
    }
    for (window, wanted) in [(8192, None), (4096, Some(4096))] {
        let json = json!({"architectures": ["MistralForCausalLM"], "sliding_window": window});
        let config = read(json).unwrap();
        assert_eq!((config.architecture, config.sliding_window), (Architecture::Mistral, wanted));
        assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
    }
}

#[test]
fn fields_that_are_missing_mistyped_or_contradictory_are_named() {
    for (change, field) in [
        (json!({"hidden_size": null}), "hidden_size"),
        (json!({"num_hidden_layers": "30"}), "num_hidden_layers"),
        (json!({"num_hidden_layers": 0}), "num_hidden_layers"),
        (json!({"num_hidden_layers": 1_000_000_000}), "num_hidden_layers"),
        (json!({"num_attention_heads": 1_000_000_000, "head_dim": 64}), "num_attention_heads"),
        (json!({"vocab_size": 1e18}), "vocab_size"),
        (json!({"num_key_value_heads": 2}), "num_key_value_heads"),
        (json!({"head_dim": 63}), "head_dim"),
        (json!({"hidden_size": 577}), "hidden_size"),
        (json!({"hidden_size": 1_u64 << 60, "head_dim": 64}), "hidden_size"),
        (json!({"rms_norm_eps": -1.0}), "rms_norm_eps"),
        (json!({"tie_word_embeddings": "yes"}), "tie_word_embeddings"),
        (json!({"eos_token_id": [2, -1]}), "eos_token_id"),
        (json!({"eos_token_id": 99999}), "eos_token_id"),
    ] {
        let error = read(change.clone()).unwrap_err();
        assert!(error.contains(field), "{change}: {error}");
    }
    assert!(Config::from_json("[]").is_err());
    assert!(Config::from_json("{").is_err());
}
