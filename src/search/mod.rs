//! Search: the rows of a collection that are most similar to a query, by cosine. Every row is compared; nothing is approximate.
//!
//! A [`Collection`] is what `lift embed` writes, or any matrix with ids, opened for one of its
//! [representations](crate::cia::representations::Representation). `query` makes vectors of rows, videos and words, `scan` compares
//! them with [`SearchRows`]: the [stored](StoredRows) numbers, or the `prepared` file, which is faster. [`find()`] does both, and
//! joins hits that overlap (`moments`), `answer` makes lines of a `table` of them, `page` shows them, `duplicates` compares all rows with one another.

mod answer;
mod collection;
mod duplicates;
mod find;
mod moments;
mod page;
mod prepared;
mod query;
mod scan;
mod stored;
mod table;

pub use answer::{Answer, is_answer, merge_answers, time};
pub use collection::Collection;
pub use duplicates::{ComparedRows, Duplicate, Duplicates, Group, GroupKind, block_pairs, lines_of};
pub use find::{MomentLimits, find, find_beside_words, find_in};
pub use moments::Moment;
pub use page::{PageQuery, STRIP_SIDE, Strip, page};
pub use prepared::{bytes_per_row, outdated, prepared_path};
pub use query::{QueryError, VideoQueries, away_from, differences, row_of, unit_mean};
pub use scan::{Hit, Limits, Query, SearchRows, Units, best};
pub use stored::StoredRows;
pub use table::{TableFormat, write_table};

use crate::cia::representations::RepresentationError;
use crate::files::{FileError, display_text};

/// The representation that `--by NAME` compares: `all` and `concat` are the whole embedding, which the benchmark calls `lift`.
pub fn representation_of(by: &str) -> &str {
    if matches!(by, "all" | "concat") { "lift" } else { by }
}

/// Why a search cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The collection does not have what is to be compared, or a row of it cannot be read or is not finite.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
    /// There is no query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An id is not in the collection.
    #[error(
        "no row has the id '{}'; the answers of lift search and the companion of a file list the ids",
        display_text(id)
    )]
    NoRow {
        /// The id.
        id: String,
    },
}
