//! Any text is read or refused, never worse; what is read survives printing.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run parse -s none -- -max_total_time=60 -dict=fuzz/parse.dict`

#![no_main]

use libfuzzer_sys::fuzz_target;
use ponens_dsl::ast::{File, Spans};
use ponens_dsl::diagnostic::{to_json, to_text};
use ponens_dsl::{Diagnostic, SourceMap, parse, parse_expr, print};

fn read(text: &str) -> (File, Vec<Diagnostic>, SourceMap) {
    let mut sources = SourceMap::default();
    let id = sources.add("fuzz.loss", text);
    let (mut tree, diagnostics) = parse(&sources, id);
    tree.strip_spans();
    (tree, diagnostics, sources)
}

/// Every diagnostic has a known code and places inside the text, and can be shown.
fn shown(diagnostics: &[Diagnostic], sources: &SourceMap) {
    for d in diagnostics {
        assert!(ponens_dsl::codes::headline(d.code).is_some(), "{d:?}");
        assert!(!d.labels.is_empty(), "{d:?}");
        for label in &d.labels {
            sources.slice(label.span);
        }
    }
    to_text(diagnostics, sources, true);
    to_json(diagnostics, sources);
}

fuzz_target!(|text: &str| {
    let (tree, diagnostics, sources) = read(text);
    shown(&diagnostics, &sources);
    let printed = print::file(&tree);
    if diagnostics.is_empty() {
        let (again, refused, _) = read(&printed);
        assert!(refused.is_empty(), "{printed}\n{refused:#?}");
        assert_eq!(again, tree, "{printed}");
        assert_eq!(print::file(&again), printed);
    }

    let mut sources = SourceMap::default();
    let id = sources.add("<expr>", text);
    match parse_expr(&sources, id) {
        Ok(mut expr) => {
            expr.strip_spans();
            let printed = print::expr(&expr);
            let id = sources.add("<printed>", printed.as_str());
            let mut again = parse_expr(&sources, id).expect("what was printed is read");
            again.strip_spans();
            assert_eq!(again, expr, "{printed}");
        }
        Err(refused) => {
            assert!(!refused.is_empty());
            shown(&refused, &sources);
        }
    }
});
