//! A file per format of rows.

pub(crate) mod jsonl;
pub(crate) mod npy;
pub(crate) mod npz;
pub(crate) mod parquet;
pub(crate) mod safetensors;
