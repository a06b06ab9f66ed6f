//! What forward does with a weight between two codes, and with one that is no finite number.

use super::diffquant_quantizer;
use super::settings::{change, read};
use crate::capi::non_finite::{diffquant_non_finite, non_finite_from_c, non_finite_to_c};
use crate::capi::pointer;
use crate::capi::status::{diffquant_status, report};
use crate::capi::ste::{diffquant_rounding, rounding_from_c, rounding_to_c};

/// Changes what happens between two codes.
///
/// Calibration takes STOCHASTIC for HALF_EVEN: the best scale does not depend on draws.
///
/// @param quantizer the quantizer to change
/// @param rounding a DIFFQUANT_ROUNDING constant
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_rounding(
    quantizer: *mut diffquant_quantizer,
    rounding: diffquant_rounding,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            grid.set_rounding(rounding_from_c(rounding)?);
            Ok(())
        })
    }
}

/// What happens between two codes.
///
/// @param quantizer the quantizer to read
/// @param out receives the DIFFQUANT_ROUNDING constant
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_rounding(
    quantizer: *const diffquant_quantizer,
    out: *mut diffquant_rounding,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(rounding_to_c(grid.rounding()))) }
}

/// Changes what STOCHASTIC rounding draws; other modes do not look at it. Both numbers are 0 in a new quantizer.
///
/// Draws are a function of the seed and of an element's index, so codes depend on neither the machine, the number of threads nor
/// the order of calls, and forward, backward and forward again give the same ones until the seed is changed. A training step wants
/// a seed of its own, set before its forward and kept for its backward; so does each tensor of a step, such as
/// step * tensors + tensor. Any seed is as good as any other, 0 and neighbours included.
///
/// first_element is the index, in the whole tensor, of the first element of each call: a tensor that is split over calls
/// gets the codes of one call when each call is told where its part begins. Where the parts are quantized at the same time, each
/// wants a quantizer of its own, see diffquant_quantizer_clone. With incoherence elements are those of the rotated tensor, whose
/// rows have to be whole in each part.
///
/// @param quantizer the quantizer to change
/// @param seed any number
/// @param first_element any number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_seed(
    quantizer: *mut diffquant_quantizer,
    seed: u64,
    first_element: u64,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            grid.set_seed(seed, first_element);
            Ok(())
        })
    }
}

/// What STOCHASTIC rounding draws.
///
/// @param quantizer the quantizer to read
/// @param seed receives the seed
/// @param first_element receives the index of the first element of each call; may be NULL
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of seed and first_element
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_seed(
    quantizer: *const diffquant_quantizer,
    seed: *mut u64,
    first_element: *mut u64,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let (number, first) = pointer::handle("quantizer", quantizer)?.0.seed();
            pointer::write_and_optional(("seed", seed, number), ("first_element", first_element, first))
        }
    })
}

/// Changes what forward does with NaNs and infinities. Gradients are not affected, and diffquant_quantizer_forward_dynamic
/// refuses them under every policy.
///
/// With incoherence REJECT looks at the weights before they are rotated. Under the other policies one that is not finite makes its
/// whole row so, or the block of the row that it is rotated with: under PROPAGATE the values of all of it are NaNs, but for those of
/// rotated weights that are infinities.
///
/// @param quantizer the quantizer to change
/// @param policy a DIFFQUANT_NON_FINITE constant
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_non_finite(
    quantizer: *mut diffquant_quantizer,
    policy: diffquant_non_finite,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            grid.set_non_finite(non_finite_from_c(policy)?);
            Ok(())
        })
    }
}

/// What forward does with NaNs and infinities.
///
/// @param quantizer the quantizer to read
/// @param out receives the DIFFQUANT_NON_FINITE constant
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_non_finite(
    quantizer: *const diffquant_quantizer,
    out: *mut diffquant_non_finite,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(non_finite_to_c(grid.non_finite()))) }
}
