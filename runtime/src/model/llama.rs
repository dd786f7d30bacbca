//! The model: weights, what of them is trained, and how a pass through it is run.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Tensor, Var};

use super::{
    body::{Body, PackedWeights, Weights},
    config::Config,
    error::{Error, Result},
    init::random_weights,
    lora::{self, LoraConfig},
    ops::MapWeight,
    scalar::ScalarHead,
};

/// The bit that marks a dropout seed as held for all passes.
const HELD: u64 = 1 << 63;

/// A Llama-family causal language model in f32.
///
/// A new model is frozen; [`Llama::into_trainable`] trains all weights and [`Llama::with_adapter`] a
/// low-rank correction of some.
#[derive(Debug)]
pub struct Llama {
    pub(super) config: Config,
    /// Weights as the backward pass sees them: variables where they are trained.
    pub(super) tracked: Body,
    /// The same storage without tracking, for passes that keep no gradient.
    pub(super) plain: Body,
    pub(super) trainable: Vec<(String, Var)>,
    adapter: Option<LoraConfig>,
    checkpointing: bool,
    pub(super) scalar: Option<ScalarHead>,
    /// Passes so far, from which dropout seeds come; or a seed that is held, with [`HELD`].
    passes: AtomicU64,
}

impl Llama {
    /// A frozen model of given weights.
    ///
    /// # Errors
    /// If a weight is missing, of the wrong shape, or not accounted for by the configuration.
    pub fn new(config: Config, weights: Weights) -> Result<Self> {
        Self::packed(config, weights, PackedWeights::new())
    }

    /// A frozen model some of whose linear maps stay packed: a base for adapters that costs little memory.
    ///
    /// # Errors
    /// As [`Llama::new`].
    pub fn packed(config: Config, weights: Weights, packed: PackedWeights) -> Result<Self> {
        config.verify()?;
        let plain = Body::new(&config, weights, packed)?.detach();
        Ok(Self {
            config,
            tracked: plain.clone(),
            plain,
            trainable: Vec::new(),
            adapter: None,
            checkpointing: false,
            scalar: None,
            passes: AtomicU64::new(0),
        })
    }

    /// A frozen model of random weights; the same seed gives the same model.
    ///
    /// # Errors
    /// If the configuration contradicts itself.
    pub fn random(config: Config, seed: u64, device: &Device) -> Result<Self> {
        config.verify()?;
        let weights = random_weights(&config, seed, device)?;
        Self::new(config, weights)
    }

    fn with_tracked(&self, tracked: Body, trainable: Vec<(String, Var)>) -> Self {
        Self {
            config: self.config.clone(),
            plain: tracked.detach(),
            tracked,
            trainable,
            adapter: self.adapter.clone(),
            checkpointing: self.checkpointing,
            scalar: None,
            passes: AtomicU64::new(0),
        }
    }

    /// The model with every weight trained, in new storage. An adapter is merged first.
    ///
    /// # Errors
    /// If the device fails.
    pub fn into_trainable(self) -> Result<Self> {
        let merged = self.merged()?;
        drop(self);
        let mut body = merged.plain.clone();
        let mut trainable = Vec::new();
        drop(merged.tracked);
        drop(merged.plain);
        body.each_weight(|name, tensor| {
            let var = Var::from_tensor(tensor)?;
            *tensor = var.as_tensor().clone();
            trainable.push((name.to_owned(), var));
            Ok(())
        })?;
        Ok(Self {
            config: merged.config,
            plain: body.detach(),
            tracked: body,
            trainable,
            adapter: None,
            checkpointing: merged.checkpointing,
            scalar: None,
            passes: AtomicU64::new(0),
        })
    }

    /// The model with its weights frozen and a new adapter trained. The adapter starts at zero: the
    /// model starts as it was.
    ///
    /// # Errors
    /// If the adapter's configuration is out of range.
    pub fn with_adapter(&self, config: &LoraConfig, seed: u64) -> Result<Self> {
        self.attach(config, lora::initial(seed))
    }

    /// The model with its adapter trained on from where it is, in new storage.
    ///
    /// # Errors
    /// If there is no adapter, or the device fails.
    pub fn with_adapter_continued(&self) -> Result<Self> {
        let Some(config) = &self.adapter else {
            return Err(Error::Adapter("the model has none to go on with".into()));
        };
        let copy = |(name, v): &(String, Var)| Ok((name.clone(), v.as_tensor().copy()?.detach()));
        let values = self.trainable.iter().map(copy).collect::<Result<Weights>>()?;
        self.with_adapter_weights(config, values)
    }

    /// The model with its weights frozen and an adapter of given values, by PEFT's names, trained.
    ///
    /// # Errors
    /// If a value is missing, of the wrong shape, or for no adapted map.
    pub fn with_adapter_weights(&self, config: &LoraConfig, mut weights: Weights) -> Result<Self> {
        let model = self.attach(config, |name, shape, device| {
            let tensor = weights
                .remove(name)
                .ok_or_else(|| Error::MissingTensor { name: name.to_owned() })?;
            if tensor.dims() != shape {
                return Err(Error::Shape {
                    name: name.to_owned(),
                    expected: shape.to_vec(),
                    actual: tensor.dims().to_vec(),
                });
            }
            Ok(tensor.to_device(device)?)
        })?;
        match weights.into_keys().min() {
            Some(name) => Err(Error::UnexpectedTensor { name }),
            None => Ok(model),
        }
    }

