//! The C ABI: a thin skin over the engine, one file per C type.
//!
//! No arithmetic lives here. Each export checks what came in (this is the only place that sees raw pointers), calls one
//! method of the engine and reports a status. The comments of this module's exports are the manual of a C reader: they
//! become `include/diffquant.h`, so they speak of pointers, lengths and statuses, not of Rust. The conventions are
//! written once, at the head of that file, in `cbindgen.toml`.
//!
//! Every export that can fail has its body inside [`status::report`], which turns errors and panics into a status; what a
//! caller can get wrong about a pointer is checked in [`pointer`], about a handle in [`handle`], and what comes and goes as text passes through [`text`].

#![allow(unsafe_code, non_camel_case_types)]
// The contract of every export is the header's: its conventions and the export's own comment.
#![allow(clippy::missing_safety_doc)]

// In the order in which a reader of the header meets them; the blank lines keep rustfmt from sorting.
pub mod version;

pub mod status;

pub mod ste;

pub mod non_finite;

pub mod granularity;

pub mod dtype;

pub mod config;

pub mod quantizer;

pub mod observer;

pub mod rotation;

pub mod isa;

mod handle;

mod pointer;

mod text;
