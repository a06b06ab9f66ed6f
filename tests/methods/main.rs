//! What the methods compute, through the Rust API, against oracles written from the formulas that `src/ste.rs`, `src/layout.rs`
//! and the documentation of the trait state: every granularity, range, zero point, offset, rounding mode and estimator.
//!
//! Nothing here is shared with the library. [`oracle`] has the formulas, one element at a time; [`cases`] the shapes and
//! settings that they are tried with; [`random`] the numbers, which are the same on every run.

mod calibration;
mod cases;
mod finite_differences;
mod gradients;
mod granularity;
mod in_place;
mod mse;
mod observers;
mod oracle;
mod random;
mod recorded;
mod scale_step;
mod shards;
mod threads;
mod typed;
