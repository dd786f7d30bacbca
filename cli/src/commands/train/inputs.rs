//! What a run works with: the loss, the model, the data; each found and checked before the next is touched.

use super::super::models::{self, Loaded};
use super::super::numbers;
use super::{Args, wanted};
use crate::failure::Failure;
use crate::output::Ui;
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::Diagnostic;
use ponens::locate::{self, Located};
use ponens::runtime::data::{EncodedExample, Examples, Shape, TextExample, flip_labels, split};
use ponens::runtime::model::{Error, Llama, ScalarHead};
use ponens::runtime::op::GraphKernel;
use ponens::runtime::tokenizer::Tokenizer;
use ponens::runtime::train::{Binding, HeadKind, Names};
use std::path::Path;

/// A loss, ready to train with.
pub(super) struct Loss {
    pub(super) compiled: Compiled,
    pub(super) located: Located,
    pub(super) kernel: GraphKernel,
    pub(super) names: Names,
    pub(super) binding: Binding,
    /// The loss of its scalar head, where it has one of its own.
    pub(super) head: Option<GraphKernel>,
}

impl Loss {
    /// Finds and compiles a loss.
    pub(super) fn find(name: &str, args: &Args, ui: &mut Ui) -> Result<Self, Failure> {
        let (compiled, located) = locate::locate(name)?.compile(&Options::default())?;
        ui.report(&located.program.sources, &located.warnings);
        let names = models::names(&compiled.loss);
        // In a grid a parameter goes to the losses that have it.
        let params: Vec<(String, f64)> = numbers(&args.params)?
            .into_iter()
            .filter(|(n, _)| {
                args.losses.is_empty() || compiled.loss.params.iter().any(|p| p.name == *n)
            })
            .collect();
        let head = match &args.head_loss {
            None => None,
            Some(name) => Some(Self::of_head(name, &params, ui)?),
        };
        // A parameter goes to the losses that have it, and has to be one of the first's if it is alone.
        let own: Vec<(String, f64)> = match &head {
            None => params,
            Some(_) => params
                .into_iter()
                .filter(|(n, _)| compiled.loss.params.iter().any(|p| p.name == *n))
                .collect(),
        };
        let kernel = models::kernel(&compiled, &own)?;
        let binding = Binding::new(&kernel, &names).map_err(models::failed)?;
        if matches!(binding.shape(), Shape::List | Shape::Trajectory) && args.flip > 0.0 {
            return Err(Failure::Usage("--flip turns labels; these data have none".to_owned()));
        }
        Ok(Self { compiled, located, kernel, names, binding, head })
    }

    /// The loss of a scalar head, with those parameters that it has.
    fn of_head(name: &str, params: &[(String, f64)], ui: &mut Ui) -> Result<GraphKernel, Failure> {
        let (compiled, located) = locate::locate(name)?.compile(&Options::default())?;
        ui.report(&located.program.sources, &located.warnings);
        let own: Vec<(String, f64)> = params
            .iter()
            .filter(|(n, _)| compiled.loss.params.iter().any(|p| p.name == *n))
            .cloned()
            .collect();
        models::kernel(&compiled, &own)
    }

    /// Whether it reads the reference model.
    pub(super) fn needs_reference(&self) -> bool {
        self.binding.needs_reference() || self.binding.needs_live_reference()
    }

    /// The scalar head that the policy needs.
    fn scalar_head(&self, width: usize) -> Result<Option<ScalarHead>, Error> {
        let kind = self.binding.head();
        kind.map(|kind| ScalarHead::zero(width, kind == HeadKind::Reward)).transpose()
    }

    /// The values of its parameters.
    pub(super) fn params(&self) -> Vec<(String, f64)> {
        let names = self.kernel.graph().params.iter().map(|p| p.name.clone());
        names.zip(self.kernel.params().iter().copied()).collect()
    }
}

/// What all runs of a sitting share of a model, beside its weights.
pub(super) struct Base {
    pub(super) name: String,
    pub(super) tokenizer: Tokenizer,
    /// The reference, where it is another model.
    pub(super) other: Option<Llama>,
    /// Whether the reference is the model as it starts with its adapter, and not what the adapter adapts.
    moving: bool,
    /// Whether the model has an adapter that a run goes on with.
    pub(super) adapted: bool,
}

/// The models of one run before its first step.
pub(super) struct Start {
    pub(super) policy: Llama,
    /// What the policy is compared with where no other reference is named; none where that is the policy
    /// itself as it starts. Then no second copy of the weights is held.
    pub(super) frozen: Option<Llama>,
}

