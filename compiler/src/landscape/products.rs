//! Which products of two indicator polynomials are at least which others, everywhere on the cube.
//!
//! Why: rho rises with an atom iff `T1*B0 >= T0*B1` on the cube of the other atoms, of which there
//! are at most three. There are 256 functions of three atoms and 31,858 distinct products of two of
//! them, so every question of monotonicity is one bit of a fixed relation. Functions of fewer atoms
//! are read as functions of three.
//!
//! In: two pairs of tables of three atoms. Out: whether the one product is at least the other.
//! Invariant: exact; the relation is invariant under the 48 symmetries of the cube (permuting and
//! complementing atoms), so a row is kept for one product of each orbit only, filled when first asked
//! for: 1,019 rows of 31,858 bits, 4 MB.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bernstein::{Sign, VERTICES, sign_on_cube};
use super::cube;

/// The six orders of three atoms.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// The symmetries of the cube: an order and a mask of atoms to complement.
const SYMMETRIES: usize = 48;

/// The twelve edges of the cube as `(middle, ends)`: the position of the middle coefficient and the
/// two vertices, numbered as in [`VERTICES`].
const EDGES: [(usize, [usize; 2]); 12] = [
    (1, [0, 1]),
    (7, [2, 3]),
    (19, [4, 5]),
    (25, [6, 7]),
    (3, [0, 2]),
    (5, [1, 3]),
    (21, [4, 6]),
    (23, [5, 7]),
    (9, [0, 4]),
    (11, [1, 5]),
    (15, [2, 6]),
    (17, [3, 7]),
];

/// One distinct product: its 27 numerators and what the quick tests read off them.
struct Product {
    /// The coefficient of `t^i` in the odds: how many pairs of rows of the factors add up to `i`.
    numerators: [u8; 27],
    /// The vertices at which it is 1.
    vertices: u8,
    /// The edges whose middle numerator is at least 1, and at least 2.
    edges: [u16; 2],
}

impl Product {
    fn new(numerators: [u8; 27]) -> Self {
        let vertices = VERTICES
            .iter()
            .enumerate()
            .fold(0, |mask, (k, &v)| mask | u8::from(numerators[v] > 0) << k);
        let middles = |least: u8| {
            EDGES
                .iter()
                .enumerate()
                .fold(0, |mask, (k, &(m, _))| mask | u16::from(numerators[m] >= least) << k)
        };
        Self { numerators, vertices, edges: [middles(1), middles(2)] }
    }
}

/// The relation, filled as it is asked.
pub(super) struct Products {
    /// The number of the product of the functions `a` and `b`, at `256 a + b`.
    numbers: Vec<u16>,
    products: Vec<Product>,
    /// The products that are 1 at exactly these vertices.
    by_vertices: Vec<Vec<u16>>,
    /// The orbit of each product, and the symmetry that takes it to the product that stands for it.
    orbits: Vec<(u16, u8)>,
    /// Where symmetry `s` takes product `p`, at `s * products + p`.
    images: Vec<u16>,
    /// The product that stands for each orbit.
    standing: Vec<u16>,
    /// For each orbit the set of the products that the standing one is at least.
    rows: Vec<OnceLock<Box<[u64]>>>,
    /// The edges of which both ends lie in a set of vertices.
    edges_within: [u16; 256],
    undecided: AtomicU64,
}

