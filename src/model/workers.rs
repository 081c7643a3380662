//! Threads that share numbered work without waiting for one another.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `work` for every number below `count`, the calling thread among up to `threads`, each with a state of its own.
pub(super) fn share<S>(
    threads: usize,
    count: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
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
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(worker);
        }
        worker();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::lock;
    use std::sync::Mutex;

    #[test]
    fn every_number_is_worked_on_once() {
        for threads in [0, 1, 2, 7] {
            for count in [0, 1, 2, 50] {
                let seen = Mutex::new(Vec::new());
                share(threads, count, || (), |(), i| lock(&seen).push(i));
                let mut seen = lock(&seen).clone();
                seen.sort_unstable();
                assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{threads} threads");
            }
        }
    }
}
