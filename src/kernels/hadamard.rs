//! The incoherence rotation: random signs, then a Walsh-Hadamard transform.
//!
//! A row is cut into blocks whose lengths are powers of two, largest first: 100 is 64 + 32 + 4. A block x of length m becomes
//! `H (s * x)`, where s are signs, each divided by the square root of m, and H is Sylvester's matrix of 1 and -1; the way back
//! is `s * (H x)`. The signs are bits of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
//! generators"), 1 for minus: the bit `i % 64` of output `i / 64` is that of the row's element i.
//!
//! The transform is log2(m) *stages* of additions and subtractions of the elements `stride` apart, strides 1, 2, 4 and so on.
//! Bits depend on nothing but this order, so stages may be grouped freely: as many as the registers allow are done between a
//! load and a store, and those of short strides on a stretch that stays in the nearest cache before the others.

use super::vector::Floats;
use super::{Cut, Dequantize, Groups, Input, Isa, Kernel, Output, Threads, Vectors, Walk};
use crate::error::Error;
use std::ops::Range;

/// Floats of a stretch that stays in the nearest cache, with the factors that it is multiplied by.
const STRETCH: usize = 4096;

/// Most lanes of a register.
const MOST_LANES: usize = 32;

/// The rotation of rows of one length.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// What each element of a row is multiplied by before (or, on the way back, after) its transform.
    factors: Vec<f32>,
}

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Way {
    There,
    /// The transpose, which is the inverse.
    Back,
}

impl Rotation {
    /// The rotation of rows of `length` that belongs to `seed`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn new(length: usize, seed: u64) -> Result<Self, Error> {
        let mut factors = Vec::new();
        factors.try_reserve_exact(length)?;
        let mut bits = SplitMix64(seed);
        let mut word = 0;
        for block in blocks(length) {
            let magnitude = ((1.0 / (block.len() as f64).sqrt()) as f32).to_bits();
            for index in block {
                if index % 64 == 0 {
                    word = bits.next();
                }
                factors.push(f32::from_bits(magnitude | (((word >> (index % 64)) as u32 & 1) << 31)));
            }
        }
        Ok(Rotation { factors })
    }

    /// Elements of a row.
    pub(crate) fn length(&self) -> usize {
        self.factors.len()
    }

    /// Rotates every row of `from` into `to`, which has as many elements and may be the same buffer; whole rows.
    pub(crate) fn run_on(&self, way: Way, from: Input<'_, f32>, to: Output<'_, f32>, threads: Threads) {
        let isa = Isa::current();
        assert!(from.len() == to.len() && from.len().is_multiple_of(self.length()));
        let rows = from.len() / self.length();
        let parts = threads.parts(from.len()).min(rows.max(1));
        if parts == 1 {
            return isa.run(Rotate { rotation: self, way, from, to, rows: 0..rows });
        }
        threads.for_each(parts, &|part| {
            let rows = part * rows / parts..(part + 1) * rows / parts;
            // SAFETY: the parts have no row in common.
            let to = unsafe { to.share() };
            isa.run(Rotate { rotation: self, way, from, to, rows });
        });
    }

    /// `from`, rotated.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn rotated(&self, from: Input<'_, f32>, threads: Threads) -> Result<Vec<f32>, Error> {
        let mut rotated = zeros(from.len())?;
        if from.is_of_halves() {
            from.copy_to(&mut rotated);
            let (from, to) = Output::in_place(&mut rotated);
            self.run_on(Way::There, from, to, threads);
        } else {
            self.run_on(Way::There, from, Output::from(&mut rotated[..]), threads);
        }
        Ok(rotated)
    }

    /// Rotates `from` into `to`, lets `work` go over that in place, and rotates it back. In place of halves, in which it would be
    /// rounded in between, there is a copy.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for the copy.
    pub(crate) fn around(
        &self,
        from: Input<'_, f32>,
        mut to: Output<'_, f32>,
        threads: Threads,
        work: impl FnOnce(Input<'_, f32>, Output<'_, f32>),
    ) -> Result<(), Error> {
        if to.is_of_halves() {
            let mut copy = self.rotated(from, threads)?;
            let (rotated, worked) = Output::in_place(&mut copy);
            work(rotated, worked);
            let (worked, back) = Output::in_place(&mut copy);
            self.run_on(Way::Back, worked, back, threads);
            to.copy_from(&copy);
            return Ok(());
        }
        // SAFETY: the rotation writes every element; the views are used one pair after the other.
        unsafe {
            self.run_on(Way::There, from, to.again().1, threads);
            let (rotated, worked) = to.again();
            work(rotated, worked);
            let (worked, back) = to.again();
            self.run_on(Way::Back, worked, back, threads);
        }
        Ok(())
    }

    /// Dequantizes into `values`, and rotates those back; by way of a copy, as [`around`](Self::around).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for the copy.
    pub(crate) fn dequantize(
        &self,
        codes: Input<'_, i8>,
        mut values: Output<'_, f32>,
        cut: Cut,
        groups: Groups<'_>,
        threads: Threads,
    ) -> Result<(), Error> {
        if values.is_of_halves() {
            let mut copy = zeros(codes.len())?;
            self.dequantize(codes, Output::from(&mut copy[..]), cut, groups, threads)?;
            values.copy_from(&copy);
            return Ok(());
        }
        // SAFETY: every element is written before it is read; the views are used one after the other.
        unsafe {
            Walk { work: Dequantize::new(codes, values.again().1), cut, groups }.run_on(threads);
            let (rotated, back) = values.again();
            self.run_on(Way::Back, rotated, back, threads);
        }
        Ok(())
    }
}

