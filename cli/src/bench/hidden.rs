//! The contenders from hidden states, beside the matrix products that they need.

use super::Result;
use super::measure::Contender;
use super::work::{Dice, Shape, dpo, rows};
use candle_core::{Device, Tensor};
use ponens_runtime::logprob::Head;
use ponens_runtime::op::hidden::loss_and_gradient;
use ponens_runtime::yardstick::{Product, product};
use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

/// hidden times head.
pub(super) const LOGITS: &str = "product: hidden x head";
/// probabilities times head.
pub(super) const HIDDEN: &str = "product: probabilities x head";
/// probabilities times hidden.
pub(super) const WEIGHT: &str = "product: probabilities x hidden";
/// One pass, head frozen.
pub(super) const FROZEN: &str = "frozen head, one pass";
/// Two passes, head trained.
pub(super) const TRAINED: &str = "trained head, logits made twice";

/// Room for the products, made on first use so that the other contenders' peaks do not hold it.
#[derive(Default)]
struct Room {
    logits: Vec<f32>,
    hidden: Vec<f32>,
    weight: Vec<f32>,
}

pub(super) fn contenders(shape: Shape, width: usize) -> Result<Vec<Contender>> {
    let (n, v) = (shape.rows(), shape.vocabulary);
    let mut dice = Dice::new(3);
    let device = &Device::Cpu;
    let hidden = Tensor::from_vec(dice.numbers(n * width, 1.0), (n, width), device)?;
    let weight = Tensor::from_vec(dice.numbers(v * width, 0.5), (v, width), device)?;
    let rows = Rc::new(rows(shape)?);
    let dpo = Rc::new(dpo(shape, &rows)?);
    let room = Rc::new(RefCell::new(Room::default()));
    let prepare = move |room: &mut Rc<RefCell<Room>>| {
        let mut room = room.borrow_mut();
        room.logits.resize(n * v, 0.01);
        room.hidden.resize(n * width, 0.0);
        room.weight.resize(v * width, 0.0);
    };
    let one = |name: &str, which: Product| {
        let (hidden, weight) = (hidden.clone(), weight.clone());
        Contender::new(name, room.clone(), prepare, move |room| {
            let Room { logits, hidden: h, weight: w } = &mut *room.borrow_mut();
            Ok(product(which, &hidden, &weight, logits, h, w)?)
        })
    };
    let fused = |name: &str, train_head: bool| {
        let head = Head::new(weight.clone());
        let (hidden, rows, dpo) = (hidden.clone(), rows.clone(), dpo.clone());
        Contender::new(
            name,
            (),
            |()| (),
            move |()| {
                let out = loss_and_gradient(
                    &hidden,
                    &head,
                    train_head,
                    &rows,
                    &dpo.columns,
                    &dpo.kernel,
                )?;
                black_box(out);
                Ok(())
            },
        )
    };
    Ok(vec![
        one(LOGITS, Product::Logits),
        one(HIDDEN, Product::Hidden),
        one(WEIGHT, Product::Weight),
        fused(FROZEN, false),
        fused(TRAINED, true),
    ])
}

/// Bytes of the gradients that a form returns.
pub(super) fn returned(name: &str, shape: Shape, width: usize) -> u64 {
    let (n, v, width) = (shape.rows() as u64, shape.vocabulary as u64, width as u64);
    match name {
        FROZEN => 4 * n * width,
        TRAINED => 4 * (n + v) * width,
        _ => 0,
    }
}
