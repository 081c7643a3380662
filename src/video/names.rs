//! FFmpeg's names for its numbers.
//!
//! Some of these numbers stand in the file: Matroska's reader hands a colour tag on as it finds it, whether or not a standard knows
//! it. The binding's enumerations have no room for such a value, and a Rust `enum` must never hold one, so the numbers are
//! read as the integers they are in C and the functions are declared here to take them.

use std::ffi::{CStr, c_char, c_int};

use ffmpeg_next::ffi;

unsafe extern "C" {
    fn av_color_space_name(space: c_int) -> *const c_char;
    fn av_color_range_name(range: c_int) -> *const c_char;
    fn av_color_primaries_name(primaries: c_int) -> *const c_char;
    fn av_color_transfer_name(transfer: c_int) -> *const c_char;
    fn av_get_pix_fmt_name(format: c_int) -> *const c_char;
    fn av_pix_fmt_desc_get(format: c_int) -> *const ffi::AVPixFmtDescriptor;
}

/// A copy of a C string that FFmpeg keeps for ever; `None` for a null pointer.
pub fn static_text(text: *const c_char) -> Option<String> {
    // SAFETY: not null, and FFmpeg's name functions return static, terminated strings.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// A stream's colour tags, as its container or its codec has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Colour {
    /// The YUV matrix.
    pub space: Option<String>,
    /// `tv` (limited) or `pc` (full).
    pub range: Option<String>,
    /// The primaries.
    pub primaries: Option<String>,
    /// The transfer curve.
    pub transfer: Option<String>,
}

impl Colour {
    /// The tags of a stream; `None` for those that it lacks or that FFmpeg has no name for.
    ///
    /// # Safety
    /// `parameters` points to parameters that live over the call.
    pub unsafe fn of(parameters: *const ffi::AVCodecParameters) -> Self {
        // SAFETY: the parameters are alive; the fields are enumerations of C, which are as wide as its integers. The functions
        // take any integer.
        unsafe {
            let space = (&raw const (*parameters).color_space).cast::<c_int>().read();
            let range = (&raw const (*parameters).color_range).cast::<c_int>().read();
            let primaries = (&raw const (*parameters).color_primaries).cast::<c_int>().read();
            let transfer = (&raw const (*parameters).color_trc).cast::<c_int>().read();
            Self {
                space: tag(av_color_space_name(space)),
                range: tag(av_color_range_name(range)),
                primaries: tag(av_color_primaries_name(primaries)),
                transfer: tag(av_color_transfer_name(transfer)),
            }
        }
    }
}

fn tag(name: *const c_char) -> Option<String> {
    static_text(name).filter(|name| name != "unknown")
}

/// FFmpeg's name of a pixel format.
#[must_use]
pub fn pixel_format_name(format: i32) -> String {
    // SAFETY: the function takes any integer and returns a static string or null.
    static_text(unsafe { av_get_pix_fmt_name(format) }).unwrap_or_else(|| format!("number {format}"))
}

/// Whether a pixel format holds red, green and blue as such.
pub fn is_rgb(format: i32) -> bool {
    // SAFETY: the function takes any integer and returns null or a static description.
    unsafe {
        let description = av_pix_fmt_desc_get(format);
        !description.is_null() && (*description).flags & ffi::AV_PIX_FMT_FLAG_RGB as u64 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_name_is_told_as_a_number() {
        for format in [-1, i32::MIN, 100_000] {
            assert_eq!(pixel_format_name(format), format!("number {format}"));
            assert!(!is_rgb(format));
        }
        assert_eq!(pixel_format_name(0), "yuv420p");
    }
}
