//! The fused operations on a machine against the same operations on the CPU: one loss, one set of rows,
//! two pieces of hardware. The launching code is that of the tensor library's cards.

use super::support::{Dice, Interpreter, compiler, module};
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use ponens_compiler::codegen::cuda::stream::Kernel;
use ponens_compiler::codegen::cuda::{Element, prelude};
use ponens_compiler::session::Options;
use ponens_ptx::Module;
use ponens_runtime::kernel::{Compiler, Machine};
use ponens_runtime::logprob::{Head, Logit, Statistic};
use ponens_runtime::op::device::{hidden, logits};
use ponens_runtime::op::{
    Column, Columns, GraphKernel, LossKernel, RuntimeError, TokenRows, fused, hidden as on_cpu,
};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

const EXAMPLES: usize = 3;
const VOCABULARY: usize = 131;
/// More words than one warp takes.
const LONG: usize = 1027;

fn kernel(name: &str) -> GraphKernel {
    let compiled = ponens_losses::compile(name, &Options::default()).expect("a loss");
    GraphKernel::new(compiled.graph(), &HashMap::new()).expect("a kernel")
}

/// Rows of two responses an example, interleaved; some masked, some responses empty.
fn rows(n: usize, vocabulary: usize, masked: f64, dice: &mut Dice) -> TokenRows {
    let (mut targets, mut sequence) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let s = dice.below(2 * EXAMPLES) as u32;
        let counts = s != 4 && dice.unit() >= masked;
        // A masked row may hold anything.
        targets.push(if counts { dice.below(vocabulary) as u32 } else { u32::MAX });
        sequence.push(counts.then_some(s));
    }
    TokenRows::new(targets, sequence, 2 * EXAMPLES).expect("rows")
}

/// Where a loss's columns come from; sequences 2e and 2e + 1 are the responses w and l of example e.
fn columns(kernel: &GraphKernel, rows: &TokenRows, dice: &mut Dice) -> Columns {
    let of = |name: &str| -> Vec<usize> {
        (0..EXAMPLES).map(|e| 2 * e + usize::from(name.ends_with("l)"))).collect()
    };
    let mut given = |lo: f64, hi: f64| -> Column {
        Column::Given((0..EXAMPLES).map(|_| dice.between(lo, hi)).collect())
    };
    let column = |name: &str| match name {
        n if n.starts_with("logp(pi") => Column::Sum(of(n)),
        n if n.starts_with("mean_logp(pi") => Column::Mean(of(n)),
        n if n.starts_with("entropy(pi") => Column::Statistic(Statistic::Entropy, of(n)),
        n if n.starts_with("log_sum_p2(pi") => Column::Statistic(Statistic::LogSumP2, of(n)),
        n if n.starts_with("kl(pi,ref") => Column::Statistic(Statistic::KlToReference, of(n)),
        n if n.starts_with("kl(ref,pi") => Column::Statistic(Statistic::KlFromReference, of(n)),
        n if n.starts_with("len(") => Column::Length(of(n)),
        "label" => Column::Given((0..EXAMPLES).map(|e| (e % 2) as f64).collect()),
        n if n.contains("logp(ref") => given(-30.0, -1.0),
        _ => given(0.25, 0.75),
    };
    let all = kernel.inputs().iter().map(|i| i.name.as_str()).map(column).collect();
    Columns::new(all, rows.lengths().to_vec()).expect("columns")
}

trait Stored: Logit + Default + PartialEq + std::fmt::Debug {
    const ELEMENT: Element;
    /// Half a unit in the last place, relative, and as it accumulates in f32 for f32.
    const ROUNDING: f64;
    fn bytes(self) -> Vec<u8>;
    fn number(bytes: &[u8]) -> f64;
}

impl Stored for f32 {
    const ELEMENT: Element = Element::F32;
    const ROUNDING: f64 = 1e-5;
    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
    fn number(b: &[u8]) -> f64 {
        f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
}

impl Stored for bf16 {
    const ELEMENT: Element = Element::Bf16;
    const ROUNDING: f64 = 8e-3;
    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
    fn number(b: &[u8]) -> f64 {
        bf16::from_le_bytes([b[0], b[1]]).to_f64()
    }
}

impl Stored for f16 {
    const ELEMENT: Element = Element::F16;
    const ROUNDING: f64 = 1e-3;
    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
    fn number(b: &[u8]) -> f64 {
        f16::from_le_bytes([b[0], b[1]]).to_f64()
    }
}

fn numbers<L: Stored>(n: usize, dice: &mut Dice) -> Vec<L> {
    (0..n).map(|_| L::from_f32(dice.between(-6.0, 6.0) as f32)).collect()
}

fn all_bytes<L: Stored>(values: &[L]) -> Vec<u8> {
    values.iter().flat_map(|x| x.bytes()).collect()
}

fn close(what: &str, got: f64, want: f64, relative: f64, absolute: f64) {
    let bound = relative * want.abs() + absolute;
    assert!((got - want).abs() <= bound, "{what}: {got:e}, on the CPU {want:e}");
}

const LOSSES: [&str; 5] = ["dpo", "simpo", "tdpo1", "tdpo2", "wpo"];

/// The kernels of all [`LOSSES`] on logits of every type, for short and for long rows; compiled once.
fn programs() -> Option<&'static Module> {
    static PROGRAMS: LazyLock<Option<Module>> = LazyLock::new(|| compiler().map(compile));
    PROGRAMS.as_ref()
}

