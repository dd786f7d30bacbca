//! Is a polynomial of degree 2 in each of three variables non-negative on the unit cube? Exactly.
//!
//! Why: whether rho rises with an atom is the sign of `T1*B0 - T0*B1`, such a polynomial. In: its 27
//! Bernstein numerators. Out: a verdict reached in integers only. Invariant: `NonNegative` comes with
//! a certificate, `Negative` with a point; neither rests on rounding.
//!
//! With odds `t = x/(1-x)` in `(0, inf)` the polynomial is, up to a positive factor, the sum of
//! `d[i] * t^i` over `i` in `{0,1,2}^3`. The tests, cheapest first:
//!
//! 1. no coefficient is negative: non-negative;
//! 2. a line is negative somewhere. With the odds of two variables fixed the polynomial is
//!    `x + y t + z t^2` in those of the third, negative for some `t > 0` or in a limit iff `x < 0`,
//!    `z < 0`, or `y < 0` and `y^2 > 4xz`. The edges of the cube are such lines;
//! 3. as a quadratic `A t^2 + B t + C` in one of the variables, with `A` and `C` free of negative
//!    coefficients and `B-` the negative terms of `B`: if `4AC - (B-)^2` has no negative coefficient
//!    the discriminant is nowhere positive where `B` is negative. It is this test that settles
//!    polynomials that touch zero inside the cube, such as `(u - v)^2`, where subdivision never ends;
//! 4. subdivision at one half, the variables in turn, the same tests on each half.

/// Where a box of `{0,1,2}^3` starts and how far a step along each variable is.
const STRIDES: [usize; 3] = [1, 3, 9];

/// The binomial coefficients of degree 2.
const BINOMIAL: [i128; 3] = [1, 2, 1];

/// The positions of the eight vertices among the 27 coefficients, in the order of the truth table.
pub(super) const VERTICES: [usize; 8] = [0, 2, 6, 8, 18, 20, 24, 26];

/// Halvings along any path. The coefficients grow by 4 each time from at most 64, and test 3 adds
/// up products of two of them: at 24 halvings that is below 2^121.
const MAX_DEPTH: usize = 24;

/// Boxes looked at before giving up; the polynomials of the landscape need a few thousand at most.
const MAX_BOXES: usize = 1 << 18;

/// What is known about the sign of a polynomial on the cube.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// At least zero everywhere.
    NonNegative,
    /// Below zero somewhere.
    Negative,
    /// The bounds on depth and boxes were reached first.
    Undecided,
}

/// The values of one quadratic of the odds, up to a positive factor, at the odds where lines are
/// drawn: the weights of its three numerators at odds 0, 1, infinity; 1/4, 4; 1/16, 16.
const ODDS: [[i32; 3]; 7] =
    [[1, 0, 0], [1, 1, 1], [0, 0, 1], [16, 4, 1], [1, 4, 16], [256, 16, 1], [1, 16, 256]];

/// The sign on the cube of the polynomial with the numerators `d`: the coefficient of
/// `x^i (1-x)^(2-i)`, without the binomial factors, at `i0 + 3 i1 + 9 i2`. At most 8 in size.
pub(super) fn sign_on_cube(d: &[i8; 27]) -> Sign {
    if d.iter().all(|&c| c >= 0) {
        return Sign::NonNegative;
    }
    if some_line_is_negative(d, &ODDS[..3]) {
        return Sign::Negative;
    }
    // Dividing by the binomials gives the Bernstein coefficients; 8 clears the denominators.
    let mut coefficients = [0_i128; 27];
    for (i, c) in coefficients.iter_mut().enumerate() {
        *c = i128::from(d[i]) * 8 / weight(i);
    }
    if (0..3).any(|variable| discriminant_certifies(&coefficients, variable)) {
        return Sign::NonNegative;
    }
    if some_line_is_negative(d, &ODDS) {
        return Sign::Negative;
    }
    Subdivision { boxes: 0 }.sign(&coefficients, 0)
}

/// The strides of the two variables beside this one.
fn others(variable: usize) -> (usize, usize) {
    (STRIDES[usize::from(variable == 0)], STRIDES[2 - variable / 2])
}

fn some_line_is_negative(d: &[i8; 27], odds: &[[i32; 3]]) -> bool {
    (0..3).any(|variable| {
        let (first, second) = others(variable);
        odds.iter().any(|u| {
            // The quadratic in the free variable and the second, at these odds of the first.
            let mut face = [0_i32; 9];
            for (k, value) in face.iter_mut().enumerate() {
                let at = k % 3 * STRIDES[variable] + k / 3 * second;
                *value = (0..3).map(|i| u[i] * i32::from(d[at + i * first])).sum();
            }
            odds.iter().any(|v| {
                let [x, y, z] = [0, 1, 2]
                    .map(|k| (0..3).map(|j| i64::from(v[j] * face[k + 3 * j])).sum::<i64>());
                x < 0 || z < 0 || (y < 0 && y * y > 4 * x * z)
            })
        })
    })
}

