//! The progress of downloads: the program installs a listener that shows it; without one nothing is shown.
//!
//! A download happens deep inside loading a model, and the callers of that need not know of it. So there is one listener for
//! the process, as in `log` and `tracing`.

use std::sync::OnceLock;

/// Is told of downloads and conversions.
pub trait DownloadListener: Send + Sync {
    /// A line for the user: what is fetched, how large, from where; what is waited for.
    fn line(&self, text: &str);
    /// Bytes begin to arrive: `done` of them are here from an earlier run, `total` there will be, if that is known.
    fn start(&self, done: u64, total: Option<u64>);
    /// More bytes have arrived.
    fn advance(&self, bytes: u64);
    /// No more bytes arrive, whether or not all did.
    fn finish(&self);
}

struct Silent;

impl DownloadListener for Silent {
    fn line(&self, _: &str) {}
    fn start(&self, _: u64, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}

static LISTENER: OnceLock<Box<dyn DownloadListener>> = OnceLock::new();

/// Installs the listener; the first one stays.
pub fn set_download_listener(listener: Box<dyn DownloadListener>) {
    let _ = LISTENER.set(listener);
}

pub(super) fn listener() -> &'static dyn DownloadListener {
    LISTENER.get().map_or(&Silent, |listener| &**listener)
}
