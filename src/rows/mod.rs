//! What a run writes and reads back: one row per video, a file per format.
//!
//! [`Prepared`] claims the output before any work, [`Output`] takes rows one at a time in input order, and nothing has its
//! name before [`Output::finish`]. [`read()`] takes any of the forms back as a [`Table`], [`open()`] leaves what is large on
//! disk. A video that failed has no row in the data (never a row of NaN); the companion `FILE.ext.rows.csv` lists every
//! input.

mod array;
mod companion;
mod copied;
pub(crate) mod file_format;
mod files;
mod format;
pub(crate) mod formats;
mod ids;
mod join;
pub(crate) mod layout;
mod open;
mod read;
mod row;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
mod values;
mod write;

pub use array::{Array, StoredArray, Values};
pub use companion::{CompanionRow, Status, companion_path, read_companion};
pub use file_format::Format;
pub use files::{files, is_features};
pub use format::Destination;
pub use join::join;
pub use open::{Opened, open, open_all};
pub use read::{Table, read};
pub(crate) use row::RowOrFailure;
pub use row::{ClipMeta, Dims, Failure, Part, Row};
pub use stream::Answers;
pub use write::{Output, Prepared, Written};
