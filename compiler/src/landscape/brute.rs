//! The second method, for tests only: the definitions, evaluated one structure at a time, with none of
//! the machinery of the counts. Fractions are told apart by their value at a generic point; signs are
//! decided by Tarski queries (signed remainder sequences) on univariate integer polynomials.

use std::collections::{HashMap, HashSet};

use dashu_int::IBig;

use super::universe::Universe;
use super::{cube, *};

/// The value of the fraction `t / b` at a point where different fractions differ, in lowest terms.
pub(super) fn key(t: u64, b: u64, atoms: usize) -> (u128, u128) {
    // Numerators of products of two functions of three atoms are at most 8: base 32 keeps them apart.
    assert!(atoms <= 3);
    let weight = [5, 15, 45];
    let at = |f: u64| -> u128 {
        (0..1_usize << atoms)
            .filter(|row| f >> row & 1 == 1)
            .map(|row| 1 << (0..atoms).map(|i| (row >> i & 1) * weight[i]).sum::<usize>())
            .sum()
    };
    let (t, b) = (at(t), at(b));
    let common = gcd(t, b);
    (t / common, b / common)
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

// Univariate polynomials over the integers, lowest coefficient first, no trailing zero.

type Poly = Vec<IBig>;

fn poly(coefficients: &[i128]) -> Poly {
    trimmed(coefficients.iter().map(|&c| IBig::from(c)).collect())
}

fn trimmed(mut p: Poly) -> Poly {
    while p.last().is_some_and(IBig::is_zero) {
        p.pop();
    }
    p
}

fn positive(c: &IBig) -> bool {
    *c > IBig::ZERO
}

/// Divided by the content, which is positive.
fn primitive(p: Poly) -> Poly {
    let mut content = IBig::ZERO;
    for c in &p {
        let mut next = c.clone();
        while !next.is_zero() {
            (content, next) = (next.clone(), content % &next);
        }
    }
    if content.is_zero() {
        return p;
    }
    let content = if positive(&content) { content } else { -content };
    p.into_iter().map(|c| c / &content).collect()
}

fn times(p: &[IBig], q: &[IBig]) -> Poly {
    if p.is_empty() || q.is_empty() {
        return Vec::new();
    }
    let mut product = vec![IBig::ZERO; p.len() + q.len() - 1];
    for (i, a) in p.iter().enumerate() {
        for (j, b) in q.iter().enumerate() {
            product[i + j] += a * b;
        }
    }
    product
}

fn derivative(p: &[IBig]) -> Poly {
    p.iter().enumerate().skip(1).map(|(i, c)| c * IBig::from(i)).collect()
}

/// A positive multiple of the remainder of `p` by `q`.
fn remainder(p: &[IBig], q: &[IBig]) -> Poly {
    let lead = q.last().expect("a divisor");
    let (sign, size) = (lead.signum(), lead * lead.signum());
    let mut rest = p.to_vec();
    while rest.len() >= q.len() {
        let top = &sign * rest.last().expect("longer than q");
        let shift = rest.len() - q.len();
        for c in &mut rest {
            *c *= &size;
        }
        for (i, c) in q.iter().enumerate() {
            rest[i + shift] -= &top * c;
        }
        rest = primitive(trimmed(rest));
    }
    rest
}

fn gcd_of(p: &[IBig], q: &[IBig]) -> Poly {
    if q.is_empty() { primitive(p.to_vec()) } else { gcd_of(q, &remainder(p, q)) }
}

/// `p / q` up to a constant; `q` divides `p`.
fn quotient(p: &[IBig], q: &[IBig]) -> Poly {
    let lead = q.last().expect("a divisor");
    let mut rest = p.to_vec();
    let mut found = vec![IBig::ZERO; p.len() - q.len() + 1];
    for shift in (0..found.len()).rev() {
        for c in rest.iter_mut().chain(&mut found) {
            *c *= lead;
        }
        let factor = &rest[shift + q.len() - 1] / lead;
        for (i, c) in q.iter().enumerate() {
            rest[i + shift] -= &factor * c;
        }
        found[shift] += factor;
    }
    primitive(trimmed(found))
}

/// The sum over the roots of `p` in (0, infinity) of the sign of `q` there.
fn tarski(p: &[IBig], q: &[IBig]) -> i32 {
    let mut sequence = vec![p.to_vec(), trimmed(times(&derivative(p), q))];
    while let [.., a, b] = &sequence[..]
        && !b.is_empty()
    {
        let next = remainder(a, b).into_iter().map(|c| -c).collect();
        sequence.push(next);
    }
    sequence.retain(|s| !s.is_empty());
    let variations = |pick: fn(&Poly) -> Option<&IBig>| {
        let signs: Vec<bool> = sequence.iter().filter_map(pick).map(positive).collect();
        signs.windows(2).filter(|pair| pair[0] != pair[1]).count() as i32
    };
    // Just right of 0 the lowest non-zero coefficient decides, at infinity the highest.
    variations(|s| s.iter().find(|c| !c.is_zero())) - variations(|s| s.last())
}

/// The product of the factors of `p` of odd multiplicity, a factor `u` left out.
fn odd_part(p: &[IBig]) -> Poly {
    let start = p.iter().position(|c| !c.is_zero()).unwrap_or(0);
    let mut rest = primitive(p[start..].to_vec());
    let mut odd = poly(&[1]);
    let mut multiplicity = 1;
    // Yun without its savings: strip the squarefree part off, one multiplicity at a time.
    while rest.len() > 1 {
        let repeated = gcd_of(&rest, &derivative(&rest));
        let squarefree = quotient(&rest, &repeated);
        if multiplicity % 2 == 1 {
            let further = gcd_of(&squarefree, &repeated);
            odd = times(&odd, &quotient(&squarefree, &further));
        }
        rest = repeated;
        multiplicity += 1;
    }
    primitive(odd)
}

/// Whether `p` is positive at `n / m`, both positive.
fn positive_at(p: &[IBig], n: &IBig, m: &IBig) -> bool {
    let power = |x: &IBig, k: usize| (0..k).fold(IBig::ONE, |y, _| y * x);
    let degree = p.len().max(1) - 1;
    let terms = p.iter().enumerate();
    positive(&terms.map(|(i, c)| c * power(n, i) * power(m, degree - i)).sum())
}

/// Whether `b < 0` and `d > 0` somewhere in (0, infinity); `b` has degree 2 at most.
fn meet(b: &[IBig], d: &[IBig]) -> bool {
    if !b.iter().any(|c| *c < IBig::ZERO) || !d.iter().any(positive) {
        return false;
    }
    // Where d changes sign within b < 0, it is positive on one side. Roots of d with b negative:
    // all, less those with b zero, less the surplus of those with b positive, halved.
    let odd = odd_part(d);
    let one = poly(&[1]);
    if odd.len() > 1 {
        let shared = gcd_of(&odd, b);
        let zero = if shared.len() > 1 { tarski(&shared, &one) } else { 0 };
        if tarski(&odd, &one) - zero - tarski(&odd, b) > 0 {
            return true;
        }
    }
    // Otherwise the sign of d is the same, zeros aside, on each interval where b < 0: those that end
    // at 0 or at infinity, or the one around the minimum of b. Several points each, for zeros.
    let mut points: Vec<(IBig, IBig)> = Vec::new();
    for k in 0..40_usize {
        points.extend([(IBig::ONE, IBig::ONE << k), (IBig::ONE << k, IBig::ONE)]);
    }
    if let [_, slope, curve] = b
        && positive(curve)
    {
        let (n, m) = (-slope, curve * IBig::from(2));
        points.extend([(n.clone(), m.clone())]);
        for k in 6..40_usize {
            let (n, m) = (&n << k, &m << k);
            points.extend([(&n + IBig::ONE, m.clone()), (n - IBig::ONE, m)]);
        }
    }
    let minus_b: Poly = b.iter().map(|c| -c).collect();
    points
        .into_iter()
        .any(|(n, m)| positive(&n) && positive_at(&minus_b, &n, &m) && positive_at(d, &n, &m))
}

/// Whether the polynomial with these numerators (odds `u^i v^j` at `[i][j]`) is non-negative for all
/// positive odds: as a quadratic in `v` with coefficients in `u`.
pub(super) fn nonnegative(d: [[i128; 3]; 3]) -> bool {
    let [c, b, a] = [0, 1, 2].map(|j| [d[0][j], d[1][j], d[2][j]]);
    let never_negative =
        |q: [i128; 3]| q[0] >= 0 && q[2] >= 0 && (q[1] >= 0 || q[1] * q[1] <= 4 * q[0] * q[2]);
    if !never_negative(a) || !never_negative(c) {
        return false;
    }
    let mut discriminant = [0; 5];
    for i in 0..3 {
        for j in 0..3 {
            discriminant[i + j] += b[i] * b[j] - 4 * a[i] * c[j];
        }
    }
    !meet(&poly(&b), &poly(&discriminant))
}

/// The numerators of `T1*B0 - T0*B1` for the cofactors in atom `i`, by the exponents of the odds of
/// the other atoms, in base 3.
pub(super) fn slope(t: u64, b: u64, i: usize, atoms: usize) -> Vec<i128> {
    let place = |row: usize| {
        let others = (0..atoms).filter(|&j| j != i);
        others.enumerate().map(|(k, j)| (row >> j & 1) * 3_usize.pow(k as u32)).sum::<usize>()
    };
    let mut d = vec![0; 3_usize.pow(atoms as u32 - 1)];
    for x in (0..1_usize << atoms).filter(|x| t >> x & 1 == 1) {
        for y in (0..1_usize << atoms).filter(|y| b >> y & 1 == 1) {
            match (x >> i & 1, y >> i & 1) {
                (1, 0) => d[place(x) + place(y)] += 1,
                (0, 1) => d[place(x) + place(y)] -= 1,
                _ => {}
            }
        }
    }
    d
}

/// Whether `T/B` nowhere falls with atom 0 and nowhere rises with atom 1, and is not constant in both.
/// Exact for two and three atoms. For four, exact on planes: the odds of each of the other atoms in
/// turn are fixed at several values.
pub(super) fn is_monotone(t: u64, b: u64, atoms: usize) -> bool {
    let slopes =
        [slope(t, b, 0, atoms), slope(t, b, 1, atoms).into_iter().map(|c| -c).collect::<Vec<_>>()];
    slopes.iter().any(|d| d.iter().any(|&c| c != 0))
        && slopes.iter().all(|d| match d[..] {
            [x, y, z] => nonnegative([[x, y, z], [0; 3], [0; 3]]),
            _ if d.len() == 9 => nonnegative([0, 1, 2].map(|i| [d[i], d[i + 3], d[i + 6]])),
            _ => nonnegative_on_planes(d),
        })
}

/// Whether the polynomial of three variables is non-negative on every one of a set of planes.
pub(super) fn nonnegative_on_planes(d: &[i128]) -> bool {
    let odds = [[1, 0, 0], [0, 0, 1]].into_iter().chain(
        [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2), (1, 4), (4, 1), (1, 9), (9, 1), (1, 40), (40, 1)]
            .map(|(p, q)| [q * q, p * q, p * p]),
    );
    let strides = [1, 3, 9];
    odds.into_iter().all(|at: [i128; 3]| {
        (0..3).all(|fixed| {
            let free: Vec<usize> = strides.into_iter().filter(|&s| s != strides[fixed]).collect();
            nonnegative([0, 1, 2].map(|i| {
                [0, 1, 2].map(|j| {
                    let start = i * free[0] + j * free[1];
                    (0..3).map(|k| at[k] * d[start + k * strides[fixed]]).sum()
                })
            }))
        })
    })
}

