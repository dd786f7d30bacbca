//! Levels: what every data shape reads, what the checker refuses and how it says so, and values and
//! gradients of losses over responses and tokens against arithmetic written out by hand.

use ponens_compiler::adjoint::Wrt;
use ponens_compiler::codegen::interp::{Batch, Big, Real, directional_derivative, evaluate};
use ponens_compiler::hir::{Loop, NoLibrary, Program};
use ponens_compiler::mir::Level;
use ponens_compiler::session::{self, Compiled, Options};
use ponens_dsl::Diagnostic;

fn program(text: &str) -> Program {
    let mut program = Program::new();
    let (_, found) = program.add_text("<test>", text);
    assert!(found.is_empty(), "{found:?}");
    program
}

fn body(data: &str, rest: &str) -> String {
    format!(
        "loss x(beta = 0.1 in (0, inf)) {{\n data {data}\n model pi = policy, head value\n \
         model ref = reference\n {rest}\n}}\n"
    )
}

fn findings(text: &str) -> Vec<Diagnostic> {
    program(text).resolve("x", &NoLibrary).1
}

/// The one error of a loss: its code, and words that its message or help holds.
fn refused(data: &str, rest: &str, code: &str, words: &str) {
    let found = findings(&body(data, rest));
    let errors: Vec<&Diagnostic> = found.iter().filter(|d| d.is_error()).collect();
    let [d] = errors.as_slice() else { panic!("{rest}: {found:?}") };
    let all = format!("{} {} {:?}", d.message, d.help.as_deref().unwrap_or(""), d.labels);
    assert!(d.code == code && all.contains(words), "{rest}: {} {all}", d.code);
    assert!(d.help.is_some() || !d.notes.is_empty(), "{rest}: no remedy in {d:?}");
}

fn compiled(data: &str, rest: &str) -> Compiled {
    let options = Options { wrt: Wrt::AllReal, ..Options::default() };
    session::compile(&mut program(&body(data, rest)), "x", &NoLibrary, &options)
        .unwrap_or_else(|d| panic!("{rest}: {d:?}"))
}

const RANKED: &str = "ranked(y[K], score[K])";
const TRAJECTORY: &str = "trajectory(y[T], reward, mask[T])";

/// One example with these responses or tokens; every column in the order of the loss.
fn batch<T: Real>(c: &Compiled, columns: &[&[f64]]) -> Batch<T> {
    let graph = c.graph();
    let mut batch = Batch::new(1);
    let count = |of: Option<Loop>| {
        let at = c.loss.columns.iter().position(|k| k.of == of)?;
        Some(columns[at].len())
    };
    if let Some(k) = count(Some(Loop::Candidates)) {
        batch = batch.with_candidates(&[k]).expect("one example");
    }
    for (i, (column, values)) in c.loss.columns.iter().zip(columns).enumerate() {
        if column.level == Level::Token {
            batch.set_tokens(graph, i as u16, values, Level::Example, &[values.len()])
        } else {
            batch.set(graph, i as u16, values)
        }
        .expect("a column");
    }
    batch
}

fn names(c: &Compiled) -> Vec<String> {
    c.loss.columns.iter().map(|k| k.name()).collect()
}

/// The value of a loss, which must also be that of the text, with gradients that are its differences.
fn value(c: &Compiled, columns: &[&[f64]]) -> f64 {
    let params = c.bind(&[]).expect("defaults");
    let exact = batch::<Big>(c, columns);
    let written = evaluate(&c.written, &params, &exact).expect("defined")[0][0].to_f64();
    let roots = evaluate(c.graph(), &params, &exact).expect("total");
    let stable = roots[0][0].to_f64();
    assert!((written - stable).abs() <= 1e-15 * written.abs(), "{written} {stable}");
    let double = evaluate(c.graph(), &params, &batch::<f64>(c, columns)).expect("total")[0][0];
    assert!((double - stable).abs() <= 1e-12 * stable.abs().max(1e-300), "{double} {stable}");
    for (root, values) in c.graph().roots.iter().zip(&roots).skip(1) {
        let name = root.name.strip_prefix("d/").expect("a gradient");
        let input = names(c).iter().position(|n| n == name).expect("a column");
        for element in 0..columns[input].len() {
            let toward = |i: usize, e: usize| f64::from((i, e) == (input, element));
            let slope = directional_derivative(&c.written, &params, &exact, toward, 1e-20);
            let slope = slope.expect("defined")[0][0].to_f64();
            let got = values[element.min(values.len() - 1)].to_f64();
            assert!((got - slope).abs() <= 1e-12 * slope.abs() + 1e-25, "{name}: {got} {slope}");
        }
    }
    stable
}

