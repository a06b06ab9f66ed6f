//! The instruction set in use, for tests and for hunting bugs.

use super::status::{diffquant_status, report};
use crate::error::Error;
use crate::kernels::Isa;
use std::ffi::c_char;

/// An instruction set that the library has code for. Results are the same bits whichever is used.
pub type diffquant_isa = u32;

/// The fastest that this machine has. The default.
pub const DIFFQUANT_ISA_FASTEST: diffquant_isa = 0;
/// What every machine of this architecture has, with divisions: SSE2 on x86-64, NEON on aarch64, plain code elsewhere.
pub const DIFFQUANT_ISA_BASELINE: diffquant_isa = 1;
/// AVX2 with FMA (x86-64).
pub const DIFFQUANT_ISA_AVX2: diffquant_isa = 2;
/// AVX-512 F, BW, DQ and VL (x86-64).
pub const DIFFQUANT_ISA_AVX512: diffquant_isa = 3;
/// NEON with fused multiplications (aarch64), which every such machine has.
pub const DIFFQUANT_ISA_NEON: diffquant_isa = 4;

/// Chooses the instruction set of the whole process, from the next call on. Safe to call at any time, from any thread.
///
/// Without a call, the environment variable DIFFQUANT_ISA chooses when the first quantizer is made: baseline, avx2, avx512 or
/// neon; a name that this machine cannot follow is ignored. An x86-64 machine has baseline, and avx2 and avx512 where the
/// processor does; an aarch64 machine has baseline and neon; any other machine has baseline.
///
/// @param isa a DIFFQUANT_ISA constant
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; UNSUPPORTED for one that this machine lacks
#[unsafe(no_mangle)]
pub extern "C" fn diffquant_set_isa(isa: diffquant_isa) -> diffquant_status {
    report(|| {
        let isa = match isa {
            DIFFQUANT_ISA_FASTEST => Isa::fastest(),
            DIFFQUANT_ISA_BASELINE => Isa::named("baseline")?,
            DIFFQUANT_ISA_AVX2 => Isa::named("avx2")?,
            DIFFQUANT_ISA_AVX512 => Isa::named("avx512")?,
            DIFFQUANT_ISA_NEON => Isa::named("neon")?,
            value => return Err(Error::UnknownConstant { argument: "isa", value }),
        };
        isa.select();
        Ok(())
    })
}

/// The name of the instruction set in use: "baseline", "avx2", "avx512" or "neon".
///
/// @return a string that lives as long as the library is loaded; never NULL
#[unsafe(no_mangle)]
pub extern "C" fn diffquant_isa_name() -> *const c_char {
    Isa::current().name().as_ptr()
}