/// The whole relation on products against planes through the cube: what holds is nowhere negative on
/// them, and what does not is negative on one of them. Some minutes in a release build.
#[test]
fn the_relation_agrees_on_planes() {
    if std::env::var_os("PONENS_EXHAUSTIVE").is_none() {
        eprintln!("skipped: set PONENS_EXHAUSTIVE to run it");
        return;
    }
    let [held, failed] = super::products::Products::get().hard_differences();
    for d in &held {
        assert!(nonnegative_on_planes(d), "{d:?} is negative on a plane");
    }
    for d in &failed {
        assert!(!nonnegative_on_planes(d), "{d:?} is negative on no plane");
    }
}

/// A small deterministic generator (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn the_sign_decision_knows_squares() {
    // (u - v)^2 and the same less and more u v
    assert!(nonnegative([[0, 0, 1], [0, -2, 0], [1, 0, 0]]));
    assert!(!nonnegative([[0, 0, 1], [0, -3, 0], [1, 0, 0]]));
    // (uv - 1)^2 + (u - 1)^2 touches 0 at (1, 1); less a little it does not
    assert!(nonnegative([[2, 0, 0], [-2, -2, 0], [1, 0, 1]]));
    assert!(!nonnegative([[2, 0, 0], [-2, -3, 0], [1, 0, 1]]));
    assert_eq!(odd_part(&poly(&[0, -1, 3, -3, 1])), poly(&[-1, 1]));
    assert_eq!(odd_part(&poly(&[1, -2, 1])), poly(&[1]));
    // the roots of u^2 - 5u + 6 are 2 and 3: 2u - 5 has both signs there
    assert_eq!(tarski(&poly(&[6, -5, 1]), &poly(&[-5, 2])), 0);
    assert_eq!(tarski(&poly(&[6, -5, 1]), &poly(&[1])), 2);
    // u^2 < 2 and u > 1 meet; u^2 < 2 and u > 2 do not
    assert!(meet(&poly(&[-2, 0, 1]), &poly(&[-1, 1])));
    assert!(!meet(&poly(&[-2, 0, 1]), &poly(&[-2, 1])));
}

