//! 16-bit tensors, on every instruction set of this machine: the conversions against those of the crate `half`, and every kernel
//! against its results on f32, rounded.

use super::tests::{Any, ESTIMATORS, ROUNDINGS, bounds, random, rows, runs, same, with_estimator};
use super::*;

const FORMATS: [Half; 2] = [Half::F16, Half::Bf16];

/// A format in which a test makes tensors.
trait Made: Format {
    /// One float, rounded.
    fn narrow(self, number: f32) -> Self::Element;

    fn tensor(self, numbers: &[f32]) -> Vec<Self::Element> {
        numbers.iter().map(|number| self.narrow(*number)).collect()
    }

    fn floats(self, tensor: &[Self::Element]) -> Vec<f32> {
        tensor.iter().map(|element| self.widen(*element)).collect()
    }
}

impl Made for Single {
    fn narrow(self, number: f32) -> f32 {
        number
    }
}

impl Made for Half {
    fn narrow(self, number: f32) -> u16 {
        match self {
            Half::F16 => half::f16::from_f32(number).to_bits(),
            Half::Bf16 => half::bf16::from_f32(number).to_bits(),
        }
    }
}

/// Copies a tensor from a format into another.
struct Convert<'a, A: Format, B: Format> {
    from: (A, Input<'a, A::Element>),
    to: (B, Output<'a, B::Element>),
}

impl<A: Format, B: Format> Kernel for Convert<'_, A, B> {
    #[inline(always)]
    fn run<V: Vectors>(mut self) {
        let n = self.from.1.len();
        for start in (0..n).step_by(BLOCK) {
            let block = buffer::Block::first_of(start, n);
            let lanes = self.from.1.load_as::<V, A>(self.from.0, block);
            self.to.1.store_as::<V, B>(self.to.0, block, lanes);
        }
    }
}

#[test]
fn every_16_bit_number_is_widened_as_the_crate_half_widens_it() {
    let words: Vec<u16> = (0..=u16::MAX).collect();
    for isa in Isa::available() {
        for format in FORMATS {
            let mut floats = vec![0.0f32; words.len()];
            isa.run(Convert { from: (format, words[..].into()), to: (Single, (&mut floats[..]).into()) });
            same(&floats, &format.floats(&words), &format!("{isa:?} {format:?}"));
        }
    }
}

/// Every 16-bit number, every tie between two, and their neighbours; large numbers, subnormals and NaNs.
#[test]
fn floats_are_rounded_to_16_bits_as_the_crate_half_rounds_them() {
    for format in FORMATS {
        let unit = match format {
            Half::F16 => 1u32 << 13,
            Half::Bf16 => 1 << 16,
        };
        let around = |number: f32| {
            let (bits, tie) = (number.to_bits(), number.to_bits() + unit / 2);
            [bits, bits + 1, tie - 1, tie, tie + 1].map(f32::from_bits)
        };
        let finite = (0..=u16::MAX).map(|word| format.widen(word)).filter(|number| number.is_finite());
        // A subnormal f16 is normal as an f32, and its neighbours are nearer: ties between two are half way of both.
        let subnormal = (0..1024u32).flat_map(|word| {
            let tie = (word as f32 + 0.5) / 16_777_216.0;
            [tie.next_down(), tie, tie.next_up()].into_iter().flat_map(|tie| [tie, -tie])
        });
        let special = [f32::MAX, f32::INFINITY, 65504.0, 65519.996, 65520.0, 65536.0, 1e-45, f32::MIN_POSITIVE, 0.0];
        let not_numbers = [0x7f80_0001, 0x7fff_ffff, 0x7fc0_0000, 0x7f80_ffff].map(f32::from_bits);
        let special = special.into_iter().chain(not_numbers).flat_map(|number| [number, -number]);
        let numbers: Vec<f32> = finite.flat_map(around).chain(subnormal).chain(special).collect();
        let expected = format.tensor(&numbers);
        for isa in Isa::available() {
            let mut words = vec![0u16; numbers.len()];
            isa.run(Convert { from: (Single, numbers[..].into()), to: (format, (&mut words[..]).into()) });
            for ((word, expected), number) in words.iter().zip(&expected).zip(&numbers) {
                let case = || format!("{isa:?} {format:?}: {number:?} gives {word:x}, not {expected:x}");
                if number.is_nan() {
                    let quiet = if format == Half::F16 { 0x7e00 } else { 0x7fc0 };
                    assert!(word & quiet == quiet, "{}", case());
                } else {
                    assert!(word == expected, "{}", case());
                }
            }
        }
    }
}

