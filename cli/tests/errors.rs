//! The error index: every code has a page, and what the pages show is what happens.

mod common;

use common::Place;
use ponens::dsl::codes;
use ponens::errors;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A fenced block: what stands behind the fence, and the lines inside.
struct Block<'a> {
    info: &'a str,
    text: String,
}

/// The sections of a page by title.
fn sections(page: &str) -> Vec<(&str, Vec<Block<'_>>)> {
    let mut sections: Vec<(&str, Vec<Block<'_>>)> = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some(Block { info, text: String::new() }),
            (Some(_), Some(_)) => {
                let block = open.take().expect("an open block");
                sections.last_mut().expect("a section").1.push(block);
            }
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    sections.push((title, Vec::new()));
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    sections
}

/// Writes the files of a section, runs its commands; the codes that appear and the last status.
fn run(blocks: &[Block<'_>]) -> (BTreeSet<String>, i32, String) {
    let place = Place::new();
    let (mut codes, mut status, mut output) = (BTreeSet::new(), 0, String::new());
    let binary = Path::new(env!("CARGO_BIN_EXE_ponens"));
    let folder = binary.parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    for block in blocks {
        match block.info.split_whitespace().collect::<Vec<_>>()[..] {
            ["loss" | "json" | "python", name] => {
                place.write(name, &block.text);
            }
            ["console"] => {
                for line in block.text.lines() {
                    let command = line.strip_prefix("$ ").expect("a command");
                    let json = if command.starts_with("ponens ") { " --format json" } else { "" };
                    let out = Command::new("sh")
                        .args(["-c", &format!("{command}{json}")])
                        .current_dir(place.path())
                        .env("PATH", &path)
                        .output()
                        .expect("a shell");
                    status = out.status.code().unwrap_or(-1);
                    output.push_str(&String::from_utf8_lossy(&out.stdout));
                    output.push_str(&String::from_utf8_lossy(&out.stderr));
                }
            }
            ["console", "no-run"] => {}
            _ => panic!("a block `{}`", block.info),
        }
    }
    for piece in output.split("\"code\":").skip(1) {
        codes.extend(
            piece.trim_start().strip_prefix('"').and_then(|p| p.get(..5)).map(str::to_owned),
        );
    }
    (codes, status, output)
}

#[test]
fn every_code_has_a_page() {
    let codes: Vec<&str> = codes::CODES.iter().map(|(c, _)| *c).collect();
    let pages: Vec<&str> = errors::PAGES.iter().map(|(c, _)| *c).collect();
    assert_eq!(
        pages, codes,
        "a file in cli/errors/ and a line in cli/src/errors.rs for every code"
    );
    for (code, headline) in codes::CODES {
        let page = errors::page(code).expect("a page");
        assert!(page.starts_with(&format!("# {code}: {headline}\n")), "{code}: {page}");
    }
}

/// Every code that a source names is in the index.
#[test]
fn every_code_of_the_sources_is_known() {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a text");
                // What stands between two quotation marks, both on a line.
                found.extend(text.lines().flat_map(|l| l.split('"')).filter_map(|word| {
                    let digits = word.strip_prefix(['E', 'W'])?;
                    let all = digits.len() == 4 && digits.chars().all(|c| c.is_ascii_digit());
                    all.then(|| word.to_owned())
                }));
            }
        }
    }
    let mut found = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["dsl/src", "compiler/src", "losses/src", "runtime/src", "macros/src", "cli/src"]
    {
        walk(&root.join(folder), &mut found);
    }
    let known: BTreeSet<String> = codes::CODES.iter().map(|(c, _)| (*c).to_owned()).collect();
    assert_eq!(found, known);
}

/// Codes whose condition no short text brings about.
const WITHOUT_EXAMPLE: &[&str] =
    &["E0602", "E0603", "E0604", "E0704", "E0705", "E0805", "E0901", "W0601"];

#[test]
fn examples_show_their_code_and_remedies_none() {
    for (code, page) in errors::PAGES {
        let sections = sections(page);
        let titles: Vec<&str> = sections.iter().map(|(t, _)| *t).collect();
        let wanted: &[&str] =
            if WITHOUT_EXAMPLE.contains(code) { &["No example"] } else { &["Example", "Fix"] };
        assert_eq!(titles, wanted, "{code}");
        for (title, blocks) in &sections {
            let (codes, status, output) = run(blocks);
            if *title == "Example" {
                assert_eq!(codes, BTreeSet::from([(*code).to_owned()]), "{code}: {output}");
                assert_eq!(status, i32::from(code.starts_with('E')), "{code}: {output}");
            } else {
                assert!(codes.is_empty() && status == 0, "{code}, {title}: {codes:?} {output}");
            }
        }
    }
}

#[test]
fn the_command_shows_the_page() {
    let shown = common::ponens(&["explain", "E0301"]).done().stdout;
    assert!(shown.starts_with("E0301: a parameter is outside its range\n"), "{shown}");
    assert!(shown.contains("\nFix\n"), "{shown}");
    let json = common::ponens(&["explain", "E0301", "--format", "json"]).done().json();
    assert_eq!(json["code"], "E0301");
    assert!(json["page"].as_str().is_some_and(|p| p.starts_with("# E0301")), "{json}");
    assert_eq!(common::ponens(&["explain", "E9999"]).status, 1);
}

/// A code that stands in the source but not in the index would send its reader nowhere.
#[test]
fn every_code_of_the_source_is_in_the_index() {
    fn visit(folder: &Path, unknown: &mut BTreeSet<String>, seen: &mut usize) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                visit(&path, unknown, seen);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                for quoted in text.split('"') {
                    let is_code = quoted.len() == 5
                        && quoted.starts_with(['E', 'W'])
                        && quoted[1..].bytes().all(|b| b.is_ascii_digit());
                    if is_code {
                        *seen += 1;
                        if codes::headline(quoted).is_none() {
                            unknown.insert(format!("{quoted} in {}", path.display()));
                        }
                    }
                }
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let (mut unknown, mut seen) = (BTreeSet::new(), 0);
    for of in ["dsl", "compiler", "losses", "runtime", "macros", "cli"] {
        visit(&root.join(of).join("src"), &mut unknown, &mut seen);
    }
    assert!(seen > 100, "{seen}");
    assert!(unknown.is_empty(), "{unknown:?}");
}
