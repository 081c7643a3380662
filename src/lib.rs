//! `lift`: a compact, time-aware embedding of a video.
//!
//! The crate's layers. A line imports itself and the lines below it, never one above.
//!
//! - [`cli`]: the commands: a file each with its flags, its checks and its report
//! - [`exit`]: the exit codes, and the errors that end a run
//! - [`mod@bench`], [`train`], [`cia`]: measuring speed, training LiFT, the Chirality in Action benchmark
//! - [`embed`]: the pipeline from videos to rows
//! - [`plot`], [`synth`]: figures, and drawn clips
//! - [`dataset`]: a folder of parts that a run of any length fills
//! - [`rows`]: one row, one array, one file of rows, and a file per format
//! - [`weights`]: where the networks' numbers come from
//! - [`model`]: the networks
//! - [`kernels`]: the inner loops on the CPU
//! - [`video`], [`inputs`]: frames, and the list of files they come from
//! - [`files`]: files that appear whole or not at all, their errors, names that are safe to show
//! - [`guard`], [`bicubic`]: panics of libraries as errors, locks; the kernel that resamples pictures and position tables
//!
//! A new figure of `lift plot`: copy `src/plot/similarity.rs`, declare it in `src/plot/mod.rs`, and add a line to the list in
//! `src/plot/figures.rs`.

pub mod bench;
pub mod bicubic;
pub mod cia;
pub mod cli;
pub mod dataset;
pub mod embed;
pub mod exit;
pub mod files;
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
