//! A model that reads tokens one after another and remembers keys and values.

use candle_core::{DType, Tensor};

use super::{
    body::Pass,
    error::{Error, Result},
    llama::Llama,
    ops::RotaryTable,
    rows::Packed,
};

/// Positions by which the memory grows.
const GROWTH: usize = 256;

/// The state of one text being read or written.
#[derive(Debug)]
pub struct Decoder<'a> {
    model: &'a Llama,
    /// Keys and values of each layer, `[capacity, key heads * head size]`.
    cache: Vec<(Tensor, Tensor)>,
    capacity: usize,
    table: RotaryTable,
    past: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder that has read nothing.
    #[must_use]
    pub fn new(model: &'a Llama) -> Self {
        Self { model, cache: Vec::new(), capacity: 0, table: RotaryTable::new(&[], 0), past: 0 }
    }

    /// A decoder that has read the same, in storage of its own.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fork(&self) -> Result<Self> {
        let cache = self.cache.iter().map(|(k, v)| Ok((k.copy()?, v.copy()?)));
        Ok(Self {
            model: self.model,
            cache: cache.collect::<Result<_>>()?,
            capacity: self.capacity,
            table: self.table.clone(),
            past: self.past,
        })
    }

    /// Number of tokens read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.past
    }

    /// Reads further tokens; returns the logits of the token after the last one, `[vocabulary]`.
    ///
    /// # Errors
    /// If `ids` is empty, a token is outside the vocabulary, or the context is full.
    pub fn advance(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        let config = self.model.config();
        let row = |message: String| Error::Row { row: 0, message };
        let end = self.past + ids.len();
        if ids.is_empty() {
            return Err(row("no token to read".into()));
        }
        if end > config.max_position_embeddings {
            let message =
                format!("{end} tokens, the model takes {}", config.max_position_embeddings);
            return Err(row(message));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= config.vocab_size) {
            let message = format!("token {id} is outside the vocabulary of {}", config.vocab_size);
            return Err(row(message));
        }
        self.reserve(end)?;
        let packed = Packed::continuation(ids, self.past);
        let pass = Pass {
            table: self.table.clone(),
            positions: packed.positions.clone(),
            spans: packed.spans.clone(),
            dropout: None,
        };
        let eps = config.rms_norm_eps as f32;
        let mut x = self.model.plain.embed(ids)?;
        for (layer, (keys, values)) in self.model.plain.layers.iter().zip(&self.cache) {
            let normed = layer.norm_input(&x, eps)?;
            let (k, v) = layer.keys_values(&normed, config, &pass)?;
            keys.slice_set(&k.contiguous()?, 0, self.past)?;
            values.slice_set(&v.contiguous()?, 0, self.past)?;
            let seen = (&keys.narrow(0, 0, end)?, &values.narrow(0, 0, end)?);
            x = layer.attend(&x, &normed, seen, config, &pass)?;
        }
        let last = [ids.len() as u32 - 1];
        let hidden = self.model.plain.finish(&x, &last, config)?;
        let logits = super::ops::frozen_linear(&hidden, self.model.plain.head())?;
        self.past = end;
        Ok(logits.flatten_all()?.to_vec1::<f32>()?)
    }

    /// Makes room for `positions` tokens.
    fn reserve(&mut self, positions: usize) -> Result<()> {
        if positions <= self.capacity {
            return Ok(());
        }
        let config = self.model.config();
        let most = config.max_position_embeddings;
        let capacity = positions.next_multiple_of(GROWTH).max(2 * self.capacity).min(most);
        let width = config.num_key_value_heads * config.head_dim;
        let grown = |old: Option<&Tensor>| -> Result<Tensor> {
            let new = Tensor::zeros((capacity, width), DType::F32, self.model.device())?;
            if let Some(old) = old {
                new.slice_set(old, 0, 0)?;
            }
            Ok(new)
        };
        let cache: Result<Vec<(Tensor, Tensor)>> = (0..config.num_hidden_layers)
            .map(|i| {
                let old = self.cache.get(i);
                Ok((grown(old.map(|c| &c.0))?, grown(old.map(|c| &c.1))?))
            })
            .collect();
        self.cache = cache?;
        self.table = RotaryTable::new(&config.rope_frequencies(), capacity);
        self.capacity = capacity;
        Ok(())
    }
}
