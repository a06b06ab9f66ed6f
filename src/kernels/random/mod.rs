//! Random numbers that are a function of a seed and an index: what stochastic rounding draws.
//!
//! A generator with a state would make the draw of an element depend on how many came before it, and so on threads, on vector
//! widths and on how a tensor is split over calls. A counter-based one is a hash of the element's index: Philox4x32-10
//! (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), ten rounds of two multiplications.
//!
//! The key is the seed. A *group* of 64 elements has eight counters: the first 32 elements take a number each, as they are, and the
//! other 32 the same numbers with their 16-bit halves exchanged. Each draw by itself is spread evenly, and of two that share bits,
//! one has in its upper half what the other has below, where a decision hardly ever looks: the probability of both going up
//! differs from the product of their own by less than 2^-16. It halves the multiplications, most of what stochastic
//! rounding costs.
//!
//! Words 0 and 1 of a counter are the upper and the lower half of its index, the others 0. In the first three rounds most
//! words are then the same for all counters, and are computed once for many groups ([`Start`]). Elements take the words in the
//! order 1, 0 of each counter, then 3, 2: as the last multiplications leave them.
//!
//! `x86` and `neon` compute several counters at a time. They are not inlined into the kernels: a group takes some 180
//! instructions, and there are dozens of loops that draw.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(super) use neon::draw as draw_neon;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(super) use plain::draw as draw_plain;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{draw_avx2, draw_avx512, draw_sse2};

use super::room::Room;
use super::{BLOCK, Vectors};

/// Rounds of Philox.
const ROUNDS: usize = 10;
/// What words 0 and 2 are multiplied by.
const MULTIPLIERS: [u64; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// What the halves of a key grow by from round to round.
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
/// Elements of a group, and its counters.
const GROUP: usize = 2 * BLOCK;
const COUNTERS: u64 = 8;
/// Elements that are drawn for at a time where there are many.
pub(super) const MANY: usize = 8 * GROUP;

/// The keys of all rounds, each in the low half of its 64 bits.
pub(crate) type Keys = [[u64; 2]; ROUNDS];

/// What the counters with one upper half have in common.
#[allow(dead_code)] // Each form takes from it what it needs.
pub(crate) struct Start<'a> {
    /// What words 0 and 2 of the first three rounds are joined with by an exclusive or, where they differ from counter to counter.
    round_1: u64,
    round_2: u64,
    round_3: [u64; 2],
    /// Word 3 after three rounds.
    last: u64,
    keys: &'a Keys,
    unit: f32,
    high: u32,
}

impl Start<'_> {
    fn new(stream: &Stream, high: u32) -> Start<'_> {
        let Stream { keys, unit, .. } = stream;
        let halves = |number: u64| [number & 0xffff_ffff, number >> 32];
        // Words 0, 2 and 3 of round 1, word 0 of round 2.
        let [last, product] = halves(MULTIPLIERS[0] * u64::from(high));
        let [second, first] = halves(MULTIPLIERS[1] * (product ^ keys[0][1]));
        let [after, third] = halves(MULTIPLIERS[0] * (first ^ keys[1][0]));
        Start {
            round_1: keys[0][0],
            round_2: last ^ keys[1][1],
            round_3: [second ^ keys[2][0], third ^ keys[2][1]],
            last: after,
            keys,
            unit: *unit,
            high,
        }
    }

    /// The draw that a number of the generator is.
    #[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    fn float(&self, number: u32) -> f32 {
        number as i32 as f32 * self.unit
    }
}

/// Room for many draws, from any element of a group on.
pub(super) type RoomForMany = Room<[f32; MANY + GROUP]>;

/// A stream of draws, one for each element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    keys: Keys,
    /// What a number is multiplied by to become a draw.
    unit: f32,
    /// The index of the tensor's first element in the stream.
    first: u64,
}

impl Stream {
    /// The group of the element at `start`, and its place there.
    #[inline(always)]
    fn place(&self, start: usize) -> (u64, usize) {
        // In this order nothing overflows, wherever the tensor begins.
        let at = self.first % GROUP as u64 + start as u64;
        (self.first / GROUP as u64 + at / GROUP as u64, at as usize % GROUP)
    }

    /// The draws of `count` elements from `start` on, at most [`MANY`]: where they are.
    #[inline(always)]
    pub(super) fn many<'r, V: Vectors>(&self, start: usize, count: usize, room: &'r mut RoomForMany) -> &'r [f32] {
        let ((group, place), room) = (self.place(start), room.as_mut_ptr().cast::<f32>());
        assert!(count <= MANY);
        // SAFETY: with the place, so many elements reach into no more groups than there is room for; the slice is part of them.
        unsafe {
            draw::<V>(self, group, (place + count).div_ceil(GROUP), room);
            std::slice::from_raw_parts(room.add(place), count)
        }
    }
}

/// A stream, and the draws that its last block took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random {
    pub(super) stream: Stream,
    /// The draws of the group that the last block began in, and of the next where a block reached into it.
    drawn: [[f32; GROUP]; 2],
    group: u64,
    groups: usize,
}

