//! No input panics, overflows the stack or takes long; what is too much is refused with a code.

use ponens_dsl::parse::{MAX_BYTES, MAX_DEPTH, MAX_DIAGNOSTICS};
use ponens_dsl::{Diagnostic, SourceMap, load, parse, parse_expr};
use std::path::Path;

fn codes(text: &str) -> Vec<&'static str> {
    let mut sources = SourceMap::default();
    let file = sources.add("test.loss", text);
    parse(&sources, file).1.iter().map(|d| d.code).collect()
}

fn expr(text: &str) -> Result<(), Vec<Diagnostic>> {
    let mut sources = SourceMap::default();
    let file = sources.add("<expr>", text);
    parse_expr(&sources, file).map(|_| ())
}

/// `n` levels of each way to nest.
fn nested(n: usize) -> Vec<(&'static str, String)> {
    let wrap = |open: &str, close: &str| format!("{}x{}", open.repeat(n), close.repeat(n));
    vec![
        ("brackets", wrap("(", ")")),
        ("calls", wrap("f(", ")")),
        ("reducer calls", wrap("sum(", ")")),
        ("reducer bounds", format!("{}x{}", "sum(i < ".repeat(n), ") y".repeat(n))),
        ("indices", wrap("x[", "]")),
        ("minus", wrap("-", "")),
        ("not", wrap("!", "")),
        ("sums", wrap("x + ", "")),
        ("right sums", wrap("x + (", ")")),
        ("powers", wrap("x ^ ", "")),
        ("powers of minus", wrap("x ^ -", "")),
        ("implications", wrap("x -> ", "")),
        ("chained indices", wrap("", "[i]")),
        ("reductions", wrap("sum(i) ", "")),
        ("choices", wrap("if c { y } else { ", "}")),
        ("else if", format!("{}if c {{ x }} else {{ y }}", "if c { x } else ".repeat(n))),
        ("conditions", wrap("if ", " { y } else { y }")),
    ]
}

#[test]
fn nesting_within_the_limit_is_read() {
    for (what, text) in nested(MAX_DEPTH / 2 - 1) {
        expr(&text).unwrap_or_else(|d| panic!("{what}: {d:#?}"));
    }
}

#[test]
fn nesting_beyond_the_limit_is_refused() {
    for n in [MAX_DEPTH + 1, 5_000] {
        for (what, text) in nested(n) {
            let found = expr(&text).expect_err(what);
            assert_eq!(found.len(), 1, "{what}: {found:#?}");
            assert_eq!(found[0].code, "E0004", "{what}");
        }
    }
}

#[test]
fn broken_nesting_takes_linear_time() {
    for (_, text) in nested(MAX_DEPTH / 2 - 1) {
        let broken = text.replacen('x', "x ) x", 1);
        assert!(expr(&broken).is_err());
        let broken = text.replacen('x', "x x", 1);
        assert!(expr(&broken).is_err());
    }
}

#[test]
fn long_texts_are_refused_or_read() {
    assert_eq!(codes(&" ".repeat(MAX_BYTES + 1)), ["E0003"]);
    assert_eq!(codes(&" ".repeat(MAX_BYTES)), [] as [&str; 0]);
    assert_eq!(codes(&"@ ".repeat(MAX_BYTES / 2)), ["E0001"]);
    assert_eq!(codes(&"loss\n".repeat(MAX_BYTES / 5)).len(), MAX_DIAGNOSTICS);
    assert_eq!(
        codes(&format!("loss x() {{ {}", "minimize @ ".repeat(50_000))).len(),
        MAX_DIAGNOSTICS
    );
    assert_eq!(
        codes(&format!("loss x() {{ {}", "\nfoo = 1".repeat(50_000))).len(),
        MAX_DIAGNOSTICS
    );
    let ones = "let x = 1\n".repeat(20_000);
    assert_eq!(codes(&format!("loss x() {{ {ones} }}")), [] as [&str; 0]);
    let comments = "// c\n".repeat(50_000);
    assert_eq!(codes(&format!("loss x() {{ minimize x + {comments} y }}")), [] as [&str; 0]);
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for text in ["1e999", "1e-999", &"9".repeat(400)] {
        assert_eq!(expr(text).expect_err(text)[0].code, "E0006", "{text}");
    }
    for text in ["0e999", "0.0", "1e308", "5e-324"] {
        expr(text).unwrap_or_else(|d| panic!("{text}: {d:#?}"));
    }
}

#[test]
fn loading_states_what_is_wrong() {
    let dir = std::env::temp_dir().join(format!("ponens-dsl-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary folder");
    let mut sources = SourceMap::default();
    let mut load_bytes = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        load(&mut sources, &path).map(|file| sources.get(file).text.clone())
    };
    assert_eq!(load_bytes("good.loss", "// π\n".as_bytes()).as_deref(), Ok("// π\n"));
    let latin = load_bytes("latin.loss", b"// caf\xe9\n").expect_err("not UTF-8");
    assert_eq!(latin.code, "E0002");
    assert!(latin.notes[0].contains("offset 6") && latin.notes[0].contains("0xE9"), "{latin:?}");
    let cut = load_bytes("cut.loss", b"\xce").expect_err("not UTF-8");
    assert!(cut.notes[0].contains("offset 0"), "{cut:?}");
    let long = load_bytes("long.loss", &vec![b' '; MAX_BYTES + 1]).expect_err("too long");
    assert_eq!(long.code, "E0003");
    assert!(load_bytes("fits.loss", &vec![b' '; MAX_BYTES]).is_ok());
    let missing = load(&mut sources, &dir.join("missing.loss")).expect_err("missing");
    assert_eq!((missing.code, missing.help.is_some()), ("E0003", true));
    assert_eq!(load(&mut sources, &dir).expect_err("a folder").code, "E0003");
    if Path::new("/dev/zero").exists() {
        assert_eq!(load(&mut sources, Path::new("/dev/zero")).expect_err("endless").code, "E0003");
    }
    std::fs::remove_dir_all(&dir).expect("the folder is removed");
}
