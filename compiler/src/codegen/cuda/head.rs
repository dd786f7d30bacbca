//! Straight from hidden states and the head: logits exist only as tiles in shared memory.
//!
//! Why: at a vocabulary of 150,000 the logits of a few hundred tokens are the largest thing in a step. In:
//! hidden states `[rows, width]` and the head `[vocabulary, width]` in one type. Out: log-probabilities
//! and normalisers, from one product; with a second one in the same pass their directions
//! d log p / d hidden, which the pass back only scales; for a trained head d loss / d head in f32, from
//! the logits made once more and a fourth product. Products run on the tensor cores in bf16 and f16
//! with f32 sums, and in plain f32 otherwise. Only the log-probability of the target: other statistics
//! want whole rows.

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
    /// The same, and each split's weighted sum of the head's rows.
    Direction(Element),
    /// Joins the splits of each row in order.
    Join,
    /// Joins the splits' weighted sums to d log-probability / d hidden.
    JoinDirection(Element),
    /// From d log-probability / d hidden to d loss / d hidden.
    Scale(Element),
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
    /// Splits of the vocabulary, 32 bits.
    Splits,
    /// Hidden states `[rows, width]`.
    Hidden,
    /// The head `[vocabulary, width]`.
    Head,
    /// The token of each row `[rows]`, i32; negative where the row does not count.
    Target,
    /// Maxima `[splits, rows]` of the logits but the target's, f32.
    PartMax,
    /// Sums of the exponentials relative to them `[splits, rows]`, f32.
    PartSum,
    /// The target's logit where the split holds it, else 0: `[splits, rows]`, f32.
    PartTarget,
    /// Log-probabilities `[rows]`, f32.
    Logp,
    /// log sum_v e^{z_v} `[rows]`, f32.
    Normaliser,
    /// d loss / d log-probability `[rows]`, f32.
    Slope,
    /// Sums of the head's rows, weighted by those exponentials `[splits, rows, width]`, f32.
    PartDirection,
    /// d log-probability / d hidden `[rows, width]`, f32.
    Direction,
    /// d loss / d hidden `[rows, width]`, in the type of the hidden states.
    SlopeHidden,
    /// d loss / d head `[vocabulary, width]`, f32; added to.
    SlopeHead,
}

impl Kernel {
    /// Every kernel for hidden states of a type but [`Kernel::Join`], which stands in the common text.
    pub fn of(element: Element) -> [Self; 5] {
        use Kernel::{BackwardHead, Direction, Forward, JoinDirection, Scale};
        [Forward, Direction, JoinDirection, Scale, BackwardHead].map(|k| k(element))
    }

    /// Its function, and the type of hidden states; none for the one of the common text.
    fn parts(self) -> (&'static str, Option<Element>) {
        match self {
            Kernel::Join => ("join", None),
            Kernel::Forward(e) => ("forward", Some(e)),
            Kernel::Direction(e) => ("direction", Some(e)),
            Kernel::JoinDirection(e) => ("join_direction", Some(e)),
            Kernel::Scale(e) => ("scale", Some(e)),
            Kernel::BackwardHead(e) => ("backward_head", Some(e)),
        }
    }

    /// Its name in the program.
    pub fn name(self) -> String {
        match self.parts() {
            (function, None) => format!("ponens_head_{function}"),
            (function, Some(e)) => format!("ponens_head_{function}_{}", e.name()),
        }
    }

    /// Its arguments in order.
    pub fn arguments(self) -> &'static [Argument] {
        use Argument::*;
        match self {
            Kernel::Forward(_) => &[
                Rows, Vocabulary, Width, Splits, Hidden, Head, Target, PartMax, PartSum, PartTarget,
            ],
            Kernel::Direction(_) => &[
                Rows,
                Vocabulary,
                Width,
                Splits,
                Hidden,
                Head,
                Target,
                PartMax,
                PartSum,
                PartTarget,
                PartDirection,
            ],
            Kernel::Join => {
                &[Rows, Vocabulary, Splits, Target, PartMax, PartSum, PartTarget, Logp, Normaliser]
            }
            Kernel::JoinDirection(_) => &[
                Rows,
                Width,
                Splits,
                Head,
                Target,
                PartMax,
                PartDirection,
                Logp,
                Normaliser,
                Direction,
            ],
            Kernel::Scale(_) => &[Rows, Width, Direction, Slope, SlopeHidden],
            Kernel::BackwardHead(_) => {
                &[Rows, Vocabulary, Width, Hidden, Head, Target, Logp, Normaliser, Slope, SlopeHead]
            }
        }
    }

    /// Whether it writes an argument; what it does not write is only read.
    fn writes(self, a: Argument) -> bool {
        use Argument::*;
        match self {
            Kernel::Forward(_) | Kernel::Direction(_) => {
                matches!(a, PartMax | PartSum | PartTarget | PartDirection)
            }
            Kernel::Join => matches!(a, Logp | Normaliser),
            Kernel::JoinDirection(_) => a == Direction,
            Kernel::Scale(_) | Kernel::BackwardHead(_) => matches!(a, SlopeHidden | SlopeHead),
        }
    }

    /// Its definition; empty for the one that stands in the common text.
    pub fn text(self) -> String {
        let (function, Some(element)) = self.parts() else { return String::new() };
        let number = |kind: &str, name: &str| (format!("{kind} {name}"), name.to_owned());
        let parameter = |a: &Argument| {
            let (kind, name) = match a {
                Argument::Rows => return number("long long", "rows"),
                Argument::Vocabulary => return number("long long", "vocabulary"),
                Argument::Width => return number("long long", "width"),
                Argument::Splits => return number("int", "splits"),
                Argument::Hidden => (element.stored(), "hidden"),
                Argument::Head => (element.stored(), "head"),
                Argument::Target => ("int", "target"),
                Argument::PartMax => ("float", "part_max"),
                Argument::PartSum => ("float", "part_sum"),
                Argument::PartTarget => ("float", "part_target"),
                Argument::PartDirection => ("float", "part"),
                Argument::Direction => ("float", "direction"),
                Argument::Logp => ("float", "logp"),
                Argument::Normaliser => ("float", "normaliser"),
                Argument::Slope => ("float", "d_logp"),
                Argument::SlopeHidden => (element.stored(), "d_hidden"),
                Argument::SlopeHead => ("float", "d_head"),
            };
            let pointer = if self.writes(*a) { "*" } else { "* __restrict__" };
            let read = if self.writes(*a) { "" } else { "const " };
            (format!("{read}{kind}{pointer} {name}"), name.to_owned())
        };
        let (parameters, names): (Vec<String>, Vec<String>) =
            self.arguments().iter().map(parameter).unzip();
        let mut names = names.join(", ");
        let class = element.class();
        let function = match self {
            Kernel::Forward(_) => {
                names.push_str(", 0");
                format!("ponens_head_forward<{class}, false>")
            }
            Kernel::Direction(_) => format!("ponens_head_forward<{class}, true>"),
            _ => format!("ponens_head_{function}<{class}>"),
        };
        format!(
            "extern \"C\" __global__ void __launch_bounds__(PONENS_THREADS, 2) {}(\n    {}) {{\n    \
             {function}({names});\n}}\n",
            self.name(),
            parameters.join(",\n    "),
        )
    }
}

/// Every kernel of the head for hidden states of these types, templates first.
pub fn program(elements: &[Element]) -> String {
    let mut out = HEAD.to_owned();
    for kernel in elements.iter().flat_map(|e| Kernel::of(*e)) {
        out.push('\n');
        out.push_str(&kernel.text());
    }
    out
}
