//! The function that computes value and gradients, and the helpers that it calls.

use super::Refused;
use super::expr::{Expressions, Strength, Text};
use super::helper::Helper;
use super::plan::Plan;
use crate::mir::{Binary, Level, NodeId, Op, transfer};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

/// Above this length an expression gets a name even if it is used once.
const LONGEST: usize = 64;

/// The private part of a file.
pub(super) struct Core {
    /// The helper functions.
    pub(super) helpers: String,
    /// `_value_and_gradients`.
    pub(super) function: String,
}

/// Writes the function of a graph.
pub(super) fn core(plan: &mut Plan<'_>) -> Result<Core, Refused> {
    let graph = plan.graph;
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| plan.needed[*i]) {
        if matches!(node.op, Op::Sort(_) | Op::Unsort(..)) && node.level > Level::Example {
            return Err(Refused::InnerSort(NodeId(i as u32)));
        }
    }
    let facts = transfer::analyse(graph);
    let mut lines = String::new();
    let mut helpers = BTreeSet::new();
    for (i, column) in graph.inputs.iter().enumerate() {
        if column.range.is_nonpos() && divides_by_zero(plan, &facts) {
            let name = &plan.columns[i];
            let _ = writeln!(lines, "    {name} = {}({name})", Helper::SignedZero.name());
            helpers.insert(Helper::SignedZero);
        }
    }
    let uses = uses(plan);
    // A root's variable is named after it.
    let mut roots: HashMap<NodeId, String> = HashMap::new();
    let mut names = plan.names.clone();
    for root in &graph.roots {
        let name = root_name(&mut names, &root.name);
        roots.entry(root.node).or_insert(name);
    }
    let mut e = Expressions { plan, facts, texts: Vec::new(), helpers };
    let mut fresh = 0;
    for i in 0..graph.nodes.len() {
        let id = NodeId(i as u32);
        if !plan.needed[i] {
            e.texts.push(Text::atom(""));
            continue;
        }
        let mut text = e.value(id);
        let leaf = graph.nodes[i].op.operands().next().is_none();
        let long = text.text.len() > LONGEST;
        if !leaf && (uses[i] > 1 || long || roots.contains_key(&id)) {
            let name = roots.get(&id).cloned().unwrap_or_else(|| {
                fresh += 1;
                names.of(&format!("t{fresh}"))
            });
            let _ = writeln!(lines, "    {name} = {}", text.text);
            text = Text { text: name, strength: Strength::Atom };
        }
        e.texts.push(text);
    }
    let results = results(&mut e, &mut lines);
    let arguments: Vec<&str> = arguments(plan).collect();
    let mut function = String::from("\n\ndef _value_and_gradients(\n");
    for argument in arguments {
        let _ = writeln!(function, "    {argument},");
    }
    let per = if loss_level(plan) >= Level::Example { "every example" } else { "the batch" };
    let _ = write!(
        function,
        "):\n    \"\"\"The loss of {per}, and its derivative with respect to every column{}.\"\"\"\n",
        if plan.coupled && loss_level(plan) >= Level::Example { " of their sum" } else { "" },
    );
    function.push_str(&lines);
    let _ = writeln!(function, "    return {}", results.join(", "));
    let mut text = String::new();
    for helper in &e.helpers {
        let _ = write!(text, "\n\n{}", helper.definition());
    }
    Ok(Core { helpers: text, function })
}

/// Columns, masks and parameters: the arguments of the private functions, in order.
pub(super) fn arguments<'a>(plan: &'a Plan<'_>) -> impl Iterator<Item = &'a str> {
    let masks = plan.masks.iter().map(|m| &m.name);
    plan.columns.iter().chain(masks).chain(&plan.params).map(String::as_str)
}

/// The level of the loss.
pub(super) fn loss_level(plan: &Plan<'_>) -> Level {
    plan.graph.roots.first().map_or(Level::Example, |r| plan.level(r.node))
}

/// The inputs that have a gradient, by index, in the order of the roots.
pub(super) fn differentiated(plan: &Plan<'_>) -> Vec<usize> {
    let of = |root: &str| {
        let column = root.strip_prefix("d/")?;
        plan.graph.inputs.iter().position(|c| c.name == column)
    };
    plan.graph.roots.iter().filter_map(|r| of(&r.name)).collect()
}

fn root_name(names: &mut super::name::Names, root: &str) -> String {
    match root.strip_prefix("d/") {
        Some(column) => names.of(&format!("d {column}")),
        // `loss` is kept free for this.
        None => "loss".to_owned(),
    }
}

/// True when something is divided by a tensor that can be a zero: then the sign of zeros matters.
fn divides_by_zero(plan: &Plan<'_>, facts: &[crate::mir::Interval]) -> bool {
    plan.graph.nodes.iter().zip(&plan.needed).any(|(node, needed)| match node.op {
        Op::Binary(Binary::Div, _, b) => {
            *needed && !plan.is_number(b) && !facts[b.0 as usize].excludes_zero()
        }
        _ => false,
    })
}

fn uses(plan: &Plan<'_>) -> Vec<usize> {
    let graph = plan.graph;
    let mut uses = vec![0; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        if plan.needed[i] {
            // Some operations are written with their operand twice.
            let times =
                if matches!(node.op, Op::Unary(crate::mir::Unary::Step, _)) { 2 } else { 1 };
            node.op.operands().for_each(|o| uses[o.0 as usize] += times);
        }
    }
    uses
}

/// The texts of the results: each of the shape of the loss or of its column.
fn results(e: &mut Expressions<'_>, lines: &mut String) -> Vec<String> {
    let plan = e.plan;
    let mut results = Vec::new();
    for root in &plan.graph.roots {
        let column = root
            .name
            .strip_prefix("d/")
            .and_then(|c| plan.graph.inputs.iter().position(|i| i.name == c));
        let text = e.texts[root.node.0 as usize].text.clone();
        let (like, level) = match column {
            Some(c) => (plan.columns[c].clone(), plan.graph.inputs[c].level),
            None => (
                plan.columns.first().cloned().unwrap_or_default(),
                loss_level(plan).max(Level::Batch),
            ),
        };
        let narrow = plan.is_number(root.node) || plan.level(root.node) < level;
        let text = match (narrow, level) {
            (true, Level::Batch) => format!("torch.as_tensor({text}, dtype={like}.dtype)"),
            (true, _) => {
                e.helpers.insert(Helper::Fill);
                let value = broadcast(plan, root.node, &text, level);
                format!("{}({value}, {like})", Helper::Fill.name())
            }
            (false, _) => text,
        };
        let mask = column.and_then(|c| plan.input_mask(c)).map(|m| &plan.masks[m].name);
        results.push(match mask {
            Some(mask) => {
                let name = format!("masked_{}", results.len());
                let _ = writeln!(lines, "    {name} = torch.where({mask}, {text}, 0.0)");
                name
            }
            None => text,
        });
    }
    results
}

fn broadcast(plan: &Plan<'_>, id: NodeId, text: &str, level: Level) -> String {
    let (from, to) = (plan.rank(plan.level(id)), plan.rank(level));
    if plan.is_number(id) || from == 0 || to <= from {
        return text.to_owned();
    }
    format!("{text}[..., {}]", vec!["None"; to - from].join(", "))
}
