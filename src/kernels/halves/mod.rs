//! Floats of 16 bits: widened to f32, which is exact, and narrowed, to the nearest and halves to even.
//!
//! Kernels compute in f32; a walk widens what they read and narrows what they wrote, see [`super::stage`]. A NaN stays a
//! NaN of the same sign, quiet once it was narrowed, with as much of its payload as there is room for. What is too large
//! becomes infinite, subnormals are kept. The bits are the same on every instruction set.
//!
//! The loops are plain ones that the compiler vectorises, once for the baseline and once for AVX2; f16 has instructions of its own,
//! in `x86`.

mod element;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use element::Element;

use super::Isa;
use std::mem::MaybeUninit;

/// A format of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// IEEE binary16: 5 bits of exponent, 10 of fraction.
    F16,
    /// bfloat16: the upper half of an f32.
    Bf16,
}

impl Half {
    /// One float.
    pub(super) fn widened(self, half: u16) -> f32 {
        match self {
            Half::F16 => widened_f16(half),
            Half::Bf16 => widened_bf16(half),
        }
    }

    /// Writes the float of each of `from`.
    pub(super) fn widen(self, from: &[u16], to: &mut [MaybeUninit<f32>]) {
        self.widen_on(Isa::current(), from, to);
    }

    /// Writes each of `from`, rounded; past the cache if so, where that is possible, and then a [fence](super::stream::fence) is
    /// needed.
    pub(super) fn narrow(self, from: &[f32], to: &mut [MaybeUninit<u16>], past_cache: bool) {
        self.narrow_on(Isa::current(), from, to, past_cache);
    }

    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    fn widen_on(self, isa: Isa, from: &[u16], to: &mut [MaybeUninit<f32>]) {
        #[cfg(target_arch = "x86_64")]
        if x86::are_there(isa) {
            // SAFETY: they are there.
            return unsafe {
                match self {
                    Half::F16 => x86::widen_f16(from, to),
                    Half::Bf16 => x86::widen_bf16(from, to),
                }
            };
        }
        match self {
            Half::F16 => each(from, to, widened_f16),
            Half::Bf16 => each(from, to, widened_bf16),
        }
    }

    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    fn narrow_on(self, isa: Isa, from: &[f32], to: &mut [MaybeUninit<u16>], past_cache: bool) {
        #[cfg(target_arch = "x86_64")]
        if x86::are_there(isa) {
            // SAFETY: they are there.
            return unsafe {
                match (self, past_cache && may_bypass(to)) {
                    (Half::F16, false) => x86::narrow_f16::<false>(from, to),
                    (Half::F16, true) => x86::narrow_f16::<true>(from, to),
                    (Half::Bf16, false) => x86::narrow_bf16::<false>(from, to),
                    (Half::Bf16, true) => x86::narrow_bf16::<true>(from, to),
                }
            };
        }
        match self {
            Half::F16 => each(from, to, narrowed_f16),
            Half::Bf16 => each(from, to, narrowed_bf16),
        }
    }
}

/// Whether halves lie so that registers of them can be stored past the cache, as those of every allocator do.
#[cfg(target_arch = "x86_64")]
fn may_bypass(to: &[MaybeUninit<u16>]) -> bool {
    to.as_ptr().addr().is_multiple_of(16)
}

/// Converts all of `from`, as many as `to` has room for.
#[inline(always)]
fn each<A: Copy, B>(from: &[A], to: &mut [MaybeUninit<B>], convert: impl Fn(A) -> B) {
    assert!(from.len() == to.len());
    for at in 0..from.len() {
        to[at].write(convert(from[at]));
    }
}

/// Bits of an f32 that f16 has no room for.
const SHIFT: u32 = 23 - 10;

/// What the exponents of f32 and f16 are apart by.
const EXPONENTS_APART: u32 = 127 - 15;

const INFINITY: u32 = f32::INFINITY.to_bits();

/// The bit of a NaN that makes it quiet.
const QUIET: u32 = 1 << 22;

// Each is a choice between numbers that are all computed: what has no branches is vectorised.

#[inline(always)]
fn widened_f16(half: u16) -> f32 {
    let (sign, magnitude) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7fff));
    let normal = (magnitude << SHIFT) + (EXPONENTS_APART << 23);
    // A multiple of the smallest number, through a whole one: a host may have subnormal floats taken for 0.
    let subnormal = (magnitude as i32 as f32 * f32::from_bits((127 - 24) << 23)).to_bits();
    let infinite = (magnitude << SHIFT) | INFINITY;
    let finite = if magnitude < 1 << 10 { subnormal } else { normal };
    let number = if magnitude < 31 << 10 { finite } else { infinite };
    f32::from_bits(sign | number | if magnitude > 31 << 10 { QUIET } else { 0 })
}

#[inline(always)]
fn widened_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

#[inline(always)]
fn narrowed_f16(number: f32) -> u16 {
    let (sign, magnitude) = (number.to_bits() >> 16 & 0x8000, number.to_bits() & 0x7fff_ffff);
    // The power of two after the largest f16 has the bits of its infinity.
    let clamped = if magnitude > (127 + 16) << 23 { (127 + 16) << 23 } else { magnitude };
    let normal = rounded_off(clamped, SHIFT).wrapping_sub(EXPONENTS_APART << 10);
    // The last place of a sum with a half is that of a subnormal f16, so that the addition itself rounds.
    let subnormal = (f32::from_bits(clamped) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let finite = if clamped < (127 - 14) << 23 { subnormal } else { normal };
    let nan = (magnitude | INFINITY | QUIET) >> SHIFT & 0x7fff;
    (sign | if magnitude > INFINITY { nan } else { finite }) as u16
}

#[inline(always)]
fn narrowed_bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    // Rounding would carry out of some NaNs.
    let is_nan = bits & 0x7fff_ffff > INFINITY;
    (if is_nan { (bits | QUIET) >> 16 } else { rounded_off(bits, 16) }) as u16
}

/// `bits` without the last `count`, halves to even.
#[inline(always)]
fn rounded_off(bits: u32, count: u32) -> u32 {
    // Just below half a unit, and the rest of it where the last bit that stays is 1.
    (bits + (1 << (count - 1)) - 1 + (bits >> count & 1)) >> count
}
