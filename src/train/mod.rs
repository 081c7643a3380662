//! Training LiFT on the features of frames, without labels.
//!
//! [`Run`] is the loop; [`Settings`] are the numbers that decide its result; [`Clips`] is what it reads. A run is a function of
//! these three: nothing random is drawn in an order, so it can be stopped anywhere and gone on with, bit for bit.

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
pub use log::{LOG, Record, read as read_log};
pub use loss::{LossValues, LossWeights};
pub use params::Params;
pub use run::{Embed, End, Probe, Rows, Run, Watcher};
pub use schedule::PlateauConfig;
pub use settings::{ModelShape, Settings};

use adam::Adam;
use checkpoint::Progress;
use dropout::Seeded;
use loss::Losses;
use schedule::Plateau;

#[cfg(test)]
mod parity;
