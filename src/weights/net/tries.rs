//! How often a request is repeated, and how long to wait before.

use std::time::Duration;

use super::{NetError, PAUSE, patience, sleep};
use crate::weights::progress::listener;

/// Tries in a row that bring no bytes.
const TRIES: u32 = 5;

/// The same, where the server was never reached.
const TRIES_UNREACHED: u32 = 2;

/// The longest pause that a server may demand.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Counts the tries of one fetch.
pub(in crate::weights) struct Tries {
    made: u32,
    reached: bool,
}

impl Tries {
    pub(in crate::weights) fn new() -> Self {
        Self { made: 0, reached: false }
    }

    /// Something arrived: the next failure is the first again.
    pub(super) fn progress(&mut self) {
        self.made = 0;
    }

    /// Waits before the next try: `asked` if the server said how long.
    ///
    /// # Errors
    /// `failure` if it was the last try; that the server is busy if it asks for too long a pause; or a signal.
    pub(in crate::weights) fn again(
        &mut self,
        failure: NetError,
        asked: Option<Duration>,
    ) -> Result<(), NetError> {
        self.made += 1;
        self.reached |= !matches!(failure, NetError::Unreachable { .. });
        if self.made >= if self.reached { TRIES } else { TRIES_UNREACHED } {
            return Err(failure);
        }
        let pause = asked.unwrap_or_else(|| {
            Duration::from_secs_f64(patience().as_secs_f64() * PAUSE * f64::from(1 << (self.made - 1)))
        });
        if let (true, NetError::Status { host, .. }) = (pause > LONGEST_PAUSE, &failure) {
            return Err(NetError::Busy { host: host.clone(), seconds: pause.as_secs() });
        }
        let pause_text = if pause.is_zero() {
            "trying again".into()
        } else {
            format!("trying again in {} s", seconds(pause))
        };
        listener().line(&format!("{failure}; {pause_text}"));
        sleep(pause)
    }
}

/// Whole seconds, or the fraction where it is below one.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") }
}
