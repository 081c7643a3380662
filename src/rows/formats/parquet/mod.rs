//! Parquet, as DuckDB and pandas read it.

pub(crate) mod read;
pub(crate) mod source;
pub(crate) mod write;
