//! Training LiFT on the features of frames, without labels.
//!
//! [`Run`] is the loop, [`TrainSettings`] are the numbers that decide its result, and [`Clips`] is what it reads. The result
//! is a function of settings and clips: random numbers depend on their place and not on an order of drawing. So a run can be
//! stopped at any step and resumed to the same bits.

mod adam;
mod checkpoint;
mod clips;
pub mod curves;
mod dropout;
mod error;
mod exact;
mod log;
mod loss;
mod params;
mod random;
mod run;
mod schedule;
mod settings;
mod step;

pub use adam::AdamConfig;
pub use checkpoint::{BEST, LAST, STATE};
pub use clips::{Clips, split};
pub use error::TrainError;
pub use log::{LOG, LogRecord, flags_in_force, read as read_log};
pub use loss::{LossValues, LossWeights};
pub use params::Params;
pub use run::{ClipSubset, EmbedFn, End, ProbeFn, Run, Watcher};
pub use schedule::PlateauConfig;
pub use settings::TrainSettings;

use adam::Adam;
use checkpoint::TrainProgress;
use dropout::Seeded;
use loss::Losses;
use schedule::Plateau;

#[cfg(test)]
mod parity;
