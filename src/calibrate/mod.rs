//! Calibration: from weights to the numbers that a scale is made of.

mod max_abs;

pub(crate) use max_abs::max_abs;
