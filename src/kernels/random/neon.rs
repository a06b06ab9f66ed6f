//! Four counters at a time, each of their words in a register.

use super::{BLOCK, COUNTERS, GROUP, MULTIPLIERS, ROUNDS, Start};
use std::arch::aarch64::*;

/// Registers for the counters of a group.
const REGISTERS: usize = COUNTERS as usize / 4;

/// The upper and the lower halves of products.
#[inline]
#[target_feature(enable = "neon")]
fn products(factors: uint32x4_t, words: uint32x4_t) -> [uint32x4_t; 2] {
    let first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(factors), vget_low_u32(words)));
    let second = vreinterpretq_u32_u64(vmull_high_u32(factors, words));
    [vuzp2q_u32(first, second), vuzp1q_u32(first, second)]
}

/// The draws of `groups` groups, the counter of the first with the lower half `low`.
///
/// # Safety
/// `draws` is valid for writes of them.
#[target_feature(enable = "neon")]
pub(in crate::kernels) unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
    let splat = |number: u64| vdupq_n_u32(number as u32);
    let [first, second] = MULTIPLIERS.map(splat);
    let (round_1, round_2) = (splat(start.round_1), splat(start.round_2));
    let (round_3, last) = (start.round_3.map(splat), splat(start.last));
    let to_floats = |words| vmulq_n_f32(vcvtq_f32_s32(vreinterpretq_s32_u32(words)), start.unit);
    let exchanged = |words| vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(words)));
    // SAFETY: the array is a register.
    let lanes = unsafe { vld1q_u32([0, 1, 2, 3].as_ptr()) };
    for group in 0..groups {
        // By register, so that the multiplications of one need not wait for those of the other.
        let [mut a, mut b, mut c, mut d] = [[last; REGISTERS]; 4];
        for register in 0..REGISTERS {
            let counter = low + group as u64 * COUNTERS + 4 * register as u64;
            let [high, low] = products(first, veorq_u32(vaddq_u32(splat(counter), lanes), round_1));
            c[register] = veorq_u32(low, round_3[1]);
            let [high, low] = products(second, veorq_u32(high, round_2));
            a[register] = veorq_u32(high, round_3[0]);
            b[register] = low;
        }
        for key in &start.keys[3..ROUNDS] {
            let key = key.map(splat);
            for register in 0..REGISTERS {
                let (by_first, by_second) = (products(first, a[register]), products(second, c[register]));
                a[register] = veorq_u32(by_second[0], veorq_u32(b[register], key[0]));
                c[register] = veorq_u32(by_first[0], veorq_u32(d[register], key[1]));
                (b[register], d[register]) = (by_second[1], by_first[1]);
            }
        }
        for register in 0..REGISTERS {
            for (half, [even, odd]) in [[b[register], a[register]], [d[register], c[register]]].into_iter().enumerate()
            {
                for (next, words) in [vzip1q_u32(even, odd), vzip2q_u32(even, odd)].into_iter().enumerate() {
                    let at = group * GROUP + half * BLOCK / 2 + 8 * register + 4 * next;
                    // SAFETY: the caller's promise; two registers for each four counters are half a block of words.
                    unsafe {
                        vst1q_f32(draws.add(at), to_floats(words));
                        vst1q_f32(draws.add(at + BLOCK), to_floats(exchanged(words)));
                    }
                }
            }
        }
    }
}
