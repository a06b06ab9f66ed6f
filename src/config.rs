//! Training configuration: the fields of a quantization-aware training job, their rules and their JSON.
//!
//! A quantizer reads `bits`, `ste_variant`, `granularity`, `pi_k`, `use_incoherence` and `symmetric`; the other fields are the trainer's
//! (loss weights, schedule, optimiser) and travel with it so that one file describes a run. The JSON is serde's
//! externally tagged form of [`QatConfig`], readable by every program that shares these names.

use crate::error::{Error, Value};
use crate::json::{self, Growing, Length};
use crate::ste::SteVariant;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Longest JSON text that is read; a configuration has some 500 bytes.
pub(crate) const MAX_JSON_LENGTH: usize = 1 << 20;

/// Which weights share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuantGranularity {
    /// One scale for the whole tensor.
    PerTensor,
    /// One scale per output channel.
    PerChannel,
    /// One scale per token: all but the last dimension.
    PerToken,
    /// One scale per block of consecutive weights.
    PerBlock {
        /// Weights in a block; at least 1.
        block_size: usize,
    },
}

/// Weights of the terms of a training loss. The quantizers do not read them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// Weight of the task loss; zero or more.
    pub lambda_task: f32,
    /// Weight of the distillation loss; zero or more.
    pub lambda_kd: f32,
    /// Weight of the reasoning loss; zero or more.
    pub lambda_reasoning: f32,
    /// Softmax temperature of the distillation loss; positive.
    pub kd_temperature: f32,
}

impl Default for LossWeights {
    fn default() -> Self {
        LossWeights { lambda_task: 1.0, lambda_kd: 0.5, lambda_reasoning: 0.2, kd_temperature: 3.0 }
    }
}

/// Everything that describes a quantization-aware training run.
///
/// Any value can be stored and parsed; [`QatConfig::validate`] says whether it makes sense. The `with_*` methods change one
/// field each and can be chained: `QatConfig::default().with_bits(3).with_pi_k(4)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QatConfig {
    /// Bits of a code: 2, 3, 4, 5 or 8; with `pi_k` 2 to 5.
    pub bits: u8,
    /// The straight-through estimator.
    pub ste_variant: SteVariant,
    /// Which weights share a scale.
    pub granularity: QuantGranularity,
    /// Weights of the loss terms.
    pub loss_weights: LossWeights,
    /// Passes over the training set; at least 1.
    pub epochs: usize,
    /// Step size of the optimiser; positive.
    pub learning_rate: f32,
    /// Divisor k of the step `alpha * PI / k`, 2 to 5; `None` for the uniform quantizer.
    pub pi_k: Option<u32>,
    /// Whether weights are rotated before they are quantized, see [`crate::Rotation`].
    pub use_incoherence: bool,
    /// Whether the zero point is fixed at 0.
    pub symmetric: bool,
    /// Passes before quantization starts.
    pub warmup_epochs: usize,
    /// Largest gradient norm, `None` for no clipping.
    pub grad_clip: Option<f32>,
    /// Weight decay of the optimiser.
    pub weight_decay: f32,
    /// Whether a teacher model is distilled.
    pub use_distillation: bool,
    /// Whether the teacher stays as it is.
    pub freeze_teacher: bool,
}

impl Default for QatConfig {
    fn default() -> Self {
        QatConfig {
            bits: 4,
            ste_variant: SteVariant::Standard,
            granularity: QuantGranularity::PerChannel,
            loss_weights: LossWeights::default(),
            epochs: 3,
            learning_rate: 1e-4,
            pi_k: None,
            use_incoherence: false,
            symmetric: true,
            warmup_epochs: 1,
            grad_clip: Some(1.0),
            weight_decay: 0.01,
            use_distillation: true,
            freeze_teacher: true,
        }
    }
}

impl QatConfig {
    /// The 3-bit pi configuration: k = 4, learned scale.
    pub fn piq3() -> Self {
        QatConfig { bits: 3, pi_k: Some(4), ste_variant: SteVariant::LearnedStepSize, ..Self::default() }
    }

    /// The 2-bit pi configuration: k = 3, learned scale, rows rotated.
    pub fn piq2() -> Self {
        QatConfig {
            bits: 2,
            pi_k: Some(3),
            ste_variant: SteVariant::LearnedStepSize,
            use_incoherence: true,
            ..Self::default()
        }
    }

    /// Changes `bits`.
    #[must_use]
    pub fn with_bits(mut self, bits: u8) -> Self {
        self.bits = bits;
        self
    }

    /// Changes `ste_variant`.
    #[must_use]
    pub fn with_ste_variant(mut self, ste_variant: SteVariant) -> Self {
        self.ste_variant = ste_variant;
        self
    }

