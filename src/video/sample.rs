//! Which frames of a clip are looked at: `trunc(linspace(first, last, T))`, as the authors' code chooses them.
//!
//! Frames are counted in presentation order over the packets of the video stream, never by a header. Everything here is
//! arithmetic on that count, the presentation times and the average rate; no file is touched.

use std::ops::Range;

use super::error::VideoError;
use super::keyframes;

/// How many frames to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// So many, evenly spread, the first and the last included; a shorter clip repeats frames.
    Count(usize),
    /// Every frame.
    All,
    /// So many per second of the clip's own time: at each tick the frame then on screen.
    Fps(f64),
}

/// What turns the seconds of a range into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RangeBy {
    /// The frames that are shown in the range, by their own times
    #[default]
    Time,
    /// The frames `int(start·fps)` to `int(end·fps)` of the file's average rate, as in the authors' code
    Fps,
}

/// A long clip cut into windows, each a clip of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// How long each is, in seconds, above 0.
    pub length: f64,
    /// Seconds from the start of one to the start of the next, above 0.
    pub stride: f64,
}

/// One window of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Where it starts, in seconds from the file's first frame.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// Its slots among those of the whole clip.
    pub slots: Range<usize>,
}

/// The frames to take of a clip.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chosen {
    /// Their indices, slot by slot; of a clip in windows, window by window.
    pub indices: Vec<usize>,
    /// The windows; empty for a clip that is one.
    pub windows: Vec<Span>,
    /// Of a request for key frames, how many different ones the clip's slots have, or those of each window; 0 where the exact frames
    /// are taken. Empty where no key frames were asked for.
    pub key_frames: Vec<usize>,
}

/// What of a clip is wanted and how it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which frames.
    pub sampling: Sampling,
    /// Start of the range in seconds from the clip's first frame; the beginning if absent.
    pub start: Option<f64>,
    /// End of the range in seconds; the clip's end if absent.
    pub end: Option<f64>,
    /// How the range's seconds name frames.
    pub range_by: RangeBy,
    /// Take the nearest key frame of the clip or window in place of each frame, unless fewer than two different ones remain.
    pub keyframes: bool,
    /// Mirror the clip in time: the same frames, the last one first.
    pub reverse: bool,
    /// Take what is there of a truncated or damaged file instead of refusing it.
    pub allow_truncated: bool,
    /// Cut the clip into windows and take the frames of each; one clip if absent.
    pub window: Option<Window>,
    /// The most frames that whoever asks can take of a clip or window; any number if absent.
    pub most: Option<usize>,
    /// The most pixels a picture may have; any number if absent.
    pub max_pixels: Option<u64>,
    /// Decoder threads for the slices of a picture; 0 lets FFmpeg choose. The frames are the same bits whatever the number.
    pub threads: usize,
    /// Groups of pictures that are decoded at once, each by a thread of its own, where memory allows; below 2 one after the other. The
    /// frames are the same bits whatever the number.
    pub groups: usize,
}

/// Times come from rationals: a time that should meet a frame may fall this much before it, in seconds.
const ROUNDING: f64 = 1e-6;

/// Most frames that one request may take of a clip, whatever it asks for: far above any use, below what would fill the memory
/// by a slip of the hand.
const MOST: usize = 1 << 20;

/// Most slots in a row that one frame fills at a rate without a word about it.
const HELD: usize = 600;

impl Default for Request {
    /// The authors' sixteen frames over the whole clip.
    fn default() -> Self {
        Self {
            sampling: Sampling::Count(16),
            start: None,
            end: None,
            range_by: RangeBy::Time,
            keyframes: false,
            reverse: false,
            allow_truncated: false,
            window: None,
            most: None,
            max_pixels: None,
            threads: 1,
            groups: 1,
        }
    }
}

