//! The constants of a granularity, and their way in and out.

use crate::config::QuantGranularity;
use crate::error::Error;

/// Which weights share a scale, in a contiguous (row-major) tensor seen as [outer][axis][inner].
pub type diffquant_granularity = u32;

/// One scale for the whole tensor.
pub const DIFFQUANT_GRANULARITY_PER_TENSOR: diffquant_granularity = 0;
/// One scale per channel, an index along an axis: scale a belongs to every element [o][a][i]. The default of a
/// configuration. Without a shape, channels are equal, contiguous slices of the tensor.
pub const DIFFQUANT_GRANULARITY_PER_CHANNEL: diffquant_granularity = 1;
/// One scale per token, the elements of the last dimension: scale t belongs to elements t * last to t * last + last - 1.
pub const DIFFQUANT_GRANULARITY_PER_TOKEN: diffquant_granularity = 2;
/// One scale per block of B neighbours along an axis, the last block shorter where B does not divide the axis: scale
/// (o * blocks + a / B) * inner + i belongs to element [o][a][i], where blocks = ceil(axis / B).
pub const DIFFQUANT_GRANULARITY_PER_BLOCK: diffquant_granularity = 3;

/// The granularity that two numbers name.
pub(super) fn granularity_from_c(
    granularity: diffquant_granularity,
    block_size: usize,
) -> Result<QuantGranularity, Error> {
    match granularity {
        DIFFQUANT_GRANULARITY_PER_TENSOR => Ok(QuantGranularity::PerTensor),
        DIFFQUANT_GRANULARITY_PER_CHANNEL => Ok(QuantGranularity::PerChannel),
        DIFFQUANT_GRANULARITY_PER_TOKEN => Ok(QuantGranularity::PerToken),
        DIFFQUANT_GRANULARITY_PER_BLOCK if block_size > 0 => Ok(QuantGranularity::PerBlock { block_size }),
        DIFFQUANT_GRANULARITY_PER_BLOCK => {
            Err(Error::InvalidArgument { argument: "block_size", value: block_size.into(), allowed: "at least 1" })
        }
        value => Err(Error::UnknownConstant { argument: "granularity", value }),
    }
}

/// The two numbers of a granularity; 0 for a block size that it does not have.
pub(super) fn granularity_to_c(granularity: QuantGranularity) -> (diffquant_granularity, usize) {
    match granularity {
        QuantGranularity::PerTensor => (DIFFQUANT_GRANULARITY_PER_TENSOR, 0),
        QuantGranularity::PerChannel => (DIFFQUANT_GRANULARITY_PER_CHANNEL, 0),
        QuantGranularity::PerToken => (DIFFQUANT_GRANULARITY_PER_TOKEN, 0),
        QuantGranularity::PerBlock { block_size } => (DIFFQUANT_GRANULARITY_PER_BLOCK, block_size),
    }
}
