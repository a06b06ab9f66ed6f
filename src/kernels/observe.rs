//! What an observer asks of a batch: the range of each group, and how many elements fall into each bin.
//!
//! Bins are the leading bits of a float: its sign, its exponent and four bits of its mantissa. So they are the same for every
//! tensor that there will ever be, 1/16 of a power of two wide, and counts add up whoever counted.

use super::Vectors;
use super::buffer::{Block, Input, Output};
use super::groups::Nothing;
use super::sources::Lanes;
use super::stage::Stage;
use super::vector::{Floats, SEVERAL};
use super::walk::{Join, Work};
use crate::error::Error;
use std::alloc::{Layout, alloc_zeroed};

/// The largest of numbers that are not NaN; the total of nothing is minus infinity.
pub(crate) struct Maximum;

impl Join for Maximum {
    const IN_ANY_ORDER: bool = true;
    const NOTHING: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn join<F: Floats>(a: F, b: F) -> F {
        a.at_least(b)
    }

    #[inline(always)]
    fn join_exactly(a: f64, b: f64) -> f64 {
        if a > b { a } else { b }
    }

    #[inline(always)]
    fn fold_register<F: Floats>(register: F) -> f32 {
        of_key(key(register).largest())
    }

    #[inline(always)]
    fn fold_registers<F: Floats>(registers: &[F; SEVERAL]) -> [f32; SEVERAL] {
        F::largest_of_each(&registers.map(key)).map(of_key)
    }
}

/// All bits but the sign.
const MAGNITUDE: u32 = u32::MAX >> 1;

/// Numbers whose bits, as whole numbers, are ordered as these are.
#[inline(always)]
fn key<F: Floats>(numbers: F) -> F {
    let zero = F::splat(0.0);
    let numbers = numbers.plus(zero);
    numbers.xor(F::splat(f32::from_bits(MAGNITUDE))).or_else(numbers.is_below(zero), numbers)
}

/// The number of a [`key`].
#[inline(always)]
fn of_key(key: f32) -> f32 {
    if key.is_sign_negative() { f32::from_bits(key.to_bits() ^ MAGNITUDE) } else { key }
}

/// The smallest and the largest element of each group of `x`; one of them infinite where an element is not finite. Zeros are
/// positive.
pub(crate) struct Ranges<'a> {
    pub(crate) x: Input<'a, f32>,
    pub(crate) minima: Output<'a, f32>,
    pub(crate) maxima: Output<'a, f32>,
}

impl Work<2> for Ranges<'_> {
    type Join = Maximum;
    type Reads = Nothing;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.x.is_of_halves()
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.x));
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.x.reaches(end)
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, _lanes: &L) -> [V::Block; 2] {
        let x = self.x.load::<V>(block);
        let mut terms = [x; 2];
        for register in 0..V::REGISTERS {
            // A bound that is NaN is none.
            let number = V::Floats::splat(f32::INFINITY).at_most(x[register]);
            terms[0][register] = number.xor(V::Floats::splat(-0.0));
            terms[1][register] = number;
        }
        terms
    }

    #[inline(always)]
    fn total(&mut self, group: usize, _count: usize, [below, above]: [f64; 2]) {
        // Which of two zeros is larger depends on the order; adding 0 makes both positive.
        self.minima.set(group, (0.0 - below) as f32 + 0.0);
        self.maxima.set(group, above as f32 + 0.0);
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        let (minima, maxima) = unsafe { (self.minima.share(), self.maxima.share()) };
        Ranges { x: self.x, minima, maxima }
    }
}

/// Bins that share sign and exponent.
pub(crate) const BINS_OF_EXPONENT: usize = 16;

/// Signs and exponents: those of positive numbers, then those of negative ones.
pub(crate) const EXPONENTS: usize = 512;

/// The exponent of what is not finite, among those of one sign.
pub(crate) const NOT_FINITE: usize = 255;

/// Bits of a float that do not tell its bin.
pub(crate) const BITS_WITHIN_BIN: u32 = 19;

const BINS: usize = EXPONENTS * BINS_OF_EXPONENT;

/// Tables that take turns at the elements of one group: an addition waits for the one before it in the same place.
const IN_TURN: usize = 4;

/// Counts by bin. A little longer than the bins are: in tables whose places are a whole number of pages apart, processors take
/// an addition in one for an addition in the other (0.50 instead of 0.34 ns/element where all elements are equal).
type Table = [u64; BINS + 24];

/// Counts of the elements of one group in tables that take turns, or of several groups in one each.
pub(crate) struct Bins {
    tables: Vec<Table>,
}