fn compile(compiler: Compiler) -> Module {
    let mut dice = Dice(1);
    let mut all: Vec<Kernel> = Vec::new();
    for loss in LOSSES {
        let rows = rows(4, VOCABULARY, 0.0, &mut dice);
        let wanted = columns(&kernel(loss), &rows, &mut dice).wanted();
        for element in Element::ALL {
            for vocabulary in [VOCABULARY, LONG] {
                all.extend(logits::kernels(element, vocabulary, wanted));
            }
        }
    }
    let mut names = HashSet::new();
    all.retain(|k| names.insert(k.name()));
    let texts: String = all.iter().map(Kernel::text).collect();
    module(compiler, &(prelude() + &texts))
}

/// One loss on random rows.
fn check<L: Stored>(programs: &Module, loss: &str, case: &Case, dice: &mut Dice) {
    let kernel = kernel(loss);
    let Case { vocabulary, rows: n, masked, skew } = *case;
    let rows = rows(n, vocabulary, masked, dice);
    let columns = columns(&kernel, &rows, dice);
    let wanted = columns.wanted();
    let own: Vec<L> = numbers(n * vocabulary, dice);
    let reference: Vec<L> = numbers(n * vocabulary, dice);
    let reads = wanted[Statistic::KlToReference] || wanted[Statistic::KlFromReference];
    let name = format!("{loss} {:?} {case:?}", L::ELEMENT);

    let mut want = own.clone();
    let value = if reads {
        let all = (&mut want, &reference);
        fused::loss_and_gradient_with_reference(all.0, all.1, vocabulary, &rows, &columns, &kernel)
    } else {
        fused::loss_and_gradient_in_place(&mut want, vocabulary, &rows, &columns, &kernel)
    };
    let value = value.unwrap_or_else(|e| panic!("{name}: {e}"));

    let mut machine = Interpreter::new(programs);
    machine.most_blocks = 1 + dice.below(3) as u32;
    let step = L::ELEMENT.bytes() as u8;
    let buffer = machine.memory.upload(&all_bytes(&own), skew * step);
    let other = machine.memory.upload(&all_bytes(&reference), (skew / 2) * step);
    let inputs = logits::DeviceLogits {
        element: L::ELEMENT,
        vocabulary,
        own: &buffer,
        reference: reads.then_some(&other),
    };
    let pass = logits::forward(&mut machine, inputs, &rows, &columns, &kernel)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    for (e, (got, want)) in pass.value.loss.iter().zip(&value.loss).enumerate() {
        close(&format!("{name} loss[{e}]"), *got, *want, 1e-5, 1e-5);
    }
    pass.backward(&mut machine, inputs, &rows, 1.0).unwrap_or_else(|e| panic!("{name}: {e}"));
    let bytes = machine.download(&buffer).expect("written");
    let largest = want.iter().map(|x| f64::from(x.to_f32()).abs()).fold(0.0, f64::max);
    let counts = rows.sequence().iter().any(Option::is_some);
    assert_eq!(largest > 0.0, counts, "{name} has a gradient where a row counts");
    for (i, (got, want)) in bytes.chunks_exact(L::ELEMENT.bytes()).zip(&want).enumerate() {
        let want = f64::from(want.to_f32());
        // The largest is d loss / d log-probability or more: rounding of 1 - p and of sums of such.
        close(&format!("{name} d logit {i}"), L::number(got), want, L::ROUNDING, 2e-6 * largest);
    }
}

/// The shape of a batch.
#[derive(Clone, Copy, Debug)]
struct Case {
    vocabulary: usize,
    rows: usize,
    /// Part of the rows that do not count.
    masked: f64,
    /// Elements past an aligned address.
    skew: u8,
}

