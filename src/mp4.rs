//! RGB pictures into an MP4 file, by an encoder of the installed FFmpeg.
//!
//! The caller chooses the encoder and its settings ([`Mp4Encoder::open`]); [`Mp4Writer`] converts, encodes and writes.

use std::path::Path;

use ffmpeg_next::{
    self as ffmpeg, Dictionary, Packet, Rational, codec, encoder, format, frame, software::scaling,
};

/// An opened encoder of 4:2:0 pictures.
pub struct Mp4Encoder {
    codec: ffmpeg::Codec,
    encoder: encoder::video::Encoder,
    size: (u32, u32),
    rate: i32,
}

impl Mp4Encoder {
    /// Opens `codec` for pictures of `size` (width and height in pixels), `rate` per second, with these `flags` besides those
    /// that an MP4 file needs. `set` makes further settings and gives the encoder's own options.
    ///
    /// # Errors
    /// FFmpeg's: the encoder does not take these settings.
    pub fn open(
        codec: ffmpeg::Codec,
        size: (u32, u32),
        rate: i32,
        flags: codec::Flags,
        set: impl FnOnce(&mut encoder::video::Video) -> Dictionary<'static>,
    ) -> Result<Self, ffmpeg::Error> {
        let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
        video.set_width(size.0);
        video.set_height(size.1);
        video.set_format(format::Pixel::YUV420P);
        video.set_time_base(Rational(1, rate));
        video.set_frame_rate(Some(Rational(rate, 1)));
        // An MP4 file has the parameter sets once, in its header.
        video.set_flags(flags | codec::Flags::GLOBAL_HEADER);
        let options = set(&mut video);
        Ok(Self { codec, encoder: video.open_as_with(codec, options)?, size, rate })
    }
}

/// An MP4 file being written.
pub struct Mp4Writer {
    output: format::context::Output,
    encoder: encoder::video::Encoder,
    converter: scaling::Context,
    size: (u32, u32),
    tick: Rational,
    next: i64,
}

impl Mp4Writer {
    /// Begins the file at `path`; `option` is a name and a value for FFmpeg's writer of MP4 files.
    ///
    /// # Errors
    /// FFmpeg's: the file cannot be written.
    pub fn create(path: &Path, encoder: Mp4Encoder, option: (&str, &str)) -> Result<Self, ffmpeg::Error> {
        let Mp4Encoder { codec, encoder, size, rate } = encoder;
        let mut output = format::output_as(path, "mp4")?;
        let tick = Rational(1, rate);
        let mut stream = output.add_stream(codec)?;
        stream.set_parameters(&encoder);
        stream.set_time_base(tick);
        stream.set_avg_frame_rate(Rational(rate, 1));
        let mut options = Dictionary::new();
        options.set(option.0, option.1);
        output.write_header_with(options)?;
        let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND;
        let (rgb, yuv) = (format::Pixel::RGB24, format::Pixel::YUV420P);
        let converter = scaling::Context::get(rgb, size.0, size.1, yuv, size.0, size.1, flags)?;
        Ok(Self { output, encoder, converter, size, tick, next: 0 })
    }

    /// Adds a picture: RGB bytes, row-major.
    ///
    /// # Errors
    /// FFmpeg's: encoding or writing failed.
    pub fn push(&mut self, rgb: &[u8]) -> Result<(), ffmpeg::Error> {
        let (width, height) = self.size;
        let mut source = frame::Video::new(format::Pixel::RGB24, width, height);
        let (stride, row_bytes) = (source.stride(0), width as usize * 3);
        for (row, line) in rgb.chunks_exact(row_bytes).take(height as usize).enumerate() {
            source.data_mut(0)[row * stride..][..row_bytes].copy_from_slice(line);
        }
        let mut picture = frame::Video::new(format::Pixel::YUV420P, width, height);
        self.converter.run(&source, &mut picture)?;
        picture.set_pts(Some(self.next));
        self.next += 1;
        self.encoder.send_frame(&picture)?;
        self.write_packets()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// FFmpeg's: encoding or writing failed.
    pub fn finish(mut self) -> Result<(), ffmpeg::Error> {
        self.encoder.send_eof()?;
        self.write_packets()?;
        self.output.write_trailer()
    }

    /// Writes every packet that the encoder has ready.
    fn write_packets(&mut self) -> Result<(), ffmpeg::Error> {
        let base = self.output.stream(0).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    packet.set_duration(1);
                    packet.rescale_ts(self.tick, base);
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
