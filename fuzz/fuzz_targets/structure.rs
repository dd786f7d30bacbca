//! A structure survives compiling and decompiling, and compares as it must.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run structure -s none -- -max_total_time=60`

#![no_main]

use libfuzzer_sys::fuzz_target;
use ponens_compiler::decompile::{check, decompile_over, quotient};
use ponens_compiler::logic::{Atom, Structure, Table};
use ponens_compiler::relate::compare;

const ATOMS: [(&str, &str); 4] = [("pi", "w"), ("pi", "l"), ("ref", "w"), ("ref", "l")];

fn structure(n: usize, wins: u16, loses: u16) -> Structure {
    let atoms = ATOMS[..n].iter().map(|(m, y)| Atom::response(m, y)).collect();
    let rows = |bits: u16| Table::of_rows((0..1 << n).filter(|r| bits >> r & 1 == 1), n);
    Structure::from_rows(atoms, rows(wins), rows(loses)).expect("four different atoms")
}

fuzz_target!(|input: (u8, u16, u16, u16, u16)| {
    let (n, w1, l1, w2, l2) = input;
    let n = 1 + usize::from(n % 4);
    let (a, b) = (structure(n, w1, l1), structure(n, w2, l2));
    if a.validate().is_err() || b.validate().is_err() {
        return;
    }
    let canonical = a.canonical();
    let rho = quotient(&a);
    match decompile_over(&rho, &a.atoms) {
        Ok(found) => {
            assert!(found.structure.same_rho(&a), "{a:?}\n{found:?}");
            assert!(check(&rho, &found).is_ok(), "{a:?}\n{found:?}");
        }
        // Only a rho that depends on nothing has no structure.
        Err(_) => assert!(
            canonical.atoms.is_empty() || canonical.n() == 0 || a.same_rho(&a.negated()),
            "{a:?}"
        ),
    }
    let (there, back) = (compare(&a, &b), compare(&b, &a));
    assert_eq!(there.rho_equal, back.rho_equal, "{a:?} {b:?}");
    assert_eq!(there.structure_equal, back.structure_equal, "{a:?} {b:?}");
});
