//! The function of a whole batch, for losses whose examples depend on each other.
//!
//! In: a scheduled graph. Out: the text of `batch`, which reads columns, writes results and works in the
//! scratch that its caller gives, so that nothing is allocated. Invariant: reductions and sorts go over
//! the values in the interpreter's order, so that the bits are the same.

use super::body::{Writer, literal};
use super::helper::Helper;
use super::schedule::Plan;
use crate::mir::{Level, NodeId, Op, Reduce};
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl Writer<'_> {
    /// Writes `batch`.
    pub(super) fn batch(&mut self, plan: &Plan, out: &mut String) {
        let t = self.float.keyword();
        let (columns, roots) = (self.columns.len(), self.graph.roots.len());
        let kept = plan.kept.len();
        let unused = |used: bool| if used { "" } else { "_" };
        let _ = write!(
            out,
            "/// Value and gradients of a batch: one value an example in every slice, and {kept} in `scratch`.\n\
             #[allow(clippy::needless_range_loop)]\n\
             pub fn batch(\n    {}uniform: &Uniform,\n    columns: [&[{t}]; {columns}],\n    \
             out: [&mut [{t}]; {roots}],\n    {}scratch: &mut [{t}],\n    {}order: &mut [usize],\n) {{\n",
            unused(!self.carried.is_empty()),
            unused(kept > 0),
            unused(plan.sorts),
        );
        let read = |i: usize| {
            let is = |n: &NodeId| self.graph.node(*n).op == Op::Input(i as u16);
            plan.phases.iter().flat_map(|p| &p.examples).any(is)
        };
        let names: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| if read(i) { format!("all_{c}") } else { "_".to_owned() })
            .collect();
        let _ = writeln!(out, "    let [{}] = columns;", names.join(", "));
        let results: Vec<String> = (0..roots).map(|i| format!("out{i}")).collect();
        let _ = writeln!(out, "    let [{}] = out;", results.join(", "));
        out.push_str("    let n = out0.len();\n");
        let mut places: Vec<(&NodeId, &usize)> = plan.kept.iter().collect();
        places.sort_by_key(|(_, place)| **place);
        for (i, (id, _)) in places.iter().enumerate() {
            let rest = if i + 1 < kept { "scratch" } else { "_" };
            let _ = writeln!(out, "    let (s{}, {rest}) = scratch.split_at_mut(n);", id.0);
        }
        if plan.sorts {
            out.push_str("    let order = &mut order[..n];\n");
        }
        // A loss of the whole batch stands at every example, so the derivative of its sum is n times its own.
        let whole = self.graph.roots.first().is_some_and(|r| self.level(r.node) < Level::Example);
        if whole && roots > 1 {
            let _ = writeln!(out, "    let copies = n as {t};");
        }
        for (number, phase) in plan.phases.iter().enumerate() {
            let place = self.places(plan, &BTreeMap::new());
            self.lines(&phase.once, "    ", &place, &mut |_, _| {}, out);
            self.example_loop(plan, number, whole, out);
            for &id in &phase.whole {
                self.whole(plan, id, out);
            }
        }
        self.remaining_roots(plan, whole, out);
        out.push_str("}\n");
    }

    fn level(&self, id: NodeId) -> Level {
        self.graph.node(id).level
    }

    /// Where nodes are read: uniform ones in `uniform`, those of this loop body in a local, those of an
    /// earlier one in scratch, those of the batch in a local outside.
    fn places(
        &self,
        plan: &Plan,
        here: &BTreeMap<NodeId, ()>,
    ) -> impl Fn(NodeId) -> String + use<> {
        let uniform = self.carried.clone();
        let kept: Vec<NodeId> =
            plan.kept.keys().copied().filter(|k| !here.contains_key(k)).collect();
        move |id: NodeId| {
            if uniform.contains(&id) {
                format!("uniform.v{}", id.0)
            } else if kept.contains(&id) {
                format!("s{}[i]", id.0)
            } else {
                format!("v{}", id.0)
            }
        }
    }

    /// The loop of one phase over the examples.
    fn example_loop(&mut self, plan: &Plan, phase: usize, whole: bool, out: &mut String) {
        let nodes = &plan.phases[phase].examples;
        if nodes.is_empty() {
            return;
        }
        let here: BTreeMap<NodeId, ()> = nodes.iter().map(|n| (*n, ())).collect();
        let place = self.places(plan, &here);
        out.push_str("    for i in 0..n {\n");
        for &id in nodes {
            if let Op::Input(c) = self.graph.node(id).op
                && let Some(column) = self.columns.get(usize::from(c))
            {
                let _ = writeln!(out, "        let {column} = all_{column}[i];");
            }
        }
        let roots: Vec<(usize, NodeId)> =
            self.graph.roots.iter().enumerate().map(|(i, r)| (i, r.node)).collect();
        let mut after = |id: NodeId, out: &mut String| {
            if plan.kept.contains_key(&id) {
                let _ = writeln!(out, "        s{0}[i] = v{0};", id.0);
            }
            for (root, _) in roots.iter().filter(|(_, node)| *node == id) {
                let scale = if whole && *root > 0 { " * copies" } else { "" };
                let _ = writeln!(out, "        out{root}[i] = v{}{scale};", id.0);
            }
        };
        self.lines(nodes, "        ", &place, &mut after, out);
        out.push_str("    }\n");
    }

    /// A node that needs all examples.
    fn whole(&mut self, plan: &Plan, id: NodeId, out: &mut String) {
        let t = self.float.keyword();
        let v = id.0;
        let mut call = |helper: Helper| {
            self.helpers.extend(helper.with_needs());
            helper.name()
        };
        let line = match self.graph.node(id).op {
            Op::Reduce(op, a) => {
                let helper = match op {
                    Reduce::Sum => Helper::Sum,
                    Reduce::Mean => Helper::Mean,
                    Reduce::Max => Helper::Greatest,
                    Reduce::LogSumExp => Helper::LogSumExp,
                };
                format!("let v{v} = {}(s{});", call(helper), a.0)
            }
            Op::Count(_) => format!("let v{v} = n as {t};"),
            Op::Sort(a) => format!("{}(s{}, s{v}, order);", call(Helper::Sorted), a.0),
            Op::Unsort(a, key) => match plan.kept.contains_key(&a) {
                true => format!("{}(s{}, s{}, s{v}, order);", call(Helper::Unsorted), a.0, key.0),
                // One value for all has no order.
                false => {
                    let place = self.places(plan, &BTreeMap::new());
                    format!("s{v}.fill({});", self.operand(a, &place))
                }
            },
            Op::PrefixSum(a) => format!("{}(s{}, s{v});", call(Helper::PrefixSums), a.0),
            Op::SuffixSum(a) => format!("{}(s{}, s{v});", call(Helper::SuffixSums), a.0),
            Op::Shift(a, by) => format!("{}(s{}, s{v}, {by});", call(Helper::Shifted), a.0),
            // The schedule puts no other operation here.
            _ => String::new(),
        };
        let _ = writeln!(out, "    {line}");
    }

    /// The roots that no loop has written.
    fn remaining_roots(&self, plan: &Plan, whole: bool, out: &mut String) {
        let looped = |id: &NodeId| plan.phases.iter().any(|p| p.examples.contains(id));
        let place = self.places(plan, &BTreeMap::new());
        for (i, root) in self.graph.roots.iter().enumerate().filter(|(_, r)| !looped(&r.node)) {
            let scaled = whole && i > 0;
            let line = match (plan.kept.contains_key(&root.node), scaled) {
                (true, false) => format!("out{i}.copy_from_slice(s{});", root.node.0),
                (true, true) => format!(
                    "for i in 0..n {{\n        out{i}[i] = s{}[i] * copies;\n    }}",
                    root.node.0
                ),
                (false, _) => {
                    let scale = if scaled { " * copies" } else { "" };
                    let value = match self.graph.node(root.node).op {
                        Op::Const(c) => literal(c, self.float),
                        _ => place(root.node),
                    };
                    format!("out{i}.fill({value}{scale});")
                }
            };
            let _ = writeln!(out, "    {line}");
        }
    }
}
