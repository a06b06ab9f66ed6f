//! Scale layouts: which scale belongs to which element.
//!
//! Every granularity is one shape. A contiguous tensor is seen as `[outer, axis, inner]`, and the scale of the element
//! `(o, a, i)` is
//!
//! | granularity | scale | how many |
//! |---|---|---|
//! | per tensor | 0 | 1 |
//! | per channel | `a` | `axis` |
//! | per token (the axis is all but the last dimension) | `a` | `axis` |
//! | per block of B | `(o * ceil(axis / B) + a / B) * inner + i` | `outer * ceil(axis / B) * inner` |
//!
//! Kernels know nothing of this: they get a [`Cut`], so a new granularity is a new way to fill in a cut, never a new loop.

use crate::config::QuantGranularity;
use crate::error::Error;
use crate::kernels::{Cut, Rows, Runs};

/// Most dimensions of a shape.
const MOST_DIMENSIONS: usize = 16;

/// How a quantizer's scales are spread over a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    granularity: QuantGranularity,
    extent: Extent,
}

/// What is known of the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Nothing: any length that can be cut into `channels` equal, contiguous slices.
    Channels(usize),
    /// Not even how many scales there are.
    Unknown,
    /// `[outer, axis, inner]`, and the last dimension of the shape that was declared.
    Shape { outer: usize, axis: usize, inner: usize, last: usize },
}

impl Layout {
    /// The layout that a granularity starts with, before a shape is known: one scale, or none where that would be wrong.
    pub(crate) fn new(granularity: QuantGranularity) -> Self {
        let extent = match granularity {
            QuantGranularity::PerTensor | QuantGranularity::PerChannel => Extent::Channels(1),
            QuantGranularity::PerToken | QuantGranularity::PerBlock { .. } => Extent::Unknown,
        };
        Layout { granularity, extent }
    }

    /// One scale for each of `channels` equal, contiguous slices.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `channels` is 0.
    pub(crate) fn per_channel(channels: usize) -> Result<Self, Error> {
        at_least_one("channels", channels)?;
        Ok(Layout { granularity: QuantGranularity::PerChannel, extent: Extent::Channels(channels) })
    }

    /// The layout of this granularity for tensors of a shape. `axis` matters per channel and per block.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a number of dimensions, a dimension or an axis out of range; [`Error::SizeOverflow`]
    /// for a shape of more elements than memory holds.
    pub(crate) fn with_shape(self, shape: &[usize], axis: usize) -> Result<Self, Error> {
        let dimensions = shape.len();
        check_dimensions(dimensions)?;
        let axis = match self.granularity {
            QuantGranularity::PerTensor => 0,
            QuantGranularity::PerToken => dimensions - 1,
            QuantGranularity::PerChannel | QuantGranularity::PerBlock { .. } => axis,
        };
        if axis >= dimensions {
            return Err(Error::IndexOutOfRange { argument: "axis", index: axis, count: dimensions });
        }
        let mut elements = 1usize;
        for &dimension in shape {
            at_least_one("a dimension of shape", dimension)?;
            elements = elements.saturating_mul(dimension);
        }
        if elements > isize::MAX as usize / size_of::<f32>() {
            return Err(Error::SizeOverflow { argument: "shape", length: elements });
        }
        let last = shape[dimensions - 1];
        let product = |dimensions: &[usize]| dimensions.iter().product::<usize>();
        let extent = match self.granularity {
            QuantGranularity::PerTensor => Extent::Shape { outer: 1, axis: 1, inner: elements, last },
            QuantGranularity::PerToken => Extent::Shape { outer: 1, axis: product(&shape[..axis]), inner: last, last },
            QuantGranularity::PerChannel | QuantGranularity::PerBlock { .. } => {
                let (outer, inner) = (product(&shape[..axis]), product(&shape[axis + 1..]));
                Extent::Shape { outer, axis: shape[axis], inner, last }
            }
        };
        Ok(Layout { granularity: self.granularity, extent })
    }

    /// Which weights share a scale.
    pub(crate) fn granularity(&self) -> QuantGranularity {
        self.granularity
    }

