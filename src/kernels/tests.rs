//! Every kernel, on every instruction set of this machine, against the oracle: the same bits.

use super::*;
use crate::ste::SteVariant;

const ROUNDINGS: [Rounding; 2] = [Rounding::HalfAway, Rounding::HalfEven];
const ESTIMATORS: [SteVariant; 4] = [
    SteVariant::Standard,
    SteVariant::Clipped { clip_val: 0.7 },
    SteVariant::LearnedStepSize,
    SteVariant::Ewgs { lambda: 0.3 },
];

fn range(bits: u32) -> CodeBounds {
    let half = (1u32 << (bits - 1)) as f32;
    CodeBounds { min: -half, max: half - 1.0 }
}

/// Numbers in [-1, 1), the same for the same seed (splitmix64).
fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

/// Weights where rounding, clamping and special values are decided, for a given step.
fn adversarial(step: f32) -> Vec<f32> {
    let special = [0.0, 1e-45, 1e-40, f32::MIN_POSITIVE, 1.0, 1e30, f32::MAX, f32::INFINITY, f32::NAN];
    let ties = (0..=130).flat_map(|code| {
        let tie = (code as f32 + 0.5) * step;
        [tie.next_down(), tie, tie.next_up(), code as f32 * step]
    });
    special.into_iter().chain(ties).flat_map(|w| [w, -w]).collect()
}

/// Weights for `runs` runs of `run` elements: random, with adversarial ones strewn in.
fn weights(seed: u64, n: usize, step: f32) -> Vec<f32> {
    let hard = adversarial(step);
    let mut w: Vec<f32> = random(seed, n).into_iter().map(|w| w * 10.0 * step).collect();
    for (at, w) in w.iter_mut().enumerate().filter(|(at, _)| at % 3 == 0) {
        *w = hard[(at / 3 + seed as usize) % hard.len()];
    }
    w
}

fn bits(floats: &[f32]) -> Vec<u32> {
    // Any NaN is as good as another.
    floats.iter().map(|float| if float.is_nan() { f32::NAN.to_bits() } else { float.to_bits() }).collect()
}

/// Lengths of runs where blocks, tiles and superblocks begin and end.
fn run_lengths() -> impl Iterator<Item = usize> {
    (0..=257).chain([511, 512, 513, 1023, 1025, 512 * 256 - 1, 512 * 256 + 1, 300_000])
}

#[test]
fn quantize_gives_the_oracles_codes_and_values_for_every_length() {
    for isa in Isa::available() {
        for run in run_lengths() {
            let (rounding, bit_width) = (ROUNDINGS[run % 2], 2 + run as u32 % 7);
            let steps = [0.1, 0.25 + run as f32 / 1000.0];
            let w: Vec<f32> = steps.iter().flat_map(|&step| weights(run as u64, run, step)).collect();
            let expected: Vec<i8> =
                (0..w.len()).map(|at| reference::code(w[at], steps[at / run], range(bit_width), rounding)).collect();
            let expected_values: Vec<f32> =
                (0..w.len()).map(|at| reference::value(expected[at], steps[at / run])).collect();

            for (want_codes, want_values, in_place) in
                [(true, true, false), (true, false, false), (false, true, false), (true, true, true)]
            {
                let (mut codes, mut values) = (vec![77i8; w.len()], w.clone());
                let (input, output) = Output::in_place(&mut values);
                isa.run(Quantize {
                    w: if in_place { input } else { Input::from(&w[..]) },
                    codes: want_codes.then(|| Output::from(&mut codes[..])),
                    values: want_values.then_some(output),
                    steps: &steps,
                    run,
                    range: range(bit_width),
                    rounding,
                });
                let case =
                    format!("{isa:?} run {run} {rounding:?} {bit_width} bits {want_codes} {want_values} {in_place}");
                assert_eq!(codes, if want_codes { expected.clone() } else { vec![77; w.len()] }, "{case}");
                assert_eq!(bits(&values), bits(if want_values { &expected_values } else { &w }), "{case}");
            }
        }
    }
}

