//! The file of a loss: a head that says what the arguments are, and the functions in f64 and in f32.
//!
//! In: a graph and what the head adds. Out: a Rust file that names nothing but `core` and the methods of
//! the float types, so it compiles by itself, as a module or under `include!`.

use super::{Float, Form, Refused, body, emit};
use crate::codegen::head::{self, Header};
use crate::mir::Graph;
use std::fmt::Write as _;

/// The file of a loss.
///
/// # Errors
/// [`Refused`] when a value lives below the example level, or the graph is not well formed.
pub fn file(graph: &Graph, header: &Header) -> Result<String, Refused> {
    let (params, columns) = body::arguments(graph);
    let mut out = head::inner_docs(graph, header, &params, &columns);
    let mut first = true;
    for (module, float) in [("double", Float::F64), ("single", Float::F32)] {
        let code = emit(graph, float)?;
        if std::mem::take(&mut first) {
            usage(&code.form, &code.roots, &params, &columns, &mut out);
        }
        let t = float.keyword();
        let _ = writeln!(out, "\n/// In {t}.\npub mod {module} {{");
        for line in code.text.lines() {
            let indent = if line.is_empty() { "" } else { "    " };
            let _ = writeln!(out, "{indent}{line}");
        }
        out.push_str("}\n");
    }
    Ok(out)
}

fn usage(form: &Form, roots: &[String], params: &[String], columns: &[String], out: &mut String) {
    let (params, columns) = (params.join(", "), columns.join(", "));
    let roots: Vec<String> = roots.iter().map(|r| format!("`{r}`")).collect();
    out.push_str("//!\n//! ```text\n");
    let _ = writeln!(out, "//! let uniform = double::uniform({params});");
    match form {
        Form::Example => {
            let _ = writeln!(out, "//! let results = double::example(&uniform, {columns});");
        }
        Form::Batch(plan) => {
            let orders = if plan.sorts() { "[0; examples]" } else { "[]" };
            let _ =
                writeln!(out, "//! let mut scratch = vec![0.0; {} * examples];", plan.scratch());
            let _ = writeln!(out, "//! let mut order = vec!{orders};");
            let _ = writeln!(
                out,
                "//! double::batch(&uniform, [{columns}], results, &mut scratch, &mut order);"
            );
        }
    }
    let each = match form {
        Form::Example => "",
        Form::Batch(_) => {
            ", a slice each with one value an example.\n//! A loss that the examples have in common stands at \
             every one of them, and the gradients are those of the sum"
        }
    };
    let _ = writeln!(out, "//! ```\n//!\n//! The results are {}{each}.", roots.join(", "));
}