#[test]
fn logits_on_a_machine_give_what_they_give_on_the_cpu() {
    let Some(programs) = programs() else { return };
    let mut dice = Dice(71);
    for round in 0..20 {
        let case = Case {
            vocabulary: match round % 4 {
                0 => 2 + dice.below(7),
                1 if round < 8 => LONG,
                _ => 2 + dice.below(200),
            },
            rows: if round == 3 { 0 } else { 1 + dice.below(20) },
            masked: if round == 5 { 1.0 } else { 0.25 },
            skew: dice.below(4) as u8,
        };
        let loss = LOSSES[round % 5];
        match round % 3 {
            0 => check::<f32>(programs, loss, &case, &mut dice),
            1 => check::<bf16>(programs, loss, &case, &mut dice),
            _ => check::<f16>(programs, loss, &case, &mut dice),
        }
    }
}

/// The reference's pass and the policy's have the same bits on one model.
fn first_step<L: Stored>(programs: &Module, vocabulary: usize, dice: &mut Dice) {
    let kernel = kernel("dpo");
    let rows = rows(17, vocabulary, 0.25, dice);
    let own: Vec<L> = numbers(17 * vocabulary, dice);
    let mut machine = Interpreter::new(programs);
    let buffer = machine.upload(&all_bytes(&own)).expect("room");
    let inputs =
        logits::DeviceLogits { element: L::ELEMENT, vocabulary, own: &buffer, reference: None };
    let wanted = columns(&kernel, &rows, dice).wanted();
    let sums = logits::sequence_statistics(&mut machine, inputs, &rows, wanted).expect("sums");
    let of_reference = |name: &str| {
        let sums = &sums[Statistic::LogProb];
        (0..EXAMPLES).map(|e| sums[2 * e + usize::from(name.ends_with("l)"))]).collect()
    };
    let own_columns = columns(&kernel, &rows, dice);
    let both = kernel.inputs().iter().zip(own_columns.columns());
    let all = both.map(|(input, column)| match column {
        Column::Given(_) => Column::Given(of_reference(&input.name)),
        column => column.clone(),
    });
    let columns = Columns::new(all.collect(), rows.lengths().to_vec()).expect("columns");
    let pass = logits::forward(&mut machine, inputs, &rows, &columns, &kernel).expect("a pass");
    assert_eq!(pass.value.loss, [std::f64::consts::LN_2; EXAMPLES], "{:?}", L::ELEMENT);
}

#[test]
fn where_policy_and_reference_are_one_dpo_on_a_machine_is_log_2_to_the_bit() {
    let Some(programs) = programs() else { return };
    let mut dice = Dice(83);
    for vocabulary in [VOCABULARY, LONG] {
        first_step::<f32>(programs, vocabulary, &mut dice);
        first_step::<bf16>(programs, vocabulary, &mut dice);
        first_step::<f16>(programs, vocabulary, &mut dice);
    }
}

#[test]
fn refusals_on_a_machine_name_the_argument_and_the_token() {
    let Some(compiler) = compiler() else { return };
    let mut dice = Dice(73);
    let kernel = kernel("dpo");
    let rows = rows(24, VOCABULARY, 0.25, &mut dice);
    let columns = columns(&kernel, &rows, &mut dice);
    let source = logits::program(Element::F32, VOCABULARY, columns.wanted());
    let module = module(compiler, &source);
    let own: Vec<f32> = numbers(rows.targets().len() * VOCABULARY, &mut dice);
    let refusal = |own: &[f32], rows: &TokenRows, vocabulary: usize| -> Option<String> {
        let mut machine = Interpreter::new(&module);
        let buffer = machine.upload(&all_bytes(own)).expect("room");
        let inputs = logits::DeviceLogits {
            element: Element::F32,
            vocabulary,
            own: &buffer,
            reference: None,
        };
        let result = logits::forward(&mut machine, inputs, rows, &columns, &kernel);
        assert_eq!(machine.memory.bytes(buffer), all_bytes(own), "logits are only read");
        match result {
            Ok(_) => None,
            Err(e @ RuntimeError::Argument { .. }) => Some(e.to_string()),
            Err(e) => panic!("{e}"),
        }
    };
    assert_eq!(refusal(&own, &rows, VOCABULARY), None);
    let counts = rows.sequence().iter().position(Option::is_some).expect("a row that counts");
    let masked = rows.sequence().iter().position(Option::is_none).expect("a masked row");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut logits = own.clone();
        logits[masked * VOCABULARY + 7] = bad;
        assert_eq!(refusal(&logits, &rows, VOCABULARY), None, "masked rows may hold anything");
        logits[counts * VOCABULARY + 9] = bad;
        let text = refusal(&logits, &rows, VOCABULARY).expect("refused");
        for part in ["logits", &format!("row {counts}"), "sequence", "token 9", &bad.to_string()] {
            assert!(text.contains(part), "{text} has no {part}");
        }
    }
    let text = refusal(&own, &rows, rows.targets()[counts] as usize).expect("refused");
    assert!(text.contains("targets") && text.contains("outside the vocabulary"), "{text}");
}

