//! Opening a container: FFmpeg recognises its format in the bytes, reads its header and finds out about its streams.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::{Error as FfError, ffi};

use super::damage::{lost_end, still_picture};
use super::error::VideoError;
use super::ffmpeg_log::ContextLog;
use super::names::static_text;
use super::source;

/// Demuxers that make pictures out of anything, such as a text file.
const NOT_VIDEO: [&str; 3] = ["tty", "bin", "idf"];

/// Demuxers whose files only say where the video is; some of them wait for what is to come.
const REFERRING: [&str; 10] =
    ["hls", "concat", "dash", "webm_dash_manifest", "imf", "image2", "sdp", "rtsp", "rtp", "sap"];

/// The largest picture that is decoded to find out what a stream is: 11,585 pixels square.
const PROBED_PIXELS: u64 = 1 << 27;

/// What it means that FFmpeg cannot open the file.
fn not_media(path: &Path) -> impl Fn(i32) -> VideoError {
    move |code| {
        if code == ffi::AVERROR(libc::ENOMEM) {
            return VideoError::Memory { what: "its header".into() };
        }
        // From FFmpeg 7.1 on, a playlist is recognised by its extension too, and is else taken for what its name says.
        if is_playlist(path) {
            return VideoError::Refers { format: "hls".into() };
        }
        if let Some(format) = still_picture(path) {
            return VideoError::NoVideoStream { found: format!("a still picture, {format}") };
        }
        match lost_end(path) {
            Some(sign) => VideoError::Truncated { sign, hopeless: true },
            None => VideoError::NotMedia { cause: FfError::from(code).to_string() },
        }
    }
}

/// `avformat_open_input` and the reading of the streams' parameters.
pub fn open_input(reader: source::Reader, path: &Path) -> Result<(Input, ContextLog), VideoError> {
    let (mut input, log) = open_context(reader, path, 0)?;
    let result = find_streams(&mut input);
    if result < 0 { Err(not_media(path)(result)) } else { Ok((input, log)) }
}

/// `avformat_open_input`, with these flags of its context besides the usual ones.
pub fn open_context(
    reader: source::Reader,
    path: &Path,
    flags: i32,
) -> Result<(Input, ContextLog), VideoError> {
    let not_media = not_media(path);
    let mut io = StreamIo::from_read_seek(reader).map_err(|error| not_media(error.into()))?;
    let format = recognise(&mut io, path).map_err(&not_media)?;
    // SAFETY: the format is one of FFmpeg's own, which live for ever.
    let name = static_text(unsafe { (*format).name }).unwrap_or_default();
    if NOT_VIDEO.contains(&name.as_str()) {
        return Err(VideoError::NotMedia { cause: "it looks like plain text".into() });
    }
    if name.split(',').any(|name| REFERRING.contains(&name)) {
        return Err(VideoError::Refers { format: name });
    }
    let mut options = ffmpeg_next::Dictionary::new();
    // Some demuxers open a second context by themselves; this holds for it too.
    options.set("protocol_whitelist", "none");
    // SAFETY: the context is checked before use and owns neither the bytes, which `Input` takes over beside it, nor the
    // format; `options` is taken over and given back for freeing; on failure FFmpeg has freed the context, not the bytes.
    let (result, log) = unsafe {
        let mut raw = ffi::avformat_alloc_context();
        if raw.is_null() {
            return Err(not_media(ffi::AVERROR(libc::ENOMEM)));
        }
        let log = ContextLog::of(raw);
        (*raw).pb = io.as_mut_ptr();
        (*raw).io_open = Some(open_nothing);
        (*raw).flags |= flags;
        let mut options = options.disown();
        let result = ffi::avformat_open_input(&mut raw, c"".as_ptr(), format, &mut options);
        drop(ffmpeg_next::Dictionary::own(options));
        (if result < 0 { Err(result) } else { Ok(raw) }, log)
    };
    // SAFETY: the context is open and nobody else owns it, nor the bytes it reads.
    Ok((unsafe { Input::wrap_with_custom_io(result.map_err(not_media)?, io) }, log))
}

/// The format that FFmpeg recognises in the bytes, or its error code.
///
/// Of the name it gets the extension alone, which decides where the bytes do not.
fn recognise(io: &mut StreamIo, path: &Path) -> Result<*const ffi::AVInputFormat, i32> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let plain = extension.chars().all(|c| c.is_ascii_alphanumeric());
    let named =
        CString::new(if plain { format!("x.{extension}") } else { String::new() }).unwrap_or_default();
    let mut probe = |name: &CStr| {
        let mut format = std::ptr::null();
        // SAFETY: the bytes are open at their start, where FFmpeg leaves them; the name lives over the call.
        let result = unsafe {
            ffi::av_probe_input_buffer2(
                io.as_mut_ptr(),
                &mut format,
                name.as_ptr(),
                std::ptr::null_mut(),
                0,
                0,
            )
        };
        if result < 0 { Err(result) } else { Ok(format) }
    };
    let format = probe(&named)?;
    // SAFETY: the format is one of FFmpeg's own, which live for ever.
    let by_name = static_text(unsafe { (*format).name }).is_some_and(|name| name == "image2");
    // The one that goes by a picture's extension, and would look for the next one.
    if by_name { probe(c"") } else { Ok(format) }
}

/// Whether the file begins as a playlist for HLS. From 7.1 on FFmpeg recognises one under no extension but its own.
fn is_playlist(path: &Path) -> bool {
    let mut head = [0; 7];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && &head == b"#EXTM3U"
}

/// `avformat_find_stream_info`, which decodes pictures where the header does not tell enough: none larger than
/// [`PROBED_PIXELS`], whatever a header of thirty bytes asks for.
fn find_streams(input: &mut Input) -> libc::c_int {
    let most = CString::new(PROBED_PIXELS.to_string()).unwrap_or_default();
    let mut options = vec![std::ptr::null_mut(); input.nb_streams() as usize];
    // SAFETY: the input is open; there is a dictionary for each stream it has now, freed after the call; the strings live
    // over the calls, which copy them.
    unsafe {
        for one in &mut options {
            ffi::av_dict_set(one, c"max_pixels".as_ptr(), most.as_ptr(), 0);
        }
        let all = if options.is_empty() { std::ptr::null_mut() } else { options.as_mut_ptr() };
        let result = ffi::avformat_find_stream_info(input.as_mut_ptr(), all);
        options.iter_mut().for_each(|one| ffi::av_dict_free(one));
        result
    }
}

/// What FFmpeg calls to open another file.
unsafe extern "C" fn open_nothing(
    _: *mut ffi::AVFormatContext,
    _: *mut *mut ffi::AVIOContext,
    _: *const libc::c_char,
    _: libc::c_int,
    _: *mut *mut ffi::AVDictionary,
) -> libc::c_int {
    ffi::AVERROR(libc::EPERM)
}
