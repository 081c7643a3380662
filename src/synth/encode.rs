//! Writes frames into an MP4 file, by the first of some encoders that the installed FFmpeg has.
//!
//! Every frame is a key frame with one fixed quantiser. Prediction from the frame before would need bits for what comes into
//! view and none for what leaves it, so the size of the file would tell an opening door from a closing one. Key frames take
//! the same bytes in either order.

use std::path::Path;

use ffmpeg_next::{self as ffmpeg, Dictionary, codec, encoder};

use super::SynthError;
use super::clip::FPS;
use crate::mp4::{Mp4Encoder, Mp4Writer};

/// One encoder and the settings by which every frame is a key frame with a fixed quantiser.
struct Recipe {
    encoder: &'static str,
    /// Frames between key frames, as the encoder counts them.
    gop: u32,
    options: &'static [(&'static str, &'static str)],
    /// A fixed quantiser by FFmpeg's general flag, for encoders without an option for it.
    qscale: Option<i32>,
}

/// FFmpeg's `FF_QP2LAMBDA`: one step of the quantiser in units of `global_quality`.
const LAMBDA: i32 = 118;

/// The encoders in order of preference. `lift` and the authors' reader decode the files of all.
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

/// The encoder that is used for every clip.
#[derive(Clone, Copy)]
pub struct ClipEncoder(&'static Recipe);

impl ClipEncoder {
    /// The first of the known encoders that opens at this size.
    ///
    /// # Errors
    /// `SynthError::NoEncoder` if none does.
    pub fn find(size: usize) -> Result<Self, SynthError> {
        ffmpeg::init().map_err(SynthError::Ffmpeg)?;
        // Otherwise the encoders print statistics of every clip.
        ffmpeg::log::set_level(ffmpeg::log::Level::Error);
        RECIPES.iter().find(|recipe| recipe.open(size).is_ok()).map(Self).ok_or_else(|| {
            SynthError::NoEncoder(RECIPES.iter().map(|r| r.encoder).collect::<Vec<_>>().join(", "))
        })
    }

    /// FFmpeg's name of the encoder.
    pub fn name(&self) -> &'static str {
        self.0.encoder
    }

    /// Writes `size` x `size` RGB frames to `path`.
    ///
    /// # Errors
    /// FFmpeg's error, for example of a full disk.
    pub fn write(
        &self,
        path: &Path,
        size: usize,
        frames: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), SynthError> {
        self.encode(path, size, frames).map_err(|cause| SynthError::Encode { path: path.to_owned(), cause })
    }

    fn encode(
        &self,
        path: &Path,
        size: usize,
        frames: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), ffmpeg::Error> {
        // Keeps the library's version and the time of day out of the file.
        let mut writer = Mp4Writer::create(path, self.0.open(size)?, ("fflags", "+bitexact"))?;
        for pixels in frames {
            writer.push(&pixels)?;
        }
        writer.finish()
    }
}

impl Recipe {
    fn open(&self, size: usize) -> Result<Mp4Encoder, ffmpeg::Error> {
        let found = encoder::find_by_name(self.encoder).ok_or(ffmpeg::Error::EncoderNotFound)?;
        let quality = if self.qscale.is_some() { codec::Flags::QSCALE } else { codec::Flags::empty() };
        let side = size as u32;
        Mp4Encoder::open(found, (side, side), FPS, codec::Flags::BITEXACT | quality, |video| {
            video.set_gop(self.gop);
            video.set_max_b_frames(0);
            if let Some(quality) = self.qscale {
                video.set_global_quality(quality);
            }
            let mut options = Dictionary::new();
            self.options.iter().for_each(|(key, value)| options.set(key, value));
            options
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::clip::{FRAMES, SynthClip};
    use super::super::draw::Draw;
    use super::super::kinds::KINDS;
    use super::super::{Contrast, Style};
    use super::*;

    /// Key frames of the file, and its size in bytes.
    fn inspect(path: &Path) -> (usize, u64) {
        let mut input = ffmpeg::format::input(path).unwrap();
        let packets = input.packets().filter(|(_, packet)| packet.is_key()).count();
        (packets, std::fs::metadata(path).unwrap().len())
    }

    #[test]
    fn the_order_of_the_frames_does_not_show_in_the_file() {
        ClipEncoder::find(160).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for recipe in RECIPES.iter().filter(|recipe| recipe.open(160).is_ok()) {
            for kind in [&KINDS[2], &KINDS[7]] {
                let [forward, reverse] = [false, true].map(|reverse| {
                    let mut draw = Draw::named("order");
                    let (contrast, style) = (Contrast::Salient, Style::Plain);
                    let clip = SynthClip::random(&mut draw, kind, kind.nouns[0], contrast, style, reverse);
                    let path = folder.path().join(format!("{}-{reverse}.mp4", recipe.encoder));
                    ClipEncoder(recipe).write(&path, 160, clip.frames(160)).unwrap();
                    inspect(&path)
                });
                assert_eq!((forward.0, reverse.0), (FRAMES, FRAMES), "{}", recipe.encoder);
                let apart = forward.1.abs_diff(reverse.1);
                assert!(apart <= 64, "{}: {} and {} bytes", recipe.encoder, forward.1, reverse.1);
            }
        }
    }
}
