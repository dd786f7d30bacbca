//! Conversions between types of numbers.

use crate::arithmetic::{Word, flush};
use half::{bf16, f16};

/// A type of numbers in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unsigned(u32),
    Signed(u32),
    F16,
    Bf16,
    F32,
    F64,
}

impl Kind {
    pub(crate) fn of(ty: &str) -> Option<Self> {
        Some(match ty {
            "f16" => Kind::F16,
            "bf16" => Kind::Bf16,
            "f32" => Kind::F32,
            "f64" => Kind::F64,
            _ => {
                let bits = ty.get(1..)?.parse().ok().filter(|b| [8, 16, 32, 64].contains(b))?;
                match ty.as_bytes().first()? {
                    b'u' | b'b' => Kind::Unsigned(bits),
                    b's' => Kind::Signed(bits),
                    _ => return None,
                }
            }
        })
    }

    pub(crate) fn is_float(self) -> bool {
        !matches!(self, Kind::Unsigned(_) | Kind::Signed(_))
    }
}

/// How a fraction is rounded to a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nearest,
    Zero,
    Down,
    Up,
}

/// One form of `cvt`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conversion {
    pub(crate) to: Kind,
    pub(crate) from: Kind,
    /// To whole numbers, even where the result is floating-point.
    pub(crate) whole: Option<Rounding>,
    /// Clamped to [0, 1] for floating-point results; NaN becomes 0.
    pub(crate) saturate: bool,
    pub(crate) ftz: bool,
}

impl Conversion {
    /// The value's bits in the new type.
    pub(crate) fn apply(&self, bits: u64) -> u64 {
        if self.from.is_float() { self.of_float(bits) } else { self.of_integer(bits) }
    }

    fn of_integer(&self, bits: u64) -> u64 {
        let value: i128 = match self.from {
            Kind::Unsigned(n) => i128::from(truncated(bits, n)),
            Kind::Signed(n) => i128::from(extended(bits, n)),
            _ => 0,
        };
        match self.to {
            Kind::Unsigned(n) | Kind::Signed(n) => truncated(value as u64, n),
            Kind::F32 => (value as f32).put(),
            Kind::F64 => (value as f64).put(),
            Kind::F16 => u64::from(f16::from_f64(value as f64).to_bits()),
            Kind::Bf16 => u64::from(bf16::from_f64(value as f64).to_bits()),
        }
    }

    fn of_float(&self, bits: u64) -> u64 {
        let mut x = match self.from {
            Kind::F16 => f64::from(f16::from_bits(bits as u16)),
            Kind::Bf16 => f64::from(bf16::from_bits(bits as u16)),
            Kind::F32 if self.ftz => f64::from(flush(f32::get(bits))),
            Kind::F32 => f64::from(f32::get(bits)),
            _ => f64::get(bits),
        };
        x = match self.whole {
            None => x,
            Some(Rounding::Nearest) => x.round_ties_even(),
            Some(Rounding::Zero) => x.trunc(),
            Some(Rounding::Down) => x.floor(),
            Some(Rounding::Up) => x.ceil(),
        };
        if self.saturate && self.to.is_float() {
            x = if x > 0.0 { x.min(1.0) } else { 0.0 };
        }
        match self.to {
            // Out of range clamps, NaN gives 0: Rust's casts do the same.
            Kind::Unsigned(8) => u64::from(x as u8),
            Kind::Unsigned(16) => u64::from(x as u16),
            Kind::Unsigned(32) => u64::from(x as u32),
            Kind::Unsigned(_) => x as u64,
            Kind::Signed(8) => (x as i8).put(),
            Kind::Signed(16) => (x as i16).put(),
            Kind::Signed(32) => (x as i32).put(),
            Kind::Signed(_) => (x as i64).put(),
            Kind::F16 => u64::from(f16::from_f64(x).to_bits()),
            Kind::Bf16 => u64::from(bf16::from_f64(x).to_bits()),
            Kind::F32 => (x as f32).put(),
            Kind::F64 => x.put(),
        }
    }
}

/// Two f32 numbers, the high half first, rounded to two 16-bit ones.
pub(crate) fn pack_f16(high: u64, low: u64, _: u64) -> u64 {
    let half = |x: u64| u64::from(f16::from_f32(f32::get(x)).to_bits());
    half(high) << 16 | half(low)
}

/// The same in bf16.
pub(crate) fn pack_bf16(high: u64, low: u64, _: u64) -> u64 {
    let half = |x: u64| u64::from(bf16::from_f32(f32::get(x)).to_bits());
    half(high) << 16 | half(low)
}

/// The low bits of a register.
pub(crate) fn truncated(bits: u64, n: u32) -> u64 {
    if n >= 64 { bits } else { bits & ((1 << n) - 1) }
}

/// The low bits of a register as a signed number.
pub(crate) fn extended(bits: u64, n: u32) -> i64 {
    let shift = 64 - n.min(64);
    ((bits << shift) as i64) >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cvt(to: &str, from: &str, whole: Option<Rounding>, saturate: bool, bits: u64) -> u64 {
        let (to, from) = (Kind::of(to).expect("a type"), Kind::of(from).expect("a type"));
        Conversion { to, from, whole, saturate, ftz: false }.apply(bits)
    }

    #[test]
    fn conversions_extend_round_and_clamp() {
        assert_eq!(cvt("s64", "s32", None, false, 0xffff_fffe) as i64, -2);
        assert_eq!(cvt("u64", "u32", None, false, 0xffff_fffe), 0xffff_fffe);
        assert_eq!(cvt("u32", "u64", None, false, 0x1_0000_0001), 1);
        let down = Some(Rounding::Down);
        assert_eq!(cvt("s32", "f32", down, false, (-1.5_f32).put()) as u32 as i32, -2);
        assert_eq!(f32::get(cvt("f32", "f32", down, false, 1.5_f32.put())), 1.0);
        assert_eq!(f32::get(cvt("f32", "f32", None, true, 1.5_f32.put())), 1.0);
        assert_eq!(f32::get(cvt("f32", "f32", None, true, f32::NAN.put())), 0.0);
        assert_eq!(f32::get(cvt("f32", "f16", None, false, 0x3c00)), 1.0);
        assert_eq!(cvt("s32", "f32", Some(Rounding::Zero), false, 1e20_f32.put()), 0x7fff_ffff);
        assert_eq!(pack_f16(1.0_f32.put(), 2.0_f32.put(), 0), 0x3c00_4000);
        assert_eq!(pack_bf16(1.0_f32.put(), 2.0_f32.put(), 0), 0x3f80_4000);
    }
}
