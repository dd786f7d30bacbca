//! The checker accepts exactly what the interpreter can run: random well-typed losses are accepted and
//! evaluate, the same losses with one level broken are refused, and whatever is accepted, however it was
//! made, evaluates.

use ponens_compiler::codegen::interp::{Batch, evaluate};
use ponens_compiler::hir::{Loop, Loss, NoLibrary, Program, verify};
use ponens_compiler::lower::lower;
use ponens_compiler::mir::{self, Level};
use ponens_dsl::{Diagnostic, SourceMap, ast, parse, print};
use proptest::prelude::*;

/// Choices from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A data shape with what may be written over it, by the loops that have an index.
struct Shape {
    data: &'static str,
    columns: &'static str,
    /// One number an example.
    example: &'static [&'static str],
    /// One number a response at index `i`.
    candidate: &'static [&'static str],
    /// One number a token at index `t`: lists that must not mix.
    token: &'static [&'static [&'static str]],
    /// All values of a loop, without an index.
    bare: &'static [&'static str],
    label: Option<&'static str>,
}

const SHAPES: &[Shape] = &[
    Shape {
        data: "pair(w > l)",
        columns: "column margin\n column mask[w]",
        example: &[
            "logp(pi, w)",
            "logp(ref, l)",
            "mean_logp(pi, l)",
            "len(w)",
            "margin",
            "kl(pi, ref, w)",
        ],
        candidate: &[],
        token: &[
            &["token_logp(pi, w)[t]", "mask[t]", "value(pi, w)[t]", "kl(ref, pi, w)[t]"],
            &["token_logp(pi, l)[t]", "token_logp(ref, l)[t]", "entropy(pi, l)[t]"],
        ],
        bare: &["token_logp(pi, w)", "mask"],
        label: None,
    },
    Shape {
        data: "labelled(y, good)",
        columns: "column weight in (0, inf)",
        example: &["logp(pi, y)", "logp(ref, y)", "weight", "len(y)", "entropy(pi, y)"],
        candidate: &[],
        token: &[&["token_logp(pi, y)[t]", "kl(pi, ref)[t]"]],
        bare: &["value(pi, y)", "kl(pi, ref)"],
        label: Some("good"),
    },
    Shape {
        data: "ranked(y[K], score[K])",
        columns: "column weight",
        example: &["weight", "K", "score[0]"],
        candidate: &[
            "logp(pi, y[i])",
            "logp(ref, y[i])",
            "score[i]",
            "score[i + 1]",
            "len(y[i])",
            "pi(y[i])",
            "i",
        ],
        token: &[&[
            "token_logp(pi, y[i])[t]",
            "token_logp(ref, y[i])[t - 1]",
            "value(pi, y[i])[t]",
        ]],
        bare: &["score", "logp(pi, y)", "log_softmax(score)"],
        label: None,
    },
    Shape {
        data: "trajectory(y[T], reward, mask[T])",
        columns: "",
        example: &["reward", "T", "logp(pi, y)"],
        candidate: &[],
        token: &[&[
            "token_logp(pi, y)[t]",
            "mask[t]",
            "suffix_sum(mask)[t + 1]",
            "value(pi, y)[t]",
            "t",
        ]],
        bare: &["mask", "value(pi, y)"],
        label: None,
    },
];

/// What may be read at a place.
#[derive(Clone, Copy, Default)]
struct Scope {
    candidate: bool,
    /// Which list of token quantities is in sight.
    token: Option<usize>,
}

struct Writer<'a> {
    shape: &'a Shape,
    dice: Dice,
}

