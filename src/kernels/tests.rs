//! Every kernel, on every instruction set of this machine, against the oracle: the same bits.

use super::reference::Manner;
use super::*;
use crate::ste::SteVariant;

/// What is decided when the program runs.
mod any;

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

/// Weights where rounding, clamping and special values are decided, for a given step.
fn adversarial(step: f32) -> Vec<f32> {
    let special = [0.0, 1e-45, 1e-40, f32::MIN_POSITIVE, 1.0, 1e30, f32::MAX, f32::INFINITY, f32::NAN];
    let ties = (0..=260).flat_map(|code| {
        let tie = (code as f32 + 0.5) * step;
        let whole = code as f32 * step;
        [tie.next_down(), tie, tie.next_up(), whole.next_down(), whole, whole.next_up()]
    });
    special.into_iter().chain(ties).flat_map(|w| [w, -w]).collect()
}

/// A tensor and what to do with it.
struct Case {
    cut: Cut,
    groups: Vec<Group>,
    w: Vec<f32>,
    grad_out: Vec<f32>,
    bounds: CodeBounds,
    rounding: Rounding,
    /// Seed and first element, where rounding is stochastic.
    random: Option<(u64, u64)>,
    name: String,
}

impl Case {
    /// Random weights in every group, with adversarial ones strewn in.
    fn new(cut: Cut, affine: bool, bits: u32, rounding: Rounding, seed: usize) -> Case {
        let group_of = reference::groups_of(cut);
        let count = match cut {
            Cut::Runs(runs) => runs.groups,
            Cut::Rows(_) => group_of.iter().max().map_or(0, |last| last + 1),
        };
        let bounds = bounds(bits);
        let spread = bounds.max - bounds.min;
        let groups: Vec<Group> = (0..count)
            .map(|index| Group {
                step: [0.1, 0.25, 0.017, 1.0][index % 4] + index as f32 / 1000.0,
                zero_point: if affine { bounds.min + (index as f32 * 3.0) % (spread + 1.0) } else { 0.0 },
                offset: if affine && index % 3 != 0 { 0.3 - index as f32 / 7.0 } else { 0.0 },
            })
            .collect();
        let hard: Vec<Vec<f32>> = groups.iter().take(4).map(|group| adversarial(group.step)).collect();
        let mut w = random(seed as u64, group_of.len());
        for (at, w) in w.iter_mut().enumerate() {
            let group = groups[group_of[at]];
            *w *= group.step * 1.3 * spread;
            if at % 3 == 0 {
                let hard = &hard[group_of[at] % hard.len()];
                *w = hard[(at / 3 + seed * 37) % hard.len()];
            }
        }
        let grad_out = random(seed as u64 + 1, w.len());
        let name = format!("{cut:?}, affine {affine}, {bits} bits, {rounding:?}, seed {seed}");
        Case { cut, groups, w, grad_out, bounds, rounding, random: None, name }
    }

    /// The same with stochastic rounding.
    fn stochastic(self, seed: u64, first: u64) -> Case {
        let name = format!("{}, random {seed} from {first}", self.name);
        Case { random: Some((seed, first)), name, ..self }
    }

    fn bits(&self) -> u32 {
        (self.bounds.max - self.bounds.min + 1.0).log2() as u32
    }

    fn draws(&self) -> Option<Random> {
        self.random.map(|(seed, first)| Random::new(seed, first, self.bits()))
    }

    fn manner(&self, at: usize) -> Manner {
        match self.random {
            None => Manner::Nearest(self.rounding),
            Some((seed, first)) => {
                Manner::Stochastic(reference::draw(seed, u128::from(first) + at as u128, self.bits()))
            }
        }
    }

    fn parameters(&self) -> Parameters {
        Parameters::new(self.groups.len(), self.groups.iter().copied()).unwrap()
    }

    fn quantized(&self) -> Vec<reference::Quantized> {
        let group_of = reference::groups_of(self.cut);
        let one = |at: usize| reference::quantize(self.w[at], self.groups[group_of[at]], self.bounds, self.manner(at));
        (0..self.w.len()).map(one).collect()
    }

