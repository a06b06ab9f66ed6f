//! What each kind of record promises, checked.

use crate::handle::{Config, Quantizer, Refusal, estimator, pi_scale_from_range};
use crate::record::{Checked, Record, close_sums, same, same_float, same_floats};
use diffquant::SteVariant;
use diffquant::capi::config::{DIFFQUANT_PRESET_PIQ2, DIFFQUANT_PRESET_PIQ3};

pub fn check(record: &Record) -> Checked {
    match record.text("kind") {
        "meta" => Ok(()),
        "uniform_default" => uniform_default(record),
        "uniform" => tensor(record, &uniform(record)),
        "uniform_init" => init(record, Quantizer::uniform(record.number("bits")), 1, "scale"),
        "pi" => tensor(record, &pi(record)),
        "pi_init" => init(record, new_pi(record), 1, "alpha"),
        "pi_init_channels" => init(record, new_pi(record), record.number("channels"), "alphas"),
        "init_pi_scale" => init_pi_scale(record),
        "ste" => ste(record),
        "scale_grad" => scale_grad(record),
        "config" => config(record),
        "config_parse" => config_parse(record),
        "digest" => digest(record),
        other => Err(format!("nobody checks the kind {other}")),
    }
}

fn in_words((status, message): Refusal) -> String {
    format!("refused with status {status}: {message}")
}

fn new_pi(record: &Record) -> Quantizer {
    Quantizer::pi(record.number("bits"), record.number("k"))
}

/// The uniform quantizer of a record, with its scale and estimator.
pub fn uniform(record: &Record) -> Quantizer {
    let mut quantizer = Quantizer::uniform(record.number("bits"));
    quantizer.set_scales(&[record.float("scale")]);
    quantizer.set_ste(estimator(record));
    quantizer
}

/// The pi quantizer of a record, with its alphas and estimator.
pub fn pi(record: &Record) -> Quantizer {
    let mut quantizer = new_pi(record);
    quantizer.init_per_channel(record.number("channels"));
    quantizer.set_scales(&record.floats("alphas"));
    quantizer.set_ste(estimator(record));
    quantizer
}

fn uniform_default(record: &Record) -> Checked {
    let bits = record.number("bits");
    let quantizer = Quantizer::uniform(bits);
    same_floats("scale", &quantizer.scales(), &record.floats("scale"))?;
    same("num_levels", &[quantizer.num_levels() as usize], &[record.number("num_levels")])?;
    let mut config = Config::default();
    config.set_bits(bits);
    let configured = Quantizer::from_config(&config).map_err(in_words)?;
    same_floats("from_config_scale", &configured.scales(), &record.floats("from_config_scale"))
}

/// Forward, backward, dequantize and, for pi, steps and the gradient of alpha.
fn tensor(record: &Record, quantizer: &Quantizer) -> Checked {
    let (w, grad_out) = (record.floats("w"), record.floats("g"));
    same("n", &[w.len()], &[record.number("n")])?;
    let (codes, values) = quantizer.forward(&w).map_err(in_words)?;
    same("q", &codes, &record.codes("q"))?;
    same_floats("y", &values, &record.floats("y"))?;
    let grad_w = record.floats("gw");
    same_floats("gw", &quantizer.backward(&w, Some(&values), &grad_out).map_err(in_words)?, &grad_w)?;
    same_floats("gw, values left out", &quantizer.backward(&w, None, &grad_out).map_err(in_words)?, &grad_w)?;
    let (grad_w_too, grad_scale) = quantizer.backward_scale(&w, &grad_out).map_err(in_words)?;
    same_floats("gw beside the scale's gradient", &grad_w_too, &grad_w)?;
    let dequantized = quantizer.dequantize(&record.codes("dq_codes")).map_err(in_words)?;
    same_floats("dq", &dequantized, &record.floats("dq"))?;
    if record.text("kind") == "pi" {
        let steps: Vec<f32> = (0..record.number("channels")).map(|channel| quantizer.step(channel)).collect();
        same_floats("steps", &steps, &record.floats("steps"))?;
        close_sums("agrad", &grad_scale, &record.doubles("agrad_f64"), &record.doubles("agrad_mag_f64"))?;
    }
    Ok(())
}

/// Calibration, then forward.
pub fn init(record: &Record, mut quantizer: Quantizer, channels: usize, scales: &str) -> Checked {
    let w = record.floats("w");
    quantizer.init_per_channel(channels);
    quantizer.init_scale(&w).map_err(in_words)?;
    same_floats(scales, &quantizer.scales(), &record.floats(scales))?;
    if record.text("kind") == "pi_init" {
        same_float("step", quantizer.step(0), record.float("step"))?;
    }
    let (codes, values) = quantizer.forward(&w).map_err(in_words)?;
    same("q", &codes, &record.codes("q"))?;
    same_floats("y", &values, &record.floats("y"))
}

fn init_pi_scale(record: &Record) -> Checked {
    let alpha = pi_scale_from_range(record.float("range"), record.number("bits"), record.number("k"));
    same_float("alpha", alpha.map_err(in_words)?, record.float("alpha"))
}

fn ste(record: &Record) -> Checked {
    let (ste, parameter) = estimator(record);
    let mut quantizer = Quantizer::uniform(4);
    quantizer.set_ste((ste, parameter));
    let (w, values, grad_out) = (record.floats("w"), record.floats("q"), record.floats("g"));
    let grad_w = quantizer.backward(&w, Some(&values), &grad_out).map_err(in_words)?;
    same_floats("gw", &grad_w, &record.floats("gw"))?;
    let variant = match record.text("ste") {
        "standard" => SteVariant::Standard,
        "clipped" => SteVariant::Clipped { clip_val: parameter },
        "lsq" => SteVariant::LearnedStepSize,
        _ => SteVariant::Ewgs { lambda: parameter },
    };
    let requires = record.value("requires_scale_grad").as_bool().expect("true or false");
    same("requires_scale_grad", &[variant.requires_scale_grad()], &[requires])
}

