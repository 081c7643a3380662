//! Shows downloads: a line for each, then a bar on a terminal, else a line now and then; nothing with --quiet.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::json;

use crate::cli::progress;
use crate::cli::report::{self, Level};
use crate::files::size_text;
use crate::guard::lock;
use crate::weights::DownloadListener;

/// Time between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(15);

/// The listener for the whole program.
pub(in crate::cli) struct Downloads {
    quiet: bool,
    now: Mutex<Option<Shown>>,
}

/// A download while its bytes arrive.
struct Shown {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    done: u64,
    told: Instant,
}

impl Downloads {
    pub(in crate::cli) fn new(quiet: bool) -> Self {
        Self { quiet, now: Mutex::new(None) }
    }

    fn with(&self, act: impl FnOnce(&mut Option<Shown>)) {
        if !self.quiet {
            // What is shown is only that; a thread that died while showing it spoils nothing.
            act(&mut lock(&self.now));
        }
    }
}

fn bar(total: Option<u64>, done: u64) -> Option<ProgressBar> {
    let template = match total {
        Some(_) => "{wide_bar} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left",
        None => "{spinner} {decimal_bytes}, {decimal_bytes_per_sec}",
    };
    let bar = progress::bar(total, template)?;
    bar.set_position(done);
    // What an earlier run brought says nothing of this one's speed.
    bar.reset_eta();
    Some(bar)
}

impl DownloadListener for Downloads {
    fn line(&self, text: &str) {
        self.with(|now| match now.as_ref().and_then(|shown| shown.bar.as_ref()) {
            Some(bar) => bar.suspend(|| report::note(text)),
            None => report::note(text),
        });
    }

    fn start(&self, done: u64, total: Option<u64>) {
        self.with(|now| *now = Some(Shown { bar: bar(total, done), total, done, told: Instant::now() }));
    }

    fn advance(&self, bytes: u64) {
        self.with(|now| {
            let Some(shown) = now else { return };
            shown.done += bytes;
            match &shown.bar {
                Some(bar) => bar.inc(bytes),
                None if shown.told.elapsed() >= EVERY.min(progress::every()) => {
                    shown.told = Instant::now();
                    let of = shown.total.map(|n| format!(" of {}", size_text(n))).unwrap_or_default();
                    let fields = json!({ "done": shown.done, "total": shown.total });
                    let line = format!("{}{of} are here", size_text(shown.done));
                    report::event(Level::Note, "download", &line, fields);
                }
                None => {}
            }
        });
    }

    fn finish(&self) {
        self.with(|now| {
            if let Some(bar) = now.take().and_then(|shown| shown.bar) {
                bar.finish_and_clear();
            }
        });
    }
}
