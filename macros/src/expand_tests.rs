//! What three losses become.

use crate::generate;
use std::str::FromStr;

fn expanded(name: &str) -> String {
    let input = proc_macro2::TokenStream::from_str(name).expect("tokens");
    let tokens = generate::catalogue(input).unwrap_or_else(|e| panic!("{name}: {e}"));
    prettyplease::unparse(&syn::parse2(tokens).expect("items"))
}

#[test]
fn dpo() {
    insta::assert_snapshot!(expanded("pub dpo"));
}

#[test]
fn orpo() {
    insta::assert_snapshot!(expanded("#[ponens(name = \"OddsRatio\")] orpo"));
}

/// No parameters but one, four atoms, ties.
#[test]
fn cpo_ref() {
    insta::assert_snapshot!(expanded("pub(crate) lattice.CPO_ref"));
}

#[test]
fn names_of_generated_types_are_kept_free() {
    let input = "loss core(x = 1 in >0..=2, y in -1..=1, z = 0 in -inf..3) {
        data pair(w > l) model pi = policy
        minimize (x + y + z) * nll(pi, w)
    }";
    let input = proc_macro2::TokenStream::from_str(input).expect("tokens");
    let tokens = generate::loss(input).unwrap_or_else(|e| panic!("{e}"));
    let text = prettyplease::unparse(&syn::parse2(tokens).expect("items"));
    assert!(text.contains("mod core_ {") && text.contains("pub struct CoreLoss {"), "{text}");
    // `y` has no default.
    assert!(!text.contains("default::Default for"), "{text}");
    for check in [
        "!x.is_finite() || x <= 0f64 || x > 2f64",
        "!y.is_finite() || !(-1f64..=1f64).contains(&y)",
        "!z.is_finite() || z >= 3f64",
    ] {
        assert!(text.contains(&format!("if {check} {{")), "{check} in {text}");
    }
}

/// A value below the example level has no place in the generated code: a diagnostic, whichever stage it is
/// that refuses it.
#[test]
fn data_that_the_rust_code_does_not_read_are_refused() {
    for text in [
        "loss ranks() { data ranked(y[K]) model pi = policy
            let s[i] = logp(pi, y[i])
            minimize sum(i < K - 1) (logsumexp(j >= i) s[j] - s[i]) }",
        "loss tokens() { data trajectory(y, reward) model pi = policy
            minimize mean(t) square(token_logp(pi, y)[t] - reward) }",
    ] {
        let input = proc_macro2::TokenStream::from_str(text).expect("tokens");
        let refused = generate::loss(input).expect_err("no code for this").to_string();
        assert!(refused.len() > 10, "{refused}");
    }
}

#[test]
fn options_add_items_and_nothing_else() {
    let plain = expanded("dpo");
    let small = expanded("#[ponens(libm)] dpo");
    assert!(small.contains("::libm::exp(self)") && small.contains("::libm::log1pf(self)"));
    for line in plain.lines() {
        assert!(small.contains(line), "{line}");
    }
    assert!(!plain.contains("libm") && !plain.contains("candle"));
}

fn included(input: &str) -> Result<String, Vec<String>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let input = proc_macro2::TokenStream::from_str(input).expect("tokens");
    match generate::include(input, root) {
        Ok(tokens) => Ok(tokens.to_string()),
        Err(e) => Err(e.into_iter().map(|e| e.to_string()).collect()),
    }
}

#[test]
fn errors_in_a_file_have_line_and_column() {
    let refused = included("\"tests/losses/broken.loss\"").expect_err("two slips");
    let [name, model] = refused.as_slice() else { panic!("{refused:?}") };
    let place = std::path::Path::new("tests").join("losses").join("broken.loss");
    assert!(name.starts_with("nothing here is called `betta` [E0101]"), "{name}");
    assert!(name.contains(&format!("\n{}:6:23: unknown name", place.display())), "{name}");
    assert!(name.ends_with("help: did you mean `beta`?"), "{name}");
    assert!(model.contains(&format!("\n{}:6:42: ", place.display())), "{model}");
    let one = |input: &str| included(input).expect_err(input).join("; ");
    assert!(one("\"tests/losses\"").contains("cannot be read"));
    assert!(one("\"tests/losses/hinged.loss\", hingd").contains("did you mean `hinged`?"));
    assert!(one("\"\"").contains("cannot be read"));
}

/// rustc is told of every file that was read.
#[test]
fn files_are_tracked_with_what_they_import() {
    let text = included("\"tests/losses/imports.loss\"").expect("it compiles");
    let tracked: Vec<&str> = text.match_indices("include_str").map(|(i, _)| &text[i..]).collect();
    assert_eq!(tracked.len(), 2, "{tracked:?}");
    for name in ["imports.loss", "hinged.loss"] {
        assert!(
            tracked.iter().any(|t| t.split(')').next().is_some_and(|t| t.contains(name))),
            "{name}"
        );
    }
}