fn near(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-14 * want.abs(), "{got} {want}");
}

#[test]
fn reductions_over_responses() {
    let s = [0.5, -1.0, 2.0, 0.25];
    let on = |rest: &str| value(&compiled(RANKED, rest), &[&s]);
    let n = s.len() as f64;
    let mean = s.iter().sum::<f64>() / n;
    near(on("minimize sum(i) score[i]"), s.iter().sum());
    near(on("minimize mean(i) square(score[i])"), s.iter().map(|x| x * x).sum::<f64>() / n);
    near(on("minimize max(i) score[i]"), 2.0);
    near(on("minimize min(i) score[i]"), -1.0);
    near(on("minimize logsumexp(i) score[i]"), s.iter().map(|x| x.exp()).sum::<f64>().ln());
    near(on("minimize product(i) exp(score[i])"), s.iter().sum::<f64>().exp());
    let variance = s.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    near(on("minimize std(i) score[i]"), variance.sqrt());
    near(on("minimize sum(i < 2) score[i]"), -0.5);
    near(on("minimize sum(i <= 2) score[i]"), 1.5);
    near(on("minimize sum(i > 2) score[i]"), 0.25);
    near(on("minimize sum(i >= K - 1) score[i]"), 0.25);
    near(on("minimize mean(i < K - 1) score[i]"), 0.5);
    near(on("minimize score[0] - score[K - 1]"), 0.25);
    near(on("minimize sum(i) (i * score[i]) + K"), -1.0 + 4.0 + 0.75 + 4.0);
    near(on("minimize sum(i) (score[i + 1] - score[i])"), -0.5);
    let rest = |i: usize| (s.iter().sum::<f64>() - s[i]) / (n - 1.0);
    let squares = (0..4).map(|i| (s[i] - rest(i)).powi(2)).sum();
    near(on("minimize sum(i) square(score[i] - leave_one_out(score)[i])"), squares);
    let total: f64 = s.iter().map(|x| x.exp()).sum();
    let entropy: f64 = s.iter().map(|x| -x.exp() / total * (x.exp() / total).ln()).sum();
    near(on("minimize -sum(i) (softmax(score)[i] * log_softmax(score)[i])"), entropy);
}

#[test]
fn reductions_beside_another_index() {
    let s = [0.5, -1.0, 2.0];
    let on = |rest: &str| value(&compiled(RANKED, rest), &[&s]);
    let lse = |v: &[f64]| v.iter().map(|x| x.exp()).sum::<f64>().ln();
    near(on("minimize sum(i) square(sum(j >= i) score[j])"), 1.5f64.powi(2) + 1.0 + 4.0);
    near(on("minimize sum(i) square(sum(j > i) score[j])"), 1.0 + 4.0);
    near(on("minimize sum(i) square(sum(j <= i) score[j])"), 0.25 + 0.25 + 1.5f64.powi(2));
    near(on("minimize sum(i) square(sum(j < i) score[j])"), 0.25 + 0.25);
    near(on("minimize sum(i) square(mean(j >= i) score[j])"), 0.25 + 0.25 + 4.0);
    let plain = lse(&s) + lse(&s[1..]) + lse(&s[2..]);
    near(on("minimize sum(i) logsumexp(j >= i) score[j]"), plain);
    let before = lse(&s[..2]) + lse(&s[..1]);
    near(on("minimize sum(i > 0) logsumexp(j < i) score[j]"), before);
    let s = |rest: &str| value(&compiled(RANKED, rest), &[&[0.5, -1.0]]);
    near(
        s("minimize sum(i < K - 1) (logsumexp(j >= i) score[j] - score[i])"),
        (-1.5f64).exp().ln_1p(),
    );
}

#[test]
fn a_long_tail_keeps_its_digits() {
    // The last term is ln(1 + e^-90); as a difference of two log-sum-exps it would be 0.
    let c = compiled(RANKED, "minimize sum(i < K - 1) (logsumexp(j >= i) score[j] - score[i])");
    let params = c.bind(&[]).expect("defaults");
    let got = evaluate(c.graph(), &params, &batch::<f64>(&c, &[&[100.0, 10.0]])).expect("total");
    near(got[0][0], (-90.0f64).exp());
    let far = evaluate(c.graph(), &params, &batch::<f64>(&c, &[&[1e5, -1e5, 3.0]])).expect("total");
    assert!(far.iter().flatten().all(|x| x.is_finite()), "{far:?}");
}

