//! Vectors of f32: the few operations that kernels are written in, once per instruction set.
//!
//! Kernels are generic over [`Vectors`] and say what happens to one register. Plain loops over arrays that the compiler
//! vectorises were tried first: the simple kernels came out as fast, the others up to ten times slower, and which ones
//! depended on link-time optimisation.
//!
//! - `x86`: SSE2 (the baseline of x86-64), AVX2 with FMA, AVX-512.
//! - `neon`: NEON (the baseline of aarch64).
//! - `narrow`: the first register of any of them, for fewer elements than it has lanes.
//! - `plain`: arrays, for every other target, and in tests a second opinion on this one.

mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod plain;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use narrow::Narrow;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// What every machine of this architecture has. It divides, for steps that allow nothing else (see [`quotient`](super::quotient)).
#[cfg(target_arch = "x86_64")]
pub(super) type Baseline = x86::Sse2;
/// As above.
#[cfg(target_arch = "aarch64")]
pub(super) type Baseline = neon::Neon;
/// As above.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) type Baseline = plain::Plain;

use super::BLOCK;
use super::random::Start;
use std::ops::IndexMut;
use std::sync::atomic::{Ordering, compiler_fence};

/// Registers that [`Floats::sums`] adds up at a time.
pub(super) const SEVERAL: usize = 8;

/// 1.5 * 2^23: a sum with it has no bits left for a fraction, so the addition rounds, half to even.
#[cfg(any(test, not(target_arch = "aarch64")))]
const NO_FRACTION: f32 = 12_582_912.0;

/// Ones for as many lanes as a block has, zeros for as many more.
static ONES: [u32; 2 * BLOCK] = {
    let mut lanes = [0; 2 * BLOCK];
    let mut lane = 0;
    while lane < BLOCK {
        lanes[lane] = u32::MAX;
        lane += 1;
    }
    lanes
};

/// Ones in the first `count` lanes, at most a block, zeros in the others.
#[inline(always)]
pub(super) fn ones<V: Vectors>(count: usize) -> V::Block {
    let ones = &ONES[BLOCK - count..2 * BLOCK - count];
    // SAFETY: the slice has a block of floats.
    unsafe { V::load(ones.as_ptr().cast()) }
}

/// A register of f32 lanes. Methods are `#[inline(always)]`; those of an instruction set run only where it was detected.
pub(crate) trait Floats: Copy {
    /// A choice per lane.
    type Mask: Copy;

    const LANES: usize;

    fn splat(number: f32) -> Self;

    /// Reads [`LANES`](Self::LANES) floats.
    ///
    /// # Safety
    /// `from` is valid for reads of them.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes [`LANES`](Self::LANES) floats.
    ///
    /// # Safety
    /// `to` is valid for writes of them.
    unsafe fn store(self, to: *mut f32);

    /// Writes [`LANES`](Self::LANES) floats past the cache.
    ///
    /// # Safety
    /// `to` is valid for writes of them and aligned to their size.
    unsafe fn stream(self, to: *mut f32);

    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;

    /// `self * factor + summand`, rounded once. Only where [`Vectors::FUSES`].
    fn times_plus(self, factor: Self, summand: Self) -> Self;

    /// `self * factor - subtrahend`, rounded once, for a product that f64 holds exactly.
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self;

    /// The larger of two; `self` where it is NaN.
    fn at_least(self, bound: Self) -> Self;

    /// The smaller of two; `self` where it is NaN.
    fn at_most(self, bound: Self) -> Self;

    /// The one whose bits are larger as a signed whole number: the larger of two numbers without a sign, and NaN beside any.
    fn larger_bits(self, other: Self) -> Self;

    /// Bits that both have.
    fn and(self, other: Self) -> Self;

    /// Bits that either has.
    fn or(self, other: Self) -> Self;

    /// Bits that one of them has.
    fn xor(self, other: Self) -> Self;

    /// The nearest whole number, half to even, of a magnitude up to 2^22, or NaN; the sign of a zero is not promised.
    fn rounded(self) -> Self;

    /// The nearest whole number, half to even, as an i32 in each lane's bits; 0 for NaN. Up to 2^15 - 1 in magnitude.
    fn to_whole(self) -> Self;

    /// The float of each lane's i32.
    fn whole_to_float(self) -> Self;

    /// The sum of i32s.
    fn whole_plus(self, other: Self) -> Self;

    /// Where `self < other`.
    fn is_below(self, other: Self) -> Self::Mask;

    /// Where `self == other`.
    fn equals(self, other: Self) -> Self::Mask;

    /// Where there is no NaN.
    fn is_number(self) -> Self::Mask;

    /// `self` where `mask` holds, else 0.
    fn only(self, mask: Self::Mask) -> Self;

    /// `self` where `mask` holds, else `other`.
    fn or_else(self, mask: Self::Mask, other: Self) -> Self;

    /// Lane i where lane `i ^ STRIDE` was; STRIDE is a power of two below [`LANES`](Self::LANES).
    fn swapped<const STRIDE: usize>(self) -> Self;

    /// The sum of the lanes: lanes i and i + half, over and over.
    fn sum(self) -> f32;

    /// The lane whose bits are largest, as by [`larger_bits`](Self::larger_bits).
    fn largest(self) -> f32;

