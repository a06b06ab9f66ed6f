//! Weights sorted by group, for methods that look at one group as a whole.

use super::filled;
use crate::error::Error;
use crate::kernels::{Cut, Input};
use crate::layout::Layout;

/// The weights of a tensor, group after group.
pub(super) struct ByGroup {
    weights: Vec<f32>,
    /// Where each group ends.
    ends: Vec<usize>,
}

impl ByGroup {
    /// Copies `w`, which the layout can cut.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; those of [`Layout::cut`].
    pub(super) fn new(w: Input<'_, f32>, layout: &Layout) -> Result<ByGroup, Error> {
        let mut places: Vec<usize> = filled(0, layout.groups())?;
        let mut weights = filled(0.0, w.len())?;
        if let Cut::Runs(runs) = layout.cut(w.len())?
            && runs.outer == 1
        {
            w.copy_to(&mut weights);
            places.iter_mut().enumerate().for_each(|(group, end)| *end = runs.range_of(group).end);
            return Ok(ByGroup { weights, ends: places });
        }
        layout.visit(w.len(), &mut |_, group| places[group] += 1);
        let mut start = 0;
        for place in &mut places {
            (*place, start) = (start, start + *place);
        }
        layout.visit(w.len(), &mut |element, group| {
            weights[places[group]] = w.float(element);
            places[group] += 1;
        });
        Ok(ByGroup { weights, ends: places })
    }

    /// The weights of the largest group.
    pub(super) fn longest(&self) -> usize {
        self.ends.iter().scan(0, |start, end| Some(end - std::mem::replace(start, *end))).max().unwrap_or(0)
    }

    /// The weights of each group, in group order.
    pub(super) fn groups_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let mut rest = &mut self.weights[..];
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let (group, others) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (others, end);
            group
        })
    }
}