    /// How many scales there are.
    #[inline]
    pub(crate) fn groups(&self) -> usize {
        match (self.granularity, self.extent) {
            (_, Extent::Unknown) => 0,
            (_, Extent::Channels(channels)) => channels,
            (QuantGranularity::PerBlock { block_size }, Extent::Shape { outer, axis, inner, .. }) => {
                outer * axis.div_ceil(block_size) * inner
            }
            (_, Extent::Shape { axis, .. }) => axis,
        }
    }

    /// The scale of an element of a tensor of `n`.
    ///
    /// # Errors
    /// As [`cut`](Self::cut), and [`Error::IndexOutOfRange`].
    pub(crate) fn group_of(&self, element: usize, n: usize) -> Result<usize, Error> {
        self.cut(n)?;
        if element >= n {
            return Err(Error::IndexOutOfRange { argument: "element", index: element, count: n });
        }
        Ok(match (self.granularity, self.extent) {
            (_, Extent::Unknown) => 0,
            (_, Extent::Channels(channels)) => element / (n / channels),
            (QuantGranularity::PerBlock { block_size }, Extent::Shape { axis, inner, .. }) => {
                let (o, a, i) = (element / inner / axis, element / inner % axis, element % inner);
                (o * axis.div_ceil(block_size) + a / block_size) * inner + i
            }
            (_, Extent::Shape { axis, inner, .. }) => element / inner % axis,
        })
    }

    /// Calls `visit(element, group)` for every element of a tensor of `n`, which can be cut.
    pub(crate) fn visit(&self, n: usize, visit: &mut dyn FnMut(usize, usize)) {
        let (block, outer, axis, inner) = match (self.granularity, self.extent) {
            (_, Extent::Unknown) => return,
            (_, Extent::Channels(channels)) => (None, 1, channels, n / channels),
            (QuantGranularity::PerBlock { block_size }, Extent::Shape { outer, axis, inner, .. }) => {
                (Some(block_size), outer, axis, inner)
            }
            (_, Extent::Shape { outer, axis, inner, .. }) => (None, outer, axis, inner),
        };
        let mut element = 0;
        for o in 0..outer {
            for a in 0..axis {
                let first = block.map(|block| (o * axis.div_ceil(block) + a / block) * inner);
                for i in 0..inner {
                    visit(element, first.map_or(a, |first| first + i));
                    element += 1;
                }
            }
        }
    }

    /// How a tensor of `n` elements is cut.
    ///
    /// # Errors
    /// [`Error::NotDivisible`] when the channels would not be equal, [`Error::ShapeMismatch`] for another length than the
    /// shape's, [`Error::NoShape`] when there is none and one is needed. No elements can always be cut.
    #[inline(always)]
    pub(crate) fn cut(&self, n: usize) -> Result<Cut, Error> {
        // The common case by itself: the others cost more than the rest of a short call.
        if self.is_one_run() { Ok(Cut::runs(1, n)) } else { self.cut_into_groups(n) }
    }

    /// Whether every tensor can be cut, and is one run.
    #[inline(always)]
    pub(crate) fn is_one_run(&self) -> bool {
        self.extent == Extent::Channels(1)
    }

    fn cut_into_groups(&self, n: usize) -> Result<Cut, Error> {
        match self.extent {
            Extent::Channels(channels) if n.is_multiple_of(channels) => Ok(slices(channels, n / channels)),
            Extent::Channels(channels) => Err(Error::NotDivisible { n, channels }),
            Extent::Unknown if n == 0 => Ok(Cut::runs(0, 0)),
            Extent::Unknown => Err(Error::NoShape),
            Extent::Shape { outer, axis, inner, .. } if n == outer * axis * inner => {
                Ok(self.cut_of_shape(outer, axis, inner))
            }
            Extent::Shape { .. } if n == 0 => Ok(Cut::runs(0, 0)),
            Extent::Shape { outer, axis, inner, .. } => Err(Error::ShapeMismatch { n, expected: outer * axis * inner }),
        }
    }

    /// How many channels there are, where no shape was declared for them.
    pub(crate) fn channels(&self) -> Option<usize> {
        match (self.granularity, self.extent) {
            (QuantGranularity::PerChannel, Extent::Channels(channels)) => Some(channels),
            _ => None,
        }
    }

