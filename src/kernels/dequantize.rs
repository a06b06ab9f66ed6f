//! Codes back to values: `(code - zero point) * step + offset`. Codes outside a quantizer's range are taken as they are.

use super::buffer::{Block, Input, Output};
use super::groups::{Lanes, Source};
use super::quantize::values_of;
use super::walk::{Sum, Work};
use super::{BLOCK, Vectors};

/// Dequantizes `codes`.
pub(crate) struct Dequantize<'a> {
    codes: Input<'a, i8>,
    values: Output<'a, f32>,
}

impl<'a> Dequantize<'a> {
    pub(crate) fn new(codes: Input<'a, i8>, values: Output<'a, f32>) -> Self {
        Dequantize { codes, values: values.stream_if_it_pays(&[codes]) }
    }
}

impl Work<0> for Dequantize<'_> {
    type Join = Sum;

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, lanes: &Lanes) -> [[f32; BLOCK]; 0] {
        let codes = self.codes.load(block);
        let mut levels = [0.0; BLOCK];
        for lane in 0..BLOCK {
            levels[lane] = f32::from(codes[lane]);
            if S::AFFINE {
                levels[lane] -= lanes.zero_point[lane];
            }
        }
        self.values.store(block, &values_of::<S>(&levels, lanes));
        []
    }

    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        Dequantize { codes: self.codes, values: unsafe { self.values.share() } }
    }
}
