//! Forward in every way that is asked for rarely: rounding by chance, NaNs that stay, statistics of each group.
//!
//! [`Quantize`](super::Quantize) is compiled for what most calls ask for. To compile it for every combination of the others would
//! double the library; this one looks at each block how it is to be done.

use super::buffer::{Block, Input, Output};
use super::cut::Span;
use super::groups::{Everything, Groups};
use super::quantize::{CodeBounds, Rounding, floats_of, values_of, whole_codes, whole_levels};
use super::random::{MANY, Random, RoomForMany};
use super::sink::Sink;
use super::sources::{Lanes, Source};
use super::stage::Stage;
use super::statistics::{Statistics, statistics_of, statistics_terms};
use super::stochastic::whole_levels_by_chance;
use super::vector::Floats;
use super::walk::{Sum, Work};
use super::{BLOCK, Vectors};

/// How a quotient becomes a whole number, chosen when the program runs. There is one for a call, and a box would allocate.
#[derive(Clone, Copy)]
// It lives for one call, on the stack: a box would allocate.
#[allow(clippy::large_enum_variant)]
pub(crate) enum AnyRounding {
    Nearest(Rounding),
    Stochastic(Random),
}

/// Quantizes `w`. With [`STATISTICS`](super::statistics::STATISTICS) totals it also tells what that did to each group.
pub(crate) struct QuantizeAny<'a, const TOTALS: usize> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) codes: Option<Output<'a, i8>>,
    pub(crate) values: Option<Output<'a, f32>>,
    pub(crate) statistics: Option<Output<'a, Statistics>>,
    /// Those of the walk.
    pub(crate) groups: Groups<'a>,
    pub(crate) bounds: CodeBounds,
    pub(crate) rounding: AnyRounding,
    /// Whether the value of a NaN is a NaN.
    pub(crate) propagates: bool,
}

impl<const TOTALS: usize> QuantizeAny<'_, TOTALS> {
    /// Writes the results of a block of weights with these levels, and gives its terms.
    #[inline(always)]
    fn end<V: Vectors, L: Lanes<V>>(
        &mut self,
        block: Block,
        lanes: &L,
        w: V::Block,
        whole: V::Block,
    ) -> [V::Block; TOTALS] {
        if let Some(codes) = &mut self.codes {
            codes.store_bytes::<V>(block, V::to_bytes(whole_codes::<V, L>(whole, lanes)));
        }
        let mut terms = [w; TOTALS];
        if TOTALS > 0 || self.values.is_some() {
            let levels = floats_of::<V>(whole);
            let mut results = values_of::<V, L>(levels, lanes);
            if TOTALS > 0 {
                terms = statistics_terms::<V, L, TOTALS>(w, levels, results, lanes, self.bounds);
            }
            if let Some(values) = &mut self.values {
                if self.propagates {
                    for register in 0..V::REGISTERS {
                        results[register] = results[register].or_else(w[register].is_number(), w[register]);
                    }
                }
                values.store::<V>(block, results);
            }
        }
        terms
    }

    /// Lets outputs bypass the cache when that pays.
    #[inline(always)]
    pub(crate) fn streaming(mut self) -> Self {
        self.codes = self.codes.map(|codes| codes.stream_if_it_pays(&[self.w]));
        self.values = self.values.map(|values| values.stream_if_it_pays(&[self.w]));
        self
    }
}

impl<const TOTALS: usize> Work<TOTALS> for QuantizeAny<'_, TOTALS> {
    type Join = Sum;
    type Reads = Everything;

    const SPECIALISES: bool = TOTALS == 0;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.w.is_of_halves() || self.values.as_ref().is_some_and(|values| values.is_of_halves())
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.w));
        stage.output(self.values.as_mut());
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.w.reaches(end)
            && self.codes.as_ref().is_none_or(|codes| codes.reaches(end))
            && self.values.as_ref().is_none_or(|values| values.reaches(end))
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L) -> [V::Block; TOTALS] {
        let w = self.w.load::<V>(block);
        let whole = match &mut self.rounding {
            AnyRounding::Nearest(rounding) => whole_levels::<V, L>(w, lanes, self.bounds, *rounding),
            AnyRounding::Stochastic(random) => {
                let draws = random.draws::<V>(block.start());
                whole_levels_by_chance::<V, L>(w, lanes, self.bounds, draws)
            }
        };
        self.end::<V, L>(block, lanes, w, whole)
    }

    #[inline(always)]
    fn whole_blocks<V: Vectors, S: Source<V>, T: Sink<V, Sum, TOTALS>>(
        &mut self,
        span: Span,
        source: &mut S,
        sink: &mut T,
    ) {
        assert!(self.reaches(span.end()) && span.width <= source.len().min(sink.len()));
        let bounds = self.bounds;
        let stream = match &self.rounding {
            AnyRounding::Stochastic(random) => random.stream,
            AnyRounding::Nearest(rounding) => {
                let rounding = *rounding;
                for elements in span.rows() {
                    for at in elements.clone().step_by(BLOCK) {
                        let place = at - elements.start;
                        // SAFETY: by the assertion.
                        let (block, lanes) = unsafe { (Block::inside(at), source.lanes(place)) };
                        let w = self.w.load::<V>(block);
                        let whole = whole_levels::<V, S::Lanes>(w, &lanes, bounds, rounding);
                        let terms = self.end::<V, S::Lanes>(block, &lanes, w, whole);
                        // SAFETY: by the assertion.
                        unsafe { sink.join(place, &terms) };
                    }
                }
                return;
            }
        };
        let mut room = RoomForMany::uninit();
        for elements in span.rows() {
            for first in elements.clone().step_by(MANY) {
                let draws = stream.many::<V>(first, MANY.min(elements.end - first), &mut room);
                for (index, draws) in draws.chunks_exact(BLOCK).enumerate() {
                    let (at, place) = (first + index * BLOCK, first + index * BLOCK - elements.start);
                    // SAFETY: by the assertion; the draws are a block of floats.
                    let (block, lanes, draws) =
                        unsafe { (Block::inside(at), source.lanes(place), V::load(draws.as_ptr())) };
                    let w = self.w.load::<V>(block);
                    let whole = whole_levels_by_chance::<V, S::Lanes>(w, &lanes, bounds, draws);
                    let terms = self.end::<V, S::Lanes>(block, &lanes, w, whole);
                    // SAFETY: by the assertion.
                    unsafe { sink.join(place, &terms) };
                }
            }
        }
    }

    #[inline(always)]
    fn total(&mut self, group: usize, count: usize, totals: [f64; TOTALS]) {
        if let (Some(statistics), true) = (&mut self.statistics, TOTALS > 0) {
            statistics.set(group, statistics_of(count, &totals, self.groups.inverse(group)));
        }
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        let (codes, values, statistics) = unsafe {
            (
                self.codes.as_ref().map(|codes| codes.share()),
                self.values.as_ref().map(|values| values.share()),
                self.statistics.as_ref().map(|statistics| statistics.share()),
            )
        };
        QuantizeAny { codes, values, statistics, ..*self }
    }
}
