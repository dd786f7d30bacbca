//! Generates candle and Rust code for some losses of the catalogue, so that the suite compiles and runs
//! what `ponens emit --target candle` and `--target rust` print.

use ponens_compiler::codegen::rust::{self, Float, Form, snake_case};
use ponens_compiler::codegen::{Header, candle, fingerprint};
use ponens_compiler::mir::Graph;
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
    let (mut plain_modules, mut plain_table) = (
        String::new(),
        String::from(
            "/// Name, and all roots of a batch from parameters and columns.\npub const ALL: &[(&str, Run)] = &[\n",
        ),
    );
    for name in LOSSES {
        let compiled = ponens_losses::compile(name, &Default::default())
            .map_err(|d| format!("{name}: {d:?}"))?;
        let graph = compiled.graph();
        let header = Header {
            title: compiled.loss.title(),
            hash: fingerprint(&compiled.written.to_string()),
        };
        let code = candle::emit(graph, &header)?;
        let module = snake_case(name);
        let path = Path::new(&out).join(format!("{module}_plain.rs"));
        fs::write(&path, rust::file(&compiled.reduced, &header)?)?;
        writeln!(plain_modules, "#[path = {:?}]\npub mod {module};", path.to_string_lossy())?;
        writeln!(
            plain_table,
            "    ({name:?}, |p, c| {}),",
            plain_call(&module, &compiled.reduced)?
        )?;
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
    plain_table.push_str("];\n");
    fs::write(Path::new(&out).join("plain.rs"), plain_modules + &plain_table)?;
    Ok(())
}

/// Calls the functions of a plain file on a batch, as its head says.
fn plain_call(module: &str, graph: &Graph) -> Result<String, Box<dyn Error>> {
    let list = |count: usize, value: &str| {
        let one = |i: usize| value.replace('#', &i.to_string());
        (0..count).map(one).collect::<Vec<_>>().join(", ")
    };
    let (columns, roots) = (graph.inputs.len(), graph.roots.len());
    let uniform =
        format!("let uniform = {module}::double::uniform({});", list(graph.params.len(), "p[#]"));
    Ok(match rust::emit(graph, Float::F64)?.form {
        Form::Example => format!(
            "{{
        {uniform}
        let example = |e: usize| {module}::double::example(&uniform, {});
        let results: Vec<_> = (0..c[0].len()).map(example).collect();
        (0..{roots}).map(|r| results.iter().map(|x| x[r]).collect()).collect()
    }}",
            list(columns, "c[#][e]")
        ),
        Form::Batch(plan) => format!(
            "{{
        {uniform}
        let n = c[0].len();
        let mut out = vec![vec![0.0; n]; {roots}];
        let [{}] = out.as_mut_slice() else {{ unreachable!() }};
        let mut scratch = vec![0.0; {} * n];
        let mut order = vec![0; n * {}];
        {module}::double::batch(&uniform, [{}], [{}], &mut scratch, &mut order);
        out
    }}",
            list(roots, "o#"),
            plan.scratch(),
            usize::from(plan.sorts()),
            list(columns, "&c[#]"),
            list(roots, "o#"),
        ),
    })
}
