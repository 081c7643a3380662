//! An animation as MP4, by the best encoder that the installed FFmpeg has: x264, another H.264 encoder, or MPEG-4.

use super::animation::{Animation, AnimationPicture};
use ffmpeg_next::software::scaling;
use ffmpeg_next::{self as ffmpeg, Dictionary, Packet, Rational, codec, color, encoder, format, frame};
use image::RgbImage;
use std::path::Path;

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
    let mut writer: Option<Writer> = None;
    animation.draw(f64::from(RATE), |AnimationPicture { image, seconds }| -> Result<(), Mp4Error> {
        let repeats = (seconds * f64::from(RATE)).round().max(1.0) as usize;
        let writer = match &mut writer {
            Some(writer) => writer,
            empty => empty.insert(Writer::start(file.path(), image.dimensions())?),
        };
        Ok((0..repeats).try_for_each(|_| writer.push(&image))?)
    })?;
    writer.ok_or(Mp4Error::Empty)?.finish()?;
    Ok(std::fs::read(file.path())?)
}

struct Writer {
    output: format::context::Output,
    encoder: encoder::video::Encoder,
    converter: scaling::Context,
    size: (u32, u32),
    next: i64,
}

impl Writer {
    fn start(path: &Path, size: (u32, u32)) -> Result<Self, Mp4Error> {
        let mut output = format::output_as(path, "mp4")?;
        let global = output.format().flags().contains(format::Flags::GLOBAL_HEADER);
        let (codec, encoder) = candidates()
            .into_iter()
            .find_map(|codec| Some((codec, open(codec, size, global).ok()?)))
            .ok_or(Mp4Error::NoEncoder)?;
        let mut stream = output.add_stream(codec)?;
        stream.set_parameters(&encoder);
        stream.set_time_base(Rational(1, RATE));
        stream.set_avg_frame_rate(Rational(RATE, 1));
        let mut options = Dictionary::new();
        options.set("movflags", "+faststart");
        output.write_header_with(options)?;
        let (rgb, yuv) = (format::Pixel::RGB24, format::Pixel::YUV420P);
        let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND;
        let converter = scaling::Context::get(rgb, size.0, size.1, yuv, size.0, size.1, flags)?;
        Ok(Self { output, encoder, converter, size, next: 0 })
    }

    fn push(&mut self, image: &RgbImage) -> Result<(), ffmpeg::Error> {
        let (w, h) = self.size;
        let mut source = frame::Video::new(format::Pixel::RGB24, w, h);
        let stride = source.stride(0);
        let row_bytes = w as usize * 3;
        for (row, line) in image.as_raw().chunks_exact(row_bytes).take(h as usize).enumerate() {
            source.data_mut(0)[row * stride..][..row_bytes].copy_from_slice(line);
        }
        let mut picture = frame::Video::new(format::Pixel::YUV420P, w, h);
        self.converter.run(&source, &mut picture)?;
        picture.set_pts(Some(self.next));
        self.next += 1;
        self.encoder.send_frame(&picture)?;
        self.drain()
    }

    fn finish(mut self) -> Result<(), ffmpeg::Error> {
        self.encoder.send_eof()?;
        self.drain()?;
        self.output.write_trailer()
    }

    /// Moves every packet that is ready into the file.
    fn drain(&mut self) -> Result<(), ffmpeg::Error> {
        let base = self.output.stream(0).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    packet.set_duration(1);
                    packet.rescale_ts(Rational(1, RATE), base);
                    packet.write_interleaved(&mut self.output)?;
                }
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
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

fn open(
    codec: ffmpeg::Codec,
    (w, h): (u32, u32),
    global: bool,
) -> Result<encoder::video::Encoder, ffmpeg::Error> {
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(w);
    video.set_height(h);
    video.set_format(format::Pixel::YUV420P);
    video.set_time_base(Rational(1, RATE));
    video.set_frame_rate(Some(Rational(RATE, 1)));
    // The matrix that swscale uses by default for RGB, so that players convert back with the same.
    video.set_colorspace(color::Space::SMPTE170M);
    video.set_color_range(color::Range::MPEG);
    // For encoders without a constant-quality mode.
    video.set_bit_rate(2_000_000);
    if global {
        video.set_flags(codec::Flags::GLOBAL_HEADER);
    }
    let mut options = Dictionary::new();
    if codec.name() == "libx264" {
        options.set("preset", "medium");
        options.set("crf", "20");
    }
    video.open_as_with(codec, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::samples::made_up;
    use crate::plot::{Half, Method, ProjectionSettings, project};

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