impl Writer<'_> {
    /// A quantity that varies with the innermost index, so that a reduction has something to reduce.
    fn varying(&mut self, scope: Scope) -> String {
        let list = match scope {
            Scope { token: Some(k), .. } => self.shape.token[k],
            Scope { candidate: true, .. } => self.shape.candidate,
            Scope { .. } => self.shape.example,
        };
        // An index alone does not say what it counts.
        let list: Vec<&str> = list.iter().copied().filter(|x| x.len() > 1).collect();
        self.dice.pick(&list).to_owned()
    }

    fn leaf(&mut self, scope: Scope) -> String {
        let outer = match self.dice.below(3) {
            0 if scope.token.is_some() => Scope { token: None, ..scope },
            1 => Scope::default(),
            _ => scope,
        };
        match self.dice.below(5) {
            0 => format!("{}", self.dice.below(40) as f64 / 8.0),
            1 => "beta".to_owned(),
            _ => self.varying(outer),
        }
    }

    fn expr(&mut self, scope: Scope, depth: usize) -> String {
        if depth == 0 {
            return self.leaf(scope);
        }
        let d = depth - 1;
        match self.dice.below(9) {
            0 => format!("({} + {})", self.expr(scope, d), self.expr(scope, d)),
            1 => format!("({} - {})", self.expr(scope, d), self.expr(scope, d)),
            2 => format!("({} * {})", self.expr(scope, d), self.expr(scope, d)),
            3 => {
                let f = self.dice.pick(&[
                    "sigmoid",
                    "softplus",
                    "square",
                    "abs",
                    "logistic",
                    "stop_gradient",
                    "-",
                ]);
                format!("{f}({})", self.expr(scope, d))
            }
            4 => {
                let (a, b) = (self.expr(scope, d), self.expr(scope, d));
                format!("{}({a}, {b})", self.dice.pick(&["max", "min", "logaddexp", "hinge"]))
            }
            5 => {
                let c = match self.shape.label {
                    Some(label) if self.dice.below(2) == 0 => label.to_owned(),
                    _ => format!(
                        "{} {} {}",
                        self.leaf(scope),
                        self.dice.pick(&["<", "<=", ">", ">="]),
                        self.leaf(scope)
                    ),
                };
                format!("(if {c} {{ {} }} else {{ {} }})", self.expr(scope, d), self.expr(scope, d))
            }
            6 if scope.token.is_none() && !scope.candidate => {
                let inner = format!("({} + 0 * {})", self.expr(scope, d), self.varying(scope));
                format!("{}({inner})", self.dice.pick(&["batch_mean", "batch_sum", "batch_sort"]))
            }
            6 | 7 => self.reduction(scope, d),
            _ => self.leaf(scope),
        }
    }

    /// A reduction over a loop that is not bound yet.
    fn reduction(&mut self, scope: Scope, depth: usize) -> String {
        let op = self.dice.pick(&["sum", "mean", "max", "min", "logsumexp", "std"]);
        if scope.token.is_some() {
            return self.leaf(scope);
        }
        if !scope.candidate && !self.shape.candidate.is_empty() {
            let inner = Scope { candidate: true, ..scope };
            let bound = self.dice.pick(&["", "", " < 2", " < K - 1", " >= 1"]);
            let op = if bound.is_empty() { op } else { self.dice.pick(&["sum", "mean"]) };
            return format!(
                "{op}(i{bound}) ({} + {})",
                self.varying(inner),
                self.expr(inner, depth)
            );
        }
        let k = self.dice.below(self.shape.token.len());
        let inner = Scope { token: Some(k), ..scope };
        format!("{op}(t) ({} + {})", self.varying(inner), self.expr(inner, depth))
    }

    /// Something whose level does not fit where one number an example is wanted.
    fn broken(&mut self) -> String {
        let shape = self.shape;
        match self.dice.below(5) {
            0 => self.dice.pick(shape.bare).to_owned(),
            1 => {
                let k = self.dice.below(shape.token.len());
                self.varying(Scope { candidate: true, token: Some(k) })
            }
            2 => {
                // Nothing in the body has the index that the reduction binds.
                format!("sum(u) ({} + beta)", self.varying(Scope::default()))
            }
            3 if shape.token.len() > 1 => {
                format!("sum(t) ({} - {})", shape.token[0][0], shape.token[1][0])
            }
            3 if !shape.candidate.is_empty() => "sum(i) sum(j) (score[i] - score[j])".to_owned(),
            _ => format!("batch_mean(2 * beta) + {}", self.dice.pick(shape.bare)),
        }
    }
}

fn text(shape: &Shape, minimize: &str) -> String {
    format!(
        "loss x(beta = 0.5 in (0, inf)) {{\n data {}\n model pi = policy, head value\n \
         model ref = reference\n {}\n minimize {minimize} + beta * {}\n}}\n",
        shape.data, shape.columns, shape.example[0]
    )
}

fn resolve(text: &str) -> (Option<Loss>, Vec<Diagnostic>) {
    let mut program = Program::new();
    let (_, found) = program.add_text("<random>", text);
    if found.iter().any(Diagnostic::is_error) {
        return (None, found);
    }
    program.resolve("x", &NoLibrary)
}

