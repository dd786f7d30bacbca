//! Models and adapters to files and back, GGUF files, and what truncated or corrupt files do.

// Helpers of a test fail as the test does.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, path::Path};

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor, gguf_file},
};
use ponens_runtime::{
    model::{
        Architecture, CausalLm, Config, Error, Llama, LoraConfig, Rows, SaveType, Source,
        load::{load_adapter, load_gguf, load_hugging_face},
        save::{save_adapter, save_model, save_tensors},
    },
    tokenizer::Tokenizer,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

fn config() -> Config {
    // Sizes are multiples of 32, GGUF's block.
    let mut config = Config::small(40, 32, 2, 4, 2, 32).unwrap();
    config.eos_token_ids = vec![0];
    config
}

fn model() -> Llama {
    Llama::random(config(), 9, &Device::Cpu).unwrap()
}

fn rows() -> Rows {
    let mut rows = Rows::default();
    rows.push(&[1, 2, 3], &[4, 5, 6, 7]);
    rows.push(&[8, 9], &[10, 39, 0]);
    rows
}

fn logps(model: &Llama) -> Vec<f64> {
    model.completion_logps(&rows()).unwrap()
}

fn assert_close(a: &[f64], b: &[f64], tolerance: f64) {
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() < tolerance, "{a:?} {b:?}");
    }
}

fn load(folder: &Path) -> Llama {
    Source::find(folder.to_str().unwrap()).unwrap().load(&Device::Cpu).unwrap()
}

#[test]
fn a_saved_model_is_the_same_model() {
    let qwen = Config { architecture: Architecture::Qwen2, qkv_bias: true, ..config() };
    let untied = Config { tie_word_embeddings: false, ..config() };
    let normed = Config { architecture: Architecture::Qwen3, ..config() };
    let bounded =
        Config { architecture: Architecture::Mistral, sliding_window: Some(3), ..config() };
    for config in [config(), qwen, untied, normed, bounded] {
        let folder = tempfile::tempdir().unwrap();
        let model = Llama::random(config.clone(), 9, &Device::Cpu).unwrap();
        save_model(&model, folder.path(), SaveType::F32).unwrap();
        let loaded = load(folder.path());
        assert_eq!(loaded.config(), &config);
        assert_eq!(logps(&loaded), logps(&model));
        save_model(&model, folder.path(), SaveType::Bf16).unwrap();
        assert_close(&logps(&load(folder.path())), &logps(&model), 0.1);
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "no temporary file is left: {names:?}");
    }
}

#[test]
fn shards_are_read_through_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    let weights = model.weights().unwrap();
    let (first, second) = weights.split_at(5);
    let mut map = serde_json::Map::new();
    for (part, file) in [(first, "model-1.safetensors"), (second, "model-2.safetensors")] {
        save_tensors(&folder.path().join(file), part.to_vec(), SaveType::F32).unwrap();
        for (name, _) in part {
            map.insert(name.clone(), file.into());
        }
    }
    std::fs::write(folder.path().join("config.json"), model.config().to_json()).unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, serde_json::json!({"weight_map": map}).to_string()).unwrap();
    assert_eq!(logps(&load(folder.path())), logps(&model));

    let outside = r#"{"weight_map": {"a": "../model-1.safetensors"}}"#;
    std::fs::write(&index, outside).unwrap();
    let error = load_hugging_face(folder.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("no plain file name"), "{error}");
}

