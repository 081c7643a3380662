//! FFmpeg's log, kept by the demuxer or decoder that wrote it.
//!
//! Much damage shows in the log alone: a Matroska demuxer that loses its place and goes on at the next cluster, a GIF decoder
//! that stops in the middle of a picture, a JPEG decoder that counts errors and hands the picture out. So the log is not
//! printed; the errors of the one demuxer and the one decoder that read a file are kept until they are asked for. What each
//! means for the pictures is decided by [`super::log_lines`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, Once};

use ffmpeg_next::ffi;

use crate::guard::lock;

/// The lines of one context that were not taken yet.
type Lines = Arc<Mutex<Vec<String>>>;

/// Every context whose log is kept: its address in FFmpeg, and its lines.
static KEPT: Mutex<Vec<(usize, Lines)>> = Mutex::new(Vec::new());

/// The longest line that is kept, in bytes.
const LONGEST: usize = 200;

/// The most different lines that are kept of a context at a time.
pub const MOST_LINES: usize = 64;

/// How FFmpeg's H.264 decoder begins a line, no error to it, about pictures that the numbering says are missing.
pub const FRAME_GAP: &str = "Frame num gap";

unsafe extern "C" {
    // A `va_list` is a pointer where it is passed on, on every platform; its type has another name on each.
    fn av_log_set_callback(
        callback: Option<unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut c_void)>,
    );
    fn av_log_format_line2(
        context: *mut c_void,
        level: c_int,
        format: *const c_char,
        values: *mut c_void,
        line: *mut c_char,
        size: c_int,
        prefix: *mut c_int,
    ) -> c_int;
}

/// Directs FFmpeg's log away from standard error, for the rest of the process.
pub fn redirect() {
    static ONCE: Once = Once::new();
    // SAFETY: the callback is a function of this program, and FFmpeg may call it from any thread.
    ONCE.call_once(|| unsafe { av_log_set_callback(Some(keep)) });
}

/// The log of one FFmpeg context, kept for as long as this value lives.
pub struct ContextLog {
    context: usize,
    lines: Lines,
}

impl ContextLog {
    /// Begins to keep the log of the context at this address; an earlier value for the same address keeps nothing more.
    pub fn of<T>(context: *const T) -> Self {
        let (context, lines) = (context as usize, Lines::default());
        let mut kept = lock(&KEPT);
        kept.retain(|(known, _)| *known != context);
        kept.push((context, lines.clone()));
        Self { context, lines }
    }

    /// Takes the lines since the last call, each once, in FFmpeg's words: errors, and lines that begin with [`FRAME_GAP`].
    /// Of more than [`MOST_LINES`] different ones the rest is lost.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.lines))
    }
}

impl Drop for ContextLog {
    fn drop(&mut self) {
        lock(&KEPT).retain(|(known, lines)| *known != self.context || !Arc::ptr_eq(lines, &self.lines));
    }
}

/// What FFmpeg calls for each line of its log, of whatever level.
unsafe extern "C" fn keep(context: *mut c_void, level: c_int, format: *const c_char, values: *mut c_void) {
    let level = level & 0xff;
    if context.is_null() || format.is_null() || level > ffi::AV_LOG_DEBUG {
        return;
    }
    // SAFETY: a format is a string that ends in a zero.
    let is_gap = || unsafe { CStr::from_ptr(format) }.to_bytes().starts_with(FRAME_GAP.as_bytes());
    if level > ffi::AV_LOG_ERROR && !is_gap() {
        return;
    }
    let kept = lock(&KEPT);
    let Some((_, lines)) = kept.iter().find(|(known, _)| *known == context as usize) else { return };
    let mut lines = lock(lines);
    if lines.len() >= MOST_LINES {
        return;
    }
    let mut line: [c_char; LONGEST] = [0; LONGEST];
    let mut prefix = 0;
    // SAFETY: the arguments are those of FFmpeg's own call; the line is as long as said, and is terminated.
    let text = unsafe {
        av_log_format_line2(context, level, format, values, line.as_mut_ptr(), LONGEST as c_int, &mut prefix);
        CStr::from_ptr(line.as_ptr())
    };
    let text = text.to_string_lossy().trim().trim_end_matches('.').to_owned();
    if !lines.contains(&text) {
        lines.push(text);
    }
}
