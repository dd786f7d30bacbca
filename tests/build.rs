//! Generates candle code for some losses of the catalogue, so that the suite compiles and runs what
//! `ponens emit --target candle` prints.

use ponens_compiler::codegen::{candle, fingerprint, rust::snake_case};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, error::Error, fs};

/// Means, odds, squares, batch statistics, sorting, labels, weights without a gradient, data columns.
const LOSSES: &[&str] = &[
    "dpo",
    "orpo",
    "ipo",
    "exo_pair",
    "discopop",
    "wpo",
    "kto",
    "aot",
    "sft",
    "odpo",
    "lattice.l20",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    let mut modules = String::new();
    let mut table = String::from(
        "/// Name, and value and gradients from parameters and columns.\npub const ALL: &[(&str, Run)] = &[\n",
    );
    for name in LOSSES {
        let compiled = ponens_losses::compile(name, &Default::default())
            .map_err(|d| format!("{name}: {d:?}"))?;
        let graph = compiled.graph();
        let header = candle::Header {
            title: compiled.loss.title(),
            hash: fingerprint(&compiled.written.to_string()),
        };
        let code = candle::emit(graph, &header)?;
        let module = snake_case(name);
        let path = Path::new(&out).join(format!("{module}.rs"));
        fs::write(&path, &code.text)?;
        writeln!(modules, "#[path = {:?}]\npub mod {module};", path.to_string_lossy())?;
        let fields = |names: &[String], value: &str| {
            let one =
                |(i, n): (usize, &String)| format!("{n}: {}", value.replace('#', &i.to_string()));
            names.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
        };
        let roots: Vec<String> = (graph.inputs.iter().zip(&code.columns))
            .filter(|(c, _)| graph.root(&format!("d/{}", c.name)).is_some())
            .map(|(_, field)| format!("e.d_{field}"))
            .collect();
        writeln!(
            table,
            "    ({name:?}, |p, c| {{
        let params = {module}::Params {{ {} }};
        let columns = {module}::Columns {{ {} }};
        let e = {module}::evaluate(&params, &columns)?;
        Ok(({module}::loss(&params, &columns)?, vec![e.loss, {}]))
    }}),",
            fields(&code.params, "p[#]"),
            fields(&code.columns, "&c[#]"),
            roots.join(", ")
        )?;
    }
    table.push_str("];\n");
    fs::write(Path::new(&out).join("candle.rs"), modules + &table)?;
    Ok(())
}
