//! Messages and exit codes for the signals that end the process: SIGABRT and SIGBUS.
//!
//! Rust and FFmpeg abort when memory runs out, and a mapped file that another process shortens causes a bus error. Without
//! handlers the process would end without a message. The handlers write what happened and exit with a documented code; they
//! call only functions that a signal handler may call. Temporary files stay; no output has its name yet.

use signal_hook::consts::{SIGABRT, SIGBUS};

use crate::exit::Exit;

const OUT_OF_MEMORY: &str = "error: out of memory, or a bug that a line above reports: no unfinished output was kept; free some \
    memory, use fewer --threads, or leave out the video that was being read\n";
const SHORTER: &str = "error: a file of weights or features became shorter while it was read: no unfinished output was kept; wait \
    until it is complete and run again\n";

/// Installs the handlers. If that fails, the signals end the process without a message, as usual.
pub(super) fn prepare() {
    for (signal, words, exit) in [(SIGABRT, OUT_OF_MEMORY, Exit::OutOfMemory), (SIGBUS, SHORTER, Exit::Input)]
    {
        let code = i32::from(exit.code());
        // SAFETY: the closure calls only `write` and `_exit`, which signal handlers may, and touches no memory but a constant.
        let _ = unsafe {
            signal_hook::low_level::register(signal, move || {
                libc::write(libc::STDERR_FILENO, words.as_ptr().cast(), words.len());
                libc::_exit(code);
            })
        };
    }
}