/// Every structure of two and three atoms, by definition.
#[test]
fn brute_force_confirms_the_counts_of_two_and_three_atoms() {
    for atoms in 2..=3 {
        let mut monotone: HashMap<(u128, u128), (bool, bool)> = HashMap::new();
        let mut nonempty = 0;
        for t in 1..=cube::full(atoms) {
            for b in 1..=cube::full(atoms) {
                nonempty += 1;
                monotone.entry(key(t, b, atoms)).or_insert_with(|| {
                    let moves = |i| slope(t, b, i, atoms).iter().any(|&c| c != 0);
                    (is_monotone(t, b, atoms), moves(0) && moves(1))
                });
            }
        }
        let found = counts(atoms).expect("two or three atoms");
        assert_eq!(found.nonempty, nonempty);
        assert_eq!(found.distinct_rho, monotone.len() as u64);
        let of = |f: fn(&(bool, bool)) -> bool| monotone.values().filter(|v| f(v)).count() as u64;
        assert_eq!(found.monotone, of(|v| v.0));
        assert_eq!(found.monotone_in_both, of(|v| v.0 && v.1));
    }
}

/// Structures of four atoms: at random, and monotone ones with a row changed, where the condition is
/// on edge.
#[test]
fn a_sample_of_four_atoms_agrees_with_the_definition() {
    let universe = Universe::get(4).expect("four atoms");
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut seen = HashSet::new();
    let (mut yes, mut no) = (0, 0);
    for step in 0..400 {
        let bits = random.next();
        let (t, mut b) = ((bits as u16).max(1), ((bits >> 16) as u16).max(1));
        if step % 4 != 0 {
            let mut partners = Vec::new();
            universe.monotone_partners(t, |b| partners.push(b));
            b = partners[(bits >> 32) as usize % partners.len()];
            if step % 4 == 1 {
                b ^= 1 << (bits >> 60);
            }
        }
        if b == 0 || !seen.insert((t, b)) {
            continue;
        }
        let moves = |i| slope(t.into(), b.into(), i, 4).iter().any(|&c| c != 0);
        let monotone = universe.is_monotone(t, b) && (moves(0) || moves(1));
        assert_eq!(monotone, is_monotone(t.into(), b.into(), 4), "{t:#x}/{b:#x}");
        *if monotone { &mut yes } else { &mut no } += 1;
    }
    assert!(yes > 80 && no > 150, "{yes} monotone, {no} not");
}
