//! What forward does with a weight that is no multiple of its step, and with one that is no finite number.

use super::Grid;
use crate::calibrate;
use crate::error::Error;
use crate::kernels::{AnyRounding, Input, Random, Rounding};
use serde::{Deserialize, Serialize};

/// What happens to `w / step` between two codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RoundingMode {
    /// To the nearer code; halfway, to the one farther from zero. The reference's.
    #[default]
    HalfAway,
    /// To the nearer code; halfway, to the even one. As PyTorch and ONNX do.
    HalfEven,
    /// To either of the two codes, with a probability that is the nearness: the mean over draws is the weight. The draws are
    /// those of the seed, see [`set_seed`](super::DifferentiableQuantizer::set_seed).
    Stochastic,
}

/// What forward does with NaNs and infinities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NonFinite {
    /// A NaN gets the zero point and its value, an infinity the code at its end of the range. The reference's.
    #[default]
    Zero,
    /// As `Zero`, but the value of a NaN is a NaN.
    Propagate,
    /// A tensor with one is refused.
    Reject,
}

/// The stream of random numbers that stochastic rounding draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seed {
    pub(super) seed: u64,
    pub(super) first_element: u64,
}

impl Grid {
    pub(crate) fn rounding(&self) -> RoundingMode {
        self.rounding
    }

    pub(crate) fn set_rounding(&mut self, rounding: RoundingMode) {
        self.rounding = rounding;
    }

    /// The seed, and the index of the first element of each call.
    pub(crate) fn seed(&self) -> (u64, u64) {
        (self.seed.seed, self.seed.first_element)
    }

    pub(crate) fn set_seed(&mut self, seed: u64, first_element: u64) {
        self.seed = Seed { seed, first_element };
    }

    pub(crate) fn non_finite(&self) -> NonFinite {
        self.non_finite
    }

    pub(crate) fn set_non_finite(&mut self, non_finite: NonFinite) {
        self.non_finite = non_finite;
    }

    /// Rounding as it is without draws: half to even where it is stochastic.
    #[inline]
    pub(super) fn nearest(&self) -> Rounding {
        if self.rounding == RoundingMode::HalfAway { Rounding::HalfAway } else { Rounding::HalfEven }
    }

    #[inline]
    pub(super) fn is_stochastic(&self) -> bool {
        self.rounding == RoundingMode::Stochastic
    }

    /// The draws of stochastic rounding.
    pub(super) fn random(&self) -> Random {
        let Seed { seed, first_element } = self.seed;
        Random::new(seed, first_element, self.bits)
    }

    pub(super) fn any_rounding(&self) -> AnyRounding {
        if self.is_stochastic() { AnyRounding::Stochastic(self.random()) } else { AnyRounding::Nearest(self.nearest()) }
    }

