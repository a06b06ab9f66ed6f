//! The constants of a policy for NaNs and infinities, and their way in and out.

use crate::error::Error;
use crate::quantizer::NonFinite;

/// What forward does with weights that are no finite number. Libraries differ here without saying so: some give a NaN the smallest
/// code, some the zero point, some whatever the conversion of the machine makes of it.
pub type diffquant_non_finite = u32;

/// A NaN gets the zero point, and the value of that code; an infinity the code at its end of the range. The default.
pub const DIFFQUANT_NON_FINITE_ZERO: diffquant_non_finite = 0;
/// As ZERO, but the value of a NaN is a NaN: the loss shows that something went wrong. Its code is the zero point still, as
/// there is no code for it.
pub const DIFFQUANT_NON_FINITE_PROPAGATE: diffquant_non_finite = 1;
/// A tensor with a NaN or an infinity is refused with DIFFQUANT_STATUS_NON_FINITE, and the message names the first one; outputs
/// are untouched. Costs a pass over the weights before the one that quantizes.
pub const DIFFQUANT_NON_FINITE_REJECT: diffquant_non_finite = 2;

/// The policy that a number names.
pub(super) fn non_finite_from_c(policy: diffquant_non_finite) -> Result<NonFinite, Error> {
    match policy {
        DIFFQUANT_NON_FINITE_ZERO => Ok(NonFinite::Zero),
        DIFFQUANT_NON_FINITE_PROPAGATE => Ok(NonFinite::Propagate),
        DIFFQUANT_NON_FINITE_REJECT => Ok(NonFinite::Reject),
        value => Err(Error::UnknownConstant { argument: "policy", value }),
    }
}

/// The number of a policy.
pub(super) fn non_finite_to_c(policy: NonFinite) -> diffquant_non_finite {
    match policy {
        NonFinite::Zero => DIFFQUANT_NON_FINITE_ZERO,
        NonFinite::Propagate => DIFFQUANT_NON_FINITE_PROPAGATE,
        NonFinite::Reject => DIFFQUANT_NON_FINITE_REJECT,
    }
}
