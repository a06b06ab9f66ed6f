//! What a search promises beside a small error, which `tests/methods/mse.rs` checks.

use super::*;
use crate::kernels::CodeBounds;

/// So many weights of either sign, most of them small; every seventh is 0. By a generator of Knuth's.
fn weights(n: usize) -> Vec<f32> {
    let mut state = n as u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let weight = |at: usize| if at % 7 == 3 { 0.0 } else { (unit() - 0.4) * unit() };
    (0..n).map(weight).collect()
}

/// Every search that there is: of few codes and many, with a zero point that stays and with a free one.
fn targets() -> impl Iterator<Item = Target> {
    [2, 3, 4, 5, 6, 8].into_iter().flat_map(|bits| {
        let bounds = CodeBounds { min: -f32::powi(2.0, bits - 1), max: f32::powi(2.0, bits - 1) - 1.0 };
        [true, false].map(|symmetric| Target { bounds, zero_point: 0.0, symmetric })
    })
}

/// A group's step and zero point, as bits and a code.
fn found(w: &[f32], target: &Target, memory: &mut Memory) -> (u64, f32) {
    let [min, max] = [f32::min, f32::max].map(|more| f64::from(w.iter().copied().fold(0.0, more)));
    let (step, zero_point) = best_step(Input::from(w), min, max, target, memory);
    (step.to_bits(), zero_point)
}

/// Running out of memory is an error only where [`Memory`] is made: a search that took more would end the process.
#[test]
fn a_search_takes_no_more_memory_than_was_had_for_it() {
    for n in [1, 7, 64, 65, 300, 1000, 5000] {
        let w = weights(n);
        for target in targets() {
            let mut memory = Memory::new(n, &target).unwrap();
            let room = |memory: &Memory| (memory.weights.capacity(), memory.bins.capacity(), memory.errors.capacity());
            let before = room(&memory);
            found(&w, &target, &mut memory);
            assert_eq!(room(&memory), before, "{n} weights, {target:?}");
        }
    }
}

/// A memory is kept from group to group.
#[test]
fn what_a_search_finds_does_not_depend_on_the_groups_before() {
    let groups = [300, 7, 64, 1000, 65, 1, 32].map(weights);
    for target in targets() {
        let mut kept = Memory::new(1000, &target).unwrap();
        for w in &groups {
            let alone = found(w, &target, &mut Memory::new(w.len(), &target).unwrap());
            assert_eq!(found(w, &target, &mut kept), alone, "{} weights, {target:?}", w.len());
        }
    }
}

/// No step is better than another: the caller is told so, and the zero point stays.
#[test]
fn a_group_of_zeros_has_step_zero_and_keeps_its_zero_point() {
    for target in targets() {
        let target = Target { zero_point: 1.0, ..target };
        for n in [1, 64, 300] {
            let expected = (0f64.to_bits(), 1.0);
            assert_eq!(
                found(&vec![0.0; n], &target, &mut Memory::new(n, &target).unwrap()),
                expected,
                "{n} zeros, {target:?}"
            );
        }
    }
}