#[test]
fn tokens_are_masked_shifted_and_summed() {
    let m = [1.0, 0.0, 1.0];
    let on = |rest: &str, columns: &[&[f64]]| value(&compiled(TRAJECTORY, rest), columns);
    let d = [-0.5, -2.0, -0.25];
    near(on("minimize sum(t) (mask[t] * token_logp(pi, y)[t])", &[&d, &m]), -0.75);
    let weighted = "let d[t] = token_logp(pi, y)[t]\n minimize sum(t) (t * d[t]) + T";
    near(on(weighted, &[&d]), -2.5 + 3.0);
    near(
        on("let d[t] = token_logp(pi, y)[t]\n minimize sum(t) square(suffix_sum(d)[t + 1])", &[&d]),
        2.25f64.powi(2) + 0.0625,
    );
    near(
        on("minimize sum(t) square(sum(u >= t) token_logp(pi, y)[u])", &[&d]),
        2.75f64.powi(2) + 2.25f64.powi(2) + 0.0625,
    );
    let gae = "let d[t] = token_logp(pi, y)[t]\n minimize sum(t) square(discounted(0.5, d)[t])";
    near(on(gae, &[&d]), 1.5625f64.powi(2) + 2.125f64.powi(2) + 0.0625);
    near(on("minimize mean(t) (value(pi, y)[t + 1] - value(pi, y)[t])", &[&d]), 0.5 / 3.0);
    let gated = "minimize sum(t) (if mask[t] > 0 { token_logp(pi, y)[t] } else { reward })";
    let columns: &[&[f64]] = &[&d, &[1.0, -1.0, 1.0], &[3.0]];
    near(on(gated, columns), -0.75 + 3.0);
}

#[test]
fn linear_sums_over_tokens_are_sequence_quantities() {
    let c = compiled(
        "pair(w > l)",
        "minimize logistic(beta * (sum(t) (token_logp(pi, w)[t] - token_logp(ref, w)[t]) \
         - sum(t) (token_logp(pi, l)[t] - token_logp(ref, l)[t])))",
    );
    assert_eq!(names(&c), ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"]);
    assert!(c.graph().inputs.iter().all(|i| i.level == Level::Example));
    let c = compiled("trajectory(y)", "minimize sum(t) square(token_logp(pi, y)[t])");
    assert_eq!(names(&c), ["token_logp(pi,y)"]);
}

#[test]
fn missing_reductions_and_mixed_levels_are_explained() {
    refused(RANKED, "minimize score", "E0202", "mean(i) ..[i]");
    refused(RANKED, "minimize logp(pi, y)", "E0202", "one number a response");
    refused("trajectory(y)", "minimize token_logp(pi, y)", "E0202", "sum(t) ..[t]");
    refused("trajectory(y)", "minimize kl(pi, ref)", "E0202", "one number a token");
    refused(RANKED, "minimize sum(i) beta", "E0202", "one value for each `i`");
    refused(RANKED, "minimize sum(i) sum(j) (score[i] - score[j])", "E0202", "pair of `i` and `j`");
    refused(
        "pair(w > l)",
        "minimize sum(t) (token_logp(pi, w)[t] - token_logp(pi, l)[t])",
        "E0202",
        "tokens of `l`",
    );
    refused(
        "trajectory(y)",
        "minimize batch_mean(token_logp(pi, y))",
        "E0202",
        "one number a token",
    );
    refused(RANKED, "minimize sum(i) batch_mean(score[i])", "E0202", "reduce it first");
    refused("pair(w > l)", "minimize beta * w", "E0202", "whole response");
    refused(RANKED, "minimize sum(i) score[i] * score[i]", "E0202", "directly behind it");
    refused(RANKED, "minimize score[0][1]", "E0202", "no index");
    refused(RANKED, "minimize sum(i) score[i * 2]", "E0202", "whole number");
    refused(RANKED, "minimize sum(i) softmax(beta)[i]", "E0202", "let d[t] = ..");
    refused(RANKED, "minimize max(i < 2) score[i]", "E0205", "every bound");
    refused(
        "group(y[G])",
        "minimize sum(t) sum(i) token_logp(pi, y[i])[t]",
        "E0202",
        "tokens innermost",
    );
}

#[test]
fn missing_models_columns_and_heads_are_explained() {
    let only = "loss x() { data pair(w > l); model pi = policy; minimize logp(ref, w) }";
    let found = findings(only);
    assert!(
        found.iter().any(|d| d.code == "E0204"
            && d.help.as_deref() == Some("declare it: `model ref = reference`")),
        "{found:?}"
    );
    refused("pair(w > l)", "minimize -logp(pi, w) * reward", "E0101", "column reward");
    refused("pair(w > l)", "minimize logp(pi, y)", "E0203", "declared: w, l");
    refused("pair(w > l)", "minimize logp(pi, w[0])", "E0203", "one response, not a list");
    refused("trajectory(y)", "minimize sum(t) value(ref, y)[t]", "E0204", "head value");
    refused("trajectory(y)", "minimize shared_logp(pi, y)", "E0205", "pair");
    refused("labelled(y, good)", "minimize good", "E0201", "if good");
    refused("pair(w > l)", "minimize if beta { 1 } else { logp(pi, w) }", "E0201", "comparison");
    refused(RANKED, "prefer pi(y[0])\n minimize logistic(rho)", "E0205", "logic");
    refused("ranked(y)", "minimize logp(pi, w)", "E0203", "ranked(y[K]");
}

#[test]
fn a_wrong_default_is_reported_once() {
    let text = "loss x(beta = -1 in (0, inf)) { data pair(w > l); model pi = policy; \
                minimize logistic(beta * logp(pi, w)) }";
    let found = findings(text);
    assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), ["E0301"], "{found:?}");
}

