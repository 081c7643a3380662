//! The program: parse, run, exit code.

use std::process::ExitCode;

use lift::exit::Exit;

/// The network's temporaries are large and short-lived: with the system's allocator each costs its page faults again.
/// The checkers of memory see into the system's alone, and their builds keep it.
#[cfg(not(lift_sanitize))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's `mi_option_purge_delay`, milliseconds, which its Rust header does not name; -1 is never.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet. The setting keeps memory that was freed, for the next temporary of its size: if it is
    // given back after the usual 10 ms, a step of training takes 200,000 page faults.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
        lift::threads::prepare();
    }
    // A panic has told its story by now; the code says that there was one.
    ExitCode::from(std::panic::catch_unwind(lift::cli::main).unwrap_or(Exit::OutOfMemory).code())
}
