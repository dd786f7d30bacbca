//! How long the rewriter takes for every loss of the catalogue, and what it does.
//!
//! `cargo run --release -p ponens-losses --example rewriter`
//!
//! A loss is compiled several times, and the fastest run counts: from the text to value, gradients and rho in
//! their stable forms. The last line says whether every loss stays below 50 ms and below every limit.

use ponens_compiler::session::Options;
use ponens_losses::{Catalogue, compile};
use std::time::Instant;

const RUNS: usize = 5;
const LIMIT_MS: f64 = 50.0;

fn main() {
    println!("{:<28} {:>8} {:>8} {:>8} {:>8}", "loss", "ms", "e-nodes", "rounds", "rules");
    let (mut slowest, mut total, mut limits) = (0.0_f64, 0.0, 0);
    for entry in Catalogue.entries() {
        let name = entry.name.to_string();
        let mut best = f64::INFINITY;
        let mut found = None;
        for _ in 0..RUNS {
            let start = Instant::now();
            found = compile(&name, &Options::default()).ok();
            best = best.min(start.elapsed().as_secs_f64() * 1e3);
        }
        let Some(loss) = found else {
            println!("{name:<28} does not compile");
            limits += 1;
            continue;
        };
        let both = [&loss.value, &loss.gradient];
        let nodes = both.iter().map(|o| o.stats.e_nodes).max().unwrap_or(0);
        let rounds = both.iter().map(|o| o.stats.iterations).max().unwrap_or(0);
        let rules: usize = both.iter().flat_map(|o| o.stats.applied.values()).sum();
        let met = both.iter().any(|o| !o.warnings.is_empty());
        limits += usize::from(met);
        let mark = if met { "  a limit was met" } else { "" };
        println!("{name:<28} {best:>8.2} {nodes:>8} {rounds:>8} {rules:>8}{mark}");
        slowest = slowest.max(best);
        total += best;
    }
    let verdict = if slowest < LIMIT_MS && limits == 0 { "met" } else { "not met" };
    println!("slowest {slowest:.1} ms, all {total:.0} ms, {limits} at a limit: {verdict}");
}
