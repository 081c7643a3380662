//! When pictures are shown: seconds from the first one, out of times on a clock that may jump.
//!
//! A recorder that starts again, or two recordings joined, set the clock back or ahead. The time between is shown to nobody, so
//! it is closed: the picture after the jump follows a frame's time after the picture before it. What counts as a jump is
//! FFmpeg's own judgement (`ffmpeg -dts_delta_threshold`, `-dts_error_threshold`): any step back, and a step ahead of more than
//! 10 s in a container whose clock may jump (a transport stream), of more than 30 hours in any other, which states such times on
//! purpose: a picture that is held.

/// The clock of a video stream.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Seconds of one of its ticks.
    tick: f64,
    /// Ticks that a picture is shown on average.
    frame: i128,
    /// The most ticks from one picture to the next that are no jump.
    longest: i128,
}

/// When the pictures of a clip are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Seconds from the first picture, in the order of showing, ascending.
    pub seconds: Vec<f64>,
    /// How many jumps were closed.
    pub jumps: usize,
    /// The largest of them, in seconds; a step back counts by its size.
    pub largest: f64,
}

impl Clock {
    /// A clock of so many seconds a tick; `rate` is the average number of frames per second, `may_jump` what the container's
    /// format allows.
    pub fn new(tick: f64, rate: f64, may_jump: bool) -> Self {
        const DELTA: f64 = 10.0;
        const ERROR: f64 = 30.0 * 3600.0;
        // A file may state any unit and rate: a bound keeps the sums below in range.
        let ticks = |seconds: f64| i128::from((seconds / tick.max(f64::MIN_POSITIVE)).round() as i64);
        let frame = 1.0 / rate;
        // Pictures a minute apart, one after the other, are no jumps.
        let longest = if may_jump { DELTA.max(16.0 * frame) } else { ERROR.max(16.0 * frame) };
        Self { tick, frame: ticks(frame).max(1), longest: ticks(longest) }
    }

    /// Whether the clock jumps from one time to the next.
    pub fn jumps(&self, from: i64, to: i64) -> bool {
        !(0..=self.longest).contains(&(i128::from(to) - i128::from(from)))
    }

    /// When pictures with these times, in the order of showing, are shown.
    pub fn shown(&self, times: impl IntoIterator<Item = i64>) -> Shown {
        let mut shown = Shown { seconds: vec![], jumps: 0, largest: 0.0 };
        let (mut elapsed, mut last) = (0, None);
        for time in times.into_iter().map(i128::from) {
            let step = time - last.unwrap_or(time);
            if (0..=self.longest).contains(&step) {
                elapsed += step;
            } else {
                elapsed += self.frame;
                shown.jumps += 1;
                shown.largest = shown.largest.max(step.abs() as f64 * self.tick);
            }
            last = Some(time);
            shown.seconds.push(elapsed as f64 * self.tick);
        }
        shown
    }
}

/// Puts times in the order of showing, where recordings begin at these of them: each recording has a clock of its own.
pub fn sort_recordings(times: &mut [i64], begins: &[usize]) {
    let mut rest = times;
    let mut done = 0;
    for begin in begins {
        let (recording, after) = rest.split_at_mut(begin - done);
        recording.sort_unstable();
        (rest, done) = (after, *begin);
    }
    rest.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_closed_and_gaps_are_kept() {
        let clock = Clock::new(0.1, 5.0, true);
        let sound = clock.shown([7, 9, 11, 60]);
        assert_eq!(sound.seconds, [0.0, 0.2, 0.4, 53.0 * 0.1]);
        assert_eq!(sound.jumps, 0);
        let ahead = clock.shown([7, 9, 1_000_000, 1_000_002]);
        assert_eq!((ahead.jumps, ahead.largest), (1, 999_991.0 * 0.1));
        assert_eq!(ahead.seconds, [0, 2, 4, 6].map(|ticks| f64::from(ticks) * 0.1));
        let back = clock.shown([7, 9, -50, -48]);
        assert_eq!((back.jumps, back.seconds), (1, ahead.seconds));
        // The ends of what a time can be do not overflow.
        assert_eq!(clock.shown([i64::MIN, i64::MAX, i64::MIN + 1]).jumps, 2);
    }

    #[test]
    fn a_picture_that_is_held_is_no_jump() {
        // In an MP4 a day's pause is stated; in a transport stream pictures may come once a minute.
        assert_eq!(Clock::new(1.0, 25.0, false).shown([0, 86_400]).jumps, 0);
        assert_eq!(Clock::new(1.0, 1.0 / 60.0, true).shown([0, 60, 120, 300]).jumps, 0);
    }

    #[test]
    fn recordings_are_sorted_each_for_itself() {
        let mut times = [3, 1, 2, 2, 1, 9, 0];
        sort_recordings(&mut times, &[3, 6]);
        assert_eq!(times, [1, 2, 3, 1, 2, 9, 0]);
        sort_recordings(&mut times, &[]);
        assert_eq!(times, [0, 1, 1, 2, 2, 3, 9]);
    }
}
