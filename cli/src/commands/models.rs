//! Models and data for the commands that run them.

use crate::failure::Failure;
use crate::output::Ui;
use ponens::Refusal;
use ponens::compiler::hir::{DataShape, Loss, Role};
use ponens::compiler::session::Compiled;
use ponens::dsl::Diagnostic;
use ponens::runtime::data::{
    DataError, EncodeOptions, EncodeReport, EncodedExample, Encoding, PromptFormat, ReadOptions,
    ReadReport, Store, TextExample, add_mismatched, after_divergence, encode_examples,
    load_examples, store_examples,
};
use ponens::runtime::files;
use ponens::runtime::model::{Llama, Source};
use ponens::runtime::op::{GraphKernel, RuntimeError};
use ponens::runtime::tokenizer::Tokenizer;
use ponens::runtime::train::{Binding, Names, ResponseNames};
use serde_json::json;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Writes a file that appears whole or not at all.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::write_whole(path, bytes).map_err(|e| {
        let d = Diagnostic::error("E0703", format!("cannot write {}: {e}", path.display()));
        Failure::from(d.help("give another place with --output"))
    })
}

/// A model with its tokenizer.
pub(super) struct Loaded {
    pub(super) model: Llama,
    pub(super) tokenizer: Tokenizer,
}

fn unloadable(name: &str, e: &ponens::runtime::model::Error) -> Failure {
    Diagnostic::error("E0701", format!("the model `{name}` cannot be loaded: {e}"))
        .help("give a .gguf file, a folder with config.json, or owner/model from the local Hugging Face cache")
        .into()
}

/// Loads a model: a GGUF file, a folder, or a name in the local cache.
pub(super) fn load(name: &str) -> Result<Loaded, Failure> {
    load_as(name, false)
}

/// As [`load`]; with `packed` the quantised matrices of a GGUF file stay as they are.
pub(super) fn load_as(name: &str, packed: bool) -> Result<Loaded, Failure> {
    let load = || -> Result<Loaded, ponens::runtime::model::Error> {
        let source = Source::find(name)?;
        let tokenizer = Tokenizer::load(&source)?;
        let model = match packed {
            true => source.load_packed()?,
            false => source.load(&ponens::runtime::model::cpu())?,
        };
        Ok(Loaded { model, tokenizer })
    };
    let loaded = load().map_err(|e| unloadable(name, &e))?;
    let (words, rows) = (loaded.tokenizer.vocab_size(), loaded.model.config().vocab_size);
    if words > rows {
        let text = format!(
            "the tokenizer of `{name}` has {words} tokens and the model {rows}: it is another model's"
        );
        return Err(Diagnostic::error("E0701", text)
            .help("put the model's own tokenizer.json beside its weights")
            .into());
    }
    Ok(loaded)
}

/// Loads a reference model for rows that were made with `tokenizer`.
pub(super) fn load_reference(name: &str, tokenizer: &Tokenizer) -> Result<Llama, Failure> {
    let loaded = load(name)?;
    if loaded.tokenizer.same_tokens(tokenizer) {
        return Ok(loaded.model);
    }
    let text = format!("the reference `{name}` has another tokenizer than the policy");
    Err(Diagnostic::error("E0701", text)
        .help("policy and reference read the same tokens: take a model of the same family")
        .into())
}

/// Loads the tokenizer of a model alone.
pub(super) fn tokenizer(name: &str) -> Result<Tokenizer, Failure> {
    Source::find(name).and_then(|s| Tokenizer::load(&s)).map_err(|e| unloadable(name, &e))
}

/// The data that a command reads.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DataArgs {
    /// JSON lines, CSV or Parquet: prompt, chosen, rejected; or prompt, completion, label
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
    /// What was dropped, by file, and not told yet.
    #[arg(skip)]
    pub(super) dropped: RefCell<BTreeMap<PathBuf, ReadReport>>,
}

impl DataArgs {
    /// The template as it is stated to the reader.
    pub(super) fn stated(&self) -> String {
        match self.template.as_str() {
            "chat" => "the model's chat template".to_owned(),
            text => format!("{text:?}"),
        }
    }

    /// What to look for in a file; with `reference` also the reference's log-probabilities.
    pub(super) fn options(
        &self,
        binding: &Binding,
        reference: bool,
    ) -> Result<ReadOptions, Failure> {
        if reference && binding.after_divergence() {
            let text = "the loss reads responses from their divergence point on, and the data give the \
                        reference of whole ones";
            return Err(Diagnostic::error("E0704", text)
                .help("give the reference as a model: --reference MODEL, or leave the option out")
                .into());
        }
        Ok(ReadOptions {
            shape: binding.shape(),
            any: false,
            columns: binding.data_columns().to_vec(),
            lists: binding.list_columns().to_vec(),
            further: binding.further().to_vec(),
            reference: reference && binding.needs_reference(),
            drop_empty: self.drop_empty,
        })
    }

