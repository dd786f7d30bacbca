//! What a file needs: identifiers, masks, and what each node is in Python.

use super::Refused;
use super::name::Names;
use crate::mir::{Graph, Level, Node, NodeId, Op};

/// A loop inside an example that tensors pad to a rectangle, with the mask that tells its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    /// The argument.
    pub(super) name: String,
    /// [`Level::Candidate`] or [`Level::Token`].
    pub(super) level: Level,
    /// Whose tokens; `None` for candidates.
    pub(super) response: Option<String>,
}

/// The decisions about a graph.
pub(super) struct Plan<'a> {
    pub(super) graph: &'a Graph,
    /// What a column outside the graph proves is recorded by name only: identifiers, in graph order.
    pub(super) params: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) masks: Vec<Mask>,
    pub(super) needed: Vec<bool>,
    /// True where a node is a Python float.
    pub(super) number: Vec<bool>,
    /// At candidate and token level: the mask of the node's loop.
    pub(super) mask: Vec<Option<usize>>,
    /// True when an example's loss depends on the other examples of its batch.
    pub(super) coupled: bool,
    /// Further identifiers.
    pub(super) names: Names,
}

impl<'a> Plan<'a> {
    pub(super) fn new(graph: &'a Graph) -> Result<Self, Refused> {
        let mut names = Names::new();
        let params = graph.params.iter().map(|p| names.of(&p.name)).collect();
        let columns = graph.inputs.iter().map(|c| names.of(&c.name)).collect();
        let needed = needed(graph)?;
        let mut plan = Self {
            graph,
            params,
            columns,
            masks: Vec::new(),
            number: number(graph),
            mask: vec![None; graph.nodes.len()],
            coupled: coupled(graph),
            needed,
            names,
        };
        plan.find_masks()?;
        Ok(plan)
    }

    /// How many dimensions a tensor of a level has: `[N]`, `[N, K]`, `[N, T]` or `[N, K, T]`.
    pub(super) fn rank(&self, level: Level) -> usize {
        let candidates = self.masks.iter().any(|m| m.level == Level::Candidate);
        match level {
            Level::Uniform | Level::Batch => 0,
            Level::Example => 1,
            Level::Candidate => 2,
            Level::Token if candidates => 3,
            Level::Token => 2,
        }
    }

    pub(super) fn level(&self, id: NodeId) -> Level {
        self.graph.node(id).level
    }

    pub(super) fn is_number(&self, id: NodeId) -> bool {
        self.number[id.0 as usize]
    }

    /// The mask argument of a node inside an example.
    pub(super) fn mask_of(&self, id: NodeId) -> Option<&Mask> {
        self.mask[id.0 as usize].and_then(|m| self.masks.get(m))
    }

    fn find_masks(&mut self) -> Result<(), Refused> {
        let graph = self.graph;
        if graph.nodes.iter().any(|n| n.level == Level::Candidate)
            || graph.inputs.iter().any(|c| c.level == Level::Candidate)
        {
            let name = self.names.of("mask");
            self.masks.push(Mask { name, level: Level::Candidate, response: None });
        }
        // Every response with tokens, named as the last argument of its columns.
        let inner = || graph.inputs.iter().filter(|c| c.level == Level::Token);
        let mut responses: Vec<String> = Vec::new();
        for r in inner().filter_map(|c| response(&c.name)) {
            if !responses.iter().any(|known| known == r) {
                responses.push(r.to_owned());
            }
        }
        if responses.is_empty() && inner().next().is_some() {
            responses.push("y".to_owned());
        }
        for response in responses {
            let name = self.names.of(&format!("mask {response}"));
            self.masks.push(Mask { name, level: Level::Token, response: Some(response) });
        }
        for i in 0..graph.nodes.len() {
            self.mask[i] = self.node_mask(NodeId(i as u32))?;
        }
        Ok(())
    }

    /// The mask of an input's loop, if it lies inside an example.
    pub(super) fn input_mask(&self, input: usize) -> Option<usize> {
        let column = self.graph.inputs.get(input)?;
        match column.level {
            Level::Candidate => self.masks.iter().position(|m| m.level == Level::Candidate),
            Level::Token => {
                let tokens = |m: &&Mask| m.level == Level::Token;
                let of = response(&column.name);
                let named =
                    self.masks.iter().position(|m| of.is_some() && m.response.as_deref() == of);
                // A column without an argument fits where there is one loop only.
                let only = self.masks.iter().filter(tokens).count() == 1;
                named.or_else(|| self.masks.iter().position(|m| only && m.level == Level::Token))
            }
            _ => None,
        }
    }

    fn node_mask(&self, id: NodeId) -> Result<Option<usize>, Refused> {
        let node = self.graph.node(id);
        if node.level < Level::Candidate || !self.needed[id.0 as usize] {
            return Ok(None);
        }
        let found: Vec<usize> = match node.op {
            Op::Input(i) => self.input_mask(usize::from(i)).into_iter().collect(),
            _ if node.level == Level::Candidate => {
                self.masks.iter().position(|m| m.level == Level::Candidate).into_iter().collect()
            }
            op => {
                let same = op.operands().filter(|o| self.level(*o) == node.level);
                same.filter_map(|o| self.mask[o.0 as usize]).collect()
            }
        };
        match found.split_first() {
            Some((first, rest)) if rest.iter().all(|m| m == first) => Ok(Some(*first)),
            _ => Err(Refused::Loops(id)),
        }
    }
}

/// The last argument of a column's name: whose tokens it holds.
fn response(name: &str) -> Option<&str> {
    let inside = name.split_once('(')?.1.strip_suffix(')')?;
    inside.rsplit(',').next().map(str::trim)
}

fn needed(graph: &Graph) -> Result<Vec<bool>, Refused> {
    let mut needed = vec![false; graph.nodes.len()];
    for root in &graph.roots {
        *needed.get_mut(root.node.0 as usize).ok_or(Refused::Malformed(root.node))? = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if !needed[i] {
            continue;
        }
        let exists = match node.op {
            Op::Param(p) => usize::from(p) < graph.params.len(),
            Op::Input(c) => usize::from(c) < graph.inputs.len(),
            _ => true,
        };
        if !exists || node.op.operands().any(|o| o.0 as usize >= i) {
            return Err(Refused::Malformed(NodeId(i as u32)));
        }
        node.op.operands().for_each(|o| needed[o.0 as usize] = true);
    }
    Ok(needed)
}

fn number(graph: &Graph) -> Vec<bool> {
    let mut number: Vec<bool> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let is = match node.op {
            Op::Const(_) | Op::Param(_) => true,
            Op::Input(_) => false,
            // The size of the batch is known without looking at a tensor's values.
            Op::Count(a) => {
                node.level == Level::Batch
                    && graph.nodes.get(a.0 as usize).is_some_and(|n| n.level == Level::Example)
            }
            Op::Unary(..) | Op::Binary(..) | Op::Select(..) => {
                node.op.operands().all(|o| number.get(o.0 as usize).copied().unwrap_or(false))
            }
            _ => false,
        };
        number.push(is);
    }
    number
}

fn coupled(graph: &Graph) -> bool {
    let example = |n: &Node| n.level == Level::Example && n.op.scans();
    graph.nodes.iter().any(|n| n.level == Level::Batch || example(n))
}
