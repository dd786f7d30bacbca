//! The backward pass, driven by hand.
//!
//! Only the layers are on the tensor library's tape. The head is not: its log-probabilities and
//! gradients are streamed ([`crate::logprob`]). Nor is the embedding, whose gradient is one addition a
//! token. With checkpointing each layer gets a tape of its own, made again when its turn comes.

use candle_core::{Tensor, Var, backprop::GradStore};

use super::{
    body::Pass,
    causal_lm::{Asked, Backward, NumberWeights, TokenNumbers},
    error::{Error, Result},
    gradients::{Collector, Gradients},
    llama::Llama,
    rows::{Packed, Rows},
};
use crate::logprob::{self, Each, FrozenForward, Head, RowStats, Statistic};

/// What the loss asks for, and what it says.
struct Loss<'a, 'w> {
    asked: Asked<'a>,
    /// The reference's hidden states and head, where a divergence is asked for.
    reference: Option<(Tensor, Head)>,
    weights: &'a mut NumberWeights<'w>,
}

/// What comes of the top of the model.
struct Top {
    numbers: TokenNumbers,
    d_hidden: Tensor,
    of_head: Option<Gradients>,
}

pub(super) fn backward(
    model: &Llama,
    rows: &Rows,
    asked: Asked<'_>,
    weights: &mut NumberWeights<'_>,
) -> Result<Backward> {
    if model.trainable.is_empty() {
        return Err(Error::NothingTrainable);
    }
    let packed = model.pack(rows)?;
    if packed.targets.is_empty() {
        return Err(Error::NoCompletion);
    }
    let pass = Pass::new(&model.config, &packed, Some(model.next_seed()));
    let embedded = model.plain.embed(&packed.tokens)?;
    let mut collector = Collector::new(&model.trainable);
    let mut loss = Loss { asked, reference: model.states_of_reference(rows, asked)?, weights };
    let (top, d_embedded) = if model.checkpointing() {
        checkpointed(model, &packed, &pass, embedded, &mut loss, &mut collector)?
    } else {
        taped(model, &packed, &pass, embedded, &mut loss, &mut collector)?
    };
    let embedding = &model.tracked.embedding;
    // The tape has a gradient there for a frozen embedding too: it would cost two tables of its size.
    if let Some(d_embedded) = d_embedded.filter(|_| embedding.is_variable()) {
        let index = Tensor::from_slice(&packed.tokens, packed.tokens.len(), embedding.device())?;
        let gradient = match collector.take(embedding.id()) {
            Some(of_head) => of_head,
            None => model.plain.embedding.zeros_like()?,
        };
        collector.add(embedding.id(), &gradient.index_add(&index, &d_embedded, 0)?)?;
    }
    Ok(Backward { numbers: top.0, gradients: collector.finish(), of_head: top.1 })
}

/// The numbers of the forward pass and the gradients of the scalar head.
type Known = (TokenNumbers, Option<Gradients>);

/// All layers on one tape.
fn taped(
    model: &Llama,
    packed: &Packed,
    pass: &Pass,
    embedded: Tensor,
    loss: &mut Loss<'_, '_>,
    collector: &mut Collector<'_>,
) -> Result<(Known, Option<Tensor>)> {
    let leaf = leaf_if(model.tracked.embedding.is_variable(), embedded)?;
    let mut x = leaf.clone();
    for layer in &model.tracked.layers {
        x = layer.forward(&x, &model.config, pass)?;
    }
    let top = model.tracked.finish(&x, &packed.predictors, &model.config)?;
    drop(x);
    let Top { numbers, d_hidden, of_head } = through_head(model, packed, &top, loss, collector)?;
    let store = pull(&top, &d_hidden)?;
    collector.absorb(&store)?;
    let d_leaf = store.get(&leaf).map(Tensor::detach);
    Ok(((numbers, of_head), d_leaf))
}

/// One tape a layer, made from the layer's kept input.
fn checkpointed(
    model: &Llama,
    packed: &Packed,
    pass: &Pass,
    embedded: Tensor,
    loss: &mut Loss<'_, '_>,
    collector: &mut Collector<'_>,
) -> Result<(Known, Option<Tensor>)> {
    let mut inputs = vec![embedded];
    let mut x = inputs[0].clone();
    for layer in &model.plain.layers {
        x = layer.forward(&x, &model.config, pass)?;
        inputs.push(x.clone());
    }
    drop(x);
    let Some(last) = inputs.pop() else { return Err(Error::NothingTrainable) };
    let last = leaf_if(true, last)?;
    let top = model.tracked.finish(&last, &packed.predictors, &model.config)?;
    let Top { numbers, d_hidden, of_head } = through_head(model, packed, &top, loss, collector)?;
    let store = pull(&top, &d_hidden)?;
    collector.absorb(&store)?;
    let mut d_output = store.get(&last).map(Tensor::detach);
    drop((store, top, d_hidden, last));
    for (i, layer) in model.tracked.layers.iter().enumerate().rev() {
        let (Some(d), Some(input)) = (d_output.take(), inputs.pop()) else { break };
        let input = leaf_if(i > 0 || model.tracked.embedding.is_variable(), input)?;
        let output = layer.forward(&input, &model.config, pass)?;
        if !output.track_op() {
            // The lowest layer of an adapted model may have nothing to train.
            break;
        }
        let store = pull(&output, &d)?;
        collector.absorb(&store)?;
        d_output = store.get(&input).map(Tensor::detach);
    }
    Ok(((numbers, of_head), d_output))
}

