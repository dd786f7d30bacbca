//! A loss that is read from a file while the program runs: its logic, its values, and what becomes of a
//! text with a mistake.
//!
//! ```text
//! cargo run -p ponens --example from_file
//! ```

use ponens::{Device, Loss};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cautious.loss");
    let loss = Loss::open(file)?.with("beta", 1.0)?;
    println!("{} means\n{}\n", loss.name(), loss.decompile()?);

    let kernel = loss.kernel(Device::Cpu)?;
    println!("it reads {}", kernel.columns().join(", "));
    // Three pairs; by column, in that order: mean log-probabilities a token.
    let batch = kernel.evaluate(&[
        &[-0.9, -1.2, -0.5],
        &[-1.1, -1.0, -2.0],
        &[-1.0, -1.0, -1.0],
        &[-1.0, -1.0, -1.0],
    ])?;
    for (e, value) in batch.loss.iter().enumerate() {
        let slope = batch.gradient("mean_logp(pi,w)").map_or(f64::NAN, |g| g[e]);
        println!("pair {e}: loss {value:.6}, d/mean_logp(pi,w) {slope:.6}");
    }
    println!("mean {:.6}\n", batch.mean());

    // Mistakes are values: the program goes on.
    let text = std::fs::read_to_string(file)?.replace("pi(l) & ref(w) ->", "pi(l) & raf(w) ->");
    match Loss::parse(&text) {
        Ok(_) => Err("a misspelt model was accepted".into()),
        Err(refusal) => {
            println!("{}", refusal.text());
            Ok(())
        }
    }
}
