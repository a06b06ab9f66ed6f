//! How the floats of a tensor lie in memory: as f32, or in 16 bits.
//!
//! Kernels compute in f32. A 16-bit tensor is widened as a block is read, which is exact, and rounded once, to nearest even, as
//! it is written: the results are those of the f32 kernel, rounded. A NaN stays one, quiet, and no more is promised of its
//! bits; what is too large for f16 becomes infinite; subnormals are kept.
//!
//! The two 16-bit formats are one type, [`Half`], and a loop asks once for each block which it is: as two types they would
//! double the time that the library takes to compile. For the same reason the gradients' loops over 16-bit tensors always look at
//! zero points and offsets ([`Format::GRADIENTS_ARE_AFFINE`]); with both 0 the bits are the same, as no value is -0.0.
//!
//! F16C, which every processor with AVX2 has, converts f16 in one instruction. The conversions here, in operations on the bits
//! of f32 lanes, are those of bf16 everywhere and of f16 on the baseline.

use super::buffer::{Block, Input, Output, copy_few};
use super::vector::Floats;
use super::{BLOCK, Isa, Kernel, Vectors};
use crate::error::Error;

/// Floats in memory, to be read and written in blocks of [`BLOCK`].
pub(crate) trait Format: Copy + Send + Sync {
    /// What a float takes in memory.
    type Element: Copy + Send + Sync;

    /// Whether the loops of gradients are compiled only for parameters with zero points and offsets.
    const GRADIENTS_ARE_AFFINE: bool;

    /// One float.
    fn widen(self, element: Self::Element) -> f32;

    /// A tensor as f32: itself, or a copy of it in `room`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    fn widened<'a>(self, tensor: Input<'a, Self::Element>, room: &'a mut Vec<f32>) -> Result<Input<'a, f32>, Error>;

    /// Reads a block.
    ///
    /// # Safety
    /// `from` is valid for reads of it.
    unsafe fn load<V: Vectors>(self, from: *const Self::Element) -> V::Block;

    /// Reads `count` floats, at most a block; lanes past them are 0.
    ///
    /// # Safety
    /// `from` is valid for reads of them.
    unsafe fn load_few<V: Vectors>(self, from: *const Self::Element, count: usize) -> V::Block;

    /// Writes a block, past the cache if that is asked for and `to` is aligned for it.
    ///
    /// # Safety
    /// `to` is valid for writes of it.
    unsafe fn store<V: Vectors>(self, block: V::Block, to: *mut Self::Element, streamed: bool);

    /// Writes the first `count` floats, at most a block.
    ///
    /// # Safety
    /// `to` is valid for writes of them.
    unsafe fn store_few<V: Vectors>(self, block: V::Block, to: *mut Self::Element, count: usize);
}

/// f32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Single;

impl Format for Single {
    type Element = f32;

    const GRADIENTS_ARE_AFFINE: bool = false;

    #[inline(always)]
    fn widen(self, element: f32) -> f32 {
        element
    }

    fn widened<'a>(self, tensor: Input<'a, f32>, _room: &'a mut Vec<f32>) -> Result<Input<'a, f32>, Error> {
        Ok(tensor)
    }

    #[inline(always)]
    unsafe fn load<V: Vectors>(self, from: *const f32) -> V::Block {
        // SAFETY: the caller's promise.
        unsafe { V::load(from) }
    }

    #[inline(always)]
    unsafe fn load_few<V: Vectors>(self, from: *const f32, count: usize) -> V::Block {
        // SAFETY: the caller's promise.
        unsafe { V::load_few(from, count) }
    }

    #[inline(always)]
    unsafe fn store<V: Vectors>(self, block: V::Block, to: *mut f32, streamed: bool) {
        // SAFETY: the caller's promise.
        unsafe {
            if !(streamed && V::stream(block, to)) {
                V::store(block, to);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_few<V: Vectors>(self, block: V::Block, to: *mut f32, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { V::store_few(block, to, count) }
    }
}

/// A format of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// IEEE binary16: 5 bits of exponent, 10 of fraction.
    F16,
    /// bfloat16: the upper half of an f32.
    Bf16,
}

impl Half {
    #[inline(always)]
    fn narrow<V: Vectors>(self, block: V::Block) -> V::Words {
        match self {
            Half::F16 => V::to_f16(block),
            Half::Bf16 => V::low_words(to_bf16::<V>(block)),
        }
    }
}

impl Format for Half {
    type Element = u16;

    const GRADIENTS_ARE_AFFINE: bool = true;

    #[inline(always)]
    fn widen(self, element: u16) -> f32 {
        match self {
            Half::F16 => half::f16::from_bits(element).to_f32(),
            Half::Bf16 => half::bf16::from_bits(element).to_f32(),
        }
    }

    fn widened<'a>(self, tensor: Input<'a, u16>, room: &'a mut Vec<f32>) -> Result<Input<'a, f32>, Error> {
        room.try_reserve_exact(tensor.len())?;
        room.resize(tensor.len(), 0.0);
        Isa::current().run(Widen { format: self, from: tensor, to: Output::from(&mut room[..]) });
        Ok(Input::from(&room[..]))
    }

    #[inline(always)]
    unsafe fn load<V: Vectors>(self, from: *const u16) -> V::Block {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Half::F16 => V::load_f16(from),
                Half::Bf16 => from_bf16::<V>(V::load_words(from)),
            }
        }
    }

