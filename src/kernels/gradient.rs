//! Gradients through the rounding: of the weights alone, or of weights and scale in one pass over memory.
//!
//! The formula of each estimator is in [`crate::ste`]; here it meets the blocks. The gradient of the scale is
//! `sum(grad_out * code)` times a factor, which is the quantizer's business.

use super::buffer::{Block, Input, Output, PerBlock, for_each_block};
use super::quantize::{CodeRange, HalfAway, HalfEven, Rounding, RoundingMode, codes_as_floats};
use super::reduce::{SUPERBLOCKS, Terms, striped_sum, superblock_length, superblock_sum};
use super::sink::{Discard, Sink, Streamed};
use super::threads::{Divisible, Part, Parts, Threads, divide};
use super::{BLOCK, Isa, Kernel, Vectors};
use crate::ste::{Clipped, Estimator, Ewgs, PassThrough, SteVariant};
use std::marker::PhantomData;

/// Evaluates `$call` with `$estimator` bound to the estimator that `$ste` names, once per type of estimator.
macro_rules! with_estimator {
    ($ste:expr, |$estimator:ident| $call:expr) => {
        match $ste {
            SteVariant::Standard | SteVariant::LearnedStepSize => {
                let $estimator = PassThrough;
                $call
            }
            SteVariant::Clipped { clip_val } => {
                let $estimator = Clipped { clip_val };
                $call
            }
            SteVariant::Ewgs { lambda } => {
                let $estimator = Ewgs { lambda };
                $call
            }
        }
    };
}

#[inline(always)]
fn weight_gradients<E: Estimator>(
    estimator: E,
    w: &[f32; BLOCK],
    values: &[f32; BLOCK],
    grad_out: &[f32; BLOCK],
) -> [f32; BLOCK] {
    let mut gradients = [0.0; BLOCK];
    for lane in 0..BLOCK {
        gradients[lane] = estimator.weight_gradient(w[lane], values[lane], grad_out[lane]);
    }
    gradients
}

/// Gradient of the weights.
pub(crate) struct WeightGradient<'a> {
    pub(crate) w: Input<'a, f32>,
    /// What forward gave for `w`; computed again when absent and needed.
    pub(crate) values: Option<Input<'a, f32>>,
    pub(crate) grad_out: Input<'a, f32>,
    pub(crate) grad_w: Output<'a, f32>,
    /// One step per run.
    pub(crate) steps: &'a [f32],
    pub(crate) run: usize,
    pub(crate) range: CodeRange,
    pub(crate) rounding: Rounding,
    pub(crate) ste: SteVariant,
}

impl Kernel for WeightGradient<'_> {
    type Result = ();

    #[inline(always)]
    fn run<V: Vectors>(self) {
        with_estimator!(self.ste, |estimator| self.estimated(estimator))
    }
}

impl Divisible for WeightGradient<'_> {
    fn runs(&self) -> (usize, usize) {
        (self.steps.len(), self.run)
    }

    unsafe fn part(&self, part: &Part) -> Self {
        let elements = part.elements(self.run);
        WeightGradient {
            w: self.w.part(elements.clone()),
            values: self.values.map(|values| values.part(elements.clone())),
            grad_out: self.grad_out.part(elements.clone()),
            // SAFETY: the caller's promise.
            grad_w: unsafe { self.grad_w.part(elements) },
            steps: &self.steps[part.runs.clone()],
            run: part.within.len(),
            ..*self
        }
    }
}

impl WeightGradient<'_> {
    #[inline(always)]
    fn estimated<E: Estimator>(self, estimator: E) {
        match (self.values, self.rounding) {
            (Some(values), _) => self.with_values(estimator, Given(values)),
            // The formula does not look at them: what is loaded in their place is never used.
            (None, _) if !E::READS_VALUE => self.with_values(estimator, Unread),
            (None, Rounding::HalfAway) => self.with_values(estimator, Requantized::<HalfAway>(PhantomData)),
            (None, Rounding::HalfEven) => self.with_values(estimator, Requantized::<HalfEven>(PhantomData)),
        }
    }

    #[inline(always)]
    fn with_values(self, estimator: impl Estimator, values: impl Values) {
        let WeightGradient { w, grad_out, grad_w, steps, run, range, .. } = self;
        match Streamed::if_it_pays(grad_w, run, &[grad_out]) {
            Ok(grad_w) => {
                let work = WeightGradientBlocks { w, values, grad_out, grad_w, step: 0.0, range, estimator };
                work.run(steps, run);
            }
            Err(grad_w) => {
                let work = WeightGradientBlocks { w, values, grad_out, grad_w, step: 0.0, range, estimator };
                work.run(steps, run);
            }
        }
    }
}

