//! Features of clips to train on: `(B, T, D)` f32, mapped from disk or in memory, read a batch at a time.
//!
//! Kinetics-400 is 240,000 clips of 16 x 384 numbers, 6 GB: `.npy` and `.safetensors` files are mapped, so that the system
//! keeps in memory what fits and drops what it needs. Rows of such files are not looked through for values that are not
//! finite; the loss tells.

use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::TrainError;
use super::random::{Purpose, Stream};
use crate::rows::read_header;

/// The part that training reads.
const PART: &str = "frames";

/// Rows that the digest looks at, evenly spread.
const DIGEST_ROWS: usize = 256;

enum Values {
    Memory(Vec<f32>),
    /// f32 from this byte on, aligned.
    Mapped(Mmap, usize),
}

/// Features of many clips.
pub struct Clips {
    origin: PathBuf,
    values: Values,
    count: usize,
    frames: usize,
    width: usize,
}

impl Clips {
    /// Takes values at hand, `(B, T, D)` row-major; `origin` names them in messages.
    ///
    /// # Errors
    /// If the number of values is not `B·T·D`, or there is no clip, or fewer than two frames.
    pub fn in_memory(origin: &Path, values: Vec<f32>, shape: [usize; 3]) -> Result<Self, TrainError> {
        let available = values.len();
        Self::new(origin, Values::Memory(values), available, &shape)
    }

    /// Maps an f32 `.npy` file of `(B, T, D)`, or the tensor `frames` of a `.safetensors` file; `None` for files of another
    /// kind or type, which must be read instead.
    ///
    /// # Errors
    /// If the file cannot be opened, is cut short, or has another shape.
    pub fn map(path: &Path) -> Result<Option<Self>, TrainError> {
        let fail = |cause: String| TrainError::Features { path: path.to_owned(), cause };
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if !matches!(extension.as_str(), "npy" | "safetensors") || cfg!(target_endian = "big") {
            return Ok(None);
        }
        let file = File::open(path).map_err(|e| fail(e.to_string()))?;
        // SAFETY: the map is read-only; that nobody shortens the file meanwhile is every memory map's condition.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| fail(e.to_string()))?;
        let layout = if extension == "npy" { npy(&map) } else { tensor(&map) };
        let Some((shape, start)) = layout.map_err(&fail)? else { return Ok(None) };
        if start % align_of::<f32>() != 0 {
            return Ok(None);
        }
        let available = map.len().saturating_sub(start) / size_of::<f32>();
        Self::new(path, Values::Mapped(map, start), available, &shape).map(Some)
    }

    fn new(origin: &Path, values: Values, available: usize, shape: &[usize]) -> Result<Self, TrainError> {
        let fail = |cause: String| TrainError::Features { path: origin.to_owned(), cause };
        let &[count, frames, width] = shape else {
            return Err(fail(format!(
                "its shape is {shape:?}; training reads the features of frames, (clips, frames, width): \
                 make them with `lift embed --parts frames`"
            )));
        };
        if count == 0 || frames < 2 || width == 0 {
            return Err(fail(format!("its shape is {shape:?}; training needs clips of two frames at least")));
        }
        let needed = count.checked_mul(frames).and_then(|n| n.checked_mul(width));
        if needed.is_none_or(|needed| needed > available) {
            return Err(fail(format!("it is cut short: {available} values for the shape {shape:?}")));
        }
        Ok(Self { origin: origin.to_owned(), values, count, frames, width })
    }

    /// Clips, `B`.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never: a file without clips is refused.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Frames per clip, `T`.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Width of a feature, `D`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Where they come from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// One clip, `(T, D)` row-major.
    pub fn row(&self, index: usize) -> &[f32] {
        let size = self.frames * self.width;
        let all: &[f32] = match &self.values {
            Values::Memory(values) => values,
            Values::Mapped(map, start) => {
                let end = start + self.count * size * size_of::<f32>();
                bytemuck::cast_slice(&map[*start..end])
            }
        };
        &all[index * size..(index + 1) * size]
    }