#[test]
fn an_unused_parameter_is_shown_where_it_stands() {
    let text = "loss x(beta = 1, gamma = 2) { data pair(w > l); model pi = policy; \
                minimize logistic(beta * logp(pi, w)) }";
    let found = findings(text);
    let [d] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((d.code, d.labels.len()), ("W0301", 1));
}

#[test]
fn ten_mistakes_are_ten_diagnostics() {
    let text = "\
loss x(a = 5 in [0, 1], b = c) {
    data  pair(w > l)
    model pi = policy, aggregate median
    model ref = oracle

    let d = log(pi(w) / pi(v))
    let e = lenght(w) + exp(1, 2)
    let f = prefer_nothing
    let g = w + logp(pj, l)
    minimize a * b + d + e + f + g + (pi & 1)
}
";
    let found = findings(text);
    let errors = found.iter().filter(|d| d.is_error()).count();
    assert!(errors >= 10, "{errors}: {found:#?}");
    let mut places: Vec<_> = found.iter().map(|d| (d.code, d.labels.clone())).collect();
    places.dedup();
    assert_eq!(places.len(), found.len(), "the same finding twice");
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let rho = |core: &str| format!("prefer {core}\n minimize logistic(rho)");
    refused("pair(w > l)", &rho("pii(w) -> pi(l)"), "E0204", "did you mean `pi`?");
    refused("pair(w > l)", &rho("pi(w) & old(l)"), "E0204", "declared: pi, ref");
    refused("pair(w > l)", &rho("pi(w) & exp(l)"), "E0201", "not a number");
}

#[test]
fn what_unfolds_too_far_is_refused_in_bounded_time() {
    let mut doubling = String::from("let a0 = logp(pi, w)\n");
    for i in 1..60 {
        doubling += &format!("let a{i} = a{} + a{}\n", i - 1, i - 1);
    }
    refused("pair(w > l)", &format!("{doubling} minimize a59"), "E0004", "too large");
    let mut chain = String::from("let a0 = logp(pi, w)\n");
    for i in 1..2000 {
        chain += &format!("let a{i} = -a{}\n", i - 1);
    }
    refused("pair(w > l)", &format!("{chain} minimize a1999"), "E0004", "too large");
    let mut functions = String::from("fn f0(x) = x + x\n");
    for i in 1..30 {
        functions += &format!("fn f{i}(x) = f{}(x) + f{}(x)\n", i - 1, i - 1);
    }
    let found =
        findings(&format!("{functions}{}", body("pair(w > l)", "minimize f29(logp(pi, w))")));
    assert!(found.iter().any(|d| d.code == "E0004"), "{found:?}");
}

#[test]
fn a_ratio_inside_its_clip_range_has_a_gradient() {
    let c = compiled(
        "trajectory(y[T], advantage[T])",
        "let r[t] = exp(token_logp(pi, y)[t] - token_logp(ref, y)[t])\n \
         minimize mean(t) (beta * min(r[t] * advantage[t], clip(r[t], 0.8, 1.2) * advantage[t]))",
    );
    // Inside, above with a positive and with a negative advantage.
    let columns: &[&[f64]] = &[&[-0.5, -0.5, -0.5], &[-0.55, -1.5, -1.5], &[2.0, 1.0, -1.0]];
    let e = 1.0f64.exp();
    near(value(&c, columns), 0.1 * (2.0 * 0.05f64.exp() + 1.2 - e) / 3.0);
}