/// # Errors
/// [`Error::OutOfMemory`].
fn zeros(n: usize) -> Result<Vec<f32>, Error> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(n)?;
    zeros.resize(n, 0.0);
    Ok(zeros)
}

/// The places of a row's blocks.
fn blocks(length: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let block = start..start + (1 << (length - start).checked_ilog2()?);
        start = block.end;
        Some(block)
    })
}

struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Some rows of a call.
struct Rotate<'a> {
    rotation: &'a Rotation,
    way: Way,
    from: Input<'a, f32>,
    to: Output<'a, f32>,
    rows: Range<usize>,
}

impl Kernel for Rotate<'_> {
    #[inline(always)]
    fn run<V: Vectors>(mut self) {
        let length = self.rotation.length();
        for row in self.rows {
            for block in blocks(length) {
                let (start, len) = (row * length + block.start, block.len());
                let factors = Factors(self.rotation.factors[block].as_ptr());
                let block = Block { from: self.from.place(start, len), to: self.to.place(start, len), len };
                // SAFETY: `place` has checked that the block lies in both buffers, and there is a factor for each element.
                unsafe {
                    match self.way {
                        Way::There => block.transform::<V, _, _>(factors, One),
                        Way::Back => block.transform::<V, _, _>(One, factors),
                    }
                }
            }
        }
    }
}

/// What elements are multiplied by.
trait Factor: Copy {
    /// `x`, which begins at the element `at` of a block, multiplied.
    ///
    /// # Safety
    /// `at` and the lanes after it are in the block.
    unsafe fn times<F: Floats>(self, at: usize, x: F) -> F;

    /// The same of one element.
    ///
    /// # Safety
    /// `at` is in the block.
    unsafe fn times_one(self, at: usize, x: f32) -> f32;

    /// The factors of the block's elements from `start` on.
    ///
    /// # Safety
    /// `start` is in the block.
    unsafe fn after(self, start: usize) -> Self;
}

/// Nothing.
#[derive(Clone, Copy)]
struct One;

impl Factor for One {
    #[inline(always)]
    unsafe fn times<F: Floats>(self, _at: usize, x: F) -> F {
        x
    }

    #[inline(always)]
    unsafe fn times_one(self, _at: usize, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    unsafe fn after(self, _start: usize) -> Self {
        self
    }
}

/// A factor for each element.
#[derive(Clone, Copy)]
struct Factors(*const f32);

impl Factor for Factors {
    #[inline(always)]
    unsafe fn times<F: Floats>(self, at: usize, x: F) -> F {
        // SAFETY: the caller's promise.
        unsafe { x.times(F::load(self.0.add(at))) }
    }

    #[inline(always)]
    unsafe fn times_one(self, at: usize, x: f32) -> f32 {
        // SAFETY: the caller's promise.
        x * unsafe { self.0.add(at).read() }
    }

    #[inline(always)]
    unsafe fn after(self, start: usize) -> Self {
        // SAFETY: the caller's promise.
        Factors(unsafe { self.0.add(start) })
    }
}

/// A block of a row, or a stretch of one: where it is read first, and where it is written and then transformed in place.
#[derive(Clone, Copy)]
struct Block {
    from: *const f32,
    to: *mut f32,
    /// A power of two.
    len: usize,
}

/// Registers that a pass holds.
const HELD: usize = 8;

impl Block {
    /// `last * (H (first * x))`.
    ///
    /// # Safety
    /// `from` can be read and `to` written for `len` elements, and there are as many factors; here and below.
    #[inline(always)]
    unsafe fn transform<V: Vectors, First: Factor, Last: Factor>(self, first: First, last: Last) {
        if self.len <= STRETCH {
            // SAFETY: the caller's promise.
            return unsafe { self.short::<V, _, _>(first, last) };
        }
        // SAFETY: the stretches are in the block.
        unsafe {
            for start in (0..self.len).step_by(STRETCH) {
                let stretch = Block { from: self.from.add(start), to: self.to.add(start), len: STRETCH };
                stretch.short::<V, _, _>(first.after(start), One);
            }
            self.stages_from::<V, _>(STRETCH, last);
        }
    }

    /// The same, of a stretch.
    #[inline(always)]
    unsafe fn short<V: Vectors, First: Factor, Last: Factor>(self, first: First, last: Last) {
        let lanes = V::Floats::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            match self.len / lanes {
                0 => self.tiny(first, last),
                1 => self.within::<V, 1, _, _>(first, last),
                2 => self.within::<V, 2, _, _>(first, last),
                4 => self.within::<V, 4, _, _>(first, last),
                HELD => self.within::<V, HELD, _, _>(first, last),
                _ => {
                    self.within::<V, HELD, _, _>(first, One);
                    self.stages_from::<V, _>(HELD * lanes, last);
                }
            }
        }
    }

