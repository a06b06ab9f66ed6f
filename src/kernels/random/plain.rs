//! One counter at a time, for targets without a form of their own.

use super::{BLOCK, Draws, Keys, MULTIPLIERS};

/// The draws of the group whose first counter is `counter`.
pub(in crate::kernels) fn draw(keys: &Keys, counter: u64, draws: &mut Draws) {
    let (as_they_are, exchanged) = draws.split_at_mut(BLOCK);
    for (at, (these, those)) in as_they_are.chunks_exact_mut(4).zip(exchanged.chunks_exact_mut(4)).enumerate() {
        let counter = counter + at as u64;
        let numbers = philox(keys, [counter as u32, (counter >> 32) as u32, 0, 0]);
        for (index, number) in numbers.into_iter().enumerate() {
            these[index] = number as i32 as f32;
            those[index] = number.rotate_left(16) as i32 as f32;
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
