//! What the language can say and which back ends run it: docs/features.md, held to what the compiler does.

use ponens::compiler::codegen::{candle, rust, torch};
use ponens::compiler::hir::Program;
use ponens::compiler::lir;
use ponens::compiler::session::{self, Compiled, Options};
use ponens::losses::Catalogue;
use std::fmt::Write as _;

/// A row of the table: what is said, how, a loss of the catalogue that says it, and a loss named `x` that
/// says little else.
struct Feature(&'static str, &'static str, &'static str, &'static str);

const PAIR: &str = "data pair(w > l) model pi = policy model ref = reference";
const LABELLED: &str = "data labelled(y, good) model pi = policy model ref = reference";
const RANKED: &str = "data ranked(y[K], score[K]) model pi = policy";
const GROUP: &str = "data group(y[G], reward[G]) model pi = policy model old = sampler";
const TOKENS: &str =
    "data trajectory(y[T], reward, step[T]) model pi = policy, head value model ref = reference";

const FEATURES: &[Feature] = &[
    Feature("pairs", "`data pair(w > l)`", "dpo", "P minimize logistic(logp(pi, w) - logp(pi, l))"),
    Feature(
        "a third response",
        "`data pair(w > l, rationale)`",
        "dpo_rationale",
        "data pair(w > l, rationale) model pi = policy minimize -logp(pi, w) - logp(pi, rationale)",
    ),
    Feature(
        "single labelled responses",
        "`data labelled(y, good)`",
        "kto",
        "L minimize if good { -logp(pi, y) } else { logp(pi, y) }",
    ),
    Feature(
        "ranked lists",
        "`data ranked(y[K])`",
        "dpo_pl",
        "R minimize sum(i < K - 1) (logsumexp(j >= i) mean_logp(pi, y[j]) - mean_logp(pi, y[i]))",
    ),
    Feature(
        "groups of samples",
        "`data group(y[G], reward[G])`",
        "rloo",
        "G minimize -mean(i) (reward[i] * logp(pi, y[i]))",
    ),
    Feature(
        "token by token",
        "`data trajectory(y, reward)`",
        "oreo_policy",
        "T minimize mean(t) square(value(pi, y)[t] - reward)",
    ),
    Feature(
        "a column an example",
        "`column margin in [0, 1]`",
        "odpo",
        "P column margin in [0, 1] minimize logistic(logp(pi, w) - logp(pi, l) - margin)",
    ),
    Feature(
        "a column a token",
        "`column mask[w]`",
        "",
        "P column mask[w] minimize -sum(t) (mask[t] * token_logp(pi, w)[t])",
    ),
    Feature(
        "a frozen reference",
        "`model ref = reference`",
        "dpo",
        "P minimize logp(ref, w) - logp(pi, w)",
    ),
    Feature(
        "the policy that sampled",
        "`model old = sampler`",
        "grpo",
        "G minimize -mean(i) (reward[i] * exp(logp(pi, y[i]) - logp(old, y[i])))",
    ),
    Feature(
        "heads",
        "`model pi = policy, head value`",
        "oreo_value",
        "T minimize mean(t) square(value(pi, y)[t])",
    ),
    Feature(
        "KL over the vocabulary",
        "`kl(ref, pi, w)`",
        "tdpo1",
        "P minimize kl(ref, pi, w) - logp(pi, w)",
    ),
    Feature(
        "entropy, log sum p^2",
        "`entropy(pi, w)`, `log_sum_p2(pi, w)`",
        "wpo",
        "P minimize stop_gradient(entropy(pi, w) + log_sum_p2(pi, w)) - logp(pi, w)",
    ),
    Feature(
        "aggregates",
        "`aggregate mean`, `len ^ p`",
        "simpo",
        "loss x(p = 0.5 in [0, 1]) { data pair(w > l) model pi = policy, aggregate len ^ p prefer pi(l) -> pi(w) minimize logistic(rho) }",
    ),
    Feature(
        "shared length",
        "`aggregate shared(alpha)`",
        "ld_dpo",
        "data pair(w > l) model pi = policy, aggregate shared(0.5) prefer pi(l) -> pi(w) minimize logistic(rho)",
    ),
    Feature(
        "divergence point",
        "`aggregate diverged`",
        "mcts_dpo",
        "data pair(w > l) model pi = policy, aggregate diverged prefer pi(l) -> pi(w) minimize logistic(rho)",
    ),
    Feature(
        "sums and means of tokens",
        "`sum(t) d[t]`, `mean(t) d[t]`",
        "ppo_clip",
        "T minimize -mean(t) exp(token_logp(pi, y)[t])",
    ),
    Feature(
        "later and earlier tokens",
        "`suffix_sum(d)[t + 1]`, `prefix_sum(d)[t]`",
        "oreo_policy",
        "T let d[t] = token_logp(pi, y)[t] minimize mean(t) square(suffix_sum(d)[t + 1] - prefix_sum(d)[t])",
    ),
    Feature(
        "discounted sums",
        "`discounted(gamma, d)[t]`",
        "",
        "T let d[t] = token_logp(pi, y)[t] minimize -mean(t) discounted(0.9, d)[t]",
    ),
    Feature(
        "steps of a response",
        "`segment_sum(d, step)[t]`, `segment_start(step)[t]`",
        "",
        "T let d[t] = token_logp(pi, y)[t] minimize sum(t) (segment_start(step)[t] * square(segment_sum(d, step)[t]))",
    ),
    Feature(
        "statistics of a group",
        "`mean(i)`, `std(i)`, `max(i)`, `leave_one_out(r)[i]`",
        "grpo",
        "G let a[i] = (reward[i] - leave_one_out(reward)[i]) / (1 + std(j) reward[j]) minimize -mean(i) (a[i] * logp(pi, y[i]))",
    ),
    Feature(
        "softmax over a list",
        "`log_softmax(s)[i]`",
        "info_nca",
        "R let s[i] = logp(pi, y[i]) minimize -sum(i) (score[i] * log_softmax(s)[i])",
    ),
    Feature(
        "neighbours and ends",
        "`s[i + 1]`, `s[0]`, `s[K - 1]`",
        "",
        "R let s[i] = mean_logp(pi, y[i]) minimize sum(i < K - 1) logistic(s[i] - s[i + 1]) + hinge(s[0] - s[K - 1])",
    ),
    Feature(
        "the batch",
        "`batch_mean(x)`, `batch_sum(x)`",
        "kto",
        "P minimize logistic(logp(pi, w) - stop_gradient(batch_mean(logp(pi, l))))",
    ),
    Feature(
        "sorted batches",
        "`batch_sort(x)`",
        "aot",
        "P minimize logistic(batch_sort(logp(pi, w)) - batch_sort(logp(pi, l)))",
    ),
    Feature(
        "the run so far",
        "`running_mean(x)`",
        "bco",
        "L let r = logp(pi, y) - logp(ref, y) minimize logistic(r - running_mean(r))",
    ),
    Feature(
        "responses of other prompts",
        "`mismatched(x)`",
        "kto",
        "L minimize logistic(logp(pi, y) - stop_gradient(max(0, batch_mean(mismatched(logp(pi, y))))))",
    ),
    Feature(
        "label noise",
        "`smooth(e, link)`, `debias(e, link)`",
        "cdpo",
        "P let m = logp(pi, w) - logp(pi, l) minimize smooth(0.1, logistic(m)) + debias(0.1, logistic(m))",
    ),
    Feature(
        "noise a pair",
        "`smooth(smoothing, link)` with a column",
        "mcts_dpo",
        "P column smoothing in [0, 0.5] minimize smooth(smoothing, logistic(logp(pi, w) - logp(pi, l)))",
    ),
    Feature(
        "links",
        "`logistic`, `hinge`, `squared`",
        "ipo",
        "P let m = logp(pi, w) - logp(pi, l) minimize logistic(m) + hinge(m, 2) + squared(m, 1)",
    ),
    Feature(
        "choices",
        "`if a > b { .. } else { .. }`",
        "padll",
        "P let m = logp(pi, w) - logp(pi, l) minimize if m > 1 { 0 * m } else { logistic(m) }",
    ),
    Feature(
        "no gradient",
        "`stop_gradient(x)`",
        "wpo",
        "P minimize stop_gradient(exp(logp(pi, w))) * logistic(logp(pi, w))",
    ),
    Feature(
        "logic",
        "`prefer`, `given`, `tie`",
        "lattice.CPO",
        "P prefer pi(l) -> pi(w) given pi(l) | pi(w) tie pi(l) & pi(w) minimize logistic(rho)",
    ),
    Feature(
        "rho as arithmetic",
        "`rho = log(pi(w) / pi(l))`",
        "dpo",
        "P rho = log(pi(w) / pi(l)) minimize logistic(rho)",
    ),
    Feature(
        "weighted sums of losses",
        "`a * logistic(x) + b * nll(pi, w)`",
        "mpo",
        "P let m = logp(pi, w) - logp(pi, l) minimize 0.8 * logistic(m) + 0.2 * hinge(m) + nll(pi, w)",
    ),
    Feature(
        "functions",
        "`fn f(x) = ..`",
        "",
        "fn f(a) = a - log1mexp(a)\nloss x() { data pair(w > l) model pi = policy minimize logistic(f(mean_logp(pi, w)) - f(mean_logp(pi, l))) }",
    ),
    Feature(
        "imports",
        "`import \"links.loss\";`",
        "",
        "import \"links.loss\";\nloss x() { data pair(w > l) model pi = policy minimize steep(logp(pi, w) - logp(pi, l)) }",
    ),
    Feature(
        "variants",
        "`loss x = dpo with { link = hinge(1), beta = 0.5 }`",
        "",
        "loss x = dpo with { link = hinge(1), beta = 0.5 }",
    ),
    Feature(
        "editions",
        "`edition 2026;`",
        "",
        "edition 2026;\nloss x() { data pair(w > l) model pi = policy minimize -logp(pi, w) }",
    ),
];