    /// Elements of each group.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.groups.len()];
        reference::groups_of(self.cut).into_iter().for_each(|group| counts[group] += 1);
        counts
    }

    fn check(&self) {
        let quantized = self.quantized();
        for isa in Isa::available() {
            self.check_forward(isa, &quantized);
            self.check_any(isa, &quantized);
            self.check_statistics(isa, &quantized);
            for ste in ESTIMATORS {
                self.check_gradients(isa, ste, &quantized);
            }
            if self.random.is_none() {
                self.check_dequantize(isa);
                self.check_reductions(isa);
            }
        }
    }

    fn walk<W: walk::Work<TOTALS>, const TOTALS: usize>(&self, isa: Isa, work: W) {
        let parameters = self.parameters();
        Walk { work, cut: self.cut, groups: parameters.groups() }.run(isa);
    }

    fn check_forward(&self, isa: Isa, quantized: &[reference::Quantized]) {
        if self.random.is_some() {
            return;
        }
        let (expected_codes, expected_values) = self.expected(quantized, false);
        for (want_codes, want_values, in_place) in WANTED {
            let (mut codes, mut values) = (vec![77i8; self.w.len()], self.w.clone());
            let (input, output) = Output::in_place(&mut values);
            let input = if in_place { input } else { Input::from(&self.w[..]) };
            let codes_out = want_codes.then(|| Output::from(&mut codes[..]));
            self.walk(isa, Quantize::new(input, codes_out, want_values.then_some(output), self.bounds, self.rounding));
            let expected = if want_codes { expected_codes.clone() } else { vec![77; self.w.len()] };
            assert_eq!(codes, expected, "{isa:?} {}", self.name);
            same(&values, if want_values { &expected_values } else { &self.w }, &format!("{isa:?} {}", self.name));
        }
    }

    /// What forward is to give.
    fn expected(&self, quantized: &[reference::Quantized], propagates: bool) -> (Vec<i8>, Vec<f32>) {
        let value = |(w, quantized): (&f32, &reference::Quantized)| {
            if propagates && w.is_nan() { *w } else { quantized.value }
        };
        (quantized.iter().map(|quantized| quantized.code).collect(), self.w.iter().zip(quantized).map(value).collect())
    }

    fn check_dequantize(&self, isa: Isa) {
        let codes: Vec<i8> = (0..self.w.len()).map(|at| (at * 37 + 11) as u8 as i8).collect();
        let mut values = vec![f32::NAN; codes.len()];
        self.walk(isa, Dequantize::new(Input::from(&codes[..]), Output::from(&mut values[..])));
        let of = |(code, group): (&i8, usize)| {
            let Group { step, zero_point, offset } = self.groups[group];
            let value = (f32::from(*code) - zero_point) * step;
            if offset == 0.0 { value } else { value + offset }
        };
        let expected: Vec<f32> = codes.iter().zip(reference::groups_of(self.cut)).map(of).collect();
        same(&values, &expected, &format!("{isa:?} dequantize {}", self.name));
    }

    fn check_gradients(&self, isa: Isa, ste: SteVariant, quantized: &[reference::Quantized]) {
        let n = self.w.len();
        let all = || (0..n).map(|at| (at, &quantized[at], self.grad_out[at]));
        let values: Vec<f32> = quantized.iter().map(|quantized| quantized.value).collect();
        let weights: Vec<f32> = all().map(|(at, q, g)| reference::weight_gradient(ste, self.w[at], q, g)).collect();
        let scale_terms: Vec<f32> = all().map(|(_, q, g)| reference::scale_term(ste, q, g)).collect();
        let offset_terms: Vec<f32> = all().map(|(_, q, g)| reference::offset_term(ste, q, g)).collect();
        let factor = Factor { numerator: 0.37, levels: 7.0 };
        let per_count = |count: usize| 0.37 / (count as f64 * 7.0).sqrt();
        let scales: Vec<f32> = reference::sums(self.cut, &scale_terms)
            .into_iter()
            .zip(self.counts())
            .map(|(sum, count)| (sum * per_count(count)) as f32)
            .collect();
        let offsets: Vec<f32> = reference::sums(self.cut, &offset_terms).into_iter().map(|sum| sum as f32).collect();
        let name = format!("{isa:?} {ste:?} {}", self.name);
        for (given, in_place) in [(true, false), (false, false), (true, true), (false, true)] {
            // With draws, kernels are given no values.
            if given && self.random.is_some() {
                continue;
            }
            let mut grad_w = if in_place { self.grad_out.clone() } else { vec![7.0; n] };
            let (input, output) = Output::in_place(&mut grad_w);
            let grad_out = if in_place { input } else { Input::from(&self.grad_out[..]) };
            let (w, given_values) = (Input::from(&self.w[..]), given.then(|| Input::from(&values[..])));
            self.weight_gradient(isa, w, given_values, grad_out, output, estimator_of(ste));
            same(&grad_w, &weights, &format!("values {given}, in place {in_place} {name}"));
        }
        for (want_weights, in_place) in [(true, false), (true, true), (false, false)] {
            for want_offsets in [false, ste.reads_range()] {
                let mut grad_w = self.grad_out.clone();
                let (mut grad_scale, mut grad_offset) =
                    (vec![f32::NAN; self.groups.len()], vec![f32::NAN; self.groups.len()]);
                let (input, output) = Output::in_place(&mut grad_w);
                let grad_out = if in_place { input } else { Input::from(&self.grad_out[..]) };
                let gradients = Gradients {
                    weights: want_weights.then_some(output),
                    scales: Output::from(&mut grad_scale[..]),
                    offsets: want_offsets.then(|| Output::from(&mut grad_offset[..])),
                };
                let w = Input::from(&self.w[..]);
                self.scale_gradient(isa, w, grad_out, gradients, factor, estimator_of(ste));
                let name = format!("weights {want_weights}, offsets {want_offsets}, in place {in_place} {name}");
                same(&grad_scale, &scales, &format!("scales, {name}"));
                same(&grad_w, if want_weights { &weights } else { &self.grad_out }, &format!("weights, {name}"));
                if want_offsets {
                    same(&grad_offset, &offsets, &format!("offsets, {name}"));
                }
            }
        }
    }

    fn weight_gradient(
        &self,
        isa: Isa,
        w: Input<'_, f32>,
        values: Option<Input<'_, f32>>,
        grad_out: Input<'_, f32>,
        grad_w: Output<'_, f32>,
        any: AnyEstimator,
    ) {
        let (bounds, rounding) = (self.bounds, self.rounding);
        match self.draws() {
            Some(random) => {
                self.walk(isa, GradientsByChance::of_weights(w, grad_out, Some(grad_w), bounds, random, any));
            }
            None => estimator::with_one!(any, |one| self
                .walk(isa, WeightGradient::new(w, values, grad_out, grad_w, bounds, rounding, one))),
        }
    }

    fn scale_gradient(
        &self,
        isa: Isa,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        gradients: Gradients<'_>,
        factor: Factor,
        any: AnyEstimator,
    ) {
        let bounds = self.bounds;
        match self.draws() {
            Some(random) => {
                self.walk(isa, GradientsByChance::new(w, grad_out, gradients, factor, bounds, random, any));
            }
            None => {
                estimator::with_one!(any, |one| self.scale_gradient_of(isa, w, grad_out, gradients, factor, one));
            }
        }
    }

    fn scale_gradient_of<E: estimator::Estimator>(
        &self,
        isa: Isa,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        gradients: Gradients<'_>,
        factor: Factor,
        estimator: E,
    ) {
        let (bounds, rounding) = (self.bounds, self.rounding);
        if gradients.offsets.is_some() {
            self.walk(isa, ScaleGradient::<_, 2>::new(w, grad_out, gradients, factor, bounds, rounding, estimator));
        } else {
            self.walk(isa, ScaleGradient::<_, 1>::new(w, grad_out, gradients, factor, bounds, rounding, estimator));
        }
    }

    fn check_reductions(&self, isa: Isa) {
        let count = self.groups.len();
        let group_of = reference::groups_of(self.cut);
        let not_finite = |group: usize| (0..self.w.len()).any(|at| group_of[at] == group && !self.w[at].is_finite());
        let name = format!("{isa:?} {}", self.name);

        let mut maxima = vec![f32::NAN; count];
        self.walk(isa, MaxMagnitude { w: Input::from(&self.w[..]), maxima: Output::from(&mut maxima[..]) });
        let (mut below, mut above) = (vec![f32::NAN; count], vec![f32::NAN; count]);
        let (minima_out, maxima_out) = (Output::from(&mut below[..]), Output::from(&mut above[..]));
        self.walk(isa, Extremes { w: Input::from(&self.w[..]), minima: minima_out, maxima: maxima_out });
        let mut expected = vec![(0.0f32, 0.0f32); count];
        for (at, &w) in self.w.iter().enumerate() {
            let (min, max) = &mut expected[group_of[at]];
            (*min, *max) = (min.min(w), max.max(w));
        }
        for group in 0..count {
            if not_finite(group) {
                assert!(maxima[group] == f32::INFINITY, "{name}");
                assert!(below[group].is_infinite() || above[group].is_infinite(), "{name}");
            } else {
                let (min, max) = expected[group];
                assert_eq!((below[group], above[group], maxima[group]), (min, max, max.max(-min)), "{name}");
            }
        }

        let mut means = vec![f64::NAN; count];
        self.walk(isa, MeanMagnitude { w: Input::from(&self.w[..]), means: Output::from(&mut means[..]) });
        let part = |small: fn(f32) -> f32| -> Vec<f32> { self.w.iter().map(|w| small(w.abs())).collect() };
        let small =
            reference::sums(self.cut, &part(|magnitude| if magnitude < 2f32.powi(100) { magnitude } else { 0.0 }));
        let large = part(|magnitude| if magnitude < 2f32.powi(100) { 0.0 } else { magnitude * 2f32.powi(-20) });
        let large = reference::sums(self.cut, &large);
        for (group, count) in self.counts().into_iter().enumerate() {
            let (mean, expected) = (means[group], (small[group] + large[group] * 2f64.powi(20)) / count as f64);
            assert!(mean.to_bits() == expected.to_bits() || mean.is_nan() && expected.is_nan(), "{name}");
        }
    }
}

