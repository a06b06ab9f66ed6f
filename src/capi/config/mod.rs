//! `diffquant_config`: a training configuration behind a handle.

mod fields;

pub use fields::*;

use super::handle::{self, handle};
use super::status::{diffquant_status, report};
use super::{pointer, text};
use crate::config::{MAX_JSON_LENGTH, QatConfig};
use crate::error::Error;
use std::ffi::c_char;

/// A configuration of quantization-aware training: what a quantizer is made from, and what a trainer keeps with it.
pub struct diffquant_config(pub(super) QatConfig);

handle!(diffquant_config, "a configuration", b"dqconfig");

/// A ready-made configuration.
pub type diffquant_preset = u32;

/// 3 bits, pi with k = 4, LEARNED_STEP_SIZE, per channel.
pub const DIFFQUANT_PRESET_PIQ3: diffquant_preset = 0;
/// 2 bits, pi with k = 3, LEARNED_STEP_SIZE, per channel, use_incoherence set: its quantizers rotate every row.
pub const DIFFQUANT_PRESET_PIQ2: diffquant_preset = 1;

/// Makes a configuration with every field at its default: 4 bits, uniform, STANDARD, per channel, symmetric.
///
/// @param out receives the handle; free it with diffquant_config_free
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_new(out: *mut *mut diffquant_config) -> diffquant_status {
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe { pointer::write_handle(out, || Ok(diffquant_config(QatConfig::default()))) })
}

/// Makes a ready-made configuration.
///
/// @param preset a DIFFQUANT_PRESET constant
/// @param out receives the handle; free it with diffquant_config_free
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_new_preset(
    preset: diffquant_preset,
    out: *mut *mut diffquant_config,
) -> diffquant_status {
    let make = || match preset {
        DIFFQUANT_PRESET_PIQ3 => Ok(diffquant_config(QatConfig::piq3())),
        DIFFQUANT_PRESET_PIQ2 => Ok(diffquant_config(QatConfig::piq2())),
        value => Err(Error::UnknownConstant { argument: "preset", value }),
    };
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe { pointer::write_handle(out, make) })
}

/// Reads a configuration from JSON, the form that diffquant_config_to_json writes.
///
/// Unknown fields are ignored; absent ones are refused, except pi_k and grad_clip. The values are not judged: a quantizer
/// is made only from a configuration that diffquant_config_validate accepts.
///
/// @param json UTF-8 text; a NUL at the end is not needed
/// @param len its length in bytes, at most 1 MiB
/// @param out receives the handle; free it with diffquant_config_free
/// @return DIFFQUANT_STATUS_OK; INVALID_JSON; INVALID_UTF8; NULL_POINTER; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_from_json(
    json: *const c_char,
    len: usize,
    out: *mut *mut diffquant_config,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe {
        pointer::write_handle(out, || {
            let json = text::read(json, len, MAX_JSON_LENGTH, QatConfig::too_long)?;
            Ok(diffquant_config(QatConfig::from_json(json)?))
        })
    })
}

/// Makes a copy that shares nothing with the original.
///
/// @param config the original
/// @param out receives the handle; free it with diffquant_config_free
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_clone(
    config: *const diffquant_config,
    out: *mut *mut diffquant_config,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    report(|| unsafe {
        let original = pointer::handle("config", config)?;
        pointer::write_handle(out, || Ok(diffquant_config(original.0.clone())))
    })
}

/// Writes a configuration as JSON, indented by two spaces, with a NUL at the end.
///
/// To learn the length, call with cap = 0. Allocates nothing.
///
/// @param config the configuration to write
/// @param buf receives the text; may be NULL when cap is 0
/// @param cap the size of buf in bytes
/// @param len receives the length of the text without the NUL, also when buf is too small
/// @return DIFFQUANT_STATUS_OK; BUFFER_TOO_SMALL unless cap > *len; INVALID_CONFIG for a number that JSON cannot express;
///         NULL_POINTER; OVERLAP of buf and len; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_to_json(
    config: *const diffquant_config,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe {
        let config = &pointer::handle("config", config)?.0;
        text::write(buf, cap, len, || {
            Ok((config.json_length()?, |buffer: &mut text::Buffer| config.write_json(buffer)))
        })
    })
}

/// Says whether a configuration makes sense; if not, the message names the first field that does not, in this order:
/// bits, pi_k, learning_rate, epochs, the parameter of ste_variant (clip_val, lambda, delta), kd_temperature,
/// loss_weights, block_size.
///
/// @param config the configuration to judge
/// @return DIFFQUANT_STATUS_OK; INVALID_CONFIG; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_validate(config: *const diffquant_config) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    report(|| unsafe { pointer::handle("config", config) }?.0.validate())
}

/// The number of codes, 2^bits; at most 2^32 - 1, for bits that no quantizer has.
///
/// @param config the configuration to read
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_num_levels(
    config: *const diffquant_config,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, QatConfig::num_levels) }
}

/// The smallest and the largest code, -2^(bits-1) and 2^(bits-1) - 1.
///
/// @param config the configuration to read
/// @param min receives the smallest
/// @param max receives the largest
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of min and max
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_code_range(
    config: *const diffquant_config,
    min: *mut i32,
    max: *mut i32,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let (smallest, largest) = pointer::handle("config", config)?.0.code_range();
            pointer::write_pair(("min", min, smallest), ("max", max, largest))
        }
    })
}

/// The step alpha * PI / k that a pi configuration gives to an alpha.
///
/// @param config the configuration to read
/// @param alpha the scale
/// @param out receives the step
/// @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for a uniform configuration; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_pi_step(
    config: *const diffquant_config,
    alpha: f32,
    out: *mut f32,
) -> diffquant_status {
    report(|| {
        // SAFETY: both pointers keep the header's conventions.
        unsafe {
            let step = pointer::handle("config", config)?.0.pi_step(alpha);
            let step = step.ok_or(Error::NotApplicable { property: "divisor k", kind: "uniform" })?;
            pointer::write("out", out, step)
        }
    })
}

/// A planning figure for storage, in bits per weight: bits, plus an allowance for scales of nothing per tensor, 1/8 per
/// channel, 1/4 per token and 16 / block_size per block.
///
/// @param config the configuration to read
/// @param out receives the figure
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_bits_per_weight(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, QatConfig::bits_per_weight) }
}

/// The number of quantization parameters, a scale and a zero point per group, of a tensor. A last, shorter block counts as
/// one; no more than SIZE_MAX is given.
///
/// @param config the configuration to read
/// @param elements weights in the tensor
/// @param channels channels of the tensor; it has elements / channels tokens
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_parameter_count(
    config: *const diffquant_config,
    elements: usize,
    channels: usize,
    out: *mut usize,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.params_per_elements(elements, channels)) }
}

/// Frees a configuration. Quantizers made from it stay as they are.
///
/// @param config the configuration, or NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_free(config: *mut diffquant_config) {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { handle::free(config) }
}

/// Runs a change of the configuration behind a handle.
///
/// # Safety
/// The handle keeps the header's conventions.
unsafe fn change(
    config: *mut diffquant_config,
    change: impl FnOnce(&mut QatConfig) -> Result<(), Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise.
    unsafe { pointer::change("config", config, |config| change(&mut config.0)) }
}

/// Writes something that is read off the configuration behind a handle.
///
/// # Safety
/// The handle and `out` keep the header's conventions.
unsafe fn read<T>(config: *const diffquant_config, out: *mut T, get: impl FnOnce(&QatConfig) -> T) -> diffquant_status {
    // SAFETY: the caller's promise.
    unsafe { pointer::read("config", config, out, |config| Ok(get(&config.0))) }
}
