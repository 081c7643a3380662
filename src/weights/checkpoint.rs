//! torch's file format, in which LiFT is published: an uncompressed zip with a pickle that says where each tensor is.
//!
//! Nothing in it is executed, copied or trusted. The pickle is read as a description ([`super::pickle`]); every size it
//! declares is compared with the bytes of the file before they are used, and the numbers are read in place, without copying,
//! from the mapped file. A file that packs its entries, repeats a name, or places a tensor outside its storage is refused: torch
//! writes no such file.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Id, Pickle, Value};
use super::store::{TensorEntry, map};
use super::{Store, WeightsError};

/// The longest pickle that is read, in bytes; the published checkpoint's has some 30,000.
const LONGEST_PICKLE: usize = 16 << 20;

/// The first bytes of a zip.
pub(super) const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";

/// Maps a file that `torch.save` wrote: the `state_dict` of a Lightning checkpoint, or a dictionary of tensors itself.
///
/// # Errors
/// If the file cannot be opened or is not such a file; the message names it.
pub(super) fn read(path: &Path) -> Result<Store, WeightsError> {
    let origin = path.display().to_string();
    let map = map(path)?;
    match tensors(&map) {
        Ok(index) => Ok(Store::of_map(origin, map, index)),
        Err(cause) => Err(WeightsError::Format { origin, format: "checkpoint", cause }),
    }
}

fn tensors(file: &[u8]) -> Result<BTreeMap<String, TensorEntry>, String> {
    let places = entries(file)?;
    let mut pickles = places.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
    let folder = match (pickles.next(), pickles.next()) {
        (Some(folder), None) => folder.to_string(),
        (None, _) => return Err("it is a zip without a data.pkl, so not one that torch wrote".into()),
        _ => return Err("it has more than one data.pkl".into()),
    };
    let bytes = |name: &str| places.get(&format!("{folder}/{name}")).map(|place| &file[place.clone()]);
    if bytes("byteorder").is_some_and(|order| order != b"little") {
        return Err("its numbers are big-endian".into());
    }
    let pickle = bytes("data.pkl").unwrap_or_default();
    if pickle.len() > LONGEST_PICKLE {
        return Err(format!("its pickle has {} bytes, too many for a description of tensors", pickle.len()));
    }
    let pickle = Pickle::read(pickle)?;
    let Value::Dict(all) = pickle.get(pickle.root()) else {
        return Err("its pickle is not a dictionary of tensors".into());
    };
    let inner = all.iter().find(|(key, _)| matches!(pickle.get(*key), Value::Text("state_dict")));
    let state = match inner.map(|(_, value)| pickle.get(*value)) {
        Some(Value::Dict(state)) => state,
        Some(_) => return Err("its state_dict is not a dictionary".into()),
        None => all,
    };
    let mut index = BTreeMap::new();
    for (key, value) in state {
        let Value::Text(name) = pickle.get(*key) else { continue };
        let Some(entry) =
            tensor(&pickle, *value, &places, &folder).map_err(|cause| format!("{name}: {cause}"))?
        else {
            continue;
        };
        if index.insert((*name).to_string(), entry).is_some() {
            return Err(format!("{name} is in it twice"));
        }
    }
    Ok(index)
}

/// The byte range of each entry.
fn entries(file: &[u8]) -> Result<HashMap<String, Range<usize>>, String> {
    let words = |e: zip::result::ZipError| e.to_string();
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(words)?;
    // The reader keeps one entry of a name: who counts them notices what it dropped.
    let listed = listed(file, archive.central_directory_start());
    if listed != archive.len() {
        return Err(format!("its directory lists {listed} entries under {} names", archive.len()));
    }
    let mut places = HashMap::new();
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i).map_err(words)?;
        let name = entry.name().map_err(words)?.into_owned();
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(format!("its entry {name} is packed or encrypted; torch stores entries as they are"));
        }
        let place = (|| {
            let (start, size) =
                (usize::try_from(entry.data_start()?).ok()?, usize::try_from(entry.size()).ok()?);
            let end = start.checked_add(size).filter(|end| *end <= file.len())?;
            (entry.compressed_size() == entry.size()).then_some(start..end)
        })();
        let size = entry.size();
        let place = place.ok_or_else(|| {
            format!("its entry {name} declares {size} bytes, more than the file of {} has there", file.len())
        })?;
        places.insert(name, place);
    }
    Ok(places)
}

/// How many entries the central directory lists from `start` on (APPNOTE 4.3.12: a header of 46 bytes, then name, extra
/// field and comment, whose lengths stand at 28, 30 and 32).
fn listed(file: &[u8], start: u64) -> usize {
    const SIGNATURE: &[u8] = b"PK\x01\x02";
    let mut at = usize::try_from(start).unwrap_or(usize::MAX);
    let mut count = 0;
    while let Some(header) = file.get(at..).and_then(|rest| rest.get(..46))
        && header.starts_with(SIGNATURE)
    {
        let length = |i: usize| usize::from(u16::from_le_bytes([header[i], header[i + 1]]));
        at += 46 + length(28) + length(30) + length(32);
        count += 1;
    }
    count
}

