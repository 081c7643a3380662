//! `lift`: a compact, time-aware embedding of a video.
//!
//! The map of the house, from the commands down to plain data; imports run one way, downwards: commands over pipeline over
//! models and video over rows.

pub mod bench;
pub mod cia;
pub mod cli;
pub mod embed;
pub mod exit;
pub mod guard;
pub mod inputs;
pub mod kernels;
pub mod model;
pub mod plot;
pub mod rows;
pub mod synth;
pub mod train;
pub mod video;
pub mod weights;
