//! Rows, one per video, and the files that hold them.
//!
//! [`Prepared`] creates the output before any work, [`Output`] takes rows one at a time in the order of the inputs, and
//! [`Output::finish`] gives the files their names. [`read()`] reads a file of any format as a [`Table`]; [`open()`] leaves large
//! arrays on disk. A video that failed has no row in the data (never a row of NaN); the companion `FILE.ext.rows.csv` lists
//! all inputs. A format is one file in `formats/`.

mod apart;
mod array;
mod clips;
mod companion;
mod compare;
mod copied;
pub(crate) mod file_format;
mod files;
mod format;
pub(crate) mod formats;
mod ids;
mod join;
mod kept;
pub(crate) mod layout;
mod open;
pub(crate) mod provenance;
mod read;
mod row;
pub mod shapes;
mod stream;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod values;
mod wanted;
mod write;

pub use apart::likely_cause;
pub(crate) use apart::{base, stem};
pub(crate) use array::UNNAMED;
pub use array::{Array, NamedArray, StoredArray, Values};
pub use clips::{bare_clips, clips};
pub use companion::{CompanionRow, Status, companion_path, read_companion};
pub use compare::{Comparison, PartDifference, RowDistances, Side, compare};
pub use file_format::Format;
pub(crate) use files::valid_update;
pub use files::{MANIFEST, UPDATE, check_not_foreign, files, is_features, split_array};
pub use format::Destination;
pub use ids::read_ids;
pub use join::join;
pub use kept::check_kept_columns;
pub(crate) use kept::kept_columns;
pub use open::{open, open_all};
pub use provenance::{ModelDigest, Provenance};
pub use read::read;
pub(crate) use row::RowOrFailure;
pub use row::{ClipMeta, Dims, Failure, IdForm, Part, Row};
pub use stream::Answers;
pub use table::{StoredTable, Table};
pub use wanted::Wanted;
pub use write::{Output, Prepared, Written};