/// A leaf of the tape if a gradient is wanted there.
fn leaf_if(wanted: bool, tensor: Tensor) -> Result<Tensor> {
    Ok(if wanted { Var::from_tensor(&tensor)?.into_inner() } else { tensor })
}

/// Gradients of everything below `output`, given dLoss / d output.
fn pull(output: &Tensor, gradient: &Tensor) -> Result<GradStore> {
    Ok((output * gradient)?.sum_all()?.backward()?)
}

/// The numbers of the targets, and dLoss / d hidden; the output head's own gradient goes to the collector.
fn through_head(
    model: &Llama,
    packed: &Packed,
    top: &Tensor,
    loss: &mut Loss<'_, '_>,
    collector: &mut Collector<'_>,
) -> Result<Top> {
    let hidden = top.detach();
    let head = model.head();
    let trained = model.tracked.head();
    let train_head = trained.is_variable();
    let mut numbers = model.beside_logps(&hidden, packed, loss.asked, loss.reference.as_ref())?;
    let rows_of =
        |stats: &[RowStats]| packed.split(&stats.iter().map(|s| s.logp).collect::<Vec<f32>>());
    let grad;
    let mut d_hidden;
    if train_head {
        let stats = logprob::forward(&hidden, &head, &packed.targets)?;
        numbers.logps = rows_of(&stats);
        grad = (loss.weights)(&numbers)?;
        let of_logps = checked(&numbers.logps, &grad.logps)?;
        let back = logprob::backward(&hidden, &head, &packed.targets, &stats, &of_logps, true)?;
        if let Some(d_weight) = &back.weight {
            collector.add(trained.id(), d_weight)?;
        }
        d_hidden = back.hidden;
    } else {
        let forward: FrozenForward = logprob::forward_frozen(&hidden, &head, &packed.targets)?;
        numbers.logps = rows_of(&forward.rows);
        grad = (loss.weights)(&numbers)?;
        d_hidden = forward.backward(&checked(&numbers.logps, &grad.logps)?)?;
    }
    let mut of_statistics = Each::new(|_| Vec::new());
    for s in Statistic::ALL {
        let given = &grad.statistics[s];
        if given.iter().flatten().any(|g| *g != 0.0) {
            of_statistics[s] = checked(&numbers.statistics[s], given)?;
        }
    }
    if Statistic::ALL.iter().any(|s| !of_statistics[*s].is_empty()) {
        let reference = loss.reference.as_ref().map(|(states, head)| (states, head));
        let targets = &packed.targets;
        let back = logprob::whole_backward(
            &hidden,
            &head,
            reference,
            targets,
            &of_statistics,
            train_head,
        )?;
        if let Some(d_weight) = &back.weight {
            collector.add(trained.id(), d_weight)?;
        }
        d_hidden = (d_hidden + back.hidden)?;
    }
    let mut of_head = None;
    if let Some(scalar) = model.scalar.as_ref().filter(|_| !grad.values.is_empty()) {
        let d = checked(&numbers.values, &grad.values)?;
        of_head = Some(scalar.gradients(&hidden, &d)?);
        if scalar.reaches_body() {
            d_hidden = (d_hidden + scalar.pull_back(&d)?)?;
        }
    }
    Ok(Top { numbers, d_hidden, of_head })
}

/// One weight for each token, in one list.
fn checked(logps: &[Vec<f32>], weights: &[Vec<f32>]) -> Result<Vec<f32>> {
    let (expected, actual) = (logps.len(), weights.len());
    if expected != actual {
        return Err(Error::Weights { what: "rows", expected, actual });
    }
    for (row, weights) in logps.iter().zip(weights) {
        if row.len() != weights.len() {
            let (expected, actual) = (row.len(), weights.len());
            return Err(Error::Weights { what: "tokens of a row", expected, actual });
        }
    }
    Ok(weights.iter().flatten().copied().collect())
}
