//! The catalogue holds what it says.

use ponens_compiler::hir::{Library, Program, verify};
use ponens_losses::Catalogue;

#[test]
fn every_file_defines_the_loss_that_it_is_named_after_without_a_finding() {
    let mut count = 0;
    for entry in Catalogue.entries() {
        let mut program = Program::new();
        let (file, found) = program.add_text(entry.path, entry.text);
        assert!(found.is_empty(), "{}: {found:?}", entry.path);
        let names: Vec<String> = program.losses_of(file).iter().map(|n| n.text.clone()).collect();
        assert_eq!(names, [entry.name.to_string()], "{}", entry.path);
        let (loss, found) = program.resolve(&names[0], &Catalogue);
        assert!(found.is_empty(), "{}: {found:?}", entry.path);
        let loss = loss.expect("no errors");
        assert_eq!(verify(&loss), Ok(()));
        assert!(!loss.title().is_empty() && loss.source().is_some(), "{}", entry.path);
        count += 1;
    }
    assert!(count > 30);
}

#[test]
fn losses_are_found_by_name_and_unknown_names_are_not() {
    assert!(Catalogue.find("dpo").is_some());
    assert!(Catalogue.find("dpo ").is_none());
    assert!(Catalogue.find("CPO").is_none());
    let names = Catalogue.names();
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(names.len(), unique.len());
}

/// Losses of groups, batches and tokens, where exact zeros come out of sums: a residue of the oracle's own
/// rounding is no finding.
#[test]
fn the_accuracy_of_coupled_losses_can_be_measured() {
    use ponens_compiler::accuracy::{self, Options};
    use ponens_compiler::mir::interval::Precision;
    for name in ["grpo", "kto"] {
        let compiled = ponens_losses::compile(name, &Default::default()).expect("a catalogue loss");
        let params = compiled.bind(&[]).expect("defaults");
        for seed in 0..1 {
            let options = Options { grid: 64, random: 16, seed };
            let found = accuracy::report(&compiled, &params, Precision::F32, &options, |_, _| ());
            let report = found.unwrap_or_else(|d| panic!("{name}, seed {seed}: {d:?}"));
            assert!(report.confirmed > 0, "{name}");
        }
    }
}
