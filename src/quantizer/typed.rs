//! The work on tensors of any element type: f32, f16 and bf16.

use super::{DifferentiableQuantizer, ScaleInit};
use crate::error::Error;
use crate::kernels::{Format, Gradients, Half, Input, Output, Single};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// What a tensor may be made of: `f32`, [`half::f16`] or [`half::bf16`].
#[allow(private_bounds)]
pub trait Element: Copy + Stored {}

impl Element for f32 {}
impl Element for f16 {}
impl Element for bf16 {}

/// How an element lies in memory.
trait Stored: Sized {
    type Format: Format;

    const FORMAT: Self::Format;

    fn input(tensor: &[Self]) -> Input<'_, <Self::Format as Format>::Element>;

    fn output(tensor: &mut [Self]) -> Output<'_, <Self::Format as Format>::Element>;
}

impl Stored for f32 {
    type Format = Single;

    const FORMAT: Single = Single;

    fn input(tensor: &[f32]) -> Input<'_, f32> {
        tensor.into()
    }

    fn output(tensor: &mut [f32]) -> Output<'_, f32> {
        tensor.into()
    }
}

macro_rules! stored_in_16_bits {
    ($($element:ident $format:ident)*) => {
        $(impl Stored for $element {
            type Format = Half;

            const FORMAT: Half = Half::$format;

            fn input(tensor: &[$element]) -> Input<'_, u16> {
                tensor.reinterpret_cast().into()
            }

            fn output(tensor: &mut [$element]) -> Output<'_, u16> {
                tensor.reinterpret_cast_mut().into()
            }
        })*
    };
}

stored_in_16_bits!(f16 F16 bf16 Bf16);

/// The `*_into` functions of a quantizer for weights, values and gradients of any [`Element`].
///
/// Elements are computed in f32, and each result is rounded once, to nearest even: results are those of the f32 function,
/// rounded, to the bit, but for the bits of a NaN. What is too large for f16 becomes infinite; subnormals are kept. Scales,
/// offsets and their gradients are f32. Errors are those of the function of the same name without `typed`; nothing
/// allocates but [`init_scale_typed`](Self::init_scale_typed) and
/// [`forward_dynamic_typed`](Self::forward_dynamic_typed).
///
/// ```
/// use diffquant::{DifferentiableQuantizer, ScaleInit, SteVariant, TypedQuantizer, UniformQuantizer};
/// use half::bf16;
///
/// let w = [0.9, -0.4, 0.1, -1.75].map(bf16::from_f32);
/// let (mut codes, mut values) = ([0; 4], [bf16::ZERO; 4]);
/// let mut quantizer = UniformQuantizer::new(3, SteVariant::Standard)?;
/// quantizer.init_scale_typed(ScaleInit::MaxAbs, &w)?;
/// quantizer.forward_typed(&w, Some(&mut codes), Some(&mut values))?;
/// assert_eq!(codes, [2, -1, 0, -4]);
/// assert_eq!((quantizer.scale(), values[0]), (0.5, bf16::ONE));
/// # Ok::<(), diffquant::Error>(())
/// ```
pub trait TypedQuantizer: DifferentiableQuantizer {
    /// [`forward_into`](DifferentiableQuantizer::forward_into).
    fn forward_typed<T: Element>(
        &self,
        w: &[T],
        codes: Option<&mut [i8]>,
        values: Option<&mut [T]>,
    ) -> Result<(), Error> {
        self.grid().forward(T::FORMAT, T::input(w), codes.map(Output::from), values.map(T::output))
    }

    /// [`forward_dynamic_into`](DifferentiableQuantizer::forward_dynamic_into).
    fn forward_dynamic_typed<T: Element>(
        &self,
        w: &[T],
        codes: Option<&mut [i8]>,
        values: Option<&mut [T]>,
        scales: &mut [f32],
    ) -> Result<(), Error> {
        let (codes, values) = (codes.map(Output::from), values.map(T::output));
        self.grid().forward_dynamic(T::FORMAT, T::input(w), codes, values, scales.into())
    }

    /// [`backward_into`](DifferentiableQuantizer::backward_into). `values` that are given are rounded to their type, those that
    /// are computed again are not.
    fn backward_typed<T: Element>(
        &self,
        w: &[T],
        values: Option<&[T]>,
        grad_out: &[T],
        grad_w: &mut [T],
    ) -> Result<(), Error> {
        self.grid().backward(T::FORMAT, T::input(w), values.map(T::input), T::input(grad_out), T::output(grad_w))
    }

    /// [`backward_scale_into`](DifferentiableQuantizer::backward_scale_into).
    fn backward_scale_typed<T: Element>(
        &self,
        w: &[T],
        grad_out: &[T],
        grad_w: Option<&mut [T]>,
        grad_scale: &mut [f32],
    ) -> Result<(), Error> {
        let gradients = Gradients { weights: grad_w.map(T::output), scales: grad_scale.into(), offsets: None };
        self.grid().backward_scale(T::FORMAT, T::input(w), T::input(grad_out), gradients)
    }

    /// [`backward_scale_offset_into`](DifferentiableQuantizer::backward_scale_offset_into).
    fn backward_scale_offset_typed<T: Element>(
        &self,
        w: &[T],
        grad_out: &[T],
        grad_w: Option<&mut [T]>,
        grad_scale: &mut [f32],
        grad_offset: &mut [f32],
    ) -> Result<(), Error> {
        let (scales, offsets) = (grad_scale.into(), Some(grad_offset.into()));
        let gradients = Gradients { weights: grad_w.map(T::output), scales, offsets };
        self.grid().backward_scale(T::FORMAT, T::input(w), T::input(grad_out), gradients)
    }

    /// [`dequantize_into`](DifferentiableQuantizer::dequantize_into).
    fn dequantize_typed<T: Element>(&self, codes: &[i8], values: &mut [T]) -> Result<(), Error> {
        self.grid().dequantize(T::FORMAT, codes.into(), T::output(values))
    }

    /// [`init_scale_with`](DifferentiableQuantizer::init_scale_with); copies 16-bit weights as f32.
    fn init_scale_typed<T: Element>(&mut self, method: ScaleInit, w: &[T]) -> Result<(), Error> {
        self.grid_mut().init_scale(T::FORMAT, T::input(w), method)
    }
}

impl<Q: DifferentiableQuantizer + ?Sized> TypedQuantizer for Q {}
