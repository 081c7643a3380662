//! A video file, opened once: looked at, then read as often as wanted.
//!
//! Policy. Sampling is over the packets' count. A file with signs of damage is refused, unless the caller takes what is
//! there; then the frames that come out whole are the clip. A wanted frame that does not come out fails the video, with
//! three exceptions where healthy streams have packets that are no frame of their own. Frames shown before the first key
//! frame (a recording that begins in an open GOP) are left out where they cannot be decoded. Packets without times (raw
//! streams, AVI with B-frames) and fields in packets of their own are decoded once more, to count what comes out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ffmpeg_next::frame;

use super::convert::Converter;
use super::decode::{By, Pass, Report, Strategy, Want};
use super::demux::Demuxer;
use super::error::VideoError;
use super::frame::RgbFrame;
use super::probe::{Index, NO_TIME, Probed, VideoInfo, scan};
use super::sample::{Chosen, Request, Span};
use super::transform::Transform;

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
    /// Time spent on colour conversion, rotation included.
    pub converting: Duration,
}

/// A clip ready for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// What was read.
    pub info: ClipInfo,
    /// Each slot's picture, resized and cropped: [`super::transform::FRAME_BYTES`] bytes of RGB, row by row.
    pub frames: Vec<Vec<u8>>,
}

/// An open video file.
pub struct Video {
    path: PathBuf,
    demuxer: Demuxer,
    probed: Probed,
    /// The frames before the first key frame are known to come out, or are left out already.
    leading_checked: bool,
}

