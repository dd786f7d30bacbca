//! The language's page: every fenced `loss` example on it compiles without a finding, in the order of the
//! page, and the examples of the repository that were written from the page alone do as well.

#[path = "language_page/features.rs"]
mod features;

use ponens::compiler::hir::Program;
use ponens::compiler::session::{self, Options};
use ponens::losses::Catalogue;
use std::path::Path;

/// The texts between a line "```loss" and the next line "```".
fn fences(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while lines.any(|l| l == "```loss") {
        found.push(lines.by_ref().take_while(|l| *l != "```").map(|l| format!("{l}\n")).collect());
    }
    found
}

fn compiles(name: &str, text: &str) {
    let mut program = Program::new();
    let (file, found) = program.add_text(name, text);
    assert!(found.is_empty(), "{name}: {found:?}");
    let losses: Vec<String> = program.losses_of(file).iter().map(|n| n.text.clone()).collect();
    assert!(!losses.is_empty(), "{name} defines no loss");
    for loss in losses {
        let compiled = session::compile(&mut program, &loss, &Catalogue, &Options::default());
        let compiled = compiled.unwrap_or_else(|e| panic!("{name}: {loss}: {e:?}"));
        assert!(compiled.warnings.is_empty(), "{name}: {:?}", compiled.warnings);
    }
}

#[test]
fn every_example_of_the_page_compiles() {
    let page = include_str!("../../docs/LANGUAGE.md");
    let examples = fences(page);
    assert!(examples.len() >= 8, "{} examples", examples.len());
    for (i, text) in examples.iter().enumerate() {
        compiles(&format!("example {}", i + 1), text);
    }
}

#[test]
fn losses_written_from_the_page_compile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "loss") {
            compiles(&path.display().to_string(), &std::fs::read_to_string(&path).expect("a text"));
            count += 1;
        }
    }
    assert!(count >= 6, "{count}");
}