/// A tensor, floats that the format has, and what to do with it.
struct Case {
    cut: Cut,
    groups: usize,
    parameters: Parameters,
    w: Vec<f32>,
    grad_out: Vec<f32>,
    bounds: CodeBounds,
    rounding: Rounding,
}

/// What a kernel gave: its name, whether its numbers were rounded to the format, and they, as floats.
type Outcome = (String, bool, Vec<f32>);

impl Case {
    /// Weights about the range, with any bits strewn in; gradients of which some are subnormal in f16 and some nearly too large.
    fn new(format: Half, cut: Cut, affine: bool, seed: usize) -> Case {
        let group_of = reference::groups_of(cut);
        let count = match cut {
            Cut::Runs(runs) => runs.groups,
            Cut::Rows(_) => group_of.iter().max().map_or(0, |last| last + 1),
        };
        let bounds = bounds(2 + seed as u32 % 7);
        let group = |index: usize| Group {
            step: [0.1, 0.25, 0.017, 1.0][index % 4] + index as f32 / 1000.0,
            zero_point: if affine { bounds.min + (index as f32 * 3.0) % (bounds.max - bounds.min) } else { 0.0 },
            offset: if affine && !index.is_multiple_of(3) { 0.3 - index as f32 / 7.0 } else { 0.0 },
        };
        let parameters = Parameters::new(count, (0..count).map(group)).unwrap();
        let mut w = random(seed as u64, group_of.len());
        let mut grad_out = random(seed as u64 + 1, w.len());
        for at in 0..w.len() {
            w[at] *= parameters.get(group_of[at]).step * 1.3 * (bounds.max - bounds.min);
            if at % 5 == 0 {
                w[at] = format.widen((at * 40_503 + seed * 977) as u16);
            }
            grad_out[at] *= [1.0, 1e-6, 65000.0, 1.0, 0.01][(at + seed) % 5];
        }
        let rounded = |numbers: Vec<f32>| format.floats(&format.tensor(&numbers));
        let (w, grad_out) = (rounded(w), rounded(grad_out));
        Case { cut, groups: count, parameters, w, grad_out, bounds, rounding: ROUNDINGS[seed % 2] }
    }

    fn walk<W: walk::Work<TOTALS>, const TOTALS: usize>(&self, isa: Isa, work: W) {
        Walk { work, cut: self.cut, groups: self.parameters.groups() }.run(isa);
    }

