//! Reduced ordered binary decision diagrams.
//!
//! In: values, or other diagrams. Out: a diagram in one array. Invariant: nodes are shared, none is
//! redundant, and they are stored in the order in which a walk that takes low links first leaves them; so
//! equal functions are equal arrays. Diagrams of twelve variables are small enough that each owns its
//! nodes and every operation makes a new one.

use std::collections::HashMap;

/// Where a link leads: 0 and 1 are the leaves, `k + 2` is node `k`.
pub(super) type Link = u32;

/// A test of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) variable: u8,
    pub(super) low: Link,
    pub(super) high: Link,
}

/// A diagram; variables are tested in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Diagram {
    nodes: Vec<Node>,
    root: Link,
}

/// A binary Boolean operation, by its value for (0,0), (0,1), (1,0), (1,1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation(pub(super) [bool; 4]);

impl Diagram {
    pub(super) fn constant(value: bool) -> Self {
        Self { nodes: Vec::new(), root: Link::from(value) }
    }

    pub(super) fn variable(i: u8) -> Self {
        Self { nodes: vec![Node { variable: i, low: 0, high: 1 }], root: 2 }
    }

    /// The function of `n` variables with these values in its rows.
    pub(super) fn of_values(values: &[bool], n: usize) -> Self {
        fn build(made: &mut Builder, values: &[bool], n: usize, i: usize, row: usize) -> Link {
            if i == n {
                return Link::from(values.get(row).copied().unwrap_or(false));
            }
            let low = build(made, values, n, i + 1, row);
            let high = build(made, values, n, i + 1, row | 1 << i);
            made.node(i as u8, low, high)
        }
        let mut made = Builder::default();
        let root = build(&mut made, values, n, 0, 0);
        made.finish(root)
    }

    /// The leaf that it is.
    pub(super) fn as_constant(&self) -> Option<bool> {
        (self.root < 2).then_some(self.root == 1)
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Its value in a row.
    pub(super) fn holds(&self, row: usize) -> bool {
        let mut at = self.root;
        while let Some(node) = self.node(at) {
            at = if row >> node.variable & 1 == 1 { node.high } else { node.low };
        }
        at == 1
    }

    fn node(&self, link: Link) -> Option<Node> {
        self.nodes.get(link.checked_sub(2)? as usize).copied()
    }

    /// Both joined by an operation.
    pub(super) fn apply(&self, other: &Self, operation: Operation) -> Self {
        let mut apply = Apply {
            left: self,
            right: other,
            operation,
            known: HashMap::new(),
            made: Builder::default(),
        };
        let root = apply.links(self.root, other.root);
        apply.made.finish(root)
    }

    /// The function with a variable fixed.
    pub(super) fn restrict(&self, variable: u8, value: bool) -> Self {
        fn walk(
            d: &Diagram,
            (variable, value): (u8, bool),
            at: Link,
            known: &mut HashMap<Link, Link>,
            made: &mut Builder,
        ) -> Link {
            let Some(node) = d.node(at) else { return at };
            if let Some(&link) = known.get(&at) {
                return link;
            }
            let fixed = (variable, value);
            let link = if node.variable == variable {
                let kept = if value { node.high } else { node.low };
                walk(d, fixed, kept, known, made)
            } else {
                let low = walk(d, fixed, node.low, known, made);
                let high = walk(d, fixed, node.high, known, made);
                made.node(node.variable, low, high)
            };
            known.insert(at, link);
            link
        }
        let (mut known, mut made) = (HashMap::new(), Builder::default());
        let root = walk(self, (variable, value), self.root, &mut known, &mut made);
        made.finish(root)
    }

    /// A value for each node, from the leaves up, and so one for the whole; `None` as soon as one has none.
    pub(super) fn fold<T: Clone>(
        &self,
        leaves: [T; 2],
        mut value: impl FnMut(usize, &T, &T) -> Option<T>,
    ) -> Option<T> {
        let mut values: Vec<T> = leaves.into();
        for node in &self.nodes {
            // Links lead to nodes that were stored before.
            let (low, high) = (values.get(node.low as usize)?, values.get(node.high as usize)?);
            let next = value(usize::from(node.variable), low, high)?;
            values.push(next);
        }
        values.get(self.root as usize).cloned()
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    index: HashMap<Node, Link>,
}

impl Builder {
    fn node(&mut self, variable: u8, low: Link, high: Link) -> Link {
        if low == high {
            return low;
        }
        let node = Node { variable, low, high };
        *self.index.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() as Link + 1
        })
    }

    fn finish(self, root: Link) -> Diagram {
        Diagram { nodes: self.nodes, root }
    }
}

struct Apply<'a> {
    left: &'a Diagram,
    right: &'a Diagram,
    operation: Operation,
    known: HashMap<(Link, Link), Link>,
    made: Builder,
}

impl Apply<'_> {
    fn links(&mut self, a: Link, b: Link) -> Link {
        if let Some(value) = self.settled(a, b) {
            return Link::from(value);
        }
        if let Some(&link) = self.known.get(&(a, b)) {
            return link;
        }
        let (left, right) = (self.left.node(a), self.right.node(b));
        let first = left.iter().chain(&right).map(|n| n.variable).min().unwrap_or(0);
        let sides = |node: Option<Node>, at: Link| match node {
            Some(n) if n.variable == first => (n.low, n.high),
            _ => (at, at),
        };
        let ((a0, a1), (b0, b1)) = (sides(left, a), sides(right, b));
        let low = self.links(a0, b0);
        let high = self.links(a1, b1);
        let link = self.made.node(first, low, high);
        self.known.insert((a, b), link);
        link
    }

    /// The value, where the leaves reached so far leave no choice.
    fn settled(&self, a: Link, b: Link) -> Option<bool> {
        let values = |x: Link| if x < 2 { x as usize..=x as usize } else { 0..=1 };
        let mut found = None;
        for x in values(a) {
            for y in values(b) {
                let value = self.operation.0[2 * x + y];
                if found.is_some_and(|v| v != value) {
                    return None;
                }
                found = Some(value);
            }
        }
        found
    }
}
