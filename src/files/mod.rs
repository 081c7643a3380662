//! What all layers use of files: writing them completely or not at all, errors, names that are safe to show, stamps.

mod atomic;
mod beside;
mod error;
mod pair;
pub(crate) mod safetensors;
mod space;
mod stamp;
mod stdout;
mod text;

pub(crate) use atomic::sync_folder;
pub use atomic::{AtomicFile, remove_unfinished};
pub(crate) use beside::beside;
pub use error::{ErrorKind, FileError};
pub(crate) use pair::commit_pair;
pub(crate) use space::check_space;
pub use space::free_space;
pub use stamp::{ContentDigest, Stamp};
pub use stdout::print;
pub(crate) use stdout::stdout_error;
pub(crate) use text::hexadecimal;
pub use text::{display_path, display_text, size_text};
