//! Threads that share numbered work without waiting for one another.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::guard::lock;

/// Does `work` for every number below `count`, the calling thread among up to `threads`, each with a state of its own. A thread
/// that finds no more work calls `done`.
pub(super) fn share<S>(
    threads: usize,
    count: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
    done: impl Fn() + Sync,
) {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut state = state();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                break;
            }
            work(&mut state, i);
        }
        done();
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(worker);
        }
        worker();
    });
}

/// Does `jobs`, each by a thread of its own: `mine` on the calling thread, `theirs` on the others. Where the system gives fewer
/// threads, those that it gives do more.
pub(super) fn together<J: Send>(jobs: Vec<J>, mut mine: impl FnMut(J), theirs: impl Fn(J) + Sync) {
    let others = jobs.len().saturating_sub(1);
    let jobs = Mutex::new(jobs);
    let next = || lock(&jobs).pop();
    let helper = || {
        while let Some(job) = next() {
            theirs(job);
        }
    };
    thread::scope(|scope| {
        for _ in 0..others {
            if thread::Builder::new().spawn_scoped(scope, helper).is_err() {
                break;
            }
        }
        while let Some(job) = next() {
            mine(job);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_worked_on_once() {
        for threads in [0, 1, 2, 7] {
            for count in [0, 1, 2, 50] {
                let seen = Mutex::new(Vec::new());
                share(threads, count, || (), |(), i| lock(&seen).push(i), || ());
                let mut seen = lock(&seen).clone();
                seen.sort_unstable();
                assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{threads} threads");
            }
        }
    }

    #[test]
    fn every_job_is_done_once_by_whatever_thread() {
        for count in [0, 1, 2, 9] {
            let done = Mutex::new(Vec::new());
            let mut jobs = vec![0; count];
            let own = jobs.iter_mut().enumerate().collect();
            let work = |(i, job): (usize, &mut usize)| {
                *job = i + 1;
                lock(&done).push(i);
            };
            together(own, work, work);
            let mut done = lock(&done).clone();
            done.sort_unstable();
            assert_eq!(done, (0..count).collect::<Vec<_>>());
            assert_eq!(jobs, (1..=count).collect::<Vec<_>>());
        }
    }
}