    fn attach(
        &self,
        config: &LoraConfig,
        values: impl FnMut(&str, &[usize], &Device) -> Result<Tensor>,
    ) -> Result<Self> {
        let mut body = self.without_adapter().plain;
        let trainable = lora::attach(&mut body, config, values)?;
        let mut model = self.with_tracked(body, trainable);
        model.adapter = Some(config.clone());
        Ok(model)
    }

    /// The model with per-layer gradient checkpointing on or off: on, a backward pass keeps only the
    /// input of each layer and computes the layer again. Slower by about a forward pass, smaller by
    /// almost all activations; the numbers are the same.
    #[must_use]
    pub fn with_checkpointing(mut self, on: bool) -> Self {
        self.checkpointing = on;
        self
    }

    /// The model with a head that gives one number a position. Views and copies of the model lack it.
    #[must_use]
    pub fn with_scalar_head(mut self, head: ScalarHead) -> Self {
        self.scalar = Some(head);
        self
    }

    /// A view of the model that tracks nothing. It shares storage: when an optimiser moves this model,
    /// the view moves too. For a reference that stays, see [`Llama::snapshot`].
    #[must_use]
    pub fn frozen(&self) -> Self {
        self.with_tracked(self.plain.clone(), Vec::new())
    }

    /// A frozen view of the base model, without the adapter. With an adapter the base never moves, so
    /// this is a reference model at no cost.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        let mut body = self.plain.clone();
        for layer in &mut body.layers {
            for map in [
                &mut layer.q,
                &mut layer.k,
                &mut layer.v,
                &mut layer.o,
                &mut layer.gate,
                &mut layer.up,
                &mut layer.down,
            ] {
                map.adapter = None;
            }
        }
        let mut model = self.with_tracked(body, Vec::new());
        model.adapter = None;
        model
    }

    /// A frozen copy in storage of its own: the model as it is now.
    ///
    /// # Errors
    /// If the device fails.
    pub fn snapshot(&self) -> Result<Self> {
        let mut body = self.plain.clone();
        body.each_weight(|_, tensor| {
            *tensor = tensor.copy()?.detach();
            Ok(())
        })?;
        body.each_map(|_, _, map| {
            if let Some(adapter) = &mut map.adapter {
                adapter.a = adapter.a.copy()?.detach();
                adapter.b = adapter.b.copy()?.detach();
            }
            Ok(())
        })?;
        Ok(self.with_tracked(body, Vec::new()))
    }

    /// A frozen model whose adapter, if any, is added into the weights.
    ///
    /// # Errors
    /// If the device fails.
    pub fn merged(&self) -> Result<Self> {
        let mut body = self.plain.clone();
        body.each_map(|_, _, map| {
            if let Some(adapter) = map.adapter.take() {
                map.weight = MapWeight::Dense((map.weight.dense()? + adapter.delta()?)?.detach());
            }
            Ok(())
        })?;
        let mut model = self.with_tracked(body, Vec::new());
        model.adapter = None;
        Ok(model)
    }

    /// The hyperparameters.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The adapter's configuration, if one is attached.
    #[must_use]
    pub fn adapter(&self) -> Option<&LoraConfig> {
        self.adapter.as_ref()
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.plain.embedding.device()
    }

    /// Whether backward passes recompute layers.
    #[must_use]
    pub fn checkpointing(&self) -> bool {
        self.checkpointing
    }

    /// Base weights by name, without tracking, in the order of [`Config::parameters`]. They share
    /// storage with the model.
    ///
    /// # Errors
    /// If the device fails.
    pub fn weights(&self) -> Result<Vec<(String, Tensor)>> {
        let mut body = self.plain.clone();
        let mut out = Vec::new();
        body.each_weight(|name, tensor| {
            out.push((name.to_owned(), tensor.clone()));
            Ok(())
        })?;
        Ok(out)
    }

    /// Shows every base weight by name, in the order of [`Config::parameters`], one at a time: of packed
    /// weights no more than one is f32 at once.
    ///
    /// # Errors
    /// If the device fails, or `look` does.
    pub fn each_weight(&self, mut look: impl FnMut(&str, &Tensor) -> Result<()>) -> Result<()> {
        self.plain.clone().each_weight(|name, tensor| look(name, tensor))
    }

    /// The next pass's dropout seed.
    pub(super) fn next_seed(&self) -> u64 {
        self.held_seed().unwrap_or_else(|| self.passes.fetch_add(1, Ordering::Relaxed))
    }

    /// The seed that is held, which is that of forward passes too; they have none without.
    pub(super) fn held_seed(&self) -> Option<u64> {
        let passes = self.passes.load(Ordering::Relaxed);
        (passes & HELD != 0).then_some(passes & !HELD)
    }

    /// Makes all passes drop by one seed (of 63 bits), forward passes too, until none is given: then the
    /// number of passes starts at 0.
    pub fn hold_dropout(&self, seed: Option<u64>) {
        self.set_passes(seed.map_or(0, |s| s | HELD));
    }

    /// Sets the number of passes so far, from which dropout masks follow: for a run that resumes.
    pub fn set_passes(&self, passes: u64) {
        self.passes.store(passes, Ordering::Relaxed);
    }
}
