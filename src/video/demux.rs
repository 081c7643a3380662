//! An open container and its best video stream: packets out, seeking, no decoding.
//!
//! FFmpeg reads the file through [`super::source`] and opens nothing itself: any name works, none is taken for a protocol or
//! a pattern, and what a playlist names stays unread. Its log is not printed: the lines about this file are kept
//! ([`super::ffmpeg_log`]), and what they mean is reported once.

use std::path::Path;
use std::sync::{Arc, Once};

use ffmpeg_next::codec::{Parameters, decoder};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::packet::{Mut as _, Ref as _, side_data};
use ffmpeg_next::{Error as FfError, Packet, Rational, Stream, ffi};

use super::bitstream::Syntax;
use super::damage::declared_sizes;
use super::error::VideoError;
use super::ffmpeg_log::{self, ContextLog};
use super::open::open_input;
use super::orient::Orientation;
use super::source::{self, Watch};
use super::tracks;

/// A container open at one of its video streams.
pub struct Demuxer {
    pub(super) input: Input,
    pub(super) stream: usize,
    pub(super) watch: Arc<Watch>,
    pub(super) log: ContextLog,
}

/// What a read gave.
pub enum Read {
    /// A packet of the video stream.
    Video,
    /// A packet of another stream.
    Other,
    /// The end of the file.
    End,
}

