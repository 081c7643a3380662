//! Panics turned into errors, and locks that outlive a panic.
//!
//! Some libraries panic on a damaged file. [`catch_panic`] catches such a panic and keeps the standard library from printing
//! it, because the caller has a message of its own. Any other panic is a bug of this program: [`guarded`] reports it as one.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`; `None` if it panicked.
pub fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                told(info);
            }
        }));
    });
    let before = EXPECTED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    EXPECTED.set(before);
    result.ok()
}

/// Runs `work`; a panic becomes a message that asks for a report of the bug, so that it fails one video and not the run.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| "lift failed on it (a bug of lift's own, please report it with the file)".into())
}

/// Locks a mutex, also after another thread panicked while it held the lock: each change of the data is complete in itself.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer_and_the_thread_goes_on() {
        assert_eq!(catch_panic(|| 3), Some(3));
        assert_eq!(catch_panic(|| -> usize { panic!("not to be seen") }), None);
        assert!(!EXPECTED.get());
    }
}
