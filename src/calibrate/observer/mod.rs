//! Observers: what is remembered of a stream of batches, so that scales of activations can be chosen from it.
//!
//! An observer keeps, for each group (the tensor, or a channel of any axis), what one batch tells of it: the number of
//! elements, the smallest and the largest of the finite ones, and for a histogram their number in each of a fixed set of
//! bins. To observe is to look at a batch by itself, and to add that to what there is. For extremes and histograms the
//! addition does not care for order, nor do counts: so observers of the parts of a stream, merged in any order, are to the
//! bit the observer of the whole. A moving average does care, and is not merged.
//!
//! - `group`: what is known of a group.
//! - `histogram`: counts by bin, and how a batch is counted.
//! - `density`: a histogram as a density, and what scales need of one: quantiles, the mean, the squared error of a step.
//! - `best_step`: the step with the smallest squared error.
//! - `json`: the observer as text.

mod best_step;
mod density;
mod group;
mod histogram;
mod json;

pub(crate) use json::{MAX_JSON_LENGTH, too_long};

use super::{Calibrated, ScaleInit, Target, filled};
use crate::config::QuantGranularity;
use crate::error::{Error, Property};
use crate::kernels::{Element, Input, Output};
use crate::layout::Layout;
use density::Density;
use group::Group;

/// What an observer remembers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ObserverKind {
    /// The smallest and the largest element of all batches.
    MinMax,
    /// The average of the smallest and of the largest elements of batches: those of the first batch, then
    /// `min + averaging_constant * (min of the batch - min)`, and max likewise.
    MovingAverage {
        /// Above 0, at most 1.
        averaging_constant: f32,
    },
    /// As `MinMax`, and how many elements lie in each of 8160 bins, 16 to each power of two.
    Histogram,
}

impl ObserverKind {
    /// # Errors
    /// [`Error::InvalidArgument`] for an averaging constant outside (0, 1].
    fn validate(self) -> Result<(), Error> {
        match self {
            ObserverKind::MovingAverage { averaging_constant: c } if !(c > 0.0 && c <= 1.0) => {
                let (argument, allowed) = ("averaging_constant", "above 0 and at most 1");
                Err(Error::InvalidArgument { argument, value: c.into(), allowed })
            }
            _ => Ok(()),
        }
    }

    /// Its name, for messages.
    fn name(self) -> &'static str {
        match self {
            ObserverKind::MinMax => "MinMax",
            ObserverKind::MovingAverage { .. } => "MovingAverage",
            ObserverKind::Histogram => "Histogram",
        }
    }
}

/// What batches look like: `[any number, channels, inner]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    channels: usize,
    inner: usize,
}

/// How many elements of a group there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObservedCount {
    /// Those that are finite, which range and histogram are of.
    pub finite: u64,
    /// NaNs and infinities, which are only counted.
    pub non_finite: u64,
}

/// What is remembered of a stream of batches.
///
/// A function that returns an error has changed nothing. Counts stop at `u64::MAX`.
#[derive(Debug, PartialEq)]
pub struct Observer {
    kind: ObserverKind,
    slice: Slice,
    groups: Vec<Group>,
}

impl Observer {
    /// An observer of whole tensors that has seen nothing.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an averaging constant outside (0, 1]; [`Error::OutOfMemory`].
    pub fn new(kind: ObserverKind) -> Result<Observer, Error> {
        kind.validate()?;
        Observer::empty(kind, Slice { channels: 1, inner: 1 })
    }

    fn empty(kind: ObserverKind, slice: Slice) -> Result<Observer, Error> {
        let mut groups = Vec::new();
        groups.try_reserve_exact(slice.channels)?;
        groups.resize_with(slice.channels, Group::default);
        Ok(Observer { kind, slice, groups })
    }

    /// What it remembers.
    pub fn kind(&self) -> ObserverKind {
        self.kind
    }

