//! Every kernel, on every instruction set of this machine, against the oracle: the same bits.

use super::reference::Manner;
use super::*;
use crate::ste::SteVariant;

/// What is decided when the program runs.
mod any;
mod case;

use case::{Case, adversarial, estimator_of, same};

const ROUNDINGS: [Rounding; 2] = [Rounding::HalfAway, Rounding::HalfEven];
const ESTIMATORS: [SteVariant; 8] = [
    SteVariant::Standard,
    SteVariant::Clipped { clip_val: 0.7 },
    SteVariant::LearnedStepSize,
    SteVariant::Ewgs { lambda: 0.3 },
    SteVariant::RangeClipped,
    SteVariant::Lsq,
    SteVariant::LsqPlus,
    SteVariant::EwgsSigned { delta: 0.2 },
];

/// Which outputs, and whether in place.
const WANTED: [(bool, bool, bool); 4] =
    [(true, true, false), (true, false, false), (false, true, false), (true, true, true)];

fn bounds(bits: u32) -> CodeBounds {
    let half = (1u32 << (bits - 1)) as f32;
    CodeBounds { min: -half, max: half - 1.0 }
}

/// Numbers in [-1, 1), the same for the same seed (splitmix64).
pub(super) fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

const fn runs(outer: usize, groups: usize, len: usize) -> Cut {
    Cut::Runs(Runs { outer, groups, len, last_len: len, cycle: 1 })
}

const fn rows(rows: usize, columns: usize, repeat: usize) -> Cut {
    Cut::Rows(Rows { tables: 1, rows, last_rows: rows, cycle: 1, columns, repeat })
}

/// Lengths of runs where blocks, tiles and superblocks begin and end.
#[test]
fn runs_of_every_length_give_the_oracles_bits() {
    for len in (1..=257).chain([511, 512, 513, 1023, 1025]) {
        let (bits, rounding) = (2 + len as u32 % 7, ROUNDINGS[len % 2]);
        Case::new(runs(1, 2, len), len % 3 == 0, bits, rounding, len).check();
    }
}

#[test]
fn nothing_is_quantized_in_an_empty_tensor() {
    let case = Case::new(runs(1, 2, 0), false, 4, Rounding::HalfAway, 0);
    for isa in Isa::available() {
        case.check_forward(isa, &[]);
        case.check_dequantize(isa);
    }
}

#[test]
fn long_runs_give_the_oracles_bits() {
    for (seed, len) in [512 * 256 - 1, 512 * 256 + 1, 300_000].into_iter().enumerate() {
        Case::new(runs(1, 1, len), seed == 1, 4, ROUNDINGS[seed % 2], seed).check();
    }
}

/// Every other way in which groups may lie.
#[test]
fn cuts_of_every_kind_give_the_oracles_bits() {
    let cuts = [
        runs(5, 3, 64),
        runs(3, 70, 32),
        runs(1, 21, 128),
        runs(2, 9, 256),
        runs(2, 3, 1000),
        Cut::Runs(Runs { outer: 1, groups: 6, len: 300, last_len: 100, cycle: 3 }),
        Cut::Runs(Runs { outer: 1, groups: 4, len: 32, last_len: 7, cycle: 2 }),
        rows(1, 1, 1),
        rows(7, 1, 1),
        rows(3, 5, 1),
        rows(100, 8, 1),
        rows(41, 100, 1),
        rows(33, 255, 1),
        rows(35, 64, 1),
        rows(3, 96, 1),
        rows(35, 256, 1),
        rows(3, 1000, 1),
        rows(20, 1100, 1),
        rows(5, 9 * 7, 9),
        rows(3, 9 * 300, 9),
        rows(1, 20 * 60, 20),
        rows(1, 1001, 10),
        rows(2, 255 * 9, 255),
        Cut::Rows(Rows { tables: 6, rows: 5, last_rows: 2, cycle: 3, columns: 7, repeat: 1 }),
        Cut::Rows(Rows { tables: 4, rows: 32, last_rows: 9, cycle: 2, columns: 300, repeat: 1 }),
        Cut::Rows(Rows { tables: 5, rows: 32, last_rows: 3, cycle: 5, columns: 32, repeat: 1 }),
        Cut::Rows(Rows { tables: 3, rows: 21, last_rows: 9, cycle: 3, columns: 96, repeat: 1 }),
        Cut::Rows(Rows { tables: 3, rows: 1, last_rows: 1, cycle: 1, columns: 100, repeat: 30 }),
    ];
    for (seed, cut) in cuts.into_iter().enumerate() {
        for affine in [false, true] {
            let bits = 2 + (seed as u32 + u32::from(affine)) % 7;
            Case::new(cut, affine, bits, ROUNDINGS[seed % 2], seed + 1000).check();
            Case::new(cut, affine, bits, Rounding::HalfEven, seed + 2000).stochastic(seed as u64, 4 << seed).check();
        }
    }
}

