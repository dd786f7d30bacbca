//! The plan as text, for people and snapshots.

use super::{Phase, Plan};
use crate::mir::{NodeId, Op};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {:?} {{", self.graph.name)?;
        let t = self.token;
        let wanted = [(t.target_logp, "target_logp"), (t.log_sum_p2, "log_sum_p2"), (t.kl, "kl")];
        let names: Vec<&str> = wanted.iter().filter(|(w, _)| *w).map(|(_, n)| *n).collect();
        writeln!(f, "  vocabulary: {}", names.join(", "))?;
        writeln!(f, "  uniform:")?;
        self.nodes(f, &self.uniform)?;
        for (i, p) in self.phases.iter().enumerate() {
            writeln!(f, "  phase {i}:")?;
            self.phase(f, p)?;
        }
        f.write_str("}\n")
    }
}

impl Plan {
    fn nodes(&self, f: &mut fmt::Formatter<'_>, nodes: &[NodeId]) -> fmt::Result {
        nodes.iter().try_for_each(|n| writeln!(f, "    {n} = {}", Operation(self, *n)))
    }

    fn phase(&self, f: &mut fmt::Formatter<'_>, p: &Phase) -> fmt::Result {
        if !p.batch.is_empty() {
            writeln!(f, "   batch:")?;
            self.nodes(f, &p.batch)?;
        }
        writeln!(f, "   for each example:")?;
        self.nodes(f, &p.body)?;
        for q in &p.partials {
            writeln!(f, "    {} <- {:?} of {}", q.node, q.reduce, q.value)?;
        }
        p.outputs.iter().try_for_each(|(name, n)| writeln!(f, "    {name} <- {n}"))
    }
}

struct Operation<'a>(&'a Plan, NodeId);

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = &self.0.graph;
        match g.node(self.1).op {
            Op::Const(c) => write!(f, "{c}"),
            Op::Param(p) => f.write_str(&g.params[p as usize].name),
            Op::Input(i) => f.write_str(&g.inputs[i as usize].name),
            op => {
                let operands: Vec<String> = op.operands().map(|o| o.to_string()).collect();
                let name = match op {
                    Op::Unary(u, _) => format!("{u:?}").to_lowercase(),
                    Op::Binary(b, ..) => format!("{b:?}").to_lowercase(),
                    Op::Select(..) => "select".to_owned(),
                    Op::Reduce(r, _) => format!("batch {r:?}").to_lowercase(),
                    Op::Count(_) => "count".to_owned(),
                    other => format!("{other:?}").to_lowercase(),
                };
                write!(f, "{name} {}", operands.join(" "))
            }
        }
    }
}
