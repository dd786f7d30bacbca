//! Times the symbolic side on the whole catalogue: one part a process, so that its peak memory can be read
//! from outside. `docs/logic-timings.py` runs all parts beside the same work done with SymPy.
//!
//! `logic_timings losses | decompile | compare | random ATOMS PAIRS | landscape N` prints one JSON document.

use ponens_compiler::decompile;
use ponens_compiler::explain;
use ponens_compiler::hir::{Loss, Program};
use ponens_compiler::landscape;
use ponens_compiler::logic::{Atom, Structure, Table};
use ponens_compiler::relate;
use ponens_losses::Catalogue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

fn catalogue() -> Vec<(String, Loss)> {
    let resolve = |name: String| {
        let (loss, _) = Program::new().resolve(&name, &Catalogue);
        loss.map(|loss| (name, loss))
    };
    Catalogue.entries().filter_map(|e| resolve(e.name.to_string())).collect()
}

fn structures(losses: &[(String, Loss)]) -> Vec<(String, Structure)> {
    let found = losses.iter().map(|(n, l)| (n.clone(), explain::structure(l)));
    found.filter_map(|(n, s)| Some((n, s.ok()?.structure))).collect()
}

/// What SymPy is given: rho as text, and the rows.
fn losses() -> Value {
    let all = catalogue();
    let entry = |(name, loss): &(String, Loss)| {
        let (rho, found) = explain::decompiled(loss).ok()?;
        let s = &found.structure;
        let atoms: Vec<&str> = s.atoms.iter().map(|a| a.name.as_str()).collect();
        // The sum and the mean of one response have one name and are different atoms.
        let keys: Vec<String> = s.atoms.iter().map(|a| format!("{:?}", a.kind)).collect();
        Some(json!({
            "name": name,
            "rho": rho.to_string(),
            "atoms": atoms,
            "keys": keys,
            "wins": s.wins.rows().collect::<Vec<_>>(),
            "loses": s.loses.rows().collect::<Vec<_>>(),
        }))
    };
    all.iter().filter_map(entry).collect()
}

fn decompile_all() -> Value {
    let all = catalogue();
    let start = Instant::now();
    let found: Vec<_> = all.iter().map(|(_, l)| explain::decompiled(l)).collect();
    let decompiled = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let logic: Vec<_> = found.iter().flatten().collect();
    let accepted = logic.iter().filter(|(rho, d)| decompile::check(rho, d).is_ok()).count();
    json!({
        "losses": all.len(),
        "logic": logic.len(),
        "accepted": accepted,
        "seconds": decompiled,
        "check_seconds": start.elapsed().as_secs_f64(),
    })
}

fn compare_all() -> Value {
    let all = structures(&catalogue());
    let (mut orders, mut compared) = (BTreeMap::<String, u64>::new(), Vec::new());
    let start = Instant::now();
    for (i, (_, a)) in all.iter().enumerate() {
        for (_, b) in &all[i + 1..] {
            let relation = relate::compare(a, b);
            *orders.entry(relation.order.to_string()).or_default() += 1;
            compared.push((a, b, relation));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let accepted = compared.iter().filter(|(a, b, r)| relate::check(a, b, r).is_ok()).count();
    json!({
        "losses": all.len(),
        "pairs": compared.len(),
        "orders": orders,
        "accepted": accepted,
        "seconds": seconds,
        "check_seconds": start.elapsed().as_secs_f64(),
    })
}

/// How random structures compare: half of the pairs are built so that one entails the other but for one
/// row, where dominance is hardest to tell.
fn random(atoms: usize, pairs: u64) -> Value {
    let names: Vec<Atom> = (0..atoms).map(|i| Atom::response("pi", &format!("y{i}"))).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut orders, mut accepted) = (BTreeMap::<String, u64>::new(), 0u64);
    let (mut seconds, mut longest, mut judging) = (0.0f64, 0.0f64, 0.0f64);
    for i in 0..pairs {
        let rows = [next(), next(), next(), next()].map(Table);
        let [w, l, more, fewer] = rows;
        let row = Table::of_rows([(next() % (1 << atoms)) as usize], atoms);
        let (v, m) = if i % 2 == 0 { (more, fewer) } else { ((w | more) ^ row, l & fewer) };
        let of = |w, l| Structure::from_rows(names.clone(), w, l);
        let (Ok(a), Ok(b)) = (of(w, l), of(v, m)) else { continue };
        let start = Instant::now();
        let relation = relate::compare(&a, &b);
        let taken = start.elapsed().as_secs_f64();
        (seconds, longest) = (seconds + taken, longest.max(taken));
        *orders.entry(relation.order.to_string()).or_default() += 1;
        let start = Instant::now();
        accepted += u64::from(relate::check(&a, &b, &relation).is_ok());
        judging += start.elapsed().as_secs_f64();
    }
    json!({
        "atoms": atoms,
        "pairs": pairs,
        "orders": orders,
        "accepted": accepted,
        "seconds": seconds,
        "longest_seconds": longest,
        "check_seconds": judging,
    })
}

fn landscape_of(atoms: usize) -> Value {
    let start = Instant::now();
    match landscape::counts(atoms) {
        Ok(c) => json!({
            "atoms": c.atoms,
            "structures": c.structures,
            "nonempty": c.nonempty,
            "distinct_rho": c.distinct_rho,
            "monotone": c.monotone,
            "seconds": start.elapsed().as_secs_f64(),
        }),
        Err(e) => json!({ "error": e.to_string() }),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let found = match words.as_slice() {
        ["losses"] => losses(),
        ["decompile"] => decompile_all(),
        ["compare"] => compare_all(),
        ["random", n, pairs] => match (n.parse(), pairs.parse()) {
            (Ok(n @ 1..=6), Ok(pairs)) => random(n, pairs),
            _ => json!({ "error": "random ATOMS PAIRS, up to six atoms" }),
        },
        ["landscape", n] => match n.parse() {
            Ok(n) => landscape_of(n),
            Err(_) => json!({ "error": "landscape 2, 3 or 4" }),
        },
        _ => json!({ "error": "losses | decompile | compare | random ATOMS PAIRS | landscape N" }),
    };
    println!("{found}");
}
