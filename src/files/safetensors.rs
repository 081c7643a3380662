//! The header of a `.safetensors` file: names, types, shapes and places of its tensors, and its metadata.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A tensor that will be written.
pub(crate) struct TensorEntry<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its type as the format names it: `F32`, `F16`, `BF16`.
    pub(crate) dtype: &'a str,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// The bytes of a value.
    pub(crate) width: usize,
}

/// The header with its length in front, for tensors whose values follow in this order.
///
/// The keys are sorted, so that equal tensors make equal files: the writer of the safetensors crate puts the metadata in an
/// order that changes from run to run.
pub(crate) fn safetensors_header<'a>(
    metadata: &BTreeMap<&str, String>,
    tensors: impl IntoIterator<Item = TensorEntry<'a>>,
) -> Vec<u8> {
    let mut entries: BTreeMap<&str, Value> = BTreeMap::from([("__metadata__", json!(metadata))]);
    let mut start = 0;
    for TensorEntry { name, dtype, shape, width } in tensors {
        let end = start + shape.iter().product::<usize>() * width;
        entries.insert(name, json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
        start = end;
    }
    let mut text = json!(entries).to_string().into_bytes();
    // The format requires that the values begin at a multiple of 8.
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes(), &text[..]].concat()
}