    /// Makes every index along `axis` of a row-major shape a group of its own, and forgets what was observed.
    ///
    /// The product of the dimensions before `axis` may be another one in every batch.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no or more than 16 dimensions or a dimension of 0, [`Error::IndexOutOfRange`] for the
    /// axis, [`Error::SizeOverflow`], [`Error::OutOfMemory`].
    pub fn set_shape(&mut self, shape: &[usize], axis: usize) -> Result<(), Error> {
        Layout::new(QuantGranularity::PerChannel).with_shape(shape, axis)?;
        let slice = Slice { channels: shape[axis], inner: shape[axis + 1..].iter().product() };
        *self = Observer::empty(self.kind, slice)?;
        Ok(())
    }

    /// How many groups there are: 1, or the length of the axis.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Adds a batch. NaNs and infinities are counted, and otherwise ignored.
    ///
    /// # Errors
    /// [`Error::CutBatch`] unless the length is a multiple of that of the axis and the dimensions after it;
    /// [`Error::OutOfMemory`].
    pub fn observe(&mut self, x: &[f32]) -> Result<(), Error> {
        let Slice { channels, inner } = self.slice;
        let of = channels * inner;
        if !x.len().is_multiple_of(of) {
            return Err(Error::CutBatch { n: x.len(), of });
        }
        if x.is_empty() {
            return Ok(());
        }
        let shape = [x.len() / of, channels, inner];
        let batch = match self.kind {
            ObserverKind::Histogram => histogram::of_batch(x, shape)?,
            _ => group::of_batch(x, shape)?,
        };
        match self.kind {
            ObserverKind::MovingAverage { averaging_constant } => {
                for (group, batch) in self.groups.iter_mut().zip(&batch) {
                    group.average(batch, averaging_constant);
                }
                Ok(())
            }
            _ => self.add(&batch),
        }
    }