impl Bins {
    /// Empty tables for one group with many elements.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn in_turn() -> Result<Bins, Error> {
        Bins::of_groups(IN_TURN)
    }

    /// Empty tables for `count` groups, at least one, at a time.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn of_groups(count: usize) -> Result<Bins, Error> {
        let layout = Layout::array::<Table>(count).map_err(|_| Error::OutOfMemory)?;
        // Zeroed by the system, which leaves out the pages that no element ever touches: most of them.
        // SAFETY: tables have a size, and there is one.
        let start = unsafe { alloc_zeroed(layout) }.cast::<Table>();
        if start.is_null() {
            return Err(Error::OutOfMemory);
        }
        // SAFETY: fresh memory of that layout, and zeros are a table.
        Ok(Bins { tables: unsafe { Vec::from_raw_parts(start, count, count) } })
    }

    /// Counts elements of one group, in tables that take turns.
    pub(crate) fn count(&mut self, x: &[f32]) {
        let [a, b, c, d] = self.tables.first_chunk_mut::<IN_TURN>().expect("tables in turn");
        let (fours, rest) = x.as_chunks::<IN_TURN>();
        for four in fours {
            // Two floats at a time: for each pair a load less.
            let [first, second] = [[four[0], four[1]], [four[2], four[3]]]
                .map(|[low, high]| u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32);
            a[first as u32 as usize >> BITS_WITHIN_BIN] += 1;
            b[(first >> (32 + BITS_WITHIN_BIN)) as usize] += 1;
            c[second as u32 as usize >> BITS_WITHIN_BIN] += 1;
            d[(second >> (32 + BITS_WITHIN_BIN)) as usize] += 1;
        }
        for x in rest {
            a[bin(*x)] += 1;
        }
    }

    /// Counts elements of as many groups as there are in `x`, `repeat` neighbours of each, in a table for each.
    #[inline]
    pub(crate) fn count_row(&mut self, x: &[f32], repeat: usize) {
        for (neighbours, table) in x.chunks_exact(repeat).zip(&mut self.tables) {
            for x in neighbours {
                table[bin(*x)] += 1;
            }
        }
    }

    /// Empties the table of one group, or all that took turns, and calls `with` for each sign and exponent that occurs.
    /// `finite` of the elements are finite, none of them with a larger magnitude than `largest`.
    ///
    /// # Errors
    /// Those of `with`.
    pub(crate) fn take(
        &mut self,
        of: Option<usize>,
        mut finite: u64,
        largest: f32,
        with: &mut dyn FnMut(usize, [u64; BINS_OF_EXPONENT]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let tables = match of {
            Some(table) => &mut self.tables[table..=table],
            None => &mut self.tables[..],
        };
        let mut take = |exponent: usize| {
            let mut counts = [0; BINS_OF_EXPONENT];
            for table in tables.iter_mut() {
                let row = &mut table[exponent * BINS_OF_EXPONENT..][..BINS_OF_EXPONENT];
                for (count, place) in counts.iter_mut().zip(row) {
                    *count += std::mem::take(place);
                }
            }
            counts
        };
        let negative = EXPONENTS / 2;
        // Nobody looks at those of NaNs and infinities. Zeros first, then from large to small: no element is left
        // long before the smallest numbers that there are.
        for exponent in std::iter::once(0).chain((1..=exponent_of(largest)).rev()) {
            for exponent in [exponent, negative + exponent] {
                let counts = take(exponent);
                let sum: u64 = counts.iter().sum();
                if sum > 0 {
                    finite -= sum;
                    with(exponent, counts)?;
                }
            }
            if finite == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Of a number that is not negative.
fn exponent_of(number: f32) -> usize {
    (number.to_bits() >> (BITS_WITHIN_BIN + BINS_OF_EXPONENT.ilog2())) as usize
}

#[inline(always)]
fn bin(x: f32) -> usize {
    (x.to_bits() >> BITS_WITHIN_BIN) as usize
}

#[cfg(test)]
mod tests {
    use super::super::{Cut, Groups, Isa, Rows, Runs, Walk, reference};
    use super::*;

    /// Floats of every kind: the bits of a counter, mixed.
    fn floats(n: usize, seed: u32) -> Vec<f32> {
        let mixed = |at: usize| (at as u32 ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b).rotate_left(13);
        (0..n).map(|at| f32::from_bits(mixed(at).wrapping_mul(0xc2b2_ae35))).collect()
    }

    fn finite(n: usize, seed: u32) -> Vec<f32> {
        floats(n, seed).into_iter().map(|x| if x.is_finite() { x } else { -0.0 }).collect()
    }

    fn cuts() -> Vec<Cut> {
        let runs = |outer, groups, len| Cut::Runs(Runs { outer, groups, len, last_len: len, cycle: 1 });
        let rows =
            |rows, columns, repeat| Cut::Rows(Rows { tables: 1, rows, last_rows: rows, cycle: 1, columns, repeat });
        let lengths = (1..=257).chain([511, 512, 513, 5000, 300_000]).map(|n| runs(1, 1, n));
        let others =
            [runs(3, 5, 64), runs(2, 3, 300), rows(7, 33, 1), rows(40, 300, 1), rows(50, 27, 9), rows(3, 2000, 1)];
        lengths.chain(others).collect()
    }

    #[test]
    fn ranges_are_those_of_a_scalar_loop_on_every_instruction_set() {
        for (seed, cut) in cuts().into_iter().enumerate() {
            let group_of = reference::groups_of(cut);
            let count = group_of.iter().max().map_or(0, |last| last + 1);
            // All signs; positive alone, where 0 is not in the range; with what is not finite.
            for kind in 0..3 {
                let mut x = finite(group_of.len(), seed as u32);
                match kind {
                    0 => {}
                    1 => x.iter_mut().for_each(|x| *x = x.abs() + 0.5),
                    _ => x = floats(group_of.len(), seed as u32),
                }
                let mut expected = vec![(f32::INFINITY, f32::NEG_INFINITY); count];
                let mut all_finite = vec![true; count];
                for (x, group) in x.iter().zip(&group_of) {
                    let (min, max) = &mut expected[*group];
                    (*min, *max) = (min.min(*x + 0.0), max.max(*x + 0.0));
                    all_finite[*group] &= x.is_finite();
                }
                for isa in Isa::available() {
                    let (mut minima, mut maxima) = (vec![7.0; count], vec![7.0; count]);
                    let (minima_out, maxima_out) = (Output::from(&mut minima[..]), Output::from(&mut maxima[..]));
                    let work = Ranges { x: (&x[..]).into(), minima: minima_out, maxima: maxima_out };
                    Walk { work, cut, groups: Groups::NONE }.run(isa);
                    for group in 0..count {
                        let (min, max) = (minima[group], maxima[group]);
                        if all_finite[group] {
                            let bits = [min, max, expected[group].0, expected[group].1].map(f32::to_bits);
                            assert_eq!(bits[..2], bits[2..], "{isa:?} {cut:?} kind {kind}, group {group}: {min} {max}");
                        } else {
                            assert!(
                                !(min.is_finite() && max.is_finite()),
                                "{isa:?} {cut:?} group {group}: {min} {max}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// What was counted, in the order in which it is given out.
    fn taken(bins: &mut Bins, of: Option<usize>, x: &[f32]) -> Vec<(usize, u64)> {
        let finite = x.iter().copied().filter(|x| x.is_finite());
        let largest = finite.clone().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        let mut all = Vec::new();
        let count = finite.count() as u64;
        bins.take(of, count, largest, &mut |exponent, counts| {
            for (place, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                all.push((exponent * BINS_OF_EXPONENT + place, count));
            }
            Ok(())
        })
        .unwrap();
        all.sort_unstable();
        all
    }

    fn expected(x: &[f32]) -> Vec<(usize, u64)> {
        let mut all = std::collections::BTreeMap::new();
        x.iter().filter(|x| x.is_finite()).for_each(|x| *all.entry(bin(*x)).or_insert(0) += 1);
        all.into_iter().collect()
    }

    #[test]
    fn every_finite_element_is_in_the_bin_of_its_leading_bits() {
        for n in (0..70).chain([4096, 100_001]) {
            let x = floats(n, n as u32);
            let mut bins = Bins::in_turn().unwrap();
            bins.count(&x);
            assert_eq!(taken(&mut bins, None, &x), expected(&x), "{n}");
            // They are empty again.
            bins.count(&x);
            assert_eq!(taken(&mut bins, None, &x), expected(&x), "{n}");
        }
        let bin_of = |x: f32| bin(x);
        assert_eq!([0.0, 1.0, 1.0625, 2.0, -1.0].map(bin_of), [0, 2032, 2033, 2048, 4096 + 2032]);
    }

    #[test]
    fn each_group_of_a_row_is_counted_in_its_table() {
        for (groups, repeat) in [(16, 1), (5, 3), (1, 40)] {
            let mut bins = Bins::of_groups(groups).unwrap();
            let x = floats(groups * repeat * 50, 3);
            x.chunks(groups * repeat).for_each(|row| bins.count_row(row, repeat));
            for group in 0..groups {
                let of_group: Vec<f32> = x.chunks(repeat).skip(group).step_by(groups).flatten().copied().collect();
                assert_eq!(taken(&mut bins, Some(group), &of_group), expected(&of_group));
            }
        }
    }
}
