//! The policy on threads: one place for who computes with how many.
//!
//! Work is shared out by clips, frames and shards of batches, by our own threads. candle's and rayon's threads of the process
//! would compete with them, so both have one ([`prepare`], [`limit_global_pool`]). A command that computes in parallel does so in a pool of its own
//! ([`pool`]), of as many threads as `--threads` says ([`available`] by default).

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Sets the variables that tell candle and rayon to use one thread each, unless the environment says otherwise.
///
/// candle reads the variables when it computes. Without the second one it counts the machine's cores in /proc/cpuinfo at every
/// matrix product. A [`pool`] does not read it.
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

/// Threads of a run that have no work, counted, so that others may start as many helpers for a while.
///
/// A thread without work is lent, and goes on once it has taken itself back. So no more threads compute than were asked for.
#[derive(Debug, Default)]
pub struct IdleThreads {
    idle: AtomicUsize,
    /// Those that may borrow.
    computing: AtomicUsize,
}

impl IdleThreads {
    /// Lends this many threads.
    pub fn lend(&self, threads: usize) {
        self.idle.fetch_add(threads, Ordering::Relaxed);
    }

    /// Takes one thread back; false while all are borrowed.
    pub fn take_back(&self) -> bool {
        self.take(1) == 1
    }

    /// Counts the calling thread among those that compute until the answer is dropped. All who compute borrow in equal shares.
    pub fn compute(&self) -> Computing<'_> {
        self.computing.fetch_add(1, Ordering::Relaxed);
        Computing(self)
    }

    fn take(&self, most: usize) -> usize {
        let rest = |idle: usize| (most.min(idle) > 0).then(|| idle - most.min(idle));
        let before = self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        before.map_or(0, |idle| most.min(idle))
    }
}

/// A thread that computes, and may borrow others.
#[derive(Debug)]
pub struct Computing<'a>(&'a IdleThreads);

impl Computing<'_> {
    /// Borrows up to `most` threads, and no more than its share, until the answer is dropped.
    pub fn borrow(&self, most: usize) -> BorrowedThreads<'_> {
        let Self(all) = self;
        let computing = all.computing.load(Ordering::Relaxed).max(1);
        let share = all.idle.load(Ordering::Relaxed).div_ceil(computing);
        BorrowedThreads { all, count: all.take(most.min(share)) }
    }
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Threads that are borrowed.
#[derive(Debug)]
pub struct BorrowedThreads<'a> {
    all: &'a IdleThreads,
    count: usize,
}

impl BorrowedThreads<'_> {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for BorrowedThreads<'_> {
    fn drop(&mut self) {
        self.all.lend(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_borrowed_is_not_taken_back_before_it_is_returned() {
        let threads = IdleThreads::default();
        assert!(!threads.take_back());
        threads.lend(3);
        let (one, two) = (threads.compute(), threads.compute());
        let (first, second) = (one.borrow(9), two.borrow(9));
        assert_eq!((first.count(), second.count()), (2, 1), "in shares");
        assert_eq!(one.borrow(9).count(), 0);
        assert!(!threads.take_back());
        drop(first);
        assert!(threads.take_back());
        drop(second);
        drop(two);
        assert_eq!(one.borrow(1).count(), 1);
        assert_eq!(one.borrow(9).count(), 2);
    }
}