/// Steps for which a quotient cannot be had by multiplication run where it is a division.
#[test]
fn every_tie_bound_and_special_value_is_decided_as_by_a_division() {
    for step in [1.0, 0.1, 0.3, 1e-30, 1e30, 2f32.powi(-100), 2f32.powi(100), 1e-38, 3e-45, 1e36, 3e38] {
        for bits in 2..=8 {
            for rounding in ROUNDINGS {
                for zero_point in [0.0, bounds(bits).min, bounds(bits).max] {
                    let group = Group { step, zero_point, offset: 0.0 };
                    let w = adversarial(step);
                    let expected: Vec<i8> = w
                        .iter()
                        .map(|w| reference::quantize(*w, group, bounds(bits), Manner::Nearest(rounding)).code)
                        .collect();
                    let parameters = Parameters::new(1, std::iter::once(group)).unwrap();
                    for isa in Isa::available() {
                        isa.select();
                        let mut codes = vec![77i8; w.len()];
                        let codes_out = Some(Output::from(&mut codes[..]));
                        let input = Input::from(&w[..]);
                        let work = Quantize::new(input, codes_out, None, bounds(bits), rounding);
                        Walk { work, cut: Cut::runs(1, w.len()), groups: parameters.groups() }.run_on(Threads::Own(1));
                        let differs = codes.iter().zip(&expected).position(|(a, b)| a != b);
                        let at = differs.map(|at| (w[at], codes[at], expected[at]));
                        assert_eq!(at, None, "{isa:?} {bits} bits, step {step}, {rounding:?}, zero point {zero_point}");
                    }
                    Isa::fastest().select();
                }
            }
        }
    }
}

#[test]
fn nothing_non_finite_is_missed_in_any_place() {
    for isa in Isa::available() {
        let maximum = |w: &[f32]| {
            let mut maxima = [0.0f32];
            let work = MaxMagnitude { w: Input::from(w), maxima: Output::from(&mut maxima[..]) };
            Walk { work, cut: Cut::runs(1, w.len()), groups: Groups::NONE }.run(isa);
            maxima[0]
        };
        assert_eq!(maximum(&[]), 0.0);
        for n in (1..=100).chain([700, 1030]) {
            for at in (0..n).step_by(1 + n / 100) {
                let mut w: Vec<f32> = random(n as u64, n);
                w[at] = -2.5;
                assert_eq!(maximum(&w), 2.5, "{isa:?} {at} of {n}");
                let signalling = f32::from_bits(0x7f80_0001);
                for bad in [f32::NAN, -f32::NAN, signalling, f32::INFINITY, f32::NEG_INFINITY] {
                    w[at] = bad;
                    assert!(!maximum(&w).is_finite(), "{isa:?} {bad} at {at} of {n}");
                }
            }
        }
        assert_eq!(maximum(&[1e-45, -3e-45]), 3e-45);
    }
}