    /// Reads the rows of a file; with `reference` also the reference's log-probabilities in it.
    pub(super) fn read(
        &self,
        path: &Path,
        binding: &Binding,
        reference: bool,
    ) -> Result<Vec<TextExample>, Failure> {
        let options = self.options(binding, reference)?;
        let (examples, report) = load_examples(path, &options).map_err(|e| refused(&e))?;
        self.dropped.borrow_mut().insert(path.to_owned(), report);
        Ok(examples)
    }

    /// Says how many rows of the files that were read were dropped, each file once.
    pub(super) fn tell_dropped(&self, ui: &mut Ui) -> Result<(), Failure> {
        for (path, report) in self.dropped.take() {
            let Some(text) = dropped(&path, report) else { continue };
            ui.remark(text);
            if ui.is_json() {
                ui.json_line(&json!({
                    "type": "dropped",
                    "file": path.display().to_string(),
                    "rows": report.rows,
                    "dropped_empty": report.dropped_empty,
                }))?;
            }
        }
        Ok(())
    }

    /// The rows of a file as tokens on disk, in a nameless file in `folder`.
    pub(super) fn store(
        &self,
        path: &Path,
        tokenizer: &Tokenizer,
        binding: &Binding,
        reference: bool,
        folder: &Path,
    ) -> Result<(Store, EncodeReport), Failure> {
        if binding.needs_mismatched() {
            let text =
                "the loss reads responses to other prompts, which --stream does not look for";
            return Err(Diagnostic::error("E0704", text).help("leave --stream out").into());
        }
        let options = self.options(binding, reference)?;
        let format = self.prompt_format(tokenizer)?;
        let encoding = Encoding {
            format: &format,
            encoder: tokenizer,
            lengths: EncodeOptions::new(self.max_length),
            diverged: binding.after_divergence(),
        };
        store_examples(path, &options, &encoding, folder).map_err(|e| refused(&e))
    }

    /// How prompts and responses become text.
    pub(super) fn prompt_format(&self, tokenizer: &Tokenizer) -> Result<PromptFormat, Failure> {
        match self.template.as_str() {
            "chat" if !tokenizer.has_chat_template() => {
                Err(Diagnostic::error("E0701", "the model has no chat template")
                    .help("state the template, such as --template 'Question: {prompt}\\nAnswer: '")
                    .into())
            }
            "chat" => Ok(PromptFormat::Chat(Box::new(tokenizer.clone()))),
            text => Ok(PromptFormat::Plain(text.to_owned())),
        }
    }

    /// Turns rows into tokens.
    pub(super) fn encode(
        &self,
        records: &[TextExample],
        path: &Path,
        tokenizer: &Tokenizer,
        binding: &Binding,
    ) -> Result<(Vec<EncodedExample>, EncodeReport), Failure> {
        let format = self.prompt_format(tokenizer)?;
        let options = EncodeOptions::new(self.max_length);
        let (mut examples, report) =
            encode_examples(records, path, &format, tokenizer, options).map_err(|e| refused(&e))?;
        if binding.after_divergence() {
            after_divergence(&mut examples);
        }
        if binding.needs_mismatched() {
            if examples.len() == 1 {
                let d = Diagnostic::error(
                    "E0406",
                    format!("{}: one row has no other row's response", path.display()),
                );
                return Err(d
                    .help("this loss needs at least two rows in each part of the data")
                    .into());
            }
            add_mismatched(&mut examples, self.max_length);
        }
        Ok((examples, report))
    }
}

/// A data error as a refusal: a diagnostic for each finding.
pub(super) fn refused(error: &DataError) -> Failure {
    Failure::Refused(Refusal::new(Default::default(), findings(error)))
}

/// A diagnostic for each finding of a data error.
pub(super) fn findings(error: &DataError) -> Vec<Diagnostic> {
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
    list
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
    GraphKernel::nested(compiled.graph(), &values)
        .and_then(|kernel| kernel.with_running(&compiled.running, &values))
        .map_err(failed)
}

/// What the loss calls models and responses.
pub(super) fn names(loss: &Loss) -> Names {
    let responses = match &loss.shape {
        DataShape::Pair { winner, loser, others } => ResponseNames::Pair {
            chosen: winner.clone(),
            rejected: loser.clone(),
            further: others.clone(),
        },
        DataShape::Labelled { response, .. } => {
            ResponseNames::Labelled { response: response.clone() }
        }
        DataShape::Ranked(family) | DataShape::Group(family) => {
            ResponseNames::List { responses: family.response.clone() }
        }
        DataShape::Trajectory { response, .. } => {
            ResponseNames::Trajectory { response: response.clone() }
        }
    };
    let model = |role: Role| loss.models.iter().find(|m| m.role == role).map(|m| m.name.clone());
    let default = Names::default();
    Names {
        policy: model(Role::Policy).unwrap_or(default.policy),
        reference: model(Role::Reference).unwrap_or(default.reference),
        sampler: model(Role::Sampler),
        responses,
    }
}

/// How many rows were dropped, if any were.
pub(super) fn dropped(path: &Path, report: ReadReport) -> Option<String> {
    let ReadReport { rows, dropped_empty, .. } = report;
    (dropped_empty > 0).then(|| {
        format!(
            "{}: {dropped_empty} of {rows} rows dropped, with an empty response",
            path.display()
        )
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
