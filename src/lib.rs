//! Differentiable quantizers for quantization-aware training.
//!
//! A training runtime hands over its own f32, f16 or bf16 buffers. A quantizer turns weights into integer codes and the values that
//! they stand for (*forward*), sends the gradient of the loss back through the rounding (*backward*), learns or calibrates
//! its scales, and turns codes back into values (*dequantize*).
//!
//! The same engine has two faces: the C ABI in [`capi`], whose manual is `include/diffquant.h`, and this Rust API, which
//! begins at [`DifferentiableQuantizer`], and [`TypedQuantizer`] for f16 and bf16. The map, from the top floor down; imports only go down:
//!
//! - `capi`: one file per C type; pointers are checked here and nowhere else.
//! - [`quantizer`]: the trait, the two quantizers, and the grid that both share; `calibrate`: scales from weights, and [`Observer`].
//! - [`config`]: what describes a training run, and its JSON; `layout`: which scale belongs to which element;
//!   [`rotation`]: what spreads outliers.
//! - [`ste`]: the gradients' formulas; [`error`]: what can go wrong; `json`: texts; `kernels`: the loops, per instruction set.

mod calibrate;
pub mod capi;
pub mod config;
pub mod error;
mod json;
mod kernels;
mod layout;
pub mod quantizer;
pub mod rotation;
pub mod ste;

pub use calibrate::observer::{ObservedCount, Observer, ObserverKind};
pub use config::{LossWeights, QatConfig, QuantGranularity};
pub use error::Error;
pub use quantizer::{
    CodeRange, DifferentiableQuantizer, Element, NonFinite, PiQuantDifferentiable, RoundingMode, ScaleInit, Statistics,
    TypedQuantizer, UniformQuantizer, create_quantizer, init_pi_scale, quantizer_from_json,
};
pub use rotation::Rotation;
pub use ste::SteVariant;
