//! The policy on threads: one place for who computes with how many.
//!
//! Work is shared out by clips, frames and shards of batches, by our own threads. candle's and rayon's threads of the process
//! would compete with them, so both have one ([`prepare`], [`limit_global_pool`]). A command that computes in parallel does so in a pool of its own
//! ([`pool`]), of as many threads as `--threads` says ([`available`] by default).

use std::num::NonZeroUsize;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Sets the variables that tell candle and rayon to use one thread each, unless the environment says otherwise.
///
/// candle reads the variables when it computes. Without the second one it counts the machine's cores in /proc/cpuinfo at every
/// matrix product: 27 times a clip, a twentieth of a run. A [`pool`] does not read it.
///
/// # Safety
/// No other thread of the process may run yet.
pub unsafe fn prepare() {
    for name in ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the caller promises that no other thread reads the environment.
            unsafe { std::env::set_var(name, "1") };
        }
    }
}

/// Gives rayon's pool of the process, in which candle computes outside a [`pool`], one thread.
pub fn limit_global_pool() {
    if let Err(error) = ThreadPoolBuilder::new().num_threads(1).build_global() {
        tracing::debug!("rayon keeps its own threads: {error}");
    }
}

/// How many threads the machine runs at once, as far as this process may use them.
pub fn available() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// A pool of that many threads, to compute in with [`ThreadPool::install`].
///
/// # Errors
/// If the system gives no threads.
pub fn pool(threads: NonZeroUsize) -> Result<ThreadPool, ThreadPoolBuildError> {
    ThreadPoolBuilder::new().num_threads(threads.get()).build()
}
