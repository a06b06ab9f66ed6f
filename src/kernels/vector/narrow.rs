//! Blocks of one register, for no more elements than it has lanes: the other registers of a whole block would be empty, and
//! take as long as full ones.

use super::{BLOCK, Vectors};
use crate::kernels::random::Start;

/// As `V`, of whose blocks it has the first register only. Not for whole blocks.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Narrow<V>(V);

/// A block with nothing in the other registers.
#[inline(always)]
fn widened<V: Vectors>([register]: [V::Floats; 1]) -> V::Block {
    let mut block = V::splat(0.0);
    block[0] = register;
    block
}

impl<V: Vectors> Vectors for Narrow<V> {
    type Floats = V::Floats;
    type Block = [V::Floats; 1];
    type Bytes = V::Bytes;

    const REGISTERS: usize = 1;
    const FUSES: bool = V::FUSES;
    const SPECIALISES: bool = V::SPECIALISES;

    #[inline(always)]
    unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { V::draw(start, low, groups, draws) }
    }

    #[inline(always)]
    fn splat(number: f32) -> Self::Block {
        [V::splat(number)[0]]
    }

    #[inline(always)]
    unsafe fn load_few(from: *const f32, count: usize) -> Self::Block {
        // SAFETY: the caller's promise.
        [unsafe { V::load_few(from, count) }[0]]
    }

    #[inline(always)]
    unsafe fn store_few(block: Self::Block, to: *mut f32, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { V::store_few(widened::<V>(block), to, count) }
    }

    #[inline(always)]
    fn has_nan(block: Self::Block) -> bool {
        V::has_nan(widened::<V>(block))
    }

    #[inline(always)]
    fn to_bytes(whole: Self::Block) -> Self::Bytes {
        V::to_bytes(widened::<V>(whole))
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: Self::Bytes, to: *mut i8, streamed: bool) {
        // SAFETY: the caller's promise.
        unsafe { V::store_bytes(bytes, to, streamed) }
    }

    #[inline(always)]
    unsafe fn store_few_bytes(bytes: Self::Bytes, to: *mut i8, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { V::store_few_bytes(bytes, to, count) }
    }

    #[inline(always)]
    fn from_bytes(bytes: &[i8; BLOCK]) -> Self::Block {
        [V::from_bytes(bytes)[0]]
    }
}
