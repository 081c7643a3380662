//! A decoded picture into upright 8-bit RGB, the same bytes as decord gives.
//!
//! swscale with plain `BICUBIC` at equal size does the conversion. No `accurate_rnd` and no `full_chroma_*`: they round
//! better, and differently from what the models have seen. The matrix and the range are those the frame is tagged
//! with; without a tag swscale's default matrix (BT.601) and limited range hold. Alpha is dropped, 10 bits and more
//! are rounded to 8 by swscale, pixels that are not square stay as they are stored.
//!
//! swscale chooses its code by the processor, and its codes round differently. From 4:2:0, FFmpeg 7.1 and 9.0 use SSSE3 where
//! there is SSSE3, and C elsewhere (up to 3 levels of 255 apart); 5.1 has MMX code too, with the bytes of SSSE3.
//!
//! What is approximated: PQ and HLG get the matrix only (no tone mapping), wide primaries are not mapped to sRGB, and a
//! display matrix that is no multiple of a right angle is ignored. Each is said once, in the clip's notes.

use std::ffi::c_int;

use ffmpeg_next::ffi;
use ffmpeg_next::frame;
use ffmpeg_next::software::scaling::Flags;

use super::error::VideoError;
use super::frame::RgbFrame;
use super::names::{is_rgb, pixel_format_name};
use super::orient::Orientation;

/// What a conversion depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Input {
    width: i32,
    height: i32,
    format: i32,
    matrix: u32,
    /// Full or limited, where the frame says so.
    full_range: Option<bool>,
}

/// Converts frames, one after the other; a frame with another size or format gets a new swscale context.
pub struct Converter {
    orientation: Orientation,
    scaler: Option<(Input, Scaler)>,
    rgb: frame::Video,
    upright: Vec<u8>,
}

impl Converter {
    /// A converter that also turns the picture as the container says.
    #[must_use]
    pub fn new(orientation: Orientation) -> Self {
        Self { orientation, scaler: None, rgb: frame::Video::empty(), upright: Vec::new() }
    }

    /// The RGB picture of `picture`, valid until the next call.
    ///
    /// # Errors
    /// When swscale does not know the pixel format.
    pub fn convert(&mut self, picture: &frame::Video) -> Result<RgbFrame<'_>, VideoError> {
        let input = describe(picture);
        if self.scaler.as_ref().is_none_or(|(known, _)| *known != input) {
            self.scaler = Some((input, Scaler::new(input)?));
            self.rgb =
                frame::Video::new(ffmpeg_next::format::Pixel::RGB24, input.width as u32, input.height as u32);
            // Without memory FFmpeg leaves the frame empty.
            if self.rgb.planes() == 0 {
                let what = format!("a picture of {}x{}", input.width, input.height);
                // The next picture must not find the scaler without its target.
                self.scaler = None;
                return Err(VideoError::Memory { what });
            }
        }
        let (width, height) = (input.width as usize, input.height as usize);
        if let Some((_, scaler)) = &self.scaler {
            scaler.run(picture, &mut self.rgb);
        }
        let rgb = RgbFrame::new(width, height, self.rgb.stride(0), self.rgb.data(0));
        if self.orientation.is_upright() {
            return Ok(rgb);
        }
        let (width, height) = self.orientation.turn(&rgb, &mut self.upright);
        Ok(RgbFrame::new(width, height, width * 3, &self.upright))
    }
}

/// Size, format and colour tags of a decoded frame.
fn describe(picture: &frame::Video) -> Input {
    // SAFETY: the frame is allocated for as long as `picture` is borrowed. The enums are read as the integers they are
    // in C, since a newer FFmpeg may set values that this binding has no variant for.
    unsafe {
        let raw = picture.as_ptr();
        let range = (&raw const (*raw).color_range).cast::<u32>().read();
        Input {
            width: (*raw).width,
            height: (*raw).height,
            format: (*raw).format,
            matrix: (&raw const (*raw).colorspace).cast::<u32>().read(),
            full_range: (range != ffi::AVColorRange::AVCOL_RANGE_UNSPECIFIED as u32)
                .then_some(range == ffi::AVColorRange::AVCOL_RANGE_JPEG as u32),
        }
    }
}

