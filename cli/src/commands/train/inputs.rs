//! What a run works with: the loss, the model, the data; each found and checked before the next is touched.

use super::super::models::{self, Loaded};
use super::super::numbers;
use super::{Args, wanted};
use crate::failure::Failure;
use crate::output::Ui;
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::Diagnostic;
use ponens::locate::{self, Located};
use ponens::runtime::data::{EncodedExample, TextExample, flip_labels, split};
use ponens::runtime::model::Llama;
use ponens::runtime::op::GraphKernel;
use ponens::runtime::tokenizer::Tokenizer;
use ponens::runtime::train::{Binding, Names};

/// A loss, ready to train with.
pub(super) struct Loss {
    pub(super) compiled: Compiled,
    pub(super) located: Located,
    pub(super) kernel: GraphKernel,
    pub(super) names: Names,
    pub(super) binding: Binding,
}

impl Loss {
    /// Finds and compiles a loss.
    pub(super) fn find(name: &str, args: &Args, ui: &mut Ui) -> Result<Self, Failure> {
        let (compiled, located) = locate::locate(name)?.compile(&Options::default())?;
        ui.report(&located.program.sources, &located.warnings);
        let names = models::names(&compiled.loss)?;
        // In a grid a parameter goes to the losses that have it.
        let params: Vec<(String, f64)> = numbers(&args.params)?
            .into_iter()
            .filter(|(n, _)| {
                args.losses.is_empty() || compiled.loss.params.iter().any(|p| p.name == *n)
            })
            .collect();
        let kernel = models::kernel(&compiled, &params)?;
        let binding = Binding::new(&kernel, &names).map_err(models::failed)?;
        Ok(Self { compiled, located, kernel, names, binding })
    }

    /// Whether it reads the reference model.
    pub(super) fn needs_reference(&self) -> bool {
        self.binding.needs_reference()
    }

    /// The values of its parameters.
    pub(super) fn params(&self) -> Vec<(String, f64)> {
        let names = self.kernel.graph().params.iter().map(|p| p.name.clone());
        names.zip(self.kernel.params().iter().copied()).collect()
    }
}

/// A model, loaded once for all runs.
pub(super) struct Base {
    pub(super) name: String,
    pub(super) model: Llama,
    pub(super) tokenizer: Tokenizer,
    /// The reference, where it is another model.
    pub(super) other: Option<Llama>,
    /// Whether the reference is the model as it starts with its adapter, and not what the adapter adapts.
    moving: bool,
}

impl Base {
    /// Loads the model, and the reference if another one is named.
    pub(super) fn load(args: &Args, needs_reference: bool) -> Result<Self, Failure> {
        let name = wanted(args.model.as_deref(), "model")?;
        let Loaded { model, tokenizer } = models::load_as(name, args.packed)?;
        let other = match args.reference.as_deref() {
            Some(other) if !["data", "start"].contains(&other) && needs_reference => {
                Some(models::load_reference(other, &tokenizer)?)
            }
            _ => None,
        };
        Ok(Self { name: name.to_owned(), model, tokenizer, other, moving: args.moves() })
    }

    /// The model as it starts: what the policy is compared with where no other reference is named. An
    /// adapter that is trained on is compared with the model that it adapts, or, where the reference
    /// moves, with itself.
    pub(super) fn frozen(&self) -> Llama {
        if self.moving { self.model.frozen() } else { self.model.without_adapter() }
    }

    pub(super) fn policy(&self, args: &Args, seed: u64) -> Result<Llama, Failure> {
        let attempt = |e: ponens::runtime::model::Error| {
            Failure::from(Diagnostic::error("E0701", format!("{}: {e}", self.name)))
        };
        let policy = if args.full {
            self.model.snapshot().and_then(Llama::into_trainable).map_err(attempt)?
        } else if self.model.adapter().is_some() {
            self.model.with_adapter_continued().map_err(attempt)?
        } else {
            self.model.with_adapter(&args.lora_config(), seed).map_err(attempt)?
        };
        Ok(policy.with_checkpointing(args.checkpointing))
    }
}

/// The examples of a run.
pub(super) struct Data {
    pub(super) train: Vec<EncodedExample>,
    pub(super) held_out: Vec<EncodedExample>,
    pub(super) cuts: Option<String>,
}

impl Data {
    /// Reads the files as text.
    pub(super) fn read(args: &Args, loss: &Loss) -> Result<TextData, Failure> {
        let path = wanted(args.data.data.as_deref(), "data")?;
        let given = args.reference.as_deref() == Some("data");
        let records = args.data.read(path, &loss.binding, given)?;
        let (mut train, held_out) = match &args.eval_data {
            Some(path) => (records, args.data.read(path, &loss.binding, given)?),
            None => split(records, args.eval_fraction, args.seed),
        };
        if args.flip > 0.0 {
            flip_labels(&mut train, args.flip, args.seed);
        }
        Ok(TextData { train, held_out })
    }
}

/// The rows of a run, before a model is there.
pub(super) struct TextData {
    train: Vec<TextExample>,
    held_out: Vec<TextExample>,
}

impl TextData {
    /// The rows as tokens.
    pub(super) fn encode(self, args: &Args, base: &Base, loss: &Loss) -> Result<Data, Failure> {
        let path = wanted(args.data.data.as_deref(), "data")?;
        let held_path = args.eval_data.as_deref().unwrap_or(path);
        let encode = |rows, path| args.data.encode(rows, path, &base.tokenizer, &loss.binding);
        let (train, report) = encode(&self.train, path)?;
        let (held_out, _) = encode(&self.held_out, held_path)?;
        Ok(Data { train, held_out, cuts: models::cuts(&report) })
    }
}