/// The kernels' estimator of a variant.
fn estimator_of(ste: SteVariant) -> AnyEstimator {
    match ste {
        SteVariant::Standard | SteVariant::LearnedStepSize => AnyEstimator(EstimatorKind::PassThrough, 0.0),
        SteVariant::Clipped { clip_val } => AnyEstimator(EstimatorKind::Clipped, clip_val),
        SteVariant::Ewgs { lambda } => AnyEstimator(EstimatorKind::Ewgs, lambda),
        SteVariant::RangeClipped => AnyEstimator(EstimatorKind::RangeClipped, 0.0),
        SteVariant::EwgsSigned { delta } => AnyEstimator(EstimatorKind::EwgsSigned, delta),
        SteVariant::Lsq | SteVariant::LsqPlus => AnyEstimator(EstimatorKind::Lsq, 0.0),
    }
}

/// The same bits; any NaN is as good as another, and so is any zero that is a product with a zero.
fn same(found: &[f32], expected: &[f32], case: &str) {
    let equal = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    // A message with four million numbers helps nobody.
    let differs = found.iter().zip(expected).position(|(a, b)| !equal(*a, *b));
    assert_eq!(found.len(), expected.len(), "{case}");
    if let Some(at) = differs {
        panic!("element {at}: {:?} instead of {:?}: {case}", found[at], expected[at]);
    }
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