impl Demuxer {
    /// Opens `path` at its best video stream; attached pictures (cover art) do not count.
    ///
    /// # Errors
    /// When the file cannot be read, is no media file, or has no video stream.
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        static WORDS: Once = Once::new();
        WORDS.call_once(ffmpeg_next::util::error::register_all);
        ffmpeg_log::redirect();
        let (reader, watch) = source::open(path)?;
        let opened = open_input(reader, path).and_then(|(mut input, log)| {
            let stream =
                best_stream(&mut input, path).map_err(|error| match declared_sizes(path).missing() {
                    Some(sign) => VideoError::Truncated { sign, hopeless: true },
                    None => error,
                })?;
            Ok((input, log, stream))
        });
        // A read that failed explains whatever FFmpeg made of it.
        watch.check()?;
        let (input, log, stream) = opened?;
        let mut demuxer = Self { input, stream, watch, log };
        let name = demuxer.container();
        demuxer.drop_other_streams(name.starts_with("mov,"));
        Ok(demuxer)
    }

    /// The errors that FFmpeg reported about the container since it was opened or since the last call, in its words.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.take()
    }

    /// The file under it.
    pub fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Tells the demuxer whether to spend time on the streams beside the video.
    pub fn drop_other_streams(&mut self, drop: bool) {
        let keep = self.stream;
        for (i, mut stream) in self.input.streams_mut().enumerate() {
            let discard = if drop && i != keep {
                ffi::AVDiscard::AVDISCARD_ALL
            } else {
                ffi::AVDiscard::AVDISCARD_DEFAULT
            };
            // SAFETY: the stream belongs to the open input.
            unsafe { (*stream.as_mut_ptr()).discard = discard };
        }
    }

    /// Reads the next packet into `packet`, whose former contents go.
    ///
    /// # Errors
    /// FFmpeg's error where it is not the plain end of the file.
    pub fn read(&mut self, packet: &mut Packet) -> Result<Read, FfError> {
        // SAFETY: the packet is a valid one; unreferencing leaves it empty.
        unsafe { ffi::av_packet_unref(packet.as_mut_ptr()) };
        match packet.read(&mut self.input) {
            Ok(()) if packet.stream() == self.stream => Ok(Read::Video),
            Ok(()) => Ok(Read::Other),
            Err(FfError::Eof) => Ok(Read::End),
            Err(error) => Err(error),
        }
    }

    /// Seeks to the key frame at or before `timestamp`, in the video stream's time base, as well as the container can.
    ///
    /// # Errors
    /// When the container cannot seek.
    pub fn seek(&mut self, timestamp: i64) -> Result<(), FfError> {
        let flags = ffi::AVSEEK_FLAG_BACKWARD;
        // SAFETY: the input is open and the stream index is one of its own.
        let result =
            unsafe { ffi::av_seek_frame(self.input.as_mut_ptr(), self.stream as i32, timestamp, flags) };
        if result < 0 { Err(FfError::from(result)) } else { Ok(()) }
    }

    /// Opens a decoder for the video stream with so many threads (0: FFmpeg's choice), for pictures of so many pixels.
    ///
    /// # Errors
    /// When this FFmpeg has no decoder for it or the decoder refuses the stream's parameters.
    pub fn decoder(&self, threads: usize, max_pixels: Option<u64>) -> Result<decoder::Video, VideoError> {
        let unsupported = |error: FfError| VideoError::Unsupported {
            what: format!("no decoder opens the codec {} ({error})", self.codec()),
        };
        let mut context =
            ffmpeg_next::codec::Context::from_parameters(self.parameters()).map_err(unsupported)?;
        context.set_threading(ffmpeg_next::threading::Config::count(threads));
        // Threads share a picture's slices, never pictures: with one thread a picture FFmpeg's H.264 decoder does not report
        // errors, and a cut stream would pass for a whole one.
        // SAFETY: the context is not open yet; this field may then be set.
        unsafe { (*context.as_mut_ptr()).thread_type = ffi::FF_THREAD_SLICE };
        if let Some(most) = max_pixels {
            // A stream may grow on its way, beyond what its header says.
            // SAFETY: the context is not open yet; this field may then be set.
            unsafe { (*context.as_mut_ptr()).max_pixels = i64::try_from(most).unwrap_or(i64::MAX) };
        }
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(self.time_base());
        decoder.video().map_err(unsupported)
    }

    /// The container's short name(s) as FFmpeg lists them.
    pub fn container(&self) -> String {
        self.input.format().name().to_owned()
    }

    /// The codec's name.
    pub fn codec(&self) -> String {
        self.parameters().id().name().to_owned()
    }

    /// What the container says of the codec.
    pub fn parameters(&self) -> Parameters {
        self.stream().parameters()
    }

    /// How the bytes of the packets are to be read.
    pub fn syntax(&self) -> Syntax {
        let parameters = self.parameters();
        // SAFETY: the parameters are alive, and where the pointer is not null it has `extradata_size` bytes behind it.
        let extradata = unsafe {
            let raw = parameters.as_ptr();
            match usize::try_from((*raw).extradata_size) {
                Ok(size) if !(*raw).extradata.is_null() => std::slice::from_raw_parts((*raw).extradata, size),
                _ => &[],
            }
        };
        Syntax::new(parameters.id(), extradata)
    }

    /// Whether the stream's pictures are, or may be, coded as two fields.
    pub fn may_have_fields(&self) -> bool {
        // SAFETY: the parameters are alive; the enum is read as the integer it is in C.
        let order = unsafe { (&raw const (*self.parameters().as_ptr()).field_order).cast::<u32>().read() };
        order > ffi::AVFieldOrder::AV_FIELD_PROGRESSIVE as u32
    }

    /// The unit of the stream's times.
    pub fn time_base(&self) -> Rational {
        self.stream().time_base()
    }

    /// Whether the container's format lets its clock jump, as a broadcast's does.
    pub fn clock_may_jump(&self) -> bool {
        // SAFETY: the input is open, and so has a format.
        unsafe { (*(*self.input.as_ptr()).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
    }

    /// Whether the codec says that pictures may be shown in another order than they are decoded.
    pub fn may_reorder(&self) -> bool {
        // SAFETY: the parameters are alive.
        unsafe { (*self.parameters().as_ptr()).video_delay > 0 }
    }

    /// Frames per second on average, as the container says or FFmpeg measured; `None` if neither.
    pub fn average_rate(&self) -> Option<f64> {
        let stream = self.stream();
        [stream.avg_frame_rate(), stream.rate()]
            .into_iter()
            .find(|rate| rate.numerator() > 0 && rate.denominator() > 0)
            .map(f64::from)
    }

    /// The whole file's duration in seconds, where a header declares it (not where FFmpeg measured or guessed it).
    pub fn declared_duration(&self) -> Option<f64> {
        // SAFETY: the input is open.
        let (method, duration) = unsafe {
            let raw = self.input.as_ptr();
            ((*raw).duration_estimation_method as u32, (*raw).duration)
        };
        let declared = method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM as u32;
        (declared && duration > 0).then(|| duration as f64 / f64::from(ffi::AV_TIME_BASE))
    }

    /// Seconds at which the container's clock starts.
    pub fn start_time(&self) -> f64 {
        // SAFETY: the input is open.
        let start = unsafe { (*self.input.as_ptr()).start_time };
        if start == ffi::AV_NOPTS_VALUE { 0.0 } else { start as f64 / f64::from(ffi::AV_TIME_BASE) }
    }

    /// End in the file of the furthest packet of the video stream that the container's own index names; 0 without an index.
    pub fn index_end(&self) -> i64 {
        index_end(&self.stream())
    }

    /// End in the file of the furthest packet of any stream that the container's own index names.
    pub fn whole_index_end(&self) -> i64 {
        self.input.streams().map(|stream| index_end(&stream)).max().unwrap_or(0)
    }

    /// The key that the container names for its encrypted track (WebM).
    pub fn encryption_key(&self) -> Option<String> {
        self.stream().metadata().get("enc_key_id").map(str::to_owned)
    }

    /// The display matrix: how the picture is turned. The second value is true if there is a matrix that cannot be followed.
    pub fn orientation(&self) -> (Orientation, bool) {
        let stream = self.stream();
        let matrix = stream
            .side_data()
            .find(|data| data.kind() == side_data::Type::DisplayMatrix)
            .and_then(|data| bytemuck::try_pod_read_unaligned::<[i32; 9]>(data.data().get(..36)?).ok());
        match matrix.map(|matrix| Orientation::from_matrix(&matrix)) {
            None => (Orientation::UPRIGHT, false),
            Some(Some(orientation)) => (orientation, false),
            Some(None) => (Orientation::UPRIGHT, true),
        }
    }

    fn stream(&self) -> Stream<'_> {
        // SAFETY: `stream` is below the input's number of streams, which never shrinks.
        unsafe { Stream::wrap(&self.input, self.stream) }
    }

    /// Whether a packet brings what its decoder needs from there on: a palette, or parameters other than the header's.
    pub fn changes_decoder(&self, packet: &Packet) -> bool {
        use ffi::AVPacketSideDataType::{
            AV_PKT_DATA_NEW_EXTRADATA, AV_PKT_DATA_PALETTE, AV_PKT_DATA_PARAM_CHANGE,
        };
        let differs = |new: &[u8]| {
            let parameters = self.parameters();
            // SAFETY: the parameters are alive; they hold so many bytes of extradata where the pointer is not null.
            let header = unsafe {
                let raw = parameters.as_ptr();
                bytes((*raw).extradata, usize::try_from((*raw).extradata_size).unwrap_or(0))
            };
            header != Some(new)
        };
        side_data(packet, AV_PKT_DATA_PALETTE).is_some()
            || side_data(packet, AV_PKT_DATA_PARAM_CHANGE).is_some()
            || side_data(packet, AV_PKT_DATA_NEW_EXTRADATA).is_some_and(differs)
    }

    /// Seconds that `ticks` of a packet's own stream last.
    pub fn packet_seconds(&self, packet: &Packet, ticks: i64) -> f64 {
        self.input.stream(packet.stream()).map_or(0.0, |stream| ticks as f64 * f64::from(stream.time_base()))
    }
}

