//! Everything that a caller can get wrong about a pointer, checked before it is used.
//!
//! What cannot be checked (that memory is really there) is the caller's part, stated in the header's conventions; every SAFETY
//! comment of this module tree rests on it.

use super::handle::{self, Handle};
use super::status::{diffquant_status, report};
use crate::error::Error;
use crate::kernels::{Input, Output, SHORT};
use std::ffi::c_void;

/// A buffer as the caller described it: a name for messages, and the addresses it spans, 0 to 0 for an empty one.
#[derive(Clone, Copy)]
pub(super) struct Span {
    argument: &'static str,
    start: usize,
    end: usize,
}

impl Span {
    /// Refuses NULL, a misaligned start, and a length that cannot be. Zero elements span nothing, wherever they start.
    #[inline]
    pub(super) fn of<T>(argument: &'static str, start: *const T, n: usize) -> Result<Span, Error> {
        if n == 0 {
            return Ok(Span::nothing(argument));
        }
        let start = start as usize;
        let is_wrong = start == 0 || !start.is_multiple_of(align_of::<T>()) || n > isize::MAX as usize / size_of::<T>();
        match start.checked_add(n.wrapping_mul(size_of::<T>())) {
            Some(end) if !is_wrong => Ok(Span { argument, start, end }),
            _ => Err(refusal(argument, start, align_of::<T>(), n)),
        }
    }

    /// As [`Span::of`], for a buffer that may be left out.
    #[inline]
    pub(super) fn of_optional<T>(argument: &'static str, start: *const T, n: usize) -> Result<Span, Error> {
        if start.is_null() { Ok(Span::nothing(argument)) } else { Span::of(argument, start, n) }
    }

    /// That of no elements.
    fn nothing(argument: &'static str) -> Span {
        Span { argument, start: 0, end: 0 }
    }

    /// Refuses any shared byte.
    #[inline]
    pub(super) fn apart_from(self, other: Span) -> Result<(), Error> {
        // Of an empty span nothing is below the end.
        if self.start < other.end && other.start < self.end {
            Err(overlap(self.argument, other.argument))
        } else {
            Ok(())
        }
    }

    /// Refuses shared bytes, unless both are exactly the same.
    #[inline]
    pub(super) fn same_or_apart_from(self, other: Span) -> Result<(), Error> {
        if self.start == other.start && self.end == other.end { Ok(()) } else { self.apart_from(other) }
    }
}

/// Refuses NULL and a misaligned pointer to something.
#[inline]
pub(super) fn check<T>(argument: &'static str, start: *const T) -> Result<(), Error> {
    if start.is_null() || !start.is_aligned() {
        return Err(refusal(argument, start as usize, align_of::<T>(), 1));
    }
    Ok(())
}

/// Whether what a call on short tensors is given is plainly as it has to be: `needed` are not NULL, and of `outputs` none is near
/// another or one of `inputs`, all of `n` numbers of at most four bytes; NULL is taken for one of them. A few instructions for all
/// of them, where a [`Span`] of each takes ten. Right ones may be refused: then spans have to say what is wrong, if anything.
#[inline(always)]
pub(super) fn are_plainly_right<const NEEDED: usize, const INPUTS: usize, const OUTPUTS: usize>(
    n: usize,
    needed: [*const c_void; NEEDED],
    inputs: [*const c_void; INPUTS],
    outputs: [*const c_void; OUTPUTS],
) -> bool {
    let (inputs, outputs) = (inputs.map(|start| start as usize), outputs.map(|start| start as usize));
    let union = inputs.into_iter().chain(outputs).fold(0, |union, start| union | start);
    // In the lower half of all addresses, none of them ends beyond the last one.
    if n.wrapping_sub(1) >= SHORT || !union.is_multiple_of(align_of::<f32>()) || (union as isize) < 0 {
        return false;
    }
    let reach = n * size_of::<f32>();
    let are_apart = |a: usize, b: usize| a.wrapping_sub(b).wrapping_add(reach - 1) > 2 * (reach - 1);
    needed.into_iter().all(|start| !start.is_null())
        && (0..OUTPUTS).all(|at| inputs.into_iter().all(|input| are_apart(outputs[at], input)))
        && (1..OUTPUTS).all(|at| (0..at).all(|before| are_apart(outputs[at], outputs[before])))
}

#[cold]
fn overlap(first: &'static str, second: &'static str) -> Error {
    Error::Overlap { first, second }
}

/// What is wrong with a buffer.
#[cold]
fn refusal(argument: &'static str, start: usize, alignment: usize, length: usize) -> Error {
    if start == 0 {
        Error::NullPointer { argument }
    } else if !start.is_multiple_of(alignment) {
        Error::Misaligned { argument, alignment }
    } else {
        Error::SizeOverflow { argument, length }
    }
}

