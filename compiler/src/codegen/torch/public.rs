//! The autograd function and the function that users call.

use super::body::{arguments, differentiated, loss_level};
use super::header::plain;
use super::name;
use super::plan::Plan;
use crate::mir::{Interval, Level};
use crate::session::Compiled;
use std::fmt::Write as _;

/// `class _Name(torch.autograd.Function)`.
pub(super) fn function_class(plan: &Plan<'_>, name: &str) -> String {
    let mut out = String::new();
    let class = name::class(name);
    let inputs: Vec<&str> = arguments(plan).collect();
    let differentiated = differentiated(plan);
    let gradients: Vec<String> =
        differentiated.iter().map(|i| format!("d_{}", plan.columns[*i])).collect();
    let _ = write!(
        out,
        "\n\nclass _{class}(torch.autograd.Function):\n    \
         \"\"\"The loss with its compiled gradient, which is finite where autograd meets 0 * inf.\"\"\"\n\n    \
         @staticmethod\n    def forward(ctx, {0}):\n        \
         loss, *gradients = _value_and_gradients(\n            {0}\n        )\n        \
         ctx.save_for_backward(*gradients)\n        return {1}\n\n    \
         @staticmethod\n    @torch.autograd.function.once_differentiable\n    def backward(ctx, grad):\n",
        inputs.join(", "),
        if sums(plan) { "loss.sum()" } else { "loss" },
    );
    match gradients.as_slice() {
        [] => {}
        [one] => {
            let _ = writeln!(out, "        ({one},) = ctx.saved_tensors");
        }
        many => {
            let _ = writeln!(out, "        {} = ctx.saved_tensors", many.join(", "));
        }
    }
    out.push_str("        return (\n");
    for (i, input) in plan.graph.inputs.iter().enumerate() {
        let Some(k) = differentiated.iter().position(|d| *d == i) else {
            let _ = writeln!(out, "            None,  # {}", plan.columns[i]);
            continue;
        };
        let extra = plan.rank(input.level).saturating_sub(1);
        let grad = match (extra, plan.coupled) {
            (0, _) | (_, true) => "grad".to_owned(),
            _ => format!("grad[..., {}]", vec!["None"; extra].join(", ")),
        };
        let _ = writeln!(out, "            {grad} * {},", gradients[k]);
    }
    for rest in plan.masks.iter().map(|m| &m.name).chain(&plan.params) {
        let _ = writeln!(out, "            None,  # {rest}");
    }
    out.push_str("        )\n");
    out
}

/// True when the loss has one value an example, of which only the sum has a gradient.
fn sums(plan: &Plan<'_>) -> bool {
    plan.coupled && loss_level(plan) >= Level::Example
}

/// The function of the loss's columns.
pub(super) fn function(compiled: &Compiled, plan: &Plan<'_>, name: &str) -> String {
    let mut out = format!("\n\ndef {name}(\n");
    for column in &plan.columns {
        let _ = writeln!(out, "    {column}: Tensor,");
    }
    for mask in &plan.masks {
        let _ = writeln!(out, "    {}: Tensor,", mask.name);
    }
    out.push_str(&keywords(plan));
    let shapes = if plan.masks.is_empty() {
        if plan.coupled {
            "Columns are tensors of shape [N]."
        } else {
            "Columns are tensors of one shape, [N] as a rule."
        }
    } else {
        "Columns have the shape [N]; [N, K] with one value a candidate; [N, T] or [N, K, T] with one value a token."
    };
    let result = match (loss_level(plan) >= Level::Example, plan.coupled) {
        (false, _) => "The loss of the batch, a tensor without dimensions.",
        (true, true) => "The mean over the batch, or with `reduction=\"sum\"` the sum.",
        (true, false) => {
            "The mean over the batch; the sum with `reduction=\"sum\"`, one loss an example with \"none\"."
        }
    };
    let _ = write!(
        out,
        "    \"\"\"{}\n\n    {shapes}\n    Half types are computed in float32, others in their own type.\n    \
         {result}\n    \"\"\"\n",
        plain(&sentence(compiled)),
    );
    for (param, identifier) in plan.graph.params.iter().zip(&plan.params) {
        out.push_str(&range_check(identifier, &param.name, param.range));
    }
    out.push_str(&columns(plan));
    let arguments: Vec<&str> = arguments(plan).collect();
    let _ = writeln!(
        out,
        "    {} = _{}.apply(\n        {}\n    )",
        if sums(plan) { "total" } else { "loss" },
        name::class(name),
        arguments.join(", ")
    );
    let first = plan.columns.first().map_or("", String::as_str);
    match (loss_level(plan) >= Level::Example, plan.coupled) {
        (false, _) => out.push_str("    return loss\n"),
        (true, true) => {
            let _ = write!(
                out,
                "    if reduction == \"mean\":\n        return total / {first}.shape[0]\n    \
                 if reduction == \"sum\":\n        return total\n    \
                 raise ValueError(f\"reduction is \\\"mean\\\" or \\\"sum\\\", not {{reduction!r}}\")\n"
            );
        }
        (true, false) => out.push_str(
            "    if reduction == \"mean\":\n        return loss.mean()\n    \
             if reduction == \"sum\":\n        return loss.sum()\n    \
             if reduction == \"none\":\n        return loss\n    \
             raise ValueError(f\"reduction is \\\"mean\\\", \\\"sum\\\" or \\\"none\\\", not {reduction!r}\")\n",
        ),
    }
    out.push_str(COLUMNS);
    out
}

