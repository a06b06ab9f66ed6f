//! The C ABI as these tests call it: a handle that frees itself, and statuses that are errors.
//!
//! Every unsafe block passes pointers to live locals or slices, with their true lengths.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use crate::record::Record;
use diffquant::capi::config::*;
use diffquant::capi::quantizer::*;
use diffquant::capi::status::*;
use diffquant::capi::ste::*;
use std::ffi::CStr;
use std::ptr;

/// A refusal: its status, and its message.
pub type Refusal = (diffquant_status, String);

pub fn checked(status: diffquant_status) -> Result<(), Refusal> {
    if status == DIFFQUANT_STATUS_OK {
        return Ok(());
    }
    let message = unsafe { CStr::from_ptr(diffquant_last_error_message()) };
    Err((status, message.to_str().expect("messages are UTF-8").to_owned()))
}

/// The constant and the parameter of the estimator that a record names.
pub fn estimator(record: &Record) -> (diffquant_ste, f32) {
    let constant = match record.text("ste") {
        "standard" => DIFFQUANT_STE_STANDARD,
        "clipped" => DIFFQUANT_STE_CLIPPED,
        "lsq" => DIFFQUANT_STE_LEARNED_STEP_SIZE,
        "ewgs" => DIFFQUANT_STE_EWGS,
        other => panic!("{record}: unknown estimator {other}"),
    };
    (constant, record.float("ste_param"))
}

pub fn pi_scale_from_range(range: f32, bits: usize, k: usize) -> Result<f32, Refusal> {
    let mut alpha = f32::NAN;
    checked(unsafe { diffquant_pi_scale_from_range(range, bits as u32, k as u32, &mut alpha) })?;
    Ok(alpha)
}

pub struct Quantizer(*mut diffquant_quantizer);

impl Drop for Quantizer {
    fn drop(&mut self) {
        unsafe { diffquant_quantizer_free(self.0) }
    }
}

impl Quantizer {
    pub fn uniform(bits: usize) -> Quantizer {
        let mut handle = ptr::null_mut();
        checked(unsafe { diffquant_quantizer_new_uniform(bits as u32, DIFFQUANT_STE_STANDARD, 0.0, &mut handle) })
            .expect("the record's bits are valid");
        Quantizer(handle)
    }

    pub fn pi(bits: usize, k: usize) -> Quantizer {
        let mut handle = ptr::null_mut();
        checked(unsafe { diffquant_quantizer_new_pi(bits as u32, k as u32, &mut handle) })
            .expect("the record's bits and k are valid");
        Quantizer(handle)
    }

    pub fn from_config(config: &Config) -> Result<Quantizer, Refusal> {
        let mut handle = ptr::null_mut();
        checked(unsafe { diffquant_quantizer_new(config.0, &mut handle) })?;
        Ok(Quantizer(handle))
    }

    pub fn set_ste(&mut self, (ste, parameter): (diffquant_ste, f32)) {
        checked(unsafe { diffquant_quantizer_set_ste(self.0, ste, parameter) })
            .expect("the record's estimator is valid")
    }

    pub fn init_per_channel(&mut self, channels: usize) {
        checked(unsafe { diffquant_quantizer_init_per_channel(self.0, channels) }).expect("channels are valid")
    }

    pub fn set_scales(&mut self, scales: &[f32]) {
        checked(unsafe { diffquant_quantizer_set_scales(self.0, scales.as_ptr(), scales.len()) })
            .expect("the record's scales are valid")
    }

    pub fn init_scale(&mut self, w: &[f32]) -> Result<(), Refusal> {
        checked(unsafe { diffquant_quantizer_init_scale(self.0, w.as_ptr(), w.len()) })
    }

    pub fn scales(&self) -> Vec<f32> {
        let mut count = 0;
        checked(unsafe { diffquant_quantizer_scale_count(self.0, &mut count) }).expect("a count");
        let mut scales = vec![f32::NAN; count];
        checked(unsafe { diffquant_quantizer_scales(self.0, scales.as_mut_ptr(), count) }).expect("scales");
        scales
    }

    pub fn step(&self, group: usize) -> f32 {
        let mut step = f32::NAN;
        checked(unsafe { diffquant_quantizer_step_size(self.0, group, &mut step) }).expect("a step");
        step
    }

    pub fn num_levels(&self) -> u32 {
        let mut levels = 0;
        checked(unsafe { diffquant_quantizer_num_levels(self.0, &mut levels) }).expect("a number of levels");
        levels
    }

    pub fn forward(&self, w: &[f32]) -> Result<(Vec<i8>, Vec<f32>), Refusal> {
        let (mut codes, mut values) = (vec![99; w.len()], vec![f32::NAN; w.len()]);
        let (to_codes, to_values) = (codes.as_mut_ptr(), values.as_mut_ptr());
        checked(unsafe { diffquant_quantizer_forward(self.0, w.as_ptr(), w.len(), to_codes, to_values) })?;
        Ok((codes, values))
    }

