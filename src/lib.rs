//! `lift`: a compact, time-aware embedding of a video.
//!
//! The map of the house; imports run one way, downwards:
//!
//! - [`cli`]: the commands, their flags and reports; [`exit`] has what they end with
//! - [`embed`], [`train`], [`cia`], [`plot`], [`synth`], [`mod@bench`]: what they do
//! - [`model`], [`weights`], [`kernels`]: the networks, where their numbers come from, and the CPU's inner loops
//! - [`video`], [`inputs`]: frames, and the list of files they come from
//! - [`rows`]: what is written and read back; [`guard`] stands around what may panic

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