/// Alignment is the caller's: every offset from a cache line gives the same bits.
#[test]
fn bits_do_not_depend_on_where_a_buffer_starts() {
    let case = Case::new(runs(1, 1, 100), false, 4, Rounding::HalfAway, 5);
    let expected = case.quantized();
    for isa in Isa::available() {
        for offset in 0..64 {
            let n = case.w.len();
            let mut room = vec![0.0f32; n + 64];
            room[offset..offset + n].copy_from_slice(&case.w);
            let (mut codes, mut values) = (vec![0i8; n + 64], vec![0.0f32; n + 64]);
            let codes_out = Some(Output::from(&mut codes[offset..offset + n]));
            let values_out = Some(Output::from(&mut values[63 - offset..63 - offset + n]));
            let w = Input::from(&room[offset..offset + n]);
            case.walk(isa, Quantize::new(w, codes_out, values_out, case.bounds, case.rounding));
            for at in 0..n {
                assert_eq!(codes[offset + at], expected[at].code, "{isa:?} offset {offset}");
                assert_eq!(values[63 - offset + at].to_bits(), expected[at].value.to_bits());
            }
        }
    }
}

/// Outputs this large are streamed past the cache when they are aligned and not in place; each way gives the same bits.
#[test]
fn large_outputs_are_the_oracles_streamed_or_not() {
    const N: usize = (4 << 20) + 37;
    let case = Case::new(runs(1, 1, N), false, 4, Rounding::HalfAway, 9);
    let quantized = case.quantized();
    let codes: Vec<i8> = quantized.iter().map(|quantized| quantized.code).collect();
    let values: Vec<f32> = quantized.iter().map(|quantized| quantized.value).collect();
    let ste = SteVariant::Ewgs { lambda: 0.3 };
    let gradients: Vec<f32> =
        (0..N).map(|at| reference::weight_gradient(ste, case.w[at], &quantized[at], case.grad_out[at])).collect();
    let w = Input::from(&case.w[..]);
    for isa in Isa::available() {
        for offset in [0, 1, 4, 16] {
            let mut room = vec![0.0f32; N + 16];
            let mut room_for_codes = vec![0i8; N + 16];
            let name = format!("{isa:?} offset {offset}");
            let codes_out = Some(Output::from(&mut room_for_codes[offset..offset + N]));
            let values_out = Some(Output::from(&mut room[offset..offset + N]));
            case.walk(isa, Quantize::new(w, codes_out, values_out, case.bounds, case.rounding));
            assert!(room_for_codes[offset..offset + N] == codes, "codes, {name}");
            same(&room[offset..offset + N], &values, &name);
            case.walk(isa, Dequantize::new(Input::from(&codes[..]), Output::from(&mut room[offset..offset + N])));
            same(&room[offset..offset + N], &values, &name);
            let (grad_out, estimator) = (Input::from(&case.grad_out[..]), estimator_of(ste));
            case.weight_gradient(isa, w, None, grad_out, Output::from(&mut room[offset..offset + N]), estimator);
            same(&room[offset..offset + N], &gradients, &name);
            // In place: nothing is streamed.
            room[offset..offset + N].copy_from_slice(&case.grad_out);
            let (input, output) = Output::in_place(&mut room[offset..offset + N]);
            case.weight_gradient(isa, w, None, input, output, estimator);
            same(&room[offset..offset + N], &gradients, &name);
        }
    }
}

/// Large enough for several threads, and divided in every way.
const DIVIDED: [Cut; 8] = [
    runs(1, 1, (5 << 16) + 3),
    runs(3, 2, 1 << 16),
    Cut::Runs(Runs { outer: 1, groups: 2, len: 5 << 16, last_len: 100, cycle: 2 }),
    runs(1, 1 << 11, 160),
    rows(1 << 9, 700, 1),
    rows(3, 125_000, 1),
    rows(1 << 12, 90, 9),
    Cut::Rows(Rows { tables: 40, rows: 100, last_rows: 100, cycle: 1, columns: 100, repeat: 1 }),
];

