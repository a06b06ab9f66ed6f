//! The codes that a quantizer may give.

use crate::kernels::CodeBounds;
use serde::{Deserialize, Serialize};

/// Which of the `2^bits` codes are used, and which of them stands for 0 in a symmetric quantizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodeRange {
    /// `-2^(bits-1)` to `2^(bits-1) - 1`, 0 for the value 0.
    Full,
    /// `-(2^(bits-1) - 1)` to `2^(bits-1) - 1`: as many codes on either side of 0.
    Narrow,
    /// The codes of [`Full`](Self::Full), read as the unsigned numbers `code + 2^(bits-1)`: the smallest stands for the value 0.
    Unsigned,
}

impl CodeRange {
    /// The smallest and the largest code.
    pub(crate) fn bounds(self, bits: u32) -> CodeBounds {
        let half = half(bits);
        let min = if self == CodeRange::Narrow { 1.0 - half } else { -half };
        CodeBounds { min, max: half - 1.0 }
    }

    /// The zero point of a symmetric quantizer.
    pub(crate) fn home(self, bits: u32) -> f32 {
        if self == CodeRange::Unsigned { -half(bits) } else { 0.0 }
    }
}

/// Half the number of codes, `2^(bits-1)`.
pub(crate) fn half(bits: u32) -> f32 {
    (1u32 << (bits - 1)) as f32
}
