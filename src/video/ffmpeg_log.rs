//! What FFmpeg says of a file, beyond its return codes.
//!
//! Much damage shows in its log alone: a Matroska reader that loses its place and goes on at the next cluster, a GIF decoder
//! that stops in the middle of a picture, a JPEG decoder that counts errors and hands the picture out. So the log is not
//! printed but listened to, at the level of errors, for the one demuxer and the one decoder that read the file.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, Once};

use crate::guard::lock;
use ffmpeg_next::ffi;

/// The first words of an error; nothing before it.
type Heard = Arc<Mutex<Option<String>>>;

/// Who is listened to: the address of FFmpeg's context, and where its words go.
static EARS: Mutex<Vec<(usize, Heard)>> = Mutex::new(Vec::new());

/// The longest line that is kept, in bytes.
const LONGEST: usize = 200;

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

/// Takes FFmpeg's log over from standard error, once and for all.
pub fn quiet() {
    static ONCE: Once = Once::new();
    // SAFETY: the callback is a function of this program, and FFmpeg may call it from any thread.
    ONCE.call_once(|| unsafe { av_log_set_callback(Some(hear)) });
}

/// Hears what one context of FFmpeg says for as long as this lives.
pub struct Ear {
    context: usize,
    heard: Heard,
}

impl Ear {
    /// Listens to the context at this address; a second one at the same address replaces the first.
    pub fn on<T>(context: *const T) -> Self {
        let (context, heard) = (context as usize, Heard::default());
        let mut ears = lock(&EARS);
        ears.retain(|(known, _)| *known != context);
        ears.push((context, heard.clone()));
        Self { context, heard }
    }

    /// The first error since the last time, in FFmpeg's words.
    pub fn take(&self) -> Option<String> {
        lock(&self.heard).take()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        lock(&EARS).retain(|(known, heard)| *known != self.context || !Arc::ptr_eq(heard, &self.heard));
    }
}

/// FFmpeg's log.
unsafe extern "C" fn hear(context: *mut c_void, level: c_int, format: *const c_char, values: *mut c_void) {
    if context.is_null() || level & 0xff > ffi::AV_LOG_ERROR {
        return;
    }
    let ears = lock(&EARS);
    let Some((_, heard)) = ears.iter().find(|(known, _)| *known == context as usize) else { return };
    let mut heard = lock(heard);
    if heard.is_some() {
        return;
    }
    let mut line: [c_char; LONGEST] = [0; LONGEST];
    let mut prefix = 0;
    // SAFETY: the arguments are those of FFmpeg's own call; the line is as long as said, and is terminated.
    let text = unsafe {
        av_log_format_line2(context, level, format, values, line.as_mut_ptr(), LONGEST as c_int, &mut prefix);
        CStr::from_ptr(line.as_ptr())
    };
    *heard = Some(text.to_string_lossy().trim().trim_end_matches('.').to_owned());
}