    /// Changes `granularity`.
    #[must_use]
    pub fn with_granularity(mut self, granularity: QuantGranularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// Changes `loss_weights`.
    #[must_use]
    pub fn with_loss_weights(mut self, loss_weights: LossWeights) -> Self {
        self.loss_weights = loss_weights;
        self
    }

    /// Changes `epochs`.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Changes `learning_rate`.
    #[must_use]
    pub fn with_learning_rate(mut self, learning_rate: f32) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// Makes this a pi configuration with divisor `pi_k`.
    #[must_use]
    pub fn with_pi_k(mut self, pi_k: u32) -> Self {
        self.pi_k = Some(pi_k);
        self
    }

    /// Refuses a configuration that cannot be trained; the first field in the order below is named.
    ///
    /// `bits`, `pi_k`, `learning_rate`, `epochs`, `clip_val`, `lambda` or `delta`, `kd_temperature`, `loss_weights`, `block_size`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`].
    pub fn validate(&self) -> Result<(), Error> {
        self.check_bits()?;
        if let Some(k) = self.pi_k {
            require("pi_k", (2..=5).contains(&k), k, "2, 3, 4 or 5")?;
        }
        let rate = self.learning_rate;
        require("learning_rate", rate > 0.0 && rate.is_finite(), rate, "positive and finite")?;
        require("epochs", self.epochs > 0, self.epochs, "at least 1")?;
        if let Some((field, value, allowed)) = self.ste_variant.refused_parameter() {
            require(field, false, value, allowed)?;
        }
        let loss = &self.loss_weights;
        let temperature = loss.kd_temperature;
        require("kd_temperature", temperature > 0.0 && temperature.is_finite(), temperature, "positive and finite")?;
        for (field, weight) in [
            ("loss_weights.lambda_task", loss.lambda_task),
            ("loss_weights.lambda_kd", loss.lambda_kd),
            ("loss_weights.lambda_reasoning", loss.lambda_reasoning),
        ] {
            require(field, weight >= 0.0 && weight.is_finite(), weight, "zero or more, and finite")?;
        }
        if let QuantGranularity::PerBlock { block_size } = self.granularity {
            require("block_size", block_size > 0, block_size, "at least 1")?;
        }
        Ok(())
    }

    fn check_bits(&self) -> Result<(), Error> {
        let bits = u32::from(self.bits);
        require("bits", matches!(bits, 2..=5 | 8), bits, "2, 3, 4, 5 or 8")?;
        require("bits", !self.is_pi() || bits <= 5, bits, "2, 3, 4 or 5 with pi_k")
    }

    /// Number of codes, `2^bits`. Saturates for a `bits` that no quantizer takes.
    pub fn num_levels(&self) -> u32 {
        1u32.checked_shl(self.bits.into()).unwrap_or(u32::MAX)
    }

    /// Smallest and largest code, `-2^(bits-1)` and `2^(bits-1) - 1`. Saturates like [`QatConfig::num_levels`].
    pub fn code_range(&self) -> (i32, i32) {
        let half = (self.num_levels() / 2).min(1 << 30) as i32;
        (-half, half - 1)
    }

    /// Whether this describes a pi quantizer.
    pub fn is_pi(&self) -> bool {
        self.pi_k.is_some()
    }

    /// The step `alpha * PI / k`, `None` for a uniform configuration.
    pub fn pi_step(&self, alpha: f32) -> Option<f32> {
        self.pi_k.map(|k| alpha * std::f32::consts::PI / k as f32)
    }

    /// A planning figure for storage: bits of a code plus the reference's allowance for scales.
    ///
    /// The allowance is nothing per tensor, 1/8 bit per channel, 1/4 bit per token and one 16-bit scale per block.
    pub fn bits_per_weight(&self) -> f32 {
        let scales = match self.granularity {
            QuantGranularity::PerTensor => 0.0,
            QuantGranularity::PerChannel => 0.125,
            QuantGranularity::PerToken => 0.25,
            QuantGranularity::PerBlock { block_size } => 16.0 / block_size.max(1) as f32,
        };
        f32::from(self.bits) + scales
    }

    /// Quantization parameters (a scale and a zero point per group) of a tensor of `elements` weights in `channels`
    /// channels.
    ///
    /// A tensor of `elements` in `channels` has `elements / channels` tokens. A last, shorter block counts as one.
    pub fn params_per_elements(&self, elements: usize, channels: usize) -> usize {
        let groups = match self.granularity {
            QuantGranularity::PerTensor => 1,
            QuantGranularity::PerChannel => channels,
            QuantGranularity::PerToken => elements.div_ceil(channels.max(1)),
            QuantGranularity::PerBlock { block_size } => elements.div_ceil(block_size.max(1)),
        };
        groups.saturating_mul(2)
    }

    /// Reads a configuration. Unknown fields are ignored and absent ones refused, `pi_k` and `grad_clip` excepted.
    ///
    /// Values are not judged here: see [`QatConfig::validate`].
    ///
    /// # Errors
    /// [`Error::InvalidJson`] for text that is no such object or is longer than 1 MiB; [`Error::OutOfMemory`].
    pub fn from_json(json: &str) -> Result<Self, Error> {
        if json.len() > MAX_JSON_LENGTH {
            return Err(Self::too_long(json.len()));
        }
        json::read(json)
    }

    /// The refusal of a text of `length` bytes.
    pub(crate) fn too_long(length: usize) -> Error {
        json::refused(format_args!("{length} bytes; at most {MAX_JSON_LENGTH} are read"))
    }

    /// Writes the configuration, indented by two spaces.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when a field is NaN or infinite, which JSON cannot express; [`Error::OutOfMemory`].
    pub fn to_json(&self) -> Result<String, Error> {
        let mut text = Growing::default();
        self.write_json(&mut text)?;
        text.complete()
    }

    /// How many bytes [`write_json`](Self::write_json) writes.
    pub(crate) fn json_length(&self) -> Result<usize, Error> {
        let mut length = Length::default();
        self.write_json(&mut length)?;
        Ok(length.0)
    }

    /// [`to_json`](Self::to_json) into a writer. Allocates nothing, unless `to` does.
    pub(crate) fn write_json(&self, to: impl Write) -> Result<(), Error> {
        let (ste_field, ste_value) = match self.ste_variant {
            SteVariant::Clipped { clip_val } => ("clip_val", clip_val),
            SteVariant::Ewgs { lambda } => ("lambda", lambda),
            SteVariant::EwgsSigned { delta } => ("delta", delta),
            _ => ("ste_variant", 0.0),
        };
        for (field, value) in [
            (ste_field, ste_value),
            ("lambda_task", self.loss_weights.lambda_task),
            ("lambda_kd", self.loss_weights.lambda_kd),
            ("lambda_reasoning", self.loss_weights.lambda_reasoning),
            ("kd_temperature", self.loss_weights.kd_temperature),
            ("learning_rate", self.learning_rate),
            ("grad_clip", self.grad_clip.unwrap_or(0.0)),
            ("weight_decay", self.weight_decay),
        ] {
            require(field, value.is_finite(), value, "finite to be written as JSON")?;
        }
        json::write_pretty(to, self)
    }
}

/// An error that names `field` unless `holds`.
fn require(field: &'static str, holds: bool, value: impl Into<Value>, allowed: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidConfig { field, value: value.into(), allowed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_field(config: &QatConfig) -> &'static str {
        match config.validate() {
            Err(Error::InvalidConfig { field, .. }) => field,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn the_first_of_many_bad_fields_is_named() {
        let mut config = QatConfig::piq2();
        config.bits = 6;
        config.pi_k = Some(7);
        config.learning_rate = f32::NAN;
        config.epochs = 0;
        config.ste_variant = SteVariant::Clipped { clip_val: 0.0 };
        config.loss_weights.kd_temperature = -1.0;
        config.loss_weights.lambda_kd = f32::INFINITY;
        config.granularity = QuantGranularity::PerBlock { block_size: 0 };

        let mut order = Vec::new();
        loop {
            let field = refused_field(&config);
            order.push(field);
            match field {
                "bits" => config.bits = 3,
                "pi_k" => config.pi_k = Some(2),
                "learning_rate" => config.learning_rate = 0.1,
                "epochs" => config.epochs = 1,
                "clip_val" => config.ste_variant = SteVariant::Ewgs { lambda: -0.5 },
                "lambda" => config.ste_variant = SteVariant::Standard,
                "kd_temperature" => config.loss_weights.kd_temperature = 1.0,
                "loss_weights.lambda_kd" => config.loss_weights.lambda_kd = 0.0,
                "block_size" => break,
                other => panic!("unexpected field {other}"),
            }
        }
        let expected = [
            "bits",
            "pi_k",
            "learning_rate",
            "epochs",
            "clip_val",
            "lambda",
            "kd_temperature",
            "loss_weights.lambda_kd",
            "block_size",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn eight_bits_are_refused_for_pi_and_accepted_for_uniform() {
        assert_eq!(refused_field(&QatConfig::piq3().with_bits(8)), "bits");
        assert_eq!(QatConfig::default().with_bits(8).validate(), Ok(()));
    }

    #[test]
    fn the_smallest_that_makes_sense_is_accepted() {
        let granularity = QuantGranularity::PerBlock { block_size: 1 };
        let ste_variant = SteVariant::Ewgs { lambda: 0.0 };
        let loss_weights =
            LossWeights { lambda_task: 0.0, lambda_kd: 0.0, lambda_reasoning: 0.0, kd_temperature: 1e-45 };
        let config = QatConfig { granularity, ste_variant, loss_weights, ..QatConfig::default() };
        let config = QatConfig { bits: 2, epochs: 1, learning_rate: 1e-45, pi_k: Some(2), warmup_epochs: 0, ..config };
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn each_with_changes_its_field_and_no_other() {
        let default = QatConfig::default;
        let (ste_variant, granularity) = (SteVariant::Lsq, QuantGranularity::PerToken);
        let loss_weights = LossWeights { lambda_kd: 7.0, ..LossWeights::default() };
        assert_eq!(default().with_bits(3), QatConfig { bits: 3, ..default() });
        assert_eq!(default().with_ste_variant(ste_variant), QatConfig { ste_variant, ..default() });
        assert_eq!(default().with_granularity(granularity), QatConfig { granularity, ..default() });
        assert_eq!(default().with_loss_weights(loss_weights), QatConfig { loss_weights, ..default() });
        assert_eq!(default().with_epochs(9), QatConfig { epochs: 9, ..default() });
        assert_eq!(default().with_learning_rate(0.5), QatConfig { learning_rate: 0.5, ..default() });
        assert_eq!(default().with_pi_k(5), QatConfig { pi_k: Some(5), ..default() });
    }

    #[test]
    fn a_number_that_json_cannot_express_is_refused_by_name() {
        let default = QatConfig::default;
        let with_loss = |change: fn(&mut LossWeights)| {
            let mut config = default();
            change(&mut config.loss_weights);
            config
        };
        for (field, config) in [
            ("clip_val", default().with_ste_variant(SteVariant::Clipped { clip_val: f32::NAN })),
            ("lambda", default().with_ste_variant(SteVariant::Ewgs { lambda: f32::NAN })),
            ("delta", default().with_ste_variant(SteVariant::EwgsSigned { delta: f32::NAN })),
            ("lambda_task", with_loss(|loss| loss.lambda_task = f32::NAN)),
            ("lambda_kd", with_loss(|loss| loss.lambda_kd = f32::NAN)),
            ("lambda_reasoning", with_loss(|loss| loss.lambda_reasoning = f32::NAN)),
            ("kd_temperature", with_loss(|loss| loss.kd_temperature = f32::NAN)),
            ("learning_rate", default().with_learning_rate(f32::NAN)),
            ("grad_clip", QatConfig { grad_clip: Some(f32::NAN), ..default() }),
            ("weight_decay", QatConfig { weight_decay: f32::NAN, ..default() }),
        ] {
            let message = config.to_json().unwrap_err().to_string();
            assert!(message.contains(field) && message.contains("NaN"), "{field}: {message}");
        }
    }

    #[test]
    fn nesting_deeper_than_the_parser_allows_is_refused() {
        let hostile = format!("{{\"zzz\":{}", "[".repeat(100_000));
        assert!(matches!(QatConfig::from_json(&hostile), Err(Error::InvalidJson(_))));
    }

    #[test]
    fn text_longer_than_the_limit_is_refused_unread() {
        let long = " ".repeat(MAX_JSON_LENGTH + 1);
        let message = QatConfig::from_json(&long).unwrap_err().to_string();
        assert!(message.contains("1048577"), "{message}");
    }

    #[test]
    fn storage_figures_cover_every_granularity() {
        let figures = |granularity| {
            let config = QatConfig::default().with_granularity(granularity);
            (config.bits_per_weight(), config.params_per_elements(1000, 10))
        };
        assert_eq!(figures(QuantGranularity::PerTensor), (4.0, 2));
        assert_eq!(figures(QuantGranularity::PerChannel), (4.125, 20));
        assert_eq!(figures(QuantGranularity::PerToken), (4.25, 200));
        assert_eq!(figures(QuantGranularity::PerBlock { block_size: 64 }), (4.25, 32));
    }

    #[test]
    fn figures_of_bits_that_no_quantizer_takes_saturate() {
        let figures = |bits| {
            let config = QatConfig::default().with_bits(bits);
            (config.num_levels(), config.code_range())
        };
        assert_eq!(figures(30), (1 << 30, (-(1 << 29), (1 << 29) - 1)));
        assert_eq!(figures(31), (1 << 31, (-(1 << 30), (1 << 30) - 1)));
        for bits in [32, 33, 255] {
            assert_eq!(figures(bits), (u32::MAX, (-(1 << 30), (1 << 30) - 1)), "{bits}");
        }
    }
}