/// Evaluates a loss on three examples whose loops have other lengths.
fn run(loss: &Loss) -> Result<(), String> {
    verify(loss).map_err(|e| e.join("; "))?;
    let graph = lower(loss).graph;
    mir::verify(&graph).map_err(|e| format!("{e:?}"))?;
    let responses = [2usize, 1, 3];
    let family = loss.shape.family().is_some();
    let mut batch = Batch::<f64>::new(3);
    if family {
        batch = batch.with_candidates(&responses).map_err(|e| e.to_string())?;
    }
    for (i, c) in loss.columns.iter().enumerate() {
        let counts = match c.of {
            None => vec![1; 3],
            Some(Loop::Candidates) => responses.to_vec(),
            Some(Loop::Tokens(r)) if family => (0..6).map(|k| (k + r) % 3).collect(),
            Some(Loop::Tokens(r)) => vec![2 + r, 0, 3 - r],
        };
        let total: usize = counts.iter().sum();
        let values: Vec<f64> = (0..total)
            .map(|k| {
                let x = -0.5 - k as f64 * 0.25;
                if c.range.contains(x) { x } else { -x }
            })
            .collect();
        let owner = if family { Level::Candidate } else { Level::Example };
        let set = match c.of {
            Some(Loop::Tokens(_)) => batch.set_tokens(&graph, i as u16, &values, owner, &counts),
            _ => batch.set(&graph, i as u16, &values),
        };
        set.map_err(|e| e.to_string())?;
    }
    let params: Vec<f64> = loss.params.iter().map(|p| p.default.unwrap_or(1.0)).collect();
    let roots = evaluate(&graph, &params, &batch).map_err(|e| e.to_string())?;
    if roots[0].len() == 3 || roots[0].len() == 1 {
        Ok(())
    } else {
        Err("no loss an example".into())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_well_typed_is_accepted_and_runs(seed in any::<u64>(), shape in 0..SHAPES.len()) {
        let mut writer = Writer { shape: &SHAPES[shape], dice: Dice(seed) };
        let text = text(&SHAPES[shape], &writer.expr(Scope::default(), 4));
        let (loss, found) = resolve(&text);
        let Some(loss) = loss else { panic!("{text}\n{found:?}") };
        if let Err(e) = run(&loss) {
            panic!("{text}\n{e}");
        }
        // Its canonical text is the same loss, and prints as itself.
        let mut sources = SourceMap::default();
        let id = sources.add("<random>", text.clone());
        let first = print::file(&parse(&sources, id).0);
        let id = sources.add("<printed>", first.clone());
        let (again, found) = parse(&sources, id);
        prop_assert!(found.is_empty(), "{first}\n{found:?}");
        prop_assert_eq!(print::file(&again), first.clone());
        let (printed, _) = resolve(&first);
        let kinds = |l: &Loss| l.exprs.iter().map(|e| e.kind).collect::<Vec<_>>();
        prop_assert_eq!(printed.map(|l| kinds(&l)), Some(kinds(&loss)));
    }

    #[test]
    fn what_is_ill_typed_is_refused(seed in any::<u64>(), shape in 0..SHAPES.len()) {
        let mut writer = Writer { shape: &SHAPES[shape], dice: Dice(seed) };
        let good = writer.expr(Scope::default(), 3);
        let text = text(&SHAPES[shape], &format!("{good} + {}", writer.broken()));
        let (loss, found) = resolve(&text);
        prop_assert!(loss.is_none(), "{}", text);
        let helped = found.iter().filter(|d| d.is_error()).all(|d| d.help.is_some());
        prop_assert!(helped, "{text}\n{found:?}");
    }

    #[test]
    fn whatever_is_accepted_runs(seed in any::<u64>(), item in ponens_dsl::testing::any_expr(4), shape in 0..SHAPES.len()) {
        // A random tree with its names replaced by ones that mean something.
        let shape = &SHAPES[shape];
        let mut writer = Writer { shape, dice: Dice(seed) };
        let mut words = String::new();
        rename(&item, &mut writer, &mut words);
        let (loss, _) = resolve(&text(shape, &words));
        if let Some(Err(e)) = loss.map(|loss| run(&loss)) {
            panic!("{words}\n{e}");
        }
    }
}

/// Writes a random tree with names and functions of the shape.
fn rename(e: &ast::Expr, w: &mut Writer<'_>, out: &mut String) {
    use ast::ExprKind as K;
    let name = |w: &mut Writer<'_>| match w.dice.below(4) {
        0 => w.dice.pick(w.shape.bare).to_owned(),
        1 => w.varying(Scope { candidate: true, token: Some(0) }),
        2 => "beta".to_owned(),
        _ => w.varying(Scope::default()),
    };
    match &e.kind {
        K::Number(x) => *out += &format!("{}", (x.abs() % 5.0 * 8.0).round() / 8.0),
        K::Bool(_) | K::Name(_) => *out += &name(w),
        K::Call { args, .. } => {
            let f = [
                "exp",
                "max",
                "hinge",
                "suffix_sum",
                "softmax",
                "batch_mean",
                "discounted",
                "clip",
            ];
            *out += w.dice.pick(&f);
            *out += "(";
            for (k, a) in args.iter().enumerate() {
                *out += if k > 0 { ", " } else { "" };
                rename(a, w, out);
            }
            *out += ")";
        }
        K::Index { base, .. } => {
            *out += "(";
            rename(base, w, out);
            *out += w.dice.pick(&[")[i]", ")[t]", ")[t + 1]", ")[0]"]);
        }
        K::Unary { operand, .. } => {
            *out += "-(";
            rename(operand, w, out);
            *out += ")";
        }
        K::Binary { lhs, rhs, .. } => {
            *out += "(";
            rename(lhs, w, out);
            *out += w.dice.pick(&[" + ", " - ", " * "]);
            rename(rhs, w, out);
            *out += ")";
        }
        K::If { then, otherwise, .. } => {
            *out += &format!("(if {} > 0 {{ ", name(w));
            rename(then, w, out);
            *out += " } else { ";
            rename(otherwise, w, out);
            *out += " })";
        }
        K::Reduce { body, .. } => {
            let op = w.dice.pick(&["sum", "mean", "max", "logsumexp", "std"]);
            let head = w.dice.pick(&["i", "t", "i < 2", "j >= i", "u >= t", "t < reward"]);
            *out += &format!("({op}({head}) (");
            rename(body, w, out);
            *out += "))";
        }
    }
}
