//! The arithmetic of PTX: one function an opcode and type.
//!
//! In: opcode, modifiers and type as text. Out: a function on register bits. Invariant: what is
//! correctly rounded on the hardware is correctly rounded here, directed roundings included.

use crate::instruction::Compute;

/// A type of numbers in the low bits of a register.
pub(crate) trait Word: Copy {
    fn get(bits: u64) -> Self;
    fn put(self) -> u64;
}

macro_rules! words {
    ($($type:ident $unsigned:ident),*) => {$(
        impl Word for $type {
            fn get(bits: u64) -> Self {
                bits as $unsigned as $type
            }
            fn put(self) -> u64 {
                u64::from(self as $unsigned)
            }
        }
    )*};
}

words!(u8 u8, i8 u8, u16 u16, i16 u16, u32 u32, i32 u32, u64 u64, i64 u64);

impl Word for f32 {
    fn get(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
    fn put(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Word for f64 {
    fn get(bits: u64) -> Self {
        f64::from_bits(bits)
    }
    fn put(self) -> u64 {
        self.to_bits()
    }
}

/// Turns a closure on numbers into a function on bits.
macro_rules! on {
    ($type:ident, |$a:ident| $body:expr) => {
        (|a, _, _| {
            let $a = <$type as Word>::get(a);
            Word::put($body)
        }) as Compute
    };
    ($type:ident, |$a:ident, $b:ident| $body:expr) => {
        (|a, b, _| {
            let ($a, $b) = (<$type as Word>::get(a), <$type as Word>::get(b));
            Word::put($body)
        }) as Compute
    };
    ($type:ident, |$a:ident, $b:ident, $c:ident| $body:expr) => {
        (|a, b, c| {
            let ($a, $b, $c) =
                (<$type as Word>::get(a), <$type as Word>::get(b), <$type as Word>::get(c));
            Word::put($body)
        }) as Compute
    };
}

macro_rules! integer {
    ($name:ident, $type:ident, $wide:ident) => {
        fn $name(op: &str) -> Option<Compute> {
            const BITS: u32 = <$type>::BITS;
            Some(match op {
                "add" => on!($type, |a, b| a.wrapping_add(b)),
                "sub" => on!($type, |a, b| a.wrapping_sub(b)),
                "mul.lo" => on!($type, |a, b| a.wrapping_mul(b)),
                "mul.hi" => on!($type, |a, b| ((a as $wide * b as $wide) >> BITS) as $type),
                "mul.wide" => on!($type, |a, b| (a as $wide * b as $wide) as i64),
                "mad.lo" => on!($type, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
                "mad.wide" => |a, b, c| {
                    let product =
                        <$type as Word>::get(a) as $wide * <$type as Word>::get(b) as $wide;
                    (product as u64).wrapping_add(c)
                },
                // The hardware gives all ones; a division by 0 has no defined value.
                "div" => on!($type, |a, b| a.checked_div(b).unwrap_or(<$type>::MAX)),
                "rem" => on!($type, |a, b| a.checked_rem(b).unwrap_or(a)),
                "min" => on!($type, |a, b| a.min(b)),
                "max" => on!($type, |a, b| a.max(b)),
                "neg" => on!($type, |a| (0 as $type).wrapping_sub(a)),
                "abs" => {
                    on!($type, |a| if a < (0 as $type) { (0 as $type).wrapping_sub(a) } else { a })
                }
                "and" => on!($type, |a, b| a & b),
                "or" => on!($type, |a, b| a | b),
                "xor" => on!($type, |a, b| a ^ b),
                "not" => on!($type, |a| !a),
                "clz" => on!($type, |a| a.leading_zeros()),
                "popc" => on!($type, |a| a.count_ones()),
                // Shift counts are unsigned 32-bit numbers, and clamp.
                "shl" => |a, b, _| {
                    let (a, by) = (<$type as Word>::get(a), b as u32);
                    if by >= BITS { 0 } else { Word::put(a << by) }
                },
                "shr" => |a, b, _| {
                    let (a, by) = (<$type as Word>::get(a), (b as u32).min(BITS - 1));
                    let past = b as u32 >= BITS && a >= (0 as $type);
                    if past { 0 } else { Word::put(a >> by) }
                },
                "mov" => on!($type, |a| a),
                "selp" => |a, b, p| if p != 0 { a } else { b },
                _ => return None,
            })
        }
    };
}

integer!(u16_op, u16, u32);
integer!(s16_op, i16, i32);
integer!(u32_op, u32, u64);
integer!(s32_op, i32, i64);
integer!(u64_op, u64, u128);
integer!(s64_op, i64, i128);

/// The smaller or greater as the hardware has it: NaN only if both are, +0 above -0.
macro_rules! extremes {
    ($min:ident, $max:ident, $type:ident) => {
        fn $min(a: $type, b: $type) -> $type {
            if a.is_nan() || b < a || (a == b && b.is_sign_negative()) { b } else { a }
        }
        fn $max(a: $type, b: $type) -> $type {
            if a.is_nan() || b > a || (a == b && a.is_sign_negative()) { b } else { a }
        }
    };
}

extremes!(min32, max32, f32);
extremes!(min64, max64, f64);

/// Subnormal numbers become 0 of their sign.
pub(crate) fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// a b + c rounded towards 0.
fn fma_zero(a: f32, b: f32, c: f32) -> f32 {
    let negative = f64::from(a) * f64::from(b) + f64::from(c) < 0.0;
    fma_directed(a, b, c, !negative)
}

/// a b + c rounded towards -inf (`down`) or +inf.
fn fma_directed(a: f32, b: f32, c: f32, down: bool) -> f32 {
    // The product is exact in f64; the sum has an exact error term (Knuth's TwoSum).
    let (p, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let s = p + c;
    if !s.is_finite() {
        return s as f32;
    }
    let t = s - p;
    let error = (p - (s - t)) + (c - t);
    let nearest = s as f32;
    let (above, below) = {
        let n = f64::from(nearest);
        (n > s || (n == s && error < 0.0), n < s || (n == s && error > 0.0))
    };
    match (down, above, below) {
        (true, true, _) => nearest.next_down(),
        (false, _, true) => nearest.next_up(),
        _ => nearest,
    }
}

fn f32_op(op: &str) -> Option<Compute> {
    Some(match op {
        "add" | "add.rn" => on!(f32, |a, b| a + b),
        "sub" | "sub.rn" => on!(f32, |a, b| a - b),
        "mul" | "mul.rn" => on!(f32, |a, b| a * b),
        "div.rn" => on!(f32, |a, b| a / b),
        "rcp.rn" => on!(f32, |a| 1.0 / a),
        "sqrt.rn" => on!(f32, |a| a.sqrt()),
        "fma.rn" => on!(f32, |a, b, c| a.mul_add(b, c)),
        "fma.rm" => on!(f32, |a, b, c| fma_directed(a, b, c, true)),
        "fma.rp" => on!(f32, |a, b, c| fma_directed(a, b, c, false)),
        "fma.rz" => on!(f32, |a, b, c| fma_zero(a, b, c)),
        // A sum and a product are multiply-adds with a factor of 1 and an addend of -0.
        "add.rm" => on!(f32, |a, b| fma_directed(a, 1.0, b, true)),
        "add.rp" => on!(f32, |a, b| fma_directed(a, 1.0, b, false)),
        "add.rz" => on!(f32, |a, b| fma_zero(a, 1.0, b)),
        "sub.rz" => on!(f32, |a, b| fma_zero(a, 1.0, -b)),
        "mul.rz" => on!(f32, |a, b| fma_zero(a, b, -0.0)),
        "neg" => on!(f32, |a| -a),
        "abs" => on!(f32, |a| a.abs()),
        "min" => on!(f32, |a, b| min32(a, b)),
        "max" => on!(f32, |a, b| max32(a, b)),
        "ex2.approx" => on!(f32, |a| f64::from(a).exp2() as f32),
        "ex2.approx.ftz" => on!(f32, |a| flush(f64::from(flush(a)).exp2() as f32)),
        "lg2.approx" => on!(f32, |a| f64::from(a).log2() as f32),
        "lg2.approx.ftz" => on!(f32, |a| flush(f64::from(flush(a)).log2() as f32)),
        "rcp.approx.ftz" => on!(f32, |a| flush(1.0 / flush(a))),
        "mul.ftz" => on!(f32, |a, b| flush(flush(a) * flush(b))),
        "mov" => on!(f32, |a| a),
        "selp" => |a, b, p| if p != 0 { a } else { b },
        _ => return None,
    })
}

fn f64_op(op: &str) -> Option<Compute> {
    Some(match op {
        "add" | "add.rn" => on!(f64, |a, b| a + b),
        "sub" | "sub.rn" => on!(f64, |a, b| a - b),
        "mul" | "mul.rn" => on!(f64, |a, b| a * b),
        "div.rn" => on!(f64, |a, b| a / b),
        "fma.rn" => on!(f64, |a, b, c| a.mul_add(b, c)),
        "neg" => on!(f64, |a| -a),
        "abs" => on!(f64, |a| a.abs()),
        "min" => on!(f64, |a, b| min64(a, b)),
        "max" => on!(f64, |a, b| max64(a, b)),
        "mov" => on!(f64, |a| a),
        "selp" => |a, b, p| if p != 0 { a } else { b },
        _ => return None,
    })
}

fn predicate_op(op: &str) -> Option<Compute> {
    Some(match op {
        "and" => |a, b, _| a & b,
        "or" => |a, b, _| a | b,
        "xor" => |a, b, _| a ^ b,
        "not" => |a, _, _| 1 - a,
        "mov" => |a, _, _| a & 1,
        _ => return None,
    })
}

/// The function of an opcode with its modifiers (`mul.wide`, `fma.rn`) on a type (`s32`).
pub(crate) fn compute(op: &str, ty: &str) -> Option<Compute> {
    match ty {
        "u16" | "b16" => u16_op(op),
        "s16" => s16_op(op),
        "u32" | "b32" => u32_op(op),
        "s32" => s32_op(op),
        "u64" | "b64" => u64_op(op),
        "s64" => s64_op(op),
        "f32" => f32_op(op),
        "f64" => f64_op(op),
        "pred" => predicate_op(op),
        _ => None,
    }
}

macro_rules! compare {
    ($name:ident, $type:ident, $nan:expr) => {
        fn $name(op: &str) -> Option<Compute> {
            // NaN makes the ordered comparisons false and the unordered ones true.
            const NAN: fn($type, $type) -> bool = $nan;
            Some(match op {
                "eq" => on!($type, |a, b| u8::from(a == b)),
                "ne" => on!($type, |a, b| u8::from(a != b && !NAN(a, b))),
                "lt" | "lo" => on!($type, |a, b| u8::from(a < b)),
                "le" | "ls" => on!($type, |a, b| u8::from(a <= b)),
                "gt" | "hi" => on!($type, |a, b| u8::from(a > b)),
                "ge" | "hs" => on!($type, |a, b| u8::from(a >= b)),
                "equ" => on!($type, |a, b| u8::from(a == b || NAN(a, b))),
                "neu" => on!($type, |a, b| u8::from(a != b || NAN(a, b))),
                "ltu" => on!($type, |a, b| u8::from(a < b || NAN(a, b))),
                "leu" => on!($type, |a, b| u8::from(a <= b || NAN(a, b))),
                "gtu" => on!($type, |a, b| u8::from(a > b || NAN(a, b))),
                "geu" => on!($type, |a, b| u8::from(a >= b || NAN(a, b))),
                "num" => on!($type, |a, b| u8::from(!NAN(a, b))),
                "nan" => on!($type, |a, b| u8::from(NAN(a, b))),
                _ => return None,
            })
        }
    };
}

compare!(compare_u16, u16, |_, _| false);
compare!(compare_s16, i16, |_, _| false);
compare!(compare_u32, u32, |_, _| false);
compare!(compare_s32, i32, |_, _| false);
compare!(compare_u64, u64, |_, _| false);
compare!(compare_s64, i64, |_, _| false);
compare!(compare_f32, f32, |a, b| a.is_nan() || b.is_nan());
compare!(compare_f64, f64, |a, b| a.is_nan() || b.is_nan());

/// The function of a comparison (`lt`, `leu`) on a type: 1 or 0.
pub(crate) fn compare(op: &str, ty: &str) -> Option<Compute> {
    match ty {
        "u16" | "b16" => compare_u16(op),
        "s16" => compare_s16(op),
        "u32" | "b32" => compare_u32(op),
        "s32" => compare_s32(op),
        "u64" | "b64" => compare_u64(op),
        "s64" => compare_s64(op),
        "f32" => compare_f32(op),
        "f64" => compare_f64(op),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(op: &str, a: f32, b: f32, c: f32) -> f32 {
        f32::get(f32_op(op).expect("known")(a.put(), b.put(), c.put()))
    }

    #[test]
    fn directed_roundings_enclose_the_exact_value() {
        let (third, tiny) = (1.0_f32 / 3.0, 1e-30_f32);
        assert_eq!(f("fma.rm", third, 3.0, 0.0), 1.0);
        assert_eq!(f("fma.rm", 1.0, 1.0, -tiny), 1.0_f32.next_down());
        assert_eq!(f("fma.rn", 1.0, 1.0, -tiny), 1.0);
        assert_eq!(f("fma.rp", 1.0, 1.0, tiny), 1.0_f32.next_up());
        assert_eq!(f("fma.rz", -1.0, 1.0, tiny), -(1.0_f32.next_down()));
        assert_eq!(f("fma.rm", 2.0, 3.0, 4.0), 10.0);
        assert_eq!(f("add.rz", 1.0, -tiny, 0.0), 1.0_f32.next_down());
        assert_eq!(f("add.rz", -1.0, tiny, 0.0), -(1.0_f32.next_down()));
        assert_eq!(f("sub.rz", 1.0, -tiny, 0.0), 1.0);
        assert!(f("mul.rz", -0.0, 1.0, 0.0).is_sign_negative());
        assert_eq!(f("fma.rm", f32::INFINITY, 1.0, 0.0), f32::INFINITY);
    }

    #[test]
    fn extremes_prefer_numbers_and_order_zeros() {
        assert_eq!(f("max", f32::NAN, 1.0, 0.0), 1.0);
        assert_eq!(f("min", 1.0, f32::NAN, 0.0), 1.0);
        assert!(f("max", -0.0, 0.0, 0.0).is_sign_positive());
        assert!(f("min", 0.0, -0.0, 0.0).is_sign_negative());
    }

    #[test]
    fn integers_wrap_extend_and_clamp() {
        let run = |op, ty, a: i64, b: i64| compute(op, ty).expect("known")(a as u64, b as u64, 0);
        assert_eq!(run("add", "s32", 0x7fff_ffff, 1), 0x8000_0000);
        assert_eq!(run("mul.wide", "s32", 0xffff_ffff, 3) as i64, -3);
        assert_eq!(run("mul.wide", "u32", 0xffff_ffff, 3), 0x2_ffff_fffd);
        assert_eq!(run("shr", "s32", 0x8000_0000, 40), 0xffff_ffff);
        assert_eq!(run("shr", "u32", 0x8000_0000, 40), 0);
        assert_eq!(run("shl", "b64", 1, 64), 0);
        assert_eq!(run("min", "s64", -1, 2) as i64, -1);
        let less = compare("lt", "s32").expect("known");
        assert_eq!(
            (less(0xffff_ffff, 0, 0), compare("lt", "u32").expect("known")(0xffff_ffff, 0, 0)),
            (1, 0)
        );
        let nan = f32::NAN.put();
        assert_eq!(compare("leu", "f32").expect("known")(nan, 0, 0), 1);
        assert_eq!(compare("ne", "f32").expect("known")(nan, 0, 0), 0);
    }
}