    /// These clips as a tensor `(rows, T, D)`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn batch(&self, rows: &[usize], device: &Device) -> candle_core::Result<Tensor> {
        let mut values = Vec::with_capacity(rows.len() * self.frames * self.width);
        rows.iter().for_each(|&row| values.extend_from_slice(self.row(row)));
        Tensor::from_vec(values, (rows.len(), self.frames, self.width), device)
    }

    /// SHA-256 over the shape and up to 256 rows spread over all: tells data sets apart without reading gigabytes, and does
    /// not see a change in a row it skips.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("{} {} {}", self.count, self.frames, self.width));
        let looked_at = self.count.min(DIGEST_ROWS);
        for place in 0..looked_at {
            digest.update(bytemuck::cast_slice::<f32, u8>(self.row(place * self.count / looked_at)));
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Shape and first byte of an f32 array; `None` for other types.
fn npy(bytes: &[u8]) -> Result<Option<(Vec<usize>, usize)>, String> {
    let header = read_header(&mut &bytes[..])?;
    Ok((header.descr == "<f4").then_some((header.shape, header.len)))
}

/// Shape and first byte of the tensor `frames`; `None` for other types.
fn tensor(bytes: &[u8]) -> Result<Option<(Vec<usize>, usize)>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a whole safetensors file: {e}"))?;
    let view = file.tensor(PART).map_err(|_| {
        format!(
            "it has no tensor '{PART}', only {}: make one with `lift embed --parts frames`",
            file.names().join(", ")
        )
    })?;
    let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
    Ok((view.dtype() == Dtype::F32).then(|| (view.shape().to_vec(), start)))
}

/// Divides `count` clips into those to train on and the share `held_out` (0 to 1) to validate on, each in ascending order;
/// at least one of each as long as a share is asked for.
pub fn split(count: usize, held_out: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let validation = match held_out > 0.0 && count > 1 {
        true => ((count as f64 * held_out).round() as usize).clamp(1, count - 1),
        false => 0,
    };
    let mut order = Stream::new(seed, Purpose::Split, &[]).permutation(count);
    let mut train = order.split_off(validation);
    train.sort_unstable();
    order.sort_unstable();
    (train, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy_file(path: &Path, descr: &str, shape: &str, values: &[f32]) {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(118u16.to_le_bytes());
        bytes.extend(format!("{header:<117}\n").bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn mapped_files_give_their_rows() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let path = folder.path().join("x.npy");
        npy_file(&path, "<f4", "(3, 2, 4)", &values);
        let clips = Clips::map(&path).unwrap().unwrap();
        assert_eq!((clips.len(), clips.frames(), clips.width()), (3, 2, 4));
        assert_eq!(clips.row(1), &values[8..16]);
        let batch = clips.batch(&[2, 0], &Device::Cpu).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!((batch[0][0][0], batch[1][1][3]), (16.0, 7.0));

        let other = folder.path().join("x.safetensors");
        let tensor = Tensor::from_vec(values.clone(), (3, 2, 4), &Device::Cpu).unwrap();
        candle_core::safetensors::save(&[("frames", tensor)].into(), &other).unwrap();
        let same = Clips::map(&other).unwrap().unwrap();
        assert_eq!((same.row(2), same.digest()), (clips.row(2), clips.digest()));
        let in_memory = Clips::in_memory(&path, values, [3, 2, 4]).unwrap();
        assert_eq!(in_memory.digest(), clips.digest());
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        for (descr, shape, reason) in [
            ("<f4", "(3, 8)", "--parts frames"),
            ("<f4", "(4, 2, 4)", "cut short"),
            ("<f4", "(24, 1, 1)", "two frames"),
            ("<f4", "(0, 2, 4)", "two frames"),
            ("<f4", "(18446744073709551615, 2, 4)", "cut short"),
        ] {
            npy_file(&path, descr, shape, &[0.0; 24]);
            let error = Clips::map(&path).err().unwrap().to_string();
            assert!(error.contains(reason) && error.contains("x.npy"), "{error}");
        }
        npy_file(&path, "<f8", "(3, 2, 4)", &[0.0; 48]);
        assert!(Clips::map(&path).unwrap().is_none(), "other types are read, not mapped");
        std::fs::write(&path, b"\x93NUMPY\x01\x00\xff").unwrap();
        assert!(Clips::map(&path).is_err());
    }

    #[test]
    fn a_split_is_a_partition() {
        let (train, validation) = split(100, 0.1, 3);
        assert_eq!((train.len(), validation.len()), (90, 10));
        let mut all = [train, validation].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
        assert_eq!(split(5, 0.0, 0).1.len(), 0);
        assert_eq!(split(2, 0.9, 0).0.len(), 1);
    }
}
