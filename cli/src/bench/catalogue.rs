//! Every loss of the catalogue against dpo on the same logits: what differs is generated, and small.
//!
//! A loss that reads more of the distribution than the target's probability is held against the same
//! streaming pass with a trivial epilogue: the sum of its columns.

use super::Result;
use super::columns::columns;
use super::measure::{Contender, rounds};
use super::report::{Demand, Group, Row};
use super::work::{Dice, Settings, Shape, Target, rows};
use ponens_compiler::mir::Input;
use ponens_losses::Catalogue;
use ponens_runtime::logprob::Statistic;
use ponens_runtime::op::fused::{loss_and_gradient_in_place, loss_and_gradient_with_reference};
use ponens_runtime::op::{
    Columns, Evaluated, GraphKernel, LossKernel, RuntimeError, TokenRows, batch_len,
};
use std::hint::black_box;
use std::rc::Rc;

const MOST: f64 = 1.05;
/// How many times the rounds a loss gets once more whose first rounds do not meet the bound.
const MORE: usize = 5;

/// The sum of the columns.
struct Trivial(Vec<Input>, Vec<bool>);

impl LossKernel for Trivial {
    fn name(&self) -> &str {
        "trivial"
    }

    fn inputs(&self) -> &[Input] {
        &self.0
    }

    fn evaluate(&self, columns: &[Vec<f64>]) -> std::result::Result<Evaluated, RuntimeError> {
        let n = batch_len(self, columns)?;
        let loss = (0..n).map(|e| columns.iter().map(|c| c[e]).sum()).collect();
        let grads = self.1.iter().map(|moves| moves.then(|| vec![1.0; n])).collect();
        Ok(Evaluated { loss, grads })
    }
}

struct Loss {
    name: String,
    kernel: Rc<dyn LossKernel>,
    columns: Rc<Columns>,
    /// With which epilogue to compare, if it is not dpo.
    trivial: Option<Rc<dyn LossKernel>>,
}

fn prepare(name: &str, shape: Shape, rows: &TokenRows) -> Result<Loss> {
    let compiled = ponens_losses::compile(name, &Default::default())
        .map_err(|d| d.first().map_or_else(String::new, |d| d.message.clone()))?;
    let kernel = GraphKernel::new(compiled.graph(), &Default::default())?;
    let columns = columns(&compiled, &kernel, shape, rows)?;
    let wanted = columns.wanted();
    let more = Statistic::ALL[1..].iter().any(|s| wanted[*s]);
    let trivial = more.then(|| {
        // The same statistics get a gradient, so that the same passes run.
        let moves = |i: &Input| compiled.graph().root(&format!("d/{}", i.name)).is_some();
        let moves = kernel.inputs().iter().map(moves).collect();
        Rc::new(Trivial(kernel.inputs().to_vec(), moves)) as Rc<dyn LossKernel>
    });
    Ok(Loss { name: name.into(), kernel: Rc::new(kernel), columns: Rc::new(columns), trivial })
}

/// Buffers that all contenders share.
struct Inputs {
    values: Vec<f32>,
    reference: Vec<f32>,
    buffer: std::cell::RefCell<Vec<f32>>,
    rows: TokenRows,
    vocabulary: usize,
}

fn contender(
    name: &str,
    inputs: &Rc<Inputs>,
    kernel: &Rc<dyn LossKernel>,
    columns: &Rc<Columns>,
) -> Contender {
    let (kernel, columns) = (kernel.clone(), columns.clone());
    let wanted = columns.wanted();
    let pair = wanted[Statistic::KlFromReference] || wanted[Statistic::KlToReference];
    Contender::new(
        name,
        inputs.clone(),
        |inputs| inputs.buffer.borrow_mut().copy_from_slice(&inputs.values),
        move |inputs| {
            let (buffer, v) = (&mut *inputs.buffer.borrow_mut(), inputs.vocabulary);
            let (rows, kernel) = (&inputs.rows, kernel.as_ref());
            black_box(if pair {
                let other = &inputs.reference;
                loss_and_gradient_with_reference(buffer, other, v, rows, &columns, kernel)?
            } else {
                loss_and_gradient_in_place(buffer, v, rows, &columns, kernel)?
            });
            Ok(())
        },
    )
}

pub(super) fn measure(
    shape: Shape,
    settings: &Settings,
    progress: &mut dyn FnMut(&str),
) -> Result<Group> {
    let n = shape.rows() * shape.vocabulary;
    let values = Dice::new(1).numbers(n, 8.0);
    let inputs = Rc::new(Inputs {
        reference: Dice::new(2).numbers(n, 8.0),
        buffer: std::cell::RefCell::new(values.clone()),
        values,
        rows: rows(shape)?,
        vocabulary: shape.vocabulary,
    });
    let dpo = prepare("dpo", shape, &inputs.rows)?;
    let mut out = Vec::new();
    let mut worst = [(0f64, String::new()), (0f64, String::new())];
    for entry in Catalogue.entries() {
        let name = entry.name.to_string();
        progress(&name);
        let loss = match prepare(&name, shape, &inputs.rows) {
            Ok(loss) => loss,
            Err(e) => {
                out.push(Row::skipped(&name, format!("{e}")));
                continue;
            }
        };
        let yardstick = match &loss.trivial {
            None => contender("dpo", &inputs, &dpo.kernel, &dpo.columns),
            Some(trivial) => contender("trivial", &inputs, trivial, &loss.columns),
        };
        let own = contender(&loss.name, &inputs, &loss.kernel, &loss.columns);
        let mut both = [yardstick, own];
        let mut times = rounds(&mut both, settings.rounds)?;
        if times[1].ratio(&times[0]).is_some_and(|r| r > MOST) {
            // The worst of so many medians of few rounds is mostly noise: what all rounds say counts.
            for (times, more) in times.iter_mut().zip(rounds(&mut both, MORE * settings.rounds)?) {
                times.times.extend(more.times);
            }
        }
        let ratio = times[1].ratio(&times[0]).unwrap_or(f64::NAN);
        let (kind, against) = match loss.trivial {
            None => (0, "dpo"),
            Some(_) => (1, "the same pass, trivial epilogue"),
        };
        if ratio > worst[kind].0 {
            worst[kind] = (ratio, name.clone());
        }
        out.push(Row::new(&name, times[1].median(), None).ratio(against, Some(ratio)));
    }
    let [(plain, of_plain), (more, of_more)] = worst;
    let demand = |what: &str, value: f64, of: String| {
        Demand::at_most(format!("{what} (worst: {of})"), Some(value).filter(|v| *v > 0.0), MOST)
    };
    Ok(Group {
        title: Target::Catalogue(shape).to_string(),
        rows: out,
        demands: vec![
            demand("a loss of target log-probabilities / dpo", plain, of_plain),
            demand("a loss of other statistics / trivial epilogue", more, of_more),
        ],
    })
}
