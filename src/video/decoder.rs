//! What a decoder is told beside its packets, and what a picture tells that it gave.

use ffmpeg_next::{Error as FfError, decoder, ffi, frame};

use super::error::VideoError;
use super::index::NO_TIME;

/// Tells the decoder whether to leave out the pictures of its next packet that no other picture refers to.
pub fn skip_unreferenced(decoder: &mut decoder::Video, skip: bool) {
    let discard = if skip { ffi::AVDiscard::AVDISCARD_NONREF } else { ffi::AVDiscard::AVDISCARD_DEFAULT };
    // SAFETY: the context is open and ours; its one thread, or its threads for slices, read the field when the next packet comes.
    unsafe { (*decoder.as_mut_ptr()).skip_frame = discard };
}

/// Fails if FFmpeg ran out of memory while it did `what`: that is no fault of the file.
pub fn memory(error: FfError, what: &str) -> Result<(), VideoError> {
    if error == (FfError::Other { errno: libc::ENOMEM }) {
        return Err(VideoError::Memory { what: what.into() });
    }
    Ok(())
}

/// Whether a decoded frame refers to no other.
pub fn is_intra(picture: &frame::Video) -> bool {
    // SAFETY: the frame was just filled by the decoder; the enum is read as the integer it is in C.
    let kind = unsafe { (&raw const (*picture.as_ptr()).pict_type).cast::<u32>().read() };
    kind == ffi::AVPictureType::AV_PICTURE_TYPE_I as u32
}

/// A decoded frame's time, and whether it is whole.
pub fn judge(picture: &frame::Video) -> (i64, bool) {
    // SAFETY: the frame was just filled by the decoder.
    unsafe {
        let raw = picture.as_ptr();
        let time = if (*raw).pts == NO_TIME { (*raw).best_effort_timestamp } else { (*raw).pts };
        let whole = (*raw).flags & ffi::AV_FRAME_FLAG_CORRUPT == 0 && (*raw).decode_error_flags == 0;
        (time, whole)
    }
}
