//! Codes back to values: `code * step`. Codes outside a quantizer's range are taken as they are.

use super::buffer::{Block, Input, Output, PerBlock, for_each_block};
use super::sink::{Sink, Streamed};
use super::threads::{Divisible, Part};
use super::{BLOCK, Kernel, Vectors};

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
    fn run<V: Vectors>(self) {
        let Dequantize { codes, values, steps, run } = self;
        match Streamed::if_it_pays(values, run, &[codes]) {
            Ok(values) => dequantize(codes, values, steps, run),
            Err(values) => dequantize(codes, values, steps, run),
        }
    }
}

impl Divisible for Dequantize<'_> {
    fn runs(&self) -> (usize, usize) {
        (self.steps.len(), self.run)
    }

    unsafe fn part(&self, part: &Part) -> Self {
        let elements = part.elements(self.run);
        Dequantize {
            codes: self.codes.part(elements.clone()),
            // SAFETY: the caller's promise.
            values: unsafe { self.values.part(elements) },
            steps: &self.steps[part.runs.clone()],
            run: part.within.len(),
        }
    }
}

#[inline(always)]
fn dequantize(codes: Input<'_, i8>, values: impl Sink<f32>, steps: &[f32], run: usize) {
    let mut work = DequantizeBlocks { codes, values, step: 0.0 };
    for (index, &step) in steps.iter().enumerate() {
        work.step = step;
        for_each_block(index * run, (index + 1) * run, &mut work);
    }
}

struct DequantizeBlocks<'a, V> {
    codes: Input<'a, i8>,
    values: V,
    step: f32,
}

impl<V: Sink<f32>> PerBlock for DequantizeBlocks<'_, V> {
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
