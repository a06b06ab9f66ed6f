//! `diffquant_observer`: what is remembered of a stream of batches, behind a handle.

use super::dtype::{DIFFQUANT_DTYPE_F32, Dtype, diffquant_dtype};
use super::handle::{self, handle};
use super::pointer::{self, Span};
use super::status::{diffquant_status, report};
use super::text;
use crate::calibrate::observer::{MAX_JSON_LENGTH, Observer, ObserverKind, too_long};
use crate::error::Error;
use crate::layout::check_dimensions;
use std::ffi::{c_char, c_void};
use std::ptr;

/// An observer: what is remembered of a stream of batches, of each group of their elements, to choose scales from.
///
/// A group is the whole tensor, or after diffquant_observer_set_shape a channel of any axis. Activations are quantized with
/// one scale for each group, and are never in memory all at once: show each batch to an observer, then let
/// diffquant_quantizer_init_scale_from_observer choose. The parts of a stream may be observed by different observers, on
/// different machines, and merged.
pub struct diffquant_observer(pub(super) Observer);

handle!(diffquant_observer, "an observer", b"dqobserv");

/// What an observer remembers of a group, besides how many elements there were. NaNs and infinities are counted, and nothing
/// else is done with them.
pub type diffquant_observer_kind = u32;

/// The smallest and the largest element. No parameter.
pub const DIFFQUANT_OBSERVER_KIND_MIN_MAX: diffquant_observer_kind = 0;
/// Moving averages of the smallest and of the largest element of batches: those of the first batch, then for each batch
/// min + c * (min of the batch - min), and max likewise, rounded once. A batch without a finite element moves nothing.
/// Parameter: c, above 0 and at most 1; PyTorch's averaging_constant, there 0.01.
pub const DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE: diffquant_observer_kind = 1;
/// As MIN_MAX, and how many elements lie in each bin, where a bin is all floats with the same sign, exponent and first four
/// bits of the mantissa: 16 to each power of two, 8160 in all. No parameter. Memory: 136 bytes for each sign and exponent
/// that occurs in a group, some 5 KiB for ordinary data, 68 KiB at most, however many batches there are. While it
/// observes: up to 1 MiB, and as much again for the batch.
pub const DIFFQUANT_OBSERVER_KIND_HISTOGRAM: diffquant_observer_kind = 2;

/// Makes an observer of whole tensors that has seen nothing.
///
/// @param kind a DIFFQUANT_OBSERVER_KIND constant
/// @param parameter the kind's parameter; ignored by those without one
/// @param out receives the handle; free it with diffquant_observer_free
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT for the parameter; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_new(
    kind: diffquant_observer_kind,
    parameter: f32,
    out: *mut *mut diffquant_observer,
) -> diffquant_status {
    let make = || {
        let kind = match kind {
            DIFFQUANT_OBSERVER_KIND_MIN_MAX => ObserverKind::MinMax,
            DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE => ObserverKind::MovingAverage { averaging_constant: parameter },
            DIFFQUANT_OBSERVER_KIND_HISTOGRAM => ObserverKind::Histogram,
            value => return Err(Error::UnknownConstant { argument: "kind", value }),
        };
        Ok(diffquant_observer(Observer::new(kind)?))
    };
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe { pointer::write_handle(out, make) })
}

/// Reads an observer from JSON, the form that diffquant_observer_to_json writes.
///
/// A text of a later minor version is read, and fields that this version does not know are ignored; one of another major
/// version is refused, and the message names it. So is whatever no observer can have written: numbers that are not finite,
/// counts that do not add up, bins that there are not, a range that is not that of its bins.
///
/// @param json UTF-8 text; a NUL at the end is not needed
/// @param len its length in bytes, at most 256 MiB
/// @param out receives the handle; free it with diffquant_observer_free
/// @return DIFFQUANT_STATUS_OK; INVALID_JSON; INVALID_UTF8; NULL_POINTER; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_from_json(
    json: *const c_char,
    len: usize,
    out: *mut *mut diffquant_observer,
) -> diffquant_status {
    // SAFETY: `json` keeps the header's conventions.
    let text = || unsafe { text::read(json, len, MAX_JSON_LENGTH, too_long) };
    // SAFETY: `out` keeps the header's conventions.
    report(|| unsafe { pointer::write_handle(out, || Ok(diffquant_observer(Observer::from_json(text()?)?))) })
}

/// Makes a copy that shares nothing with the original.
///
/// @param observer the original
/// @param out receives the handle; free it with diffquant_observer_free
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_clone(
    observer: *const diffquant_observer,
    out: *mut *mut diffquant_observer,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    report(|| unsafe {
        let original = pointer::handle("observer", observer)?;
        pointer::write_handle(out, || Ok(diffquant_observer(original.0.try_clone()?)))
    })
}

