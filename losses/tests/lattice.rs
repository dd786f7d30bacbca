//! The lattice's files are what the structures of the 4-cube print.
//!
//! With `UPDATE_LATTICE=1` in the environment the files are written instead of compared.

use ponens_compiler::logic::{Atom, AtomKind, Structure, Table};
use ponens_losses::Catalogue;
use std::path::Path;

/// Names by winning polynomial (rows) and losing polynomial (columns).
const NAMES: [[&str; 4]; 4] = [
    ["ORPO", "cUNL", "l3", "CEUnl"],
    ["cCPO", "CPO", "CE", "sCE"],
    ["cfUNL", "fUNL", "qfUNL", "l20"],
    ["unCPO", "l14", "bCPO", "l5"],
];

fn atom(model: &str, response: &str) -> Atom {
    let (model, response) = (model.to_owned(), response.to_owned());
    Atom {
        name: format!("{model}({response})"),
        kind: AtomKind::Response { model, response, mean: false },
    }
}

fn structure(row: usize, column: usize) -> Structure {
    let (w, l) = (Table::var(0, 2), Table::var(1, 2));
    let not = |t: Table| t ^ Table::full(2);
    let wins = [w & not(l), w, not(l), not(l & not(w))][row];
    let loses = [l & not(w), l, not(w), not(w & not(l))][column];
    Structure::from_rows(vec![atom("pi", "w"), atom("pi", "l")], wins, loses).expect("two atoms")
}

fn text(name: &str, structure: &Structure, reference: bool) -> String {
    let names: Vec<&str> = structure.atoms.iter().map(|a| a.name.as_str()).collect();
    let clauses = structure.core().shown(&names).replace('\n', "\n    ");
    let clauses = clauses.replace("given ", "given  ").replace("tie ", "tie    ");
    let what = if reference { "relative to a reference" } else { "a node of the two-atom lattice" };
    let model = if reference { "\n    model ref = reference" } else { "" };
    format!(
        "/// {name}: {what} (Richardson et al. 2024, arXiv 2412.17696).\n\
         loss lattice.{name}(beta = 1 in (0, inf)) {{\n    \
         data  pair(w > l)\n    model pi = policy{model}\n\n    \
         {clauses}\n    minimize logistic(beta * rho)\n}}\n"
    )
}

#[test]
fn the_files_are_the_structures() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue/lattice");
    let mut count = 0;
    for (row, names) in NAMES.iter().enumerate() {
        for (column, name) in names.iter().enumerate() {
            let plain = structure(row, column);
            let reference = plain.reference_version().expect("four atoms");
            let texts = [
                ((*name).to_owned(), text(name, &plain, false)),
                (format!("{name}_ref"), text(&format!("{name}_ref"), &reference, true)),
            ];
            for (name, text) in texts {
                if std::env::var_os("UPDATE_LATTICE").is_some() {
                    std::fs::create_dir_all(&directory).expect("writable");
                    std::fs::write(directory.join(format!("{name}.loss")), &text)
                        .expect("writable");
                } else {
                    let entry =
                        Catalogue.get(&format!("lattice.{name}")).expect("in the catalogue");
                    // The check value below it comes from elsewhere.
                    let written = entry.text.split("// check ").next();
                    assert_eq!(written, Some(text.as_str()));
                }
                count += 1;
            }
        }
    }
    assert_eq!(count, 32);
    assert_eq!(Catalogue.entries().filter(|e| e.family == "lattice").count(), 32);
}
