//! Scale layouts: which scale belongs to which element.
//!
//! A layout turns a granularity and a tensor's length into *runs*, consecutive elements that share a scale. Kernels know
//! nothing else, so a new granularity is a new way to cut a tensor, never a new loop.

use crate::config::QuantGranularity;
use crate::error::Error;

/// How a quantizer's scales are spread over a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    groups: usize,
}

impl Layout {
    /// One scale for everything.
    pub(crate) fn per_tensor() -> Self {
        Layout { groups: 1 }
    }

    /// One scale for each of `channels` equal, contiguous slices.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `channels` is 0.
    pub(crate) fn per_channel(channels: usize) -> Result<Self, Error> {
        if channels == 0 {
            let value = channels.into();
            return Err(Error::InvalidArgument { argument: "channels", value, allowed: "at least 1" });
        }
        Ok(Layout { groups: channels })
    }

    /// The layout that a granularity starts with: one group, until the number of channels is known.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for the granularities that this version does not carry out.
    pub(crate) fn from_granularity(granularity: QuantGranularity) -> Result<Self, Error> {
        match granularity {
            QuantGranularity::PerTensor | QuantGranularity::PerChannel => Ok(Layout::per_tensor()),
            QuantGranularity::PerToken => Err(Error::Unsupported { feature: "granularity PER_TOKEN" }),
            QuantGranularity::PerBlock { .. } => Err(Error::Unsupported { feature: "granularity PER_BLOCK" }),
        }
    }

    /// How many scales there are.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Elements per run in a tensor of `n` elements, which has one run per group.
    ///
    /// # Errors
    /// [`Error::NotDivisible`] when the channels would not be equal.
    #[inline]
    pub(crate) fn run(&self, n: usize) -> Result<usize, Error> {
        // The common case first: an integer division costs more than the rest of a short call.
        if self.groups == 1 {
            return Ok(n);
        }
        if n.is_multiple_of(self.groups) {
            Ok(n / self.groups)
        } else {
            Err(Error::NotDivisible { n, channels: self.groups })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_equal_slices_or_a_refusal() {
        let layout = Layout::per_channel(3).unwrap();
        assert_eq!(layout.run(12), Ok(4));
        assert_eq!(layout.run(0), Ok(0));
        assert_eq!(layout.run(13), Err(Error::NotDivisible { n: 13, channels: 3 }));
        assert!(Layout::per_channel(0).is_err());
        assert_eq!(Layout::per_tensor().run(13), Ok(13));
    }
}
