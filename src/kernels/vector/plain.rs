//! A block as an array, in plain Rust: what the compiler makes of its loops is up to it.

use super::{BLOCK, Floats, NO_FRACTION, SEVERAL, Vectors};
use crate::kernels::random::{Start, draw_plain};

/// A whole block as one register. (Arrays of four were tried: eight of them, unrolled, took the compiler ten minutes.)
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::kernels) struct Array([f32; BLOCK]);

#[inline(always)]
fn map(a: Array, b: Array, operation: impl Fn(f32, f32) -> f32) -> Array {
    let mut result = a;
    for lane in 0..BLOCK {
        result.0[lane] = operation(a.0[lane], b.0[lane]);
    }
    result
}

#[inline(always)]
fn map_bits(a: Array, b: Array, operation: impl Fn(u32, u32) -> u32) -> Array {
    map(a, b, |a, b| f32::from_bits(operation(a.to_bits(), b.to_bits())))
}

#[inline(always)]
fn test(a: Array, b: Array, holds: impl Fn(f32, f32) -> bool) -> [bool; BLOCK] {
    let mut result = [false; BLOCK];
    for lane in 0..BLOCK {
        result[lane] = holds(a.0[lane], b.0[lane]);
    }
    result
}

#[inline(always)]
fn larger_bits(a: f32, b: f32) -> f32 {
    if a.to_bits().cast_signed() > b.to_bits().cast_signed() { a } else { b }
}

/// Lane i and lane i + half, over and over.
#[inline(always)]
fn fold(mut lanes: [f32; BLOCK], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = BLOCK / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

impl Floats for Array {
    type Mask = [bool; BLOCK];

    const LANES: usize = BLOCK;

    #[inline(always)]
    fn splat(number: f32) -> Self {
        Array([number; BLOCK])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Array(unsafe { from.cast::<[f32; BLOCK]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; BLOCK]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to) }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        map(self, other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        map(self, other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        map(self, other, |a, b| a * b)
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        map(self, other, |a, b| a / b)
    }

    #[inline(always)]
    fn times_plus(self, _factor: Self, _summand: Self) -> Self {
        unreachable!("not every target fuses")
    }

    #[inline(always)]
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
        let mut result = self;
        for lane in 0..BLOCK {
            let product = f64::from(self.0[lane]) * f64::from(factor.0[lane]);
            result.0[lane] = (product - f64::from(subtrahend.0[lane])) as f32;
        }
        result
    }

    #[inline(always)]
    fn rounded(self) -> Self {
        self.plus(Self::splat(NO_FRACTION)).minus(Self::splat(NO_FRACTION))
    }

    #[inline(always)]
    fn to_whole(self) -> Self {
        // The bits of neighbouring sums are neighbours.
        let whole =
            map_bits(self.plus(Self::splat(NO_FRACTION)), self, |sum, _| sum.wrapping_sub(NO_FRACTION.to_bits()));
        whole.only(self.is_number())
    }

    #[inline(always)]
    fn whole_to_float(self) -> Self {
        map(self, self, |whole, _| whole.to_bits().cast_signed() as f32)
    }

    #[inline(always)]
    fn whole_plus(self, other: Self) -> Self {
        map_bits(self, other, u32::wrapping_add)
    }

    #[inline(always)]
    fn at_least(self, bound: Self) -> Self {
        map(self, bound, |number, bound| if bound > number { bound } else { number })
    }

    #[inline(always)]
    fn at_most(self, bound: Self) -> Self {
        map(self, bound, |number, bound| if bound < number { bound } else { number })
    }

    #[inline(always)]
    fn larger_bits(self, other: Self) -> Self {
        map(self, other, larger_bits)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        map_bits(self, other, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        map_bits(self, other, |a, b| a | b)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        map_bits(self, other, |a, b| a ^ b)
    }

    #[inline(always)]
    fn is_below(self, other: Self) -> Self::Mask {
        test(self, other, |a, b| a < b)
    }

    #[inline(always)]
    fn equals(self, other: Self) -> Self::Mask {
        test(self, other, |a, b| a == b)
    }

    #[inline(always)]
    fn is_number(self) -> Self::Mask {
        test(self, self, |a, _| !a.is_nan())
    }

    #[inline(always)]
    fn only(self, mask: Self::Mask) -> Self {
        self.or_else(mask, Self::splat(0.0))
    }

    #[inline(always)]
    fn or_else(self, mask: Self::Mask, other: Self) -> Self {
        let mut result = other;
        for lane in 0..BLOCK {
            result.0[lane] = if mask[lane] { self.0[lane] } else { other.0[lane] };
        }
        result
    }

    #[inline(always)]
    fn swapped<const STRIDE: usize>(self) -> Self {
        Array(std::array::from_fn(|lane| self.0[lane ^ STRIDE]))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        fold(self.0, |a, b| a + b)
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        fold(self.0, larger_bits)
    }

    #[inline(always)]
    fn sums(registers: &[Self; SEVERAL]) -> [f32; SEVERAL] {
        registers.map(Self::sum)
    }

    #[inline(always)]
    fn largest_of_each(registers: &[Self; SEVERAL]) -> [f32; SEVERAL] {
        registers.map(Self::largest)
    }
}

/// What every target has.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Plain;

impl Vectors for Plain {
    type Floats = Array;
    type Block = [Array; 1];
    type Bytes = [i8; BLOCK];

    const FUSES: bool = false;
    const SPECIALISES: bool = false;

    #[inline(always)]
    unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { draw_plain(start, low, groups, draws) }
    }

    #[inline(always)]
    fn splat(number: f32) -> Self::Block {
        [Array::splat(number)]
    }

    #[inline(always)]
    unsafe fn load_few(from: *const f32, count: usize) -> Self::Block {
        let mut array = [0.0; BLOCK];
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from, array.as_mut_ptr(), count.min(BLOCK)) };
        Self::from_array(&array)
    }

    #[inline(always)]
    unsafe fn store_few(block: Self::Block, to: *mut f32, count: usize) {
        let array = Self::to_array(block);
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(array.as_ptr(), to, count.min(BLOCK)) };
    }

    #[inline(always)]
    fn has_nan(block: Self::Block) -> bool {
        // All lanes, without leaving early.
        Self::to_array(block).iter().fold(false, |found, lane| found | lane.is_nan())
    }

    #[inline(always)]
    fn to_bytes(whole: Self::Block) -> Self::Bytes {
        Self::to_array(whole).map(|lane| lane.to_bits() as i8)
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: Self::Bytes, to: *mut i8, _streamed: bool) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[i8; BLOCK]>().write_unaligned(bytes) }
    }

    #[inline(always)]
    unsafe fn store_few_bytes(bytes: Self::Bytes, to: *mut i8, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count.min(BLOCK)) };
    }

    #[inline(always)]
    fn from_bytes(bytes: &[i8; BLOCK]) -> Self::Block {
        Self::from_array(&bytes.map(f32::from))
    }
}