#[test]
fn generation_settings_add_end_tokens() {
    let folder = tempfile::tempdir().unwrap();
    save_model(&model(), folder.path(), SaveType::F32).unwrap();
    let settings = folder.path().join("generation_config.json");
    std::fs::write(settings, r#"{"eos_token_id": [0, 7]}"#).unwrap();
    assert_eq!(load(folder.path()).config().eos_token_ids, [0, 7]);
}

#[test]
fn a_saved_adapter_is_the_same_adapter_on_its_base() {
    let folder = tempfile::tempdir().unwrap();
    let (base, adapter) = (folder.path().join("base"), folder.path().join("adapter"));
    let model = model();
    save_model(&model, &base, SaveType::F32).unwrap();
    let lora = LoraConfig {
        rank: 2,
        alpha: 3.0,
        dropout: 0.1,
        target_modules: vec!["k_proj".into(), "down_proj".into()],
    };
    let tuned = model.with_adapter(&lora, 4).unwrap();
    for (_, var) in tuned.trainable() {
        let n = var.elem_count();
        let values: Vec<f32> = (0..n).map(|i| (i as f32).sin() * 0.2).collect();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    save_adapter(&tuned, base.to_str().unwrap(), &adapter).unwrap();
    let loaded = load(&adapter);
    assert_eq!(loaded.adapter(), Some(&lora));
    assert_eq!(logps(&loaded), logps(&tuned));
    assert_ne!(logps(&loaded), logps(&model));
    assert!(save_adapter(&model, "base", &adapter).is_err());
    // Saving a model with an adapter saves the merged model.
    save_model(&tuned, &base, SaveType::F32).unwrap();
    assert_close(&logps(&load(&base)), &logps(&tuned), 1e-4);
}

#[test]
fn adapters_of_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adapter_config.json");
    for (config, word) in [
        (r#"{"peft_type": "IA3"}"#, "IA3"),
        (r#"{"peft_type": "LORA", "use_dora": true}"#, "use_dora"),
        (r#"{"peft_type": "LORA", "rank_pattern": {"q": 3}}"#, "rank_pattern"),
        (r#"{"peft_type": "LORA", "r": 0.5, "target_modules": ["q_proj"]}"#, "`r`"),
        (
            r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["lm_head"]}"#,
            "lm_head",
        ),
        (r#"{"peft_type""#, "EOF"),
    ] {
        std::fs::write(&file, config).unwrap();
        let error = load_adapter(folder.path(), &Device::Cpu).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("adapter_config.json"), "{error}");
    }
}

/// The row order of GGUF's query and key maps: rotary pairs are neighbours.
fn interleave(tensor: &Tensor, heads: usize) -> Tensor {
    let (rows, columns) = tensor.dims2().unwrap();
    let halves = tensor.reshape((heads, 2, rows / heads / 2, columns)).unwrap();
    halves.transpose(1, 2).unwrap().contiguous().unwrap().reshape((rows, columns)).unwrap()
}

fn write_gguf(
    model: &Llama,
    path: &Path,
    dtype: GgmlDType,
    change: impl Fn(&mut HashMap<String, gguf_file::Value>),
) {
    use gguf_file::Value::{Array, F32, String as Text, U32};
    let config = model.config();
    let size = |n: usize| U32(n as u32);
    let texts = |list: &[&str]| Array(list.iter().map(|s| Text((*s).to_owned())).collect());
    let letters: Vec<String> = (0..37u8).map(|i| char::from(b'A' + i).to_string()).collect();
    let mut tokens = vec!["<end>", "ab", "abc"];
    tokens.extend(letters.iter().map(String::as_str));
    let mut metadata: HashMap<String, gguf_file::Value> = [
        ("general.architecture", Text("llama".into())),
        ("llama.block_count", size(config.num_hidden_layers)),
        ("llama.context_length", size(config.max_position_embeddings)),
        ("llama.embedding_length", size(config.hidden_size)),
        ("llama.feed_forward_length", size(config.intermediate_size)),
        ("llama.attention.head_count", size(config.num_attention_heads)),
        ("llama.attention.head_count_kv", size(config.num_key_value_heads)),
        ("llama.rope.freq_base", F32(config.rope_theta as f32)),
        ("llama.attention.layer_norm_rms_epsilon", F32(config.rms_norm_eps as f32)),
        ("tokenizer.ggml.model", Text("gpt2".into())),
        ("tokenizer.ggml.pre", Text("smollm".into())),
        ("tokenizer.ggml.tokens", texts(&tokens)),
        ("tokenizer.ggml.merges", texts(&["a b", "ab c"])),
        (
            "tokenizer.ggml.token_type",
            Array((0..40).map(|i| U32(if i == 0 { 3 } else { 1 })).collect()),
        ),
        ("tokenizer.ggml.eos_token_id", U32(0)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    change(&mut metadata);
    let tensors: Vec<(String, QTensor)> = model
        .weights()
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| {
            let tensor = match name.split('.').nth(4) {
                Some("q_proj") => interleave(&tensor, config.num_attention_heads),
                Some("k_proj") => interleave(&tensor, config.num_key_value_heads),
                _ => tensor,
            };
            let mut name = name
                .replace("model.layers.", "blk.")
                .replace("input_layernorm", "attn_norm")
                .replace("post_attention_layernorm", "ffn_norm")
                .replace("self_attn.o_proj", "attn_output")
                .replace("model.embed_tokens", "token_embd")
                .replace("model.norm", "output_norm");
            for part in ["q", "k", "v"] {
                name = name.replace(&format!("self_attn.{part}_proj"), &format!("attn_{part}"));
            }
            for part in ["gate", "up", "down"] {
                name = name.replace(&format!("mlp.{part}_proj"), &format!("ffn_{part}"));
            }
            let dtype = if tensor.rank() == 1 { GgmlDType::F32 } else { dtype };
            (name, QTensor::quantize(&tensor, dtype).unwrap())
        })
        .collect();
    let metadata: Vec<(&str, &gguf_file::Value)> =
        metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut file = std::fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
}

#[test]
fn a_gguf_model_is_the_model_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let model = model();
    for (dtype, tolerance) in
        [(GgmlDType::F32, 1e-5), (GgmlDType::Q8_0, 0.1), (GgmlDType::Q4_1, 1.5)]
    {
        write_gguf(&model, &path, dtype, |_| {});
        let source = Source::find(path.to_str().unwrap()).unwrap();
        let loaded = source.load(&Device::Cpu).unwrap();
        assert_eq!(loaded.config().parameters(), model.config().parameters());
        assert_eq!(loaded.config().eos_token_ids, [0]);
        assert_close(&logps(&loaded), &logps(&model), tolerance);
    }
}

#[test]
fn a_gguf_tokenizer_merges_and_survives_saving() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    write_gguf(&model(), &path, GgmlDType::F32, |m| {
        m.insert("tokenizer.ggml.tokens".into(), {
            let tokens = ["<end>", "a", "b", "c", "ab", "abc", "1", "2", "\u{120}"];
            gguf_file::Value::Array(tokens.map(|t| gguf_file::Value::String(t.into())).to_vec())
        });
        m.insert("tokenizer.ggml.bos_token_id".into(), gguf_file::Value::U32(0));
        m.insert("tokenizer.ggml.add_bos_token".into(), gguf_file::Value::Bool(true));
        let template =
            "{% for m in messages %}{{ m.role }} {{ m.content }}{{ eos_token }}{% endfor %}";
        m.insert("tokenizer.chat_template".into(), gguf_file::Value::String(template.into()));
    });
    let tokenizer = Tokenizer::from_gguf(&path).unwrap();
    tokenizer.save(folder.path()).unwrap();
    let message = ponens_runtime::tokenizer::Message::new("a", "b");
    for tokenizer in [tokenizer, Tokenizer::from_folder(folder.path()).unwrap()] {
        assert_eq!(tokenizer.encode("abcab 12<end>", false).unwrap(), [5, 4, 8, 6, 7, 0]);
        assert_eq!(tokenizer.encode("ab", true).unwrap(), [0, 4]);
        assert_eq!(tokenizer.decode(&[5, 8, 1, 0], true).unwrap(), "abc a");
        assert_eq!(tokenizer.chat(std::slice::from_ref(&message), true).unwrap(), "a b<end>");
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(0), Some(0)));
    }
}

#[test]
fn gguf_models_that_are_not_computed_here_are_refused() {
    use gguf_file::Value::{String as Text, U32};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let failure = |key: &str, value: gguf_file::Value| {
        write_gguf(&model(), &path, GgmlDType::F32, |m| {
            m.insert(key.into(), value.clone());
        });
        let model = load_gguf(&path, &Device::Cpu).map(|_| ());
        model.and(Tokenizer::from_gguf(&path).map(|_| ())).unwrap_err().to_string()
    };
    assert!(failure("general.architecture", Text("gemma2".into())).contains("`gemma2`"));
    assert!(failure("llama.expert_count", U32(8)).contains("experts"));
    assert!(failure("llama.rope.scaling.type", Text("yarn".into())).contains("`yarn`"));
    assert!(failure("llama.attention.head_count", U32(0)).contains("num_attention_heads"));
    assert!(failure("llama.attention.head_count", U32(3)).contains("num_key_value_heads"));
    assert!(failure("tokenizer.ggml.pre", Text("nobody".into())).contains("`nobody`"));
    assert!(failure("tokenizer.ggml.model", Text("llama".into())).contains("Hugging Face"));
    assert!(failure("general.alignment", U32(0)).contains("alignment"));
}

/// Cuts and flips bytes of a file; `load` must return, whatever it returns, and fail on every cut.
fn survive(path: &Path, load: impl Fn() -> Result<(), Error>) {
    let whole = std::fs::read(path).unwrap();
    load().unwrap();
    // The last bytes may be padding or a final newline, which nothing needs.
    let needed = whole.len() - 40;
    let mut rng = StdRng::seed_from_u64(7);
    for i in 0..120 {
        let cut = if i < 60 { i * 3 } else { rng.random_range(0..needed) };
        std::fs::write(path, &whole[..cut.min(needed)]).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    }
    let header = whole.len().min(4000);
    for _ in 0..200 {
        let mut corrupt = whole.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..header);
            corrupt[at] = rng.random();
        }
        std::fs::write(path, &corrupt).unwrap();
        let _ = load();
    }
    std::fs::write(path, &whole).unwrap();
}

