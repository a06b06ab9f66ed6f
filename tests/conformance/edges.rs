//! The `edge` records: what the reference does with NaN, empty, all-zero, subnormal or non-divisible input.
//!
//! Where that is a defect we answer otherwise, knowingly. Each such case is named here and in `docs/conformance.md`; a
//! record that differs in any other way fails.

use crate::handle::Quantizer;
use crate::kinds;
use crate::record::{Record, same, same_floats};
use diffquant::capi::status::{DIFFQUANT_STATUS_LENGTH_MISMATCH, DIFFQUANT_STATUS_NON_FINITE};

/// The cases that differ, each with the number of its records.
pub const DOCUMENTED: [(&str, usize); 4] =
    [(NAN_WEIGHT, 21), (SUBNORMAL_MAXIMUM, 5), (NO_WEIGHTS, 5), (NOT_DIVISIBLE, 4)];

const NAN_WEIGHT: &str = "calibration with a NaN among the weights";
const SUBNORMAL_MAXIMUM: &str = "calibration with a subnormal maximum";
const NO_WEIGHTS: &str = "calibration without weights";
const NOT_DIVISIBLE: &str = "length that is no multiple of the channel count";

/// The documented case that a record differs by, or `None` when it comes out as in the reference.
pub fn check(record: &Record) -> Result<Option<&'static str>, String> {
    let w = record.floats("w");
    match record.text("kind") {
        "uniform" => non_finite_weights(record, &w).map(|()| None),
        "pi" => not_divisible(record, &w).map(|()| Some(NOT_DIVISIBLE)),
        "uniform_init" => calibration(record, Quantizer::uniform(record.number("bits")), "scale", &w),
        "pi_init" => calibration(record, Quantizer::pi(record.number("bits"), record.number("k")), "alpha", &w),
        other => Err(format!("nobody checks the edge kind {other}")),
    }
}

/// Equal in the codes and values; the reference records no gradient here.
fn non_finite_weights(record: &Record, w: &[f32]) -> Result<(), String> {
    let (codes, values) = kinds::uniform(record).forward(w).map_err(|refusal| refusal.1)?;
    same("q", &codes, &record.codes("q"))?;
    same_floats("y", &values, &record.floats("y"))
}

/// The reference lends the last weights channel 0's alpha; we refuse every function.
fn not_divisible(record: &Record, w: &[f32]) -> Result<(), String> {
    let quantizer = kinds::pi(record);
    let refusals = [
        quantizer.forward(w).err(),
        quantizer.backward(w, None, &record.floats("g")).err(),
        quantizer.backward_scale(w, &record.floats("g")).err(),
        quantizer.dequantize(&vec![1; w.len()]).err(),
    ];
    let statuses: Vec<u32> = refusals.into_iter().map(|refusal| refusal.map_or(0, |(status, _)| status)).collect();
    same("status", &statuses, &[DIFFQUANT_STATUS_LENGTH_MISMATCH; 4])
}

fn calibration(
    record: &Record,
    mut quantizer: Quantizer,
    scales: &str,
    w: &[f32],
) -> Result<Option<&'static str>, String> {
    if let Some(first) = w.iter().position(|weight| !weight.is_finite()) {
        let (before, refusal) = (quantizer.scales(), quantizer.init_scale(w));
        return match refusal {
            Err((DIFFQUANT_STATUS_NON_FINITE, message)) if message.contains(&format!("w[{first}]")) => {
                same_floats("scale after a refusal", &quantizer.scales(), &before)?;
                Ok(Some(NAN_WEIGHT))
            }
            other => Err(format!("calibration with a NaN gives {other:?}")),
        };
    }
    let maximum = w.iter().fold(0.0f32, |maximum, weight| maximum.max(weight.abs()));
    if maximum.is_subnormal() && scales == "scale" {
        quantizer.init_scale(w).map_err(|refusal| refusal.1)?;
        same_floats("scale", &quantizer.scales(), &[f32::MIN_POSITIVE])?;
        return Ok(Some(SUBNORMAL_MAXIMUM));
    }
    if w.is_empty() && scales == "scale" {
        // For pi both leave a fresh quantizer at 1; it comes out equal below.
        let before = quantizer.scales();
        quantizer.init_scale(w).map_err(|refusal| refusal.1)?;
        same_floats("scale", &quantizer.scales(), &before)?;
        return Ok(Some(NO_WEIGHTS));
    }
    kinds::init(record, quantizer, 1, scales).map(|()| None)
}
