//! Forward, and what it does to the weights of each group.

use super::diffquant_quantizer;
use super::tensors::check_forward;
use crate::capi::dtype::Dtype;
use crate::capi::pointer::{self, Span};
use crate::capi::status::{diffquant_status, report};
use crate::error::Error;
use crate::quantizer::Statistics;
use std::ffi::c_void;

/// What quantizing did to the weights of a group. Weights that are not finite are counted in non_finite and nowhere else.
#[repr(C)]
pub struct diffquant_statistics {
    /// finite weights
    pub count: u64,
    /// NaNs and infinities
    pub non_finite: u64,
    /// weights that got qmin, clamped or not
    pub at_min: u64,
    /// weights that got qmax, clamped or not
    pub at_max: u64,
    /// sum of (w - value)^2
    pub squared_error: f64,
    /// sum of w^2
    pub signal_power: f64,
    /// signal-to-quantization-noise ratio, 10 * log10(signal_power / squared_error) in dB; infinity where squared_error is 0, NaN
    /// where both are infinite
    pub sqnr_db: f64,
}

// The engine's struct, in the words of C.
const _: () = {
    assert!(size_of::<diffquant_statistics>() == size_of::<Statistics>());
    assert!(align_of::<diffquant_statistics>() == align_of::<Statistics>());
    macro_rules! same_places {
        ($($field:ident)*) => {
            $(assert!(std::mem::offset_of!(diffquant_statistics, $field) == std::mem::offset_of!(Statistics, $field));)*
        };
    }
    same_places!(count non_finite at_min at_max squared_error signal_power sqnr_db);
};

/// As diffquant_quantizer_forward, with the same bits, and what it does to the weights of each group, in the same pass.
///
/// The sums are within 1e-6 of themselves, and the bits of all statistics do not depend on the machine. Squares are summed as
/// those of multiples of the step, where an error of more than 1e19 steps is infinite and one of less than 1e-22 steps is 0.
/// Allocates nothing, unless weights are rotated (diffquant_quantizer_set_incoherence); the statistics are then of the rotated
/// weights, whose places the groups are.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @param statistics receives one struct for each scale, in the order of diffquant_granularity
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH, also for another count; NO_SHAPE; NON_FINITE under the policy REJECT; OVERLAP;
///         NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward_statistics(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    n: usize,
    codes: *mut i8,
    values: *mut f32,
    statistics: *mut diffquant_statistics,
    count: usize,
) -> diffquant_status {
    let (w, values, statistics) = (w.cast(), values.cast(), (statistics, count));
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { forward_statistics(quantizer, Dtype::F32, w, n, codes, values, statistics) })
}

/// # Safety
/// The pointers keep the header's conventions.
#[inline(always)]
pub(super) unsafe fn forward_statistics(
    quantizer: *const diffquant_quantizer,
    dtype: Dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
    (statistics, count): (*mut diffquant_statistics, usize),
) -> Result<(), Error> {
    let statistics_span = Span::of("statistics", statistics, if n == 0 { 0 } else { count })?;
    for other in check_forward(dtype, w, n, codes, values)? {
        statistics_span.apart_from(other)?;
    }
    // SAFETY: the caller's promise; the spans were compared. Both structs have the same layout.
    unsafe {
        let quantizer = pointer::handle("quantizer", quantizer)?;
        if n == 0 {
            return Ok(());
        }
        let (codes, values) = (pointer::optional_output(codes, n), dtype.optional_output(values, n));
        let statistics = pointer::output(statistics.cast::<Statistics>(), count);
        quantizer.0.forward_statistics(dtype.input(w, n), codes, values, statistics)
    }
}