/// `n` evenly spaced numbers from `first` to `last`, truncated: numpy's `linspace(first, last, n).astype(int)`.
fn linspace(first: usize, last: usize, n: usize) -> Vec<usize> {
    let step = (last - first) as f64 / (n.max(2) - 1) as f64;
    (0..n)
        .map(|i| if i + 1 == n && n > 1 { last } else { (i as f64 * step + first as f64) as usize })
        .collect()
}

impl Chosen {
    /// What is said of a request for key frames; nothing if each wanted frame has a key frame of its own.
    pub fn key_notes(&self) -> Option<String> {
        let windows = self.windows.iter().map(|window| window.slots.len());
        let slots = if self.windows.is_empty() { vec![self.indices.len()] } else { windows.collect() };
        keyframes::note(&self.key_frames, &slots, !self.windows.is_empty())
    }

    /// What is said where a clip, or one of its windows, is one frame that is taken several times.
    pub fn still_note(&self) -> Option<String> {
        let one = |slots: &[usize]| slots.len() > 1 && slots.iter().all(|index| *index == slots[0]);
        if self.windows.is_empty() {
            let taken = self.indices.len();
            return one(&self.indices)
                .then(|| format!("the clip is one frame, which is taken {taken} times: nothing moves"));
        }
        let still = self.windows.iter().filter(|window| one(&self.indices[window.slots.clone()])).count();
        let windows = self.windows.len();
        (still > 0).then(|| {
            format!("{still} of {windows} windows are one frame, taken several times: nothing moves")
        })
    }

    /// What is said where one frame fills so many slots that the time it is shown for may be a mistake of the file. `seconds`
    /// are the times of the clip's frames.
    pub fn held_note(&self, seconds: &[f64]) -> Option<String> {
        let runs = self.indices.chunk_by(|a, b| a == b);
        let longest = runs.max_by_key(|run| run.len()).filter(|run| run.len() > HELD)?;
        let (slots, index) = (longest.len(), longest[0]);
        let held = seconds.get(index + 1)? - seconds[index];
        // More frames than a short clip has repeat what it has, as was asked for.
        (held > 10.0).then(|| format!("frame {index} is shown for {held:.1} s and taken {slots} times"))
    }
}

impl Request {
    /// The frames to take of a clip, in the order of the output's slots.
    ///
    /// `times` are the presentation times of its frames in seconds from the first, ascending; `fps` is the container's
    /// average rate; `keys` are its key frames, ascending, as far as they are known. Windows start every stride from the range's start
    /// and lie wholly within the clip; of a clip shorter than one, the whole is the window.
    ///
    /// # Errors
    /// When no frame lies in the range, or the sampling asks for nothing or more than the most.
    pub fn choose(&self, times: &[f64], fps: f64, keys: &[usize]) -> Result<Chosen, VideoError> {
        let times = &Times::new(times, fps, self.range_by);
        let Some(window) = self.window else {
            let (indices, key_frames) = self.indices(times, keys)?;
            return Ok(Chosen { indices, windows: vec![], key_frames: key_frames.into_iter().collect() });
        };
        let from = self.start.unwrap_or(0.0);
        let to = self.end.map_or(times.end, |end| end.min(times.end));
        // Times come from rationals: a window that should end with the clip may end this much later.
        let room = (to - from - window.length) / window.stride + 1e-6;
        let count = if room >= 0.0 { room as usize + 1 } else { 1 };
        let mut chosen = Chosen::default();
        for k in 0..count {
            let start = from + k as f64 * window.stride;
            let end = (start + window.length).min(to).max(start);
            let one = Request { start: Some(start), end: Some(end), window: None, ..self.clone() };
            let first = chosen.indices.len();
            let (indices, key_frames) = one.indices(times, keys)?;
            chosen.indices.extend(indices);
            chosen.key_frames.extend(key_frames);
            if chosen.indices.len() > MOST {
                let what = format!("{count} windows with {MOST} frames and more");
                return Err(VideoError::BadRequest { what });
            }
            chosen.windows.push(Span { start, end, slots: first..chosen.indices.len() });
        }
        Ok(chosen)
    }

