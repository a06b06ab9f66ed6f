//! Codes back to values: `code * step`. Codes outside a quantizer's range are taken as they are.

use super::buffer::{Block, Input, Output, PerBlock, Sink, for_each_block};
use super::{BLOCK, Kernel};

/// Dequantizes `codes`, run `r` with `steps[r]`.
pub(crate) struct Dequantize<'a> {
    pub(crate) codes: Input<'a, i8>,
    pub(crate) values: Output<'a, f32>,
    /// One step per run.
    pub(crate) steps: &'a [f32],
    pub(crate) run: usize,
}

impl Kernel for Dequantize<'_> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let mut work = DequantizeBlocks { codes: self.codes, values: self.values, step: 0.0 };
        for (run, &step) in self.steps.iter().enumerate() {
            work.step = step;
            for_each_block(run * self.run, (run + 1) * self.run, &mut work);
        }
    }
}

struct DequantizeBlocks<'a> {
    codes: Input<'a, i8>,
    values: Output<'a, f32>,
    step: f32,
}

impl PerBlock for DequantizeBlocks<'_> {
    #[inline(always)]
    fn block(&mut self, block: Block) {
        let codes = self.codes.load(block);
        let mut values = [0.0; BLOCK];
        for lane in 0..BLOCK {
            values[lane] = f32::from(codes[lane]) * self.step;
        }
        self.values.store(block, &values);
    }
}
