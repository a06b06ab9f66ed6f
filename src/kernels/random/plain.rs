//! One counter at a time, for targets without a form of their own.

use super::{BLOCK, COUNTERS, GROUP, Keys, MULTIPLIERS, Start};

/// The draws of `groups` groups, the counter of the first with the lower half `low`.
///
/// # Safety
/// `draws` is valid for writes of them.
pub(in crate::kernels) unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
    for counter in 0..groups as u64 * COUNTERS {
        let [a, b, c, d] = philox(start.keys, [start.high, (low + counter) as u32, 0, 0]);
        let (group, place) = ((counter / COUNTERS) as usize, (counter % COUNTERS) as usize);
        for (index, number) in [(0, b), (1, a), (BLOCK / 2, d), (BLOCK / 2 + 1, c)] {
            let element = group * GROUP + 2 * place + index;
            // SAFETY: the caller's promise; elements of a group are below the first of the next.
            unsafe {
                draws.add(element).write(start.float(number));
                draws.add(element + BLOCK).write(start.float(number.rotate_left(16)));
            }
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
