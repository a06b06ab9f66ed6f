//! The constants of an element type, and their way in.

use crate::error::Error;
use crate::kernels::Half;

/// What a tensor is made of, for the functions whose names end in _typed.
pub type diffquant_dtype = u32;

/// IEEE binary32: float.
pub const DIFFQUANT_DTYPE_F32: diffquant_dtype = 0;
/// IEEE binary16, as the bits of a uint16_t (or _Float16): 5 bits of exponent, 10 of fraction, 65504 the largest number.
pub const DIFFQUANT_DTYPE_F16: diffquant_dtype = 1;
/// bfloat16, as the bits of a uint16_t: the upper half of a float.
pub const DIFFQUANT_DTYPE_BF16: diffquant_dtype = 2;

/// The format of 16 bits that a constant names, or none for float.
#[inline]
pub(super) fn half_from_c(dtype: diffquant_dtype) -> Result<Option<Half>, Error> {
    match dtype {
        DIFFQUANT_DTYPE_F32 => Ok(None),
        DIFFQUANT_DTYPE_F16 => Ok(Some(Half::F16)),
        DIFFQUANT_DTYPE_BF16 => Ok(Some(Half::Bf16)),
        value => Err(Error::UnknownConstant { argument: "dtype", value }),
    }
}
