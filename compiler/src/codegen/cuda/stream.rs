//! The streaming kernels: templates that no loss changes, instantiated for what a plan asks for.
//!
//! In: the statistics of a [`Stream`]. Out: kernels by name, with their arguments in order.

use crate::lir::{Plan, Statistic, Stream};
use std::fmt::Write as _;

/// The type of logits in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 4 bytes.
    F32,
    /// 2 bytes: the upper half of an f32.
    Bf16,
    /// 2 bytes: IEEE half precision.
    F16,
}

impl Element {
    /// All types.
    pub const ALL: [Element; 3] = [Element::F32, Element::Bf16, Element::F16];

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        if self == Element::F32 { 4 } else { 2 }
    }

    /// The usual short name.
    pub fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::Bf16 => "bf16",
            Element::F16 => "f16",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Element::F32 => "PonensF32",
            Element::Bf16 => "PonensBf16",
            Element::F16 => "PonensF16",
        }
    }

    pub(super) fn stored(self) -> &'static str {
        if self == Element::F32 { "float" } else { "unsigned short" }
    }
}

/// How many threads share a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// One warp a row.
    Warp,
    /// One block a row.
    Block,
}

impl Lanes {
    /// What suits a vocabulary: a block has too little to do in a short row.
    pub fn suited_to(vocabulary: usize) -> Self {
        if vocabulary <= 1024 { Lanes::Warp } else { Lanes::Block }
    }

    fn name(self) -> &'static str {
        match self {
            Lanes::Warp => "warp",
            Lanes::Block => "block",
        }
    }
}

/// Which statistics a kernel handles besides normaliser and target log-probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wants {
    /// log sum_v p_v^2
    pub squares: bool,
    /// -sum_v p_v log p_v
    pub entropy: bool,
    /// KL from this model to the other.
    pub kl_to: bool,
    /// KL from the other model to this one.
    pub kl_from: bool,
}

impl Wants {
    /// What a list of statistics asks for.
    pub fn of(statistics: &[Statistic]) -> Self {
        let any = |f: fn(&Statistic) -> bool| statistics.iter().any(f);
        Self {
            squares: any(|s| *s == Statistic::LogSumP2),
            entropy: any(|s| *s == Statistic::Entropy),
            kl_to: any(|s| matches!(s, Statistic::KlTo(_))),
            kl_from: any(|s| matches!(s, Statistic::KlFrom(_))),
        }
    }

    /// True when a second model's logits are read.
    pub fn other(self) -> bool {
        self.kl_to || self.kl_from
    }

    fn suffix(self) -> String {
        let mut out = String::new();
        let flags = [
            (self.squares, "_p2"),
            (self.entropy, "_entropy"),
            (self.kl_to, "_kl_to"),
            (self.kl_from, "_kl_from"),
        ];
        flags.iter().filter(|(on, _)| *on).for_each(|(_, name)| out.push_str(name));
        out
    }

    fn class(self) -> String {
        format!("PonensWants<{}, {}, {}, {}>", self.squares, self.entropy, self.kl_to, self.kl_from)
    }
}

/// Which way a kernel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// From logits to statistics.
    Forward,
    /// From derivatives of the statistics to derivatives of the logits, in place.
    Backward,
}

/// An argument of a streaming kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Argument {
    /// Number of rows, 64 bits.
    Rows,
    /// Number of logits in a row, 64 bits.
    Vocabulary,
    /// Logits `[rows, vocabulary]`; the pass back overwrites them.
    Logits,
    /// The other model's logits `[rows, vocabulary]`.
    Other,
    /// The token of each row `[rows]`, i32; negative where the row does not count.
    Target,
    /// A statistic `[rows]`, f32.
    Value(Row),
    /// The derivative of the loss with respect to a statistic `[rows]`, f32.
    Slope(Row),
}

/// A number that a kernel has for every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    /// Log-probability of the target.
    Logp,
    /// log sum_v e^{z_v}
    Normaliser,
    /// The same of the other model.
    OtherNormaliser,
    /// log sum_v p_v^2
    Squares,
    /// Entropy.
    Entropy,
    /// KL to the other model.
    KlTo,
    /// KL from the other model.
    KlFrom,
}

impl Row {
    /// The number that holds a statistic.
    pub fn of(statistic: &Statistic) -> Self {
        match statistic {
            Statistic::TargetLogp => Row::Logp,
            Statistic::LogSumP2 => Row::Squares,
            Statistic::Entropy => Row::Entropy,
            Statistic::KlTo(_) => Row::KlTo,
            Statistic::KlFrom(_) => Row::KlFrom,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Row::Logp => "logp",
            Row::Normaliser => "normaliser",
            Row::OtherNormaliser => "other_normaliser",
            Row::Squares => "squares",
            Row::Entropy => "entropy",
            Row::KlTo => "kl_to",
            Row::KlFrom => "kl_from",
        }
    }
}

/// One instantiated kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Which way it goes.
    pub pass: Pass,
    /// The type of logits.
    pub element: Element,
    /// How many threads share a row.
    pub lanes: Lanes,
    /// The statistics, or for the pass back those that have a gradient.
    pub wants: Wants,
}