    /// What every kernel gives for the tensor in a format.
    fn outcomes<F: Made>(&self, isa: Isa, format: F) -> Vec<Outcome> {
        let (w, grad_out) = (format.tensor(&self.w), format.tensor(&self.grad_out));
        let (n, groups) = (w.len(), self.groups);
        let mut outcomes = Vec::new();
        for in_place in [false, true] {
            let (mut codes, mut values) = (vec![77i8; n], w.clone());
            let (input, output) = Output::in_place(&mut values);
            let input = if in_place { input } else { Input::from(&w[..]) };
            let codes_out = Some(Output::from(&mut codes[..]));
            self.walk(isa, Quantize::new(format, input, codes_out, Some(output), self.bounds, self.rounding));
            outcomes.push(("codes".to_owned(), false, codes.iter().map(|code| f32::from(*code)).collect()));
            outcomes.push((format!("values, in place {in_place}"), true, format.floats(&values)));
        }
        let codes: Vec<i8> = (0..n).map(|at| (at * 37 + 11) as u8 as i8).collect();
        let mut values = w.clone();
        self.walk(isa, Dequantize::new(format, Input::from(&codes[..]), Output::from(&mut values[..])));
        outcomes.push(("dequantize".to_owned(), true, format.floats(&values)));
        // Any floats of the format do: backward takes values as they are given.
        values.clone_from(&w);
        values.rotate_left(n.min(1));
        for ste in ESTIMATORS {
            for (given, in_place) in [(true, false), (false, true)] {
                let mut grad_w = grad_out.clone();
                let (input, output) = Output::in_place(&mut grad_w);
                let grad = if in_place { input } else { Input::from(&grad_out[..]) };
                let (w, values) = (Input::from(&w[..]), given.then(|| Input::from(&values[..])));
                with_estimator(ste, |estimator| match estimator {
                    Any::PassThrough(e) => self.weight_gradient(isa, format, w, values, grad, output, e),
                    Any::Clipped(e) => self.weight_gradient(isa, format, w, values, grad, output, e),
                    Any::Ewgs(e) => self.weight_gradient(isa, format, w, values, grad, output, e),
                    Any::RangeClipped(e) => self.weight_gradient(isa, format, w, values, grad, output, e),
                    Any::Lsq(e) => self.weight_gradient(isa, format, w, values, grad, output, e),
                    Any::EwgsSigned(e) => self.weight_gradient(isa, format, w, values, grad, output, e),
                });
                let name = format!("backward {ste:?}, values {given}, in place {in_place}");
                outcomes.push((name, true, format.floats(&grad_w)));
            }
            for (in_place, offsets) in [(false, false), (true, false), (true, ste.reads_range())] {
                let (mut grad_w, mut scales, mut offsets_out) =
                    (grad_out.clone(), vec![f32::NAN; groups], vec![f32::NAN; groups]);
                let (input, output) = Output::in_place(&mut grad_w);
                let grad = if in_place { input } else { Input::from(&grad_out[..]) };
                let gradients = Gradients {
                    weights: Some(output),
                    scales: Output::from(&mut scales[..]),
                    offsets: offsets.then(|| Output::from(&mut offsets_out[..])),
                };
                let w = Input::from(&w[..]);
                with_estimator(ste, |estimator| match estimator {
                    Any::PassThrough(e) => self.scale_gradient(isa, format, w, grad, gradients, e),
                    Any::Clipped(e) => self.scale_gradient(isa, format, w, grad, gradients, e),
                    Any::Ewgs(e) => self.scale_gradient(isa, format, w, grad, gradients, e),
                    Any::RangeClipped(e) => self.ranged_gradient(isa, format, w, grad, gradients, e),
                    Any::Lsq(e) => self.ranged_gradient(isa, format, w, grad, gradients, e),
                    Any::EwgsSigned(e) => self.ranged_gradient(isa, format, w, grad, gradients, e),
                });
                let name = format!("backward_scale {ste:?}, in place {in_place}, offsets {offsets}");
                outcomes.push((format!("weights, {name}"), true, format.floats(&grad_w)));
                outcomes.push((format!("scales, {name}"), false, scales));
                outcomes.push((format!("offsets, {name}"), false, offsets_out));
            }
        }
        let mut maxima = vec![f32::NAN; groups];
        let work = MaxMagnitude { format, w: Input::from(&w[..]), maxima: Output::from(&mut maxima[..]) };
        self.walk(isa, work);
        outcomes.push(("maxima".to_owned(), false, maxima));
        outcomes
    }

    #[allow(clippy::too_many_arguments)]
    fn weight_gradient<F: Format, E: estimator::Estimator>(
        &self,
        isa: Isa,
        format: F,
        w: Input<'_, F::Element>,
        values: Option<Input<'_, F::Element>>,
        grad_out: Input<'_, F::Element>,
        grad_w: Output<'_, F::Element>,
        estimator: E,
    ) {
        let (bounds, rounding) = (self.bounds, self.rounding);
        self.walk(isa, WeightGradient::new(format, w, values, grad_out, grad_w, bounds, rounding, estimator));
    }

    fn scale_gradient<F: Format, E: estimator::Estimator>(
        &self,
        isa: Isa,
        format: F,
        w: Input<'_, F::Element>,
        grad_out: Input<'_, F::Element>,
        gradients: Gradients<'_, F>,
        estimator: E,
    ) {
        let (factor, bounds, rounding) = (Factor { numerator: 0.37, levels: 7.0 }, self.bounds, self.rounding);
        let work = ScaleGradient::<_, _, 1>::new(format, w, grad_out, gradients, factor, bounds, rounding, estimator);
        self.walk(isa, work);
    }

