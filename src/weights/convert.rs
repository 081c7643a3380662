//! Writes tensors as safetensors: the same bytes each time, whole or not at all.
//!
//! The file has the tensors, in the order of their names, and the metadata. A checkpoint's optimiser moments, two thirds of
//! it, are not written. The numbers can be stored in fewer bits; the error of that is measured during the conversion.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use ::safetensors::Dtype;
use half::{bf16, f16};
use sha2::{Digest, Sha256};

use super::{Store, WeightsError};
use crate::files::{AtomicFile, FileError, safetensors};

/// How the numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Storage {
    /// 4 bytes a number, nothing lost
    #[default]
    F32,
    /// 2 bytes a number, 11 significant bits, up to 65504
    F16,
    /// 2 bytes a number, 8 significant bits, any size
    Bf16,
}

impl Storage {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// Appends the bytes of a number, and returns the number that they encode.
    fn encode(self, value: f32, bytes: &mut Vec<u8>) -> f32 {
        match self {
            Self::F32 => {
                bytes.extend(value.to_le_bytes());
                value
            }
            Self::F16 => {
                let narrow = f16::from_f32(value);
                bytes.extend(narrow.to_le_bytes());
                narrow.to_f32()
            }
            Self::Bf16 => {
                let narrow = bf16::from_f32(value);
                bytes.extend(narrow.to_le_bytes());
                narrow.to_f32()
            }
        }
    }
}

/// What was written, and what it cost.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Converted {
    /// Tensors written.
    pub tensors: usize,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The largest absolute change of a number.
    pub largest_error: f64,
    /// The tensor with that number; none if nothing changed.
    pub largest_in: Option<String>,
    /// The mean absolute change.
    pub mean_error: f64,
    /// The change in proportion: root of the sum of squared changes over the sum of squares.
    pub relative_error: f64,
}

/// The header of the file, with the metadata of `store`.
fn header(store: &Store, storage: Storage) -> std::io::Result<Vec<u8>> {
    let mut metadata: BTreeMap<&str, String> =
        store.metadata().iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    metadata.entry("format").or_insert_with(|| "pt".into());
    let tensors =
        store.names().map(|name| (name, storage.dtype(), store.shape(name).unwrap_or_default().to_vec()));
    safetensors::header(&metadata, tensors)
}

/// Writes every tensor of `store` to `target`.
///
/// # Errors
/// If the target exists and `overwrite` is false or it cannot be written; if a tensor is not floating-point, or holds a
/// number that `storage` cannot.
pub fn convert(
    store: &Store,
    target: &Path,
    storage: Storage,
    overwrite: bool,
) -> Result<Converted, ConvertError> {
    let file = AtomicFile::create(target, overwrite)?;
    let unclear = |cause| WeightsError::Unclear { origin: store.origin().into(), cause };
    let mut out = Hashing { to: BufWriter::new(file), hash: Sha256::new(), size: 0 };
    out.put(&header(store, storage).map_err(|e| unclear(e.to_string()))?, target)?;
    let (mut largest, mut largest_in) = (0.0, None);
    let (mut sum, mut squared, mut energy, mut count) = (0.0, 0.0, 0.0, 0usize);
    let mut bytes = Vec::new();
    for name in store.names() {
        let values = store.f32(name)?;
        bytes.clear();
        for &value in values.iter() {
            let kept = storage.encode(value, &mut bytes);
            if value.is_finite() && !kept.is_finite() {
                return Err(unclear(format!("{name} holds {value:e}, too large for f16; take bf16")).into());
            }
            let error = (f64::from(value) - f64::from(kept)).abs();
            if error > largest {
                (largest, largest_in) = (error, Some(name.to_string()));
            }
            sum += error;
            squared += error * error;
            energy += f64::from(value).powi(2);
        }
        count += values.len();
        out.put(&bytes, target)?;
    }
    let Hashing { to, hash, size } = out;
    let file = to.into_inner().map_err(|e| FileError::write(target, e.into_error()))?;
    file.commit()?;
    Ok(Converted {
        tensors: store.names().count(),
        size,
        sha256: crate::files::hexadecimal(&hash.finalize()),
        largest_error: largest,
        largest_in,
        mean_error: sum / count.max(1) as f64,
        relative_error: if energy > 0.0 { (squared / energy).sqrt() } else { 0.0 },
    })
}

/// Counts and digests the bytes that are written.
struct Hashing {
    to: BufWriter<AtomicFile>,
    hash: Sha256,
    size: u64,
}

impl Hashing {
    fn put(&mut self, bytes: &[u8], target: &Path) -> Result<(), FileError> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.to.write_all(bytes).map_err(|e| FileError::write(target, e))
    }
}

/// Why nothing was converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The source.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The target.
    #[error(transparent)]
    Rows(#[from] FileError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::MINI_LIFT;

    fn mini() -> Store {
        Store::bundled("mini", MINI_LIFT).unwrap()
    }

    #[test]
    fn the_same_tensors_make_the_same_file_and_read_back_equal() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one.safetensors"), dir.path().join("two.safetensors"));
        let first = convert(&mini(), &one, Storage::F32, false).unwrap();
        let second = convert(&Store::map(&one).unwrap(), &two, Storage::F32, false).unwrap();
        assert_eq!(first, second);
        assert_eq!((first.largest_error, first.largest_in), (0.0, None));
        let (read, mini) = (Store::map(&one).unwrap(), mini());
        assert_eq!(read.digest(), second.sha256);
        assert_eq!(read.size(), second.size);
        assert_eq!(read.names().collect::<Vec<_>>(), mini.names().collect::<Vec<_>>());
        for name in mini.names() {
            assert_eq!(read.shape(name), mini.shape(name));
            assert_eq!(read.f32(name).unwrap(), mini.f32(name).unwrap());
        }
    }

    #[test]
    fn narrow_storage_costs_what_its_significant_bits_say() {
        let dir = tempfile::tempdir().unwrap();
        for (storage, bits) in [(Storage::F16, 11), (Storage::Bf16, 8)] {
            let path = dir.path().join(format!("{storage:?}"));
            let done = convert(&mini(), &path, storage, false).unwrap();
            let half_step = 0.5f64.powi(bits);
            assert!(done.relative_error > 0.1 * half_step && done.relative_error <= half_step, "{done:?}");
            assert!(done.mean_error > 0.0 && done.mean_error < done.largest_error);
            let (read, mini) = (Store::map(&path).unwrap(), mini());
            let name = done.largest_in.unwrap();
            let pairs =
                read.f32(&name).unwrap().into_owned().into_iter().zip(mini.f32(&name).unwrap().into_owned());
            let largest = pairs.map(|(a, b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, f64::max);
            assert_eq!(largest, done.largest_error);
        }
    }
}
