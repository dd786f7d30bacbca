//! Texts that are no losses: each gets diagnostics, in bounded time, whatever is in it.

use crate::common::Place;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Generous for a debug build on a busy machine; without bounds these texts take minutes or for ever.
const LONGEST: Duration = Duration::from_secs(20);

/// Checks a file of a folder, which must be refused with the first of these codes and no others.
#[track_caller]
fn refused_in(place: &Place, name: &str, codes: &[&str]) -> Vec<Value> {
    let start = Instant::now();
    let run = place.run(&["check", name, "--format", "json"]);
    assert!(start.elapsed() < LONGEST, "{name}: {:?}", start.elapsed());
    assert_eq!(run.status, 1, "{name}");
    let found = run.json().as_array().expect("an array").clone();
    assert_eq!(found.first().map(|d| &d["code"]), Some(&Value::from(codes[0])), "{name}");
    for d in &found {
        let code = d["code"].as_str().expect("a code");
        assert!(codes.contains(&code), "{name}: {d}");
    }
    found
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], codes: &[&str]) -> Vec<Value> {
    let place = Place::new();
    place.write(name, bytes);
    refused_in(&place, name, codes)
}

fn loss(minimize: &str) -> String {
    format!("loss a(beta = 1) {{ data pair(w > l); model pi = policy; minimize {minimize} }}\n")
}

#[test]
fn rubbish_is_refused() {
    let mut state = 1u64;
    let mut rubbish = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    let bytes: Vec<u8> = (0..200_000).map(|_| rubbish()).collect();
    refused("rubbish.loss", &bytes, &["E0002"]);
    let ascii: Vec<u8> = bytes.iter().map(|b| 32 + b % 95).collect();
    refused("ascii.loss", &ascii, &["E0001"]);
    refused("nothing.loss", b"\0\0\0\0", &["E0001"]);
}

#[test]
fn what_is_too_long_is_refused() {
    let ten_megabytes = loss("beta * logp(pi, w)").repeat(120_000);
    assert!(ten_megabytes.len() > 10_000_000);
    refused("long.loss", ten_megabytes.as_bytes(), &["E0003"]);
}

#[test]
fn what_is_too_deep_is_refused() {
    // The part that is given up leaves a loss without its value, and parameters and names without a use.
    let codes = ["E0004", "E0105", "W0301", "W0502"];
    let brackets = format!("{}logp(pi, w){}", "(".repeat(100_000), ")".repeat(100_000));
    refused("brackets.loss", loss(&brackets).as_bytes(), &codes);
    let chain = vec!["logp(pi, w)"; 20_000].join(" + ");
    refused("chain.loss", loss(&chain).as_bytes(), &codes);
    let mut lets = String::from("let a0 = logp(pi, w)\n");
    for i in 1..1_000 {
        lets += &format!("let a{i} = a{} + a{}\n", i - 1, i - 1);
    }
    let text =
        format!("loss a() {{ data pair(w > l); model pi = policy\n {lets} minimize a999 }}\n");
    refused("lets.loss", text.as_bytes(), &codes);
}

/// A loss with lines of its own, and what it minimizes.
fn with_lines(lines: impl Iterator<Item = String>, minimize: &str) -> String {
    let lines: Vec<String> = lines.collect();
    let lines = lines.join("\n");
    format!("loss a() {{\ndata pair(w > l)\nmodel pi = policy\n{lines}\nminimize {minimize}\n}}\n")
}

#[test]
fn what_depends_on_a_chain_of_definitions_is_not_called_unused() {
    let chain = (1..1_000).map(|i| format!("let a{i} = a{} + 1", i - 1));
    let chain = std::iter::once("let a0 = logp(pi, w)".to_owned()).chain(chain);
    let found = refused("chain.loss", with_lines(chain, "a999").as_bytes(), &["E0004"]);
    assert_eq!(found.len(), 1, "{found:?}");
}

