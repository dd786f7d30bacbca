//! From hidden states and the head: tiles, tensor cores and all, against the definition in f64.

use super::support::{Dice, Interpreter, compiler, load, module, store};
use ponens_compiler::codegen::cuda::head::{
    Argument as Wanted, Kernel, TILE_ROWS, TILE_VOCABULARY, program,
};
use ponens_compiler::codegen::cuda::{self, Element, prelude};
use ponens_compiler::codegen::interp::Real;
use ponens_compiler::lir::stream::normaliser;
use ponens_compiler::lir::{self, Statistic};
use ponens_compiler::session::Options;
use ponens_ptx::{Buffer, Module};
use ponens_runtime::kernel::{Argument, Machine};
use std::collections::HashMap;

struct Case {
    element: Element,
    rows: usize,
    vocabulary: usize,
    width: usize,
    splits: usize,
    /// Bytes past an aligned address.
    skew: u8,
}

/// Random numbers as stored, and their values.
fn numbers(element: Element, count: usize, size: f64, dice: &mut Dice) -> (Vec<u8>, Vec<f64>) {
    let all: Vec<_> = (0..count).map(|_| store(element, dice.between(-size, size))).collect();
    (all.iter().flat_map(|(b, _)| b.clone()).collect(), all.iter().map(|(_, v)| *v).collect())
}

