//! Vectors of aarch64. Every such processor has NEON: that is the fact on which the SAFETY comments here rest.

use super::{BLOCK, Floats, SEVERAL, Vectors};
use crate::kernels::buffer::copy_few;
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

/// [`Floats::sums`] and [`Floats::largest_of_each`]: the halves of two registers are joined, then pairs of lanes.
macro_rules! folds {
    ($($name:ident: $join:ident, then $join_pairs:ident;)*) => {
        $(
            #[inline(always)]
            fn $name(registers: &[Self; SEVERAL]) -> [f32; SEVERAL] {
                let mut folded = [0.0; SEVERAL];
                // SAFETY: the module's fact; the array has room for two times four.
                unsafe {
                    let halves = |a, b| {
                        let low = vcombine_f32(vget_low_f32(a), vget_low_f32(b));
                        $join(low, vcombine_f32(vget_high_f32(a), vget_high_f32(b)))
                    };
                    for at in [0, 4] {
                        let [a, b, c, d] = [registers[at], registers[at + 1], registers[at + 2], registers[at + 3]];
                        vst1q_f32(folded.as_mut_ptr().add(at), $join_pairs(halves(a, b), halves(c, d)));
                    }
                }
                folded
            }
        )*
    };
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

impl Floats for float32x4_t {
    type Mask = uint32x4_t;

    const LANES: usize = 4;

    // The instructions for a maximum and a minimum treat NaN and the signs of zeros differently; a comparison does not.
    methods! {
        splat(number: f32) -> Self = vdupq_n_f32(number);
        plus(self: Self, other: Self) -> Self = vaddq_f32(self, other);
        minus(self: Self, other: Self) -> Self = vsubq_f32(self, other);
        times(self: Self, other: Self) -> Self = vmulq_f32(self, other);
        over(self: Self, other: Self) -> Self = vdivq_f32(self, other);
        times_plus(self: Self, factor: Self, summand: Self) -> Self = vfmaq_f32(summand, self, factor);
        minus_product(self: Self, level: Self, step: Self) -> Self = vfmsq_f32(self, level, step);
        at_least(self: Self, bound: Self) -> Self = vbslq_f32(vcltq_f32(self, bound), bound, self);
        at_most(self: Self, bound: Self) -> Self = vbslq_f32(vcltq_f32(bound, self), bound, self);
        and(self: Self, other: Self) -> Self = of_bits(vandq_u32(bits(self), bits(other)));
        or(self: Self, other: Self) -> Self = of_bits(vorrq_u32(bits(self), bits(other)));
        xor(self: Self, other: Self) -> Self = of_bits(veorq_u32(bits(self), bits(other)));
        is_below(self: Self, other: Self) -> Self::Mask = vcltq_f32(self, other);
        equals(self: Self, other: Self) -> Self::Mask = vceqq_f32(self, other);
        is_number(self: Self) -> Self::Mask = vceqq_f32(self, self);
        both(a: Self::Mask, b: Self::Mask) -> Self::Mask = vandq_u32(a, b);
        only(self: Self, mask: Self::Mask) -> Self = of_bits(vandq_u32(bits(self), mask));
        or_else(self: Self, mask: Self::Mask, other: Self) -> Self = vbslq_f32(mask, self, other);
        sum(self: Self) -> f32 = vpadds_f32(vadd_f32(vget_low_f32(self), vget_high_f32(self)));
        largest(self: Self) -> f32 = vmaxvq_f32(self);
        abs(self: Self) -> Self = vabsq_f32(self);
    }

    folds! {
        sums: vaddq_f32, then vpaddq_f32;
        largest_of_each: vmaxq_f32, then vpmaxq_f32;
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

    /// No output is streamed here: there is no such store for one register.
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to) }
    }
}

/// NEON, which divides or fuses: the baseline of aarch64, and what is faster where steps are ordinary.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Neon<const FUSES: bool>;

impl<const FUSES: bool> Vectors for Neon<FUSES> {
    type Floats = float32x4_t;
    type Block = [float32x4_t; 8];
    type Bytes = [uint8x16_t; 2];

    const FUSES: bool = FUSES;

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
    fn low_bytes(block: Self::Block) -> Self::Bytes {
        // SAFETY: the module's fact.
        unsafe {
            let half = |register: usize| vmovn_u32(bits(block[register]));
            let words = |register: usize| vcombine_u16(half(register), half(register + 1));
            let bytes = |register: usize| vcombine_u8(vmovn_u16(words(register)), vmovn_u16(words(register + 2)));
            [bytes(0), bytes(4)]
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: Self::Bytes, to: *mut i8, _streamed: bool) {
        // SAFETY: the caller's promise: two registers of sixteen bytes.
        unsafe {
            vst1q_u8(to.cast(), bytes[0]);
            vst1q_u8(to.add(16).cast(), bytes[1]);
        }
    }

    #[inline(always)]
    fn bytes_to_array(bytes: Self::Bytes) -> [i8; BLOCK] {
        let mut array = [0; BLOCK];
        // SAFETY: the array has a block of bytes.
        unsafe { Self::store_bytes(bytes, array.as_mut_ptr(), false) };
        array
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
