//! `diffquant_quantizer`: a quantizer behind a handle.
//!
//! `mod` makes, copies and frees one; `settings`, `rounding`, `shape` and `range` are what can be set and asked; `calibrate` is how
//! scales come about; `incoherence` whether weights are rotated; `threads` who runs it; `tensors` is the work, `statistics` the
//! work with an account of it, `typed` the work on tensors of other types; `state` is all of it as text.

mod settings;

mod rounding;

mod shape;

mod range;

mod calibrate;

mod incoherence;

mod state;

mod tensors;

mod statistics;

mod typed;

mod threads;

pub use calibrate::*;
pub use incoherence::*;
pub use range::*;
pub use rounding::*;
pub use settings::*;
pub use shape::*;
pub use state::*;
pub use statistics::*;
pub use tensors::*;
pub use threads::*;
pub use typed::*;

use super::config::diffquant_config;
use super::handle::{self, handle};
use super::pointer;
use super::status::{diffquant_status, report};
use super::ste::{diffquant_ste, ste_from_c};
use crate::quantizer::{Grid, init_pi_scale};
use crate::ste::SteVariant;

/// A quantizer: a range of codes, a scale, a zero point and an offset per group of weights, a rounding mode and a
/// straight-through estimator.
pub struct diffquant_quantizer(pub(super) Grid);

handle!(diffquant_quantizer, "a quantizer", b"dquantiz");

/// Makes the quantizer that a configuration describes: pi when it has a pi_k, uniform otherwise. Every scale is 1 until
/// it is calibrated or set.
///
/// A per-channel configuration starts with one channel: declare how many there are with diffquant_quantizer_set_shape or
/// diffquant_quantizer_init_per_channel. A per-token or per-block one has no scale until diffquant_quantizer_set_shape. The
/// configuration is copied; it may be changed or freed afterwards.
///
/// @param config what to make
/// @param out receives the handle; free it with diffquant_quantizer_free
/// @return DIFFQUANT_STATUS_OK; INVALID_CONFIG; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_new(
    config: *const diffquant_config,
    out: *mut *mut diffquant_quantizer,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    report(|| unsafe {
        let config = pointer::handle("config", config)?;
        pointer::write_handle(out, || Ok(diffquant_quantizer(Grid::from_config(&config.0)?)))
    })
}

/// Makes a uniform quantizer, whose step is its scale. One scale, 1 / 2^(bits-1).
///
/// @param bits width of a code, 2 to 8
/// @param ste a DIFFQUANT_STE constant
/// @param ste_param the estimator's parameter; ignored by those without one
/// @param out receives the handle; free it with diffquant_quantizer_free
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; UNKNOWN_CONSTANT; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_new_uniform(
    bits: u32,
    ste: diffquant_ste,
    ste_param: f32,
    out: *mut *mut diffquant_quantizer,
) -> diffquant_status {
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe {
        pointer::write_handle(out, || Ok(diffquant_quantizer(Grid::uniform(bits, ste_from_c(ste, ste_param)?)?)))
    })
}

/// Makes a pi quantizer, whose step is alpha * PI / k. One alpha, 1; estimator LEARNED_STEP_SIZE.
///
/// @param bits width of a code, 2 to 5
/// @param k divisor of the step, 2 to 5
/// @param out receives the handle; free it with diffquant_quantizer_free
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_new_pi(
    bits: u32,
    k: u32,
    out: *mut *mut diffquant_quantizer,
) -> diffquant_status {
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe {
        pointer::write_handle(out, || Ok(diffquant_quantizer(Grid::pi(bits, k, SteVariant::LearnedStepSize)?)))
    })
}

/// Makes a copy that shares nothing with the original.
///
/// @param quantizer the original
/// @param out receives the handle; free it with diffquant_quantizer_free
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_clone(
    quantizer: *const diffquant_quantizer,
    out: *mut *mut diffquant_quantizer,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    report(|| unsafe {
        let original = pointer::handle("quantizer", quantizer)?;
        pointer::write_handle(out, || Ok(diffquant_quantizer(original.0.try_clone()?)))
    })
}

/// Frees a quantizer.
///
/// @param quantizer the quantizer, or NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_free(quantizer: *mut diffquant_quantizer) {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { handle::free(quantizer) }
}

/// The alpha at which the 2^bits codes of a pi quantizer span a range of weights: range / (2^bits - 1) * k / PI.
///
/// @param range largest minus smallest weight, positive and finite
/// @param bits width of a code, 2 to 5
/// @param k divisor of the step, 2 to 5
/// @param out receives alpha
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT, also when alpha would not be positive and finite; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_pi_scale_from_range(
    range: f32,
    bits: u32,
    k: u32,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe { pointer::write("out", out, init_pi_scale(range, bits, k)?) })
}
