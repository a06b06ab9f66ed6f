//! Whether a quantizer rotates.

use super::diffquant_quantizer;
use super::settings::{change, read};
use crate::capi::status::diffquant_status;
use crate::error::Error;

/// Starts or stops rotating every row before it is quantized (diffquant_rotation), against weights far larger than the others.
///
/// With R the rotation, forward gives the codes of R w, and the values of those rotated back, which are near w again; dequantize
/// rotates back what it gives. Backward sends R grad_out through the estimator at R w, and rotates back what comes
/// out; calibration looks at R w. Scales, zero points and offsets thus belong to places of R w: calibrate them after
/// this call, which leaves them as they are. The values given to backward are not looked at.
///
/// A row is the last dimension of the shape where one was declared, else a channel, else the whole tensor: declare a
/// convolution's weights as [out][in * height * width]. A NaN or an infinity among the weights spoils the codes of its row.
///
/// Forward, backward and dequantize then allocate, as they do not otherwise: 4 bytes for each element of a row, and for each element of
/// the tensor in forward without values, forward_dynamic and backward (8 in backward_scale under STANDARD, under
/// LEARNED_STEP_SIZE and without grad_w). They can be refused with OUT_OF_MEMORY.
///
/// @param quantizer the quantizer to change
/// @param incoherence 0 or 1; 0 in a new quantizer, unless its configuration has use_incoherence
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_incoherence(
    quantizer: *mut diffquant_quantizer,
    incoherence: u32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            if incoherence > 1 {
                let (argument, value) = ("incoherence", incoherence.into());
                return Err(Error::InvalidArgument { argument, value, allowed: "0 or 1" });
            }
            grid.set_incoherent(incoherence == 1);
            Ok(())
        })
    }
}

/// Whether every row is rotated before it is quantized.
///
/// @param quantizer the quantizer to read
/// @param out receives 0 or 1
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_incoherence(
    quantizer: *const diffquant_quantizer,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(u32::from(grid.is_incoherent()))) }
}

/// Chooses the signs of the rotation, as the seed of diffquant_rotation_new does. Codes stand for their values only with the seed
/// that they were made with.
///
/// @param quantizer the quantizer to change
/// @param seed any; 0 in a new quantizer
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_rotation_seed(
    quantizer: *mut diffquant_quantizer,
    seed: u64,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            grid.set_rotation_seed(seed);
            Ok(())
        })
    }
}

/// The seed of the rotation's signs.
///
/// @param quantizer the quantizer to read
/// @param out receives the seed
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_rotation_seed(
    quantizer: *const diffquant_quantizer,
    out: *mut u64,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(grid.rotation_seed())) }
}