fn check(module: &Module, case: &Case, dice: &mut Dice) {
    let Case { element, rows, vocabulary, width, splits, skew } = *case;
    let (hidden_bytes, hidden) = numbers(element, rows * width, 1.5, dice);
    let (head_bytes, head) = numbers(element, vocabulary * width, 0.7, dice);
    let target =
        |dice: &mut Dice| if dice.below(4) == 0 { -1 } else { dice.below(vocabulary) as i32 };
    let targets: Vec<i32> = (0..rows).map(|_| target(dice)).collect();
    let slopes: Vec<f32> = (0..rows).map(|_| dice.between(-1.0, 1.0) as f32).collect();
    let mut machine = Interpreter::new(module);
    let mut buffers: HashMap<Wanted, Buffer> = HashMap::new();
    let memory = &mut machine.memory;
    buffers.insert(Wanted::Hidden, memory.upload(&hidden_bytes, skew));
    buffers.insert(Wanted::Head, memory.upload(&head_bytes, skew));
    let bytes: Vec<u8> = targets.iter().flat_map(|t| t.to_le_bytes()).collect();
    buffers.insert(Wanted::Target, memory.upload(&bytes, 0));
    let bytes: Vec<u8> = slopes.iter().flat_map(|t| t.to_le_bytes()).collect();
    buffers.insert(Wanted::Slope, memory.upload(&bytes, 0));
    for part in [Wanted::PartMax, Wanted::PartSum, Wanted::PartTarget] {
        buffers.insert(part, memory.reserve(4 * splits * rows, 0));
    }
    for row in [Wanted::Logp, Wanted::Normaliser] {
        buffers.insert(row, memory.reserve(4 * rows, 0));
    }
    buffers.insert(Wanted::PartDirection, memory.reserve(4 * splits * rows * width, 0));
    buffers.insert(Wanted::Direction, memory.reserve(4 * rows * width, 0));
    buffers.insert(Wanted::SlopeHidden, memory.reserve(element.bytes() * rows * width, 0));
    // The gradient of the head is added to what stands there: 1.
    let ones: Vec<u8> = (0..vocabulary * width).flat_map(|_| 1.0f32.to_le_bytes()).collect();
    buffers.insert(Wanted::SlopeHead, memory.upload(&ones, 0));
    let tiles = rows.div_ceil(TILE_ROWS) * splits;
    let mut plain: Option<Vec<u8>> = None;
    for (kernel, blocks) in [
        (Kernel::Forward(element), tiles),
        (Kernel::Join, 1),
        (Kernel::Direction(element), tiles),
        (Kernel::Join, 1),
        (Kernel::JoinDirection(element), 2),
        (Kernel::Scale(element), 2),
        (Kernel::BackwardHead(element), vocabulary.div_ceil(TILE_VOCABULARY)),
    ] {
        // Half the blocks: the loops over the grid go round.
        let blocks = blocks.div_ceil(2).max(1) as u32;
        let arguments: Vec<Argument<'_, Buffer>> = kernel
            .arguments()
            .iter()
            .map(|a| match a {
                Wanted::Rows => Argument::I64(rows as i64),
                Wanted::Vocabulary => Argument::I64(vocabulary as i64),
                Wanted::Width => Argument::I64(width as i64),
                Wanted::Splits => Argument::I32(splits as i32),
                a => Argument::Buffer(&buffers[a]),
            })
            .collect();
        machine.launch(&kernel.name(), blocks, &arguments).unwrap_or_else(|e| panic!("{e}"));
        if kernel == Kernel::Join {
            // A model with a gradient and one without see the same log-probabilities.
            let logp = machine.memory.bytes(buffers[&Wanted::Logp]).to_vec();
            assert_eq!(*plain.get_or_insert_with(|| logp.clone()), logp);
        }
    }
    let read = |a: Wanted, e: Element| load(e, machine.memory.bytes(buffers[&a]));
    let (logp, lse) = (read(Wanted::Logp, Element::F32), read(Wanted::Normaliser, Element::F32));
    let (d_hidden, d_head) =
        (read(Wanted::SlopeHidden, element), read(Wanted::SlopeHead, Element::F32));
    let mut want_head = vec![0.0; vocabulary * width];
    let mut want_hidden = vec![0.0; rows * width];
    for i in 0..rows {
        let h = &hidden[i * width..(i + 1) * width];
        let dot = |v: usize| h.iter().zip(&head[v * width..]).map(|(a, b)| a * b).sum::<f64>();
        let z: Vec<f64> = (0..vocabulary).map(dot).collect();
        let Ok(target) = usize::try_from(targets[i]) else {
            assert_eq!((logp[i], lse[i]), (0.0, 0.0));
            continue;
        };
        let total = normaliser(&z);
        let error = (lse[i] - total).abs().max((logp[i] - (z[target] - total)).abs());
        assert!(error <= 1e-5, "row {i} of {rows}: off by {error:e}");
        for v in 0..vocabulary {
            let s = f64::from(slopes[i]) * (f64::from(v == target) - Real::exp(&(z[v] - total)));
            for k in 0..width {
                want_hidden[i * width + k] += s * head[v * width + k];
                want_head[v * width + k] += s * h[k];
            }
        }
    }
    // Weights and slopes are rounded to the factors' type before the second product.
    let bound = if element == Element::F32 { 1e-5 } else { 1e-2 };
    let largest = |w: &[f64]| w.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    for (got, want) in d_hidden.iter().zip(&want_hidden) {
        assert!(
            (got - want).abs() <= bound * largest(&want_hidden),
            "{element:?}: {got:e}, exactly {want:e}"
        );
    }
    for (got, want) in d_head.iter().zip(&want_head) {
        assert!(
            (got - 1.0 - want).abs() <= bound * largest(&want_head),
            "{element:?}: {got:e}, exactly {want:e}"
        );
    }
}

#[test]
fn hidden_states_and_the_head_give_what_their_logits_give() {
    let Some(compiler) = compiler() else { return };
    let module = module(compiler, &(prelude() + &program(&Element::ALL)));
    let mut dice = Dice(51);
    for element in Element::ALL {
        for (rows, vocabulary, width, splits, skew) in
            [(1, 2, 1, 1, 0), (35, 131, 40, 2, 0), (33, 64, 33, 3, 0), (20, 70, 24, 1, 4)]
        {
            check(&module, &Case { element, rows, vocabulary, width, splits, skew }, &mut dice);
        }
    }
}

#[test]
fn a_loss_that_wants_whole_rows_is_refused() {
    let plan = |name| {
        let compiled = ponens_losses::compile(name, &Options::default()).expect("a loss");
        lir::plan(compiled.graph()).expect("a plan")
    };
    let text =
        cuda::emit_from_hidden(&plan("dpo"), &[Element::Bf16]).expect("only log-probabilities");
    assert!(text.contains("ponens_head_forward_bf16(") && text.contains("dpo_phase0("));
    let refused = cuda::emit_from_hidden(&plan("tdpo1"), &Element::ALL).expect_err("a divergence");
    assert_eq!(refused, Statistic::KlFrom("ref".to_owned()));
}