    /// A block that fills no register.
    #[inline(always)]
    unsafe fn tiny<First: Factor, Last: Factor>(self, first: First, last: Last) {
        let mut x = [0.0f32; MOST_LANES];
        // SAFETY: the caller's promise.
        unsafe {
            for at in 0..self.len {
                x[at] = first.times_one(at, self.from.add(at).read());
            }
            let mut stride = 1;
            while stride < self.len {
                for at in (0..self.len).filter(|at| at & stride == 0) {
                    (x[at], x[at + stride]) = (x[at] + x[at + stride], x[at] - x[at + stride]);
                }
                stride *= 2;
            }
            for at in 0..self.len {
                self.to.add(at).write(last.times_one(at, x[at]));
            }
        }
    }

    /// The stages of strides below N registers, on N registers at a time. The only pass that reads `from`.
    #[inline(always)]
    unsafe fn within<V: Vectors, const N: usize, First: Factor, Last: Factor>(self, first: First, last: Last) {
        let lanes = V::Floats::LANES;
        let mut held = [V::Floats::splat(0.0); N];
        for start in (0..self.len).step_by(N * lanes) {
            // SAFETY: the caller's promise; the block is a multiple of N registers.
            unsafe {
                for index in 0..N {
                    let at = start + index * lanes;
                    let mut x = first.times(at, V::Floats::load(self.from.add(at)));
                    x = stage_of_lanes::<V, 1>(x);
                    x = stage_of_lanes::<V, 2>(x);
                    x = stage_of_lanes::<V, 4>(x);
                    x = stage_of_lanes::<V, 8>(x);
                    held[index] = stage_of_lanes::<V, 16>(x);
                }
                stages_of_registers(&mut held);
                for index in 0..N {
                    let at = start + index * lanes;
                    last.times(at, held[index]).store(self.to.add(at));
                }
            }
        }
    }

    /// The stages of stride `stride` and more, in place, in as few passes as the registers allow.
    #[inline(always)]
    unsafe fn stages_from<V: Vectors, Last: Factor>(self, mut stride: usize, last: Last) {
        while stride < self.len {
            let together = (self.len / stride).min(HELD);
            let ends = stride * together == self.len;
            // SAFETY: the caller's promise.
            unsafe {
                match (together, ends) {
                    (HELD, false) => self.across::<V, HELD, _>(stride, One),
                    (HELD, true) => self.across::<V, HELD, _>(stride, last),
                    (4, _) => self.across::<V, 4, _>(stride, last),
                    _ => self.across::<V, 2, _>(stride, last),
                }
            }
            stride *= together;
        }
    }

    /// The stages of strides from `stride` to below `N * stride`, on N registers at a time.
    #[inline(always)]
    unsafe fn across<V: Vectors, const N: usize, Last: Factor>(self, stride: usize, last: Last) {
        let mut held = [V::Floats::splat(0.0); N];
        for start in (0..self.len).step_by(N * stride) {
            for at in (start..start + stride).step_by(V::Floats::LANES) {
                // SAFETY: the caller's promise; `stride` is a multiple of a register.
                unsafe {
                    for index in 0..N {
                        held[index] = V::Floats::load(self.to.add(at + index * stride));
                    }
                    stages_of_registers(&mut held);
                    for index in 0..N {
                        let at = at + index * stride;
                        last.times(at, held[index]).store(self.to.add(at));
                    }
                }
            }
        }
    }
}

/// The stage of a stride inside registers: lanes without the stride's bit become `a + b`, those with it `a - b`.
#[inline(always)]
fn stage_of_lanes<V: Vectors, const STRIDE: usize>(x: V::Floats) -> V::Floats {
    if STRIDE >= V::Floats::LANES {
        return x;
    }
    // SAFETY: there are as many signs as the widest register has lanes.
    let signs = unsafe { V::Floats::load(const { signs_of_lanes(STRIDE) }.as_ptr()) };
    // A product with 1 or -1 is exact, so that fusing changes nothing.
    let swapped = x.swapped::<STRIDE>();
    if V::FUSES { x.times_plus(signs, swapped) } else { x.times(signs).plus(swapped) }
}

const fn signs_of_lanes(stride: usize) -> [f32; MOST_LANES] {
    let mut signs = [1.0; MOST_LANES];
    let mut lane = 0;
    while lane < MOST_LANES {
        if lane & stride != 0 {
            signs[lane] = -1.0;
        }
        lane += 1;
    }
    signs
}

/// The stages between registers, N of them.
#[inline(always)]
fn stages_of_registers<F: Floats, const N: usize>(held: &mut [F; N]) {
    let mut stride = 1;
    while stride < N {
        for index in 0..N {
            if index & stride == 0 {
                let (a, b) = (held[index], held[index + stride]);
                held[index] = a.plus(b);
                held[index + stride] = a.minus(b);
            }
        }
        stride *= 2;
    }
}

#[cfg(test)]
mod tests;
