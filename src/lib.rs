//! `lift`: a compact, time-aware embedding of a video.
//!
//! The crate's layers. A line imports itself and the lines below it, never one above; `tests/it/layers.rs` reads
//! this list and checks every import against it.
//!
//! - [`cli`]: the commands: a file each with its flags, its checks and its report
//! - [`exit`]: the exit codes, and the errors that end a run
//! - [`map`]: a collection in two dimensions, as a picture and as a page
//! - [`search`]: the clips of a collection that are most similar to a query
//! - [`probe`]: a linear probe for labels of any number of classes
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
//! - [`guard`], [`later`], [`bicubic`], [`vector`], [`mp4`]: panics of libraries as errors, locks; values that a thread makes while
//!   other work goes on; the kernel that resamples pictures and position tables; lengths of vectors; pictures into an MP4 file
//! - [`threads`]: how many threads compute what
//!
//! To add something new, copy one file and add one line to a list:
//!
//! - an output format: copy `src/rows/formats/jsonl.rs`, add its line to `FORMATS` in `src/rows/formats/mod.rs`
//! - a family of frame encoders: copy `src/weights/families/siglip.rs`, add its line to `FAMILIES` in `mod.rs` there
//! - a figure of `lift plot`: copy `src/plot/similarity.rs`, declare it in `src/plot/mod.rs`, add its line to the list in
//!   `src/plot/figures.rs`
//! - a topic of `lift help`: write `assets/help/NAME.md`, add its name to `TOPICS` in `src/cli/help.rs`

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
pub mod later;
pub mod map;
pub mod model;
pub mod mp4;
pub mod plot;
pub mod probe;
pub mod rows;
pub mod search;
pub mod synth;
pub mod threads;
pub mod train;
pub mod vector;
pub mod video;
pub mod weights;
