//! Straight from hidden states and the head: logits exist only as tiles in shared memory.
//!
//! Why: at a vocabulary of 150,000 the logits of a few hundred tokens are the largest thing in a step. In:
//! hidden states `[rows, width]` and the head `[vocabulary, width]` in one type. Out: log-probabilities
//! and normalisers; d loss / d hidden; for a trained head d loss / d head in f32. The products run on
//! the tensor cores in bf16 and f16 with f32 sums, and in plain f32 otherwise. Only the log-probability
//! of the target: other statistics want whole rows.

use super::Element;

/// The tiles, as templates.
const HEAD: &str = include_str!("text/head.cu");

/// Rows of a tile.
pub const TILE_ROWS: usize = 32;
/// Words of a tile.
pub const TILE_VOCABULARY: usize = 64;

/// One kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// The sums over each split of the vocabulary; a block takes a tile of rows and a split.
    Forward(Element),
    /// Joins the splits of each row in order.
    Join,
    /// Each split's part of d loss / d hidden, added to what stands there.
    BackwardHidden(Element),
    /// Adds the parts in order.
    Add(Element),
    /// d loss / d head, added to what stands there; a block takes a tile of words.
    BackwardHead(Element),
}

/// An argument of a head kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Argument {
    /// Number of rows, 64 bits.
    Rows,
    /// Words of the vocabulary, 64 bits.
    Vocabulary,
    /// Length of a hidden state, 64 bits.
    Width,
    /// rows x width, 64 bits.
    Count,
    /// Splits of the vocabulary, 32 bits.
    Splits,
    /// Hidden states `[rows, width]`.
    Hidden,
    /// The head `[vocabulary, width]`.
    Head,
    /// The token of each row `[rows]`, i32; negative where the row does not count.
    Target,
    /// Maxima `[splits, rows]`, f32.
    PartMax,
    /// Sums of exponentials `[splits, rows]`, f32.
    PartSum,
    /// The target's logit where the split holds it, else 0: `[splits, rows]`, f32.
    PartTarget,
    /// Log-probabilities `[rows]`, f32.
    Logp,
    /// log sum_v e^{z_v} `[rows]`, f32.
    Normaliser,
    /// d loss / d log-probability `[rows]`, f32.
    Slope,
    /// Parts of d loss / d hidden `[splits, rows, width]`, f32; 0 before.
    PartHidden,
    /// d loss / d hidden `[rows, width]`, in the type of the hidden states.
    SlopeHidden,
    /// d loss / d head `[vocabulary, width]`, f32; added to.
    SlopeHead,
}

impl Kernel {
    /// Its name in the program.
    pub fn name(self) -> String {
        match self {
            Kernel::Join => "ponens_head_join".to_owned(),
            Kernel::Forward(e) => format!("ponens_head_forward_{}", e.name()),
            Kernel::BackwardHidden(e) => format!("ponens_head_backward_hidden_{}", e.name()),
            Kernel::Add(e) => format!("ponens_head_add_{}", e.name()),
            Kernel::BackwardHead(e) => format!("ponens_head_backward_head_{}", e.name()),
        }
    }

    /// Its arguments in order.
    pub fn arguments(self) -> &'static [Argument] {
        use Argument::*;
        match self {
            Kernel::Forward(_) => &[
                Rows, Vocabulary, Width, Splits, Hidden, Head, Target, PartMax, PartSum, PartTarget,
            ],
            Kernel::Join => {
                &[Rows, Vocabulary, Splits, Target, PartMax, PartSum, PartTarget, Logp, Normaliser]
            }
            Kernel::BackwardHidden(_) => &[
                Rows, Vocabulary, Width, Splits, Hidden, Head, Target, Logp, Normaliser, Slope,
                PartHidden,
            ],
            Kernel::Add(_) => &[Count, Splits, PartHidden, SlopeHidden],
            Kernel::BackwardHead(_) => {
                &[Rows, Vocabulary, Width, Hidden, Head, Target, Logp, Normaliser, Slope, SlopeHead]
            }
        }
    }

    /// Its definition; empty for the one that stands in the common text.
    pub fn text(self) -> String {
        let (element, function) = match self {
            Kernel::Join => return String::new(),
            Kernel::Forward(e) => (e, "ponens_head_forward"),
            Kernel::BackwardHidden(e) => (e, "ponens_head_backward_hidden"),
            Kernel::Add(e) => (e, "ponens_head_add"),
            Kernel::BackwardHead(e) => (e, "ponens_head_backward_head"),
        };
        let stored = element.stored();
        let read = |kind: &str, name: &str| {
            (format!("const {kind}* __restrict__ {name}"), name.to_owned())
        };
        let plain = |kind: &str, name: &str| (format!("{kind} {name}"), name.to_owned());
        let forward = matches!(self, Kernel::Forward(_));
        let parameter = |a: &Argument| match a {
            Argument::Rows => plain("long long", "rows"),
            Argument::Vocabulary => plain("long long", "vocabulary"),
            Argument::Width => plain("long long", "width"),
            Argument::Count => plain("long long", "count"),
            Argument::Splits => plain("int", "splits"),
            Argument::Hidden => read(stored, "hidden"),
            Argument::Head => read(stored, "head"),
            Argument::Target => read("int", "target"),
            Argument::PartMax if forward => plain("float*", "part_max"),
            Argument::PartSum if forward => plain("float*", "part_sum"),
            Argument::PartTarget if forward => plain("float*", "part_target"),
            Argument::PartMax => read("float", "part_max"),
            Argument::PartSum => read("float", "part_sum"),
            Argument::PartTarget => read("float", "part_target"),
            Argument::Logp => read("float", "logp"),
            Argument::Normaliser => read("float", "normaliser"),
            Argument::Slope => read("float", "d_logp"),
            Argument::PartHidden if matches!(self, Kernel::Add(_)) => read("float", "part"),
            Argument::PartHidden => plain("float*", "part"),
            Argument::SlopeHidden => plain(&format!("{stored}*"), "d_hidden"),
            Argument::SlopeHead => plain("float*", "d_head"),
        };
        let (parameters, names): (Vec<String>, Vec<String>) =
            self.arguments().iter().map(parameter).unzip();
        format!(
            "extern \"C\" __global__ void __launch_bounds__(PONENS_THREADS, 2) {}(\n    {}) {{\n    \
             {function}<{}>({});\n}}\n",
            self.name(),
            parameters.join(",\n    "),
            element.class(),
            names.join(", ")
        )
    }
}

/// Every kernel of the head for hidden states of these types, templates first.
pub fn program(elements: &[Element]) -> String {
    let mut out = HEAD.to_owned();
    for e in elements {
        let all = [
            Kernel::Forward(*e),
            Kernel::BackwardHidden(*e),
            Kernel::Add(*e),
            Kernel::BackwardHead(*e),
        ];
        for kernel in all {
            out.push('\n');
            out.push_str(&kernel.text());
        }
    }
    out
}