#[test]
fn quantize_gives_the_oracles_codes_for_every_tie_bound_and_special_value() {
    for isa in Isa::available() {
        for bit_width in 2..=8 {
            for step in [1.0, 0.1, 0.3, 1e-38, 3e-45, 1e36] {
                for rounding in ROUNDINGS {
                    let w = adversarial(step);
                    let mut codes = vec![77i8; w.len()];
                    isa.run(Quantize {
                        w: Input::from(&w[..]),
                        codes: Some(Output::from(&mut codes[..])),
                        values: None,
                        steps: &[step],
                        run: w.len(),
                        range: range(bit_width),
                        rounding,
                    });
                    for at in 0..w.len() {
                        let expected = reference::code(w[at], step, range(bit_width), rounding);
                        assert_eq!(codes[at], expected, "{isa:?} {bit_width} bits, {} / {step}, {rounding:?}", w[at]);
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_of_weights_are_the_oracles_with_values_given_recomputed_and_in_place() {
    for isa in Isa::available() {
        for run in run_lengths().filter(|run| *run < 2000) {
            for (ste, rounding) in ESTIMATORS.into_iter().zip([ROUNDINGS[run % 2]].into_iter().cycle()) {
                let steps = [0.2, 0.05];
                let w: Vec<f32> = steps.iter().flat_map(|&step| weights(run as u64, run, step)).collect();
                let grad_out = random(run as u64 + 1, w.len());
                let values: Vec<f32> = (0..w.len())
                    .map(|at| (reference::code(w[at], steps[at / run], range(3), rounding), steps[at / run]))
                    .map(|(code, step)| reference::value(code, step))
                    .collect();
                let expected: Vec<f32> =
                    (0..w.len()).map(|at| reference::weight_gradient(ste, w[at], values[at], grad_out[at])).collect();
                for (given, in_place) in [(true, false), (false, false), (true, true), (false, true)] {
                    let mut grad_w = if in_place { grad_out.clone() } else { vec![7.0; w.len()] };
                    let (input, output) = Output::in_place(&mut grad_w);
                    isa.run(WeightGradient {
                        w: Input::from(&w[..]),
                        values: given.then(|| Input::from(&values[..])),
                        grad_out: if in_place { input } else { Input::from(&grad_out[..]) },
                        grad_w: output,
                        steps: &steps,
                        run,
                        range: range(3),
                        rounding,
                        ste,
                    });
                    assert_eq!(bits(&grad_w), bits(&expected), "{isa:?} run {run} {ste:?} {given} {in_place}");
                }
            }
        }
    }
}

#[test]
fn gradients_of_scales_are_the_oracles_to_the_bit() {
    for isa in Isa::available() {
        for run in run_lengths() {
            let (ste, rounding) = (ESTIMATORS[run % 4], ROUNDINGS[run % 2]);
            let steps = [0.2, 0.05];
            let w: Vec<f32> = steps.iter().flat_map(|&step| weights(run as u64, run, step)).collect();
            let grad_out = random(run as u64 + 1, w.len());
            let codes: Vec<i8> =
                (0..w.len()).map(|at| reference::code(w[at], steps[at / run], range(4), rounding)).collect();
            let terms: Vec<f32> = codes.iter().zip(&grad_out).map(|(code, g)| g * f32::from(*code)).collect();
            let expected: Vec<f32> =
                (0..2).map(|r| (reference::sum(&terms[r * run..(r + 1) * run]) * 0.37) as f32).collect();
            let expected_w: Vec<f32> = (0..w.len())
                .map(|at| (reference::value(codes[at], steps[at / run]), at))
                .map(|(value, at)| reference::weight_gradient(ste, w[at], value, grad_out[at]))
                .collect();
            for (want_weights, in_place) in [(true, false), (true, true), (false, false)] {
                let mut grad_w = grad_out.clone();
                let mut grad_scale = [f32::NAN; 2];
                let (input, output) = Output::in_place(&mut grad_w);
                isa.run(ScaleGradient {
                    w: Input::from(&w[..]),
                    grad_out: if in_place { input } else { Input::from(&grad_out[..]) },
                    grad_w: want_weights.then_some(output),
                    sums: Sums::PerRun { grad_scale: Output::from(&mut grad_scale[..]), factor: 0.37 },
                    steps: &steps,
                    run,
                    range: range(4),
                    rounding,
                    ste,
                });
                let case = format!("{isa:?} run {run} {ste:?} {want_weights} {in_place}");
                assert_eq!(bits(&grad_scale), bits(&expected), "{case}");
                assert_eq!(bits(&grad_w), bits(if want_weights { &expected_w } else { &grad_out }), "{case}");
            }
        }
    }
}

#[test]
fn dequantize_multiplies_every_code_as_it_is() {
    for isa in Isa::available() {
        for run in (0..=257).chain([1000]) {
            let steps = [0.1, 7.5];
            let codes: Vec<i8> = (0..2 * run).map(|at| (at * 37 + run) as u8 as i8).collect();
            let mut values = vec![f32::NAN; codes.len()];
            isa.run(Dequantize {
                codes: Input::from(&codes[..]),
                values: Output::from(&mut values[..]),
                steps: &steps,
                run,
            });
            let expected: Vec<f32> = (0..codes.len()).map(|at| f32::from(codes[at]) * steps[at / run]).collect();
            assert_eq!(bits(&values), bits(&expected), "{isa:?} run {run}");
        }
    }
}

#[test]
fn the_largest_magnitude_is_found_in_every_place_and_nothing_non_finite_is_missed() {
    for isa in Isa::available() {
        let maximum = |w: &[f32]| {
            let mut maxima = [0.0f32];
            let (w, maxima_out, run) = (Input::from(w), Output::from(&mut maxima[..]), w.len());
            isa.run(MaxMagnitude { w, maxima: maxima_out, run });
            maxima[0]
        };
        assert_eq!(maximum(&[]), 0.0);
        for n in 1..=100 {
            for at in 0..n {
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
    let n = 100;
    for isa in Isa::available() {
        for offset in 0..64 {
            let w: Vec<f32> = weights(5, n, 0.1);
            let mut room = vec![0.0f32; n + 64];
            room[offset..offset + n].copy_from_slice(&w);
            let mut codes = vec![0i8; n + 64];
            let mut values = vec![0.0f32; n + 64];
            let quantize = |w: &[f32], codes: &mut [i8], values: &mut [f32]| {
                isa.run(Quantize {
                    w: Input::from(w),
                    codes: Some(Output::from(codes)),
                    values: Some(Output::from(values)),
                    steps: &[0.1],
                    run: n,
                    range: range(4),
                    rounding: Rounding::HalfAway,
                });
            };
            quantize(
                &room[offset..offset + n],
                &mut codes[offset..offset + n],
                &mut values[63 - offset..63 - offset + n],
            );
            for at in 0..n {
                let code = reference::code(w[at], 0.1, range(4), Rounding::HalfAway);
                assert_eq!(codes[offset + at], code, "{isa:?} offset {offset}");
                assert_eq!(values[63 - offset + at].to_bits(), reference::value(code, 0.1).to_bits());
            }
        }
    }
}

/// Outputs this large are streamed past the cache when they are aligned and not in place; each way gives the same bits.
#[test]
fn large_outputs_are_the_oracles_streamed_or_not() {
    const N: usize = (4 << 20) + 37;
    let step = 0.1;
    let w = weights(9, N, step);
    let grad_out = random(10, N);
    let codes: Vec<i8> = w.iter().map(|&w| reference::code(w, step, range(4), Rounding::HalfAway)).collect();
    let values: Vec<f32> = codes.iter().map(|&code| reference::value(code, step)).collect();
    let ste = SteVariant::Ewgs { lambda: 0.3 };
    let gradients: Vec<f32> =
        (0..N).map(|at| reference::weight_gradient(ste, w[at], values[at], grad_out[at])).collect();
    let same = |a: &[f32], b: &[f32], case: &str| {
        // A message with four million numbers helps nobody.
        let differs = a.iter().zip(b).position(|(a, b)| bits(&[*a]) != bits(&[*b]));
        assert_eq!(differs, None, "{case}");
    };
    for isa in Isa::available() {
        for offset in [0, 1, 4] {
            let mut room = vec![0.0f32; N + 4];
            let mut room_for_codes = vec![0i8; N + 4];
            let case = format!("{isa:?} offset {offset}");
            isa.run(Quantize {
                w: Input::from(&w[..]),
                codes: Some(Output::from(&mut room_for_codes[offset..offset + N])),
                values: Some(Output::from(&mut room[offset..offset + N])),
                steps: &[step],
                run: N,
                range: range(4),
                rounding: Rounding::HalfAway,
            });
            assert!(room_for_codes[offset..offset + N] == codes, "codes, {case}");
            same(&room[offset..offset + N], &values, &case);
            isa.run(Dequantize {
                codes: Input::from(&codes[..]),
                values: Output::from(&mut room[offset..offset + N]),
                steps: &[step],
                run: N,
            });
            same(&room[offset..offset + N], &values, &case);
            isa.run(WeightGradient {
                w: Input::from(&w[..]),
                values: None,
                grad_out: Input::from(&grad_out[..]),
                grad_w: Output::from(&mut room[offset..offset + N]),
                steps: &[step],
                run: N,
                range: range(4),
                rounding: Rounding::HalfAway,
                ste,
            });
            same(&room[offset..offset + N], &gradients, &case);
            // In place: nothing is streamed.
            room[offset..offset + N].copy_from_slice(&grad_out);
            let (input, output) = Output::in_place(&mut room[offset..offset + N]);
            let mut grad_scale = [0.0f32];
            isa.run(ScaleGradient {
                w: Input::from(&w[..]),
                grad_out: input,
                grad_w: Some(output),
                sums: Sums::PerRun { grad_scale: Output::from(&mut grad_scale[..]), factor: 1.0 },
                steps: &[step],
                run: N,
                range: range(4),
                rounding: Rounding::HalfAway,
                ste,
            });
            same(&room[offset..offset + N], &gradients, &case);
            let terms: Vec<f32> = codes.iter().zip(&grad_out).map(|(code, g)| g * f32::from(*code)).collect();
            assert_eq!(grad_scale[0].to_bits(), (reference::sum(&terms) as f32).to_bits(), "{case}");
        }
    }
}
