//! Drawings of an order: DOT for other tools, and a page-ready SVG.
//!
//! In: labelled nodes and covers. Out: text. Invariant: the drawing of equal input is equal, byte for
//! byte; text from outside is escaped.

mod dot;
mod layout;
mod svg;

use std::fmt;

use super::error::LandscapeError;
use super::lattice::{Node, nodes, rows_in_words};
use super::order;
use crate::logic::Structure;

/// One node of a drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagramNode {
    /// The text in the node.
    pub label: String,
    /// The text shown when pointing at it.
    pub tooltip: String,
}

/// Where a node of a diagram stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer, 0 the lowest.
    pub layer: usize,
    /// The place within it.
    pub place: usize,
    /// How many places the layer has.
    pub width: usize,
}

/// A Hasse diagram: covers point upwards, from the entailing to the entailed node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagram {
    nodes: Vec<DiagramNode>,
    covers: Vec<(usize, usize)>,
    layers: Vec<usize>,
}

/// Why a list of covers is no Hasse diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiagramError {
    /// A cover names a node that is not there.
    NoSuchNode {
        /// The node's number.
        node: usize,
    },
    /// The covers run in a circle, so they are of no order.
    Cycle,
}

impl fmt::Display for DiagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNode { node } => write!(f, "a cover names node {node}, which is not there"),
            Self::Cycle => write!(f, "the covers run in a circle"),
        }
    }
}

impl std::error::Error for DiagramError {}

impl Diagram {
    /// A diagram of `nodes` with the covers `(lower, upper)` by number.
    ///
    /// # Errors
    ///
    /// A cover of a node that is not there, or covers in a circle.
    pub fn new(nodes: Vec<DiagramNode>, covers: Vec<(usize, usize)>) -> Result<Self, DiagramError> {
        let mut ends = covers.iter().flat_map(|&(a, b)| [a, b]);
        if let Some(node) = ends.find(|&end| end >= nodes.len()) {
            return Err(DiagramError::NoSuchNode { node });
        }
        let layers = layout::layers(nodes.len(), &covers).ok_or(DiagramError::Cycle)?;
        Ok(Self { nodes, covers, layers })
    }

    /// The diagram of named structures in the order by entailment. Of equal structures the first is
    /// connected; the others stand alone.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::TooManyAtoms`] when they have more than six atoms together.
    pub fn of_structures(named: &[(String, Structure)]) -> Result<Self, LandscapeError> {
        let structures: Vec<Structure> = named.iter().map(|(_, s)| s.clone()).collect();
        let covers = order::covers(&structures)?;
        let nodes = named
            .iter()
            .map(|(label, structure)| DiagramNode {
                label: label.clone(),
                tooltip: rows_in_words(structure),
            })
            .collect();
        // A strict order has no circle, so its layers are always found.
        let layers = layout::layers(named.len(), &covers).unwrap_or_else(|| vec![0; named.len()]);
        Ok(Self { nodes, covers, layers })
    }

    /// The two-atom lattice, or its reference versions.
    ///
    /// # Errors
    ///
    /// None occurs: the lattice has four atoms at most.
    pub fn of_lattice(reference: bool) -> Result<Self, LandscapeError> {
        let named = |node: &Node| {
            if reference {
                (format!("{}_ref", node.name), node.with_reference())
            } else {
                (node.name.to_owned(), node.structure())
            }
        };
        let lattice = nodes();
        let mut diagram = Self::of_structures(&lattice.iter().map(named).collect::<Vec<_>>())?;
        for (drawn, node) in diagram.nodes.iter_mut().zip(&lattice) {
            let ratio = if reference { " - log ref(w)/ref(l)" } else { "" };
            drawn.tooltip = format!(
                "{}: rho = log [{}] / [{}]{ratio}; {}",
                drawn.label, node.numerator, node.denominator, drawn.tooltip
            );
        }
        Ok(diagram)
    }

    /// The covers by number, lower node first.
    #[must_use]
    pub fn covers(&self) -> &[(usize, usize)] {
        &self.covers
    }

    /// Where each node stands.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let layout = layout::place(&self.layers, &self.covers);
        let of =
            |&(layer, place): &(usize, usize)| Place { layer, place, width: layout.widths[layer] };
        layout.places.iter().take(self.nodes.len()).map(of).collect()
    }

    /// The diagram as a DOT graph, least node at the bottom.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::render(self)
    }

    /// The diagram as one SVG element that needs no other file, least node at the bottom.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::render(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(label: &str) -> DiagramNode {
        DiagramNode { label: label.into(), tooltip: format!("about {label}") }
    }

    #[test]
    fn the_lattice_is_drawn() {
        let diagram = Diagram::of_lattice(false).expect("two atoms");
        insta::assert_snapshot!("lattice_dot", diagram.to_dot());
        insta::assert_snapshot!("lattice_svg", diagram.to_svg());
    }

    #[test]
    fn text_from_outside_is_escaped() {
        let diagram = Diagram::new(vec![node("a<\"b\">\\&'\n\u{1}")], vec![]).expect("one node");
        let svg = diagram.to_svg();
        assert!(svg.contains("a&lt;&quot;b&quot;&gt;\\&amp;&#39; "), "{svg}");
        assert!(!svg.contains('\u{1}'));
        assert!(diagram.to_dot().contains(r#"label="a<\"b\">\\&' ""#), "{}", diagram.to_dot());
    }

    #[test]
    fn covers_that_make_no_order_are_refused() {
        let two = || vec![node("a"), node("b")];
        assert_eq!(Diagram::new(two(), vec![(0, 2)]), Err(DiagramError::NoSuchNode { node: 2 }));
        assert_eq!(Diagram::new(two(), vec![(0, 1), (1, 0)]), Err(DiagramError::Cycle));
        assert_eq!(Diagram::new(two(), vec![(1, 1)]), Err(DiagramError::Cycle));
    }

    #[test]
    fn an_empty_diagram_is_drawn_too() {
        let diagram = Diagram::new(vec![], vec![]).expect("nothing");
        assert!(diagram.to_svg().starts_with("<svg"));
        assert!(diagram.to_dot().starts_with("digraph"));
    }

    #[test]
    fn an_edge_over_several_layers_bends_around_what_lies_between() {
        let nodes = vec![node("bottom"), node("middle"), node("top"), node("other")];
        let covers = vec![(0, 1), (1, 2), (0, 3), (3, 2), (0, 2)];
        let diagram = Diagram::new(nodes, covers).expect("an order");
        let bends = diagram.to_svg().lines().filter(|l| l.matches(',').count() > 2).count();
        assert_eq!(bends, 1, "{}", diagram.to_svg());
    }
}
