//! Architectures of graphics processors.

use super::KernelError;
use std::fmt;
use std::str::FromStr;

/// An architecture: `sm_80` (A100), `sm_89` (L4, RTX 40), `sm_90` (H100), `sm_90a`, ...
///
/// The kernels use 16-bit conversions that exist from 8.0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arch {
    capability: u32,
    /// `a` or `f` behind the number: code for this architecture only.
    variant: Option<char>,
}

impl Arch {
    /// 8.0
    pub const SM_80: Arch = Arch { capability: 80, variant: None };
    /// 9.0
    pub const SM_90: Arch = Arch { capability: 90, variant: None };

    /// The architecture of a compute capability.
    ///
    /// # Errors
    /// Older than 8.0.
    pub fn of(major: u32, minor: u32) -> Result<Self, KernelError> {
        format!("sm_{major}{minor}").parse()
    }

    /// As NVRTC takes it for PTX: `compute_80`.
    pub(super) fn virtual_name(self) -> String {
        self.to_string().replacen("sm_", "compute_", 1)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}", self.capability)?;
        self.variant.map_or(Ok(()), |v| write!(f, "{v}"))
    }
}

impl FromStr for Arch {
    type Err = KernelError;

    fn from_str(text: &str) -> Result<Self, KernelError> {
        let wrong = || KernelError::Arch { given: text.to_owned() };
        let digits = text.strip_prefix("sm_").or_else(|| text.strip_prefix("compute_"));
        let digits = digits.ok_or_else(wrong)?;
        let variant = digits.chars().last().filter(|c| ['a', 'f'].contains(c));
        let number = variant.and_then(|v| digits.strip_suffix(v)).unwrap_or(digits);
        let plain = (2..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let capability: u32 = number.parse().map_err(|_| wrong())?;
        if plain && capability >= 80 { Ok(Arch { capability, variant }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_read_and_checked() {
        for good in ["sm_80", "sm_89", "sm_90a", "sm_120"] {
            assert_eq!(good.parse::<Arch>().expect("an architecture").to_string(), good);
        }
        assert_eq!("compute_90".parse::<Arch>().expect("an architecture"), Arch::SM_90);
        assert_eq!(Arch::SM_80.virtual_name(), "compute_80");
        for bad in ["", "sm_", "sm_75", "90", "sm_9", "sm_9000", "sm_80aa", "sm_+80", "gfx90a"] {
            assert!(bad.parse::<Arch>().is_err(), "{bad}");
        }
        assert!(Arch::of(7, 5).is_err() && Arch::of(9, 0).is_ok());
    }
}
