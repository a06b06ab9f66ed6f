//! Which instruction set runs here: detected once, and lowered on request.
//!
//! A request comes from the environment variable `DIFFQUANT_ISA`, read at the first use, or from [`select`]. It exists so
//! that every path can be tested on one machine, and so that a user who hunts a bug can rule one out. The choice is the
//! process's: results are the same bits whichever it is, so nobody has to agree on it.

use super::Kernel;
use super::vector::Baseline;
use crate::error::Error;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that this machine has: only detection makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Level);

/// Every instruction set, slowest first; the numbers are those of [`CURRENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Level {
    /// What every machine of this architecture has: SSE2 on x86-64, NEON on aarch64.
    Baseline = 1,
    /// 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx2 = 2,
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512 = 3,
}

/// The level in use, 0 before the first use.
static CURRENT: AtomicU8 = AtomicU8::new(0);

const LEVELS: &[Level] = &[
    Level::Baseline,
    #[cfg(target_arch = "x86_64")]
    Level::Avx2,
    #[cfg(target_arch = "x86_64")]
    Level::Avx512,
];

impl Level {
    fn name(self) -> &'static CStr {
        match self {
            Level::Baseline if cfg!(target_arch = "aarch64") => c"neon",
            Level::Baseline => c"baseline",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => c"avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => c"avx512",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Level::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }
}

impl Isa {
    /// The instruction set in use.
    #[inline(always)]
    pub(crate) fn current() -> Isa {
        // Not a search of `LEVELS`, which takes longer than the checks of a short call.
        match CURRENT.load(Ordering::Relaxed) {
            1 => Isa(Level::Baseline),
            #[cfg(target_arch = "x86_64")]
            2 => Isa(Level::Avx2),
            #[cfg(target_arch = "x86_64")]
            3 => Isa(Level::Avx512),
            _ => Isa::first_use(),
        }
    }

    /// What the environment asks for if this machine has it, else the fastest.
    #[cold]
    fn first_use() -> Isa {
        let asked = std::env::var("DIFFQUANT_ISA").ok().and_then(|name| Isa::named(&name).ok());
        let isa = asked.unwrap_or_else(Isa::fastest);
        isa.select();
        isa
    }

    /// What every machine of this architecture has; it divides.
    pub(crate) fn baseline() -> Isa {
        Isa(Level::Baseline)
    }

    /// The fastest instruction set of this machine.
    pub(crate) fn fastest() -> Isa {
        Isa(*LEVELS.iter().rev().find(|level| level.is_available()).unwrap_or(&Level::Baseline))
    }

    /// The instruction set of that name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a name that is none of this machine's.
    pub(crate) fn named(name: &str) -> Result<Isa, Error> {
        let level = match name {
            "baseline" => Some(Level::Baseline),
            #[cfg(target_arch = "aarch64")]
            "neon" => Some(Level::Baseline),
            #[cfg(target_arch = "x86_64")]
            "avx2" => Some(Level::Avx2),
            #[cfg(target_arch = "x86_64")]
            "avx512" => Some(Level::Avx512),
            _ => None,
        };
        match level {
            Some(level) if level.is_available() => Ok(Isa(level)),
            _ => Err(Error::Unsupported {
                feature: match name {
                    "avx2" => "isa AVX2, on this machine",
                    "avx512" => "isa AVX512, on this machine",
                    "neon" => "isa NEON, on this machine",
                    _ => "an isa of that name",
                },
            }),
        }
    }

    /// Makes this the instruction set in use.
    pub(crate) fn select(self) {
        CURRENT.store(self.0 as u8, Ordering::Relaxed);
    }

    /// Its name, as `DIFFQUANT_ISA` spells it.
    pub(crate) fn name(self) -> &'static CStr {
        self.0.name()
    }

    /// Every instruction set that this machine can run, slowest first.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Isa> {
        LEVELS.iter().filter(|level| level.is_available()).map(|level| Isa(*level)).collect()
    }

    /// Runs `kernel` compiled for this instruction set.
    #[inline(always)]
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self.0 {
            Level::Baseline => kernel.run_baseline::<Baseline>(),
            // SAFETY: an `Isa` is made only of a level that is available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { kernel.run_avx2() },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { kernel.run_avx512() },
        }
    }
}