    /// As [`observe`](Self::observe), of elements of any type. Copies them, as f32.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    pub fn observe_typed<T: Element>(&mut self, x: &[T]) -> Result<(), Error> {
        self.observe_copy(T::input(x))
    }

    /// Observes a copy, as f32.
    pub(crate) fn observe_copy(&mut self, x: Input<'_, f32>) -> Result<(), Error> {
        let mut copy = filled(0.0, x.len())?;
        x.copy_to(&mut copy);
        self.observe(&copy)
    }

    /// Adds what another observer has seen. The order of merges does not matter, and neither does which of the two is kept.
    ///
    /// # Errors
    /// [`Error::Incompatible`] for one of another kind or shape, [`Error::NotApplicable`] for moving averages, which depend on
    /// the order of batches; [`Error::OutOfMemory`].
    pub fn merge(&mut self, other: &Observer) -> Result<(), Error> {
        let (ours, theirs) = (self.kind.name(), other.kind.name());
        let number = |number: usize| Property::Number(number.into());
        for (property, first, second) in [
            ("kind", Property::Name(ours), Property::Name(theirs)),
            ("the length of the axis", number(self.slice.channels), number(other.slice.channels)),
            ("the elements after the axis", number(self.slice.inner), number(other.slice.inner)),
        ] {
            if first != second {
                return Err(Error::Incompatible { property, first, second });
            }
        }
        if let ObserverKind::MovingAverage { .. } = self.kind {
            let kind = "a moving average, which depends on the order of its batches";
            return Err(Error::NotApplicable { property: "merge", kind });
        }
        self.add(&other.groups)
    }

    fn add(&mut self, groups: &[Group]) -> Result<(), Error> {
        for (group, more) in self.groups.iter_mut().zip(groups) {
            group.histogram.reserve(&more.histogram)?;
        }
        for (group, more) in self.groups.iter_mut().zip(groups) {
            group.add(more);
        }
        Ok(())
    }

    /// Forgets what was observed; kind and shape stay.
    pub fn reset(&mut self) {
        self.groups.fill_with(Group::default);
    }

    /// How many elements of a group there were.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`].
    pub fn count(&self, group: usize) -> Result<ObservedCount, Error> {
        Ok(self.group(group)?.count)
    }

    /// The smallest and the largest finite element of a group, or their moving averages.
    ///
    /// # Errors
    /// [`Error::NoData`] when there was none; [`Error::IndexOutOfRange`].
    pub fn range(&self, group: usize) -> Result<(f32, f32), Error> {
        self.group(group)?.range().ok_or(Error::NoData { group })
    }

    /// The counts of every group.
    pub(crate) fn counts_into(
        &self,
        mut finite: Output<'_, u64>,
        mut non_finite: Option<Output<'_, u64>>,
    ) -> Result<(), Error> {
        self.check_count("finite", finite.len())?;
        for (index, group) in self.groups.iter().enumerate() {
            finite.set(index, group.count.finite);
            if let Some(non_finite) = &mut non_finite {
                non_finite.set(index, group.count.non_finite);
            }
        }
        Ok(())
    }

    /// The range of every group, or nothing.
    pub(crate) fn range_into(&self, mut min: Output<'_, f32>, mut max: Output<'_, f32>) -> Result<(), Error> {
        self.check_count("min", min.len())?;
        for index in 0..self.groups.len() {
            self.range(index)?;
        }
        for (index, group) in self.groups.iter().enumerate() {
            min.set(index, group.min);
            max.set(index, group.max);
        }
        Ok(())
    }

    /// Refuses an array that has not one element for each group.
    fn check_count(&self, argument: &'static str, actual: usize) -> Result<(), Error> {
        let expected = self.groups.len();
        if actual == expected { Ok(()) } else { Err(Error::LengthMismatch { argument, actual, expected }) }
    }

    fn group(&self, index: usize) -> Result<&Group, Error> {
        let count = self.groups.len();
        self.groups.get(index).ok_or(Error::IndexOutOfRange { argument: "group", index, count })
    }

    /// A copy, or an error where memory is short.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn try_clone(&self) -> Result<Observer, Error> {
        let mut copy = Observer::empty(self.kind, self.slice)?;
        for (copy, group) in copy.groups.iter_mut().zip(&self.groups) {
            *copy = group.try_clone()?;
        }
        Ok(copy)
    }

    /// What every group is calibrated to, as [`super::calibrate`] does from weights.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] for a method that needs a histogram, where there is none; [`Error::NoData`] for a group
    /// without a finite element; [`Error::OutOfMemory`].
    pub(crate) fn calibrate(&self, target: Target, method: ScaleInit) -> Result<Vec<Calibrated>, Error> {
        if self.kind != ObserverKind::Histogram && !matches!(method, ScaleInit::MaxAbs | ScaleInit::MinMax) {
            let (property, kind) = ("histogram for this method", "an observer of ranges");
            return Err(Error::NotApplicable { property, kind });
        }
        let mut calibrated = Vec::new();
        calibrated.try_reserve_exact(self.groups.len())?;
        for index in 0..self.groups.len() {
            let range = self.range(index)?;
            calibrated.push(calibrate(&self.groups[index], range, &target, method)?);
        }
        Ok(calibrated)
    }
}

impl Clone for Observer {
    fn clone(&self) -> Self {
        self.try_clone().expect("memory for a copy")
    }
}

/// What a group of that range is calibrated to.
fn calibrate(group: &Group, (min, max): (f32, f32), target: &Target, method: ScaleInit) -> Result<Calibrated, Error> {
    let covering = |min: f64, max: f64| {
        let (step, zero_point) = target.covering(min.min(0.0), max.max(0.0));
        Calibrated::Step { step, zero_point }
    };
    Ok(match method {
        ScaleInit::MaxAbs => Calibrated::MaxAbs(max.max(-min)),
        ScaleInit::MinMax => covering(min.into(), max.into()),
        ScaleInit::Lsq => {
            let mean = Density::of_magnitudes(group)?.mean();
            Calibrated::Step { step: target.lsq_step(mean), zero_point: target.zero_point }
        }
        ScaleInit::Percentile(percentage) if target.symmetric => {
            Calibrated::MaxAbs(Density::of_magnitudes(group)?.quantile(f64::from(percentage) / 100.0) as f32)
        }
        ScaleInit::Percentile(percentage) => {
            let (density, kept_below) = (Density::of(group)?, 0.5 + f64::from(percentage) / 200.0);
            let max = density.quantile(kept_below);
            covering(-density.mirrored().quantile(kept_below), max)
        }
        ScaleInit::Mse => {
            let (step, zero_point) = best_step::best_step(&Density::of(group)?, target);
            Calibrated::Step { step, zero_point }
        }
    })
}