#[test]
fn truncated_and_corrupt_files_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    save_model(&model(), folder.path(), SaveType::Bf16).unwrap();
    let from_folder = || {
        let (config, weights) = load_hugging_face(folder.path(), &Device::Cpu)?;
        Llama::new(config, weights).map(|_| ())
    };
    survive(&folder.path().join("model.safetensors"), from_folder);
    survive(&folder.path().join("config.json"), from_folder);
    let gguf = folder.path().join("m.gguf");
    write_gguf(&model(), &gguf, GgmlDType::Q8_0, |_| {});
    survive(&gguf, || {
        let (config, weights) = load_gguf(&gguf, &Device::Cpu)?;
        Llama::new(config, weights)?;
        Tokenizer::from_gguf(&gguf).map(|_| ())
    });
    Tokenizer::characters("abcdef").unwrap().save(folder.path()).unwrap();
    survive(&folder.path().join("tokenizer.json"), || {
        Tokenizer::from_folder(folder.path())?.encode("abc", true).map(|_| ()).or(Ok(()))
    });
}

#[test]
fn what_is_no_model_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    let find = |path: &Path| Source::find(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(find(&text).contains(".gguf"));
    assert!(find(folder.path()).contains("config.json"));
    let missing = folder.path().join("model.safetensors");
    std::fs::write(folder.path().join("config.json"), config().to_json()).unwrap();
    let error = load_hugging_face(folder.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains(missing.to_str().unwrap()), "{error}");
}