    /// A shape and an axis that give this layout, where they were declared.
    pub(crate) fn shape(&self) -> Option<([usize; 4], usize)> {
        let Extent::Shape { outer, axis, inner, last } = self.extent else { return None };
        let axis_is_last = inner == 1 && axis == last;
        Some(match self.granularity {
            QuantGranularity::PerTensor | QuantGranularity::PerToken => ([1, axis, inner / last, last], 0),
            _ if axis_is_last => ([1, 1, outer, axis], 3),
            _ => ([outer, axis, inner / last, last], 1),
        })
    }

    /// Elements of a row of a tensor of `n`, which can be cut: the last dimension, a channel, or all.
    pub(crate) fn row(&self, n: usize) -> usize {
        match self.extent {
            Extent::Channels(channels) => n / channels,
            Extent::Unknown => n,
            Extent::Shape { last, .. } => last,
        }
    }

    /// How `n` elements are cut when each token, or the tensor, gets a scale of its own in this call; also how many scales
    /// that makes.
    ///
    /// # Errors
    /// As [`cut`](Self::cut); per token, [`Error::CutToken`] when the last token would be cut short.
    pub(crate) fn dynamic_cut(&self, n: usize) -> Result<(Cut, usize), Error> {
        match (self.granularity, self.extent) {
            (QuantGranularity::PerToken, Extent::Shape { inner, .. }) if n.is_multiple_of(inner) => {
                Ok((slices(n / inner, inner), n / inner))
            }
            (QuantGranularity::PerToken, Extent::Shape { inner, .. }) => Err(Error::CutToken { n, last: inner }),
            _ => Ok((self.cut(n)?, self.groups())),
        }
    }

    fn cut_of_shape(&self, outer: usize, axis: usize, inner: usize) -> Cut {
        match self.granularity {
            QuantGranularity::PerTensor | QuantGranularity::PerToken => slices(axis, inner),
            QuantGranularity::PerChannel if axis == 1 => Cut::runs(1, outer * inner),
            QuantGranularity::PerChannel if Cut::is_run(inner) => {
                Cut::Runs(Runs { outer, groups: axis, len: inner, last_len: inner, cycle: 1 })
            }
            QuantGranularity::PerChannel => one_table(outer, axis * inner, inner),
            QuantGranularity::PerBlock { block_size } => {
                let block = block_size.min(axis);
                let blocks = axis.div_ceil(block);
                let last = axis - (blocks - 1) * block;
                match (inner, block) {
                    (1, _) if Cut::is_run(block) => {
                        Cut::Runs(Runs { outer: 1, groups: outer * blocks, len: block, last_len: last, cycle: blocks })
                    }
                    (1, _) if last == block => one_table(1, outer * axis, block),
                    (1, _) => {
                        Cut::Rows(Rows { tables: outer, rows: 1, last_rows: 1, cycle: 1, columns: axis, repeat: block })
                    }
                    (_, 1) => one_table(1, outer * axis * inner, 1),
                    _ => Cut::Rows(Rows {
                        tables: outer * blocks,
                        rows: block,
                        last_rows: last,
                        cycle: blocks,
                        columns: inner,
                        repeat: 1,
                    }),
                }
            }
        }
    }
}

/// `count` groups of `len` consecutive elements.
fn slices(count: usize, len: usize) -> Cut {
    if count == 1 || Cut::is_run(len) { Cut::runs(count, len) } else { one_table(1, count * len, len) }
}

/// Rows of one table.
fn one_table(rows: usize, columns: usize, repeat: usize) -> Cut {
    if columns == 0 {
        return Cut::runs(0, 0);
    }
    Cut::Rows(Rows { tables: 1, rows, last_rows: rows, cycle: 1, columns, repeat })
}

/// Refuses a number of dimensions that no shape may have.
pub(crate) fn check_dimensions(dimensions: usize) -> Result<(), Error> {
    if (1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Ok(());
    }
    Err(Error::InvalidArgument { argument: "ndim", value: dimensions.into(), allowed: "from 1 to 16" })
}