    /// The indices to take of a clip or window, in the order of the output's slots; and, where key frames are asked for, how many
    /// different ones these are.
    ///
    /// # Errors
    /// When no frame lies in the range, or the sampling asks for nothing or more than the most.
    fn indices(&self, times: &Times, keys: &[usize]) -> Result<(Vec<usize>, Option<usize>), VideoError> {
        let seconds = times.seconds;
        let len = seconds.len();
        if len == 0 {
            return Err(VideoError::NoFrames);
        }
        let bounds = |value: Option<f64>| value.is_none_or(|v| v.is_finite() && v >= 0.0);
        let backwards = matches!((self.start, self.end), (Some(start), Some(end)) if end < start);
        let first = self.start.map_or(0, |start| times.frame_at(start));
        if first >= len || backwards || !bounds(self.start) || !bounds(self.end) {
            return Err(VideoError::EmptyRange {
                start: self.start.unwrap_or(0.0),
                end: self.end,
                last: seconds[len - 1],
            });
        }
        let last = self.end.map_or(len - 1, |end| times.frame_at(end).min(len - 1)).max(first);
        let mut indices = match self.sampling {
            Sampling::Count(0) => return Err(VideoError::BadRequest { what: "0 frames".into() }),
            Sampling::Count(n) if n > MOST => {
                return Err(VideoError::BadRequest { what: format!("{n} frames") });
            }
            Sampling::Count(n) => linspace(first, last, n),
            Sampling::All if last - first >= MOST => {
                return Err(VideoError::BadRequest { what: format!("{} frames", last - first + 1) });
            }
            Sampling::All => (first..=last).collect(),
            Sampling::Fps(rate) if rate > 0.0 && (seconds[last] - seconds[first]) * rate < MOST as f64 => {
                ticks(&seconds[..=last], first, rate)
            }
            Sampling::Fps(rate) => {
                return Err(VideoError::BadRequest { what: format!("{rate} frames per second") });
            }
        };
        let key_frames = self.keyframes.then(|| {
            let within = keys.partition_point(|&key| key < first)..keys.partition_point(|&key| key <= last);
            let all = self.sampling == Sampling::All;
            keyframes::replace(&mut indices, all, seconds, &keys[within])
        });
        if let Some(most) = self.most.filter(|&most| indices.len() > most) {
            return Err(VideoError::TooManyFrames { frames: indices.len(), most });
        }
        if self.reverse {
            indices.reverse();
        }
        Ok((indices, key_frames))
    }
}

/// When the frames of a clip are on screen.
struct Times<'a> {
    /// The presentation times in seconds from the first, ascending.
    seconds: &'a [f64],
    /// The container's average rate, per second.
    fps: f64,
    /// Whether the rate says which frame is on screen: it was asked for, or it is constant.
    by_rate: bool,
    /// When the last frame leaves the screen, in seconds.
    end: f64,
}

impl<'a> Times<'a> {
    fn new(seconds: &'a [f64], fps: f64, range_by: RangeBy) -> Self {
        /// Some containers round times to milliseconds: two times this near are the same, in seconds.
        const SAME: f64 = 1e-3 + ROUNDING;
        let constant = || seconds.iter().enumerate().all(|(i, time)| (time - i as f64 / fps).abs() <= SAME);
        let by_rate = range_by == RangeBy::Fps || constant();
        let end = match seconds {
            // No file says how long its last frame stays: a frame's time, or as long as the one before it.
            [.., before, last] if !by_rate => last + (last - before).max(1.0 / fps),
            [.., last] => last + 1.0 / fps,
            [] => 0.0,
        };
        Self { seconds, fps, by_rate, end }
    }

    /// The frame on screen at a time: by the rate the authors' `int(time·fps)`, else the last one that came before. Beyond the
    /// clip's last where the clip is over by then.
    fn frame_at(&self, time: f64) -> usize {
        if self.by_rate {
            (time * self.fps).max(0.0) as usize
        } else if time >= self.end {
            self.seconds.len()
        } else {
            self.seconds.partition_point(|&start| start <= time + ROUNDING).saturating_sub(1)
        }
    }
}

