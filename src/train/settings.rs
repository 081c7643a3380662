//! Every number of a run that decides its result, kept with its checkpoints.

use serde::{Deserialize, Serialize};

use super::{AdamConfig, LossWeights, PlateauConfig, TrainError};
use crate::model::lift;

/// The shape of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelShape {
    /// Width of a frame's feature `D`; the features decide.
    pub feature: usize,
    /// Width of each code `W`.
    pub latent: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Attention heads per layer.
    pub heads: usize,
    /// Hidden width of the encoder's feed-forward.
    pub hidden: usize,
    /// Hidden width of the decoder.
    pub decoder_hidden: usize,
    /// Most frames the position table has.
    pub max_len: usize,
}

impl ModelShape {
    /// As the model knows it.
    pub fn config(&self) -> lift::LiftConfig {
        let Self { feature, latent, layers, heads, hidden, decoder_hidden, max_len } = *self;
        lift::LiftConfig { feature, latent, layers, heads, hidden, decoder_hidden, max_len }
    }
}

impl From<&lift::LiftConfig> for ModelShape {
    fn from(config: &lift::LiftConfig) -> Self {
        let lift::LiftConfig { feature, latent, layers, heads, hidden, decoder_hidden, max_len } = *config;
        Self { feature, latent, layers, heads, hidden, decoder_hidden, max_len }
    }
}

/// What a run computes. The defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The shape of the model.
    pub model: ModelShape,
    /// Clips per step.
    pub batch: usize,
    /// The first learning rate.
    pub lr: f64,
    /// The optimiser.
    pub adam: AdamConfig,
    /// The schedule.
    pub plateau: PlateauConfig,
    /// The loss.
    pub loss: LossWeights,
    /// The probability of an activation to be dropped.
    pub dropout: f64,
    /// Decides weights, order and dropout.
    pub seed: u64,
}

impl Settings {
    /// The paper's numbers for a model of this shape.
    pub fn new(model: &lift::LiftConfig) -> Self {
        Self {
            model: model.into(),
            batch: 128,
            lr: 1e-4,
            adam: AdamConfig::default(),
            plateau: PlateauConfig::default(),
            loss: LossWeights::default(),
            dropout: 0.1,
            seed: 0,
        }
    }

    /// Refuses what cannot be trained.
    ///
    /// # Errors
    /// `TrainError::Settings` with the first fault.
    pub fn check(&self) -> Result<(), TrainError> {
        let Self { model, batch, lr, dropout, adam, plateau, loss, .. } = self;
        let unit = |value: f64| (0.0..1.0).contains(&value);
        let fault = if model.latent == 0 || model.heads == 0 || model.latent % model.heads != 0 {
            format!(
                "a latent width of {} cannot be shared by {} heads: choose a multiple",
                model.latent, model.heads
            )
        } else if model.latent % 2 == 1 {
            format!("a latent width of {} is odd: positions are sine and cosine in pairs", model.latent)
        } else if [model.layers, model.hidden, model.decoder_hidden, *batch].contains(&0) {
            "layers, hidden widths and clips per step are at least 1".to_string()
        } else if !(lr.is_finite() && *lr > 0.0) {
            format!("the learning rate {lr} is not above 0")
        } else if !unit(*dropout) || !unit(adam.beta1) || !unit(adam.beta2) || !unit(plateau.factor) {
            "dropout, the two betas and the factor of the rate lie between 0 and 1, 1 excluded".to_string()
        } else if [adam.eps, adam.weight_decay, plateau.min_lr, loss.reconstruction, loss.orthogonality]
            .iter()
            .any(|value| !(value.is_finite() && *value >= 0.0))
        {
            "epsilon, weight decay, the least rate and the weights of the loss are not negative".to_string()
        } else {
            return Ok(());
        };
        Err(TrainError::Settings(fault))
    }

    /// What differs between these settings and others, a line each, as `name: here, there`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let flat = |settings: &Self| {
            let mut pairs = Vec::new();
            flatten("", &serde_json::json!(settings), &mut pairs);
            pairs
        };
        let pairs = flat(self).into_iter().zip(flat(other)).filter(|(a, b)| a != b);
        pairs.map(|((name, here), (_, there))| format!("{name}: {here}, {there}")).collect()
    }
}

fn flatten(prefix: &str, value: &serde_json::Value, pairs: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, pairs);
            }
        }
        other => pairs.push((prefix.to_string(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named() {
        let good = Settings::new(&lift::LiftConfig::new(384, 384, 64));
        assert!(good.check().is_ok());
        let mut heads = good.clone();
        heads.model.heads = 7;
        assert!(heads.check().unwrap_err().to_string().contains("7 heads"));
        assert!(Settings { lr: f64::NAN, ..good.clone() }.check().is_err());
        assert!(Settings { dropout: 1.0, ..good.clone() }.check().is_err());
        assert!(Settings { batch: 0, ..good }.check().is_err());
    }

    #[test]
    fn differences_are_named() {
        let good = Settings::new(&lift::LiftConfig::new(384, 384, 64));
        let mut other = Settings { lr: 2e-4, ..good.clone() };
        other.adam.beta1 = 0.8;
        assert_eq!(good.differences(&other), ["adam.beta1: 0.9, 0.8", "lr: 0.0001, 0.0002"]);
        assert!(good.differences(&good).is_empty());
    }
}