#[test]
fn hidden_states_on_a_machine_give_what_they_give_on_the_cpu() {
    let Some(compiler) = compiler() else { return };
    let mut dice = Dice(79);
    let (n, width) = (37, 24);
    let kernel = kernel("dpo");
    let targets = (0..n).map(|_| dice.below(VOCABULARY) as u32).collect();
    let sequence = (0..n).map(|r| Some(r as u32 % (2 * EXAMPLES as u32))).collect();
    let rows = TokenRows::new(targets, sequence, 2 * EXAMPLES).expect("rows");
    let columns = columns(&kernel, &rows, &mut dice);
    let states: Vec<f32> = numbers(n * width, &mut dice);
    let weight: Vec<f32> =
        (0..VOCABULARY * width).map(|_| dice.between(-0.4, 0.4) as f32).collect();
    let tensor =
        |v: &[f32], r: usize| Tensor::from_slice(v, (r, width), &Device::Cpu).expect("a matrix");
    let head = Head::new(tensor(&weight, VOCABULARY));
    let (value, want) =
        on_cpu::loss_and_gradient(&tensor(&states, n), &head, true, &rows, &columns, &kernel)
            .expect("a loss");

    let module = module(compiler, &hidden::program(Element::F32));
    let mut machine = Interpreter::new(&module);
    let of_states = machine.upload(&all_bytes(&states)).expect("room");
    let of_weight = machine.upload(&all_bytes(&weight)).expect("room");
    let inputs = hidden::DeviceHead {
        element: Element::F32,
        vocabulary: VOCABULARY,
        width,
        hidden: &of_states,
        head: &of_weight,
    };
    let pass = hidden::forward(&mut machine, inputs, &rows, true).expect("a pass");
    let plain = hidden::forward(&mut machine, inputs, &rows, false).expect("a pass");
    assert_eq!((&plain.logp, &plain.normaliser), (&pass.logp, &pass.normaliser));
    let mut overflows = states.clone();
    overflows[..width].fill(0.0);
    (overflows[0], overflows[width]) = (f32::MAX, f32::NAN);
    for sign in [4.0, -4.0] {
        // Finite numbers whose product is infinite: -inf would go unseen in a sum of exponentials.
        let mut heavy = weight.clone();
        heavy[5 * width] = sign;
        let of_states = machine.upload(&all_bytes(&overflows)).expect("room");
        let of_weight = machine.upload(&all_bytes(&heavy)).expect("room");
        let inputs = hidden::DeviceHead { hidden: &of_states, head: &of_weight, ..inputs };
        let bad = hidden::forward(&mut machine, inputs, &rows, true).expect("a pass");
        let finite = |r: usize| bad.logp[r].is_finite() && bad.normaliser[r].is_finite();
        assert!(!finite(0) && !finite(1) && (2..n).all(finite), "{:?}", bad.logp);
    }
    let mut sums = vec![0.0; 2 * EXAMPLES];
    for (r, logp) in pass.logp.iter().enumerate() {
        sums[r % (2 * EXAMPLES)] += f64::from(*logp);
    }
    let got = kernel.evaluate(&columns.resolve(&sums).expect("columns")).expect("a loss");
    for (got, want) in got.loss.iter().zip(&value.loss) {
        close("loss", *got, *want, 1e-5, 1e-6);
    }
    let weights = columns.pull_back(&got.grads).expect("gradients");
    let slopes: Vec<f32> =
        (0..n).map(|r| (weights[r % (2 * EXAMPLES)] / EXAMPLES as f64) as f32).collect();
    let d_hidden = machine.reserve(4 * n * width).expect("room");
    let d_head = machine.zeros(4 * VOCABULARY * width).expect("room");
    pass.backward_hidden(&mut machine, inputs, &slopes, &d_hidden).expect("a pass");
    pass.backward_head(&mut machine, inputs, &slopes, &d_head).expect("a pass");
    let pairs = [
        ("hidden", d_hidden, &want.hidden),
        ("head", d_head, want.weight.as_ref().expect("trained")),
    ];
    for (what, buffer, want) in pairs {
        assert_eq!(want.dtype(), DType::F32);
        let want: Vec<f32> = want.flatten_all().expect("flat").to_vec1().expect("numbers");
        let largest = want.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        let bytes = machine.download(&buffer).expect("written");
        for (i, (got, want)) in bytes.chunks_exact(4).zip(&want).enumerate() {
            let absolute = 2e-6 * f64::from(largest);
            close(&format!("d {what} {i}"), f32::number(got), f64::from(*want), 1e-5, absolute);
        }
    }
}
