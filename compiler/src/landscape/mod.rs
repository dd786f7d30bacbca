//! The landscape of preference losses: all of them over two, three or four atoms, counted, searched,
//! ordered and drawn.
//!
//! Why: a loss that is a structure (SEMANTICS, section 2) is one of 4^(2^n) pairs of Boolean functions
//! (W, L) of its n atoms, here `pi(w)`, `pi(l)`, `ref(w)`, `ref(l)` in this order. With four atoms
//! these are 4,294,967,296, too many to look at one by one with care, few enough to know exactly.
//! In: a number of atoms and filters. Out: exact counts, streams of structures, covers, drawings.
//! Invariant: nothing is sampled and nothing rests on rounding, but for the threshold of the gradient
//! filter, which is itself numerical.
//!
//! # The counting argument
//!
//! **A distinct rho is a coprime pair.** rho = log T - log B, with T and B the indicator polynomials of
//! W and L: multilinear, 0 or 1 at every vertex of the cube, positive inside it when W and L are not
//! empty. Two structures have one rho iff their fractions T/B are equal, and a fraction has one form in
//! lowest terms. A factor of a multilinear polynomial shares no variable with its cofactor, so it is,
//! up to a constant, again the indicator of a Boolean function: in terms of logic, a function is in one
//! way a conjunction of irreducible functions over disjoint atoms. The constants are no ambiguity: an
//! indicator has the maximum 1. Hence the distinct rho are the pairs of non-zero functions without a
//! common irreducible factor. With M(d) the number of non-zero functions that d divides, there are
//!
//! ```text
//! sum over d of mu(d) M(d)^2,    mu(d) = (-1)^(number of irreducible factors of d)
//! ```
//!
//! of them: a pair is counted once for each common divisor d, and these contributions add up to 1 when
//! only d = 1 is left, to 0 otherwise. A second count needs no factors at all. A pair of non-zero
//! functions is a coprime pair that uses k of the n atoms, times one non-zero function of the other
//! n - k; so with c(k) the number of coprime pairs that use exactly k given atoms,
//!
//! ```text
//! (2^(2^n) - 1)^2 = sum over k of C(n, k) c(k) (2^(2^(n-k)) - 1)
//! ```
//!
//! which gives c(n) from the smaller ones, and the distinct rho as the sum of C(n, k) c(k).
//!
//! **Monotonicity is a relation on products.** On the line through the cube along w, T = T1 w + T0 (1-w)
//! and likewise B, with the cofactors T1, T0, B1, B0 functions of the other atoms. The derivative of T/B
//! by w has the sign of `T1 B0 - T0 B1`, which does not depend on w. It is at least 0 inside the cube iff
//! it is on the closed cube, by continuity, so it does not matter that rho is undefined on parts of the
//! boundary. So rho nowhere falls with w iff the product T1 B0 is at least the product T0 B1
//! everywhere; for l the other way round. With four atoms these are products of two functions of three
//! atoms: 31,858 distinct ones. The relation "at least" among them is invariant under the 48 symmetries
//! of the cube and is kept as 1,019 rows of bits. Whether one product is at least another is the
//! sign of a polynomial of degree 2 in each of three variables, decided exactly: closed forms on edges
//! and lines, a discriminant certificate, subdivision of what is left. All pairs are decided within the
//! bounds of that search, which a test checks over the whole relation; should one not be, counts are
//! refused rather than guessed.
//!
//! **Facets prune.** A condition that holds on the cube holds on its facets. On a facet of `ref(l)` a
//! pair over four atoms is a pair over three, possibly with an empty side, under the same two
//! conditions. So for each W the losing functions are put together from two lists of three-atom
//! functions, and of the 2^32 pairs about one in fifty is tried. Every coprime pair among them that
//! passes is one monotone rho, met once. It is constant in (w, l) iff neither side depends on w or l: in
//! lowest terms nothing is left to cancel.
//!
//! **The second method** is the definition itself: for two and three atoms every structure is
//! evaluated at a point where different fractions differ, and signs are decided by Tarski queries on
//! univariate polynomials; for four atoms a sample is. It shares no code with the counts.

mod atom;
mod bernstein;
#[cfg(test)]
mod brute;
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
#[cfg(test)]
mod search_tests;
mod universe;

pub use atom::atoms;
pub use count::{Counts, counts, counts_until};
pub use error::LandscapeError;
pub use factor::reduced;
pub use filter::{Each, Filter, Query};
pub use gradient::{Aggregate, Inputs};
pub use lattice::{Neighbours, Node, lattice_covers, neighbours, nodes, rows_in_words};
pub use order::{covers, entails};
pub use search::{Stream, count, stream};