impl Random {
    /// The stream of `seed`, from `first` on, for levels below 2^`bits`.
    pub(crate) fn new(seed: u64, first: u64, bits: u32) -> Random {
        // One over 2^32, and a little less: at most 1/2 - 2^(bits-24), which f32 can still add to a level just below 2^bits.
        let unit = (1.0 - 1.0 / (1u32 << (23 - bits)) as f32) / 4_294_967_296.0;
        let mut key = [seed as u32, (seed >> 32) as u32];
        let mut keys = [[0; 2]; ROUNDS];
        for round in &mut keys {
            *round = key.map(u64::from);
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let stream = Stream { keys, unit, first };
        Random { stream, drawn: [[0.0; GROUP]; 2], group: 0, groups: 0 }
    }

    /// The draws of 32 elements from `start` on, which are between -1/2 and 1/2.
    #[inline(always)]
    pub(super) fn draws<V: Vectors>(&mut self, start: usize) -> V::Block {
        let (group, place) = self.stream.place(start);
        if group != self.group || self.groups == 0 {
            if self.groups == 2 && group == self.group + 1 {
                self.drawn[0] = self.drawn[1];
            } else {
                // SAFETY: there is room for a group.
                unsafe { draw::<V>(&self.stream, group, 1, self.drawn[0].as_mut_ptr()) };
            }
            (self.group, self.groups) = (group, 1);
        }
        if place > GROUP - BLOCK && self.groups == 1 {
            // SAFETY: as above.
            unsafe { draw::<V>(&self.stream, group + 1, 1, self.drawn[1].as_mut_ptr()) };
            self.groups = 2;
        }
        // SAFETY: a block from any place of the first group ends in the second.
        unsafe { V::load(self.drawn.as_flattened().as_ptr().add(place)) }
    }
}

/// Writes the draws of `count` groups. Outlined here, as the compiler (rustc 1.95) does not heed `inline(never)` on a
/// function that enables instructions.
///
/// # Safety
/// `draws` is valid for writes of them.
#[inline(never)]
unsafe fn draw<V: Vectors>(stream: &Stream, group: u64, mut count: usize, mut draws: *mut f32) {
    let mut counter = group.wrapping_mul(COUNTERS);
    while count > 0 {
        let start = Start::new(stream, (counter >> 32) as u32);
        let low = counter & 0xffff_ffff;
        let groups = count.min((((1 << 32) - low) / COUNTERS) as usize);
        // SAFETY: the caller's promise; these are some of them.
        unsafe {
            V::draw(&start, low, groups, draws);
            draws = draws.add(groups * GROUP);
        }
        counter = counter.wrapping_add(groups as u64 * COUNTERS);
        count -= groups;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Isa, Kernel, reference};
    use super::*;

    /// Draws some blocks one after the other.
    struct Draw<'a> {
        random: Random,
        start: usize,
        draws: &'a mut [f32; BLOCKS * BLOCK],
    }

    const BLOCKS: usize = 5;

    impl Kernel for Draw<'_> {
        #[inline(always)]
        fn run<V: Vectors>(mut self) {
            let mut room = RoomForMany::uninit();
            let many = self.random.stream.many::<V>(self.start, BLOCKS * BLOCK, &mut room);
            for (index, block) in self.draws.chunks_exact_mut(BLOCK).enumerate() {
                block.copy_from_slice(&V::to_array(self.random.draws::<V>(self.start + index * BLOCK)));
            }
            assert_eq!(many, self.draws);
        }
    }

    /// Those of Random123, the authors' own implementation: counter, key, numbers.
    #[test]
    fn the_published_test_vectors_hold() {
        let vectors = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, numbers) in vectors {
            assert_eq!(reference::philox(counter, key), numbers);
            let keys = Random::new(u64::from(key[0]) | u64::from(key[1]) << 32, 0, 8).stream.keys;
            assert_eq!(plain::philox(&keys, counter), numbers);
        }
    }

    /// Also where the counter outgrows 32 bits, and where the index outgrows 64.
    #[test]
    fn every_instruction_set_draws_the_oracles_numbers_from_any_element_on() {
        for isa in Isa::available() {
            for seed in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
                for first in [0, 1, 2, 3, 4, 29, 31, 63, (1 << 35) - 70, (1 << 35) - 64, u64::MAX - 33] {
                    for start in [0, 1, 30, 32, 33, 63] {
                        let bits = 2 + (first % 7) as u32;
                        let random = Random::new(seed, first, bits);
                        let mut draws = [9.0; BLOCKS * BLOCK];
                        isa.run(Draw { random, start, draws: &mut draws });
                        for (lane, draw) in draws.iter().enumerate() {
                            let index = u128::from(first) + (start + lane) as u128;
                            let expected = reference::draw(seed, index, bits);
                            assert_eq!(*draw, expected, "{isa:?} seed {seed} first {first} start {start} lane {lane}");
                        }
                    }
                }
            }
        }
    }
}
