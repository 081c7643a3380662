//! The progress of a run: a bar on a terminal, else a line every 30 seconds, and nothing with --quiet.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;

use super::report::{self, Level};
use crate::guard::lock;

/// The time between two lines if there is no terminal.
const EVERY: Duration = Duration::from_secs(30);

/// The time between two objects where standard error is for programs.
const EVERY_OBJECT: Duration = Duration::from_secs(5);

/// The time between two lines.
pub(super) fn every() -> Duration {
    if report::is_for_programs() { EVERY_OBJECT } else { EVERY }
}

/// How fast a run is, per second, and the seconds that are left.
struct Pace {
    rate: f64,
    left: f64,
}

impl Pace {
    fn of(done: u64, total: u64, started: Instant) -> Self {
        let rate = done as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let left = if done == 0 { f64::NAN } else { total.saturating_sub(done) as f64 / rate };
        Self { rate, left }
    }
}

/// Prints how far a run is: for people `line`, for programs the event `progress`.
pub(super) fn event((done, total): (u64, u64), failed: Option<usize>, started: Instant, line: &str) {
    let Pace { rate, left } = Pace::of(done, total, started);
    // A number that is not known (no step is done) is null, and left out.
    let fields =
        json!({ "done": done, "failed": failed, "total": total, "rate": rate, "seconds_left": left });
    report::event(Level::Info, "progress", line, fields);
}

/// A bar by indicatif's `template`, with `{wide_bar}` in colour if the terminal shows colours, and with a key `{rate}`. `None`
/// if standard error is not a terminal, or is for programs.
pub(super) fn bar(total: Option<u64>, template: &str) -> Option<ProgressBar> {
    if !stderr().is_terminal() || report::is_for_programs() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let coloured = if report::colour_on_stderr() { "{wide_bar:.cyan}" } else { "{wide_bar}" };
    if let Ok(style) = ProgressStyle::with_template(&template.replace("{wide_bar}", coloured)) {
        // indicatif's own `{per_sec}` has four decimals.
        let rate = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = write!(to, "{:.1}/s", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
    }
    Some(bar)
}

/// The progress of a run over a known number of videos.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    total: usize,
    done: usize,
    failed: usize,
    started: Instant,
    told: Instant,
}

impl Progress {
    /// Starts the clock.
    pub(super) fn new(total: usize, quiet: bool) -> Self {
        let bar = match !quiet && total > 1 {
            true => bar(Some(total as u64), "{wide_bar} {pos}/{len}{msg}, {rate}, {eta} left"),
            false => None,
        };
        let now = Instant::now();
        Self { bar, quiet, total, done: 0, failed: 0, started: now, told: now }
    }

    /// Counts a video.
    pub(super) fn step(&mut self, ok: bool) {
        self.done += 1;
        self.failed += usize::from(!ok);
        if let Some(bar) = &self.bar {
            if !ok {
                bar.set_message(format!(" ({} failed)", self.failed));
            }
            bar.inc(1);
        } else if !self.quiet && self.done < self.total && self.told.elapsed() >= every() {
            self.told = Instant::now();
            self.tell();
        }
    }

    fn tell(&self) {
        let failed = if self.failed > 0 { format!(" ({} failed)", self.failed) } else { String::new() };
        let Pace { rate, left } = Pace::of(self.done as u64, self.total as u64, self.started);
        let line = format!("{}/{}{failed}, {rate:.2} clips/s, {left:.0} s left", self.done, self.total);
        event((self.done as u64, self.total as u64), Some(self.failed), self.started, &line);
    }

    /// Videos so far.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Prints lines above the bar.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Removes the bar; returns how long the run took.
    pub(super) fn finish(self) -> Duration {
        if report::is_for_programs() && !self.quiet && self.total > 0 {
            self.tell();
        }
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.started.elapsed()
    }
}

/// Runs `work`, which counts in `done` up to `total`, and shows how far it is if it takes more than a second.
pub(super) fn watch<T>(total: usize, quiet: bool, done: &AtomicUsize, work: impl FnOnce() -> T) -> T {
    if quiet {
        return work();
    }
    let ended = Mutex::new(false);
    let wake = Condvar::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut shown, started) = (None, Instant::now());
            let mut told = started;
            let mut wait = Duration::from_secs(1);
            let mut guard = lock(&ended);
            while !*guard {
                guard = wake.wait_timeout(guard, wait).unwrap_or_else(PoisonError::into_inner).0;
                if *guard {
                    break;
                }
                wait = Duration::from_millis(200);
                let show = || bar(Some(total as u64), "{wide_bar} {percent}%, {eta} left");
                if let Some(bar) = shown.get_or_insert_with(show) {
                    bar.set_position(done.load(Ordering::Relaxed) as u64);
                } else if report::is_for_programs() && told.elapsed() >= EVERY_OBJECT {
                    told = Instant::now();
                    let at = (done.load(Ordering::Relaxed) as u64, total as u64);
                    event(at, None, started, &format!("{} of {}", at.0, at.1));
                }
            }
            if let Some(Some(bar)) = shown {
                bar.finish_and_clear();
            }
        });
        // The other thread ends even if `work` panics.
        let _end = End(&ended, &wake);
        work()
    })
}

/// Tells the thread of [`watch`] to end.
struct End<'a>(&'a Mutex<bool>, &'a Condvar);

impl Drop for End<'_> {
    fn drop(&mut self) {
        *lock(self.0) = true;
        self.1.notify_all();
    }
}