/// Keyword arguments and the end of a signature.
pub(super) fn keywords(plan: &Plan<'_>) -> String {
    let mut out = String::new();
    let reduces = loss_level(plan) >= Level::Example;
    if reduces || !plan.params.is_empty() {
        out.push_str("    *,\n");
    }
    for (param, identifier) in plan.graph.params.iter().zip(&plan.params) {
        let default =
            param.default.map_or(String::new(), |d| format!(" = {}", super::expr::number(d).text));
        let _ = writeln!(out, "    {identifier}: float{default},");
    }
    if reduces {
        out.push_str("    reduction: str = \"mean\",\n");
    }
    out.push_str(") -> Tensor:\n");
    out
}

/// One sentence about the loss.
pub(super) fn sentence(compiled: &Compiled) -> String {
    match compiled.loss.title() {
        t if t.is_empty() => format!("The loss {}.", compiled.loss.name),
        t => format!("{t}."),
    }
}

fn range_check(identifier: &str, name: &str, range: Interval) -> String {
    let end = |x: f64| super::expr::number(x).text;
    let less = |open: bool| if open { "<" } else { "<=" };
    format!(
        "    if not {} {} {identifier} {} {}:\n        \
         raise ValueError(f\"{name} = {{{identifier}}} lies outside its range {range}\")\n",
        end(range.lo),
        less(range.lo_open),
        less(range.hi_open),
        end(range.hi),
    )
}

/// Brings the columns to one type and checks their shapes.
fn columns(plan: &Plan<'_>) -> String {
    let mut out = String::new();
    let left = match plan.columns.as_slice() {
        [one] => format!("({one},)"),
        many => many.join(", "),
    };
    let groups: Vec<Level> = plan.graph.inputs.iter().map(|c| c.level).collect();
    let _ = writeln!(out, "    {left} = _columns(");
    for (column, level) in plan.columns.iter().zip(&groups) {
        let _ = writeln!(out, "        {column}=({column}, {}),", shape(plan, *level, column));
    }
    out.push_str("    )\n");
    out
}

/// The tensor whose shape a column must have: the first of its level, or its mask.
fn shape(plan: &Plan<'_>, level: Level, column: &str) -> String {
    if level > Level::Example {
        let input = plan.columns.iter().position(|c| c == column);
        let mask = input.and_then(|i| plan.input_mask(i)).and_then(|m| plan.masks.get(m));
        if let Some(mask) = mask {
            return format!("{}.shape", mask.name);
        }
    }
    let first = plan.graph.inputs.iter().position(|c| c.level == level);
    let first = first.and_then(|i| plan.columns.get(i)).map_or(column, String::as_str);
    if plan.masks.is_empty() && !plan.coupled {
        format!("{first}.shape")
    } else {
        format!("{first}.shape[:1]")
    }
}

const COLUMNS: &str = "\n\ndef _columns(**columns):
    \"\"\"The columns in one floating type; a wrong shape is an error, not broadcast.\"\"\"
    dtype = torch.float32
    for name, (column, shape) in columns.items():
        if column.shape != shape:
            raise ValueError(f\"{name} has shape {tuple(column.shape)}, expected {tuple(shape)}\")
        if column.is_floating_point():
            dtype = torch.promote_types(dtype, column.dtype)
    return [column.to(dtype) for column, _ in columns.values()]
";
