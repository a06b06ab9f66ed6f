//! The work on tensors of any element type: f32, f16 and bf16.

use super::{DifferentiableQuantizer, ScaleInit, Statistics};
use crate::error::Error;
use crate::kernels::{Element, Gradients, Output};

/// The `*_into` and `*_in_place` functions of a quantizer for weights, values and gradients of any [`Element`].
///
/// Elements of 16 bits are computed as f32: each is converted to f32, which is exact, and each result is rounded to its type once, to
/// the nearest, halves to even. So what a function gives for them are to the bit the results of the function of the same name
/// without `typed` for the same tensors as f32, converted to the type; scales, offsets, their gradients and statistics are f32 or
/// more, and not rounded. What is too large for f16 becomes infinite; subnormal numbers are kept; a NaN stays a NaN, and becomes a
/// quiet one. Errors are those of that function, and nothing allocates that does not there, but that with incoherence values and gradients
/// go by way of a copy.
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
        self.grid().forward(T::input(w), codes.map(Output::from), values.map(T::output))
    }

    /// [`forward_in_place`](DifferentiableQuantizer::forward_in_place).
    fn forward_in_place_typed<T: Element>(&self, w: &mut [T], codes: Option<&mut [i8]>) -> Result<(), Error> {
        let (w, values) = T::in_place(w);
        self.grid().forward(w, codes.map(Output::from), Some(values))
    }

    /// [`forward_statistics_into`](DifferentiableQuantizer::forward_statistics_into). The statistics are those of the values before
    /// they are rounded to the type.
    fn forward_statistics_typed<T: Element>(
        &self,
        w: &[T],
        codes: Option<&mut [i8]>,
        values: Option<&mut [T]>,
        statistics: &mut [Statistics],
    ) -> Result<(), Error> {
        let (codes, values) = (codes.map(Output::from), values.map(T::output));
        self.grid().forward_statistics(T::input(w), codes, values, statistics.into())
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
        self.grid().forward_dynamic(T::input(w), codes, values, scales.into())
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
        self.grid().backward(T::input(w), values.map(T::input), T::input(grad_out), T::output(grad_w))
    }

    /// [`backward_in_place`](DifferentiableQuantizer::backward_in_place).
    fn backward_in_place_typed<T: Element>(&self, w: &[T], values: Option<&[T]>, grad: &mut [T]) -> Result<(), Error> {
        let (grad_out, grad_w) = T::in_place(grad);
        self.grid().backward(T::input(w), values.map(T::input), grad_out, grad_w)
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
        self.grid().backward_scale(T::input(w), T::input(grad_out), gradients)
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
        self.grid().backward_scale(T::input(w), T::input(grad_out), gradients)
    }

    /// [`dequantize_into`](DifferentiableQuantizer::dequantize_into).
    fn dequantize_typed<T: Element>(&self, codes: &[i8], values: &mut [T]) -> Result<(), Error> {
        self.grid().dequantize(codes.into(), T::output(values))
    }

    /// [`init_scale_with`](DifferentiableQuantizer::init_scale_with).
    fn init_scale_typed<T: Element>(&mut self, method: ScaleInit, w: &[T]) -> Result<(), Error> {
        self.grid_mut().init_scale(T::input(w), method)
    }
}

impl<Q: DifferentiableQuantizer + ?Sized> TypedQuantizer for Q {}
