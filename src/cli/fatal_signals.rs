//! What is said when the process cannot go on: every end has a message and an exit code.
//!
//! Where memory runs out Rust and FFmpeg abort, and a mapped file that another process shortens ends in a bus error: without
//! more, a dead process and nothing on the terminal. The handlers say what happened and leave with a code of the table. They
//! do nothing that a signal handler may not: a write and an exit. Temporary files stay; no output has its name yet.

use signal_hook::consts::{SIGABRT, SIGBUS};

use crate::exit::Exit;

const OUT_OF_MEMORY: &str = "error: out of memory, or a bug that a line above tells: no unfinished output was kept; free some \
    memory, use fewer --threads, or leave out the video that was being read\n";
const SHORTER: &str = "error: a file of weights or features became shorter while it was read: no unfinished output was kept; wait \
    until it is complete and run again\n";

/// Starts to listen for the signals that end a process by itself.
///
/// Where they cannot be caught the process dies as any other does.
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