    /// Refuses what the policy rejects.
    pub(super) fn check_finite(&self, w: Input<'_, f32>) -> Result<(), Error> {
        if self.non_finite == NonFinite::Reject { calibrate::all_finite(w, self.threads) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantizer::{DifferentiableQuantizer, Statistics, UniformQuantizer};
    use crate::ste::SteVariant;

    fn quantizer() -> UniformQuantizer {
        UniformQuantizer::new(4, SteVariant::Standard).unwrap()
    }

    #[test]
    fn the_older_switch_and_the_mode_are_the_same_setting() {
        let mut quantizer = quantizer();
        assert_eq!(quantizer.rounding(), RoundingMode::HalfAway);
        quantizer.set_rounds_half_even(true);
        assert_eq!(quantizer.rounding(), RoundingMode::HalfEven);
        quantizer.set_rounding(RoundingMode::Stochastic);
        assert!(!quantizer.rounds_half_even());
        quantizer.set_rounds_half_even(false);
        assert_eq!(quantizer.rounding(), RoundingMode::HalfAway);
    }

    #[test]
    fn a_copy_draws_and_refuses_like_its_original() {
        let mut original = quantizer();
        original.set_rounding(RoundingMode::Stochastic);
        original.set_seed(5, 6);
        original.set_non_finite(NonFinite::Propagate);
        let copy = original.clone();
        assert_eq!(
            (copy.rounding(), copy.seed(), copy.non_finite()),
            (RoundingMode::Stochastic, (5, 6), NonFinite::Propagate)
        );
        let w: Vec<f32> = (0..100).map(|at| at as f32 / 100.0 - 0.5).collect();
        assert_eq!(copy.forward(&w).unwrap(), original.forward(&w).unwrap());
    }

    #[test]
    fn what_is_rejected_is_named_and_leaves_every_output() {
        let mut quantizer = quantizer();
        quantizer.set_non_finite(NonFinite::Reject);
        let (mut codes, mut values, mut statistics) = ([7i8; 3], [7.0f32; 3], [Statistics::default()]);
        let w = [0.1, 0.2, f32::NEG_INFINITY];
        let refused = Err(Error::NonFinite { argument: "w", index: 2, value: f32::NEG_INFINITY });
        assert_eq!(quantizer.forward_into(&w, Some(&mut codes), Some(&mut values)), refused);
        let found = quantizer.forward_statistics_into(&w, Some(&mut codes), Some(&mut values), &mut statistics);
        assert_eq!(found, refused);
        assert_eq!((codes, values, statistics), ([7; 3], [7.0; 3], [Statistics::default()]));
    }

    /// Rotated, the draws, the policy and the statistics are those of the rotated weights, by their places there.
    #[test]
    fn a_rotated_tensor_is_rounded_and_counted_where_it_is_rotated_to() {
        let w: Vec<f32> = (0..96).map(|at| ((at * 37 % 101) as f32 - 50.0) / 60.0).collect();
        let mut rotated = w.clone();
        crate::Rotation::new(24, 9).unwrap().apply(&mut rotated).unwrap();
        let (mut plain, mut incoherent) = (quantizer(), quantizer());
        for quantizer in [&mut plain, &mut incoherent] {
            quantizer.init_per_channel(4).unwrap();
            quantizer.set_rounding(RoundingMode::Stochastic);
            quantizer.set_seed(77, 5);
        }
        incoherent.set_incoherence(true);
        incoherent.set_rotation_seed(9);
        let (mut codes, mut statistics) = (vec![0; 96], [Statistics::default(); 4]);
        incoherent.forward_statistics_into(&w, Some(&mut codes), None, &mut statistics).unwrap();
        let mut expected = [Statistics::default(); 4];
        plain.forward_statistics_into(&rotated, None, None, &mut expected).unwrap();
        assert_eq!(codes, plain.forward(&rotated).unwrap().0);
        assert_eq!(statistics, expected);
        let (again, values) = incoherent.forward(&w).unwrap();
        assert_eq!(again, codes);
        let mut with_statistics = vec![0.0; 96];
        incoherent.forward_statistics_into(&w, None, Some(&mut with_statistics), &mut statistics).unwrap();
        assert_eq!((with_statistics, statistics), (values, expected));
    }

    #[test]
    fn what_is_not_finite_is_rejected_before_the_rotation_and_else_is_all_over_its_row() {
        let mut quantizer = quantizer();
        quantizer.init_per_channel(2).unwrap();
        quantizer.set_incoherence(true);
        let mut w = [0.25f32; 16];
        w[15] = f32::NAN;
        quantizer.set_non_finite(NonFinite::Reject);
        let refused = quantizer.forward(&w).unwrap_err();
        assert!(matches!(refused, Error::NonFinite { argument: "w", index: 15, .. }), "{refused}");
        quantizer.set_non_finite(NonFinite::Zero);
        assert_eq!(quantizer.forward(&w).unwrap().1[8..], [0.0; 8]);
        quantizer.set_non_finite(NonFinite::Propagate);
        let values = quantizer.forward(&w).unwrap().1;
        assert!(values[..8].iter().all(|value| value.is_finite()) && values[8..].iter().all(|value| value.is_nan()));
    }

    #[test]
    fn there_is_a_statistic_for_each_scale() {
        let quantizer = quantizer();
        let refused = quantizer.forward_statistics_into(&[0.1], None, None, &mut []);
        assert_eq!(refused, Err(Error::LengthMismatch { argument: "statistics", actual: 0, expected: 1 }));
    }
}
