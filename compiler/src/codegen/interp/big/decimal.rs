//! Decimal texts of high-precision numbers.

use super::Big;
use super::Value::{Finite, Infinity, Nan, Zero};

/// Powers of ten that are written out: below and beyond them an exponent is shorter.
const PLAIN: std::ops::RangeInclusive<i64> = -7..=20;

impl<const BITS: usize> Big<BITS> {
    /// The nearest decimal number of at most that many significant digits, without trailing zeros:
    /// `0.693147`, `-1.5e-30`, `Infinity`, `NaN`.
    pub fn to_decimal(&self, digits: usize) -> String {
        let x = match &self.0 {
            Nan => return "NaN".to_owned(),
            Infinity { negative } => return sign(*negative, "Infinity"),
            Zero { negative } => return sign(*negative, "0"),
            Finite(x) => x,
        };
        let decimal = x.clone().with_base_and_precision::<10>(digits.max(1)).value();
        let repr = decimal.repr();
        let text = repr.significand().to_string();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let trimmed = digits.trim_end_matches('0');
        // The power of ten of the first digit.
        let power = repr.exponent() as i64 + digits.len() as i64 - 1;
        sign(negative, &write(if trimmed.is_empty() { "0" } else { trimmed }, power))
    }
}

fn sign(negative: bool, magnitude: &str) -> String {
    if negative { format!("-{magnitude}") } else { magnitude.to_owned() }
}

/// The number whose digits these are, the first one at a power of ten.
fn write(digits: &str, power: i64) -> String {
    let (first, rest) = digits.split_at(1);
    if !PLAIN.contains(&power) {
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{first}{point}{rest}e{power}");
    }
    if power < 0 {
        return format!("0.{}{digits}", "0".repeat((-power - 1) as usize));
    }
    let whole = power as usize + 1;
    if digits.len() <= whole {
        format!("{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{}.{}", &digits[..whole], &digits[whole..])
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Real;
    use super::Big;

    fn shown(x: f64, digits: usize) -> String {
        Big::<256>::from_f64(x).to_decimal(digits)
    }

    #[test]
    fn decimals_are_written_as_people_do() {
        assert_eq!(shown(0.5, 40), "0.5");
        assert_eq!(shown(-1250.0, 40), "-1250");
        assert_eq!(shown(1e20, 40), "100000000000000000000");
        assert_eq!(shown(1e21, 40), "1e21");
        assert_eq!(shown(-0.0, 40), "-0");
        assert_eq!(shown(f64::NEG_INFINITY, 40), "-Infinity");
        assert_eq!(shown(f64::NAN, 40), "NaN");
        assert_eq!(shown(0.1, 40), "0.1000000000000000055511151231257827021182");
        assert_eq!(shown(2.0 / 3.0, 3), "0.667");
        assert_eq!(shown(999.9, 3), "1000");
        assert_eq!(shown(5e-324, 4), "4.941e-324");
    }

    #[test]
    fn forty_digits_of_ln_2() {
        let ln2 = Big::<256>::from_f64(0.0).softplus().to_decimal(40);
        assert_eq!(ln2, "0.6931471805599453094172321214581765680755");
    }

    #[test]
    fn digits_read_back_as_the_same_f64() {
        for x in [1.0 / 3.0, -1e-300, 1.7976931348623157e308, 123456.789, -2.5e-8] {
            assert_eq!(shown(x, 40).parse::<f64>(), Ok(x));
        }
    }

    #[test]
    fn extreme_exponents_take_no_time() {
        let tiny = Big::<256>::from_f64(-1e12).exp().to_decimal(40);
        assert_eq!(tiny, "5.599797842303807005428868519738089351686e-434294481904");
    }
}