fn at_least_one(argument: &'static str, value: usize) -> Result<(), Error> {
    if value > 0 {
        Ok(())
    } else {
        Err(Error::InvalidArgument { argument, value: value.into(), allowed: "at least 1" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_equal_slices_or_a_refusal() {
        let layout = Layout::per_channel(3).unwrap();
        assert_eq!(layout.cut(3 * 64), Ok(Cut::runs(3, 64)));
        assert_eq!(layout.cut(13), Err(Error::NotDivisible { n: 13, channels: 3 }));
        assert!(Layout::per_channel(0).is_err());
        assert_eq!(Layout::new(QuantGranularity::PerTensor).cut(13), Ok(Cut::runs(1, 13)));
    }

    #[test]
    fn a_shape_that_makes_no_sense_is_refused() {
        let layout = Layout::new(QuantGranularity::PerChannel);
        let refused = |shape: &[usize], axis| layout.with_shape(shape, axis).unwrap_err();
        assert!(matches!(refused(&[], 0), Error::InvalidArgument { argument: "ndim", .. }));
        assert!(matches!(refused(&[1; 17], 0), Error::InvalidArgument { argument: "ndim", .. }));
        assert!(matches!(refused(&[2, 0, 3], 0), Error::InvalidArgument { .. }));
        assert!(matches!(refused(&[2, 3], 2), Error::IndexOutOfRange { argument: "axis", index: 2, count: 2 }));
        assert!(matches!(refused(&[1 << 40, 1 << 40], 0), Error::SizeOverflow { .. }));
        assert!(matches!(refused(&[usize::MAX, 2], 0), Error::SizeOverflow { .. }));
        let shaped = layout.with_shape(&[2, 3], 1).unwrap();
        assert_eq!(shaped.cut(5), Err(Error::ShapeMismatch { n: 5, expected: 6 }));
    }

    #[test]
    fn a_token_is_the_last_dimension_and_there_may_be_any_number_of_them_when_scales_are_dynamic() {
        let layout = Layout::new(QuantGranularity::PerToken);
        assert_eq!((layout.cut(10), layout.cut(0)), (Err(Error::NoShape), Ok(Cut::runs(0, 0))));
        let layout = layout.with_shape(&[2, 3, 64], 0).unwrap();
        assert_eq!((layout.groups(), layout.cut(384)), (6, Ok(Cut::runs(6, 64))));
        assert_eq!(layout.dynamic_cut(640), Ok((Cut::runs(10, 64), 10)));
        assert_eq!(layout.dynamic_cut(650), Err(Error::CutToken { n: 650, last: 64 }));
    }

    #[test]
    fn the_shape_that_a_layout_tells_gives_it_again() {
        let granularities = [
            QuantGranularity::PerTensor,
            QuantGranularity::PerChannel,
            QuantGranularity::PerToken,
            QuantGranularity::PerBlock { block_size: 2 },
        ];
        for granular in granularities.map(Layout::new) {
            assert_eq!(granular.shape(), None);
            for at in 0..4 * 4 * 4 {
                let dimensions = [at / 16 + 1, at / 4 % 4 + 1, at % 4 + 1];
                for (shape, axis) in [(&dimensions[..1], 0), (&dimensions[..2], 1), (&dimensions, 0), (&dimensions, 1)]
                {
                    let layout = granular.with_shape(shape, axis).unwrap();
                    let (told, axis_told) = layout.shape().unwrap();
                    assert_eq!(granular.with_shape(&told, axis_told), Ok(layout), "{shape:?}, {axis}, as {told:?}");
                }
            }
        }
    }

    #[test]
    fn an_element_of_a_block_has_the_scale_of_its_outer_block_and_inner_index() {
        let layout = Layout::new(QuantGranularity::PerBlock { block_size: 2 }).with_shape(&[2, 3, 2], 1).unwrap();
        assert_eq!(layout.groups(), 2 * 2 * 2);
        let groups: Vec<usize> = (0..12).map(|element| layout.group_of(element, 12).unwrap()).collect();
        assert_eq!(groups, [0, 1, 0, 1, 2, 3, 4, 5, 4, 5, 6, 7]);
        assert!(layout.group_of(12, 12).is_err());
        let mut visited = Vec::new();
        layout.visit(12, &mut |element, group| {
            assert_eq!(element, visited.len());
            visited.push(group);
        });
        assert_eq!(visited, groups);
    }
}
