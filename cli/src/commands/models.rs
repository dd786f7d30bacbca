//! Models and data for the commands that run them.

use crate::failure::Failure;
use ponens::Refusal;
use ponens::compiler::hir::{DataShape, Loss, Role};
use ponens::compiler::session::Compiled;
use ponens::dsl::Diagnostic;
use ponens::runtime::data::{
    ColumnSpec, DataError, EncodeOptions, EncodeReport, EncodedPair, PairRecord, PromptFormat,
    ReadOptions, encode_pairs, load_pairs,
};
use ponens::runtime::model::{Llama, Source};
use ponens::runtime::op::{GraphKernel, RuntimeError};
use ponens::runtime::tokenizer::Tokenizer;
use ponens::runtime::train::Names;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A model with its tokenizer.
pub(super) struct Loaded {
    pub(super) model: Llama,
    pub(super) tokenizer: Tokenizer,
}

/// Loads a model: a GGUF file, a folder, or a name in the local cache.
pub(super) fn load(name: &str) -> Result<Loaded, Failure> {
    let load = || -> Result<Loaded, ponens::runtime::model::Error> {
        let source = Source::find(name)?;
        let tokenizer = Tokenizer::load(&source)?;
        let model = source.load(&ponens::runtime::model::cpu())?;
        Ok(Loaded { model, tokenizer })
    };
    load().map_err(|e| {
        Diagnostic::error("E0701", format!("the model `{name}` cannot be loaded: {e}"))
            .help("give a .gguf file, a folder with config.json, or owner/model from the local Hugging Face cache")
            .into()
    })
}

/// The data that a command reads.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DataArgs {
    /// Preference pairs: JSON lines with prompt, chosen and rejected
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
    /// What stands around a prompt: text with `{prompt}`, or `chat` for the model's own template
    #[arg(long, default_value = "{prompt}", value_name = "TEXT|chat")]
    pub(super) template: String,
    /// Longest sequence in tokens, prompt and response together
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub(super) max_length: usize,
    /// Drop rows with an empty response instead of refusing them
    #[arg(long)]
    pub(super) drop_empty: bool,
}

impl DataArgs {
    /// The template as it is stated to the reader.
    pub(super) fn stated(&self) -> String {
        match self.template.as_str() {
            "chat" => "the model's chat template".to_owned(),
            text => format!("{text:?}"),
        }
    }

    /// Reads the rows of a file.
    pub(super) fn read(
        &self,
        path: &Path,
        columns: &[ColumnSpec],
    ) -> Result<Vec<PairRecord>, Failure> {
        let options = ReadOptions { columns: columns.to_vec(), drop_empty: self.drop_empty };
        Ok(load_pairs(path, &options).map_err(|e| refused(&e))?.0)
    }

    /// Turns rows into tokens.
    pub(super) fn encode(
        &self,
        records: &[PairRecord],
        path: &Path,
        tokenizer: &Tokenizer,
    ) -> Result<(Vec<EncodedPair>, EncodeReport), Failure> {
        let format = match self.template.as_str() {
            "chat" if !tokenizer.has_chat_template() => {
                return Err(Diagnostic::error("E0701", "the model has no chat template")
                    .help("state the template, such as --template 'Question: {prompt}\\nAnswer: '")
                    .into());
            }
            "chat" => PromptFormat::Chat(Box::new(tokenizer.clone())),
            text => PromptFormat::Plain(text.to_owned()),
        };
        let options = EncodeOptions::new(self.max_length);
        encode_pairs(records, path, &format, tokenizer, options).map_err(|e| refused(&e))
    }
}

/// A data error as a refusal: a diagnostic for each finding.
fn refused(error: &DataError) -> Failure {
    let one = |f: &ponens::runtime::data::Finding| {
        let place = match f.line {
            Some(line) => format!("{}:{line}", error.path.display()),
            None => error.path.display().to_string(),
        };
        let mut d = f.diagnostic.clone();
        d.message = format!("{place}: {}", d.message);
        if f.rows > 1 { d.note(format!("{} rows have this error", f.rows)) } else { d }
    };
    let mut list: Vec<Diagnostic> = error.findings.iter().map(one).collect();
    if let (Some(last), true) = (list.last_mut(), error.omitted > 0) {
        last.notes.push(format!("{} rows have further errors", error.omitted));
    }
    Failure::Refused(Refusal::new(Default::default(), list))
}

/// The runtime's errors as diagnostics.
pub(super) fn failed(error: RuntimeError) -> Failure {
    let code = match &error {
        RuntimeError::Data(e) => return refused(e),
        RuntimeError::Model(_) | RuntimeError::Tensor(_) => "E0701",
        RuntimeError::Unsupported(_) | RuntimeError::Loss { .. } => "E0205",
        RuntimeError::Kernel(e) if e.is_missing() => "E0702",
        RuntimeError::Kernel(_) => "E0705",
        RuntimeError::Io { .. } | RuntimeError::Format { .. } => "E0703",
        _ => "E0704",
    };
    Diagnostic::error(code, error.to_string()).into()
}

/// A compiled loss as the runtime evaluates it.
pub(super) fn kernel(
    compiled: &Compiled,
    params: &[(String, f64)],
) -> Result<GraphKernel, Failure> {
    compiled.bind(params)?;
    let values: HashMap<String, f64> = params.iter().cloned().collect();
    GraphKernel::new(compiled.graph(), &values).map_err(failed)
}

/// What the loss calls models and responses.
pub(super) fn names(loss: &Loss) -> Result<Names, Failure> {
    let DataShape::Pair { winner, loser, .. } = &loss.shape else {
        return Err(Diagnostic::error(
            "E0205",
            format!("`{}` reads {} data; models are run on pairs", loss.name, loss.shape),
        )
        .at(loss.span, "not a pair loss")
        .into());
    };
    let model = |role: Role| loss.models.iter().find(|m| m.role == role).map(|m| m.name.clone());
    let default = Names::default();
    Ok(Names {
        policy: model(Role::Policy).unwrap_or(default.policy),
        reference: model(Role::Reference).unwrap_or(default.reference),
        chosen: winner.clone(),
        rejected: loser.clone(),
    })
}

/// What cutting to length did, if it did anything.
pub(super) fn cuts(report: &EncodeReport) -> Option<String> {
    (report.tokens_cut > 0).then(|| {
        format!(
            "cut to length: {} prompts and {} responses lost {} tokens",
            report.prompts_cut, report.responses_cut, report.tokens_cut
        )
    })
}
