//! A video file, opened once: looked at, then read as often as wanted.
//!
//! Policy. Sampling is over the packets' count. A file with signs of damage is refused, unless the caller takes what is
//! there; then the frames that come out whole are the clip.
//!
//! A frame is found by its presentation time, and a wanted frame that does not come out fails the video, with these
//! exceptions for healthy streams:
//! - Frames shown before the first key frame (a recording that begins in an open GOP) are left out if they cannot be decoded.
//! - If packets have no times (raw streams, AVI with B-frames), if the times fall in the order in which the decoder gives its
//!   pictures (recordings joined, times of decoding in place of times of showing), or if packets give no frame of their own and
//!   the decoder has no complaint (fields, frames that repeat the one before), frames are found **by number**: the whole
//!   stream is decoded once to count what comes out, and again to hand the wanted ones on.
//!
//! So an ordinary file is decoded once, and only as far as is needed. What costs a second decoding is a sign that the packets
//! show ([`Index::falls`], [`Index::never_reorders`]) or that decoding meets (a time that falls, a frame that is missing).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ffmpeg_next::frame;

use super::convert::Converter;
use super::count::Counted;
use super::decode::{By, Pass, Report, Strategy, Want};
use super::demux::Demuxer;
use super::error::VideoError;
use super::frame::RgbFrame;
use super::gather;
use super::index::Index;
use super::probe::{Probed, VideoInfo, scan};
use super::sample::{Chosen, Request, Span};
use super::transform::Transform;
use super::work::Work;

/// What was read of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipInfo {
    /// The file; its notes also tell what this reading approximated.
    pub video: VideoInfo,
    /// The frames taken, by their index in presentation order, slot by slot.
    pub indices: Vec<usize>,
    /// When each is shown, in seconds from the clip's first frame, slot by slot.
    pub seconds: Vec<f64>,
    /// The windows the slots belong to; empty for a clip that is one.
    pub windows: Vec<Span>,
    /// Of a request for key frames, how many different ones the clip's slots have, or those of each window; 0 where the exact frames
    /// are taken. Empty where no key frames were asked for.
    pub key_frames: Vec<usize>,
    /// Time spent on colour conversion, rotation included.
    pub converting: Duration,
}

/// A clip ready for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// What was read.
    pub info: ClipInfo,
    /// Each slot's picture, resized and cropped: 224 x 224 pixels of RGB, row by row.
    pub frames: Vec<Vec<u8>>,
}

/// An open video file.
pub struct Video {
    pub(super) path: PathBuf,
    pub(super) demuxer: Demuxer,
    pub(super) probed: Probed,
    /// The frames before the first key frame are known to come out, or are left out already.
    leading_checked: bool,
    /// Where the packets look as if their times were wrong, it is known whether they are.
    order_checked: bool,
    /// Frames are found by number: the packets' times are wrong, or the packets are not the frames.
    by_number: bool,
    /// The frames that come out, once they were counted.
    counted: Option<Counted>,
    /// What reading has cost, without the bytes that the present demuxer read.
    pub(super) work: Work,
}