/// A base that stays packed gives what its dequantised self gives, in value and in the gradients of an
/// adapter; its other uses turn it into f32.
#[test]
fn a_packed_base_is_its_dequantised_self() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    write_gguf(&model(), &path, GgmlDType::Q4_1, |_| {});
    let source = Source::Gguf(path);
    let (dense, packed) = (source.load(&Device::Cpu).unwrap(), source.load_packed().unwrap());
    assert_close(&logps(&packed), &logps(&dense), 1e-9);
    let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
    let gradients = |base: &Llama, checkpointing: bool| {
        let model = base.with_adapter(&lora, 1).unwrap().with_checkpointing(checkpointing);
        let (_, gradients) = model.backward(&rows(), &mut |s| Ok(vec![1.0; s.len()])).unwrap();
        let flat = |(n, t): (&str, &Tensor)| {
            (n.to_owned(), t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        gradients.iter().map(flat).collect::<Vec<_>>()
    };
    assert_eq!(gradients(&packed, false), gradients(&dense, false));
    assert_eq!(gradients(&packed, true), gradients(&dense, false));
    let names = |m: &Llama| m.weights().unwrap().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
    assert_eq!(names(&packed), names(&dense));
    assert_close(&logps(&packed.snapshot().unwrap()), &logps(&dense), 1e-9);
    assert_close(&logps(&packed.into_trainable().unwrap()), &logps(&dense), 1e-9);
}

#[test]
fn an_adapter_is_trained_on_in_storage_of_its_own() {
    let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
    let first = model().with_adapter(&lora, 1).unwrap();
    for (_, v) in first.trainable() {
        v.set(&(v.as_tensor() + 0.05).unwrap()).unwrap();
    }
    let second = first.with_adapter_continued().unwrap();
    let before = logps(&first);
    assert_eq!(logps(&second), before);
    for (_, v) in second.trainable() {
        v.set(&(v.as_tensor() + 0.05).unwrap()).unwrap();
    }
    assert_eq!(logps(&first), before);
    assert_ne!(logps(&second), before);
    assert!(model().with_adapter_continued().is_err());
}