fn scale_grad(record: &Record) -> Checked {
    let mut quantizer = Quantizer::uniform(record.number("bits"));
    quantizer.set_scales(&record.floats("scale"));
    let (_, grad_scale) = quantizer.backward_scale(&record.floats("w"), &record.floats("g")).map_err(in_words)?;
    close_sums("grad", &grad_scale, &record.doubles("grad_f64"), &record.doubles("grad_mag_f64"))
}

fn config(record: &Record) -> Checked {
    let text = record.text("json");
    let config = Config::from_json(text).map_err(in_words)?;
    same("json", &[config.to_json().as_str()], &[text])?;
    let preset = match record.text("name") {
        "default" => Some(Config::default()),
        "piq3" => Some(Config::preset(DIFFQUANT_PRESET_PIQ3)),
        "piq2" => Some(Config::preset(DIFFQUANT_PRESET_PIQ2)),
        _ => None,
    };
    if let Some(preset) = preset {
        same("json of the preset", &[preset.to_json().as_str()], &[text])?;
    }
    match (config.validate(), record.text("validate")) {
        (Ok(()), "ok") => {}
        (Err((_, message)), field) if message.contains(&format!("field {field}")) => {}
        (ours, theirs) => return Err(format!("validate gives {ours:?} for {theirs}")),
    }
    same("num_levels", &[config.num_levels() as usize], &[record.number("num_levels")])?;
    let (min, max) = config.code_range();
    let range: Vec<i64> = record.value("range").as_array().unwrap().iter().map(|end| end.as_i64().unwrap()).collect();
    same("range", &[min.into(), max.into()], &range)?;
    same("is_pi", &[config.pi_k() != 0], &[record.value("is_pi").as_bool().unwrap()])?;
    same_float("bits_per_weight", config.bits_per_weight(), record.float("bits_per_weight"))?;
    match config.pi_step(1.5) {
        Ok(step) => same_float("pi_step(1.5)", step, record.float("pi_step_1_5"))?,
        Err(refusal) if !record.is_null("pi_step_1_5") => return Err(in_words(refusal)),
        Err(_) => {}
    }
    same("params_per_elements(1024, 64)", &[config.parameter_count(1024, 64)], &[record.number("params_1024_64")])?;
    same("json_roundtrip", &[true], &[record.value("json_roundtrip").as_bool().unwrap()])
}

fn config_parse(record: &Record) -> Checked {
    let parsed = Config::from_json(record.text("json"));
    same("ok", &[parsed.is_ok()], &[record.value("ok").as_bool().unwrap()])?;
    match parsed {
        Ok(config) => same("reparsed", &[config.to_json().as_str()], &[record.text("reparsed")]),
        Err(_) => same("reparsed is null", &[record.is_null("reparsed")], &[true]),
    }
}

/// Large inputs, drawn by the generator that the golden file's description gives, and compared by hash.
fn digest(record: &Record) -> Checked {
    let mut draw = Draw::new(record.number("seed") as u64, record.float("amp"));
    let n = record.number("n");
    let w: Vec<f32> = (0..n).map(|_| draw.next()).collect();
    let grad_out: Vec<f32> = (0..n).map(|_| draw.next()).collect();
    same("fnv_w", &[fnv_of_floats(&w).as_str()], &[record.text("fnv_w")])?;
    same("fnv_g", &[fnv_of_floats(&grad_out).as_str()], &[record.text("fnv_g")])?;

    let pi = record.text("quantizer") == "pi";
    let mut quantizer = if pi { new_pi(record) } else { Quantizer::uniform(record.number("bits")) };
    quantizer.set_ste(estimator(record));
    quantizer.init_scale(&w).map_err(in_words)?;
    same_floats("scale", &quantizer.scales(), &record.floats(if pi { "alpha" } else { "scale" }))?;
    let (codes, values) = quantizer.forward(&w).map_err(in_words)?;
    same("fnv_q", &[fnv(codes.iter().map(|code| *code as u8)).as_str()], &[record.text("fnv_q")])?;
    same("fnv_y", &[fnv_of_floats(&values).as_str()], &[record.text("fnv_y")])?;
    let (grad_w, grad_scale) = quantizer.backward_scale(&w, &grad_out).map_err(in_words)?;
    same("fnv_gw", &[fnv_of_floats(&grad_w).as_str()], &[record.text("fnv_gw")])?;
    if pi {
        close_sums("agrad", &grad_scale, &record.doubles("agrad_f64"), &record.doubles("agrad_mag_f64"))?;
    }
    Ok(())
}

struct Draw {
    state: u64,
    amplitude: f32,
}

impl Draw {
    fn new(seed: u64, amplitude: f32) -> Draw {
        Draw { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, amplitude }
    }

    fn next(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((self.state >> 40) as f32 / 16_777_216.0 * 2.0 - 1.0) * self.amplitude
    }
}

fn fnv_of_floats(floats: &[f32]) -> String {
    fnv(floats.iter().flat_map(|float| float.to_bits().to_le_bytes()))
}

/// FNV-1a, 64 bits.
fn fnv(bytes: impl Iterator<Item = u8>) -> String {
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}
