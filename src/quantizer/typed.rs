//! The work on tensors of any element type: f32, f16 and bf16.

use super::{DifferentiableQuantizer, Grid, ScaleInit};
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

type Readable<'a, T> = Input<'a, <<T as Stored>::Format as Format>::Element>;
type Writable<'a, T> = Output<'a, <<T as Stored>::Format as Format>::Element>;

/// How an element lies in memory, and the work of a grid on tensors of it: functions that are not generic, so that the kernels
/// are compiled with this crate and not again with each that calls them.
pub(super) trait Stored: Sized {
    type Format: Format;

    fn input(tensor: &[Self]) -> Readable<'_, Self>;

    fn output(tensor: &mut [Self]) -> Writable<'_, Self>;

    fn forward(
        grid: &Grid,
        w: Readable<'_, Self>,
        codes: Option<Output<'_, i8>>,
        values: Option<Writable<'_, Self>>,
    ) -> Result<(), Error>;

    fn forward_dynamic(
        grid: &Grid,
        w: Readable<'_, Self>,
        codes: Option<Output<'_, i8>>,
        values: Option<Writable<'_, Self>>,
        scales: Output<'_, f32>,
    ) -> Result<(), Error>;

    fn backward(
        grid: &Grid,
        w: Readable<'_, Self>,
        values: Option<Readable<'_, Self>>,
        grad_out: Readable<'_, Self>,
        grad_w: Writable<'_, Self>,
    ) -> Result<(), Error>;

    fn backward_scale(
        grid: &Grid,
        w: Readable<'_, Self>,
        grad_out: Readable<'_, Self>,
        gradients: Gradients<'_, Self::Format>,
    ) -> Result<(), Error>;

    fn dequantize(grid: &Grid, codes: Input<'_, i8>, values: Writable<'_, Self>) -> Result<(), Error>;

    fn init_scale(grid: &mut Grid, w: Readable<'_, Self>, method: ScaleInit) -> Result<(), Error>;
}

macro_rules! stored {
    ($element:ident as $format:ty = $value:expr, $slice:ident $input:expr, $slice_mut:ident $output:expr) => {
        impl Stored for $element {
            type Format = $format;

            fn input($slice: &[$element]) -> Readable<'_, $element> {
                $input.into()
            }

            fn output($slice_mut: &mut [$element]) -> Writable<'_, $element> {
                $output.into()
            }

            #[inline(never)]
            fn forward(
                grid: &Grid,
                w: Readable<'_, $element>,
                codes: Option<Output<'_, i8>>,
                values: Option<Writable<'_, $element>>,
            ) -> Result<(), Error> {
                grid.forward($value, w, codes, values)
            }

            #[inline(never)]
            fn forward_dynamic(
                grid: &Grid,
                w: Readable<'_, $element>,
                codes: Option<Output<'_, i8>>,
                values: Option<Writable<'_, $element>>,
                scales: Output<'_, f32>,
            ) -> Result<(), Error> {
                grid.forward_dynamic($value, w, codes, values, scales)
            }

            #[inline(never)]
            fn backward(
                grid: &Grid,
                w: Readable<'_, $element>,
                values: Option<Readable<'_, $element>>,
                grad_out: Readable<'_, $element>,
                grad_w: Writable<'_, $element>,
            ) -> Result<(), Error> {
                grid.backward($value, w, values, grad_out, grad_w)
            }

            #[inline(never)]
            fn backward_scale(
                grid: &Grid,
                w: Readable<'_, $element>,
                grad_out: Readable<'_, $element>,
                gradients: Gradients<'_, $format>,
            ) -> Result<(), Error> {
                grid.backward_scale($value, w, grad_out, gradients)
            }

            #[inline(never)]
            fn dequantize(grid: &Grid, codes: Input<'_, i8>, values: Writable<'_, $element>) -> Result<(), Error> {
                grid.dequantize($value, codes, values)
            }

            #[inline(never)]
            fn init_scale(grid: &mut Grid, w: Readable<'_, $element>, method: ScaleInit) -> Result<(), Error> {
                grid.init_scale($value, w, method)
            }
        }
    };
}

stored!(f32 as Single = Single, tensor tensor, tensor tensor);
stored!(f16 as Half = Half::F16, tensor tensor.reinterpret_cast(), tensor tensor.reinterpret_cast_mut());
stored!(bf16 as Half = Half::Bf16, tensor tensor.reinterpret_cast(), tensor tensor.reinterpret_cast_mut());

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
        T::forward(self.grid(), T::input(w), codes.map(Output::from), values.map(T::output))
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
        T::forward_dynamic(self.grid(), T::input(w), codes, values, scales.into())
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
        T::backward(self.grid(), T::input(w), values.map(T::input), T::input(grad_out), T::output(grad_w))
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
        T::backward_scale(self.grid(), T::input(w), T::input(grad_out), gradients)
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
        T::backward_scale(self.grid(), T::input(w), T::input(grad_out), gradients)
    }

    /// [`dequantize_into`](DifferentiableQuantizer::dequantize_into).
    fn dequantize_typed<T: Element>(&self, codes: &[i8], values: &mut [T]) -> Result<(), Error> {
        T::dequantize(self.grid(), codes.into(), T::output(values))
    }

    /// [`init_scale_with`](DifferentiableQuantizer::init_scale_with); copies 16-bit weights as f32.
    fn init_scale_typed<T: Element>(&mut self, method: ScaleInit, w: &[T]) -> Result<(), Error> {
        T::init_scale(self.grid_mut(), T::input(w), method)
    }
}

impl<Q: DifferentiableQuantizer + ?Sized> TypedQuantizer for Q {}
