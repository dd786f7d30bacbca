//! The byte-level BPE tokenizer of a GGUF file, in the format of `tokenizer.json`.
//!
//! A GGUF file holds the vocabulary and the merges, but names the rule that splits text before merging
//! only by a word. Each known word is written out here; an unknown one is refused.

use serde_json::{Map, Value, json};

use crate::model::{Error, Result, load::gguf::GgufFile};

const LLAMA3_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// GGUF's kinds of tokens that matter here.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

pub(super) fn description(file: &GgufFile) -> Result<Value> {
    let error = |message: String| Error::format(&file.path, message);
    match file.string("tokenizer.ggml.model") {
        Some("gpt2") => {}
        Some(other) => {
            return Err(error(format!(
                "tokenizer model `{other}`; only byte-level BPE (`gpt2`) is read from GGUF files, \
                 a Hugging Face folder holds the others"
            )));
        }
        None => return Err(error("no tokenizer (`tokenizer.ggml.model`)".into())),
    }
    let texts = |key: &str| -> Result<Vec<&str>> {
        let values = file.array(key).ok_or_else(|| error(format!("no list `{key}`")))?;
        let texts: Option<Vec<&str>> = values.iter().map(|v| v.as_str()).collect();
        texts.ok_or_else(|| error(format!("`{key}` holds something else than texts")))
    };
    let tokens = texts("tokenizer.ggml.tokens")?;
    let merges: Option<Vec<Value>> = texts("tokenizer.ggml.merges")?
        .into_iter()
        .map(|merge| merge.split_once(' ').map(|(a, b)| json!([a, b])))
        .collect();
    let merges = merges.ok_or_else(|| error("a merge without two parts".into()))?;
    let vocabulary: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    if vocabulary.len() != tokens.len() {
        return Err(error("the vocabulary repeats a token".into()));
    }
    let rule =
        Rule::by_name(file.string("tokenizer.ggml.pre").unwrap_or("default")).ok_or_else(|| {
            let name = file.string("tokenizer.ggml.pre").unwrap_or_default();
            error(format!("pre-tokenizer `{name}` is not known"))
        })?;
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(file, &tokens),
        "normalizer": rule.normalizer,
        "pre_tokenizer": rule.pre_tokenizer,
        "post_processor": post_processor(file, &tokens),
        "decoder": byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": rule.ignore_merges,
            "vocab": vocabulary,
            "merges": merges,
        },
    }))
}

/// How text is split before merging.
struct Rule {
    normalizer: Value,
    pre_tokenizer: Value,
    /// Whether a piece that is a token is taken whole.
    ignore_merges: bool,
}

impl Rule {
    fn by_name(name: &str) -> Option<Self> {
        let split = |pattern: &str| {
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
                byte_level(false),
            ]})
        };
        let rule = |pre_tokenizer: Value| Self {
            normalizer: Value::Null,
            pre_tokenizer,
            ignore_merges: false,
        };
        Some(match name {
            "default" | "gpt-2" | "gpt2" => rule(byte_level(true)),
            "smollm" => rule(json!({"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true},
                byte_level(true),
            ]})),
            "llama-bpe" | "llama3" => Self { ignore_merges: true, ..rule(split(LLAMA3_SPLIT)) },
            "qwen2" => Self { normalizer: json!({"type": "NFC"}), ..rule(split(QWEN2_SPLIT)) },
            _ => return None,
        })
    }
}

/// Bytes as printable characters; `use_regex` splits by GPT-2's rule first. No space is added in
/// front: the models that use this were not trained with one.
fn byte_level(use_regex: bool) -> Value {
    json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex,
    })
}

fn added_tokens(file: &GgufFile, tokens: &[&str]) -> Vec<Value> {
    let kinds = file.array("tokenizer.ggml.token_type").unwrap_or_default();
    tokens
        .iter()
        .zip(kinds)
        .enumerate()
        .filter_map(|(id, (token, kind))| {
            let kind = kind.as_u64().filter(|k| [CONTROL, USER_DEFINED].contains(k))?;
            Some(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": kind == CONTROL,
            }))
        })
        .collect()
}

fn post_processor(file: &GgufFile, tokens: &[&str]) -> Value {
    let special = |flag: &str, id: &str| {
        let wanted = file.flag(flag).unwrap_or(false);
        let id = file.unsigned(id).filter(|_| wanted)?;
        let text = tokens.get(usize::try_from(id).ok()?)?;
        Some((id, (*text).to_owned()))
    };
    let bos = special("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id");
    let eos = special("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id");
    if bos.is_none() && eos.is_none() {
        return Value::Null;
    }
    let piece =
        |text: &str, sequence: u8| json!({"SpecialToken": {"id": text, "type_id": sequence}});
    let mut specials = Map::new();
    let mut wrap = |sequence: u8, name: &str| -> Vec<Value> {
        let mut parts = Vec::new();
        if let Some((id, text)) = &bos {
            specials.insert(text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}));
            parts.push(piece(text, sequence));
        }
        parts.push(json!({"Sequence": {"id": name, "type_id": sequence}}));
        if let Some((id, text)) = &eos {
            specials.insert(text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}));
            parts.push(piece(text, sequence));
        }
        parts
    };
    let single = wrap(0, "A");
    let pair: Vec<Value> = single.iter().cloned().chain(wrap(1, "B")).collect();
    json!({
        "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials,
    })
}
