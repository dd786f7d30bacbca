//! One half of `scripts/check-exports.sh`, which holds files against the ecosystem's own libraries.
//!
//! * `write DIR`: a random model, an adapter that is not zero on it, and the two merged, as this crate
//!   saves them, each with the log-probabilities of some tokens.
//! * `read FOLDER TOKENS`: the largest difference between this crate's log-probabilities of a folder that
//!   Transformers wrote and those that Transformers computed; exit status 1 above 1e-4.
//! * `convert GGUF FOLDER`: a GGUF file as a Hugging Face folder.

use std::error::Error;
use std::path::Path;

use ponens_runtime::model::{
    CausalLm, Config, Llama, LoraConfig, Rows, SaveType, Source, cpu, save,
};
use ponens_runtime::tokenizer::Tokenizer;
use serde_json::{Value, json};

fn rows(vocabulary: u32) -> Rows {
    let mut rows = Rows::default();
    let ids = |seed: u32, n: u32| (0..n).map(|i| (seed + 7 * i * i + 3 * i) % vocabulary).collect();
    let (prompt, short, long): (Vec<u32>, Vec<u32>, Vec<u32>) = (ids(1, 5), ids(2, 4), ids(3, 19));
    rows.push(&prompt, &short);
    rows.push(&prompt, &long);
    rows.push(&ids(9, 2), &ids(11, 13));
    rows
}

fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    let config = Config::small(64, 32, 3, 4, 2, 64)?;
    let base = Llama::random(config, 7, &cpu())?;
    let lora = LoraConfig {
        rank: 4,
        target_modules: LoraConfig::MODULES.map(str::to_owned).to_vec(),
        ..LoraConfig::default()
    };
    let adapted = base.with_adapter(&lora, 2)?;
    for (i, (_, v)) in adapted.trainable().iter().enumerate() {
        let step = 0.02 * (1.0 + i as f64 % 5.0);
        v.set(&(v.as_tensor().affine(1.5, step)?))?;
    }
    save::save_model(&base, &folder.join("base"), SaveType::F32)?;
    save::save_model(&adapted, &folder.join("merged"), SaveType::F32)?;
    let base_path = folder.join("base").canonicalize()?;
    save::save_adapter(&adapted, &base_path.display().to_string(), &folder.join("adapter"))?;
    let rows = rows(64);
    for (name, model) in [("base", &base), ("adapter", &adapted)] {
        let tokens = json!({
            "ids": rows.ids, "start": rows.start, "logps": model.token_logps(&rows)?
        });
        std::fs::write(folder.join(format!("{name}.json")), tokens.to_string())?;
    }
    Ok(())
}

fn read(folder: &str, tokens: &str) -> Result<f64, Box<dyn Error>> {
    let model = Source::find(folder)?.load(&cpu())?;
    let wanted: Value = serde_json::from_str(&std::fs::read_to_string(tokens)?)?;
    let rows = Rows {
        ids: serde_json::from_value(wanted["ids"].clone())?,
        start: serde_json::from_value(wanted["start"].clone())?,
    };
    let logps: Vec<Vec<f64>> = serde_json::from_value(wanted["logps"].clone())?;
    let own = model.token_logps(&rows)?;
    let all = own.iter().flatten().zip(logps.iter().flatten());
    Ok(all.map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["write", folder] => write(Path::new(folder)),
        ["read", folder, tokens] => {
            let worst = read(folder, tokens)?;
            println!("largest difference of a token's log-probability {worst:.2e}");
            if worst > 1e-4 { Err("it is above 1e-4".into()) } else { Ok(()) }
        }
        ["convert", gguf, folder] => {
            let source = Source::find(gguf)?;
            save::save_model(&source.load(&cpu())?, Path::new(folder), SaveType::F32)?;
            Ok(Tokenizer::load(&source)?.save(Path::new(folder))?)
        }
        _ => Err("write DIR | read FOLDER TOKENS | convert GGUF FOLDER".into()),
    }
}