/// The frame on screen at each tick of `rate` per second, from `times[first]` to the last time.
fn ticks(times: &[f64], first: usize, rate: f64) -> Vec<usize> {
    let end = times[times.len() - 1] + ROUNDING;
    (0u64..)
        .map(|k| times[first] + k as f64 / rate + ROUNDING)
        .take_while(|&tick| tick <= end + ROUNDING)
        .map(|tick| times.partition_point(|&time| time <= tick).saturating_sub(1).max(first))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(len: usize, fps: f64) -> Vec<f64> {
        (0..len).map(|i| i as f64 / fps).collect()
    }

    fn indices(request: &Request, times: &[f64], fps: f64) -> Result<Vec<usize>, VideoError> {
        Ok(request.indices(&Times::new(times, fps, request.range_by), &[])?.0)
    }

    fn chosen(request: &Request, len: usize) -> Vec<usize> {
        indices(request, &times(len, 12.0), 12.0).unwrap()
    }

    #[test]
    fn sixteen_of_34_as_numpy_chooses_them() {
        let expected = [0, 2, 4, 6, 8, 11, 13, 15, 17, 19, 22, 24, 26, 28, 30, 33];
        assert_eq!(chosen(&Request::default(), 34), expected);
    }

    #[test]
    fn a_short_clip_repeats_frames() {
        let request = Request { sampling: Sampling::Count(8), ..Request::default() };
        assert_eq!(chosen(&request, 3), [0, 0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(chosen(&request, 1), [0; 8]);
    }

    #[test]
    fn a_range_counts_in_frames_of_the_average_rate() {
        let request =
            Request { sampling: Sampling::All, start: Some(0.5), end: Some(1.0), ..Request::default() };
        assert_eq!(chosen(&request, 53), [6, 7, 8, 9, 10, 11, 12]);
        let past = Request { start: Some(4.5), ..request.clone() };
        assert!(matches!(indices(&past, &times(53, 12.0), 12.0), Err(VideoError::EmptyRange { .. })));
        let backwards = Request { start: Some(2.0), end: Some(1.0), ..request };
        assert!(matches!(indices(&backwards, &times(53, 12.0), 12.0), Err(VideoError::EmptyRange { .. })));
    }

    #[test]
    fn a_range_on_a_variable_rate_holds_the_frames_shown_in_it() {
        // Two seconds at 30 per second, then 28 at one per second: 88 frames at 2.93 per second on average.
        let times: Vec<f64> = (0..60).map(|i| f64::from(i) / 30.0).chain((2..30).map(f64::from)).collect();
        let fps = times.len() as f64 / 30.0;
        let shown = |request: &Request| {
            let indices = indices(request, &times, fps).unwrap();
            indices.iter().map(|&i| times[i]).collect::<Vec<_>>()
        };
        let request = Request {
            sampling: Sampling::Count(8),
            start: Some(10.0),
            end: Some(20.0),
            ..Request::default()
        };
        assert_eq!(shown(&request), [10.0, 11.0, 12.0, 14.0, 15.0, 17.0, 18.0, 20.0]);
        let between =
            Request { sampling: Sampling::All, start: Some(10.5), end: Some(12.5), ..request.clone() };
        assert_eq!(shown(&between), [10.0, 11.0, 12.0], "the frame of 10.0 s is on screen until 11.0 s");
        let last = Request { sampling: Sampling::All, start: Some(29.5), end: None, ..request.clone() };
        assert_eq!(shown(&last), [29.0]);
        let past = Request { start: Some(30.0), end: None, ..request.clone() };
        assert!(matches!(indices(&past, &times, fps), Err(VideoError::EmptyRange { .. })));
        let by_rate = Request { range_by: RangeBy::Fps, ..request };
        assert!(
            shown(&by_rate).iter().all(|&time| time <= 2.0),
            "the average rate names frames of another time"
        );
        let window = Some(Window { length: 10.0, stride: 10.0 });
        let windows = Request { window, ..Request::default() }.choose(&times, fps, &[]).unwrap();
        let starts: Vec<f64> =
            windows.windows.iter().map(|w| times[windows.indices[w.slots.start]]).collect();
        assert_eq!(starts, [0.0, 10.0, 20.0]);
    }

    #[test]
    fn a_constant_rate_gives_the_same_frames_by_time_and_by_rate() {
        let exact = times(300, 30000.0 / 1001.0);
        // As Matroska and FLV keep them.
        let rounded: Vec<f64> = exact.iter().map(|time| (time * 1000.0).round() / 1000.0).collect();
        for times in [&exact, &rounded] {
            for tenth in 0..100 {
                let by_time =
                    Request { start: Some(f64::from(tenth) / 10.0), end: Some(9.9), ..Request::default() };
                let by_rate = Request { range_by: RangeBy::Fps, ..by_time.clone() };
                let fps = 30000.0 / 1001.0;
                assert_eq!(indices(&by_time, times, fps).ok(), indices(&by_rate, times, fps).ok(), "{tenth}");
            }
        }
    }

    #[test]
    fn reversed_is_the_mirror() {
        let forward = Request { sampling: Sampling::Count(5), ..Request::default() };
        let mut mirrored = chosen(&forward, 34);
        mirrored.reverse();
        assert_eq!(chosen(&Request { reverse: true, ..forward }, 34), mirrored);
    }

    #[test]
    fn a_rate_takes_the_frame_on_screen() {
        let request = Request { sampling: Sampling::Fps(4.0), ..Request::default() };
        assert_eq!(chosen(&request, 13), [0, 3, 6, 9, 12]);
        let uneven = [0.0, 0.1, 0.6, 0.7, 1.4];
        let request = Request { sampling: Sampling::Fps(2.0), ..Request::default() };
        assert_eq!(indices(&request, &uneven, 3.0).unwrap(), [0, 1, 3]);
    }

    fn spans(length: f64, stride: f64, range: (Option<f64>, Option<f64>)) -> Vec<(f64, f64, usize)> {
        let window = Some(Window { length, stride });
        let request = Request { window, start: range.0, end: range.1, ..Request::default() };
        let chosen = request.choose(&times(120, 12.0), 12.0, &[]).unwrap();
        assert_eq!(chosen.indices.len(), 16 * chosen.windows.len());
        chosen.windows.iter().map(|w| (w.start, w.end, chosen.indices[w.slots.start])).collect()
    }

    #[test]
    fn windows_lie_within_the_clip_a_stride_apart() {
        let all = (None, None);
        assert_eq!(spans(4.0, 3.0, all), [(0.0, 4.0, 0), (3.0, 7.0, 36), (6.0, 10.0, 72)]);
        assert_eq!(spans(4.0, 4.0, all), [(0.0, 4.0, 0), (4.0, 8.0, 48)]);
        assert_eq!(spans(20.0, 1.0, all), [(0.0, 10.0, 0)]);
        assert_eq!(spans(1.0, 2.0, (Some(5.0), Some(8.5))), [(5.0, 6.0, 60), (7.0, 8.0, 84)]);
    }

    #[test]
    fn a_frame_that_is_held_for_long_is_told() {
        let at = |rate| Request { sampling: Sampling::Fps(rate), ..Request::default() };
        let held = [0.0, 0.1, 3600.0, 3600.1];
        let note = at(1.0).choose(&held, 10.0, &[]).unwrap().held_note(&held);
        assert_eq!(note.unwrap(), "frame 1 is shown for 3599.9 s and taken 3599 times");
        assert_eq!(at(0.1).choose(&held, 10.0, &[]).unwrap().held_note(&held), None);
        let many = Request { sampling: Sampling::Count(5000), ..Request::default() };
        let short = times(4, 1.0);
        assert_eq!(many.choose(&short, 1.0, &[]).unwrap().held_note(&short), None);
    }

    #[test]
    fn more_frames_than_any_use_has_are_refused_however_they_are_asked_for() {
        let many = times(MOST + 1, 25.0);
        for sampling in [Sampling::All, Sampling::Count(MOST + 1), Sampling::Fps(50.0)] {
            let request = Request { sampling, ..Request::default() };
            assert!(
                matches!(request.choose(&many, 25.0, &[]), Err(VideoError::BadRequest { .. })),
                "{sampling:?}"
            );
        }
    }

    #[test]
    fn nothing_or_too_much_is_refused() {
        for sampling in [Sampling::Count(0), Sampling::Fps(0.0), Sampling::Fps(f64::NAN), Sampling::Fps(1e12)]
        {
            let request = Request { sampling, ..Request::default() };
            assert!(indices(&request, &times(4, 1.0), 1.0).is_err());
        }
    }

    fn of_keys(request: &Request, len: usize, keys: &[usize]) -> Chosen {
        request.choose(&times(len, 10.0), 10.0, keys).unwrap()
    }

    #[test]
    fn each_frame_becomes_the_nearest_key_frame_and_of_two_the_earlier() {
        let request = Request { sampling: Sampling::Count(5), keyframes: true, ..Request::default() };
        // Exact: 0, 10, 20, 30, 40; 20 lies in the middle of 14 and 26.
        let five = of_keys(&request, 41, &[0, 14, 26, 39]);
        assert_eq!((five.indices.clone(), five.key_frames.clone()), (vec![0, 14, 14, 26, 39], vec![4]));
        assert!(five.key_notes().unwrap().contains("5 frames are 4 different key frames"));
        let mut reversed = of_keys(&Request { reverse: true, ..request.clone() }, 41, &[0, 14, 26, 39]);
        reversed.indices.reverse();
        assert_eq!(reversed, five);
        let each = of_keys(&request, 41, &[0, 10, 20, 30, 40]);
        assert_eq!((each.key_frames.clone(), each.key_notes()), (vec![5], None));
        let all = Request { sampling: Sampling::All, ..request };
        assert_eq!(of_keys(&all, 41, &[0, 14, 26, 39]).indices, [0, 14, 26, 39]);
    }

    #[test]
    fn exact_frames_are_taken_where_fewer_than_two_key_frames_would_be() {
        let request = Request { sampling: Sampling::Count(3), keyframes: true, ..Request::default() };
        for keys in [&[][..], &[0], &[20]] {
            let exact = of_keys(&request, 41, keys);
            assert_eq!((exact.indices.clone(), exact.key_frames.clone()), (vec![0, 20, 40], vec![0]));
            assert!(exact.key_notes().unwrap().contains("exact frames are taken"));
        }
        // Key frames outside of the range are none of the clip's.
        let part = Request { start: Some(1.0), end: Some(2.0), ..request };
        assert_eq!(of_keys(&part, 41, &[0, 9, 21]).indices, [10, 15, 20]);
        let plain = Request { keyframes: false, ..part };
        assert_eq!(
            (of_keys(&plain, 41, &[10, 20]).key_frames, of_keys(&plain, 41, &[]).key_notes()),
            (vec![], None)
        );
    }

    #[test]
    fn windows_have_their_own_key_frames() {
        let window = Some(Window { length: 2.0, stride: 2.0 });
        let request = Request { sampling: Sampling::Count(3), keyframes: true, window, ..Request::default() };
        let two = of_keys(&request, 41, &[0, 18, 30]);
        assert_eq!((two.indices.clone(), two.key_frames.clone()), (vec![0, 18, 18, 20, 30, 40], vec![2, 0]));
        let said = two.key_notes().unwrap();
        assert!(said.contains("of its 2 windows, 1 keep") && said.contains("1 repeat"), "{said}");
    }
}
