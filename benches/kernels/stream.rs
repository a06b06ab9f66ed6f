//! Memory streams: what the memory alone would take for the traffic of a kernel.
//!
//! [`Stream::run`] reads every number and byte that it is given and writes every output once, with one XOR per vector in
//! between: enough that the compiler neither drops a read nor calls `memcpy`, and nothing that a core has to wait for. The
//! body is written once over [`Vector`] and compiled for each vector width that this machine has, with regular and with
//! non-temporal stores. Which of them is fastest depends on the size and the machine, so all are run and the fastest is the
//! limit of a kernel: a limit must be hard to beat.

#![allow(unsafe_code)]

mod vector;

use std::hint::black_box;
use vector::{Plain, Vector};

/// Most vectors of numbers that are handled at a time, beside one vector of bytes: four of floats, two of 16-bit numbers.
const UNROLL: usize = 4;

/// A way of moving memory.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    width: Width,
    stores: Stores,
}

#[derive(Debug, Clone, Copy)]
enum Width {
    /// What the target has without asking.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// How results reach memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stores {
    /// Through the cache, which first reads the line that is about to be overwritten.
    Regular,
    /// Past the cache.
    NonTemporal,
}

impl Stream {
    /// Every stream of this machine that is worth a try.
    pub fn available() -> Vec<Stream> {
        let mut widths = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                widths.push(Width::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                widths.push(Width::Avx512);
            }
        }
        if widths.is_empty() {
            return vec![Stream { width: Width::Baseline, stores: Stores::Regular }];
        }
        let both = |width| [Stores::Regular, Stores::NonTemporal].map(|stores| Stream { width, stores });
        widths.into_iter().flat_map(both).collect()
    }

    /// How this stream writes.
    pub fn stores(self) -> Stores {
        self.stores
    }

    /// The instruction set, for tables.
    pub fn width(self) -> &'static str {
        match self.width {
            Width::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => "avx512",
        }
    }

    /// Reads all that comes in and writes all that goes out.
    ///
    /// Every slice has the same length, a multiple of 256, and begins at a cache line: the benchmark's buffers do, and a
    /// limit needs no tail.
    pub fn run<T, const FLOATS_IN: usize, const BYTES_IN: usize, const FLOATS_OUT: usize, const BYTES_OUT: usize>(
        self,
        floats_in: [&[T]; FLOATS_IN],
        bytes_in: [&[i8]; BYTES_IN],
        floats_out: [&mut [T]; FLOATS_OUT],
        bytes_out: [&mut [i8]; BYTES_OUT],
    ) {
        let n = floats_in.first().map_or_else(|| bytes_in[0].len(), |floats| floats.len());
        let same = floats_in.iter().all(|floats| floats.len() == n)
            && bytes_in.iter().all(|bytes| bytes.len() == n)
            && floats_out.iter().all(|floats| floats.len() == n)
            && bytes_out.iter().all(|bytes| bytes.len() == n);
        assert!(same && n.is_multiple_of(256), "a stream has equal lengths and no tail");
        let traffic = Traffic {
            n,
            floats_in: floats_in.map(<[T]>::as_ptr),
            bytes_in: bytes_in.map(<[i8]>::as_ptr),
            floats_out: floats_out.map(<[T]>::as_mut_ptr),
            bytes_out: bytes_out.map(<[i8]>::as_mut_ptr),
        };
        // SAFETY: the slices have `n` elements, and `available` makes a width only after detecting it.
        unsafe {
            match (self.width, self.stores) {
                (Width::Baseline, _) => traffic.run::<Plain, false>(),
                #[cfg(target_arch = "x86_64")]
                (Width::Avx2, Stores::Regular) => x86::avx2::<_, false>(traffic),
                #[cfg(target_arch = "x86_64")]
                (Width::Avx2, Stores::NonTemporal) => x86::avx2::<_, true>(traffic),
                #[cfg(target_arch = "x86_64")]
                (Width::Avx512, Stores::Regular) => x86::avx512::<_, false>(traffic),
                #[cfg(target_arch = "x86_64")]
                (Width::Avx512, Stores::NonTemporal) => x86::avx512::<_, true>(traffic),
            }
        }
    }
}

/// A loop over memory, to be compiled for a vector width.
trait Loop {
    /// Runs it. Implementations are `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine has `V`; the pointers are valid.
    unsafe fn run<V: Vector, const NON_TEMPORAL: bool>(self);
}

/// `n` elements at each pointer.
struct Traffic<T, const FLOATS_IN: usize, const BYTES_IN: usize, const FLOATS_OUT: usize, const BYTES_OUT: usize> {
    n: usize,
    floats_in: [*const T; FLOATS_IN],
    bytes_in: [*const i8; BYTES_IN],
    floats_out: [*mut T; FLOATS_OUT],
    bytes_out: [*mut i8; BYTES_OUT],
}

impl<T, const FLOATS_IN: usize, const BYTES_IN: usize, const FLOATS_OUT: usize, const BYTES_OUT: usize> Loop
    for Traffic<T, FLOATS_IN, BYTES_IN, FLOATS_OUT, BYTES_OUT>
{
    #[inline(always)]
    unsafe fn run<V: Vector, const NON_TEMPORAL: bool>(self) {
        let parts = size_of::<T>();
        // SAFETY: a step covers `size_of::<V>()` bytes of each byte array and `parts` times that of each array of numbers,
        // and `n` is a multiple of that for every width.
        unsafe {
            let mut read = [V::ones(); UNROLL];
            for step in 0..self.n / size_of::<V>() {
                let mut block = [V::ones(); UNROLL];
                for input in self.bytes_in {
                    let bytes = V::load(input.cast::<V>().add(step));
                    block = block.map(|floats| floats.xor(bytes));
                }
                for input in self.floats_in {
                    for (part, vector) in block[..parts].iter_mut().enumerate() {
                        *vector = vector.xor(V::load(input.cast::<V>().add(step * parts + part)));
                    }
                }
                for output in self.floats_out {
                    for (part, &vector) in block[..parts].iter().enumerate() {
                        V::write::<NON_TEMPORAL>(output.cast::<V>().add(step * parts + part), vector);
                    }
                }
                for output in self.bytes_out {
                    let bytes = block[0].xor(block[1]).xor(block[2].xor(block[3]));
                    V::write::<NON_TEMPORAL>(output.cast::<V>().add(step), bytes);
                }
                if FLOATS_OUT + BYTES_OUT == 0 {
                    for (read, &vector) in read.iter_mut().zip(&block) {
                        *read = read.xor(vector);
                    }
                }
            }
            if FLOATS_OUT + BYTES_OUT == 0 {
                black_box(&read);
            }
            if NON_TEMPORAL {
                V::fence();
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Loop;
    use std::arch::x86_64::{__m256i, __m512i};

    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2<L: Loop, const NON_TEMPORAL: bool>(work: L) {
        // SAFETY: the caller's promise, and this function has AVX2.
        unsafe { work.run::<__m256i, NON_TEMPORAL>() }
    }

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512<L: Loop, const NON_TEMPORAL: bool>(work: L) {
        // SAFETY: the caller's promise, and this function has AVX-512.
        unsafe { work.run::<__m512i, NON_TEMPORAL>() }
    }
}
