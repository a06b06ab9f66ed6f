//! `diffquant_rotation`: the incoherence rotation behind a handle.

use super::handle::{self, handle};
use super::pointer::{self, Span};
use super::status::{diffquant_status, report};
use crate::error::Error;
use crate::kernels::Way;
use crate::rotation::Rotation;

/// An orthonormal rotation of rows of one length: random signs, then a Hadamard transform.
///
/// It spreads a weight that is far larger than the others over its row, so that it does not stretch the grid of all. A quantizer
/// with diffquant_quantizer_set_incoherence rotates by itself; this is for what has to be rotated along with it, such as the
/// activations that meet rotated weights. (Chee et al. 2023, arXiv 2307.13304; Tseng et al. 2024, arXiv 2402.04396)
///
/// A length that is no power of two is cut into blocks that are, largest first: 100 is 64 + 32 + 4, 3 is 2 + 1; a
/// block of 1 only gets its sign. A block x of m elements becomes H (s * x) / sqrt(m). H is Sylvester's matrix, whose element
/// (i, j) is -1 where i and j have an odd number of bits in common, else 1. The signs s are bits of SplitMix64 started with
/// the seed, 1 for minus: element i of the row has bit i % 64, counted from the lowest, of output i / 64. This never changes.
pub struct diffquant_rotation(Rotation);

handle!(diffquant_rotation, "a rotation", b"dqrotati");

/// Makes a rotation.
///
/// @param length elements of a row, at least 1
/// @param seed chooses the signs; the same seed gives the same rotation, always
/// @param out receives the handle; free it with diffquant_rotation_free
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for a length of 0; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_rotation_new(
    length: usize,
    seed: u64,
    out: *mut *mut diffquant_rotation,
) -> diffquant_status {
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe { pointer::write_handle(out, || Ok(diffquant_rotation(Rotation::new(length, seed)?))) })
}

/// Elements of a row.
///
/// @param rotation the rotation to read
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_rotation_length(
    rotation: *const diffquant_rotation,
    out: *mut usize,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { pointer::read("rotation", rotation, out, |rotation| Ok(rotation.0.length())) }
}

/// Rotates n / length rows in place. Allocates nothing.
///
/// Each row keeps its length as a vector, within rounding. A NaN or an infinity spreads over its block.
///
/// @param rotation the rotation; safe to share between threads
/// @param x n elements, rows one after the other
/// @param n number of elements, a multiple of the length; with 0 nothing is touched
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_rotation_apply(
    rotation: *const diffquant_rotation,
    x: *mut f32,
    n: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { run(rotation, Way::There, x, n) })
}

/// Rotates n / length rows back in place: by the transpose, which is the inverse, within rounding. Allocates nothing.
///
/// For values on their way out of rotated weights, and for gradients on their way back. Sums on the way are up to the square root
/// of the length times larger than what comes out.
///
/// @param rotation the rotation; safe to share between threads
/// @param x n elements, rows one after the other
/// @param n number of elements, a multiple of the length; with 0 nothing is touched
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_rotation_apply_transpose(
    rotation: *const diffquant_rotation,
    x: *mut f32,
    n: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { run(rotation, Way::Back, x, n) })
}

/// # Safety
/// The pointers keep the header's conventions.
unsafe fn run(rotation: *const diffquant_rotation, way: Way, x: *mut f32, n: usize) -> Result<(), Error> {
    Span::of("x", x, n)?;
    // SAFETY: the caller's promise; `x` was checked, and is used in place.
    unsafe { pointer::handle("rotation", rotation)?.0.run(way, (pointer::input(x, n), pointer::output(x, n))) }
}

/// Frees a rotation.
///
/// @param rotation the rotation, or NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_rotation_free(rotation: *mut diffquant_rotation) {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { handle::free(rotation) }
}
