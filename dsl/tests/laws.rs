//! Laws: printing and parsing undo each other, and nothing makes the parser panic.

use ponens_dsl::ast::{Expr, File, Spans};
use ponens_dsl::print;
use ponens_dsl::testing::{any_expr, any_file};
use ponens_dsl::{Diagnostic, SourceMap, parse, parse_expr};
use proptest::prelude::*;

fn read(text: &str) -> (File, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let file = sources.add("test.loss", text);
    let (mut tree, diagnostics) = parse(&sources, file);
    tree.strip_spans();
    (tree, diagnostics)
}

fn read_expr(text: &str) -> Result<Expr, Vec<Diagnostic>> {
    let mut sources = SourceMap::default();
    let file = sources.add("<expr>", text);
    parse_expr(&sources, file).map(|mut e| {
        e.strip_spans();
        e
    })
}

/// Every diagnostic has a known code, a place inside the text on character boundaries, and words.
fn well_formed(text: &str, diagnostics: &[Diagnostic]) {
    for d in diagnostics {
        assert!(ponens_dsl::codes::headline(d.code).is_some(), "{d:?}");
        assert!(!d.message.is_empty() && !d.labels.is_empty(), "{d:?}");
        for label in &d.labels {
            assert!(
                text.get(label.span.start as usize..label.span.end as usize).is_some(),
                "{d:?}"
            );
        }
    }
}

/// What holds for any text at all.
fn holds(text: &str) {
    let (tree, diagnostics) = read(text);
    well_formed(text, &diagnostics);
    let printed = print::file(&tree);
    if diagnostics.is_empty() {
        let (again, refused) = read(&printed);
        assert!(refused.is_empty(), "{text}\n--\n{printed}\n{refused:#?}");
        assert_eq!(again, tree, "{text}\n--\n{printed}");
        assert_eq!(print::file(&again), printed);
    }
    match read_expr(text) {
        Ok(e) => assert_eq!(read_expr(&print::expr(&e)).as_ref(), Ok(&e)),
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            well_formed(text, &diagnostics);
        }
    }
}

const EXAMPLES: &str = include_str!("inputs/language.loss");

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_expression_survives_printing(e in any_expr(6)) {
        let text = print::expr(&e);
        prop_assert_eq!(read_expr(&text), Ok(e), "{}", text);
    }

    #[test]
    fn a_file_survives_printing(tree in any_file(4)) {
        let text = print::file(&tree);
        let (again, diagnostics) = read(&text);
        prop_assert!(diagnostics.is_empty(), "{}\n{:#?}", text, diagnostics);
        prop_assert_eq!(&again, &tree, "{}", text);
        prop_assert_eq!(print::file(&again), text);
    }

    #[test]
    fn lines_hold_their_width_where_they_can(tree in any_file(4)) {
        for line in print::file(&tree).lines() {
            prop_assert_eq!(line.trim_end(), line);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        holds(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        holds(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_tokens_are_read_or_refused(words in proptest::collection::vec(proptest::sample::select(vec![
        "loss", "fn", "data", "model", "column", "let", "prefer", "given", "tie", "minimize", "if",
        "else", "with", "in", "import", "edition", "true", "xor", "rho", "pi", "sum", "max", "inf",
        "x", "w", "a.b", "1", "2026", ".5", "\"p\"", "(", ")", "[", "]", "{", "}", ",", ";", "=",
        "<", ">", "->", "<->", "+", "-", "*", "/", "^", "!", "&", "|", "==", "&&", "@", "\n", "\n",
        "// c\n", "/// d\n",
    ]), 0..60)) {
        holds(&words.join(" "));
    }

    #[test]
    fn a_mutated_text_is_read_or_refused(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, ".{0,3}"), 1..4)
    ) {
        let mut chars: Vec<char> = EXAMPLES.chars().collect();
        for (at, length, put) in cuts {
            let at = at.index(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, put.chars());
        }
        holds(&chars.into_iter().collect::<String>());
    }
}

#[test]
fn the_examples_have_a_canonical_form() {
    let (tree, diagnostics) = read(EXAMPLES);
    assert!(diagnostics.is_empty());
    let printed = print::file(&tree);
    holds(EXAMPLES);
    insta::assert_snapshot!("language", printed);
    assert_eq!(print::file(&read(&printed).0), printed);
}