/// The whole text of a feature's loss.
fn text(short: &str) -> String {
    if short.contains("loss x") {
        return short.to_owned();
    }
    let body = match short.split_once(' ') {
        Some(("P", rest)) => format!("{PAIR} {rest}"),
        Some(("L", rest)) => format!("{LABELLED} {rest}"),
        Some(("R", rest)) => format!("{RANKED} {rest}"),
        Some(("G", rest)) => format!("{GROUP} {rest}"),
        Some(("T", rest)) => format!("{TOKENS} {rest}"),
        _ => short.to_owned(),
    };
    format!("loss x() {{ {body} }}")
}

fn compiled(text: &str) -> Compiled {
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("links.loss"), "fn steep(x) = softplus(-4 * x)\n")
        .expect("written");
    let mut program = Program::new();
    let (_, found) = program.add_text_at("x", text, folder.path());
    assert!(found.is_empty(), "{text}: {found:?}");
    let compiled = session::compile(&mut program, "x", &Catalogue, &Options::default());
    compiled.unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

fn row(Feature(what, written, example, short): &Feature) -> String {
    let text = text(short);
    let loss = compiled(&text);
    let header = candle::Header { title: String::new(), hash: String::new() };
    let python = |trl: bool| torch::emit(&loss, &torch::Options { trl }).is_ok();
    let runs = [
        rust::emit(loss.graph(), rust::Float::F64).is_ok(),
        candle::emit(loss.graph(), &header).is_ok(),
        lir::plan(loss.graph()).is_ok(),
        python(false),
        python(true),
    ];
    let example = if example.is_empty() { String::new() } else { format!("`{example}`") };
    let runs = runs.map(|r| if r { "yes" } else { "no" });
    format!("| {what} | {} | {example} | yes | {} |", written.replace('|', "\\|"), runs.join(" | "))
}

#[test]
fn the_table_of_features_is_true() {
    let mut table = String::from(
        "| what | written | for example | value | Rust | candle | kernels | PyTorch | TRL |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for feature in FEATURES {
        let _ = writeln!(table, "{}", row(feature));
        let known =
            feature.2.is_empty() || feature.2 == "padll" || Catalogue.get(feature.2).is_some();
        assert!(known, "{}", feature.2);
    }
    let page = include_str!("../../../docs/features.md");
    assert!(page.contains(&table), "docs/features.md should hold\n{table}");
}

/// What the page says cannot be said is refused with the code that it names.
#[test]
fn what_cannot_be_said_is_refused() {
    let mut program = Program::new();
    let text = text("R let s[i] = logp(pi, y[i]) minimize sum(i) sum(j > i) logistic(s[i] - s[j])");
    let (_, found) = program.add_text("x", &text);
    assert!(found.is_empty(), "{found:?}");
    let refused = session::compile(&mut program, "x", &Catalogue, &Options::default());
    let codes: Vec<&str> = refused.expect_err("two indices").iter().map(|d| d.code).collect();
    assert_eq!(codes, ["E0202"]);
}
