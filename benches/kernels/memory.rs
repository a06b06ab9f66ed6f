//! The buffers of the benchmark, in pages that are known.
//!
//! A figure from memory depends on the page size (huge pages are 1.3 times faster) and on whether the pages were touched (a
//! first touch costs 3 ns per element), so the buffers are mapped here, asked to be huge, touched once, and the kernel is
//! asked what it gave. `DIFFQUANT_BENCH_PAGES=small` asks for 4 KiB pages instead.
//!
//! Buffer `i` begins `i * 1088` bytes into its mapping: at a cache line, and no two at the same offset in their pages. Equal
//! offsets make a load look dependent on a recent store to another buffer, which is a property of an allocator and not of
//! a kernel.

#![allow(unsafe_code)]

use half::bf16;
use std::ops::{Deref, DerefMut};

/// The size of a huge page, and the alignment of a mapping.
const HUGE: usize = 2 << 20;

/// Whether huge pages are asked for.
fn wants_huge_pages() -> bool {
    std::env::var("DIFFQUANT_BENCH_PAGES").map_or(true, |pages| pages != "small")
}

/// A buffer of its own mapping.
struct Mapped<T: Copy> {
    start: *mut T,
    len: usize,
    mapping: *mut libc::c_void,
    bytes: usize,
}

impl<T: Copy> Mapped<T> {
    /// A touched buffer of `len` elements that begins `offset` bytes after a huge page does.
    fn new(len: usize, offset: usize, mut element: impl FnMut() -> T) -> Self {
        let bytes = len * size_of::<T>() + offset + 2 * HUGE;
        // SAFETY: a fresh private mapping of `bytes` bytes; the buffer lies inside it, and every element is written before
        // the first is read.
        unsafe {
            let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let mapping = libc::mmap(std::ptr::null_mut(), bytes, rights, kind, -1, 0);
            assert!(mapping != libc::MAP_FAILED, "no memory for {bytes} bytes");
            #[cfg(target_os = "linux")]
            libc::madvise(mapping, bytes, if wants_huge_pages() { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE });
            let start = mapping.byte_add(mapping.align_offset(HUGE) + offset).cast::<T>();
            for i in 0..len {
                start.add(i).write(element());
            }
            Mapped { start, len, mapping, bytes }
        }
    }
}

impl<T: Copy> Deref for Mapped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new` wrote `len` elements from `start`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T: Copy> DerefMut for Mapped<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: `new` wrote `len` elements from `start`, and the mapping is ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T: Copy> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made.
        unsafe { libc::munmap(self.mapping, self.bytes) };
    }
}

/// Buffers for the largest tensor; shorter ones are its beginning.
pub struct Memory {
    w: Mapped<f32>,
    grad_out: Mapped<f32>,
    values: Mapped<f32>,
    grad_w: Mapped<f32>,
    codes: Mapped<i8>,
    grad_scale: Mapped<f32>,
    halves: [Mapped<u16>; 4],
}

/// What a call works on.
pub struct Tensors<'a> {
    pub w: &'a mut [f32],
    pub grad_out: &'a mut [f32],
    pub values: &'a mut [f32],
    pub grad_w: &'a mut [f32],
    pub codes: &'a mut [i8],
    /// Room for one scale per 32 elements, and for 1024.
    pub grad_scale: &'a mut [f32],
    pub halves: Halves<'a>,
}

/// The same in 16 bits. Whether they are read as bf16, which they are, or as f16, no kernel takes longer for one number than
/// for another.
pub struct Halves<'a> {
    pub w: &'a mut [u16],
    pub grad_out: &'a mut [u16],
    pub values: &'a mut [u16],
    pub grad_w: &'a mut [u16],
}

/// Most scales of a tensor of `n` elements in any row.
fn scales(n: usize) -> usize {
    n.div_ceil(32).max(1024)
}

impl Memory {
    /// Touched buffers for tensors of up to `n` elements: numbers in [-1, 1), the same on every run.
    pub fn new(n: usize) -> Memory {
        let mut state = 1u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        const STAGGER: usize = 1088;
        Memory {
            w: Mapped::new(n, 0, &mut number),
            grad_out: Mapped::new(n, STAGGER, &mut number),
            values: Mapped::new(n, 2 * STAGGER, &mut number),
            grad_w: Mapped::new(n, 3 * STAGGER, || 0.0),
            codes: Mapped::new(n, 4 * STAGGER, || 1),
            grad_scale: Mapped::new(scales(n), 5 * STAGGER, || 0.0),
            halves: [6, 7, 8, 9].map(|place| Mapped::new(n, place * STAGGER, || bf16::from_f32(number()).to_bits())),
        }
    }

    /// Tensors of `n` elements.
    pub fn first(&mut self, n: usize) -> Tensors<'_> {
        let [w, grad_out, values, grad_w] = &mut self.halves;
        let halves =
            Halves { w: &mut w[..n], grad_out: &mut grad_out[..n], values: &mut values[..n], grad_w: &mut grad_w[..n] };
        Tensors {
            w: &mut self.w[..n],
            grad_out: &mut self.grad_out[..n],
            values: &mut self.values[..n],
            grad_w: &mut self.grad_w[..n],
            codes: &mut self.codes[..n],
            grad_scale: &mut self.grad_scale[..scales(n)],
            halves,
        }
    }

    /// The pages that the operating system gave, in words.
    pub fn pages(&self) -> String {
        let floats = [&self.w, &self.grad_out, &self.values, &self.grad_w, &self.grad_scale];
        let mappings = floats.map(|buffer| buffer.mapping as usize);
        let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") else {
            return "unknown pages".to_owned();
        };
        let (mut resident, mut huge, mut ours) = (0, 0, false);
        for line in smaps.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
            let kilobytes = || value.parse::<u64>().unwrap_or(0);
            match name {
                "Rss:" if ours => resident += kilobytes(),
                "AnonHugePages:" if ours => huge += kilobytes(),
                _ => {
                    if let Some((start, end)) = name.split_once('-').and_then(parse_range) {
                        ours = mappings.iter().any(|mapping| (start..end).contains(mapping));
                    }
                }
            }
        }
        match huge * 100 / resident.max(1) {
            0 => "4 KiB pages".to_owned(),
            percent => format!("huge pages ({percent} %)"),
        }
    }
}

fn parse_range((start, end): (&str, &str)) -> Option<(usize, usize)> {
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}