fn weight(i: usize) -> i128 {
    BINOMIAL[i % 3] * BINOMIAL[i / 3 % 3] * BINOMIAL[i / 9]
}

struct Subdivision {
    boxes: usize,
}

impl Subdivision {
    fn sign(&mut self, c: &[i128; 27], depth: usize) -> Sign {
        self.boxes += 1;
        if c.iter().all(|&x| x >= 0) {
            return Sign::NonNegative;
        }
        if VERTICES.iter().any(|&v| c[v] < 0) {
            return Sign::Negative;
        }
        if (0..3).any(|variable| discriminant_certifies(c, variable)) {
            return Sign::NonNegative;
        }
        if depth == MAX_DEPTH || self.boxes >= MAX_BOXES {
            return Sign::Undecided;
        }
        let (low, high) = halves(c, STRIDES[depth % 3]);
        match self.sign(&low, depth + 1) {
            Sign::Negative => Sign::Negative,
            low => match self.sign(&high, depth + 1) {
                Sign::NonNegative => low,
                high => high,
            },
        }
    }
}

/// De Casteljau at one half along one variable; both halves are scaled by 4.
fn halves(c: &[i128; 27], stride: usize) -> ([i128; 27], [i128; 27]) {
    let (mut low, mut high) = (*c, *c);
    for start in (0..27).filter(|i| (i / stride).is_multiple_of(3)) {
        let [x, y, z] = [0, 1, 2].map(|k| c[start + k * stride]);
        let middle = x + 2 * y + z;
        for (k, value) in [4 * x, 2 * (x + y), middle].into_iter().enumerate() {
            low[start + k * stride] = value;
        }
        for (k, value) in [middle, 2 * (y + z), 4 * z].into_iter().enumerate() {
            high[start + k * stride] = value;
        }
    }
    (low, high)
}

/// Test 3 of the module documentation for the variable with this number.
fn discriminant_certifies(c: &[i128; 27], variable: usize) -> bool {
    let stride = STRIDES[variable];
    let (first, second) = others(variable);
    let part = |degree: usize| {
        let mut p = [0_i128; 9];
        for (k, value) in p.iter_mut().enumerate() {
            let i = degree * stride + k % 3 * first + k / 3 * second;
            *value = c[i] * weight(i);
        }
        p
    };
    let (constant, linear, square) = (part(0), part(1), part(2));
    if constant.iter().chain(&square).any(|&x| x < 0) {
        return false;
    }
    let mut discriminant = [0_i128; 25];
    for i in 0..9 {
        for j in 0..9 {
            let at = (i % 3 + j % 3) + 5 * (i / 3 + j / 3);
            discriminant[at] += 4 * constant[i] * square[j] - linear[i].min(0) * linear[j].min(0);
        }
    }
    discriminant.iter().all(|&x| x >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polynomial(terms: &[(i8, [usize; 3])]) -> [i8; 27] {
        let mut d = [0; 27];
        for &(c, [x, y, z]) in terms {
            d[x + 3 * y + 9 * z] += c;
        }
        d
    }

    #[test]
    fn squares_that_touch_zero_inside_are_non_negative() {
        // (u - v)^2 w^k in the odds
        for k in 0..3 {
            let d = polynomial(&[(1, [2, 0, k]), (-2, [1, 1, k]), (1, [0, 2, k])]);
            assert_eq!(sign_on_cube(&d), Sign::NonNegative);
        }
    }

    #[test]
    fn a_square_less_a_little_is_negative() {
        // (u - v)^2 - u v w: negative at u = v
        let d = polynomial(&[(1, [2, 0, 1]), (-2, [1, 1, 1]), (1, [0, 2, 1]), (-1, [1, 1, 2])]);
        assert_eq!(sign_on_cube(&d), Sign::Negative);
        // u^2 - 3 u v + v^2 within one face
        let d = polynomial(&[(1, [2, 0, 0]), (-3, [1, 1, 0]), (1, [0, 2, 0])]);
        assert_eq!(sign_on_cube(&d), Sign::Negative);
    }

    #[test]
    fn an_edge_is_decided_in_closed_form() {
        let edge = |y| polynomial(&[(1, [0, 0, 0]), (y, [1, 0, 0]), (1, [2, 0, 0])]);
        assert_eq!(sign_on_cube(&edge(-2)), Sign::NonNegative);
        assert_eq!(sign_on_cube(&edge(-3)), Sign::Negative);
    }

    #[test]
    fn halving_keeps_the_values_at_the_ends() {
        let mut c = [0_i128; 27];
        for (i, x) in c.iter_mut().enumerate() {
            *x = (i as i128 * 7919) % 31 - 15;
        }
        for stride in STRIDES {
            let (low, high) = halves(&c, stride);
            for start in (0..27).filter(|i| (i / stride).is_multiple_of(3)) {
                assert_eq!(low[start], 4 * c[start]);
                assert_eq!(high[start + 2 * stride], 4 * c[start + 2 * stride]);
                assert_eq!(low[start + 2 * stride], high[start]);
            }
        }
    }
}
