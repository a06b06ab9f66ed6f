//! The fields of a configuration, one setter and one getter each.
//!
//! A setter applies its field's own rule at once, so that a mistake is reported where it is made; rules that look at two
//! fields wait for `diffquant_config_validate`. The functions are written out because cbindgen does not see what a
//! macro would write.

use super::{change, diffquant_config, read};
use crate::capi::granularity::{diffquant_granularity, granularity_from_c, granularity_to_c};
use crate::capi::pointer;
use crate::capi::status::{diffquant_status, report};
use crate::capi::ste::{diffquant_ste, ste_from_c, ste_to_c};
use crate::error::{Error, Value};

fn allow<T: Into<Value> + Copy>(
    argument: &'static str,
    value: T,
    holds: bool,
    allowed: &'static str,
) -> Result<T, Error> {
    if holds { Ok(value) } else { Err(Error::InvalidArgument { argument, value: value.into(), allowed }) }
}

fn positive(argument: &'static str, value: f32) -> Result<f32, Error> {
    allow(argument, value, value > 0.0 && value.is_finite(), "positive and finite")
}

fn non_negative(argument: &'static str, value: f32) -> Result<f32, Error> {
    allow(argument, value, value >= 0.0 && value.is_finite(), "zero or more, and finite")
}

fn at_least_one(argument: &'static str, value: usize) -> Result<usize, Error> {
    allow(argument, value, value > 0, "at least 1")
}

fn flag(argument: &'static str, value: u32) -> Result<bool, Error> {
    Ok(allow(argument, value, value <= 1, "0 or 1")? == 1)
}

/// Sets bits: the width of a code.
///
/// @param config the configuration to change
/// @param bits 2, 3, 4, 5 or 8; 4 by default. A pi configuration with 8 bits does not validate.
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_bits(config: *mut diffquant_config, bits: u32) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.bits = allow("bits", bits, matches!(bits, 2..=5 | 8), "2, 3, 4, 5 or 8")? as u8;
            Ok(())
        })
    }
}

/// Gets bits: the width of a code.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_bits(config: *const diffquant_config, out: *mut u32) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.bits.into()) }
}

/// Sets ste_variant: the straight-through estimator.
///
/// @param config the configuration to change
/// @param ste a DIFFQUANT_STE constant; STANDARD by default
/// @param ste_param the estimator's parameter; ignored by those without one
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; UNKNOWN_CONSTANT; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_ste(
    config: *mut diffquant_config,
    ste: diffquant_ste,
    ste_param: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.ste_variant = ste_from_c(ste, ste_param)?;
            Ok(())
        })
    }
}

/// Gets ste_variant: the straight-through estimator.
///
/// @param config the configuration to read
/// @param ste receives the DIFFQUANT_STE constant
/// @param ste_param receives the parameter, 0 for an estimator without one; may be NULL
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of ste and ste_param
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_ste(
    config: *const diffquant_config,
    ste: *mut diffquant_ste,
    ste_param: *mut f32,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let (constant, parameter) = ste_to_c(pointer::handle("config", config)?.0.ste_variant);
            pointer::write_and_optional(("ste", ste, constant), ("ste_param", ste_param, parameter))
        }
    })
}

/// Sets granularity: which weights share a scale.
///
/// @param config the configuration to change
/// @param granularity a DIFFQUANT_GRANULARITY constant; PER_CHANNEL by default
/// @param block_size weights per block, at least 1, for PER_BLOCK; ignored otherwise
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; UNKNOWN_CONSTANT; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_granularity(
    config: *mut diffquant_config,
    granularity: diffquant_granularity,
    block_size: usize,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.granularity = granularity_from_c(granularity, block_size)?;
            Ok(())
        })
    }
}