impl Video {
    /// Opens `path` and looks at its packets.
    ///
    /// # Errors
    /// Those of [`super::probe`].
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        let mut demuxer = Demuxer::open(path)?;
        let probed = scan(&mut demuxer, path)?;
        let bytes = probed.bytes_read;
        Ok(Self {
            path: path.to_owned(),
            demuxer,
            probed,
            leading_checked: false,
            order_checked: false,
            by_number: false,
            counted: None,
            work: Work { bytes, ..Work::default() },
        })
    }

    /// What was seen in the file.
    #[must_use]
    pub fn info(&self) -> &VideoInfo {
        &self.probed.info
    }

    /// The frames that [`Video::read`] would take, by index. Nothing is decoded, except where only a decoder can tell what counts:
    /// frames shown before the first key frame, and times that look wrong. Packets without a frame of their own are counted as
    /// frames until the video has been read.
    ///
    /// # Errors
    /// When the request fits no frame.
    pub fn sample(&mut self, request: &Request) -> Result<Chosen, VideoError> {
        let fps = self.probed.info.fps;
        self.check_order(request)?;
        let seconds = if self.is_timed() {
            self.drop_leading(request)?;
            self.seconds()
        } else {
            match &self.counted {
                Some(counted) if !counted.seconds.is_empty() => counted.seconds.clone(),
                _ => (0..self.probed.info.frames).map(|i| i as f64 / fps).collect(),
            }
        };
        request.choose(&seconds, fps, &self.key_frames())
    }

    /// Reads the frames of `request`. `visit(slot, frame)` is called for each slot, in presentation order (so with
    /// falling slots if reversed); frames are full size and live only during the call. Where the frames had to be counted
    /// anew a slot is visited again: the last visit holds, and slots beyond the answer's `indices` mean nothing.
    ///
    /// # Errors
    /// When the file is truncated or damaged (unless the request allows it), a frame does not come out, the codec or the pixel
    /// format is unknown, or the request fits no frame. Slots visited before an error mean nothing.
    pub fn read(
        &mut self,
        request: &Request,
        visit: impl FnMut(usize, &RgbFrame),
    ) -> Result<ClipInfo, VideoError> {
        self.read_by(request, Strategy::Auto, visit)
    }

    /// [`Video::read`] by a way of one's own choice; the frames are the same.
    ///
    /// # Errors
    /// As [`Video::read`].
    pub fn read_by(
        &mut self,
        request: &Request,
        strategy: Strategy,
        mut visit: impl FnMut(usize, &RgbFrame),
    ) -> Result<ClipInfo, VideoError> {
        self.read_once(request, strategy, |slots, frame| slots.iter().for_each(|&slot| visit(slot, frame)))
    }

    /// [`Video::read_by`] with each frame visited once, for all the slots that it fills: a short clip repeats frames, and
    /// windows share them.
    ///
    /// # Errors
    /// As [`Video::read`].
    pub fn read_once(
        &mut self,
        request: &Request,
        strategy: Strategy,
        mut visit: impl FnMut(&[usize], &RgbFrame),
    ) -> Result<ClipInfo, VideoError> {
        if let Some(damage) = self.probed.damage.clone().filter(|_| !request.allow_truncated) {
            return Err(damage);
        }
        let VideoInfo { width, height, .. } = self.probed.info;
        let pixels = width as u64 * height as u64;
        if let Some(most) = request.max_pixels.filter(|&most| pixels > most) {
            return Err(VideoError::TooLarge { width, height, most });
        }
        let mut converter = Converter::new(self.demuxer.orientation().0);
        let mut converting = Duration::ZERO;
        let mut deliver = |want: &Want, picture: &frame::Video| {
            let start = Instant::now();
            let rgb = converter.convert(picture)?;
            converting += start.elapsed();
            visit(&want.slots, &rgb);
            Ok(())
        };
        self.demuxer.drop_other_streams(true);
        let read = self.read_frames(request, strategy, &mut deliver);
        // A read that failed, or a file that changed, explains whatever came of it, and frames of two files are no clip.
        self.demuxer.watch().check()?;
        Ok(ClipInfo { converting, ..read? })
    }

    /// Reads by presentation times, or by number where these do not serve.
    fn read_frames(
        &mut self,
        request: &Request,
        strategy: Strategy,
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<ClipInfo, VideoError> {
        if self.probed.index.falls {
            self.check_order(request)?;
        }
        let by_time = match self.is_timed() {
            true => self.read_timed(request, strategy, deliver)?,
            false => None,
        };
        match by_time {
            Some(info) => Ok(info),
            None => self.read_numbered(request, deliver),
        }
    }

    /// Whether frames are found by their presentation times, as far as is known.
    fn is_timed(&self) -> bool {
        self.probed.index.timed && !self.by_number
    }

    /// Finds out whether times that look wrong are: whether they fall in the order in which the decoder gives its pictures.
    fn check_order(&mut self, request: &Request) -> Result<(), VideoError> {
        /// Pictures after which times of decoding have shown themselves: twice as many as any codec holds back.
        const ENOUGH: usize = 32;
        let index = &self.probed.index;
        if self.order_checked || !index.timed {
            return Ok(());
        }
        self.order_checked = true;
        let falls = if index.falls {
            self.count(request)?.falls
        } else if index.never_reorders {
            let first: Vec<usize> = (0..index.frames.len().min(ENOUGH)).collect();
            let mut wants = wants(&first, |i| index.time(i));
            let ignore = &mut |_: &Want, _: &frame::Video| Ok(());
            self.pass(request, By::Time, Strategy::Sequential, false, &mut wants, ignore)?.falls
        } else {
            0
        };
        if falls > 0 {
            self.count(request)?;
            self.set_by_number();
        }
        Ok(())
    }

    /// Reads by presentation times; `None` if the packets turn out not to be the frames and these must be counted.
    fn read_timed(
        &mut self,
        request: &Request,
        strategy: Strategy,
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<Option<ClipInfo>, VideoError> {
        self.drop_leading(request)?;
        let seconds = self.seconds();
        let chosen = request.choose(&seconds, self.probed.info.fps, &self.key_frames())?;
        let mut wants = wants(&chosen.indices, |i| self.probed.index.time(i));
        let mut report = match self.groups(request, strategy, &mut wants, deliver)? {
            Some(report) => report,
            None => self.pass(request, By::Time, strategy, false, &mut wants, deliver)?,
        };
        let certain = report.falls > 0 && report.skipped == 0;
        if !report.settled(&wants) && !certain && strategy != Strategy::Sequential {
            // A pass that jumps or skips can fail where a walk does not. So the walk from the start, which skips nothing, decides, and
            // looks for every wanted frame again.
            report = self.pass(request, By::Time, Strategy::Sequential, false, &mut wants, deliver)?;
        }
        if report.jumped && report.falls == 0 && self.probed.index.never_reorders {
            // The pass did not see all frames from the start, where times of decoding show themselves.
            self.check_order(request)?;
        }
        if report.falls > 0 || self.by_number {
            return Ok(None);
        }
        if let Some(failure) = report.failure.as_ref().filter(|_| !request.allow_truncated) {
            return Err(self.failed(failure));
        }
        let Some(missing) = wants.iter().find(|want| !want.done) else {
            return Ok(Some(self.clip_info(chosen, &seconds)));
        };
        if !request.allow_truncated && self.count(request)?.seconds.is_empty() {
            return Err(VideoError::MissingFrame { index: missing.index, seconds: seconds[missing.index] });
        }
        Ok(None)
    }

    /// Takes the frames out of the count that are shown before the first key frame and refer to what was cut away.
    fn drop_leading(&mut self, request: &Request) -> Result<(), VideoError> {
        let index = &self.probed.index;
        let first = index.first_key_time();
        let time = |at: u32| index.pts[at as usize];
        let leading = index.frames.iter().take_while(|&&at| time(at) < first).count();
        if leading == 0 || self.leading_checked || leading == index.frames.len() {
            return Ok(());
        }
        self.leading_checked = true;
        let probes: Vec<usize> = (0..=leading).collect();
        let mut wants = wants(&probes, |i| index.time(i));
        let report =
            self.pass(request, By::Time, Strategy::Sequential, false, &mut wants, &mut |_, _| Ok(()))?;
        if report.falls > 0 {
            return Ok(());
        }
        let gone: Vec<bool> = wants[..leading].iter().map(|want| !want.done).collect();
        let count = gone.iter().filter(|&&gone| gone).count();
        if count == 0 {
            return Ok(());
        }
        let mut position = 0;
        self.probed.index.frames.retain(|_| {
            position += 1;
            !gone.get(position - 1).is_some_and(|&gone| gone)
        });
        let info = &mut self.probed.info;
        info.frames = self.probed.index.frames.len();
        info.notes.push(format!(
            "frames before the first key frame that refer to what was cut away are left out: {count}"
        ));
        Ok(())
    }

    /// Reads by number: one decoding to count the frames that come out whole, one to hand them on.
    fn read_numbered(
        &mut self,
        request: &Request,
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<ClipInfo, VideoError> {
        let counted = self.count(request)?.clone();
        if let Some(failure) = counted.failure.as_ref().filter(|_| !request.allow_truncated) {
            return Err(self.failed(failure));
        }
        let chosen = request.choose(&counted.seconds, self.probed.info.fps, &[])?;
        let mut wants = wants(&chosen.indices, |i| i as i64);
        self.pass(request, By::Number, Strategy::Sequential, false, &mut wants, deliver)?;
        if let Some(missing) = wants.iter().find(|want| !want.done) {
            let seconds = counted.seconds[missing.index];
            return Err(VideoError::MissingFrame { index: missing.index, seconds });
        }
        if !request.allow_truncated {
            self.set_by_number();
        }
        let mut info = self.clip_info(chosen, &counted.seconds);
        counted.apply(&mut info.video);
        Ok(info)
    }

    /// Counts the frames that come out of the whole stream; once.
    fn count(&mut self, request: &Request) -> Result<&Counted, VideoError> {
        let kept = self.counted.take().filter(|counted| counted.max_pixels == request.max_pixels);
        let counted = match kept {
            Some(counted) => counted,
            None => {
                let ignore = &mut |_: &Want, _: &frame::Video| Ok(());
                let report = self.pass(request, By::Number, Strategy::Sequential, true, &mut [], ignore)?;
                let fps = self.probed.info.fps;
                let clock = gather::clock(&self.demuxer, fps);
                Counted::new(report, &self.probed.index, &clock, fps, request.max_pixels)
            }
        };
        Ok(self.counted.insert(counted))
    }

    /// From here on the counted frames are the clip.
    fn set_by_number(&mut self) {
        if let Some(counted) = &self.counted {
            self.by_number = true;
            counted.apply(&mut self.probed.info);
        }
    }

    /// One pass from the start of the file.
    fn pass(
        &mut self,
        request: &Request,
        by: By,
        strategy: Strategy,
        list_times: bool,
        wants: &mut [Want],
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<Report, VideoError> {
        let alone = by == By::Time && self.alone(request, strategy, wants);
        let mut walk = |video: &mut Self, strategy, alone, reopened| {
            wants.iter_mut().for_each(|want| want.done = false);
            let (skip, costs) = (video.skips(strategy, by), video.costs());
            let Request { threads, max_pixels, .. } = *request;
            let pass = Pass::new(&mut video.demuxer, &video.probed.index, by, strategy, costs);
            let report = Pass { threads, max_pixels, skip, alone, list_times, reopened, ..pass }
                .run(wants, deliver)?;
            video.record(&report);
            Ok(report)
        };
        let Index { timed, carries_state, falls, .. } = self.probed.index;
        let repeats = timed && !carries_state && !falls;
        // A key frame that does not come out by itself comes out of a walk, as any other frame.
        for alone in if alone { &[true, false][..] } else { &[false] } {
            if !repeats || !self.probed.index.rewind(&mut self.demuxer) {
                break;
            }
            let report = walk(self, strategy, *alone, false)?;
            if !report.lost {
                return Ok(report);
            }
        }
        // Only a new demuxer is sure to give the same packets again where there are no times to check them by, where a clock
        // that falls misleads its search, where it gives a palette once, or where it was seen to give others.
        let anew = Demuxer::open(&self.path)?;
        anew.watch().same_as(self.demuxer.watch())?;
        self.work.bytes += self.demuxer.watch().bytes_read();
        self.demuxer = anew;
        self.demuxer.drop_other_streams(true);
        walk(self, Strategy::Sequential, false, true)
    }

    /// When the frames of the index are shown, in seconds from the first.
    fn seconds(&self) -> Vec<f64> {
        let index = &self.probed.index;
        gather::clock(&self.demuxer, self.probed.info.fps)
            .shown((0..index.frames.len()).map(|i| index.time(i)))
            .seconds
    }

    /// The key frames that may be taken, by index; none where the packets do not tell the frames.
    fn key_frames(&self) -> Vec<usize> {
        if self.is_timed() { self.probed.index.key_frames() } else { vec![] }
    }

    fn clip_info(&self, chosen: Chosen, seconds: &[f64]) -> ClipInfo {
        let mut video = self.probed.info.clone();
        video.notes.extend(chosen.held_note(seconds));
        video.notes.extend(chosen.key_notes());
        video.notes.extend(chosen.still_note());
        ClipInfo {
            video,
            seconds: chosen.indices.iter().map(|&i| seconds[i]).collect(),
            indices: chosen.indices,
            windows: chosen.windows,
            key_frames: chosen.key_frames,
            converting: Duration::ZERO,
        }
    }

    /// The error that a decoder's failure becomes: at the last packets it is a cut, before them damage.
    fn failed(&self, (packet, what): &(usize, String)) -> VideoError {
        let packets = self.probed.index.pts.len();
        if packet + 2 >= packets {
            VideoError::Truncated { sign: format!("{what} at its end"), hopeless: false }
        } else {
            VideoError::Damaged { what: format!("{what} near packet {packet} of {packets}") }
        }
    }
}

/// The wanted frames of `indices` (slot by slot), each once, in presentation order.
fn wants(indices: &[usize], key: impl Fn(usize) -> i64) -> Vec<Want> {
    let mut slots: Vec<usize> = (0..indices.len()).collect();
    slots.sort_by_key(|&slot| indices[slot]);
    let mut wants: Vec<Want> = Vec::new();
    for slot in slots {
        let index = indices[slot];
        match wants.last_mut() {
            Some(want) if want.index == index => want.slots.push(slot),
            _ => wants.push(Want { key: key(index), index, slots: vec![slot], done: false }),
        }
    }
    wants
}

/// Reads the frames of `request` from the file at `path`: [`Video::open`] and [`Video::read`] in one.
///
/// # Errors
/// As theirs.
pub fn read_clip(
    path: &Path,
    request: &Request,
    visit: impl FnMut(usize, &RgbFrame),
) -> Result<ClipInfo, VideoError> {
    Video::open(path)?.read(request, visit)
}

/// Reads the frames of `request` from the file at `path`, ready for the model.
///
/// # Errors
/// As [`read_clip`].
pub fn read_transformed(path: &Path, request: &Request) -> Result<Clip, VideoError> {
    let mut video = Video::open(path)?;
    let mut transform = Transform::default();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let info = video.read(request, |slot, frame| {
        if frames.len() <= slot {
            frames.resize_with(slot + 1, Vec::new);
        }
        frames[slot] = transform.apply(frame);
    })?;
    frames.truncate(info.indices.len());
    Ok(Clip { info, frames })
}
