//! The numbers that decide the result of a run; they are stored with its checkpoints.

use serde::{Deserialize, Serialize};

use super::{AdamConfig, LossWeights, PlateauConfig, TrainError};
use crate::model::lift;

/// The numbers that decide the result of a run. The defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// The shape of the model.
    pub model: lift::LiftConfig,
    /// Clips per step.
    pub batch: usize,
    /// The initial learning rate.
    pub lr: f64,
    /// The optimiser.
    pub adam: AdamConfig,
    /// The learning rate's schedule.
    pub plateau: PlateauConfig,
    /// The loss.
    pub loss: LossWeights,
    /// The probability that an activation is dropped.
    pub dropout: f64,
    /// The seed of initial weights, order of clips and dropout.
    pub seed: u64,
}

impl TrainSettings {
    /// The paper's numbers for a model of this shape.
    pub fn new(model: &lift::LiftConfig) -> Self {
        Self {
            model: model.clone(),
            batch: 128,
            lr: 1e-4,
            adam: AdamConfig::default(),
            plateau: PlateauConfig::default(),
            loss: LossWeights::default(),
            dropout: 0.1,
            seed: 0,
        }
    }

    /// Refuses settings that cannot be trained.
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
            format!(
                "a latent width of {} is odd: it must be even, because positions are pairs of sine and cosine",
                model.latent
            )
        } else if [model.layers, model.hidden, model.decoder_hidden, *batch].contains(&0) {
            "layers, hidden widths and clips per step must be at least 1".to_string()
        } else if !(lr.is_finite() && *lr > 0.0) {
            format!("the learning rate must be above 0, not {lr}")
        } else if !unit(*dropout) || !unit(adam.beta1) || !unit(adam.beta2) || !unit(plateau.factor) {
            "dropout, the two betas and the plateau factor must be from 0 to below 1".to_string()
        } else if [adam.eps, adam.weight_decay, plateau.min_lr, loss.reconstruction, loss.orthogonality]
            .iter()
            .any(|value| !(value.is_finite() && *value >= 0.0))
        {
            "epsilon, weight decay, the lowest learning rate and the weights of the loss must not be negative"
                .to_string()
        } else {
            return Ok(());
        };
        Err(TrainError::Settings(fault))
    }

    /// The differences between these settings and others, each as `name: here, there`.
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
        let good = TrainSettings::new(&lift::LiftConfig::new(384, 384, 64));
        assert!(good.check().is_ok());
        let mut heads = good.clone();
        heads.model.heads = 7;
        assert!(heads.check().unwrap_err().to_string().contains("7 heads"));
        assert!(TrainSettings { lr: f64::NAN, ..good.clone() }.check().is_err());
        assert!(TrainSettings { dropout: 1.0, ..good.clone() }.check().is_err());
        assert!(TrainSettings { batch: 0, ..good }.check().is_err());
    }

    #[test]
    fn differences_are_named() {
        let good = TrainSettings::new(&lift::LiftConfig::new(384, 384, 64));
        let mut other = TrainSettings { lr: 2e-4, ..good.clone() };
        other.adam.beta1 = 0.8;
        assert_eq!(good.differences(&other), ["adam.beta1: 0.9, 0.8", "lr: 0.0001, 0.0002"]);
        assert!(good.differences(&good).is_empty());
    }
}