impl Kernel {
    /// Its name in the program.
    pub fn name(&self) -> String {
        let pass = if self.pass == Pass::Forward { "statistics" } else { "backward" };
        let (element, lanes) = (self.element.name(), self.lanes.name());
        format!("ponens_{pass}_{element}_{lanes}{}", self.wants.suffix())
    }

    /// Rows that one block handles at a time.
    pub fn rows_per_block(&self) -> usize {
        if self.lanes == Lanes::Warp { super::THREADS as usize / 32 } else { 1 }
    }

    /// Its arguments in order.
    pub fn arguments(&self) -> Vec<Argument> {
        use Argument::{Logits, Other, Rows, Slope, Target, Value, Vocabulary};
        let w = self.wants;
        let mut list = vec![Rows, Vocabulary, Logits];
        list.extend(w.other().then_some(Other));
        list.push(Target);
        let extra = [
            (w.squares, Row::Squares),
            (w.entropy, Row::Entropy),
            (w.kl_to, Row::KlTo),
            (w.kl_from, Row::KlFrom),
        ];
        let extra = extra.into_iter().filter(|(on, _)| *on).map(|(_, row)| row);
        match self.pass {
            Pass::Forward => {
                list.extend([Value(Row::Logp), Value(Row::Normaliser)]);
                list.extend(extra.map(Value));
            }
            Pass::Backward => {
                list.extend([Value(Row::Logp), Value(Row::Normaliser)]);
                list.extend(w.other().then_some(Value(Row::OtherNormaliser)));
                list.push(Slope(Row::Logp));
                for row in extra {
                    // The slope of KL from the other model needs no value.
                    list.extend((row != Row::KlFrom).then_some(Value(row)));
                    list.push(Slope(row));
                }
            }
        }
        list
    }

    /// Its definition.
    pub fn text(&self) -> String {
        let stored = self.element.stored();
        let backward = self.pass == Pass::Backward;
        let parameter = |a: &Argument| match a {
            Argument::Rows => "long long rows".to_owned(),
            Argument::Vocabulary => "long long vocabulary".to_owned(),
            Argument::Logits if backward => format!("{stored}* logits"),
            Argument::Logits => format!("const {stored}* __restrict__ logits"),
            Argument::Other => format!("const {stored}* __restrict__ other"),
            Argument::Target => "const int* __restrict__ target".to_owned(),
            Argument::Value(r) if backward => format!("const float* __restrict__ {}", r.name()),
            Argument::Value(r) => format!("float* __restrict__ {}", r.name()),
            Argument::Slope(r) => format!("const float* __restrict__ d_{}", r.name()),
        };
        let arguments = self.arguments();
        let parameters: Vec<String> = arguments.iter().map(parameter).collect();
        let (element, wants) = (self.element.class(), self.wants.class());
        let mut out = format!(
            "extern \"C\" __global__ void __launch_bounds__(PONENS_THREADS, PONENS_BLOCKS) {}(\n    {}) {{\n",
            self.name(),
            parameters.join(",\n    ")
        );
        let (kind, variable) =
            if backward { ("PonensBack", "from") } else { ("PonensStatistics", "to") };
        let _ = writeln!(out, "    {kind} {variable} = {{}};");
        for a in &arguments {
            let name = match a {
                Argument::Value(r) => r.name().to_owned(),
                Argument::Slope(r) => format!("d_{}", r.name()),
                _ => continue,
            };
            let _ = writeln!(out, "    {variable}.{name} = {name};");
        }
        let function = match (self.pass, self.lanes) {
            (Pass::Forward, lanes) => {
                format!("ponens_statistics_{}<{element}, {wants}>", lanes.name())
            }
            (Pass::Backward, Lanes::Warp) => format!("ponens_backward<{element}, {wants}, 32>"),
            (Pass::Backward, Lanes::Block) => {
                format!("ponens_backward<{element}, {wants}, PONENS_THREADS>")
            }
        };
        let other = if self.wants.other() { "other" } else { "logits" };
        let _ = writeln!(
            out,
            "    {function}(rows, vocabulary, logits, {other}, target, {variable});\n}}"
        );
        out
    }
}

/// The forward kernel of a stream.
pub fn forward(stream: &Stream, element: Element, lanes: Lanes) -> Kernel {
    Kernel { pass: Pass::Forward, element, lanes, wants: Wants::of(&stream.statistics) }
}

/// The pass back of a stream, if the loss has a gradient there.
pub fn backward(stream: &Stream, element: Element, lanes: Lanes) -> Option<Kernel> {
    let wants = Wants::of(&stream.gradients);
    let kernel = Kernel { pass: Pass::Backward, element, lanes, wants };
    (!stream.gradients.is_empty()).then_some(kernel)
}

/// Every kernel that the streams of a plan ask for, once.
pub fn kernels(plan: &Plan, elements: &[Element]) -> Vec<Kernel> {
    let mut list = Vec::new();
    for element in elements {
        for lanes in [Lanes::Warp, Lanes::Block] {
            for stream in &plan.streams {
                let both =
                    [Some(forward(stream, *element, lanes)), backward(stream, *element, lanes)];
                for kernel in both.into_iter().flatten() {
                    if !list.contains(&kernel) {
                        list.push(kernel);
                    }
                }
            }
        }
    }
    list
}
