//! What a user reads when a text is refused: the place, the reason, the remedy.

use ponens_dsl::diagnostic::{to_json, to_text};
use ponens_dsl::{Diagnostic, FileId, Label, SourceMap, Span, codes, parse, parse_expr};
use proptest::prelude::*;

/// The diagnostics of a text as a person sees them.
fn refused(text: &str) -> String {
    let mut sources = SourceMap::default();
    let file = sources.add("my.loss", text);
    let (_, diagnostics) = parse(&sources, file);
    assert!(diagnostics.iter().all(|d| codes::headline(d.code).is_some()));
    to_text(&diagnostics, &sources, false)
}

/// The diagnostics of a loss whose body is `clauses`.
fn in_body(clauses: &str) -> String {
    refused(&format!("loss mine(beta = 0.1) {{\n    data pair(w > l)\n{clauses}\n}}\n"))
}

fn expr_refused(text: &str) -> String {
    let mut sources = SourceMap::default();
    let file = sources.add("<rho>", text);
    to_text(&parse_expr(&sources, file).expect_err(text), &sources, false)
}

macro_rules! messages {
    ($($name:ident: $text:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), $text);
        })*
    };
}

messages! {
    misspelt_clause: in_body("    model pi = policy\n    minimise logistic(beta)");
    foreign_clause: in_body("    maximize beta");
    binding_without_let: in_body("    r = logp(pi, w)");
    application_without_brackets: in_body("    minimize log p");
    multiplication_left_out: in_body("    minimize 2 beta + (1)(2)");
    equality_sign: in_body("    let r == 1\n    prefer pi(w) == pi(l)");
    foreign_operators: in_body("    prefer pi(w) && !pi(l) || x\n    given pi(w) → pi(l)");
    spelled_operator: in_body("    prefer pi(w) and pi(l)\n    tie not pi(w)");
    assignment_in_expression: in_body("    minimize a = b");
    open_bracket: in_body("    let r = log(pi(w) * (1 - beta)\n    minimize r");
    wrong_bracket: in_body("    let r = f(x]\n    minimize s[1]) + 2");
    missing_brace: refused("loss a() {\n    data pair(w > l)\n    minimize 1\n\nloss b() {\n    minimize 2\n}\n");
    brace_too_many: in_body("    minimize if a { 1 }} else { 2 }");
    no_body: refused("loss a()\n\nloss b() data pair(w > l) minimize 1 }\n");
    no_parameter_list: refused("loss a { minimize 1 }\n");
    no_else: in_body("    minimize if good { 1 }\n    let x = if a { 1 } + 2");
    reserved_name: in_body("    let data = 1\n    minimize logistic(loss)\n    minimize 1 + given");
    dotted_name: in_body("    let a.b = 1");
    chained_comparison: in_body("    let x = 0 < beta < 1");
    not_an_index: in_body("    minimize sum(a + b) c");
    comma_left_out: refused("loss a = dpo with { link = hinge(1) beta = 2 }\n");
    clause_without_value: in_body("    minimize\n    let x =\n    prefer pi(w) ->");
    data_clause: in_body("    data pair w > l\n    data ranked(y[3])");
    model_clause: in_body("    model pi policy\n    model pi = policy aggregate mean");
    range_clause: in_body("    column weight in 0, 1\n    column margin in (0, infinity)");
    misspelt_item: refused("lss a() { minimize 1 }\ndef f(x) = x\nimport other;\n");
    editions: refused("edition 2031;\nloss a() { minimize 1 }\nedition 2026;\nimport \"x.loss\";\n");
    clause_outside: refused("minimize 1\n");
    foreign_text: in_body("    let β = 0.5\n    # comment\n    let café = “x”\n    let y\u{a0}= 1\n    /* c */ let z = $");
    open_quote: refused("import \"other.loss;\nloss a() { minimize 1 }\n");
    numbers: in_body("    let a = 1e999\n    let b = 1e-999\n    let c = 1.2.3 + 2x + 3.");
    too_deep: expr_refused(&format!("{}x", "-\n".repeat(201)));
    several_at_once: in_body("    model ref = = reference\n    let r = 1\n    prefer pi(w ->\n    minimize r *");
    long_line: expr_refused(&format!("{} + log p", vec!["alpha"; 100].join(" + ")));
    crlf_and_tabs: refused("loss a() {\r\n\tdata pair(w > l)\r\n\tminimize log p\r\n}\r\n");
}

#[test]
fn places_are_stated_in_json() {
    let mut sources = SourceMap::default();
    let file = sources.add("my.loss", "loss a() {\n    // é\n    minimize (1 + é\n");
    let (_, diagnostics) = parse(&sources, file);
    insta::assert_json_snapshot!("json", to_json(&diagnostics, &sources));
}

#[test]
fn findings_without_a_place_are_rendered() {
    let sources = SourceMap::default();
    let found =
        Diagnostic::warning("W0301", "a parameter is not used").note("why").help("what to do");
    let lost = Diagnostic::error("E0101", "lost").at(Span::new(FileId(7), 0, 1), "in no text");
    let both = [found, lost];
    insta::assert_snapshot!("placeless", to_text(&both, &sources, false));
    let json = to_json(&both, &sources);
    assert!(
        json[0]["file"].is_null() && json[0]["line"].is_null() && json[1]["end_line"].is_null()
    );
    assert_eq!(json[0]["severity"], "warning");
}

#[test]
fn labels_of_two_texts_are_rendered() {
    let mut sources = SourceMap::default();
    let (a, b) = (sources.add("a.loss", "one\ntwo\n"), sources.add("b.loss", "three\n"));
    let found = Diagnostic::error("E0102", "`x` is defined twice")
        .at(Span::new(b, 0, 5), "again here")
        .at(Span::new(a, 4, 7), "first here")
        .at(Span::new(a, 0, 3), "from here");
    insta::assert_snapshot!("two_texts", to_text(&[found], &sources, false));
}

#[test]
fn colours_are_optional_and_input_cannot_bring_any() {
    let mut sources = SourceMap::default();
    let file = sources.add("\u{1b}[31mx", "log \u{1b}[31m p");
    let refused = parse_expr(&sources, file).expect_err("an escape");
    assert!(!to_text(&refused, &sources, false).contains('\u{1b}'));
    assert!(to_text(&refused, &sources, true).contains('\u{1b}'));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_place_is_rendered(
        text in "[ab\u{e9}\u{2028}\r\n\t\u{0}\u{85}]{0,40}",
        places in proptest::collection::vec((0u32..60, 0u32..60), 0..4),
    ) {
        let mut sources = SourceMap::default();
        let file = sources.add("t.loss", text.clone());
        let mut found = Diagnostic::error("E0001", "message");
        for (start, end) in places {
            let span = Span { file, start, end };
            found.labels.push(Label { span, text: "label".into() });
        }
        let shown = to_text(std::slice::from_ref(&found), &sources, false);
        prop_assert!(shown.contains("message"));
        let json = to_json(&[found.clone()], &sources);
        if let Some(first) = found.labels.first() {
            let (line, column) = sources.line_column(file, first.span.start);
            prop_assert_eq!(&json[0]["line"], line);
            prop_assert_eq!(&json[0]["column"], column);
            let place = format!("t.loss:{line}:{column} ");
            prop_assert!(shown.contains(&place), "{} is not in\n{}", place, shown);
        }
    }
}