/// Writes an observer as JSON, with a NUL at the end: everything that it remembers, exactly, so that what is read back goes on
/// to the bit as the original would. Observers that are the same have the same text.
///
/// An object: "format" is "diffquant.observer", "version" is "1.0"; "kind" is "MinMax", "Histogram" or {"MovingAverage":
/// {"averaging_constant": c}}; "channels" is the number of groups and "inner" the number of elements of a channel that are
/// neighbours; "groups" has, for each group, the counts "finite" and "non_finite", "min" and "max" (null without a finite
/// element) and, in a histogram, "bins": [bin, count] for each bin that has elements, where the number of a bin is the
/// leading 13 bits of its floats.
///
/// To learn the length, call with cap = 0. Allocates.
///
/// @param observer the observer to write
/// @param buf receives the text; may be NULL when cap is 0
/// @param cap the size of buf in bytes
/// @param len receives the length of the text without the NUL, also when buf is too small
/// @return DIFFQUANT_STATUS_OK; BUFFER_TOO_SMALL unless cap > *len; NULL_POINTER; OVERLAP of buf and len; SIZE_OVERFLOW;
///         OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_to_json(
    observer: *const diffquant_observer,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe {
        let observer = pointer::handle("observer", observer)?;
        text::write_made(buf, cap, len, || observer.0.to_json())
    })
}

/// Declares what batches look like, and makes every index along an axis a group of its own. What was observed is forgotten.
///
/// Element [o][a][i] of a batch seen as [outer][axis][inner] belongs to group a. The extent before the axis, often that of
/// samples or tokens, may change from call to call: only the axis and the dimensions after it must be those of the shape.
///
/// @param observer the observer to change
/// @param shape ndim dimensions, each at least 1, the last one contiguous in memory
/// @param ndim number of dimensions, 1 to 16
/// @param axis the dimension of the channels, from 0
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for ndim or a dimension; INDEX_OUT_OF_RANGE for axis; SIZE_OVERFLOW for a
///         shape that memory cannot hold; NULL_POINTER; MISALIGNED; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_set_shape(
    observer: *mut diffquant_observer,
    shape: *const usize,
    ndim: usize,
    axis: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions; `shape` is checked before it is used.
    unsafe {
        change(observer, |observer| {
            // Dimensions that are too many to be allowed need not be there.
            check_dimensions(ndim)?;
            Span::of("shape", shape, ndim)?;
            observer.set_shape(std::slice::from_raw_parts(shape, ndim), axis)
        })
    }
}

/// What an observer remembers.
///
/// @param observer the observer to read
/// @param kind receives the DIFFQUANT_OBSERVER_KIND constant
/// @param parameter receives its parameter, 0 for a kind without one; may be NULL
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of kind and parameter
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_kind_of(
    observer: *const diffquant_observer,
    kind: *mut diffquant_observer_kind,
    parameter: *mut f32,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let (constant, number) = match pointer::handle("observer", observer)?.0.kind() {
                ObserverKind::MinMax => (DIFFQUANT_OBSERVER_KIND_MIN_MAX, 0.0),
                ObserverKind::MovingAverage { averaging_constant } => {
                    (DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE, averaging_constant)
                }
                ObserverKind::Histogram => (DIFFQUANT_OBSERVER_KIND_HISTOGRAM, 0.0),
            };
            pointer::write_and_optional(("kind", kind, constant), ("parameter", parameter, number))
        }
    })
}

/// How many groups there are: 1, or the length of the axis.
///
/// @param observer the observer to read
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_group_count(
    observer: *const diffquant_observer,
    out: *mut usize,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { pointer::read("observer", observer, out, |observer| Ok(observer.0.group_count())) }
}

/// Adds a batch. NaNs and infinities are counted, and otherwise ignored. With n = 0 nothing changes. Allocates.
///
/// What MIN_MAX and HISTOGRAM remember does not depend on how a stream is cut into batches, nor on their order.
///
/// @param observer the observer to change
/// @param x n elements
/// @param n number of elements; with a shape a multiple of the product of the axis and the dimensions after it
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_observe(
    observer: *mut diffquant_observer,
    x: *const f32,
    n: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions; `x` is checked before it is used.
    unsafe {
        change(observer, |observer| {
            Span::of("x", x, n)?;
            observer.observe(if n == 0 { &[] } else { std::slice::from_raw_parts(x, n) })
        })
    }
}

