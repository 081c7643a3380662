//! A video file into upright RGB frames, chosen as the authors choose them and ready for the model.
//!
//! In the order data flows: `source` gives the bytes, `demux` has the container (`open` opens it, `tracks` tells which track of an
//! MP4 only accompanies another), `damage` compares its declared sizes with the file (`riff` those of an AVI, `flv` the tags of an
//! FLV), `gather` reads the packets (`index_only` by the container's index, `bitstream` and `av1` tell what is in
//! one), [`probe()`] makes an `index`
//! of them, `clock` has the times at which frames are shown, `sample` chooses frames (`keyframes` key frames in their place),
//! `shortcuts` decides what need not be decoded (`costs` estimates what that saves, `work` counts what was done), `decode` gets the
//! frames out (`alone` key frames by themselves; `decoder` is what it tells FFmpeg's, `groups` decodes on several threads, `count` has
//! what only the decoder can count), `convert` makes RGB of them, `orient` turns them upright, [`transform`] resizes and
//! crops. [`Video`] holds a file open through all of it. `ffmpeg_log` keeps what FFmpeg logs meanwhile, and `log_lines` decides what
//! that means for the pictures; `names` has FFmpeg's names.
//!
//! The file's headers are not believed where packets can be counted, and no frame is ever made up: a video that cannot
//! be read as asked fails with a [`VideoError`] that says why and what to try.

mod alone;
mod av1;
mod bitstream;
mod clock;
mod convert;
mod costs;
mod count;
mod damage;
mod decode;
mod decoder;
mod demux;
mod error;
mod ffmpeg_log;
mod flv;
mod frame;
mod gather;
mod gif;
mod groups;
mod index;
mod index_only;
mod keyframes;
mod log_lines;
mod names;
mod open;
mod orient;
mod probe;
mod reader;
mod riff;
mod sample;
mod shortcuts;
mod sizes;
mod source;
mod tracks;
pub mod transform;
mod work;

#[cfg(test)]
mod tests;

pub use decode::Strategy;
pub use error::VideoError;
pub use frame::RgbFrame;
pub use probe::{VideoInfo, probe};
pub use reader::{Clip, ClipInfo, Video, read_clip, read_transformed};
pub use sample::{Chosen, RangeBy, Request, Sampling, Span, Window};
pub use work::Work;