    #[inline(always)]
    unsafe fn load_few<V: Vectors>(self, from: *const u16, count: usize) -> V::Block {
        let mut words = [0; BLOCK];
        // SAFETY: the caller's promise; the array has a block.
        unsafe {
            copy_few(from, words.as_mut_ptr(), count);
            self.load::<V>(words.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store<V: Vectors>(self, block: V::Block, to: *mut u16, streamed: bool) {
        // SAFETY: the caller's promise.
        unsafe { V::store_words(self.narrow::<V>(block), to, streamed) }
    }

    #[inline(always)]
    unsafe fn store_few<V: Vectors>(self, block: V::Block, to: *mut u16, count: usize) {
        let words = V::words_to_array(self.narrow::<V>(block));
        // SAFETY: the caller's promise.
        unsafe { copy_few(words.as_ptr(), to, count) };
    }
}

/// Copies a tensor as f32.
struct Widen<'a> {
    format: Half,
    from: Input<'a, u16>,
    to: Output<'a, f32>,
}

impl Kernel for Widen<'_> {
    #[inline(always)]
    fn run<V: Vectors>(mut self) {
        let mut at = 0;
        while at < self.from.len() {
            let block = Block::first_of(at, self.from.len());
            self.to.store_as::<V, _>(Single, block, self.from.load_as::<V, _>(self.format, block));
            at += BLOCK;
        }
    }
}

/// A number whose bits are these.
#[inline(always)]
fn bits<F: Floats>(bits: u32) -> F {
    F::splat(f32::from_bits(bits))
}

/// The bits of `number` without the last `BITS`, shifted to the right and rounded half to even.
#[inline(always)]
fn round_off<F: Floats, const BITS: i32>(number: F) -> F {
    // Just below half a unit, and the rest of it where the last bit that stays is 1.
    let odd = number.bits_right::<BITS>().and(bits(1));
    number.bits_plus(bits((1 << (BITS - 1)) - 1)).bits_plus(odd).bits_right::<BITS>()
}

/// Floats of bf16 words.
#[inline(always)]
fn from_bf16<V: Vectors>(mut words: V::Block) -> V::Block {
    for register in 0..V::REGISTERS {
        words[register] = words[register].bits_left::<16>();
    }
    words
}

/// bf16 words of floats.
#[inline(always)]
fn to_bf16<V: Vectors>(mut block: V::Block) -> V::Block {
    for register in 0..V::REGISTERS {
        let number = block[register];
        // Rounding would carry out of some NaNs; this one it leaves.
        let number = number.or_else(number.is_number(), V::Floats::splat(f32::NAN));
        block[register] = round_off::<V::Floats, 16>(number);
    }
    block
}

/// Powers of two by which the exponents of f32 and f16 are apart.
const EXPONENTS_APART: u32 = 127 - 15;

/// Floats of f16 words.
#[inline(always)]
pub(super) fn from_f16<V: Vectors>(mut words: V::Block) -> V::Block {
    for register in 0..V::REGISTERS {
        let word = words[register];
        let magnitude = word.and(bits(0x7fff));
        let sign = word.xor(magnitude).bits_left::<16>();
        // The f16 as an f32 of the same exponent bits is too small by a power of two; subnormals become normal.
        let factor = bits((127 + EXPONENTS_APART) << 23);
        let number = magnitude.bits_left::<13>().times(factor);
        // The largest exponent is that of an infinity or a NaN.
        let is_finite = number.is_below(V::Floats::splat(65536.0));
        words[register] = number.or_else(is_finite, number.or(V::Floats::splat(f32::INFINITY))).or(sign);
    }
    words
}

/// f16 words of floats.
#[inline(always)]
pub(super) fn to_f16<V: Vectors>(mut block: V::Block) -> V::Block {
    for register in 0..V::REGISTERS {
        let number = block[register];
        let sign = number.and(V::Floats::splat(-0.0));
        // The power of two after the largest f16 has the bits of its infinity.
        let magnitude = number.xor(sign).at_most(V::Floats::splat(65536.0));
        let normal = round_off::<V::Floats, 13>(magnitude.bits_plus(bits((EXPONENTS_APART << 23).wrapping_neg())));
        // The last place of a sum with 0.5 is that of a subnormal f16, so the addition itself rounds.
        let half = V::Floats::splat(0.5);
        let subnormal = magnitude.plus(half).bits_plus(bits(0.5f32.to_bits().wrapping_neg()));
        let word = subnormal.or_else(magnitude.is_below(V::Floats::splat(f32::from_bits((127 - 14) << 23))), normal);
        let word = word.or_else(number.is_number(), bits(0x7e00));
        block[register] = word.or(sign.bits_right::<16>());
    }
    block
}