/// Gets granularity: which weights share a scale.
///
/// @param config the configuration to read
/// @param granularity receives the DIFFQUANT_GRANULARITY constant
/// @param block_size receives the weights per block, 0 for other granularities; may be NULL
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of granularity and block_size
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_granularity(
    config: *const diffquant_config,
    granularity: *mut diffquant_granularity,
    block_size: *mut usize,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let (constant, size) = granularity_to_c(pointer::handle("config", config)?.0.granularity);
            pointer::write_and_optional(("granularity", granularity, constant), ("block_size", block_size, size))
        }
    })
}

/// Sets pi_k: the divisor k of the step alpha * PI / k, and with it the kind of quantizer.
///
/// @param config the configuration to change
/// @param pi_k 2, 3, 4 or 5 for a pi quantizer; 0, the default, for a uniform one
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_pi_k(config: *mut diffquant_config, pi_k: u32) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            let pi_k = allow("pi_k", pi_k, matches!(pi_k, 0 | 2..=5), "2, 3, 4 or 5, or 0 for none")?;
            config.pi_k = (pi_k > 0).then_some(pi_k);
            Ok(())
        })
    }
}

/// Gets pi_k: the divisor k of the step alpha * PI / k.
///
/// @param config the configuration to read
/// @param out receives the field, 0 for a uniform configuration
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_pi_k(config: *const diffquant_config, out: *mut u32) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.pi_k.unwrap_or(0)) }
}

/// Sets grad_clip: the largest gradient norm.
///
/// @param config the configuration to change
/// @param grad_clip positive and finite, or 0 for no clipping; 1 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_grad_clip(
    config: *mut diffquant_config,
    grad_clip: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            let grad_clip = non_negative("grad_clip", grad_clip)?;
            config.grad_clip = (grad_clip > 0.0).then_some(grad_clip);
            Ok(())
        })
    }
}

/// Gets grad_clip: the largest gradient norm.
///
/// @param config the configuration to read
/// @param out receives the field, 0 for no clipping
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_grad_clip(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.grad_clip.unwrap_or(0.0)) }
}

/// Sets lambda_task: weight of the task loss.
///
/// @param config the configuration to change
/// @param lambda_task zero or more, finite; 1 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_lambda_task(
    config: *mut diffquant_config,
    lambda_task: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.loss_weights.lambda_task = non_negative("lambda_task", lambda_task)?;
            Ok(())
        })
    }
}

/// Gets lambda_task: weight of the task loss.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_lambda_task(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.loss_weights.lambda_task) }
}

/// Sets lambda_kd: weight of the distillation loss.
///
/// @param config the configuration to change
/// @param lambda_kd zero or more, finite; 0.5 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_lambda_kd(
    config: *mut diffquant_config,
    lambda_kd: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.loss_weights.lambda_kd = non_negative("lambda_kd", lambda_kd)?;
            Ok(())
        })
    }
}

/// Gets lambda_kd: weight of the distillation loss.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_lambda_kd(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.loss_weights.lambda_kd) }
}

/// Sets lambda_reasoning: weight of the reasoning loss.
///
/// @param config the configuration to change
/// @param lambda_reasoning zero or more, finite; 0.2 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_lambda_reasoning(
    config: *mut diffquant_config,
    lambda_reasoning: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.loss_weights.lambda_reasoning = non_negative("lambda_reasoning", lambda_reasoning)?;
            Ok(())
        })
    }
}

/// Gets lambda_reasoning: weight of the reasoning loss.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_lambda_reasoning(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.loss_weights.lambda_reasoning) }
}

/// Sets kd_temperature: softmax temperature of the distillation loss.
///
/// @param config the configuration to change
/// @param kd_temperature positive, finite; 3 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_kd_temperature(
    config: *mut diffquant_config,
    kd_temperature: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.loss_weights.kd_temperature = positive("kd_temperature", kd_temperature)?;
            Ok(())
        })
    }
}

/// Gets kd_temperature: softmax temperature of the distillation loss.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_kd_temperature(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.loss_weights.kd_temperature) }
}

/// Sets epochs: passes over the training set.
///
/// @param config the configuration to change
/// @param epochs at least 1; 3 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_epochs(config: *mut diffquant_config, epochs: usize) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.epochs = at_least_one("epochs", epochs)?;
            Ok(())
        })
    }
}

