//! Vectors of aarch64. Every such processor has NEON: that is the fact on which the SAFETY comments here rest.

use super::{BLOCK, Floats, SEVERAL, Vectors};
use crate::kernels::buffer::copy_few;
use crate::kernels::random::{Start, draw_neon};
use std::arch::aarch64::*;

/// Methods that are one expression over registers.
macro_rules! methods {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty = $body:expr;)*) => {
        $(
            #[inline(always)]
            fn $name($($argument: $kind),*) -> $result {
                // SAFETY: the module's fact.
                unsafe { $body }
            }
        )*
    };
}

/// [`Floats::sums`] and [`Floats::largest_of_each`] of registers seen as the type that `$seen` turns them into. The halves of two
/// are joined, then their pairs of lanes, so that each result comes to lie in the place that it will have.
macro_rules! folds {
    ($($name:ident: $seen:ident $low:ident $high:ident $combine:ident, $join:ident then $join_pairs:ident, $store:ident;)*) => {
        $(
            #[inline(always)]
            fn $name(registers: &[Self; SEVERAL]) -> [f32; SEVERAL] {
                let mut folded = [0.0f32; SEVERAL];
                // SAFETY: the module's fact; the array has room for two times four.
                unsafe {
                    let halves = |a, b| $join($combine($low(a), $low(b)), $combine($high(a), $high(b)));
                    for at in [0, 4] {
                        let [a, b, c, d] = [0, 1, 2, 3].map(|next| $seen(registers[at + next]));
                        $store(folded.as_mut_ptr().add(at).cast(), $join_pairs(halves(a, b), halves(c, d)));
                    }
                }
                folded
            }
        )*
    };
}

#[inline(always)]
fn floats(register: float32x4_t) -> float32x4_t {
    register
}

#[inline(always)]
fn bits(register: float32x4_t) -> uint32x4_t {
    // SAFETY: the module's fact.
    unsafe { vreinterpretq_u32_f32(register) }
}

#[inline(always)]
fn of_bits(bits: uint32x4_t) -> float32x4_t {
    // SAFETY: the module's fact.
    unsafe { vreinterpretq_f32_u32(bits) }
}

#[inline(always)]
fn whole(register: float32x4_t) -> int32x4_t {
    // SAFETY: the module's fact.
    unsafe { vreinterpretq_s32_f32(register) }
}

#[inline(always)]
fn of_whole(whole: int32x4_t) -> float32x4_t {
    // SAFETY: the module's fact.
    unsafe { vreinterpretq_f32_s32(whole) }
}

impl Floats for float32x4_t {
    type Mask = uint32x4_t;

    const LANES: usize = 4;

    // The instructions for a maximum and a minimum give NaN where the bound is one, and choose between zeros; a comparison does not.
    methods! {
        splat(number: f32) -> Self = vdupq_n_f32(number);
        plus(self: Self, other: Self) -> Self = vaddq_f32(self, other);
        minus(self: Self, other: Self) -> Self = vsubq_f32(self, other);
        times(self: Self, other: Self) -> Self = vmulq_f32(self, other);
        over(self: Self, other: Self) -> Self = vdivq_f32(self, other);
        times_plus(self: Self, factor: Self, summand: Self) -> Self = vfmaq_f32(summand, self, factor);
        times_minus(self: Self, factor: Self, subtrahend: Self) -> Self = vfmaq_f32(vnegq_f32(subtrahend), self, factor);
        at_least(self: Self, bound: Self) -> Self = vbslq_f32(vcltq_f32(self, bound), bound, self);
        at_most(self: Self, bound: Self) -> Self = vbslq_f32(vcltq_f32(bound, self), bound, self);
        larger_bits(self: Self, other: Self) -> Self = of_whole(vmaxq_s32(whole(self), whole(other)));
        and(self: Self, other: Self) -> Self = of_bits(vandq_u32(bits(self), bits(other)));
        or(self: Self, other: Self) -> Self = of_bits(vorrq_u32(bits(self), bits(other)));
        xor(self: Self, other: Self) -> Self = of_bits(veorq_u32(bits(self), bits(other)));
        rounded(self: Self) -> Self = vrndnq_f32(self);
        to_whole(self: Self) -> Self = of_whole(vcvtnq_s32_f32(self));
        whole_to_float(self: Self) -> Self = vcvtq_f32_s32(whole(self));
        whole_plus(self: Self, other: Self) -> Self = of_whole(vaddq_s32(whole(self), whole(other)));
        is_below(self: Self, other: Self) -> Self::Mask = vcltq_f32(self, other);
        equals(self: Self, other: Self) -> Self::Mask = vceqq_f32(self, other);
        is_number(self: Self) -> Self::Mask = vceqq_f32(self, self);
        only(self: Self, mask: Self::Mask) -> Self = of_bits(vandq_u32(bits(self), mask));
        or_else(self: Self, mask: Self::Mask, other: Self) -> Self = vbslq_f32(mask, self, other);
        sum(self: Self) -> f32 = vpadds_f32(vadd_f32(vget_low_f32(self), vget_high_f32(self)));
        largest(self: Self) -> f32 = f32::from_bits(vmaxvq_s32(whole(self)).cast_unsigned());
        abs(self: Self) -> Self = vabsq_f32(self);
    }