impl Base {
    /// Loads the model, and the reference if another one is named.
    pub(super) fn load(args: &Args, needs_reference: bool) -> Result<(Self, Llama), Failure> {
        let name = wanted(args.model.as_deref(), "model")?;
        let Loaded { model, tokenizer } = models::load_as(name, args.packed)?;
        let other = match args.reference.as_deref() {
            Some(other) if !["data", "start"].contains(&other) && needs_reference => {
                Some(models::load_reference(other, &tokenizer)?)
            }
            _ => None,
        };
        let adapted = model.adapter().is_some();
        let name = name.to_owned();
        Ok((Self { name, tokenizer, other, moving: args.moves(), adapted }, model))
    }

    /// The model as it starts: what the policy is compared with where no other reference is named. An
    /// adapter that is trained on is compared with the model that it adapts, or, where the reference
    /// moves, with itself.
    pub(super) fn frozen(&self, model: &Llama) -> Llama {
        if self.moving { model.frozen() } else { model.without_adapter() }
    }

    fn attempt(
        &self,
        policy: Result<Llama, Error>,
        args: &Args,
        loss: &Loss,
    ) -> Result<Llama, Failure> {
        let headed = policy.and_then(|policy| {
            Ok(match loss.scalar_head(policy.config().hidden_size)? {
                Some(head) => policy.with_scalar_head(head),
                None => policy,
            })
        });
        match headed {
            Ok(policy) => Ok(policy.with_checkpointing(args.checkpointing)),
            Err(e) => Err(Diagnostic::error("E0701", format!("{}: {e}", self.name)).into()),
        }
    }

    /// The models of one run of several; the weights stay for the next.
    pub(super) fn start(
        &self,
        args: &Args,
        loss: &Loss,
        model: &Llama,
        seed: u64,
    ) -> Result<Start, Failure> {
        let policy = if args.full {
            model.snapshot().and_then(Llama::into_trainable)
        } else if model.adapter().is_some() {
            model.with_adapter_continued()
        } else {
            model.with_adapter(&args.lora_config(), seed)
        };
        let policy = self.attempt(policy, args, loss)?;
        Ok(Start { policy, frozen: Some(self.frozen(model)) })
    }

    /// The models of the only run: all weights are trained where they lie, if that is what is trained.
    pub(super) fn only_start(
        &self,
        args: &Args,
        loss: &Loss,
        model: Llama,
    ) -> Result<Start, Failure> {
        let alone = model.adapter().is_none() || self.moving;
        // A divergence asks the reference at every step.
        if args.full && alone && !loss.binding.needs_live_reference() {
            let policy = self.attempt(model.into_trainable(), args, loss)?;
            return Ok(Start { policy, frozen: None });
        }
        self.start(args, loss, &model, args.seed)
    }
}

/// The examples of a run.
pub(super) struct Data {
    pub(super) train: Box<dyn Examples>,
    pub(super) held_out: Vec<EncodedExample>,
    pub(super) cuts: Option<String>,
}

impl Data {
    /// Reads the files as text, but for one that is streamed.
    pub(super) fn read(args: &Args, loss: &Loss) -> Result<TextData, Failure> {
        let path = wanted(args.data.data.as_deref(), "data")?;
        let given = args.reference.as_deref() == Some("data");
        if let (true, Some(held_out)) = (args.stream, &args.eval_data) {
            let held_out = args.data.read(held_out, &loss.binding, given)?;
            return Ok(TextData { train: None, held_out });
        }
        let records = args.data.read(path, &loss.binding, given)?;
        let (mut train, held_out) = match &args.eval_data {
            Some(path) => (records, args.data.read(path, &loss.binding, given)?),
            None => split(records, args.eval_fraction, args.seed),
        };
        if args.flip > 0.0 {
            flip_labels(&mut train, args.flip, args.seed);
        }
        Ok(TextData { train: Some(train), held_out })
    }
}

/// The rows of a run, before a model is there.
pub(super) struct TextData {
    /// None where they are streamed.
    train: Option<Vec<TextExample>>,
    held_out: Vec<TextExample>,
}

impl TextData {
    /// The rows as tokens; those that are streamed in a nameless file in the output folder.
    pub(super) fn encode(
        self,
        args: &Args,
        base: &Base,
        loss: &Loss,
        output: &Path,
    ) -> Result<Data, Failure> {
        let path = wanted(args.data.data.as_deref(), "data")?;
        let held_path = args.eval_data.as_deref().unwrap_or(path);
        let (tokenizer, binding) = (&base.tokenizer, &loss.binding);
        let encode =
            |rows: &[TextExample], path: &Path| args.data.encode(rows, path, tokenizer, binding);
        let (train, report): (Box<dyn Examples>, _) = match &self.train {
            Some(rows) => {
                let (examples, report) = encode(rows, path)?;
                (Box::new(examples), report)
            }
            None => {
                let given = args.reference.as_deref() == Some("data");
                let (store, report) = args.data.store(path, tokenizer, binding, given, output)?;
                (Box::new(store), report)
            }
        };
        let (held_out, _) = encode(&self.held_out, held_path)?;
        Ok(Data { train, held_out, cuts: models::cuts(&report) })
    }
}