/// The place of a tensor; `None` for a value that is none.
fn tensor(
    pickle: &Pickle<'_>,
    value: Id,
    places: &HashMap<String, Range<usize>>,
    folder: &str,
) -> Result<Option<TensorEntry>, String> {
    let mut call = pickle.get(value);
    // A parameter or a subclass wraps the call that makes the tensor.
    for _ in 0..2 {
        let Value::Call(callable, arguments) = call else { break };
        let (Value::Global(module, name), Value::Tuple(items)) =
            (pickle.get(*callable), pickle.get(*arguments))
        else {
            break;
        };
        match (*module, *name) {
            ("torch._utils", "_rebuild_parameter") => {
                call = pickle.get(*items.first().ok_or("its parameter is empty")?);
            }
            // The function, the type, then the function's arguments: as good as the call itself.
            ("torch._tensor", "_rebuild_from_type_v2") => {
                let (Some(function), Some(arguments)) = (items.first(), items.get(2)) else {
                    return Err("its typed tensor is incomplete".into());
                };
                return rebuilt(pickle, *function, *arguments, places, folder);
            }
            _ => break,
        }
    }
    let Value::Call(callable, arguments) = call else { return Ok(None) };
    rebuilt(pickle, *callable, *arguments, places, folder)
}

/// What `_rebuild_tensor_v2(storage, offset, size, stride, ...)` would make
/// (torch/_utils.py); the storage is `("storage", class, key, device, count)` (torch/serialization.py).
fn rebuilt(
    pickle: &Pickle<'_>,
    callable: Id,
    arguments: Id,
    places: &HashMap<String, Range<usize>>,
    folder: &str,
) -> Result<Option<TensorEntry>, String> {
    let Value::Global("torch._utils", "_rebuild_tensor_v2") = pickle.get(callable) else { return Ok(None) };
    let Value::Tuple(arguments) = pickle.get(arguments) else {
        return Err("its tensor has no arguments".into());
    };
    let &[storage, offset, size, stride, ..] = &arguments[..] else {
        return Err(format!("its tensor has {} arguments, torch writes 6", arguments.len()));
    };
    let Value::Persistent(storage) = pickle.get(storage) else {
        return Err("its tensor has no storage".into());
    };
    let Value::Tuple(storage) = pickle.get(*storage) else { return Err("its storage is no tuple".into()) };
    let &[_, class, key, ..] = &storage[..] else {
        return Err(format!("its storage has {} fields, torch writes 5", storage.len()));
    };
    let (Value::Global(_, class), Value::Text(key)) = (pickle.get(class), pickle.get(key)) else {
        return Err("its storage has no class or no key".into());
    };
    let dtype = match *class {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "BoolStorage" => Dtype::BOOL,
        "ByteStorage" => Dtype::U8,
        other => return Err(format!("its numbers are a {other}, unknown here")),
    };
    let place =
        places.get(&format!("{folder}/data/{key}")).ok_or_else(|| format!("its storage {key} is missing"))?;
    let (shape, strides) = (sizes(pickle, size)?, sizes(pickle, stride)?);
    if shape.len() != strides.len() {
        return Err("its shape and its strides differ in length".into());
    }
    let offset = match pickle.get(offset) {
        Value::Int(n) => usize::try_from(*n).map_err(|_| "its offset is negative")?,
        _ => return Err("its offset is no number".into()),
    };
    let width = dtype.bitsize() / 8;
    let place = span(&shape, &strides, offset, place.len() / width)
        .map(|span| (place.start + span.start * width, place.start + span.end * width))
        .ok_or_else(|| format!("its shape {shape:?} does not fit its storage of {} bytes", place.len()))?;
    let row_major = contiguous(&shape) == significant(&shape, &strides);
    Ok(Some(TensorEntry { shape, dtype, range: place, strides: (!row_major).then_some(strides) }))
}

fn sizes(pickle: &Pickle<'_>, id: Id) -> Result<Vec<usize>, String> {
    let wrong = || "its shape is no tuple of sizes".to_string();
    let Value::Tuple(items) = pickle.get(id) else { return Err(wrong()) };
    items
        .iter()
        .map(|item| match pickle.get(*item) {
            Value::Int(n) => usize::try_from(*n).map_err(|_| wrong()),
            _ => Err(wrong()),
        })
        .collect()
}

/// The elements of its storage that a tensor reaches, if all of them are there and it repeats none: a stride of zero could
/// claim any shape.
fn span(shape: &[usize], strides: &[usize], offset: usize, stored: usize) -> Option<Range<usize>> {
    let count = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size))?;
    if count == 0 {
        return (offset <= stored).then_some(offset..offset);
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(offset, |at, (&size, &stride)| at.checked_add(size.checked_sub(1)?.checked_mul(stride)?))?;
    let end = last.checked_add(1)?;
    (end <= stored && count <= end - offset).then_some(offset..end)
}

/// The strides that row-major order has, where they matter.
fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1;
    for (stride, &size) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step *= size;
    }
    significant(shape, &strides)
}

/// The strides with zero for the dimensions of size one, along which nobody steps.
fn significant(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    shape.iter().zip(strides).map(|(&size, &stride)| if size == 1 { 0 } else { stride }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_reaches_no_further_than_its_storage() {
        assert_eq!(span(&[2, 3], &[3, 1], 4, 10), Some(4..10));
        assert_eq!(span(&[2, 3], &[3, 1], 5, 10), None);
        assert_eq!(span(&[2, 3], &[1, 2], 0, 6), Some(0..6));
        assert_eq!(span(&[usize::MAX, 2], &[1, 1], 0, 10), None);
        assert_eq!(span(&[2, 2], &[usize::MAX, 1], 0, 10), None);
        assert_eq!(span(&[1_000_000, 1_000_000], &[0, 0], 0, 1), None, "a stride of zero claims nothing");
        assert_eq!(span(&[0, 5], &[5, 1], 0, 0), Some(0..0));
        assert_eq!(span(&[], &[], 3, 4), Some(3..4), "a scalar");
    }

    #[test]
    fn strides_of_single_rows_do_not_matter() {
        assert_eq!(contiguous(&[1, 4, 3]), significant(&[1, 4, 3], &[999, 3, 1]));
        assert_ne!(contiguous(&[4, 3]), significant(&[4, 3], &[1, 4]));
    }
}