/// A packet's side data of one kind.
fn side_data(packet: &Packet, kind: ffi::AVPacketSideDataType) -> Option<&[u8]> {
    let mut size = 0;
    // SAFETY: the packet is alive as long as the answer; where it has such data, it is of that size.
    unsafe { bytes(ffi::av_packet_get_side_data(packet.as_ptr(), kind, &mut size), size) }
}

/// The bytes at a place that FFmpeg names; `None` for a null pointer.
///
/// # Safety
/// `data` is null or points to `size` bytes that live for `'a`.
unsafe fn bytes<'a>(data: *const u8, size: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data, size) })
}

/// End in the file of the furthest packet that the index of a stream names; 0 without an index.
fn index_end(stream: &ffmpeg_next::Stream) -> i64 {
    // SAFETY: the stream is an open input's; entries are read before anything else touches the input, and the functions take
    // a mutable pointer only for their C signature.
    unsafe {
        let raw = stream.as_ptr().cast_mut();
        (0..ffi::avformat_index_get_entries_count(raw))
            .map(|i| ffi::avformat_index_get_entry(raw, i))
            .filter(|entry| !entry.is_null())
            // A file may name any place.
            .map(|entry| (*entry).pos.saturating_add(i64::from((*entry).size())))
            .max()
            .unwrap_or(0)
    }
}

