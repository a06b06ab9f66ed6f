//! One tensor, what is done with it, and what the oracle says of each result.

use super::*;

/// Weights where rounding, clamping and special values are decided, for a given step.
pub(super) fn adversarial(step: f32) -> Vec<f32> {
    let special = [0.0, 1e-45, 1e-40, f32::MIN_POSITIVE, 1.0, 1e30, f32::MAX, f32::INFINITY, f32::NAN];
    let ties = (0..=260).flat_map(|code| {
        let tie = (code as f32 + 0.5) * step;
        let whole = code as f32 * step;
        [tie.next_down(), tie, tie.next_up(), whole.next_down(), whole, whole.next_up()]
    });
    special.into_iter().chain(ties).flat_map(|w| [w, -w]).collect()
}

/// A tensor and what to do with it.
pub(super) struct Case {
    pub(super) cut: Cut,
    pub(super) groups: Vec<Group>,
    pub(super) w: Vec<f32>,
    pub(super) grad_out: Vec<f32>,
    pub(super) bounds: CodeBounds,
    pub(super) rounding: Rounding,
    /// Seed and first element, where rounding is stochastic.
    pub(super) random: Option<(u64, u64)>,
    pub(super) name: String,
}

impl Case {
    /// Random weights in every group, with adversarial ones strewn in.
    pub(super) fn new(cut: Cut, affine: bool, bits: u32, rounding: Rounding, seed: usize) -> Case {
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
    pub(super) fn stochastic(self, seed: u64, first: u64) -> Case {
        let name = format!("{}, random {seed} from {first}", self.name);
        Case { random: Some((seed, first)), name, ..self }
    }

    pub(super) fn bits(&self) -> u32 {
        (self.bounds.max - self.bounds.min + 1.0).log2() as u32
    }

    pub(super) fn draws(&self) -> Option<Random> {
        self.random.map(|(seed, first)| Random::new(seed, first, self.bits()))
    }

    pub(super) fn manner(&self, at: usize) -> Manner {
        match self.random {
            None => Manner::Nearest(self.rounding),
            Some((seed, first)) => {
                Manner::Stochastic(reference::draw(seed, u128::from(first) + at as u128, self.bits()))
            }
        }
    }

    pub(super) fn parameters(&self) -> Parameters {
        Parameters::new(self.groups.len(), self.groups.iter().copied()).unwrap()
    }

    pub(super) fn quantized(&self) -> Vec<reference::Quantized> {
        let group_of = reference::groups_of(self.cut);
        let one = |at: usize| reference::quantize(self.w[at], self.groups[group_of[at]], self.bounds, self.manner(at));
        (0..self.w.len()).map(one).collect()
    }

    /// Elements of each group.
    pub(super) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.groups.len()];
        reference::groups_of(self.cut).into_iter().for_each(|group| counts[group] += 1);
        counts
    }

    pub(super) fn check(&self) {
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

    pub(super) fn walk<W: walk::Work<TOTALS>, const TOTALS: usize>(&self, isa: Isa, work: W) {
        let parameters = self.parameters();
        Walk { work, cut: self.cut, groups: parameters.groups() }.run(isa);
    }

    pub(super) fn check_forward(&self, isa: Isa, quantized: &[reference::Quantized]) {
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
    pub(super) fn expected(&self, quantized: &[reference::Quantized], propagates: bool) -> (Vec<i8>, Vec<f32>) {
        let value = |(w, quantized): (&f32, &reference::Quantized)| {
            if propagates && w.is_nan() { *w } else { quantized.value }
        };
        (quantized.iter().map(|quantized| quantized.code).collect(), self.w.iter().zip(quantized).map(value).collect())
    }

    pub(super) fn check_dequantize(&self, isa: Isa) {
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

    pub(super) fn check_gradients(&self, isa: Isa, ste: SteVariant, quantized: &[reference::Quantized]) {
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

    pub(super) fn weight_gradient(
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

    pub(super) fn scale_gradient(
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

    pub(super) fn scale_gradient_of<E: estimator::Estimator>(
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

    pub(super) fn check_reductions(&self, isa: Isa) {
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
pub(super) fn estimator_of(ste: SteVariant) -> AnyEstimator {
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
pub(super) fn same(found: &[f32], expected: &[f32], case: &str) {
    let equal = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    // A message with four million numbers helps nobody.
    let differs = found.iter().zip(expected).position(|(a, b)| !equal(*a, *b));
    assert_eq!(found.len(), expected.len(), "{case}");
    if let Some(at) = differs {
        panic!("element {at}: {:?} instead of {:?}: {case}", found[at], expected[at]);
    }
}