unsafe extern "C" {
    // As in `names`: with pixel formats as the integers that they are in a frame.
    fn sws_getContext(
        width: c_int,
        height: c_int,
        format: c_int,
        to_width: c_int,
        to_height: c_int,
        to_format: c_int,
        flags: c_int,
        from_filter: *mut ffi::SwsFilter,
        to_filter: *mut ffi::SwsFilter,
        parameters: *const f64,
    ) -> *mut ffi::SwsContext;
}

/// A swscale context.
struct Scaler(*mut ffi::SwsContext);

// SAFETY: the context is owned by this value alone and has no tie to the thread that made it.
unsafe impl Send for Scaler {}

impl Scaler {
    fn new(input: Input) -> Result<Self, VideoError> {
        let unsupported = || VideoError::Unsupported {
            what: format!("no conversion to RGB from pixel format {}", pixel_format_name(input.format)),
        };
        if input.width <= 0 || input.height <= 0 {
            return Err(unsupported());
        }
        // SAFETY: swscale refuses formats that it does not know; the pointers are null where it allows that; the context is
        // checked before use.
        let context = unsafe {
            sws_getContext(
                input.width,
                input.height,
                input.format,
                input.width,
                input.height,
                ffi::AVPixelFormat::AV_PIX_FMT_RGB24 as c_int,
                Flags::BICUBIC.bits(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        };
        if context.is_null() {
            return Err(unsupported());
        }
        let scaler = Self(context);
        if is_rgb(input.format) {
            // Deep RGB goes through YUV inside swscale, there and back by one matrix unless two are set.
            return Ok(scaler);
        }
        let (mut inverse, mut table) = (std::ptr::null_mut(), std::ptr::null_mut());
        let (mut from_full, mut to_full, mut brightness, mut contrast, mut saturation) = (0, 0, 0, 0, 0);
        // SAFETY: the context is alive, the locals outlive the calls, the tables are static in swscale. A negative
        // return means a format without a matrix, where there is nothing to set.
        unsafe {
            let details = ffi::sws_getColorspaceDetails(
                context,
                &mut inverse,
                &mut from_full,
                &mut table,
                &mut to_full,
                &mut brightness,
                &mut contrast,
                &mut saturation,
            );
            if details >= 0 {
                ffi::sws_setColorspaceDetails(
                    context,
                    ffi::sws_getCoefficients(input.matrix as i32),
                    input.full_range.map_or(from_full, i32::from),
                    table,
                    to_full,
                    brightness,
                    contrast,
                    saturation,
                );
            }
        }
        Ok(scaler)
    }

    fn run(&self, picture: &frame::Video, rgb: &mut frame::Video) {
        // SAFETY: both frames have the size and formats that the context was made for.
        unsafe {
            let (from, to) = (picture.as_ptr(), rgb.as_mut_ptr());
            ffi::sws_scale(
                self.0,
                (*from).data.as_ptr().cast(),
                (*from).linesize.as_ptr(),
                0,
                (*from).height,
                (*to).data.as_ptr(),
                (*to).linesize.as_ptr(),
            );
        }
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: the context came from `sws_getContext` and is freed once.
        unsafe { ffi::sws_freeContext(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffmpeg_next::color::Space;
    use ffmpeg_next::format::Pixel;

    #[test]
    fn deep_rgb_keeps_its_colours_whatever_matrix_it_is_tagged_with() {
        for space in [Space::RGB, Space::BT709, Space::Unspecified] {
            let mut picture = frame::Video::new(Pixel::GBRP16LE, 8, 8);
            picture.set_color_space(space);
            // Planes in the order green, blue, red.
            for (plane, level) in [(0, 0xc0), (1, 0x20), (2, 0x80)] {
                picture.data_mut(plane).fill(level);
            }
            let mut converter = Converter::new(Orientation::UPRIGHT);
            let rgb = converter.convert(&picture).expect("a known format").to_vec();
            for (got, want) in rgb.iter().zip([0x80u8, 0xc0, 0x20].iter().cycle()) {
                assert!(got.abs_diff(*want) <= 2, "{space:?}: {got} where {want} was");
            }
        }
    }
}
