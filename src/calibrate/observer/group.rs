//! What is known of a group: how many elements there were, their range, and for a histogram how many are where.

use super::super::filled;
use super::ObservedCount;
use super::histogram::Histogram;
use crate::error::Error;
use crate::kernels::{Cut, Groups, Input, Output, Ranges, Threads, Walk};
use crate::layout::Layout;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) count: ObservedCount,
    /// Infinite, the wrong way round, while there is no finite element.
    pub(super) min: f32,
    pub(super) max: f32,
    /// Empty but for observers that have one.
    pub(super) histogram: Histogram,
}

impl Default for Group {
    fn default() -> Self {
        let (count, histogram) = (ObservedCount::default(), Histogram::default());
        Group { count, min: f32::INFINITY, max: f32::NEG_INFINITY, histogram }
    }
}

impl Group {
    pub(super) fn range(&self) -> Option<(f32, f32)> {
        (self.count.finite > 0).then_some((self.min, self.max))
    }

    /// Adds what was seen elsewhere, for which there is room in the histogram.
    pub(super) fn add(&mut self, more: &Group) {
        self.add_count(more.count);
        self.add_range(more.min, more.max);
        self.histogram.add(&more.histogram);
    }

    pub(super) fn add_count(&mut self, more: ObservedCount) {
        // Like a sum without an end, a sum that stays at its end does not depend on the order.
        self.count.finite = self.count.finite.saturating_add(more.finite);
        self.count.non_finite = self.count.non_finite.saturating_add(more.non_finite);
    }

    pub(super) fn add_range(&mut self, min: f32, max: f32) {
        (self.min, self.max) = (self.min.min(min), self.max.max(max));
    }

    /// Moves the range towards that of a batch.
    pub(super) fn average(&mut self, batch: &Group, constant: f32) {
        let nearer = |old: f32, new: f32| {
            // In f64, where no difference of floats overflows.
            let (old, new) = (f64::from(old), f64::from(new));
            (old + f64::from(constant) * (new - old)) as f32
        };
        match (self.range(), batch.range()) {
            (None, _) => self.add_range(batch.min, batch.max),
            (Some(_), None) => {}
            (Some((min, max)), Some((batch_min, batch_max))) => {
                (self.min, self.max) = (nearer(min, batch_min), nearer(max, batch_max));
            }
        }
        self.add_count(batch.count);
    }

    pub(super) fn try_clone(&self) -> Result<Group, Error> {
        Ok(Group { histogram: self.histogram.try_clone()?, ..*self })
    }
}

/// What a batch, `[outer, channels, inner]`, tells of the range of each channel.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(super) fn of_batch(x: &[f32], shape: [usize; 3]) -> Result<Vec<Group>, Error> {
    let [outer, channels, inner] = shape;
    let layout = Layout::new(crate::config::QuantGranularity::PerChannel).with_shape(&shape, 1)?;
    let (mut minima, mut maxima) = (filled(0.0, channels)?, filled(0.0, channels)?);
    walk(x, layout.cut(x.len())?, &mut minima, &mut maxima);
    let mut groups = Vec::new();
    groups.try_reserve_exact(channels)?;
    groups.resize_with(channels, Group::default);
    let all = ObservedCount { finite: (outer * inner) as u64, non_finite: 0 };
    for (group, (min, max)) in groups.iter_mut().zip(minima.iter().zip(&maxima)) {
        group.add_count(all);
        group.add_range(*min, *max);
    }
    if !groups.iter().all(|group| group.min.is_finite() && group.max.is_finite()) {
        groups.fill_with(Group::default);
        layout.visit(x.len(), &mut |element, group| groups[group].add_element(x[element]));
    }
    Ok(groups)
}

/// What elements of one group tell of its range. Allocates nothing.
pub(super) fn of_elements(x: &[f32]) -> Group {
    let (mut min, mut max) = ([0.0], [0.0]);
    walk(x, Cut::runs(1, x.len()), &mut min, &mut max);
    let mut group = Group::default();
    if min[0].is_finite() && max[0].is_finite() {
        group.add_count(ObservedCount { finite: x.len() as u64, non_finite: 0 });
        group.add_range(min[0], max[0]);
    } else {
        x.iter().for_each(|x| group.add_element(*x));
    }
    group
}

fn walk(x: &[f32], cut: Cut, minima: &mut [f32], maxima: &mut [f32]) {
    let work = Ranges { x: Input::from(x), minima: Output::from(minima), maxima: Output::from(maxima) };
    Walk { work, cut, groups: Groups::NONE }.run_on(Threads::Own(1));
}

impl Group {
    /// For what the walk cannot tell, which is seldom needed: the range of those that are finite.
    fn add_element(&mut self, x: f32) {
        if x.is_finite() {
            self.count.finite += 1;
            // A zero is positive, as in the walk.
            self.add_range(x + 0.0, x + 0.0);
        } else {
            self.count.non_finite += 1;
        }
    }
}