/// A readable buffer.
///
/// # Safety
/// `start` is valid for reads of `n` elements during `'a`, and nobody writes them but through outputs of the same call
/// whose spans were compared.
#[inline]
pub(super) unsafe fn input<'a, T: Copy>(start: *const T, n: usize) -> Input<'a, T> {
    // SAFETY: the caller's promise.
    unsafe { Input::from_raw(start, n) }
}

/// A writable buffer.
///
/// # Safety
/// `start` is valid for writes of `n` elements during `'a`, and nobody else uses them but inputs of the same call whose
/// spans were compared.
#[inline]
pub(super) unsafe fn output<'a, T: Copy>(start: *mut T, n: usize) -> Output<'a, T> {
    // SAFETY: the caller's promise.
    unsafe { Output::from_raw(start, n) }
}

/// A writable buffer that may be left out.
///
/// # Safety
/// As [`output`], unless `start` is NULL.
#[inline]
pub(super) unsafe fn optional_output<'a, T: Copy>(start: *mut T, n: usize) -> Option<Output<'a, T>> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { Output::from_raw(start, n) })
}

/// The object behind a handle that is only looked at.
///
/// # Safety
/// A handle that is not NULL came from this library, was not freed (or is noticed, see [`mod@handle`]), and its object is changed by
/// nobody during `'a`.
#[inline]
pub(super) unsafe fn handle<'a, T: Handle>(argument: &'static str, handle: *const T) -> Result<&'a T, Error> {
    // SAFETY: the caller's promise; there is an object behind a handle that is none of a stale one.
    Ok(unsafe { &*handle::object(argument, handle)? })
}

/// The object behind a handle that is changed.
///
/// # Safety
/// As [`fn@handle`], and nobody else uses it during `'a`.
#[inline]
pub(super) unsafe fn handle_mut<'a, T: Handle>(argument: &'static str, handle: *mut T) -> Result<&'a mut T, Error> {
    // SAFETY: as above.
    Ok(unsafe { &mut *handle::object(argument, handle)? })
}

/// The whole of an export that changes the object behind a handle.
///
/// # Safety
/// As [`handle_mut`].
#[inline]
pub(super) unsafe fn change<T: Handle>(
    argument: &'static str,
    handle: *mut T,
    change: impl FnOnce(&mut T) -> Result<(), Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise.
    report(|| change(unsafe { handle_mut(argument, handle) }?))
}

/// The whole of an export that reads something off the object behind a handle.
///
/// # Safety
/// As [`fn@handle`] and [`write`].
#[inline]
pub(super) unsafe fn read<T: Handle, R>(
    argument: &'static str,
    object: *const T,
    out: *mut R,
    get: impl FnOnce(&T) -> Result<R, Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise.
    report(|| unsafe { write("out", out, get(handle(argument, object)?)?) })
}

