//! The constants of an element type, their way in, and tensors of any such type.

use super::pointer::{self, Span};
use crate::error::Error;
use crate::kernels::{Half, Input, Output};
use std::ffi::c_void;

/// What the elements of a tensor are, for the functions whose names end in _typed.
///
/// Elements of 16 bits are computed as float: each is converted to float, which is exact, and each result is rounded to its type once,
/// to the nearest, halves to even. So what a function gives for them are to the bit the results of the same function without
/// _typed for the same tensors as float, converted to the type, whatever the granularity, the estimator, the number of
/// threads and the instruction set; codes, scales, offsets, their gradients and statistics are not rounded. What is
/// too large for F16 becomes infinite; subnormal numbers are kept; a NaN stays a NaN, and becomes a quiet one.
pub type diffquant_dtype = u32;

/// IEEE binary32: float.
pub const DIFFQUANT_DTYPE_F32: diffquant_dtype = 0;
/// IEEE binary16, as the bits of a uint16_t (or _Float16): 5 bits of exponent, 10 of fraction, 65504 the largest number.
pub const DIFFQUANT_DTYPE_F16: diffquant_dtype = 1;
/// bfloat16, as the bits of a uint16_t: the upper half of a float.
pub const DIFFQUANT_DTYPE_BF16: diffquant_dtype = 2;

/// What a tensor lies in memory as. Where it is known to be float, the compiler is to know it too.
#[derive(Clone, Copy)]
pub(super) struct Dtype(Option<Half>);

impl Dtype {
    pub(super) const F32: Dtype = Dtype(None);

    /// The type that a constant names.
    #[inline]
    pub(super) fn from_c(dtype: diffquant_dtype) -> Result<Dtype, Error> {
        match dtype {
            DIFFQUANT_DTYPE_F32 => Ok(Dtype::F32),
            DIFFQUANT_DTYPE_F16 => Ok(Dtype(Some(Half::F16))),
            DIFFQUANT_DTYPE_BF16 => Ok(Dtype(Some(Half::Bf16))),
            value => Err(Error::UnknownConstant { argument: "dtype", value }),
        }
    }

    #[inline(always)]
    pub(super) fn is_f32(self) -> bool {
        self.0.is_none()
    }

    /// As [`Span::of`].
    #[inline(always)]
    pub(super) fn span(self, argument: &'static str, start: *const c_void, n: usize) -> Result<Span, Error> {
        match self.0 {
            None => Span::of(argument, start.cast::<f32>(), n),
            Some(_) => Span::of(argument, start.cast::<u16>(), n),
        }
    }

    /// As [`Span::of_optional`].
    #[inline(always)]
    pub(super) fn optional_span(self, argument: &'static str, start: *const c_void, n: usize) -> Result<Span, Error> {
        match self.0 {
            None => Span::of_optional(argument, start.cast::<f32>(), n),
            Some(_) => Span::of_optional(argument, start.cast::<u16>(), n),
        }
    }

    /// # Safety
    /// As [`pointer::input`].
    #[inline(always)]
    pub(super) unsafe fn input<'a>(self, start: *const c_void, n: usize) -> Input<'a, f32> {
        // SAFETY: the caller's promise.
        unsafe {
            match self.0 {
                None => pointer::input(start.cast(), n),
                Some(half) => Input::from_halves(half, start.cast(), n),
            }
        }
    }

    /// A buffer that may be left out.
    ///
    /// # Safety
    /// As [`pointer::input`], unless `start` is NULL.
    #[inline(always)]
    pub(super) unsafe fn optional_input<'a>(self, start: *const c_void, n: usize) -> Option<Input<'a, f32>> {
        // SAFETY: the caller's promise.
        (!start.is_null()).then(|| unsafe { self.input(start, n) })
    }

    /// # Safety
    /// As [`pointer::output`].
    #[inline(always)]
    pub(super) unsafe fn output<'a>(self, start: *mut c_void, n: usize) -> Output<'a, f32> {
        // SAFETY: the caller's promise.
        unsafe {
            match self.0 {
                None => pointer::output(start.cast(), n),
                Some(half) => Output::from_halves(half, start.cast(), n),
            }
        }
    }

    /// # Safety
    /// As [`pointer::optional_output`].
    #[inline(always)]
    pub(super) unsafe fn optional_output<'a>(self, start: *mut c_void, n: usize) -> Option<Output<'a, f32>> {
        // SAFETY: the caller's promise.
        (!start.is_null()).then(|| unsafe { self.output(start, n) })
    }
}