/// Where the values of a block of weights come from.
trait Values {
    fn values(&self, block: Block, w: &[f32; BLOCK], step: f32, range: CodeRange) -> [f32; BLOCK];
}

/// From the caller.
struct Given<'a>(Input<'a, f32>);

impl Values for Given<'_> {
    #[inline(always)]
    fn values(&self, block: Block, _w: &[f32; BLOCK], _step: f32, _range: CodeRange) -> [f32; BLOCK] {
        self.0.load(block)
    }
}

/// From nowhere: the estimator ignores them.
struct Unread;

impl Values for Unread {
    #[inline(always)]
    fn values(&self, _block: Block, _w: &[f32; BLOCK], _step: f32, _range: CodeRange) -> [f32; BLOCK] {
        [0.0; BLOCK]
    }
}

/// From the weights, as forward computes them.
struct Requantized<R>(PhantomData<R>);

impl<R: RoundingMode> Values for Requantized<R> {
    #[inline(always)]
    fn values(&self, _block: Block, w: &[f32; BLOCK], step: f32, range: CodeRange) -> [f32; BLOCK] {
        values_of_codes(&codes_as_floats::<R>(w, step, range), step)
    }
}

#[inline(always)]
fn values_of_codes(codes: &[f32; BLOCK], step: f32) -> [f32; BLOCK] {
    let mut values = [0.0; BLOCK];
    for lane in 0..BLOCK {
        values[lane] = codes[lane] * step;
    }
    values
}

struct WeightGradientBlocks<'a, E, V, G> {
    w: Input<'a, f32>,
    values: V,
    grad_out: Input<'a, f32>,
    grad_w: G,
    step: f32,
    range: CodeRange,
    estimator: E,
}

impl<E: Estimator, V: Values, G: Sink<f32>> WeightGradientBlocks<'_, E, V, G> {
    #[inline(always)]
    fn run(mut self, steps: &[f32], run: usize) {
        for (index, &step) in steps.iter().enumerate() {
            self.step = step;
            for_each_block(index * run, (index + 1) * run, &mut self);
        }
    }
}

impl<E: Estimator, V: Values, G: Sink<f32>> PerBlock for WeightGradientBlocks<'_, E, V, G> {
    #[inline(always)]
    fn block(&mut self, block: Block) {
        let w = self.w.load(block);
        let grad_out = self.grad_out.load(block);
        let values = self.values.values(block, &w, self.step, self.range);
        self.grad_w.store(block, &weight_gradients(self.estimator, &w, &values, &grad_out));
    }
}

/// Gradient of the weights, when asked for, and `sum(grad_out * code)` of each run.
pub(crate) struct ScaleGradient<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) grad_out: Input<'a, f32>,
    pub(crate) grad_w: Option<Output<'a, f32>>,
    pub(crate) sums: Sums<'a>,
    /// One step per run.
    pub(crate) steps: &'a [f32],
    pub(crate) run: usize,
    pub(crate) range: CodeRange,
    pub(crate) rounding: Rounding,
    pub(crate) ste: SteVariant,
}

/// Where sums go.
pub(crate) enum Sums<'a> {
    /// The sum of each run, times `factor`, to one float per run.
    PerRun { grad_scale: Output<'a, f32>, factor: f64 },
    /// The sum of each superblock of the one run that there is: a part of it, when it is divided among threads.
    PerSuperblock { sums: Output<'a, f64>, superblock: usize },
}

impl Kernel for ScaleGradient<'_> {
    type Result = ();

    #[inline(always)]
    fn run<V: Vectors>(self) {
        match self.rounding {
            Rounding::HalfAway => self.rounded::<HalfAway>(),
            Rounding::HalfEven => self.rounded::<HalfEven>(),
        }
    }
}

