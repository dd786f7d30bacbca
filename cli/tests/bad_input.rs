//! Texts that are no losses: each gets diagnostics, in bounded time, whatever is in it.

#[path = "common/mod.rs"]
mod common;

use common::ponens;
use std::fs;
use std::time::{Duration, Instant};

/// Generous for a debug build on a busy machine; without bounds these texts take minutes or for ever.
const LONGEST: Duration = Duration::from_secs(20);

/// Checks a file, which must be refused with one of the codes.
fn refused(name: &str, bytes: &[u8], codes: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("writable");
    let start = Instant::now();
    let run = ponens(&["check", &path.display().to_string(), "--format", "json"]);
    assert!(start.elapsed() < LONGEST, "{name}: {:?}", start.elapsed());
    assert_eq!(run.status, 1, "{name}");
    let text = run.to_string();
    assert!(codes.iter().any(|c| text.contains(c)), "{name}: {}", &text[..text.len().min(2000)]);
    assert!(!text.contains("panicked"), "{name}");
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
    refused("long.loss", loss("beta * logp(pi, w)").repeat(120_000).as_bytes(), &["E0003"]);
}

#[test]
fn what_is_too_deep_is_refused() {
    let brackets = format!("{}logp(pi, w){}", "(".repeat(100_000), ")".repeat(100_000));
    refused("brackets.loss", loss(&brackets).as_bytes(), &["E0004"]);
    let chain = vec!["logp(pi, w)"; 50_000].join(" + ");
    refused("chain.loss", loss(&chain).as_bytes(), &["E0004"]);
    let mut lets = String::from("let a0 = logp(pi, w)\n");
    for i in 1..10_000 {
        lets += &format!("let a{i} = a{} + a{}\n", i - 1, i - 1);
    }
    let text =
        format!("loss a() {{ data pair(w > l); model pi = policy\n {lets} minimize a9999 }}\n");
    refused("lets.loss", text.as_bytes(), &["E0004"]);
}

#[test]
fn circles_are_refused() {
    refused(
        "circle.loss",
        b"import \"circle.loss\";\nloss a = b with {}\nloss b = a with {}\n",
        &["E0107"],
    );
    let folder = tempfile::tempdir().expect("a folder");
    for (name, other) in [("x", "y"), ("y", "x")] {
        let text = format!("import \"{other}.loss\";\nloss {name} = {other} with {{}}\n");
        fs::write(folder.path().join(format!("{name}.loss")), text).expect("writable");
    }
    let start = Instant::now();
    let run = ponens(&["check", &folder.path().join("x.loss").display().to_string()]);
    assert!(run.status == 1 && run.to_string().contains("E0107"), "{run}");
    assert!(start.elapsed() < LONGEST);
}
