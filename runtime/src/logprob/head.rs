//! The output head: weight, bias and what is done to its raw output before the softmax.

use candle_core::{Device, Result, Tensor, bail};

/// How raw head outputs `z` become logits:
/// `softcap * tanh(scale * z / softcap) / temperature`, without the cap `scale * z / temperature`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitTransform {
    /// Multiplies the raw output (Cohere, Granite); 1 for most models.
    pub scale: f32,
    /// Bound of the logits (Gemma 2), if any; positive.
    pub softcap: Option<f32>,
    /// Divides the logits; positive.
    pub temperature: f32,
}

impl Default for LogitTransform {
    fn default() -> Self {
        Self { scale: 1.0, softcap: None, temperature: 1.0 }
    }
}

impl LogitTransform {
    /// Whether raw outputs are the logits.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// How fast a logit grows with the value under the cap: 1 without a cap.
    pub(super) fn outer(&self, logit: f32) -> f32 {
        self.softcap.map_or(1.0, |cap| {
            let tanh = logit * self.temperature / cap;
            1.0 - tanh * tanh
        })
    }

    /// Applies the transform to one value.
    #[must_use]
    pub fn apply(&self, raw: f32) -> f32 {
        let z = raw * self.scale;
        self.softcap.map_or(z, |cap| cap * (z / cap).tanh()) / self.temperature
    }
}

/// The output head of a language model.
#[derive(Clone, Debug)]
pub struct Head {
    /// `[V, H]`, f32.
    pub weight: Tensor,
    /// `[V]`, f32.
    pub bias: Option<Tensor>,
    /// From raw outputs to logits.
    pub transform: LogitTransform,
}

impl Head {
    /// A head without bias whose raw outputs are the logits.
    #[must_use]
    pub fn new(weight: Tensor) -> Self {
        Self { weight, bias: None, transform: LogitTransform::default() }
    }

    /// Vocabulary size and hidden size.
    ///
    /// # Errors
    /// If the weight is not a matrix.
    pub fn dims(&self) -> Result<(usize, usize)> {
        self.weight.dims2()
    }

    /// Checks hidden states and targets against the head: `N`, hidden size, vocabulary.
    pub(super) fn check(&self, hidden: &Tensor, targets: &[u32]) -> Result<(usize, usize, usize)> {
        let (vocabulary, width) = self.dims()?;
        let (rows, columns) = hidden.dims2()?;
        if columns != width {
            bail!("hidden states have {columns} columns, the head takes {width}")
        }
        if rows != targets.len() {
            bail!("{rows} hidden states for {} targets", targets.len())
        }
        if let Some(bias) = &self.bias
            && bias.dims() != [vocabulary]
        {
            bail!("the head has {vocabulary} rows, its bias the shape {:?}", bias.dims())
        }
        if let Some(target) = targets.iter().find(|&&t| t as usize >= vocabulary) {
            bail!("target token {target} is outside the vocabulary of {vocabulary}")
        }
        Ok((rows, width, vocabulary))
    }

    /// Whether the streamed CPU path runs, as opposed to composed tensor operations.
    pub(super) fn is_streamed(&self) -> bool {
        matches!(self.weight.device(), Device::Cpu)
    }

    /// From raw outputs of a part of a row to its logits, in place; `bias` is of that part.
    pub(super) fn finish_row(&self, row: &mut [f32], bias: Option<&[f32]>) {
        if let Some(bias) = bias {
            for (v, b) in row.iter_mut().zip(bias) {
                *v += b;
            }
        }
        if !self.transform.is_identity() {
            for v in row {
                *v = self.transform.apply(*v);
            }
        }
    }
}