impl ScaleGradient<'_> {
    #[inline(always)]
    fn rounded<R: RoundingMode>(mut self) {
        match self.grad_w.take() {
            Some(grad_w) => match Streamed::if_it_pays(grad_w, self.run, &[self.grad_out]) {
                Ok(grad_w) => with_estimator!(self.ste, |estimator| self.summed::<R>(estimator, grad_w)),
                Err(grad_w) => with_estimator!(self.ste, |estimator| self.summed::<R>(estimator, grad_w)),
            },
            None => self.summed::<R>(PassThrough, Discard),
        }
    }

    #[inline(always)]
    fn summed<R: RoundingMode>(self, estimator: impl Estimator, grad_w: impl Sink<f32>) {
        let ScaleGradient { w, grad_out, sums, steps, run, range, .. } = self;
        let rounding = PhantomData::<R>;
        let mut work = ScaleGradientTerms { w, grad_out, grad_w, step: 0.0, range, estimator, rounding };
        match sums {
            Sums::PerRun { mut grad_scale, factor } => {
                for (index, &step) in steps.iter().enumerate() {
                    work.step = step;
                    grad_scale.set(index, (striped_sum(index * run, run, &mut work) * factor) as f32);
                }
            }
            Sums::PerSuperblock { mut sums, superblock } => {
                work.step = steps[0];
                for index in 0..sums.len() {
                    let start = index * superblock;
                    sums.set(index, superblock_sum(start, run.min(start + superblock), &mut work));
                }
            }
        }
    }

    /// Runs it on `threads`, with the bits of one.
    #[inline]
    pub(crate) fn run_on(self, threads: Threads) {
        let (runs, run) = (self.steps.len(), self.run);
        match threads.parts(runs * run) {
            1 => Isa::current().run(self),
            parts => self.run_divided(threads, divide(runs, run, parts)),
        }
    }

    #[cold]
    fn run_divided(mut self, threads: Threads, divisions: impl Iterator<Item = Parts>) {
        let isa = Isa::current();
        for parts in divisions {
            if parts.holds_whole_runs() {
                // SAFETY: the parts of a division share no element and no run.
                threads.for_each(parts.count, &|index| isa.run(unsafe { self.whole_runs(&parts.get(index)) }));
                continue;
            }
            let mut sums = [0.0; SUPERBLOCKS];
            let all_sums = Output::from(&mut sums[..]);
            threads.for_each(parts.count, &|index| {
                // SAFETY: the parts of a division share no element and no superblock.
                isa.run(unsafe { self.superblocks(&parts.get(index), &all_sums) });
            });
            let Sums::PerRun { grad_scale, factor } = &mut self.sums else {
                unreachable!("only parts sum per superblock")
            };
            let sum = sums.iter().fold(0.0, |sum, superblock| sum + superblock);
            grad_scale.set(parts.get(0).runs.start, (sum * *factor) as f32);
        }
    }

    /// The same work on whole runs.
    ///
    /// # Safety
    /// Parts that are run at the same time share no run.
    unsafe fn whole_runs(&self, part: &Part) -> ScaleGradient<'_> {
        let Sums::PerRun { grad_scale, factor } = &self.sums else { unreachable!("only parts sum per superblock") };
        // SAFETY: the caller's promise.
        let sums = Sums::PerRun { grad_scale: unsafe { grad_scale.part(part.runs.clone()) }, factor: *factor };
        // SAFETY: the caller's promise.
        unsafe { self.part(part, sums) }
    }

    /// The same work on superblocks of one run, whose sums go to their places among `all_sums`.
    ///
    /// # Safety
    /// Parts that are run at the same time share no superblock.
    unsafe fn superblocks<'b>(&'b self, part: &Part, all_sums: &Output<'b, f64>) -> ScaleGradient<'b> {
        let superblock = superblock_length(self.run);
        let places = part.within.start / superblock..part.within.end.div_ceil(superblock);
        // SAFETY: the caller's promise.
        let sums = Sums::PerSuperblock { sums: unsafe { all_sums.part(places) }, superblock };
        // SAFETY: the caller's promise.
        unsafe { self.part(part, sums) }
    }

    /// # Safety
    /// Parts that are run at the same time share no element.
    unsafe fn part<'b>(&'b self, part: &Part, sums: Sums<'b>) -> ScaleGradient<'b> {
        let elements = part.elements(self.run);
        ScaleGradient {
            w: self.w.part(elements.clone()),
            grad_out: self.grad_out.part(elements.clone()),
            // SAFETY: the caller's promise.
            grad_w: self.grad_w.as_ref().map(|grad_w| unsafe { grad_w.part(elements) }),
            sums,
            steps: &self.steps[part.runs.clone()],
            run: part.within.len(),
            ..*self
        }
    }
}

struct ScaleGradientTerms<'a, E, G, R> {
    w: Input<'a, f32>,
    grad_out: Input<'a, f32>,
    grad_w: G,
    step: f32,
    range: CodeRange,
    estimator: E,
    rounding: PhantomData<R>,
}

impl<E: Estimator, G: Sink<f32>, R: RoundingMode> Terms for ScaleGradientTerms<'_, E, G, R> {
    #[inline(always)]
    fn terms(&mut self, block: Block) -> [f32; BLOCK] {
        let w = self.w.load(block);
        let grad_out = self.grad_out.load(block);
        let codes = codes_as_floats::<R>(&w, self.step, self.range);
        if !G::DISCARDS {
            let values = values_of_codes(&codes, self.step);
            self.grad_w.store(block, &weight_gradients(self.estimator, &w, &values, &grad_out));
        }
        let mut terms = [0.0; BLOCK];
        for lane in 0..BLOCK {
            terms[lane] = grad_out[lane] * codes[lane];
        }
        terms
    }
}
