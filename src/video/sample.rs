//! Which frames of a clip are looked at: `trunc(linspace(first, last, T))`, as the authors' code chooses them.
//!
//! Frames are counted in presentation order over the packets of the video stream, never by a header. Everything here is
//! arithmetic on that count, the presentation times and the average rate; no file is touched.

use super::error::VideoError;

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

/// What of a clip is wanted and how it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which frames.
    pub sampling: Sampling,
    /// Start of the range in seconds from the clip's first frame; the beginning if absent.
    pub start: Option<f64>,
    /// End of the range in seconds; the clip's end if absent.
    pub end: Option<f64>,
    /// Mirror the clip in time: the same frames, the last one first.
    pub reverse: bool,
    /// Take what is there of a truncated or damaged file instead of refusing it.
    pub allow_truncated: bool,
    /// The most frames that whoever asks can take of a clip; any number if absent.
    pub most: Option<usize>,
    /// Decoder threads for the slices of a picture; 0 lets FFmpeg choose. The frames are the same bits whatever the number.
    pub threads: usize,
}

/// Most frames that one request may take: far above any use, below what would fill the memory by a slip of the hand.
const MOST: usize = 1 << 20;

impl Default for Request {
    /// The authors' sixteen frames over the whole clip.
    fn default() -> Self {
        Self {
            sampling: Sampling::Count(16),
            start: None,
            end: None,
            reverse: false,
            allow_truncated: false,
            most: None,
            threads: 1,
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

impl Request {
    /// The indices to take of a clip, in the order of the output's slots.
    ///
    /// `times` are the presentation times of its frames in seconds from the first, ascending; `fps` is the container's
    /// average rate. The range is `first = max(int(start·fps), 0)`, `last = min(int(end·fps), len-1)`, at least `first`.
    ///
    /// # Errors
    /// When no frame lies in the range, or the sampling asks for nothing or more than the most.
    pub fn indices(&self, times: &[f64], fps: f64) -> Result<Vec<usize>, VideoError> {
        let len = times.len();
        if len == 0 {
            return Err(VideoError::NoFrames);
        }
        let bounds = |value: Option<f64>| value.is_none_or(|v| v.is_finite() && v >= 0.0);
        let first = self.start.map_or(0, |start| (start * fps).max(0.0) as usize);
        let backwards = matches!((self.start, self.end), (Some(start), Some(end)) if end < start);
        if first >= len || backwards || !bounds(self.start) || !bounds(self.end) {
            return Err(VideoError::EmptyRange {
                start: self.start.unwrap_or(0.0),
                end: self.end,
                last: times[len - 1],
            });
        }
        let last = self.end.map_or(len - 1, |end| ((end * fps) as usize).min(len - 1)).max(first);
        let mut indices = match self.sampling {
            Sampling::Count(0) => return Err(VideoError::BadRequest { what: "0 frames".into() }),
            Sampling::Count(n) if n > MOST => {
                return Err(VideoError::BadRequest { what: format!("{n} frames") });
            }
            Sampling::Count(n) => linspace(first, last, n),
            Sampling::All => (first..=last).collect(),
            Sampling::Fps(rate) if rate > 0.0 && (times[last] - times[first]) * rate < MOST as f64 => {
                ticks(&times[..=last], first, rate)
            }
            Sampling::Fps(rate) => {
                return Err(VideoError::BadRequest { what: format!("{rate} frames per second") });
            }
        };
        if let Some(most) = self.most.filter(|&most| indices.len() > most) {
            return Err(VideoError::TooManyFrames { frames: indices.len(), most });
        }
        if self.reverse {
            indices.reverse();
        }
        Ok(indices)
    }
}

/// The frame on screen at each tick of `rate` per second, from `times[first]` to the last time.
fn ticks(times: &[f64], first: usize, rate: f64) -> Vec<usize> {
    /// Times come from rationals: a tick that should meet a frame may fall this much before it.
    const ROUNDING: f64 = 1e-6;
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

    fn chosen(request: &Request, len: usize) -> Vec<usize> {
        request.indices(&times(len, 12.0), 12.0).unwrap()
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
        assert!(matches!(past.indices(&times(53, 12.0), 12.0), Err(VideoError::EmptyRange { .. })));
        let backwards = Request { start: Some(2.0), end: Some(1.0), ..request };
        assert!(matches!(backwards.indices(&times(53, 12.0), 12.0), Err(VideoError::EmptyRange { .. })));
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
        assert_eq!(request.indices(&uneven, 3.0).unwrap(), [0, 1, 3]);
    }

    #[test]
    fn nothing_or_too_much_is_refused() {
        for sampling in [Sampling::Count(0), Sampling::Fps(0.0), Sampling::Fps(f64::NAN), Sampling::Fps(1e12)]
        {
            let request = Request { sampling, ..Request::default() };
            assert!(request.indices(&times(4, 1.0), 1.0).is_err());
        }
    }
}
