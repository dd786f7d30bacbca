//! landscape

mod atom;
mod bernstein;
mod count;
mod cube;
pub mod draw;
mod error;
mod factor;
mod filter;
mod gradient;
mod lattice;
mod order;
mod plan;
mod products;
mod search;
mod universe;

pub use atom::atoms;
pub use count::{Counts, counts};
pub use error::LandscapeError;
pub use factor::reduced;
pub use filter::{Each, Filter, Query};
pub use gradient::{Aggregate, Inputs};
pub use lattice::{Neighbours, Node, lattice_covers, neighbours, nodes, rows_in_words};
pub use order::{covers, entails};
pub use search::{Stream, count, stream};
