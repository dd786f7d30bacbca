//! The plan as text, for people, snapshots and [`super::parse()`], which reads it back.

use super::{Let, Phase, Plan, Statistic};
use crate::mir::NodeId;
use crate::mir::text::{Name, Quoted, REDUCE, keyword};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lir {} {{", Quoted(&self.header.name))?;
        self.header.fmt_params(f)?;
        for (input, source) in self.header.inputs.iter().zip(&self.sources) {
            write!(f, "  column ")?;
            input.fmt_declaration(f)?;
            writeln!(f, " = {source}")?;
        }
        for s in &self.streams {
            write!(f, "  stream {}", Name(&s.model))?;
            list(f, " : ", &s.statistics)?;
            list(f, " grad ", &s.gradients)?;
            writeln!(f)?;
        }
        self.block(f, "  ", "uniform", &self.uniform)?;
        self.phases.iter().try_for_each(|p| self.phase(f, p))?;
        f.write_str("}\n")
    }
}

fn list(f: &mut fmt::Formatter<'_>, before: &str, statistics: &[Statistic]) -> fmt::Result {
    for (i, s) in statistics.iter().enumerate() {
        write!(f, "{}{s}", if i == 0 { before } else { " + " })?;
    }
    Ok(())
}

impl Plan {
    fn block(
        &self,
        f: &mut fmt::Formatter<'_>,
        pad: &str,
        name: &str,
        lets: &[Let],
    ) -> fmt::Result {
        if lets.is_empty() {
            return Ok(());
        }
        writeln!(f, "{pad}{name} {{")?;
        for l in lets {
            writeln!(f, "{pad}  {} = {}", l.id, self.header.operation(l.op))?;
        }
        writeln!(f, "{pad}}}")
    }

    fn phase(&self, f: &mut fmt::Formatter<'_>, p: &Phase) -> fmt::Result {
        let ids = |f: &mut fmt::Formatter<'_>, word: &str, ids: &[NodeId]| {
            ids.iter().try_for_each(|id| writeln!(f, "    {word} {id}"))
        };
        writeln!(f, "  phase {{")?;
        ids(f, "rank", &p.ranks)?;
        self.block(f, "    ", "batch", &p.batch)?;
        self.block(f, "    ", "example", &p.example)?;
        for q in &p.partials {
            writeln!(f, "    partial {} = {} {}", q.id, keyword(&REDUCE, &q.reduce), q.value)?;
        }
        ids(f, "save", &p.saves)?;
        for (name, id) in &p.outputs {
            writeln!(f, "    output {} = {id}", Name(name))?;
        }
        writeln!(f, "  }}")
    }
}
