//! The header of a safetensors file. The library writes the metadata in an order that differs from run to run; this header is
//! sorted, so that equal contents make equal files.

use std::collections::BTreeMap;
use std::io;

use ::safetensors::Dtype;
use serde_json::{Value, json};

/// The longest header the format allows (the library's limit).
pub(crate) const LONGEST_HEADER: u64 = 100_000_000;

/// The header with its length in front, padded so that the values start at a multiple of 8. The values of the tensors follow
/// in the order given.
///
/// # Errors
/// If the header is longer than the format allows, or a text cannot be written as JSON.
pub(crate) fn header<'a>(
    metadata: &BTreeMap<&str, String>,
    tensors: impl Iterator<Item = (&'a str, Dtype, Vec<usize>)>,
) -> io::Result<Vec<u8>> {
    let mut entries: BTreeMap<&str, Value> = BTreeMap::new();
    let mut start = 0;
    for (name, dtype, shape) in tensors {
        let end = start + shape.iter().product::<usize>() * dtype.bitsize() / 8;
        entries.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
        start = end;
    }
    entries.insert("__metadata__", json!(metadata));
    let mut text = serde_json::to_vec(&entries)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() as u64 > LONGEST_HEADER {
        return Err(io::Error::other("the metadata is too long for the header of a .safetensors"));
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}