    /// The sum of each of several registers, as [`sum`](Self::sum) gives it: one by one, each would wait for itself.
    fn sums(registers: &[Self; SEVERAL]) -> [f32; SEVERAL];

    /// The largest lane of each.
    fn largest_of_each(registers: &[Self; SEVERAL]) -> [f32; SEVERAL];

    /// The magnitude.
    #[inline(always)]
    fn abs(self) -> Self {
        self.and(Self::splat(f32::from_bits(!(1 << 31))))
    }

    /// 0 where `mask` holds, else `self`.
    #[inline(always)]
    fn except(self, mask: Self::Mask) -> Self {
        Self::splat(0.0).or_else(mask, self)
    }
}

/// An instruction set: its registers, and the forms that work on a block of them.
pub(crate) trait Vectors: Copy {
    /// A register.
    type Floats: Floats;

    /// A block of [`BLOCK`] floats.
    type Block: Copy + IndexMut<usize, Output = Self::Floats>;

    /// Registers of a block.
    const REGISTERS: usize = BLOCK / Self::Floats::LANES;

    /// Whether quotients are fused products, not divisions: whether [`Floats::times_plus`] may be used. Not of a baseline.
    const FUSES: bool;

    /// Whether what is common is compiled apart: faster, and several times the code. Not of instruction sets that few run.
    const SPECIALISES: bool;

    fn splat(number: f32) -> Self::Block;

    /// Reads `count` floats, fewer than a block; lanes past them are 0.
    ///
    /// # Safety
    /// `from` is valid for reads of them.
    unsafe fn load_few(from: *const f32, count: usize) -> Self::Block;

    /// Writes the first `count` floats, fewer than a block.
    ///
    /// # Safety
    /// `to` is valid for writes of them.
    unsafe fn store_few(block: Self::Block, to: *mut f32, count: usize);

    /// A block of bytes in registers.
    type Bytes: Copy;

    /// Whether there is a NaN.
    fn has_nan(block: Self::Block) -> bool;

    /// The bytes of i32s that are whole numbers from -128 to 127.
    fn to_bytes(whole: Self::Block) -> Self::Bytes;

    /// Writes a block of bytes, past the cache if that is asked for and `to` is aligned for it.
    ///
    /// # Safety
    /// `to` is valid for writes of it.
    unsafe fn store_bytes(bytes: Self::Bytes, to: *mut i8, streamed: bool);

    /// Writes the first `count` bytes, fewer than a block.
    ///
    /// # Safety
    /// `to` is valid for writes of them.
    unsafe fn store_few_bytes(bytes: Self::Bytes, to: *mut i8, count: usize);

    /// Bytes as floats.
    fn from_bytes(bytes: &[i8; BLOCK]) -> Self::Block;

    /// Draws, see [`super::random`].
    ///
    /// # Safety
    /// `draws` is valid for writes of the draws of `groups` groups.
    unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32);

    /// Reads a block.
    ///
    /// # Safety
    /// `from` is valid for reads of it.
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Block {
        let mut block = Self::splat(0.0);
        for register in 0..Self::REGISTERS {
            // SAFETY: the caller's promise; the registers are a block.
            block[register] = unsafe { Self::Floats::load(from.add(register * Self::Floats::LANES)) };
        }
        block
    }

    /// Writes a block.
    ///
    /// # Safety
    /// `to` is valid for writes of it.
    #[inline(always)]
    unsafe fn store(block: Self::Block, to: *mut f32) {
        for register in 0..Self::REGISTERS {
            // SAFETY: the caller's promise; the registers are a block.
            unsafe { block[register].store(to.add(register * Self::Floats::LANES)) };
        }
    }

    /// Writes a block past the cache, unless `to` is not aligned to 16 bytes, as allocators align; whether it did.
    ///
    /// # Safety
    /// `to` is valid for writes of it.
    #[inline(always)]
    unsafe fn stream(block: Self::Block, to: *mut f32) -> bool {
        if to.addr().is_multiple_of(size_of::<Self::Floats>()) {
            // An ordinary store between those to one line may send half a line to memory: six times the time.
            compiler_fence(Ordering::SeqCst);
            for register in 0..Self::REGISTERS {
                // SAFETY: the caller's promise; the registers are a block, and each is aligned as the first is.
                unsafe { block[register].stream(to.add(register * Self::Floats::LANES)) };
            }
            compiler_fence(Ordering::SeqCst);
            return true;
        }
        #[cfg(target_arch = "x86_64")]
        if to.addr().is_multiple_of(16) {
            let array = Self::to_array(block);
            for at in (0..BLOCK).step_by(4) {
                // SAFETY: the caller's promise; four floats at a time, from a block of them.
                unsafe {
                    std::arch::x86_64::_mm_stream_ps(
                        to.add(at),
                        std::arch::x86_64::_mm_loadu_ps(array.as_ptr().add(at)),
                    )
                };
            }
            return true;
        }
        false
    }

    /// The lanes in memory.
    #[inline(always)]
    fn to_array(block: Self::Block) -> [f32; BLOCK] {
        let mut array = [0.0; BLOCK];
        // SAFETY: the array is a block.
        unsafe { Self::store(block, array.as_mut_ptr()) };
        array
    }

    /// The lanes from memory.
    #[inline(always)]
    fn from_array(array: &[f32; BLOCK]) -> Self::Block {
        // SAFETY: the array is a block.
        unsafe { Self::load(array.as_ptr()) }
    }
}
