use super::*;

impl Case {
    /// The work of [`QuantizeAny`].
    pub(super) fn any<'a, const TOTALS: usize>(
        &self,
        w: Input<'a, f32>,
        (codes, values): (Option<Output<'a, i8>>, Option<Output<'a, f32>>),
        statistics: Option<Output<'a, Statistics>>,
        groups: Groups<'a>,
        propagates: bool,
    ) -> QuantizeAny<'a, TOTALS> {
        let rounding = match self.draws() {
            Some(random) => AnyRounding::Stochastic(random),
            None => AnyRounding::Nearest(self.rounding),
        };
        QuantizeAny { w, codes, values, statistics, groups, bounds: self.bounds, rounding, propagates }.streaming()
    }

    pub(super) fn check_any(&self, isa: Isa, quantized: &[reference::Quantized]) {
        for (index, (want_codes, want_values, in_place)) in WANTED.into_iter().enumerate() {
            let propagates = index % 2 == 1 || self.w.len() % 2 == 1;
            let (expected_codes, expected_values) = self.expected(quantized, propagates);
            let (mut codes, mut values) = (vec![77i8; self.w.len()], self.w.clone());
            let (input, output) = Output::in_place(&mut values);
            let input = if in_place { input } else { Input::from(&self.w[..]) };
            let outputs = (want_codes.then(|| Output::from(&mut codes[..])), want_values.then_some(output));
            self.walk(isa, self.any::<0>(input, outputs, None, Groups::NONE, propagates));
            let expected = if want_codes { expected_codes } else { vec![77; self.w.len()] };
            let name = format!("{isa:?} any, propagates {propagates} {}", self.name);
            assert_eq!(codes, expected, "{name}");
            same(&values, if want_values { &expected_values } else { &self.w }, &name);
        }
    }

    pub(super) fn check_statistics(&self, isa: Isa, quantized: &[reference::Quantized]) {
        let group_of = reference::groups_of(self.cut);
        let terms: Vec<[f32; STATISTICS]> = (0..self.w.len())
            .map(|at| reference::statistics_terms(self.w[at], &quantized[at], self.groups[group_of[at]], self.bounds))
            .collect();
        let totals: Vec<Vec<f64>> = (0..STATISTICS)
            .map(|total| reference::sums(self.cut, &terms.iter().map(|terms| terms[total]).collect::<Vec<_>>()))
            .collect();
        let parameters = self.parameters();
        for (propagates, in_place) in [(false, false), (true, true)] {
            let (mut codes, mut values) = (vec![77i8; self.w.len()], self.w.clone());
            let mut found = vec![Statistics::default(); self.groups.len()];
            let (input, output) = Output::in_place(&mut values);
            let w = if in_place { input } else { Input::from(&self.w[..]) };
            let outputs = (Some(Output::from(&mut codes[..])), Some(output));
            let (statistics, groups) = (Some(Output::from(&mut found[..])), parameters.groups());
            let work = self.any::<STATISTICS>(w, outputs, statistics, groups, propagates);
            Walk { work, cut: self.cut, groups }.run(isa);
            let name = format!("{isa:?} statistics {}", self.name);
            let (expected_codes, expected_values) = self.expected(quantized, propagates);
            assert_eq!(codes, expected_codes, "{name}");
            same(&values, &expected_values, &name);
            for (group, (found, count)) in found.iter().zip(self.counts()).enumerate() {
                let square = f64::from((1.0 / f64::from(self.groups[group].step)) as f32).powi(2);
                let [non_finite, at_min, at_max] = [0, 1, 2].map(|total| totals[total][group] as u64);
                let [error, signal] = [3, 4].map(|total| totals[total][group] / square);
                let counts = (found.count, found.non_finite, found.at_min, found.at_max);
                assert_eq!(counts, (count as u64 - non_finite, non_finite, at_min, at_max), "group {group} {name}");
                assert_eq!((found.squared_error, found.signal_power), (error, signal), "group {group} {name}");
            }
        }
    }
}