    /// With the gradient of the offset where it is asked for.
    fn ranged_gradient<F: Format, E: estimator::Estimator>(
        &self,
        isa: Isa,
        format: F,
        w: Input<'_, F::Element>,
        grad_out: Input<'_, F::Element>,
        gradients: Gradients<'_, F>,
        estimator: E,
    ) {
        if gradients.offsets.is_none() {
            return self.scale_gradient(isa, format, w, grad_out, gradients, estimator);
        }
        let (factor, bounds, rounding) = (Factor { numerator: 0.37, levels: 7.0 }, self.bounds, self.rounding);
        let work = ScaleGradient::<_, _, 2>::new(format, w, grad_out, gradients, factor, bounds, rounding, estimator);
        self.walk(isa, work);
    }
}

/// Compares the kernels on 16-bit tensors with those on f32 ones of the same numbers.
fn check(cut: Cut, affine: bool, seed: usize) {
    for format in FORMATS {
        let case = Case::new(format, cut, affine, seed);
        for isa in Isa::available() {
            let (found, expected) = (case.outcomes(isa, format), case.outcomes(isa, Single));
            assert_eq!(found.len(), expected.len());
            for ((name, rounded, found), (_, _, expected)) in found.iter().zip(&expected) {
                let expected = if *rounded { &format.floats(&format.tensor(expected)) } else { expected };
                same(found, expected, &format!("{isa:?} {format:?} {name}, {cut:?}, affine {affine}, seed {seed}"));
            }
        }
    }
}

#[test]
fn runs_of_every_length_give_the_rounded_results_of_f32() {
    for len in (1..=257).chain([511, 513, 1025]) {
        check(runs(1, 2, len), len % 2 == 0, len);
    }
}

#[test]
fn cuts_of_every_kind_give_the_rounded_results_of_f32() {
    let cuts = [
        runs(1, 2, 0),
        runs(1, 1, 131_073),
        runs(5, 3, 64),
        runs(3, 70, 32),
        Cut::Runs(Runs { outer: 1, groups: 6, len: 300, last_len: 100, cycle: 3 }),
        rows(1, 1, 1),
        rows(7, 1, 1),
        rows(100, 8, 1),
        rows(33, 255, 1),
        rows(20, 1100, 1),
        rows(5, 9 * 7, 9),
        rows(2, 255 * 9, 255),
        Cut::Rows(Rows { tables: 4, rows: 32, last_rows: 9, cycle: 2, columns: 300, repeat: 1 }),
    ];
    for (seed, cut) in cuts.into_iter().enumerate() {
        for affine in [false, true] {
            check(cut, affine, seed + 500);
        }
    }
}

/// Outputs this large are streamed past the cache when they are aligned and not in place; each way gives the same bits.
#[test]
fn large_outputs_are_the_rounded_results_streamed_or_not() {
    const N: usize = (8 << 20) + 37;
    let (bounds, rounding) = (bounds(4), Rounding::HalfAway);
    let parameters = Parameters::new(1, std::iter::once(Group { step: 0.25, zero_point: 0.0, offset: 0.0 })).unwrap();
    let groups = parameters.groups();
    for format in FORMATS {
        let w = format.tensor(&random(5, N));
        let wide = format.floats(&w);
        let mut expected = vec![0.0f32; N];
        let work = Quantize::new(Single, wide[..].into(), None, Some((&mut expected[..]).into()), bounds, rounding);
        Walk { work, cut: Cut::runs(1, N), groups }.run(Isa::fastest());
        let expected = format.tensor(&expected);
        for isa in Isa::available() {
            for offset in [0, 1, 8, 16] {
                let mut room = vec![0u16; N + 16];
                let values = Some(Output::from(&mut room[offset..offset + N]));
                let work = Quantize::new(format, w[..].into(), None, values, bounds, rounding);
                Walk { work, cut: Cut::runs(1, N), groups }.run(isa);
                assert!(room[offset..offset + N] == expected, "{isa:?} {format:?} offset {offset}");
            }
        }
    }
}

#[test]
fn a_tensor_is_copied_as_f32_before_it_is_calibrated_on() {
    for format in FORMATS {
        for n in [0, 1, 31, 32, 33, 1000] {
            let tensor: Vec<u16> = (0..n).map(|at| (at * 61) as u16).collect();
            let mut room = Vec::new();
            let widened = format.widened(Input::from(&tensor[..]), &mut room).unwrap();
            let found: Vec<f32> = (0..widened.len()).map(|at| widened.get(at)).collect();
            same(&found, &format.floats(&tensor), &format!("{format:?}, {n} elements"));
        }
    }
}
