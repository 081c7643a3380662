//! The network. It is used only when a file is missing, never where it is switched off, and with a limited number of tries.
//!
//! If a server is busy or fails for a moment (408, 429, 5xx, a broken or silent connection), the request is repeated after the
//! pause that the server names, or after a pause that doubles. Bytes that arrive reset the count of tries. A refusal (403,
//! 404) is final at once. A machine that cannot be reached is given up after the second try, so that a user without a
//! network does not wait.

mod client;
mod download;
mod lock;
mod tries;

use std::env;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::http::StatusCode;

pub(super) use client::{Client, MOST_REDIRECTS, host, joined, text_header};
pub(super) use download::{Arrived, Job, download};
pub(super) use lock::Lock;

use super::WeightsError;
use crate::files::{AtomicFile, FileError};

/// Seconds without a byte after which a connection counts as lost, if `LIFT_HTTP_TIMEOUT` does not say.
const PATIENCE: f64 = 30.0;

/// Seconds of the first pause before trying again, for [`PATIENCE`] of a second; it doubles from try to try.
const PAUSE: f64 = 1.0 / PATIENCE;

/// Why a download failed. The message has the cause; the caller adds the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetError {
    #[error("{host} cannot be reached: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("{host} answered {status}{detail}")]
    Status { host: String, status: StatusCode, detail: String, page: String },
    #[error("{host} asks to wait {seconds} s before trying again")]
    Busy { host: String, seconds: u64 },
    #[error("the connection to {host} broke off after {have}: {cause}")]
    Cut { host: String, have: String, cause: String },
    #[error("{host} sent a web page{title} instead of the file")]
    WebPage { host: String, title: String, page: String },
    #[error("{0}")]
    Wrong(String),
    #[error("{path}: {cause}")]
    Write { path: String, cause: std::io::Error },
    #[error("interrupted")]
    Interrupted(i32),
}

impl NetError {
    pub(super) fn write(path: &Path, cause: std::io::Error) -> Self {
        Self::Write { path: path.display().to_string(), cause }
    }

    /// The error of the whole attempt to get `what`, with what to do instead.
    pub(super) fn into_weights(self, what: &str, remedy: &str) -> WeightsError {
        match self {
            Self::Write { path, cause } => {
                let remedy = match cause.kind() {
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                        "what has arrived is kept: free some space and run it again, or name another folder with HF_HOME \
                         and LIFT_HOME"
                    }
                    _ => "name a folder that is yours with HF_HOME and LIFT_HOME",
                };
                WeightsError::Write { origin: path, cause, remedy }
            }
            Self::Interrupted(signal) => WeightsError::Interrupted { signal },
            other => WeightsError::Absent(format!("{what}: {other}; {remedy}")),
        }
    }
}

/// Writes a file whole or not at all, over what is there.
pub(super) fn write_whole(path: &Path, bytes: &mut dyn Read) -> Result<(), NetError> {
    let words = |error: FileError| match error {
        FileError::Write { cause, .. } => NetError::write(path, cause),
        other => NetError::Wrong(other.to_string()),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| NetError::write(folder, e))?;
    }
    let mut file = AtomicFile::create(path, true).map_err(words)?;
    std::io::copy(bytes, &mut file).map_err(|e| NetError::write(path, e))?;
    file.commit().map_err(words)
}

/// The switch that forbids the network, if there is one; `flag` is `--offline`.
pub(super) fn forbidden(flag: bool) -> Option<&'static str> {
    if flag {
        return Some("--offline");
    }
    ["LIFT_OFFLINE", "HF_HUB_OFFLINE"].into_iter().find(|name| switched_on(name))
}

/// True for any value of an environment switch but the empty one, 0, false, no and off.
fn switched_on(name: &str) -> bool {
    env::var(name).is_ok_and(|v| !["", "0", "false", "no", "off"].contains(&v.to_ascii_lowercase().as_str()))
}

/// The value of an environment variable, if it is set and not empty.
pub(super) fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

static SIGNAL: OnceLock<Arc<AtomicI32>> = OnceLock::new();

/// Downloads end when this is no longer zero: the number of the signal that came.
pub fn stop_downloads_on(signal: Arc<AtomicI32>) {
    let _ = SIGNAL.set(signal);
}

/// Checked between the pieces of a download.
///
/// # Errors
/// If a signal came.
fn go_on() -> Result<(), NetError> {
    match SIGNAL.get().map_or(0, |signal| signal.load(Ordering::Relaxed)) {
        0 => Ok(()),
        signal => Err(NetError::Interrupted(signal)),
    }
}

/// How long a connection may be silent.
fn patience() -> Duration {
    let told = setting("LIFT_HTTP_TIMEOUT").and_then(|text| text.trim().parse().ok());
    let seconds = told.filter(|s: &f64| s.is_finite() && *s > 0.0).unwrap_or(PATIENCE);
    Duration::from_secs_f64(seconds.min(3600.0))
}

/// Sleeps in small steps, so that a signal ends it soon.
fn sleep(mut time: Duration) -> Result<(), NetError> {
    const STEP: Duration = Duration::from_millis(100);
    while !time.is_zero() {
        go_on()?;
        std::thread::sleep(time.min(STEP));
        time = time.saturating_sub(STEP);
    }
    go_on()
}