/// Gets epochs: passes over the training set.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_epochs(config: *const diffquant_config, out: *mut usize) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.epochs) }
}

/// Sets learning_rate: step size of the optimiser.
///
/// @param config the configuration to change
/// @param learning_rate positive, finite; 1e-4 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_learning_rate(
    config: *mut diffquant_config,
    learning_rate: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.learning_rate = positive("learning_rate", learning_rate)?;
            Ok(())
        })
    }
}

/// Gets learning_rate: step size of the optimiser.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_learning_rate(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.learning_rate) }
}

/// Sets warmup_epochs: passes before quantization starts.
///
/// @param config the configuration to change
/// @param warmup_epochs any; 1 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_warmup_epochs(
    config: *mut diffquant_config,
    warmup_epochs: usize,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.warmup_epochs = warmup_epochs;
            Ok(())
        })
    }
}

/// Gets warmup_epochs: passes before quantization starts.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_warmup_epochs(
    config: *const diffquant_config,
    out: *mut usize,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.warmup_epochs) }
}

/// Sets weight_decay: weight decay of the optimiser.
///
/// @param config the configuration to change
/// @param weight_decay zero or more, finite; 0.01 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_weight_decay(
    config: *mut diffquant_config,
    weight_decay: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.weight_decay = non_negative("weight_decay", weight_decay)?;
            Ok(())
        })
    }
}

/// Gets weight_decay: weight decay of the optimiser.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_weight_decay(
    config: *const diffquant_config,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| config.weight_decay) }
}

/// Sets use_incoherence: whether weights are rotated before they are quantized, see diffquant_quantizer_set_incoherence.
///
/// @param config the configuration to change
/// @param use_incoherence 0 or 1; 0 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_use_incoherence(
    config: *mut diffquant_config,
    use_incoherence: u32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.use_incoherence = flag("use_incoherence", use_incoherence)?;
            Ok(())
        })
    }
}

/// Gets use_incoherence: whether weights are rotated before they are quantized, see diffquant_quantizer_set_incoherence.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_use_incoherence(
    config: *const diffquant_config,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| u32::from(config.use_incoherence)) }
}

/// Sets symmetric: whether the zero points of a quantizer are fixed, see diffquant_quantizer_set_symmetric.
///
/// @param config the configuration to change
/// @param symmetric 0 or 1; 1 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_symmetric(
    config: *mut diffquant_config,
    symmetric: u32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.symmetric = flag("symmetric", symmetric)?;
            Ok(())
        })
    }
}

/// Gets symmetric: whether the zero points of a quantizer are fixed, see diffquant_quantizer_set_symmetric.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_symmetric(
    config: *const diffquant_config,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| u32::from(config.symmetric)) }
}

/// Sets use_distillation: whether a teacher model is distilled.
///
/// @param config the configuration to change
/// @param use_distillation 0 or 1; 1 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_use_distillation(
    config: *mut diffquant_config,
    use_distillation: u32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.use_distillation = flag("use_distillation", use_distillation)?;
            Ok(())
        })
    }
}

/// Gets use_distillation: whether a teacher model is distilled.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_use_distillation(
    config: *const diffquant_config,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| u32::from(config.use_distillation)) }
}

/// Sets freeze_teacher: whether the teacher stays as it is.
///
/// @param config the configuration to change
/// @param freeze_teacher 0 or 1; 1 by default
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_set_freeze_teacher(
    config: *mut diffquant_config,
    freeze_teacher: u32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(config, |config| {
            config.freeze_teacher = flag("freeze_teacher", freeze_teacher)?;
            Ok(())
        })
    }
}

/// Gets freeze_teacher: whether the teacher stays as it is.
///
/// @param config the configuration to read
/// @param out receives the field
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_config_freeze_teacher(
    config: *const diffquant_config,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(config, out, |config| u32::from(config.freeze_teacher)) }
}
