//! A video file into upright RGB frames, chosen as the authors choose them and ready for the model.
//!
//! In the order data flows: `source` gives the bytes, `demux` opens the container, `damage` compares its declared sizes with the file, [`probe()`]
//! counts the packets, `sample` chooses frames, `decode` gets them out, `convert` makes RGB of them, `orient` turns
//! them upright, [`transform`] resizes and crops. [`Video`] holds a file open through all of it, `names` has FFmpeg's words.
//!
//! The file's headers are not believed where packets can be counted, and no frame is ever made up: a video that cannot
//! be read as asked fails with a [`VideoError`] that says why and what to try.

mod convert;
mod damage;
mod decode;
mod demux;
mod error;
mod ffmpeg_log;
mod frame;
mod gif;
mod names;
mod orient;
mod probe;
mod reader;
mod sample;
mod source;
pub mod transform;

#[cfg(test)]
mod tests;

pub use decode::Strategy;
pub use error::VideoError;
pub use frame::RgbFrame;
pub use probe::{VideoInfo, probe};
pub use reader::{Clip, ClipInfo, Video, read_clip, read_transformed};
pub use sample::{Request, Sampling, Span, Window};
