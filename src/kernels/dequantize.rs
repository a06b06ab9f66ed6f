//! Codes back to values: `(code - zero point) * step + offset`. Codes outside a quantizer's range are taken as they are.

use super::Vectors;
use super::buffer::{Block, Input, Output};
use super::groups::Step;
use super::quantize::values_of;
use super::sources::Lanes;
use super::stage::Stage;
use super::vector::Floats;
use super::walk::{Sum, Work};

/// Dequantizes `codes`.
pub(crate) struct Dequantize<'a> {
    codes: Input<'a, i8>,
    values: Output<'a, f32>,
}

impl<'a> Dequantize<'a> {
    #[inline(always)]
    pub(crate) fn new(codes: Input<'a, i8>, values: Output<'a, f32>) -> Self {
        Dequantize { codes, values: values.stream_if_it_pays(&[codes]) }
    }
}

impl Work<0> for Dequantize<'_> {
    type Join = Sum;
    type Reads = Step;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.values.is_of_halves()
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.output(Some(&mut self.values));
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.codes.reaches(end) && self.values.reaches(end)
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L) -> [V::Block; 0] {
        let mut levels = self.codes.load_bytes::<V>(block);
        if L::AFFINE {
            for register in 0..V::REGISTERS {
                levels[register] = levels[register].minus(lanes.zero_point(register));
            }
        }
        self.values.store::<V>(block, values_of::<V, L>(levels, lanes));
        []
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        Dequantize { codes: self.codes, values: unsafe { self.values.share() } }
    }
}
