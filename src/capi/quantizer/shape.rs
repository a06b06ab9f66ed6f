//! Which weights share a scale.

use super::diffquant_quantizer;
use super::settings::{change, read};
use crate::capi::granularity::{diffquant_granularity, granularity_from_c, granularity_to_c};
use crate::capi::pointer::{self, Span};
use crate::capi::status::{diffquant_status, report};
use crate::layout::check_dimensions;

/// Changes which weights share a scale. The shape is forgotten; every scale becomes 1, every zero point that of the range
/// (see diffquant_code_range), every offset 0.
///
/// @param quantizer the quantizer to change
/// @param granularity a DIFFQUANT_GRANULARITY constant
/// @param block_size weights per block, at least 1, for PER_BLOCK; ignored otherwise
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_granularity(
    quantizer: *mut diffquant_quantizer,
    granularity: diffquant_granularity,
    block_size: usize,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { change(quantizer, |grid| grid.set_granularity(granularity_from_c(granularity, block_size)?)) }
}

/// Which weights share a scale.
///
/// @param quantizer the quantizer to read
/// @param granularity receives the DIFFQUANT_GRANULARITY constant
/// @param block_size receives the weights per block, 0 for other granularities; may be NULL
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of granularity and block_size
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_granularity(
    quantizer: *const diffquant_quantizer,
    granularity: *mut diffquant_granularity,
    block_size: *mut usize,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let (constant, size) = granularity_to_c(pointer::handle("quantizer", quantizer)?.0.granularity());
            pointer::write_and_optional(("granularity", granularity, constant), ("block_size", block_size, size))
        }
    })
}

/// Declares the shape of the tensors, and with it how many scales there are and where each belongs (diffquant_granularity
/// says where). From then on n must be the product of the shape, or 0.
///
/// Every scale becomes 1, every zero point that of the range, every offset 0. PER_TOKEN and PER_BLOCK need a shape;
/// PER_CHANNEL takes one where channels are not contiguous slices; PER_TENSOR may have one, to have n checked.
///
/// @param quantizer the quantizer to change
/// @param shape ndim dimensions, each at least 1, the last one contiguous in memory
/// @param ndim number of dimensions, 1 to 16
/// @param axis the dimension of the channels or blocks, from 0; ignored per tensor and per token
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for ndim or a dimension; INDEX_OUT_OF_RANGE for axis; SIZE_OVERFLOW for a
///         shape that memory cannot hold; NULL_POINTER; MISALIGNED; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_shape(
    quantizer: *mut diffquant_quantizer,
    shape: *const usize,
    ndim: usize,
    axis: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions; `shape` is checked before it is used.
    unsafe {
        change(quantizer, |grid| {
            // Dimensions that are too many to be allowed need not be there.
            check_dimensions(ndim)?;
            Span::of("shape", shape, ndim)?;
            grid.set_shape(std::slice::from_raw_parts(shape, ndim), axis)
        })
    }
}

/// The index of the scale of one element.
///
/// @param quantizer the quantizer to read
/// @param element which, from 0
/// @param n elements of the tensor, as for diffquant_quantizer_forward
/// @param out receives the index of the scale
/// @return DIFFQUANT_STATUS_OK; INDEX_OUT_OF_RANGE unless element is below n; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_group_of(
    quantizer: *const diffquant_quantizer,
    element: usize,
    n: usize,
    out: *mut usize,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| grid.group_of(element, n)) }
}

/// Makes the quantizer per channel, without a shape: every scale 1, every zero point that of the range, every offset 0.
///
/// Channels are equal, contiguous slices of a tensor of any length: channel c of n weights is w[c * n / channels] and the
/// n / channels - 1 weights after it, such as the rows of a matrix stored row by row. For channels along another axis see
/// diffquant_quantizer_set_shape.
///
/// @param quantizer the quantizer to change
/// @param channels how many, at least 1
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_init_per_channel(
    quantizer: *mut diffquant_quantizer,
    channels: usize,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { change(quantizer, |grid| grid.init_per_channel(channels)) }
}
