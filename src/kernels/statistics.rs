//! What quantizing does to the weights of each group, counted and summed in the pass that quantizes them.
//!
//! Squares are of distances in steps (precisely: times the group's `inverse`, which is divided out of the totals in f64), so that
//! those of weights near 1e-20 do not vanish and those of weights near 1e20 do not overflow.

use super::Vectors;
use super::quantize::CodeBounds;
use super::sources::Lanes;
use super::vector::Floats;

/// What quantizing does to the weights of a group. A weight that is not finite is counted in `non_finite` and nowhere else.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub struct Statistics {
    /// Finite weights.
    pub count: u64,
    /// NaNs and infinities.
    pub non_finite: u64,
    /// Weights that got the smallest code.
    pub at_min: u64,
    /// Weights that got the largest code.
    pub at_max: u64,
    /// `sum (w - value)^2`.
    pub squared_error: f64,
    /// `sum w^2`.
    pub signal_power: f64,
    /// `10 * log10(signal_power / squared_error)`, in dB: infinite without an error, also where there is no signal; NaN
    /// where both are infinite.
    pub sqnr_db: f64,
}

/// Totals of a group: weights that are not finite, codes at either bound, squared error and signal in squared steps.
pub(crate) const STATISTICS: usize = 5;

/// The terms of a block of weights that became `levels` and `values`; as many as there are [`STATISTICS`].
#[inline(always)]
pub(super) fn statistics_terms<V: Vectors, L: Lanes<V>, const TOTALS: usize>(
    w: V::Block,
    levels: V::Block,
    values: V::Block,
    lanes: &L,
    bounds: CodeBounds,
) -> [V::Block; TOTALS] {
    let mut terms = [w; TOTALS];
    for register in 0..V::REGISTERS {
        let (zero, one) = (V::Floats::splat(0.0), V::Floats::splat(1.0));
        let divisor = bounds.divisor::<V, L>(lanes, register);
        let is_finite = w[register].abs().is_below(V::Floats::splat(f32::INFINITY));
        let ones = one.only(is_finite);
        let error = w[register].minus(values[register]).times(lanes.inverse(register)).only(is_finite);
        let signal = w[register].times(lanes.inverse(register)).only(is_finite);
        let of_register = [
            zero.or_else(is_finite, one),
            ones.only(levels[register].equals(divisor.min)),
            ones.only(levels[register].equals(divisor.max)),
            error.times(error),
            signal.times(signal),
        ];
        for index in 0..TOTALS {
            terms[index][register] = of_register[index];
        }
    }
    terms
}

/// Outlined: it is the same in every loop.
#[inline(never)]
pub(super) fn statistics_of(count: usize, totals: &[f64], inverse: f32) -> Statistics {
    let &[non_finite, at_min, at_max, error, signal] = totals else { return Statistics::default() };
    let square = f64::from(inverse) * f64::from(inverse);
    Statistics {
        count: count as u64 - non_finite as u64,
        non_finite: non_finite as u64,
        at_min: at_min as u64,
        at_max: at_max as u64,
        squared_error: error / square,
        signal_power: signal / square,
        sqnr_db: if error == 0.0 { f64::INFINITY } else { 10.0 * log10(signal / error) },
    }
}

/// The logarithm of a number that is not negative, within 1e-14 of itself. That of a C library has other bits on another machine.
fn log10(number: f64) -> f64 {
    if number == 0.0 {
        return f64::NEG_INFINITY;
    }
    if !number.is_normal() {
        return number;
    }
    // number = mantissa * 2^exponent, the mantissa from sqrt(1/2) to sqrt(2).
    let exponent = (number.to_bits() as i64 - std::f64::consts::FRAC_1_SQRT_2.to_bits() as i64) >> 52;
    let mantissa = f64::from_bits(number.to_bits().wrapping_sub((exponent << 52) as u64));
    // ln((1 + s) / (1 - s)) = 2 * (s + s^3 / 3 + s^5 / 5 + ...), s at most 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..12).rev().fold(0.0, |sum, term| sum * s * s + 1.0 / f64::from(2 * term + 1));
    exponent as f64 * std::f64::consts::LOG10_2 + 2.0 * s * series * std::f64::consts::LOG10_E
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_that_of_the_standard_library() {
        assert_eq!(log10(1.0), 0.0);
        assert_eq!(log10(0.0), f64::NEG_INFINITY);
        assert_eq!(log10(f64::INFINITY), f64::INFINITY);
        let mut number = f64::MIN_POSITIVE;
        while number < 1e300 {
            let (found, expected) = (log10(number), number.log10());
            assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0), "{number}: {found} {expected}");
            number *= 1.009_173;
        }
    }

    #[test]
    fn without_an_error_the_ratio_is_infinite() {
        assert_eq!(statistics_of(3, &[0.0, 0.0, 1.0, 0.0, 2.0], 4.0).sqnr_db, f64::INFINITY);
        let some = statistics_of(3, &[1.0, 0.0, 1.0, 2.0, 20.0], 4.0);
        assert_eq!((some.count, some.non_finite, some.squared_error, some.signal_power), (2, 1, 0.125, 1.25));
        assert!((some.sqnr_db - 10.0).abs() < 1e-13, "{}", some.sqnr_db);
    }
}
