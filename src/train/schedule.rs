//! The learning rate's schedule, torch's `ReduceLROnPlateau`: it lowers the rate once the loss has stopped falling.

use serde::{Deserialize, Serialize};

use super::exact;

/// A loss counts as better below this share of the best (torch's relative `threshold`, 1e-4).
const BETTER: f64 = 1.0 - 1e-4;

/// A smaller change of the rate is not made (torch's `eps`).
const SMALLEST: f64 = 1e-8;

/// When and by how much the rate is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateauConfig {
    /// What the rate is multiplied by.
    pub factor: f64,
    /// Epochs without a better loss before the rate is lowered.
    pub patience: u64,
    /// The lowest rate.
    pub min_lr: f64,
}

impl Default for PlateauConfig {
    fn default() -> Self {
        Self { factor: 0.5, patience: 5, min_lr: 0.0 }
    }
}

/// The state of the schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The rate of the next steps.
    #[serde(with = "exact")]
    pub lr: f64,
    #[serde(with = "exact")]
    best: f64,
    bad_epochs: u64,
}

impl Plateau {
    /// The state before the first epoch.
    pub fn new(lr: f64) -> Self {
        Self { lr, best: f64::INFINITY, bad_epochs: 0 }
    }

    /// Updates the state with the loss of an epoch.
    pub fn step(&mut self, loss: f64, config: &PlateauConfig) {
        if loss < self.best * BETTER {
            self.best = loss;
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs > config.patience {
            self.bad_epochs = 0;
            let lower = (self.lr * config.factor).max(config.min_lr);
            if self.lr - lower > SMALLEST {
                self.lr = lower;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_halves_after_six_bad_epochs() {
        // As torch 2.15 does with these losses, rate 0.1: five bad epochs change nothing, the sixth halves the rate.
        let mut plateau = Plateau::new(0.1);
        let config = PlateauConfig::default();
        let rates: Vec<f64> = [1.0, 0.9, 0.9, 0.89999, 0.95, 0.9, 0.9, 0.9, 0.5]
            .into_iter()
            .map(|loss| {
                plateau.step(loss, &config);
                plateau.lr
            })
            .collect();
        assert_eq!(rates, [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05]);
    }

    #[test]
    fn its_json_reads_back_equal() {
        let mut plateau = Plateau::new(1e-4 / 3.0);
        assert_eq!(
            serde_json::from_str::<Plateau>(&serde_json::to_string(&plateau).unwrap()).unwrap(),
            plateau
        );
        plateau.step(0.1 + 0.2, &PlateauConfig::default());
        assert_eq!(
            serde_json::from_str::<Plateau>(&serde_json::to_string(&plateau).unwrap()).unwrap(),
            plateau
        );
    }
}
