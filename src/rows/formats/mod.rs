//! A file for each format of rows, and the list of them. `record_batch` is what the formats of Arrow share, `id_array`
//! what those of numpy do.

pub(crate) mod id_array;
pub(crate) mod jsonl;
pub(crate) mod npy;
mod npz;
mod parquet;
pub(crate) mod record_batch;
mod safetensors;

use crate::rows::file_format::Format;

/// Every format, in the order in which messages list them.
pub(crate) const FORMATS: [Format; 5] = [
    Format(&npy::Npy),
    Format(&npz::Npz),
    Format(&safetensors::Safetensors),
    Format(&parquet::Parquet),
    Format(&jsonl::Jsonl),
];

impl Format {
    /// numpy's array.
    pub const NPY: Format = Format(&npy::Npy);
    /// numpy's archive of arrays.
    pub const NPZ: Format = Format(&npz::Npz);
    /// Tensors with metadata.
    pub const SAFETENSORS: Format = Format(&safetensors::Safetensors);
    /// A table.
    pub const PARQUET: Format = Format(&parquet::Parquet);
    /// One JSON object per line.
    pub const JSONL: Format = Format(&jsonl::Jsonl);
}
