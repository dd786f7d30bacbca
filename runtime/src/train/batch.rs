//! One batch: numbers of tokens, loss, gradient, in as many passes as the memory wants.

use std::ops::Range;

use crate::data::{EncodedExample, Sequence};
use crate::logprob::Each;
use crate::model::{Error, Gradients, TokenNumbers};
use crate::op::RuntimeError;

use super::nested::TokenSlopes;
use super::policy::Policy;
use super::problem::{BatchError, Problem, Sums, append, as_rows, own_error};
use super::running_mean::Running;

/// What one batch gave.
pub(super) struct BatchResult {
    /// The loss of each term.
    pub(super) loss: Vec<f64>,
    /// The loss of the scalar head of each term, where it has one of its own.
    pub(super) head_loss: Vec<f64>,
    /// What figures are made of.
    pub(super) sums: Sums,
    /// The gradient of the mean loss.
    pub(super) gradients: Gradients,
    /// The gradient by the scalar head's variables.
    pub(super) of_head: Gradients,
    /// The loss's running means, this batch included.
    pub(super) running: Vec<Running>,
}

/// Value and gradient of the mean loss over `examples`, at most `micro` examples in memory at once.
///
/// A loss that couples its examples is evaluated on the sums of the whole batch, which costs a forward
/// pass over each micro-batch first. Responses of other prompts have a gradient in few losses; where it
/// is 0 throughout they are left out of the backward pass.
pub(super) fn gradient(
    policy: &dyn Policy,
    problem: Problem<'_>,
    examples: &[&EncodedExample],
    reference: Option<&[Vec<f64>]>,
    micro: usize,
) -> Result<BatchResult, BatchError> {
    let terms = examples.iter().map(|e| problem.binding.terms(e)).sum();
    let parts: Vec<_> =
        (0..examples.len()).step_by(micro).map(|i| i..(i + micro).min(examples.len())).collect();
    let two_passes = problem.couples() && (parts.len() > 1 || problem.binding.needs_mismatched());
    let mut out = BatchResult {
        loss: Vec::new(),
        head_loss: Vec::new(),
        sums: Sums::default(),
        gradients: Gradients::default(),
        of_head: Gradients::default(),
        running: Vec::new(),
    };
    let mut add = |gradients: Gradients, of_head: Option<Gradients>| -> Result<(), RuntimeError> {
        out.gradients.add(gradients)?;
        if let Some(of_head) = of_head {
            out.of_head.add(of_head)?;
        }
        Ok(())
    };
    if two_passes {
        let mut numbers = TokenNumbers::default();
        for part in &parts {
            append(&mut numbers, problem.numbers(policy, &examples[part.clone()])?);
        }
        out.sums = problem.sums(&numbers);
        let valued = problem.value(examples, reference, &numbers, terms)?;
        problem.check(examples, &out.sums, &valued)?;
        for (sequences, weights) in passes(examples, &parts, &valued.slopes) {
            let rows = as_rows(sequences.into_iter(), problem.reads_end());
            let weights = problem.with_end(weights);
            let back = policy
                .backward_numbers(&rows, problem.asked(), &mut |_| Ok(weights.clone()))
                .map_err(RuntimeError::from)?;
            add(back.gradients, back.of_head)?;
        }
        out.loss = valued.loss;
        out.head_loss = valued.head_loss;
        out.running = valued.running;
        return Ok(out);
    }
    let (mut losses, mut head_losses, mut all) = (Vec::new(), Vec::new(), Sums::default());
    // A loss with a running mean couples its examples: then there is one part.
    let mut running = Vec::new();
    for part in parts {
        let mine = &examples[part.clone()];
        let reference = reference.map(|r| &r[part.clone()]);
        let mut wrong = None;
        let result =
            policy.backward_numbers(&problem.rows(mine), problem.asked(), &mut |numbers| {
                let numbers = problem.without_end(numbers.clone());
                let v = problem
                    .value(mine, reference, &numbers, terms)
                    .map_err(|e| Error::Loss(Box::new(e)))?;
                let sums = problem.sums(&numbers);
                if let Err(e) = problem.check(mine, &sums, &v) {
                    // Weights that are not finite would only poison the pass.
                    wrong = Some(e);
                    let mut none = v.slopes.narrow();
                    none.logps.iter_mut().flatten().for_each(|w| *w = 0.0);
                    let logps = none.logps;
                    return Ok(problem.with_end(TokenNumbers { logps, ..TokenNumbers::default() }));
                }
                losses.extend(v.loss);
                head_losses.extend(v.head_loss);
                running = v.running;
                all.append(sums);
                Ok(problem.with_end(v.slopes.narrow()))
            });
        let back = result.map_err(own_error)?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        add(back.gradients, back.of_head)?;
    }
    (out.loss, out.head_loss, out.sums) = (losses, head_losses, all);
    out.running = running;
    Ok(out)
}

/// The sequences and weights of each backward pass.
fn passes<'a>(
    examples: &[&'a EncodedExample],
    parts: &[Range<usize>],
    slopes: &TokenSlopes,
) -> Vec<(Vec<&'a Sequence>, TokenNumbers)> {
    let mut each: Vec<(&Sequence, bool)> = Vec::new();
    for example in examples {
        let own = example.responses.len();
        each.extend(example.sequences().enumerate().map(|(i, s)| (s, i >= own)));
    }
    let weights = slopes.narrow();
    let still = |(i, (_, mismatched)): (usize, &(&Sequence, bool))| {
        !mismatched || slopes.logps[i].iter().all(|w| *w == 0.0)
    };
    let idle = each.iter().enumerate().all(still);
    let mut next = 0;
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let count: usize = examples[part.clone()].iter().map(|e| e.sequence_count()).sum();
        let kept: Vec<usize> = (next..next + count).filter(|&i| !(idle && each[i].1)).collect();
        next += count;
        // What has no rows has none in any part.
        let pick = |rows: &[Vec<f32>]| -> Vec<Vec<f32>> {
            kept.iter().filter_map(|&i| rows.get(i).cloned()).collect()
        };
        let of_part = TokenNumbers {
            logps: pick(&weights.logps),
            values: pick(&weights.values),
            statistics: Each::new(|s| pick(&weights.statistics[s])),
        };
        out.push((kept.iter().map(|&i| each[i].0).collect(), of_part));
    }
    out
}