impl Video {
    /// Opens `path` and looks at its packets.
    ///
    /// # Errors
    /// Those of [`super::probe`].
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        let mut demuxer = Demuxer::open(path)?;
        let probed = scan(&mut demuxer, path)?;
        Ok(Self { path: path.to_owned(), demuxer, probed, leading_checked: false })
    }

    /// What was seen in the file.
    #[must_use]
    pub fn info(&self) -> &VideoInfo {
        &self.probed.info
    }

    /// The frames that [`Video::read`] would take, by index. Nothing is decoded, but for what is shown before a first key frame:
    /// whether that counts only a decoder can tell.
    ///
    /// # Errors
    /// When the request fits no frame.
    pub fn sample(&mut self, request: &Request) -> Result<Vec<usize>, VideoError> {
        let fps = self.probed.info.fps;
        let seconds = if self.probed.index.timed {
            self.drop_leading(request)?;
            let index = &self.probed.index;
            let pts: Vec<i64> = index.frames.iter().map(|&at| index.pts[at as usize]).collect();
            self.seconds(&pts)
        } else {
            (0..self.probed.info.frames).map(|i| i as f64 / fps).collect()
        };
        Ok(request.choose(&seconds, fps)?.indices)
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
        let by_time = match self.probed.index.timed {
            true => self.read_timed(request, strategy, deliver)?,
            false => None,
        };
        match by_time {
            Some(info) => Ok(info),
            None => self.read_numbered(request, deliver),
        }
    }

    /// Reads by presentation times; `None` if the packets turn out not to be the frames and these must be counted.
    fn read_timed(
        &mut self,
        request: &Request,
        strategy: Strategy,
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<Option<ClipInfo>, VideoError> {
        self.drop_leading(request)?;
        let index = &self.probed.index;
        let pts: Vec<i64> = index.frames.iter().map(|&at| index.pts[at as usize]).collect();
        let seconds = self.seconds(&pts);
        let chosen = request.choose(&seconds, self.probed.info.fps)?;
        let mut wants = wants(&chosen.indices, |i| pts[i]);
        let report = self.pass(request, By::Time, strategy, false, &mut wants, deliver)?;
        let report = if settled(&report, &wants) || strategy == Strategy::Sequential {
            report
        } else {
            // A jump can fail where walking does not: the walk from the start is the judge, and takes nothing for done.
            self.pass(request, By::Time, Strategy::Sequential, false, &mut wants, deliver)?
        };
        if let Some(failure) = report.failure.as_ref().filter(|_| !request.allow_truncated) {
            return Err(self.failed(failure));
        }
        let Some(missing) = wants.iter().find(|want| !want.done) else {
            return Ok(Some(self.clip_info(chosen, &seconds)));
        };
        if request.allow_truncated || self.has_fields(request)? {
            return Ok(None);
        }
        Err(VideoError::MissingFrame { index: missing.index, seconds: seconds[missing.index] })
    }

    /// Whether two packets make a frame: decoded to its end, the stream gives half as many frames as packets.
    fn has_fields(&mut self, request: &Request) -> Result<bool, VideoError> {
        let packets = self.probed.index.pts.len();
        if packets <= 8 {
            return Ok(false);
        }
        let whole = self.pass(request, By::Time, Strategy::Sequential, false, &mut [], &mut |_, _| Ok(()))?;
        Ok(whole.frames.abs_diff(packets / 2) <= 2)
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
        let mut wants = wants(&probes, |i| time(index.frames[i]));
        self.pass(request, By::Time, Strategy::Sequential, false, &mut wants, &mut |_, _| Ok(()))?;
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
        let counted =
            self.pass(request, By::Number, Strategy::Sequential, true, &mut [], &mut |_, _| Ok(()))?;
        if let Some(failure) = counted.failure.as_ref().filter(|_| !request.allow_truncated) {
            return Err(self.failed(failure));
        }
        let mut seconds = self.seconds(&counted.times);
        if !seconds.is_sorted() || counted.times.contains(&NO_TIME) {
            seconds = (0..counted.frames).map(|i| i as f64 / self.probed.info.fps).collect();
        }
        let chosen = request.choose(&seconds, self.probed.info.fps)?;
        let mut wants = wants(&chosen.indices, |i| i as i64);
        self.pass(request, By::Number, Strategy::Sequential, false, &mut wants, deliver)?;
        if let Some(missing) = wants.iter().find(|want| !want.done) {
            return Err(VideoError::MissingFrame { index: missing.index, seconds: seconds[missing.index] });
        }
        let mut info = self.clip_info(chosen, &seconds);
        if counted.frames != info.video.frames {
            let packets = info.video.frames;
            info.video
                .notes
                .push(format!("{packets} packets give {} frames; these are counted", counted.frames));
            info.video.frames = counted.frames;
        }
        Ok(info)
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
        let mut walk = |demuxer: &mut Demuxer, strategy, reopened| {
            wants.iter_mut().for_each(|want| want.done = false);
            let (index, threads, max_pixels) = (&self.probed.index, request.threads, request.max_pixels);
            let report = Pass { demuxer, index, by, strategy, threads, max_pixels, list_times, reopened }
                .run(wants, deliver)?;
            for note in report.notes.sentences() {
                if !self.probed.info.notes.contains(&note) {
                    self.probed.info.notes.push(note);
                }
            }
            Ok(report)
        };
        if self.probed.index.timed && rewind(&mut self.demuxer, &self.probed.index) {
            let report = walk(&mut self.demuxer, strategy, false)?;
            if !report.lost {
                return Ok(report);
            }
        }
        // Without times, or if the rewound demuxer gives other packets than the first time, only a new one is sure to
        // repeat itself.
        let anew = Demuxer::open(&self.path)?;
        anew.watch().same_as(self.demuxer.watch())?;
        self.demuxer = anew;
        self.demuxer.drop_other_streams(true);
        walk(&mut self.demuxer, Strategy::Sequential, true)
    }

    /// Seconds from the first of `pts`.
    fn seconds(&self, pts: &[i64]) -> Vec<f64> {
        let tick = f64::from(self.demuxer.time_base());
        pts.iter().map(|&time| (i128::from(time) - i128::from(pts[0])) as f64 * tick).collect()
    }

    fn clip_info(&self, chosen: Chosen, seconds: &[f64]) -> ClipInfo {
        ClipInfo {
            video: self.probed.info.clone(),
            seconds: chosen.indices.iter().map(|&i| seconds[i]).collect(),
            indices: chosen.indices,
            windows: chosen.windows,
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

/// Brings the demuxer to the first packet, if it can.
fn rewind(demuxer: &mut Demuxer, index: &Index) -> bool {
    let start = index.by_time.first().map_or(0, |&at| index.pts[at as usize]);
    demuxer.seek(start).is_ok()
}

/// Whether a pass left nothing open.
fn settled(report: &Report, wants: &[Want]) -> bool {
    !report.lost && report.failure.is_none() && wants.iter().all(|want| want.done)
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