#[test]
fn runs_rounded_by_chance_give_the_oracles_bits() {
    for len in (1..=70).chain([255, 256, 257, 511, 513, 1025]) {
        let (bits, seed) = (2 + len as u32 % 7, len as u64 * 0x1234_5678_9abc);
        let case = Case::new(runs(1, 2, len), len % 3 == 0, bits, Rounding::HalfAway, len);
        case.stochastic(seed, seed % 41).check();
    }
}

#[test]
fn long_runs_rounded_by_chance_give_the_oracles_bits() {
    Case::new(runs(1, 1, 512 * 256 + 1), true, 4, Rounding::HalfAway, 3).stochastic(0, u64::MAX - 77).check();
}

/// A draw belongs to its element: what begins in the middle of a tensor gets what the tensor got there.
#[test]
fn draws_do_not_depend_on_where_a_call_begins() {
    let whole = Case::new(runs(1, 1, 400), false, 4, Rounding::HalfEven, 8).stochastic(3, 1000);
    let codes = |isa: Isa, start: usize| {
        let mut codes = vec![77i8; whole.w.len() - start];
        let (w, out) = (Input::from(&whole.w[start..]), Some(Output::from(&mut codes[..])));
        let mut work = whole.any::<0>(w, (out, None), None, Groups::NONE, false);
        work.rounding = AnyRounding::Stochastic(Random::new(3, 1000 + start as u64, 4));
        let parameters = whole.parameters();
        Walk { work, cut: Cut::runs(1, whole.w.len() - start), groups: parameters.groups() }.run(isa);
        codes
    };
    for isa in Isa::available() {
        let all = codes(isa, 0);
        for start in 0..200 {
            assert_eq!(codes(isa, start), all[start..], "{isa:?} from {start}");
        }
    }
}

#[test]
fn threads_draw_and_count_as_one() {
    for (seed, cut) in DIVIDED.into_iter().enumerate() {
        let case = Case::new(cut, seed % 2 == 1, 4, Rounding::HalfEven, seed).stochastic(seed as u64, 7);
        let (parameters, draws, n) = (case.parameters(), case.draws().unwrap(), case.w.len());
        let run = |threads: Threads| {
            let mut statistics = vec![Statistics::default(); case.groups.len()];
            let (mut codes, mut grad_w) = (vec![0i8; n], vec![0.0f32; n]);
            let (mut grad_scale, mut grad_offset) = (vec![0.0; case.groups.len()], vec![0.0; case.groups.len()]);
            let (w, grad_out) = (Input::from(&case.w[..]), Input::from(&case.grad_out[..]));
            let (outputs, groups) = ((Some(Output::from(&mut codes[..])), None), parameters.groups());
            let work = case.any::<STATISTICS>(w, outputs, Some(Output::from(&mut statistics[..])), groups, false);
            Walk { work, cut, groups }.run_on(threads);
            let gradients = Gradients {
                weights: Some(Output::from(&mut grad_w[..])),
                scales: Output::from(&mut grad_scale[..]),
                offsets: Some(Output::from(&mut grad_offset[..])),
            };
            let (factor, any) = (Factor { numerator: 1.0, levels: 7.0 }, estimator_of(ESTIMATORS[seed]));
            let work = GradientsByChance::new(w, grad_out, gradients, factor, case.bounds, draws, any);
            Walk { work, cut, groups }.run_on(threads);
            // As text, in which NaNs are equal: squares overflow here.
            (codes, grad_w, grad_scale, grad_offset, format!("{statistics:?}"))
        };
        let one = run(Threads::Own(1));
        for threads in [2, 3, 5] {
            let several = run(Threads::Own(threads));
            let name = format!("{threads} threads, {cut:?}");
            assert!(one.0 == several.0, "codes, {name}");
            assert!(one.4 == several.4, "statistics, {name}");
            same(&several.1, &one.1, &format!("weights, {name}"));
            same(&several.2, &one.2, &format!("scales, {name}"));
            same(&several.3, &one.3, &format!("offsets, {name}"));
        }
    }
}