/// Every text has thousands of mistakes, or as many names: with time that grows as the square each takes
/// minutes.
#[test]
fn long_lists_are_read_in_linear_time() {
    let n = 20_000;
    let chain = std::iter::once("let a0 = logp(pi, w)".to_owned())
        .chain((1..n).map(|i| format!("let a{i} = a{} + 1", i - 1)));
    let chain = with_lines(chain, &format!("a{}", n - 1));
    let found = refused("chain.loss", chain.as_bytes(), &["E0004"]);
    assert_eq!(found.len(), 1, "{found:?}");
    let n = 5_000;
    let losses = |text: &str| text.repeat(n);
    let cases = [
        ("E0101", with_lines((0..n).map(|i| format!("let abc{i} = abd{i}")), "logp(pi, l)")),
        ("E0101", with_lines((0..n).map(|i| format!("let abc{i} = f{i}(1)")), "logp(pi, l)")),
        ("E0102", with_lines((0..n).map(|_| "let b = logp(pi, w)".to_owned()), "b")),
        ("E0204", with_lines((0..n).map(|i| format!("let a{i} = logp(q{i}, w)")), "logp(pi, l)")),
        ("E0102", losses("loss a() { data pair(w > l) }\n")),
        ("E0303", (0..n).map(|i| format!("loss v{i} = dpo with {{ b{i} = 1 }}\n")).collect()),
    ];
    for (code, text) in cases {
        let also = ["E0102", "E0105", "E0204"];
        let codes = [&[code][..], &also].concat();
        let place = Place::new();
        place.write("many.loss", &text);
        let start = Instant::now();
        let found = place.run(&["check", "many.loss", "--format", "json"]);
        assert!(start.elapsed() < LONGEST, "{code}: {:?}", start.elapsed());
        let found = found.json().as_array().expect("an array").clone();
        assert_eq!(found.len(), 50, "{code}");
        assert!(found.iter().any(|d| d["code"] == code), "{code}");
        for d in &found {
            assert!(codes.contains(&d["code"].as_str().expect("a code")), "{code}: {d}");
        }
        let more = "more findings follow; mend these first";
        assert!(found[49]["notes"].as_array().expect("notes").contains(&more.into()), "{code}");
    }
}

#[test]
fn names_without_a_use_are_listed_up_to_a_limit() {
    let n = 5_000;
    let columns = (0..n).map(|i| format!("column k{i}"));
    let lets = (0..n).map(|i| format!("let a{i} = k{i}"));
    let place = Place::new();
    place.write("unused.loss", with_lines(columns.chain(lets), "logp(pi, l)"));
    let start = Instant::now();
    let run = place.run(&["check", "unused.loss", "--format", "json"]).done();
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    let found = run.json();
    assert_eq!(found.as_array().expect("an array").len(), 50);
    assert!(found.as_array().expect("an array").iter().all(|d| d["code"] == "W0502"), "{found}");
}

#[test]
fn functions_have_names_of_their_own() {
    let text = "\
fn f(x) = x
fn f(x) = x + 1                                                  // E0102
fn exp(x) = x                                                    // E0102
fn g(x, x) = x                                                   // E0102
loss a() { data pair(w > l) model pi = policy minimize f(logp(pi, w)) + g(1, 2) }
";
    let found = refused("twice.loss", text.as_bytes(), &["E0102"]);
    let lines: Vec<u64> = found.iter().filter_map(|d| d["line"].as_u64()).collect();
    assert_eq!(lines, [2, 3, 4]);
}

#[test]
fn circles_are_refused() {
    let circle = b"import \"circle.loss\";\nloss a = b with {}\nloss b = a with {}\n";
    refused("circle.loss", circle, &["E0107"]);
    let place = Place::new();
    for (name, other) in [("x", "y"), ("y", "x")] {
        let text = format!("import \"{other}.loss\";\nloss {name} = {other} with {{}}\n");
        place.write(&format!("{name}.loss"), text);
    }
    refused_in(&place, "x.loss", &["E0107"]);
}

#[test]
fn every_mistake_of_a_file_is_reported() {
    // Each line that ends in a code is wrong in one way.
    let text = "\
loss a(beta = 0.1 in (0, inf), unused = 1) {                     // W0301
    data  pair(w > l)
    model pi = policy
    let x = logp(pi, v)                                          // E0203
    let y = logp(qi, w)                                          // E0204
    let z = exp(logp(pi, w), 1)                                  // E0104
    let d = 1
    let d = 2                                                    // E0102
    minimize logistic(beta * (x + y + z + d))
}
loss b(beta = -1 in (0, inf)) {                                  // E0301
    data  pair(w > l)
    model pi = policy
    minimize token_logp(pi, w)[t] * beta                         // E0202
}
loss c() {                                                       // E0105
    data  pair(w > l)
    model pi = policy
}
loss d() {
    data  pears(w > l)                                           // E0203
    model pi = policy
    minimize logp(pi, w)
}
loss e() {                                                       // E0204
    data  pair(w > l)
    model pi = reference
    minimize logp(pi, w)
}
loss f = g with { beta = 1 }                                     // E0103
loss h = dpo with { betta = 1 }                                  // E0303
";
    let place = Place::new();
    place.write("ten.loss", text);
    let run = place.run(&["check", "ten.loss", "--format", "json"]);
    assert_eq!(run.status, 1, "{run}");
    let mut found: Vec<(usize, String)> = run
        .json()
        .as_array()
        .expect("an array")
        .iter()
        .map(|d| {
            let line = d["line"].as_u64().expect("a line") as usize;
            (line, d["code"].as_str().expect("a code").to_owned())
        })
        .collect();
    found.sort();
    let wanted: Vec<(usize, String)> = text
        .lines()
        .enumerate()
        .filter_map(|(i, l)| Some((i + 1, l.rsplit_once("// ")?.1.to_owned())))
        .collect();
    assert_eq!(wanted.len(), 12);
    assert_eq!(found, wanted);
}
