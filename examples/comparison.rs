//! Losses compared: which are the same, which is stronger, and where two differ.
//!
//! ```text
//! cargo run -p ponens --example comparison
//! ```

use ponens::Loss;
use ponens::compiler::relate::Order;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names = ["lattice.ORPO", "lattice.cCPO", "lattice.CPO", "lattice.CE", "lattice.unCPO"];
    let losses: Vec<Loss> = names.iter().map(|n| Loss::named(n)).collect::<Result<_, _>>()?;
    for a in &losses {
        for b in &losses {
            let order = a.compare(b)?.order().map_or("no order".to_owned(), |o| o.to_string());
            print!("{order:13}");
        }
        println!(" {}", a.name());
    }

    // The same loss from its logic and from its formula: equal, with a proof that was checked.
    let same = Loss::named("lattice.CPO_ref")?.compare(&Loss::named("dpo")?)?;
    println!(
        "\nlattice.CPO_ref and dpo: {}",
        same.order().map_or(String::new(), |o| o.to_string())
    );
    println!("the same value at beta 1 and 0.1: {:?}", same.value.verdict());

    // Two that differ: a point each way.
    let other = Loss::named("lattice.ORPO")?.compare(&Loss::named("lattice.CE")?)?;
    if let Some(witnesses) = other.relation.as_ref().ok().and_then(|r| r.witnesses.as_ref()) {
        for w in witnesses {
            let point: Vec<String> =
                w.point.iter().map(|(atom, x)| format!("{} = {x}", atom.name)).collect();
            println!("at {}: {:.4} and {:.4}", point.join(", "), w.rho_first, w.rho_second);
        }
    }
    let expected = same.order() == Some(Order::Equal) && other.order() == Some(Order::Incomparable);
    if expected { Ok(()) } else { Err("the order is another than it was".into()) }
}
