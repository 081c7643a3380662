//! Frames into an MP4 file, by whatever encoder the installed FFmpeg has.
//!
//! Every frame is a key frame at one fixed quantiser. Prediction from the frame before would cost bits for
//! what comes into view and none for what goes out of it, so the size of the file would tell an opening door from a
//! closing one; coded alone, the same frames in the other order take the same bytes.

use std::path::Path;

use ffmpeg_next::{
    self as ffmpeg, Dictionary, Packet, Rational, codec, encoder, format, frame, software::scaling,
};

use super::Error;
use super::clip::FPS;

/// One encoder and what makes it code every frame alone at a fixed quantiser.
struct Recipe {
    encoder: &'static str,
    /// Frames between key frames, in the encoder's own counting.
    gop: u32,
    options: &'static [(&'static str, &'static str)],
    /// Fixed quantiser by FFmpeg's own flag, for encoders without an option for it.
    qscale: Option<i32>,
}

/// FFmpeg's `FF_QP2LAMBDA`: one step of quantiser in the units of `global_quality`.
const LAMBDA: i32 = 118;

/// In order of preference. All give files that `lift` and the authors' reader decode.
static RECIPES: [Recipe; 3] = [
    Recipe {
        encoder: "libx264",
        gop: 1,
        options: &[("preset", "veryfast"), ("qp", "27"), ("threads", "1")],
        qscale: None,
    },
    Recipe {
        encoder: "libvpx-vp9",
        gop: 0,
        options: &[
            ("deadline", "good"),
            ("cpu-used", "5"),
            ("crf", "32"),
            ("b", "0"),
            ("qmin", "32"),
            ("qmax", "32"),
            ("lag-in-frames", "0"),
            ("auto-alt-ref", "0"),
            ("threads", "1"),
        ],
        qscale: None,
    },
    Recipe { encoder: "mpeg4", gop: 0, options: &[("threads", "1")], qscale: Some(4 * LAMBDA) },
];

/// The encoder that the installed FFmpeg offers, the same one for every clip.
#[derive(Clone, Copy)]
pub struct Encoder(&'static Recipe);

impl Encoder {
    /// The first of the known encoders that opens at this size.
    ///
    /// # Errors
    /// `Error::NoEncoder` if none does.
    pub fn find(size: usize) -> Result<Self, Error> {
        ffmpeg::init().map_err(Error::Ffmpeg)?;
        // The encoders print statistics of every clip otherwise.
        ffmpeg::log::set_level(ffmpeg::log::Level::Error);
        RECIPES
            .iter()
            .find(|recipe| recipe.open(size, false).is_ok())
            .map(Self)
            .ok_or_else(|| Error::NoEncoder(RECIPES.iter().map(|r| r.encoder).collect::<Vec<_>>().join(", ")))
    }

    /// FFmpeg's name of it.
    pub fn name(&self) -> &'static str {
        self.0.encoder
    }

    /// Writes `size` x `size` RGB frames to `path`.
    ///
    /// # Errors
    /// Whatever FFmpeg reports, a full disk included.
    pub fn write(
        &self,
        path: &Path,
        size: usize,
        frames: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), Error> {
        self.mux(path, size, frames).map_err(|cause| Error::Encode { path: path.to_owned(), cause })
    }

    fn mux(
        &self,
        path: &Path,
        size: usize,
        frames: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), ffmpeg::Error> {
        let mut output = format::output_as(path, "mp4")?;
        let global = output.format().flags().contains(format::Flags::GLOBAL_HEADER);
        let mut encoder = self.0.open(size, global)?;
        let mut stream = output.add_stream(encoder::find_by_name(self.0.encoder))?;
        stream.set_parameters(&encoder);
        stream.set_time_base(tick());
        stream.set_avg_frame_rate(Rational(FPS, 1));
        // No version of the library and no time of day in the file.
        let mut options = Dictionary::new();
        options.set("fflags", "+bitexact");
        output.write_header_with(options)?;
        let scale = output.stream(0).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();

        let side = size as u32;
        let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND;
        let (rgb, yuv) = (format::Pixel::RGB24, format::Pixel::YUV420P);
        let mut converter = scaling::Context::get(rgb, side, side, yuv, side, side, flags)?;
        for (index, pixels) in frames.enumerate() {
            let mut source = frame::Video::new(rgb, side, side);
            let stride = source.stride(0);
            for (row, line) in pixels.chunks_exact(3 * size).enumerate() {
                source.data_mut(0)[row * stride..][..3 * size].copy_from_slice(line);
            }
            let mut picture = frame::Video::new(yuv, side, side);
            converter.run(&source, &mut picture)?;
            picture.set_pts(Some(index as i64));
            encoder.send_frame(&picture)?;
            drain(&mut encoder, &mut output, scale)?;
        }
        encoder.send_eof()?;
        drain(&mut encoder, &mut output, scale)?;
        output.write_trailer()
    }
}