/// The video stream that FFmpeg ranks first; one that accompanies another (a cover, a thumbnail, an alpha plane, a depth map)
/// only where there is no other. Covers never: they do not move.
fn best_stream(input: &mut Input, path: &Path) -> Result<usize, VideoError> {
    let is_video = |stream: &Stream| stream.parameters().medium() == ffmpeg_next::media::Type::Video;
    // SAFETY: a stream is its open input's.
    let disposition = |stream: &Stream| unsafe { (*stream.as_ptr()).disposition };
    let is_cover = |stream: &Stream| disposition(stream) & ffi::AV_DISPOSITION_ATTACHED_PIC != 0;
    let moving: Vec<usize> =
        input.streams().filter(|s| is_video(s) && !is_cover(s)).map(|s| s.index()).collect();
    let mut accompanying = Vec::new();
    if moving.len() > 1 {
        // FFmpeg does not hand on what an MP4 says of a track's purpose.
        let is_mp4 = input.format().name().starts_with("mov,");
        let tracks = if is_mp4 { tracks::accompanying(path) } else { vec![] };
        let flags = ffi::AV_DISPOSITION_TIMED_THUMBNAILS | ffi::AV_DISPOSITION_DEPENDENT;
        for mut stream in input.streams_mut().filter(|stream| moving.contains(&stream.index())) {
            if disposition(&stream) & flags != 0 || tracks.contains(&i64::from(stream.id())) {
                accompanying.push(stream.index());
                // FFmpeg ranks by this first, and streams for impaired viewers last.
                // SAFETY: the stream is the open input's; the field is a plain integer.
                unsafe { (*stream.as_mut_ptr()).disposition = ffi::AV_DISPOSITION_VISUAL_IMPAIRED };
            }
        }
    }
    let main = |stream: &usize| moving.contains(stream) && !accompanying.contains(stream);
    // SAFETY: the input is open.
    let best = unsafe {
        let video = ffi::AVMediaType::AVMEDIA_TYPE_VIDEO;
        ffi::av_find_best_stream(input.as_mut_ptr(), video, -1, -1, std::ptr::null_mut(), 0)
    };
    let best = usize::try_from(best).ok().filter(main);
    let first = || moving.iter().copied().find(main).or(moving.first().copied());
    best.or_else(first).ok_or_else(|| {
        let mut kinds: Vec<String> = input
            .streams()
            .map(|stream| match stream.parameters().medium() {
                ffmpeg_next::media::Type::Video => "cover art".to_owned(),
                kind => format!("{kind:?}").to_lowercase(),
            })
            .collect();
        kinds.dedup();
        let found = if kinds.is_empty() { "no stream at all".into() } else { kinds.join(", ") };
        VideoError::NoVideoStream { found }
    })
}
