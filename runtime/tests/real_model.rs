//! The pretrained SmolLM2-135M-Instruct, where `scripts/fetch-smollm2.sh` has put it; otherwise these
//! tests say that they were skipped.

// Helpers of a test fail as the test does.
#![allow(clippy::unwrap_used)]

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use candle_core::Device;
use ponens_runtime::{
    generate::{End, Options, generate},
    model::{CausalLm, Decoder, Llama, Rows, Source},
    tokenizer::{Message, Tokenizer},
};

fn file() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let path = root.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.is_file() {
        eprintln!("skipped: {} is not there; scripts/fetch-smollm2.sh fetches it", path.display());
        return None;
    }
    Some(path)
}

fn load(path: &Path) -> (Llama, Tokenizer) {
    let source = Source::find(path.to_str().unwrap()).unwrap();
    (source.load(&Device::Cpu).unwrap(), Tokenizer::load(&source).unwrap())
}

#[test]
fn text_becomes_the_tokens_that_the_model_was_trained_on() {
    let Some(path) = file() else { return };
    let tokenizer = Tokenizer::from_gguf(&path).unwrap();
    let ids = tokenizer.encode("The capital of France is", true).unwrap();
    assert_eq!(ids, [504, 3575, 282, 4649, 314]);
    for text in ["Hello 2024 world 12.5%", "  def f(x):\n\treturn x**2", "naïve café 😀 日本"]
    {
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    // Digits are tokens of their own, also in a run.
    assert_eq!(tokenizer.encode("2024", false).unwrap().len(), 4);
    assert_eq!(tokenizer.encode("<|im_start|>user\n", false).unwrap()[0], 1);
    let chat = tokenizer.chat(&[Message::new("user", "Hi")], true).unwrap();
    let expected = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by \
        Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(chat, expected);
    assert_eq!((tokenizer.eos(), tokenizer.vocab_size()), (Some(2), 49_152));
}

#[test]
fn greedy_text_and_log_probabilities() {
    let Some(path) = file() else { return };
    let (model, tokenizer) = load(&path);
    assert_eq!(model.config().parameter_count(), 134_515_008);
    let continued = |prompt: &[u32], max_tokens: usize| {
        let options = Options { max_tokens, ..Options::default() };
        generate(&model, prompt, &options, |_| ControlFlow::Continue(())).unwrap()
    };
    let plain = tokenizer.encode("The capital of France is", false).unwrap();
    let text = continued(&plain, 2);
    assert_eq!(tokenizer.decode(&text.ids, true).unwrap(), " Paris.");
    assert_eq!((text.ids.len(), text.end), (2, End::MaxTokens));

    let question = [Message::new("user", "What is the capital of France?")];
    let prompt = tokenizer.encode(&tokenizer.chat(&question, true).unwrap(), false).unwrap();
    let text = continued(&prompt, 20);
    assert_eq!(text.ids, [504, 3575, 282, 4649, 314, 7042, 30, 2]);
    assert_eq!(text.end, End::Stop);
    let answer = tokenizer.decode(&text.ids, true).unwrap();
    assert_eq!(answer, "The capital of France is Paris.");

    // The decoder with its memory and the batched pass are the same model.
    let mut rows = Rows::default();
    rows.push(&prompt, &text.ids);
    let logps = model.token_logps(&rows).unwrap();
    let mut decoder = Decoder::new(&model);
    let mut logits = decoder.advance(&prompt).unwrap();
    for (i, id) in text.ids.iter().enumerate() {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|l| f64::from(l - max).exp()).sum();
        let logp = f64::from(logits[*id as usize] - max) - sum.ln();
        assert!((logp - f64::from(logps[0][i])).abs() < 1e-4, "{logp} {}", logps[0][i]);
        logits = decoder.advance(&[*id]).unwrap();
    }
    assert!(logps[0][5] > -0.2, "Paris is the likely answer: {logps:?}");
}
