//! The contenders from logits.

use super::Result;
use super::measure::Contender;
use super::torch;
use super::work::{Dice, Settings, Shape, dpo, rows};
use candle_core::{DType, Device, Var};
use ponens_runtime::op::composed::{Gradient, composed_loss};
use ponens_runtime::op::fused::loss_and_gradient_in_place;
use ponens_runtime::op::tape::fused_loss;
use ponens_runtime::yardstick::read_twice_write_once;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

/// Reading the logits twice and writing them once.
pub(super) const FLOOR: &str = "read twice, write once";
/// The fused operation, called directly.
pub(super) const DIRECT: &str = "fused, direct";
/// The same with logits and gradient in bf16.
pub(super) const HALF: &str = "fused, direct, bf16";
/// The fused operation behind the tape.
pub(super) const TAPE: &str = "fused, candle's tape";
/// candle's own operations.
pub(super) const COMPOSED: &str = "composed candle";
/// PyTorch.
pub(super) const EAGER: &str = "PyTorch, eager";
/// PyTorch, compiled.
pub(super) const COMPILED: &str = "PyTorch, compiled";

pub(super) fn contenders(shape: Shape, settings: &Settings) -> Result<Vec<Contender>> {
    let v = shape.vocabulary;
    let rows = Arc::new(rows(shape)?);
    let dpo = Rc::new(dpo(shape, &rows)?);
    let values = Rc::new(Dice::new(1).numbers(shape.rows() * v, 8.0));
    let tensor = Var::from_slice(&values, (shape.rows(), v), &Device::Cpu)?;
    let reset = {
        let values = values.clone();
        move |buffer: &mut Vec<f32>| buffer.copy_from_slice(&values)
    };
    let direct = {
        let (rows, dpo) = (rows.clone(), dpo.clone());
        move |buffer: &mut Vec<f32>| {
            let out = loss_and_gradient_in_place(buffer, v, &rows, &dpo.columns, &dpo.kernel)?;
            black_box(out);
            Ok(())
        }
    };
    let half = {
        let (rows, dpo) = (rows.clone(), dpo.clone());
        move |buffer: &mut Vec<half::bf16>| {
            let out = loss_and_gradient_in_place(buffer, v, &rows, &dpo.columns, &dpo.kernel)?;
            black_box(out);
            Ok(())
        }
    };
    let halves: Vec<half::bf16> = values.iter().map(|x| half::bf16::from_f32(*x)).collect();
    let reset_half = {
        let halves = halves.clone();
        move |buffer: &mut Vec<half::bf16>| buffer.copy_from_slice(&halves)
    };
    let tape = {
        let (rows, dpo) = (rows.clone(), dpo.clone());
        move |logits: &mut Var| {
            let kernel = Arc::new(dpo.kernel.clone());
            let loss = fused_loss(logits, None, rows.clone(), dpo.columns.clone(), kernel)?;
            black_box(loss.backward()?);
            Ok(())
        }
    };
    let composed = {
        let (rows, dpo) = (rows.clone(), dpo.clone());
        move |logits: &mut Var| {
            let how = (DType::F32, Gradient::Tape);
            let graph = dpo.kernel.graph();
            let loss = composed_loss(logits, None, &rows, &dpo.columns, graph, &dpo.params, how)?;
            black_box(loss.backward()?);
            Ok(())
        }
    };
    let copy = || values.to_vec();
    let mut out = vec![
        Contender::new(
            FLOOR,
            copy(),
            // What is measured finds the memory as the fused operation does: just written.
            reset.clone(),
            move |buffer| {
                black_box(read_twice_write_once(buffer, v));
                Ok(())
            },
        ),
        Contender::new(DIRECT, copy(), reset, direct),
        Contender::new(HALF, halves, reset_half, half),
        Contender::new(TAPE, tensor.clone(), |_| (), tape),
        Contender::new(COMPOSED, tensor.clone(), |_| (), composed),
    ];
    out.extend(torch::contenders(shape, settings, &[(EAGER, "eager"), (COMPILED, "compiled")]));
    Ok(out)
}