    pub fn backward(&self, w: &[f32], values: Option<&[f32]>, grad_out: &[f32]) -> Result<Vec<f32>, Refusal> {
        let mut grad_w = vec![f32::NAN; w.len()];
        let values = values.map_or(ptr::null(), <[f32]>::as_ptr);
        let (w, n) = (w.as_ptr(), w.len());
        checked(unsafe { diffquant_quantizer_backward(self.0, w, values, grad_out.as_ptr(), n, grad_w.as_mut_ptr()) })?;
        Ok(grad_w)
    }

    /// The gradients of the weights and of the scales.
    pub fn backward_scale(&self, w: &[f32], grad_out: &[f32]) -> Result<(Vec<f32>, Vec<f32>), Refusal> {
        let (mut grad_w, mut grad_scale) = (vec![f32::NAN; w.len()], vec![f32::NAN; self.scales().len()]);
        let (to_w, to_scale) = (grad_w.as_mut_ptr(), grad_scale.as_mut_ptr());
        let (w, n) = (w.as_ptr(), w.len());
        checked(unsafe { diffquant_quantizer_backward_scale(self.0, w, grad_out.as_ptr(), n, to_w, to_scale) })?;
        Ok((grad_w, grad_scale))
    }

    pub fn dequantize(&self, codes: &[i8]) -> Result<Vec<f32>, Refusal> {
        let mut values = vec![f32::NAN; codes.len()];
        checked(unsafe { diffquant_quantizer_dequantize(self.0, codes.as_ptr(), codes.len(), values.as_mut_ptr()) })?;
        Ok(values)
    }
}

pub struct Config(*mut diffquant_config);

impl Drop for Config {
    fn drop(&mut self) {
        unsafe { diffquant_config_free(self.0) }
    }
}

impl Config {
    pub fn default() -> Config {
        let mut handle = ptr::null_mut();
        checked(unsafe { diffquant_config_new(&mut handle) }).expect("a default configuration");
        Config(handle)
    }

    pub fn preset(preset: diffquant_preset) -> Config {
        let mut handle = ptr::null_mut();
        checked(unsafe { diffquant_config_new_preset(preset, &mut handle) }).expect("a preset");
        Config(handle)
    }

    pub fn from_json(json: &str) -> Result<Config, Refusal> {
        let mut handle = ptr::null_mut();
        checked(unsafe { diffquant_config_from_json(json.as_ptr().cast(), json.len(), &mut handle) })?;
        Ok(Config(handle))
    }

    pub fn to_json(&self) -> String {
        let mut length = 0;
        let sized = checked(unsafe { diffquant_config_to_json(self.0, ptr::null_mut(), 0, &mut length) });
        assert_eq!(sized.unwrap_err().0, DIFFQUANT_STATUS_BUFFER_TOO_SMALL);
        let mut text = vec![0xffu8; length + 1];
        checked(unsafe { diffquant_config_to_json(self.0, text.as_mut_ptr().cast(), text.len(), &mut length) })
            .expect("the length was asked for");
        assert_eq!(text.pop(), Some(0), "the text ends in a NUL");
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    pub fn set_bits(&mut self, bits: usize) {
        checked(unsafe { diffquant_config_set_bits(self.0, bits as u32) }).expect("the record's bits are valid")
    }

    pub fn validate(&self) -> Result<(), Refusal> {
        checked(unsafe { diffquant_config_validate(self.0) })
    }

    pub fn num_levels(&self) -> u32 {
        let mut levels = 0;
        checked(unsafe { diffquant_config_num_levels(self.0, &mut levels) }).expect("a number of levels");
        levels
    }

    pub fn code_range(&self) -> (i32, i32) {
        let (mut min, mut max) = (0, 0);
        checked(unsafe { diffquant_config_code_range(self.0, &mut min, &mut max) }).expect("a range");
        (min, max)
    }

    pub fn pi_k(&self) -> u32 {
        let mut k = 99;
        checked(unsafe { diffquant_config_pi_k(self.0, &mut k) }).expect("a divisor");
        k
    }

    pub fn pi_step(&self, alpha: f32) -> Result<f32, Refusal> {
        let mut step = f32::NAN;
        checked(unsafe { diffquant_config_pi_step(self.0, alpha, &mut step) })?;
        Ok(step)
    }

    pub fn bits_per_weight(&self) -> f32 {
        let mut bits = f32::NAN;
        checked(unsafe { diffquant_config_bits_per_weight(self.0, &mut bits) }).expect("a figure");
        bits
    }

    pub fn parameter_count(&self, elements: usize, channels: usize) -> usize {
        let mut count = 0;
        checked(unsafe { diffquant_config_parameter_count(self.0, elements, channels, &mut count) }).expect("a count");
        count
    }
}