/// Writes a single result.
///
/// # Safety
/// A pointer that is not NULL is valid for a write.
#[inline]
pub(super) unsafe fn write<T>(argument: &'static str, to: *mut T, value: T) -> Result<(), Error> {
    Span::of(argument, to, 1)?;
    // SAFETY: not NULL and aligned, by the line above; the rest is the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

/// A result that goes to a pointer: its name, the pointer, the value.
type Destination<T> = (&'static str, *mut T, T);

/// Writes two results, or neither.
///
/// # Safety
/// Each pointer that is not NULL is valid for a write.
pub(super) unsafe fn write_pair<A, B>(a: Destination<A>, b: Destination<B>) -> Result<(), Error> {
    Span::of(a.0, a.1, 1)?.apart_from(Span::of(b.0, b.1, 1)?)?;
    // SAFETY: the caller's promise; both were checked above.
    unsafe {
        write(a.0, a.1, a.2)?;
        write(b.0, b.1, b.2)
    }
}

/// Writes two results, the second only if it is asked for.
///
/// # Safety
/// As [`write_pair`].
pub(super) unsafe fn write_and_optional<A, B>(a: Destination<A>, b: Destination<B>) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { if b.1.is_null() { write(a.0, a.1, a.2) } else { write_pair(a, b) } }
}

/// Makes an object and hands a handle to the caller, who frees it with [`handle::free`].
///
/// # Safety
/// An `out` that is not NULL is valid for a write.
pub(super) unsafe fn write_handle<T: Handle>(
    out: *mut *mut T,
    make: impl FnOnce() -> Result<T, Error>,
) -> Result<(), Error> {
    Span::of("out", out, 1)?;
    let made = handle::new(make()?)?;
    // SAFETY: not NULL and aligned, by the line above; the rest is the caller's promise.
    unsafe { out.write(made) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::without_provenance;

    fn span(start: usize, n: usize) -> Span {
        Span::of("buffer", without_provenance::<f32>(start), n).unwrap()
    }

    #[test]
    fn spans_overlap_exactly_when_they_share_a_byte() {
        let cases = [
            // start and length of two buffers of floats, and whether they are apart
            (0x1000, 4, 0x1010, 4, true),
            (0x1010, 4, 0x1000, 4, true),
            (0x1000, 4, 0x100c, 4, false),
            (0x100c, 4, 0x1000, 4, false),
            (0x1000, 8, 0x1004, 1, false),
            (0x1004, 1, 0x1000, 8, false),
            (0x1000, 4, 0x1000, 5, false),
            (0x1004, 0, 0x1000, 8, true),
        ];
        for (a, a_len, b, b_len, apart) in cases {
            let (a, b) = (span(a, a_len), span(b, b_len));
            assert_eq!(a.apart_from(b).is_ok(), apart, "{:x} {:x}", a.start, b.start);
            assert_eq!(a.same_or_apart_from(b).is_ok(), apart, "{:x} {:x}", a.start, b.start);
        }
        assert!(span(0x1000, 4).apart_from(span(0x1000, 4)).is_err());
        // Codes may share a single byte with what follows or precedes them.
        let bytes = |n| Span::of("codes", without_provenance::<i8>(0x1000), n).unwrap();
        assert!(bytes(16).apart_from(span(0x1010, 4)).is_ok());
        assert!(bytes(17).apart_from(span(0x1010, 4)).is_err());
        assert!(span(0x0ff4, 3).apart_from(bytes(1)).is_ok());
        let odd = Span::of("codes", without_provenance::<i8>(0x100f), 4).unwrap();
        assert!(odd.apart_from(span(0x1000, 4)).is_err());
        assert!(span(0x1000, 4).same_or_apart_from(span(0x1000, 4)).is_ok());
    }

    /// Every place of two buffers near each other, of every short length: what is plainly right is right by its spans.
    #[test]
    fn what_is_plainly_right_is_right() {
        let at = without_provenance::<c_void>;
        let [base, high] = [0x10000, isize::MAX as usize - 15];
        let mut right = 0;
        for n in [0, 1, 2, 31, SHORT, SHORT + 1, usize::MAX / 4 + 1, usize::MAX] {
            for (input, output) in (0..4 * SHORT + 9).flat_map(|place| [(base, base + place), (base + place, base)]) {
                let is_right = are_plainly_right(n, [at(input)], [at(input)], [at(output)]);
                assert_eq!(is_right, are_plainly_right(n, [at(input)], [], [at(input), at(output)]));
                if is_right {
                    right += 1;
                    assert!((1..=SHORT).contains(&n) && output % 4 == 0 && input % 4 == 0);
                    assert!(span(output, n).apart_from(span(input, n)).is_ok(), "{n} at {input:x} and {output:x}");
                }
            }
            let [far, odd] = [base + 4 * SHORT, base + 1];
            assert_eq!(are_plainly_right(n, [at(base)], [at(base)], [at(far)]), (1..=SHORT).contains(&n), "{n}");
            assert!(!are_plainly_right(n, [at(0)], [at(base)], [at(far)]), "NULL, which was needed");
            assert!(
                !are_plainly_right(n, [], [at(odd)], [at(far)]) && !are_plainly_right(n, [], [at(base)], [at(far + 2)])
            );
            assert!(!are_plainly_right(n, [], [at(high + 16)], [at(far)]), "may end beyond the last address");
        }
        assert!(right > 4 * SHORT, "{right}");
        assert!(are_plainly_right(1, [at(base)], [at(base)], [at(0)]), "NULL, which was not needed");
        assert!(are_plainly_right(SHORT, [], [at(base)], [at(high & !3)]));
    }

    #[test]
    fn a_length_that_no_memory_holds_is_refused() {
        for n in [usize::MAX, usize::MAX / 4, usize::MAX / 4 + 1, usize::MAX / 8 + 1] {
            let refused = Span::of("w", without_provenance::<f32>(0x1000), n);
            assert!(matches!(refused, Err(Error::SizeOverflow { argument: "w", .. })), "{n}");
        }
        // Fits an address space, but not from there.
        let high = usize::MAX - 0xfff;
        assert!(matches!(Span::of("w", without_provenance::<f32>(high), 0x1000), Err(Error::SizeOverflow { .. })));
    }

    #[test]
    fn nothing_is_asked_of_an_empty_buffer() {
        assert!(Span::of("w", std::ptr::null::<f32>(), 0).is_ok());
        assert!(Span::of("w", without_provenance::<f32>(3), 0).is_ok());
        assert!(matches!(Span::of("w", without_provenance::<f32>(2), 1), Err(Error::Misaligned { .. })));
    }
}
