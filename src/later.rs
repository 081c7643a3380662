//! Values that are made while other work goes on.

use std::fmt::Display;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use crate::guard::{guarded, lock};

/// A value that a thread of its own makes. Whoever needs it waits for it.
#[derive(Debug)]
pub struct Later<T>(Arc<OnceLock<Result<T, String>>>);

impl<T: Send + Sync + 'static> Later<T> {
    /// A value that is there already.
    pub fn ready(value: T) -> Self {
        Self(Arc::new(OnceLock::from(Ok(value))))
    }

    /// Starts a thread that makes the value. If the system gives no thread, the value is made before this returns.
    pub fn start<E: Display>(make: impl FnOnce() -> Result<T, E> + Send + 'static) -> Self {
        let made = Arc::new(OnceLock::new());
        let (cell, make) = (made.clone(), Arc::new(Mutex::new(Some(make))));
        let work = move || {
            if let Some(make) = lock(&make).take() {
                let value = guarded(make).and_then(|value| value.map_err(|e| e.to_string()));
                // Nobody else sets it.
                let _ = cell.set(value);
            }
        };
        if thread::Builder::new().spawn(work.clone()).is_err() {
            work();
        }
        Self(made)
    }

    /// The value, once it is made.
    ///
    /// # Errors
    /// Why it could not be made.
    pub fn get(&self) -> Result<&T, &str> {
        self.0.wait().as_ref().map_err(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_an_error_and_a_panic_all_arrive() {
        assert_eq!(Later::ready(1).get(), Ok(&1));
        assert_eq!(Later::start(|| Ok::<_, String>(2)).get(), Ok(&2));
        assert_eq!(Later::start(|| Err::<u8, _>("no")).get(), Err("no"));
        let bug = Later::start(|| -> Result<u8, String> { panic!("expected by this test") });
        assert!(bug.get().is_err_and(|why| why.contains("a bug of lift's own")));
    }
}