/// As diffquant_observer_observe, of elements of a type (see diffquant_dtype). Allocates, for those of 16 bits a float for each.
///
/// @param observer the observer to change
/// @param dtype the DIFFQUANT_DTYPE of x
/// @param x n elements
/// @param n number of elements; with a shape a multiple of the product of the axis and the dimensions after it
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_observe_typed(
    observer: *mut diffquant_observer,
    dtype: diffquant_dtype,
    x: *const c_void,
    n: usize,
) -> diffquant_status {
    if dtype == DIFFQUANT_DTYPE_F32 {
        // SAFETY: the pointers keep the header's conventions.
        return unsafe { diffquant_observer_observe(observer, x.cast(), n) };
    }
    // SAFETY: as above; `x` is checked before it is used.
    unsafe {
        change(observer, |observer| {
            let dtype = Dtype::from_c(dtype)?;
            dtype.span("x", x, n)?;
            observer.observe_copy(dtype.input(x, n))
        })
    }
}

/// Adds what another observer has seen.
///
/// The result is to the bit that of one observer that has seen both streams: it does not matter in what order several are
/// merged, nor into which. So every process of a distributed job can observe its part, and the observers be combined as they
/// arrive. A moving average depends on the order of its batches, and is not merged. Allocates.
///
/// @param observer the observer to change
/// @param other what is added; it stays as it is, and must be another object
/// @return DIFFQUANT_STATUS_OK; INCOMPATIBLE for observers of different kinds or shapes; NOT_APPLICABLE for moving averages;
///         NULL_POINTER; OVERLAP when both are the same object; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_merge(
    observer: *mut diffquant_observer,
    other: *const diffquant_observer,
) -> diffquant_status {
    report(|| {
        if ptr::eq(observer, other) && !other.is_null() {
            return Err(Error::Overlap { first: "observer", second: "other" });
        }
        // SAFETY: the handles keep the header's conventions, and are different objects.
        unsafe { pointer::handle_mut("observer", observer)?.0.merge(&pointer::handle("other", other)?.0) }
    })
}

/// Forgets what was observed; kind and shape stay.
///
/// @param observer the observer to change
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_reset(observer: *mut diffquant_observer) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(observer, |observer| {
            observer.reset();
            Ok(())
        })
    }
}

/// How many elements of each group were observed. A count stays at UINT64_MAX when it gets there.
///
/// @param observer the observer to read
/// @param finite receives the number of finite elements of each group, on which range and histogram rest
/// @param non_finite receives the number of NaNs and infinities of each group; may be NULL
/// @param count the number of groups, as diffquant_observer_group_count tells
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OVERLAP of finite
///         and non_finite
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_counts(
    observer: *const diffquant_observer,
    finite: *mut u64,
    non_finite: *mut u64,
    count: usize,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions, and are checked before they are used.
        unsafe {
            let observer = &pointer::handle("observer", observer)?.0;
            let non_finite_span = Span::of_optional("non_finite", non_finite, count)?;
            Span::of("finite", finite, count)?.apart_from(non_finite_span)?;
            let non_finite = pointer::optional_output(non_finite, count);
            observer.counts_into(pointer::output(finite, count), non_finite)
        }
    })
}

/// The range of each group: the smallest and the largest finite element, or their moving averages. 0 is in it only if it was
/// observed; the methods that choose scales include it.
///
/// @param observer the observer to read
/// @param min receives the smallest of each group
/// @param max receives the largest of each group
/// @param count the number of groups, as diffquant_observer_group_count tells
/// @return DIFFQUANT_STATUS_OK; NO_DATA naming the first group without a finite element; LENGTH_MISMATCH for another count;
///         NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OVERLAP of min and max
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_range(
    observer: *const diffquant_observer,
    min: *mut f32,
    max: *mut f32,
    count: usize,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions, and are checked before they are used.
        unsafe {
            let observer = &pointer::handle("observer", observer)?.0;
            Span::of("min", min, count)?.apart_from(Span::of("max", max, count)?)?;
            observer.range_into(pointer::output(min, count), pointer::output(max, count))
        }
    })
}

/// Frees an observer.
///
/// @param observer the observer, or NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_observer_free(observer: *mut diffquant_observer) {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { handle::free(observer) }
}

/// Runs a change of the observer behind a handle.
///
/// # Safety
/// The handle keeps the header's conventions.
unsafe fn change(
    observer: *mut diffquant_observer,
    change: impl FnOnce(&mut Observer) -> Result<(), Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise.
    unsafe { pointer::change("observer", observer, |observer| change(&mut observer.0)) }
}
