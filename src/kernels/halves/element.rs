//! What a tensor of the Rust API may be made of.

use super::super::{Input, Output};
use super::Half;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// What a tensor may be made of: `f32`, [`half::f16`] or [`half::bf16`].
#[allow(private_bounds)]
pub trait Element: Copy + Stored {}

impl Element for f32 {}
impl Element for f16 {}
impl Element for bf16 {}

/// How elements lie in memory. Private, so that nobody else makes an [`Element`].
pub(crate) trait Stored: Sized {
    fn input(tensor: &[Self]) -> Input<'_, f32>;

    fn output(tensor: &mut [Self]) -> Output<'_, f32>;

    /// As [`Output::in_place`].
    fn in_place(tensor: &mut [Self]) -> (Input<'_, f32>, Output<'_, f32>);
}

impl Stored for f32 {
    fn input(tensor: &[f32]) -> Input<'_, f32> {
        tensor.into()
    }

    fn output(tensor: &mut [f32]) -> Output<'_, f32> {
        tensor.into()
    }

    fn in_place(tensor: &mut [f32]) -> (Input<'_, f32>, Output<'_, f32>) {
        Output::in_place(tensor)
    }
}

macro_rules! stored {
    ($element:ty, $half:expr) => {
        impl Stored for $element {
            fn input(tensor: &[$element]) -> Input<'_, f32> {
                Input::of_halves($half, tensor.reinterpret_cast())
            }

            fn output(tensor: &mut [$element]) -> Output<'_, f32> {
                Output::of_halves($half, tensor.reinterpret_cast_mut())
            }

            fn in_place(tensor: &mut [$element]) -> (Input<'_, f32>, Output<'_, f32>) {
                Output::of_halves_in_place($half, tensor.reinterpret_cast_mut())
            }
        }
    };
}

stored!(f16, Half::F16);
stored!(bf16, Half::Bf16);
