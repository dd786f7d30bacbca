//! Counts the landscape for two, three and four atoms, with the time and the peak memory, and
//! checks each count against a second one.
//!
//! Run it in a release build:
//!
//! ```text
//! cargo run --release -p ponens-compiler --example landscape_counts
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use ponens_compiler::landscape::{Filter, Query, count, counts, stream};

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "atoms     structures       nonempty   distinct rho     monotone      in both   seconds"
    );
    for atoms in 2..=4 {
        let (found, seconds) = timed(|| counts(atoms));
        let found = found?;
        println!(
            "{:>5} {:>14} {:>14} {:>14} {:>12} {:>12} {:>9.3}",
            found.atoms,
            found.structures,
            found.nonempty,
            found.distinct_rho,
            found.monotone,
            found.monotone_in_both,
            seconds.as_secs_f64(),
        );
        expect(
            "distinct rho, by exact support",
            distinct_by_support(atoms as u64),
            found.distinct_rho,
        )?;
    }
    match peak_memory() {
        Some(kib) => println!("peak memory {} MiB", kib / 1024),
        None => println!("peak memory not available on this system"),
    }

    // Each monotone rho of n atoms has as many structures as there are functions to pad it with. The
    // number of monotone structures must be that of a search that never cancels a factor.
    for atoms in 2..=4 {
        let query = Query::new(atoms).with(Filter::Monotone).every_structure();
        let (padded, quick) = timed(|| count(&query, &|_, _| ()));
        let (met, slow) = timed(|| stream(&query).map(|found| found.count() as u64));
        let padded = padded?;
        expect("monotone structures, met one by one", met?, padded)?;
        println!(
            "{atoms} atoms: {padded} monotone structures, by padding in {:.3} s, one by one in {:.3} s",
            quick.as_secs_f64(),
            slow.as_secs_f64()
        );
    }
    Ok(())
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

fn expect(what: &str, found: u64, counted: u64) -> Result<(), String> {
    if found == counted {
        Ok(())
    } else {
        Err(format!("{what}: {found}, but the count says {counted}"))
    }
}

/// The number of coprime pairs from those that use all of the atoms: see the module documentation of
/// `ponens_compiler::landscape`.
fn distinct_by_support(atoms: u64) -> u64 {
    let binomial = |n: u64, k: u64| (0..k).fold(1, |c, i| c * (n - i) / (i + 1));
    let nonzero = |k: u64| (1_u64 << (1 << k)) - 1;
    let mut using: Vec<u64> = Vec::new();
    let mut distinct = 0;
    for n in 0..=atoms {
        let fewer = |weight: &dyn Fn(u64) -> u64| -> u64 {
            (0..n).zip(&using).map(|(k, c)| binomial(n, k) * c * weight(k)).sum()
        };
        let all = nonzero(n) * nonzero(n) - fewer(&|k| nonzero(n - k));
        distinct = all + fewer(&|_| 1);
        using.push(all);
    }
    distinct
}

/// The most memory that the process has held, in KiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
