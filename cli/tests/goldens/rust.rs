//! The generated Rust on the same records: all their losses as one program, compiled by rustc, in f64 and f32.
//!
//! Held to what the interpreter is held to; rows on which it is known not to meet its record count for neither.

use crate::reference::Goldens;
use crate::subject::{self, Subject};
use crate::{
    Batching, Bound, F32_TOLERANCE, F64_TOLERANCE, Side, bind, compare, named, rounded, run,
};
use ponens::compiler::codegen::interp::Big;
use ponens::compiler::codegen::rust::{self, Float, Form, Module};
use ponens::value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

/// What the program does around the generated modules: rows in, results out, as the bits of numbers in f64.
const MAIN: &str = "
fn main() {
    let path = std::env::args().nth(1).unwrap();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut words = line.split(' ');
        let mut number = || words.next().unwrap().parse::<usize>().unwrap();
        let (module, bits, examples) = (number(), number(), number());
        let value = |w: &str| f64::from_bits(u64::from_str_radix(w, 16).unwrap());
        let x: Vec<f64> = words.map(value).collect();
        let out = run(module, bits, examples, &x);
        let out: Vec<String> = out.iter().map(|v| format!(\"{:016x}\", v.to_bits())).collect();
        println!(\"{}\", out.join(\" \"));
    }
}
";

/// The generated program, and what it is to be given.
#[derive(Default)]
struct Program {
    /// By the text in f64: the place of a module.
    places: BTreeMap<String, usize>,
    modules: String,
    arms: String,
    lines: String,
}

fn hexadecimal(x: f64) -> String {
    format!("{:016x}", x.to_bits())
}

impl Program {
    fn module(&mut self, subject: &Subject) -> (usize, Module) {
        let emit =
            |float| rust::emit(subject.reduced(), float).expect("no loops inside an example");
        let wide = emit(Float::F64);
        let next = self.places.len();
        let k = *self.places.entry(wide.text.clone()).or_insert(next);
        if k == next {
            for (module, float, bits) in
                [(&wide, Float::F64, 64), (&emit(Float::F32), Float::F32, 32)]
            {
                let name = format!("m{k}_{bits}");
                let _ = writeln!(self.modules, "mod {name} {{\n{}\n}}", module.text);
                let call = call(module, &name, float.keyword());
                let _ = writeln!(self.arms, "        ({k}, {bits}) => {{ {call} }}");
            }
        }
        (k, wide)
    }

    /// Asks for a batch of `columns[i][e]`.
    fn ask(&mut self, k: usize, bits: usize, params: &[f64], columns: &[Vec<f64>]) {
        let examples = columns.first().map_or(1, Vec::len);
        let numbers = params.iter().chain(columns.iter().flatten()).map(|x| hexadecimal(*x));
        let numbers: Vec<String> = numbers.collect();
        let _ = writeln!(self.lines, "{k} {bits} {examples} {}", numbers.join(" "));
    }

    /// The results of all that was asked for, in order.
    fn run(&self) -> Vec<Vec<f64>> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let text = format!(
            "{}fn run(module: usize, bits: usize, e: usize, x: &[f64]) -> Vec<f64> {{\n    match (module, bits) {{\n{}        _ => unreachable!(),\n    }}\n}}\n{MAIN}",
            self.modules, self.arms
        );
        std::fs::write(at("main.rs"), text).expect("written");
        std::fs::write(at("rows"), &self.lines).expect("written");
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compiled = Command::new(compiler)
            .args(["--edition", "2024", "-A", "warnings", "-C", "debuginfo=0", "-o"])
            .args([at("program"), at("main.rs")])
            .output()
            .expect("rustc starts");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let ran = Command::new(at("program")).arg(at("rows")).output().expect("it starts");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let value = |w: &str| f64::from_bits(u64::from_str_radix(w, 16).expect("bits"));
        let text = String::from_utf8(ran.stdout).expect("a text");
        text.lines().map(|l| l.split(' ').map(value).collect()).collect()
    }
}

/// An expression that evaluates a module on `e` examples, the parameters first in `x`, then column by column.
fn call(module: &Module, name: &str, float: &str) -> String {
    let count = module.params.len();
    let list = |n: usize, f: &dyn Fn(usize) -> String| -> String {
        (0..n).map(f).collect::<Vec<_>>().join(", ")
    };
    let uniform = format!("{name}::uniform({})", list(count, &|i| format!("x[{i}]")));
    let (columns, roots) = (module.columns.len(), module.roots.len());
    match &module.form {
        Form::Example => {
            let given = list(columns, &|i| format!("x[{}] as {float}", count + i));
            format!(
                "assert_eq!(e, 1); {name}::example(&{uniform}, {given}).iter().map(|v| *v as f64).collect()"
            )
        }
        Form::Batch(plan) => format!(
            "let c: Vec<Vec<{float}>> = x[{count}..].chunks(e).map(|c| c.iter().map(|v| *v as {float}).collect()).collect();
            let mut o = vec![vec![0.0; e]; {roots}];
            let [{outs}] = &mut o[..] else {{ unreachable!() }};
            {name}::batch(&{uniform}, [{ins}], [{outs}], &mut vec![0.0; {scratch} * e], &mut vec![0; e]);
            o.iter().flatten().map(|v| *v as f64).collect()",
            outs = list(roots, &|i| format!("o{i}")),
            ins = list(columns, &|i| format!("&c[{i}]")),
            scratch = plan.scratch(),
        ),
    }
}

/// The columns of a graph on bound rows: the name that its derivative goes to, the values, and what that is
/// divided by.
type Column = (String, Vec<f64>, Option<Vec<f64>>);

fn columns(module: &Module, bound: &Bound) -> Vec<Column> {
    let given = |name: &str| {
        let found = bound.given.iter().find(|g| g.name == name);
        found.map(|g| g.values.clone()).unwrap_or_else(|| panic!("no column {name}"))
    };
    let one = |name: &String| match bound.means.iter().find(|m| m.mean == *name) {
        None => (name.clone(), given(name), None),
        Some(m) => {
            let tokens: Vec<f64> = given(&m.len).iter().map(|n| f64::max(*n, 1.0)).collect();
            let mean = given(&m.sum).iter().zip(&tokens).map(|(s, n)| s / n).collect();
            (m.sum.clone(), mean, Some(tokens))
        }
    };
    module.columns.iter().map(one).collect()
}

/// Results of some examples by name; derivatives of the mean loss.
fn results(
    module: &Module,
    columns: &[Column],
    out: &[f64],
    rows: &[usize],
) -> BTreeMap<String, Vec<f64>> {
    let n = rows.len();
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (root, values) in module.roots.iter().zip(out.chunks(n)) {
        let Some(column) = root.strip_prefix("d/") else {
            all.insert(root.clone(), vec![values.iter().sum::<f64>() / n as f64]);
            continue;
        };
        let at = module.columns.iter().position(|c| c == column).expect("a column");
        let (name, _, tokens) = &columns[at];
        let sum = all.entry(name.clone()).or_insert_with(|| vec![0.0; n]);
        for (i, (s, v)) in sum.iter_mut().zip(values).enumerate() {
            *s += v / tokens.as_ref().map_or(1.0, |t| t[rows[i]]) / n as f64;
        }
    }
    all
}

#[test]
fn generated_rust_meets_the_records() {
    let goldens = Goldens::load();
    let mut program = Program::default();
    // What is expected of each line that is asked.
    let mut wanted = Vec::new();
    let all = goldens.losses.iter().map(|r| (r, false));
    for (record, batch) in all.chain(goldens.batches.iter().map(|r| (r, true))) {
        let subject = subject::subject(record).expect("a loss for every record");
        let (k, module) = program.module(&subject);
        let inputs = goldens.inputs(record);
        let mut lines: Vec<(usize, String)> =
            inputs.iter().map(|i| i.line(&subject.columns, record)).enumerate().collect();
        if !batch {
            lines.retain(|(_, l)| bind(&subject, std::slice::from_ref(l), Batching::Line).is_ok());
        } else if !value::is_batch_coupled(subject.graph()) {
            // The mean of its rows, which are records of their own.
            continue;
        }
        let (places, lines): (Vec<usize>, Vec<String>) = lines.into_iter().unzip();
        let batching = if batch { Batching::All } else { Batching::Line };
        let wide = bind(&subject, &lines, batching).expect("rows of numbers");
        let narrow = rounded(&wide);
        let exact: Vec<_> = run::<Big>(&subject, &narrow).iter().map(named).collect();
        for (bound, bits) in [(&wide, 64), (&narrow, 32)] {
            let own = columns(&module, bound);
            let groups: Vec<Vec<usize>> = match batch {
                true => vec![(0..places.len()).collect()],
                false => (0..places.len()).map(|r| vec![r]).collect(),
            };
            for (g, rows) in groups.into_iter().enumerate() {
                let chosen: Vec<_> = rows.iter().map(|r| inputs[places[*r]]).collect();
                if chosen.iter().any(|i| subject::known(&record.title(), &i.id).is_some()) {
                    continue;
                }
                let recorded = match batch {
                    true => record.expected_batch(&subject.columns),
                    false => record.expected(places[g], inputs[places[g]], &subject.columns),
                };
                let expected = match (bits, recorded) {
                    (64, Some(recorded)) => recorded,
                    // Batches without a record are held to 256 bits in one type; rows without one have no
                    // value: 0/0 at two probabilities of one.
                    (32, recorded) if batch || recorded.is_some() => exact[g].clone(),
                    _ => continue,
                };
                let condition = chosen.iter().map(|i| i.condition(&subject)).fold(1.0, f64::max);
                let given: Vec<Vec<f64>> =
                    own.iter().map(|(_, v, _)| rows.iter().map(|r| v[*r]).collect()).collect();
                program.ask(k, bits, &subject.params, &given);
                wanted.push((
                    record.title(),
                    bits,
                    condition,
                    expected,
                    module.clone(),
                    own.clone(),
                    rows,
                ));
            }
        }
    }
    let got = program.run();
    assert_eq!(got.len(), wanted.len());
    let (mut text, mut compared) = (String::new(), 0);
    for (out, (title, bits, condition, expected, module, own, rows)) in got.iter().zip(&wanted) {
        let side = match *bits {
            64 => Side {
                what: "f64",
                tolerance: F64_TOLERANCE * condition,
                floor: 1e-30,
                ceiling: f64::MAX,
            },
            _ => Side {
                what: "f32",
                tolerance: F32_TOLERANCE * condition,
                floor: f64::from(f32::MIN_POSITIVE),
                ceiling: f64::from(f32::MAX),
            },
        };
        let mut line = String::new();
        compare(&side, expected, &results(module, own, out, rows), &mut line);
        compared += expected.len();
        if !line.is_empty() {
            let _ = writeln!(text, "{title} {rows:?}: {line}");
        }
    }
    assert!(text.is_empty(), "{text}");
    assert!(compared > 15_000, "{compared} numbers");
}