/// One frame's time.
fn tick() -> Rational {
    Rational(1, FPS)
}

/// Moves every packet that is ready into the file.
fn drain(
    encoder: &mut encoder::video::Encoder,
    output: &mut format::context::Output,
    scale: Rational,
) -> Result<(), ffmpeg::Error> {
    let mut packet = Packet::empty();
    loop {
        match encoder.receive_packet(&mut packet) {
            Ok(()) => {
                packet.set_stream(0);
                packet.set_duration(1);
                packet.rescale_ts(tick(), scale);
                packet.write_interleaved(output)?;
            }
            Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Recipe {
    fn open(&self, size: usize, global_header: bool) -> Result<encoder::video::Encoder, ffmpeg::Error> {
        let found = encoder::find_by_name(self.encoder).ok_or(ffmpeg::Error::EncoderNotFound)?;
        let mut video = codec::Context::new_with_codec(found).encoder().video()?;
        video.set_width(size as u32);
        video.set_height(size as u32);
        video.set_format(format::Pixel::YUV420P);
        video.set_time_base(tick());
        video.set_frame_rate(Some(Rational(FPS, 1)));
        video.set_gop(self.gop);
        video.set_max_b_frames(0);
        let mut flags = codec::Flags::BITEXACT;
        if global_header {
            flags |= codec::Flags::GLOBAL_HEADER;
        }
        if let Some(quality) = self.qscale {
            flags |= codec::Flags::QSCALE;
            video.set_global_quality(quality);
        }
        video.set_flags(flags);
        let mut options = Dictionary::new();
        self.options.iter().for_each(|(key, value)| options.set(key, value));
        video.open_as_with(found, options)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clip::{Clip, FRAMES};
    use super::super::draw::Draw;
    use super::super::kinds::KINDS;
    use super::super::texture::Contrast;
    use super::*;

    /// Packets of the file, and its size in bytes.
    fn inspect(path: &Path) -> (usize, u64) {
        let mut input = format::input(path).unwrap();
        let packets = input.packets().filter(|(_, packet)| packet.is_key()).count();
        (packets, std::fs::metadata(path).unwrap().len())
    }

    #[test]
    fn the_order_of_the_frames_does_not_show_in_the_file() {
        Encoder::find(160).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for recipe in RECIPES.iter().filter(|recipe| recipe.open(160, false).is_ok()) {
            for kind in [&KINDS[2], &KINDS[7]] {
                let [forward, reverse] = [false, true].map(|reverse| {
                    let mut draw = Draw::named("order");
                    let clip = Clip::random(&mut draw, kind, kind.nouns[0], Contrast::Salient, reverse);
                    let path = folder.path().join(format!("{}-{reverse}.mp4", recipe.encoder));
                    Encoder(recipe).write(&path, 160, clip.frames(160)).unwrap();
                    inspect(&path)
                });
                assert_eq!((forward.0, reverse.0), (FRAMES, FRAMES), "{}", recipe.encoder);
                let apart = forward.1.abs_diff(reverse.1);
                assert!(apart <= 64, "{}: {} and {} bytes", recipe.encoder, forward.1, reverse.1);
            }
        }
    }
}
