//! One counter at a time, for targets without a form of their own.

use super::{BLOCK, Keys, MULTIPLIERS, NUMBERS, UNIT};

/// The draws of 32 elements, those of `counter` and the next.
pub(in crate::kernels) fn draw(keys: &Keys, counter: u64, draws: &mut [f32; BLOCK]) {
    for (at, four) in draws.chunks_exact_mut(NUMBERS as usize).enumerate() {
        let counter = counter.wrapping_add(at as u64);
        let numbers = philox(keys, [counter as u32, (counter >> 32) as u32, 0, 0]);
        for (draw, number) in four.iter_mut().zip(numbers) {
            *draw = number as i32 as f32 * UNIT;
        }
    }
}

pub(super) fn philox(keys: &Keys, counter: [u32; 4]) -> [u32; 4] {
    let mut numbers = counter;
    for key in keys {
        let [a, b, c, d] = numbers;
        let (first, second) = (MULTIPLIERS[0] * u64::from(a), MULTIPLIERS[1] * u64::from(c));
        let (high, low) = ([(first >> 32) as u32, (second >> 32) as u32], [first as u32, second as u32]);
        numbers = [high[1] ^ b ^ key[0] as u32, low[1], high[0] ^ d ^ key[1] as u32, low[0]];
    }
    numbers
}
