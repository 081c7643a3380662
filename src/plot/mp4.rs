//! An animation as MP4, by the best encoder that the installed FFmpeg has: x264, another H.264 encoder, or MPEG-4.

use super::animation::{Animation, AnimationPicture};
use crate::mp4::{Mp4Encoder, Mp4Writer};
use ffmpeg_next::{self as ffmpeg, Dictionary, codec, color, encoder};

/// Pictures per second.
const RATE: i32 = 25;

/// Why the file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Mp4Error {
    /// The installed FFmpeg has none of the encoders.
    #[error("this FFmpeg has no H.264 or MPEG-4 encoder: install one with libx264, or write a .gif instead")]
    NoEncoder,
    /// FFmpeg refused.
    #[error("FFmpeg could not encode the animation: {0}")]
    Ffmpeg(#[from] ffmpeg::Error),
    /// The temporary file could not be made or read.
    #[error("the temporary file of the animation: {0}")]
    Io(#[from] std::io::Error),
    /// The animation has no picture.
    #[error("the animation is empty")]
    Empty,
}

/// The animation as an MP4 file's bytes, its index at the front so that it plays while it loads.
///
/// # Errors
/// See [`Mp4Error`].
pub fn mp4(animation: &Animation<'_>) -> Result<Vec<u8>, Mp4Error> {
    ffmpeg::init()?;
    // Otherwise the encoders print their statistics.
    ffmpeg::log::set_level(ffmpeg::log::Level::Error);
    // The index can only be moved to the front of a real file.
    let file = tempfile::Builder::new().prefix("lift-").suffix(".mp4").tempfile()?;
    let mut writer: Option<Mp4Writer> = None;
    animation.draw(f64::from(RATE), |AnimationPicture { image, seconds }| -> Result<(), Mp4Error> {
        let repeats = (seconds * f64::from(RATE)).round().max(1.0) as usize;
        let writer = match &mut writer {
            Some(writer) => writer,
            empty => {
                let encoder = encoder(image.dimensions())?;
                empty.insert(Mp4Writer::create(file.path(), encoder, ("movflags", "+faststart"))?)
            }
        };
        Ok((0..repeats).try_for_each(|_| writer.push(image.as_raw()))?)
    })?;
    writer.ok_or(Mp4Error::Empty)?.finish()?;
    Ok(std::fs::read(file.path())?)
}

/// The first encoder that takes pictures of `size`.
fn encoder(size: (u32, u32)) -> Result<Mp4Encoder, Mp4Error> {
    candidates().into_iter().find_map(|codec| open(codec, size).ok()).ok_or(Mp4Error::NoEncoder)
}

fn candidates() -> Vec<ffmpeg::Codec> {
    [
        encoder::find_by_name("libx264"),
        encoder::find_by_name("libopenh264"),
        encoder::find(codec::Id::H264),
        encoder::find(codec::Id::MPEG4),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn open(codec: ffmpeg::Codec, size: (u32, u32)) -> Result<Mp4Encoder, ffmpeg::Error> {
    Mp4Encoder::open(codec, size, RATE, codec::Flags::empty(), |video| {
        // What swscale's default matrix made of the RGB, so that players undo the same.
        video.set_colorspace(color::Space::SMPTE170M);
        video.set_color_range(color::Range::MPEG);
        // For the encoders without a constant-quality mode.
        video.set_bit_rate(2_000_000);
        let mut options = Dictionary::new();
        if codec.name() == "libx264" {
            options.set("preset", "medium");
            options.set("crf", "20");
        }
        options
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::samples::made_up;
    use crate::plot::{Half, Method, ProjectionSettings, project};
    use ffmpeg_next::{Rational, format};

    #[test]
    fn a_decoder_finds_every_picture() {
        let clip = made_up("Anything", 3, (64, 48));
        let settings = ProjectionSettings { method: Method::Pca, ..Default::default() };
        let projection = project(std::slice::from_ref(&clip), settings).unwrap();
        let animation = Animation::new(&clip, "Anything", &projection, &[Half::Features], 0.3);
        let bytes = match mp4(&animation) {
            Err(Mp4Error::NoEncoder) => return println!("skipped: this FFmpeg has no encoder for MP4"),
            other => other.unwrap(),
        };
        let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut input = format::input(file.path()).unwrap();
        let stream = input.streams().best(ffmpeg::media::Type::Video).unwrap();
        assert_eq!(stream.avg_frame_rate(), Rational(RATE, 1));
        let decoder =
            codec::Context::from_parameters(stream.parameters()).unwrap().decoder().video().unwrap();
        assert_eq!((decoder.width(), decoder.height()), (270, 154));
        // 100 steps of growing, and the last picture for 1.6 seconds.
        assert_eq!(input.packets().count(), 100 + 40);
    }
}