    folds! {
        sums: floats vget_low_f32 vget_high_f32 vcombine_f32, vaddq_f32 then vpaddq_f32, vst1q_f32;
        largest_of_each: whole vget_low_s32 vget_high_s32 vcombine_s32, vmaxq_s32 then vpmaxq_s32, vst1q_s32;
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(to, self) }
    }

    /// Through the cache: the store that bypasses it has no intrinsic, and nothing asks for one (see
    /// [`stream`](super::super::stream)).
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to) }
    }

    #[inline(always)]
    fn swapped<const STRIDE: usize>(self) -> Self {
        // SAFETY: the module's fact.
        unsafe {
            match STRIDE {
                1 => vrev64q_f32(self),
                2 => vextq_f32::<2>(self, self),
                _ => unreachable!("there are 4 lanes"),
            }
        }
    }
}

/// The baseline of aarch64.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Neon;

impl Vectors for Neon {
    type Floats = float32x4_t;
    type Block = [float32x4_t; 8];
    type Bytes = [int8x16_t; 2];

    /// NEON does fuse, but tensors whose steps are not ordinary need quotients that are divisions, and there is no slower set
    /// for them to run on, as there is on x86-64. One that fuses beside this one would be a second copy of every loop; what it
    /// would gain is not known, as the code has been timed on no such machine.
    const FUSES: bool = false;
    const SPECIALISES: bool = true;

    #[inline(always)]
    unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
        // SAFETY: the module's fact; the caller's promise.
        unsafe { draw_neon(start, low, groups, draws) }
    }

    #[inline(always)]
    fn splat(number: f32) -> Self::Block {
        [float32x4_t::splat(number); 8]
    }

    #[inline(always)]
    unsafe fn load_few(from: *const f32, count: usize) -> Self::Block {
        let mut array = [0.0; BLOCK];
        // SAFETY: the caller's promise.
        unsafe { copy_few(from, array.as_mut_ptr(), count) };
        Self::from_array(&array)
    }

    #[inline(always)]
    unsafe fn store_few(block: Self::Block, to: *mut f32, count: usize) {
        let array = Self::to_array(block);
        // SAFETY: the caller's promise.
        unsafe { copy_few(array.as_ptr(), to, count) };
    }

    #[inline(always)]
    fn has_nan(block: Self::Block) -> bool {
        // SAFETY: the module's fact.
        unsafe {
            // The larger of a number and NaN is NaN here, as nowhere else.
            let pair = |register: usize| vmaxq_f32(block[register], block[register + 1]);
            let all = vmaxq_f32(vmaxq_f32(pair(0), pair(2)), vmaxq_f32(pair(4), pair(6)));
            vmaxvq_f32(all).is_nan()
        }
    }

    #[inline(always)]
    fn to_bytes(numbers: Self::Block) -> Self::Bytes {
        // SAFETY: the module's fact.
        unsafe {
            let words =
                |register: usize| vmovn_high_s32(vmovn_s32(whole(numbers[register])), whole(numbers[register + 1]));
            let bytes = |register: usize| vmovn_high_s16(vmovn_s16(words(register)), words(register + 2));
            [bytes(0), bytes(4)]
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: Self::Bytes, to: *mut i8, _streamed: bool) {
        // SAFETY: the caller's promise: two registers of sixteen bytes.
        unsafe {
            vst1q_s8(to, bytes[0]);
            vst1q_s8(to.add(16), bytes[1]);
        }
    }

    #[inline(always)]
    unsafe fn store_few_bytes(bytes: Self::Bytes, to: *mut i8, count: usize) {
        let mut array = [0; BLOCK];
        // SAFETY: the array has a block of bytes; the caller's promise.
        unsafe {
            Self::store_bytes(bytes, array.as_mut_ptr(), false);
            copy_few(array.as_ptr(), to, count);
        }
    }

    #[inline(always)]
    fn from_bytes(bytes: &[i8; BLOCK]) -> Self::Block {
        let mut block = Self::splat(0.0);
        // SAFETY: the module's fact; the array has two times sixteen bytes.
        unsafe {
            for half in 0..2 {
                let bytes = vld1q_s8(bytes.as_ptr().add(16 * half));
                let words = [vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)];
                for (index, words) in words.into_iter().enumerate() {
                    block[half * 4 + index * 2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
                    block[half * 4 + index * 2 + 1] = vcvtq_f32_s32(vmovl_high_s16(words));
                }
            }
        }
        block
    }
}