/// Any number of threads gives the bits of one, wherever the tensor is divided.
#[test]
fn threads_give_the_bits_of_one() {
    for (seed, cut) in DIVIDED.into_iter().enumerate() {
        let case = Case::new(cut, seed % 2 == 1, 4, Rounding::HalfEven, seed);
        let parameters = case.parameters();
        let run = |threads: Threads| {
            let (mut codes, mut values) = (vec![0i8; case.w.len()], vec![0.0f32; case.w.len()]);
            let (mut grad_scale, mut grad_offset) = (vec![0.0; case.groups.len()], vec![0.0; case.groups.len()]);
            let (w, grad_out) = (Input::from(&case.w[..]), Input::from(&case.grad_out[..]));
            let codes_out = Some(Output::from(&mut codes[..]));
            let work = Quantize::new(w, codes_out, None, case.bounds, case.rounding);
            Walk { work, cut, groups: parameters.groups() }.run_on(threads);
            let gradients = Gradients {
                weights: Some(Output::from(&mut values[..])),
                scales: Output::from(&mut grad_scale[..]),
                offsets: Some(Output::from(&mut grad_offset[..])),
            };
            let factor = Factor { numerator: 1.0, levels: 7.0 };
            let work = ScaleGradient::<_, 2>::new(w, grad_out, gradients, factor, case.bounds, case.rounding, Lsq);
            Walk { work, cut, groups: parameters.groups() }.run_on(threads);
            (codes, values, grad_scale, grad_offset)
        };
        let one = run(Threads::Own(1));
        for threads in [2, 3, 5] {
            let several = run(Threads::Own(threads));
            assert!(one.0 == several.0, "codes, {threads} threads, {cut:?}");
            same(&several.1, &one.1, &format!("weights, {threads} threads, {cut:?}"));
            same(&several.2, &one.2, &format!("scales, {threads} threads, {cut:?}"));
            same(&several.3, &one.3, &format!("offsets, {threads} threads, {cut:?}"));
        }
    }
}

/// Every length to some tiles, and every count of candidates, with the levels of symmetric, one-sided and shifted ranges of codes.
#[test]
fn residuals_are_those_of_the_oracle_on_every_instruction_set() {
    const LANES: usize = 3 * BLOCK;
    for n in (0..=130).chain([511, 512, 513, 1024, 5000]) {
        let w = random(n as u64, n);
        let sum_of_squares = w.iter().map(|w| f64::from(*w).powi(2)).sum();
        let kinds =
            [(0.3, -2.0, 1.0), (0.01, -128.0, 127.0), (0.1, 0.0, 15.0), (0.004, -200.0, 55.0), (1e3, -2.0, 1.0)];
        let lane = |lane: usize| -> [f32; 3] {
            let (step, lowest, highest) = kinds[lane % kinds.len()];
            [(1.0 + 0.01 * lane as f32) / step, lowest, highest]
        };
        let [by_step, lowest, highest]: [Vec<f32>; 3] = [0, 1, 2].map(|of| (0..LANES).map(|at| lane(at)[of]).collect());
        for isa in Isa::available() {
            let count = n % (LANES + 1);
            let [mut errors, mut parts] = [(); 2].map(|()| vec![f32::NAN; LANES]);
            let candidates = Candidates {
                by_step: &by_step,
                lowest: &lowest,
                highest: &highest,
                errors: &mut errors,
                parts: &mut parts,
            };
            isa.run(Residuals { w: &w, squares: sum_of_squares, candidates, count });
            for at in 0..count {
                let expected = reference::residual(&w, sum_of_squares, lane(at));
                assert_eq!([errors[at], parts[at]], expected, "{n} weights, candidate {at} of {count}, {isa:?}");
            }
        }
    }
}

/// Every length to some blocks, and around tiles, with factors to either end of f32's range, and zeros.
#[test]
fn scaled_weights_are_those_of_the_oracle_on_every_instruction_set() {
    for n in (0..=130).chain([1023, 1024, 1025, 5000]) {
        let mut w = random(n as u64, n);
        w.iter_mut().step_by(7).for_each(|w| *w = 0.0);
        for factors in [[1.0, 1.0], [0.5, 0.5], [2f32.powi(74), 2f32.powi(75)], [2f32.powi(-63), 2f32.powi(-64)]] {
            // So that nothing leaves the range on the way.
            let w: Vec<f32> = w.iter().map(|w| w / factors[0] / factors[1]).collect();
            let expected = reference::scaled(&w, factors);
            for isa in Isa::available() {
                let (mut to, mut sums) = (vec![f32::NAN; n], [f64::NAN; 3]);
                isa.run(Scaled { w: Input::from(&w[..]), factors, to: &mut to, sums: &mut sums });
                assert_eq!((&to, sums), (&expected.0, expected.1), "{n} weights, {factors:?}, {isa:?}");
            }
        }
    }
}