impl Products {
    /// The one relation of the process.
    pub(super) fn get() -> &'static Self {
        static PRODUCTS: OnceLock<Products> = OnceLock::new();
        PRODUCTS.get_or_init(Self::build)
    }

    /// The number of the product of two functions of three atoms; equal products have one number.
    pub(super) fn number(&self, a: u8, b: u8) -> u16 {
        self.numbers[usize::from(a) << 8 | usize::from(b)]
    }

    /// Whether the product numbered `p` is at least the one numbered `q` on the whole cube.
    pub(super) fn at_least(&self, p: u16, q: u16) -> bool {
        let (orbit, symmetry) = self.orbits[usize::from(p)];
        let q = self.images[usize::from(symmetry) * self.products.len() + usize::from(q)];
        let row = self.rows[usize::from(orbit)].get_or_init(|| self.row(orbit));
        row[usize::from(q >> 6)] >> (q & 63) & 1 == 1
    }

    /// How many comparisons among the rows filled so far met the bounds of the decision. Over all
    /// rows there are none; a count that finds one reports it instead of a number.
    pub(super) fn undecided(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed)
    }

    fn build() -> Self {
        let at_generic_point: Vec<u128> = (0..256_u64).map(kronecker).collect();
        let mut numbers = vec![0; 1 << 16];
        let mut products = Vec::new();
        let mut known = HashMap::new();
        for a in 0..256 {
            for b in a..256 {
                let packed = at_generic_point[a] * at_generic_point[b];
                let number = *known.entry(packed).or_insert_with(|| {
                    products.push(Product::new(unpack(packed)));
                    products.len() as u16 - 1
                });
                numbers[a << 8 | b] = number;
                numbers[b << 8 | a] = number;
            }
        }
        let images = images(&numbers, products.len());
        let (orbits, standing) = orbits(&images, products.len());
        let rows = standing.iter().map(|_| OnceLock::new()).collect();
        let mut edges_within = [0; 256];
        for (set, edges) in edges_within.iter_mut().enumerate() {
            for (k, (_, [u, v])) in EDGES.iter().enumerate() {
                *edges |= ((set >> u & set >> v & 1) as u16) << k;
            }
        }
        let mut by_vertices = vec![Vec::new(); 256];
        for (number, product) in products.iter().enumerate() {
            by_vertices[usize::from(product.vertices)].push(number as u16);
        }
        let undecided = AtomicU64::new(0);
        Self {
            numbers,
            products,
            by_vertices,
            orbits,
            images,
            standing,
            rows,
            edges_within,
            undecided,
        }
    }

    /// The differences, among the standing products and all others, that neither vertices and edges
    /// refuse nor coefficients confirm: those that are non-negative and those that are not.
    #[cfg(test)]
    pub(super) fn hard_differences(&self) -> [Vec<[i128; 27]>; 2] {
        let mut found = [Vec::new(), Vec::new()];
        for &number in &self.standing {
            let p = &self.products[usize::from(number)];
            for (k, q) in self.products.iter().enumerate() {
                if q.vertices & !p.vertices != 0 || self.is_negative_on_an_edge(p, q) {
                    continue;
                }
                let difference =
                    |i: usize| i128::from(p.numerators[i]) - i128::from(q.numerators[i]);
                let d: [i128; 27] = std::array::from_fn(difference);
                if d.iter().any(|&c| c < 0) {
                    found[usize::from(!self.at_least(number, k as u16))].push(d);
                }
            }
        }
        found
    }

    fn row(&self, orbit: u16) -> Box<[u64]> {
        let p = &self.products[usize::from(self.standing[usize::from(orbit)])];
        let mut row = vec![0; self.products.len().div_ceil(64)].into_boxed_slice();
        // Where the one is 0 at a vertex, so must the other be.
        for vertices in cube::Between::new(0, u64::from(p.vertices)) {
            for &k in &self.by_vertices[vertices as usize] {
                let q = &self.products[usize::from(k)];
                if self.is_negative_on_an_edge(p, q) {
                    continue;
                }
                let mut d = [0; 27];
                for (d, (&x, &y)) in d.iter_mut().zip(p.numerators.iter().zip(&q.numerators)) {
                    *d = x as i8 - y as i8;
                }
                match sign_on_cube(&d) {
                    Sign::NonNegative => row[usize::from(k >> 6)] |= 1 << (k & 63),
                    Sign::Negative => {}
                    Sign::Undecided => {
                        self.undecided.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        row
    }

    /// Whether the difference of two products is negative on an edge, bit-parallel, when it is at no
    /// vertex. The numerators at the ends of an edge are 0 or 1 and in its middle at most 2, so a
    /// negative middle makes the edge dip below zero unless the difference at both ends is 1.
    fn is_negative_on_an_edge(&self, p: &Product, q: &Product) -> bool {
        let lower = (q.edges[0] & !p.edges[0]) | (q.edges[1] & !p.edges[1]);
        lower & !self.edges_within[usize::from(p.vertices & !q.vertices)] != 0
    }
}

/// The indicator polynomial of a function of three atoms at odds 16, 16^3, 16^9: one hexadecimal
/// digit a coefficient. Coefficients of products are at most 8, so nothing carries and the product
/// of two such numbers holds the 27 numerators of the product.
fn kronecker(f: u64) -> u128 {
    (0..8_u32)
        .filter(|row| f >> row & 1 == 1)
        .map(|row| 1_u128 << (4 * ((row & 1) + 3 * (row >> 1 & 1) + 9 * (row >> 2))))
        .sum()
}

fn unpack(packed: u128) -> [u8; 27] {
    let mut digits = [0; 27];
    for (i, digit) in digits.iter_mut().enumerate() {
        *digit = (packed >> (4 * i) & 15) as u8;
    }
    digits
}

fn images(numbers: &[u16], products: usize) -> Vec<u16> {
    let mut factors = vec![(0, 0); products];
    for (pair, &number) in numbers.iter().enumerate() {
        factors[usize::from(number)] = (pair >> 8, pair & 255);
    }
    let mut images = Vec::with_capacity(SYMMETRIES * products);
    for order in ORDERS {
        let to = order.map(Some);
        for complemented in 0..8_usize {
            let image: Vec<usize> = (0..256)
                .map(|f| {
                    let flipped = (0..8_usize)
                        .filter(|row| f >> (row ^ complemented) & 1 == 1)
                        .fold(0, |table, row| table | 1 << row);
                    cube::relabel(flipped, &to, 3) as usize
                })
                .collect();
            images.extend(factors.iter().map(|&(a, b)| numbers[image[a] << 8 | image[b]]));
        }
    }
    images
}

fn orbits(images: &[u16], products: usize) -> (Vec<(u16, u8)>, Vec<u16>) {
    let mut standing = Vec::new();
    let mut orbit_of = vec![0; products];
    let mut orbits = vec![(0, 0); products];
    for (p, entry) in orbits.iter_mut().enumerate() {
        let (least, symmetry) = (0..SYMMETRIES)
            .map(|s| (images[s * products + p], s as u8))
            .min()
            .unwrap_or((p as u16, 0));
        // The least product of an orbit comes first, so it is known when the others ask for it.
        if usize::from(least) == p {
            orbit_of[p] = standing.len() as u16;
            standing.push(p as u16);
        }
        *entry = (orbit_of[usize::from(least)], symmetry);
    }
    (orbits, standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a function's indicator polynomial at `x / 8`, times 8^3.
    fn scaled_value(f: u8, x: [i64; 3]) -> i64 {
        (0..8)
            .filter(|row| f >> row & 1 == 1)
            .map(|row| {
                (0..3).map(|i| if row >> i & 1 == 1 { x[i] } else { 8 - x[i] }).product::<i64>()
            })
            .sum()
    }

    #[test]
    fn the_relation_never_contradicts_a_value() {
        let products = Products::get();
        let grid: Vec<[i64; 3]> = [0, 1, 4, 6, 8]
            .into_iter()
            .flat_map(|x| [0, 3, 4, 8].map(|y| (x, y)))
            .flat_map(|(x, y)| [0, 2, 5, 7, 8].map(|z| [x, y, z]))
            .collect();
        // A stride that is coprime to 2^32 visits quadruples of functions far apart.
        let (mut held, mut refuted) = (0, 0);
        for step in 0..4_000_u32 {
            let [a, b, c, d] = step.wrapping_mul(2_654_435_769).to_le_bytes();
            // Half of the cases are made likely to hold: c and d within a and b.
            let (c, d) = if step % 2 == 0 { (c & a, d & b) } else { (c, d) };
            let holds = products.at_least(products.number(a, b), products.number(c, d));
            let dips = grid.iter().any(|&x| {
                scaled_value(a, x) * scaled_value(b, x) < scaled_value(c, x) * scaled_value(d, x)
            });
            assert!(!(holds && dips), "{a:#x}*{b:#x} >= {c:#x}*{d:#x} fails on the grid");
            held += u32::from(holds);
            refuted += u32::from(dips);
        }
        assert!(held > 1_000 && refuted > 1_000);
    }

    /// Fills the whole relation: the bounds of the decision are met nowhere, so every answer of
    /// this module is exact.
    #[test]
    fn every_comparison_is_decided() {
        let products = Products::get();
        for &p in &products.standing {
            products.at_least(p, p);
        }
        assert!(products.rows.iter().all(|row| row.get().is_some()));
        assert_eq!(products.undecided(), 0);
    }

    #[test]
    fn products_and_symmetries_are_consistent() {
        let products = Products::get();
        assert_eq!(products.products.len(), 31_858);
        assert_eq!(products.standing.len(), 1_019);
        for (p, &(orbit, symmetry)) in products.orbits.iter().enumerate() {
            let image = products.images[usize::from(symmetry) * products.products.len() + p];
            assert_eq!(image, products.standing[usize::from(orbit)]);
        }
        // rho of a product with itself, and with the function that is true everywhere
        for a in (0..=255).step_by(7) {
            let p = products.number(a, a);
            assert!(products.at_least(p, p));
            assert!(products.at_least(products.number(a, 255), p));
        }
    }
}
