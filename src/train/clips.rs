//! Features of clips to train on: `(B, T, D)` f32, in memory where they are small, else read from disk, a batch at a time.
//!
//! Kinetics-400 is 240,000 clips of 16 x 384 numbers, 6 GB: rows are read from their files, whose pages the system keeps in
//! memory as far as they fit. Such rows are not checked for being finite; the loss shows it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::TrainError;
use super::random::{Purpose, Stream};
use crate::files::FileError;
use crate::rows::{StoredArray, StoredTable, Values};

/// The number of rows that the digest reads, evenly spread.
const DIGEST_ROWS: usize = 256;

/// Features of many clips.
pub struct Clips {
    origin: PathBuf,
    array: StoredArray,
    index: Result<HashMap<String, usize>, FileError>,
    frames: usize,
    width: usize,
}

impl Clips {
    /// Takes values in memory, `(B, T, D)` row-major; `origin` names them in messages.
    ///
    /// # Errors
    /// If the number of values is not `B·T·D`, there is no clip, or a clip has fewer than two frames.
    pub fn in_memory(origin: &Path, values: Vec<f32>, shape: [usize; 3]) -> Result<Self, TrainError> {
        let fail = |cause: String| TrainError::Read { path: origin.to_owned(), cause };
        let needed = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if needed != Some(values.len()) {
            return Err(fail(format!("{} values for the shape {shape:?}", values.len())));
        }
        let index = Err(FileError::read(origin, "its rows have no ids"));
        let [count, frames, width] = shape;
        let array = StoredArray::new("frames", vec![frames, width], count, Values::Memory(values));
        Self::new(origin, array, index)
    }

    /// Takes the one array of opened files.
    ///
    /// # Errors
    /// If it has another shape than `(B, T, D)`, no clip or fewer than two frames.
    pub fn opened(mut opened: StoredTable) -> Result<Self, TrainError> {
        let index = opened.index();
        let array = opened.arrays.pop().ok_or_else(|| TrainError::Read {
            path: opened.path.clone(),
            cause: "it holds no clips".into(),
        })?;
        Self::new(&opened.path, array, index)
    }

    fn new(
        origin: &Path,
        array: StoredArray,
        index: Result<HashMap<String, usize>, FileError>,
    ) -> Result<Self, TrainError> {
        let fail = |cause: String| TrainError::Read { path: origin.to_owned(), cause };
        let count = array.rows();
        let whole = [&[count], &array.shape[..]].concat();
        let [frames, width] = array.shape[..] else {
            return Err(fail(format!(
                "its shape is {whole:?}; training reads the features of frames, (clips, frames, width): \
                 make them with `lift embed --parts frames`"
            )));
        };
        if count == 0 || frames < 2 || width == 0 {
            return Err(fail(format!("its shape is {whole:?}; training needs clips of at least two frames")));
        }
        Ok(Self { origin: origin.to_owned(), array, index, frames, width })
    }

    /// Clips, `B`.
    pub fn len(&self) -> usize {
        self.array.rows()
    }

    /// Always false: a file without clips is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    /// The row of each id.
    ///
    /// # Errors
    /// If the rows have no ids, or two rows have the same id.
    pub fn index(&self) -> Result<&HashMap<String, usize>, &FileError> {
        self.index.as_ref()
    }

    /// One clip, `(T, D)` row-major.
    ///
    /// # Errors
    /// If it cannot be read, or there is no such row.
    pub fn row(&self, row: usize) -> io::Result<Vec<f32>> {
        let mut values = vec![0.0; self.frames * self.width];
        self.array.copy_row(row, &mut values)?;
        Ok(values)
    }

    /// These clips as a tensor `(rows, T, D)`.
    ///
    /// # Errors
    /// If a clip cannot be read, or the device fails.
    pub fn batch(&self, rows: &[usize], device: &Device) -> candle_core::Result<Tensor> {
        let size = self.frames * self.width;
        let mut values = vec![0.0; rows.len() * size];
        for (out, &row) in values.chunks_mut(size).zip(rows) {
            self.array.copy_row(row, out)?;
        }
        Tensor::from_vec(values, (rows.len(), self.frames, self.width), device)
    }

    /// SHA-256 over the shape and up to 256 rows spread over all: tells data sets apart without reading gigabytes, and does
    /// not see a change in a row it skips.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn digest(&self) -> Result<String, FileError> {
        let mut digest = Sha256::new();
        digest.update(format!("{} {} {}", self.len(), self.frames, self.width));
        let looked_at = self.len().min(DIGEST_ROWS);
        for place in 0..looked_at {
            let row = self.row(place * self.len() / looked_at);
            let row = row.map_err(|e| FileError::read(&self.origin, e.to_string()))?;
            digest.update(bytemuck::cast_slice::<f32, u8>(&row));
        }
        Ok(crate::files::hexadecimal(&digest.finalize()))
    }
}

/// Divides `count` clips into those to train on and the share `held_out` (0 to 1) to validate on, each in ascending order.
/// Unless the share is 0, each has at least one clip.
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
    use std::io::Write;

    use super::*;
    use std::sync::Mutex;

    use crate::rows;

    #[test]
    fn clips_come_from_memory_and_from_files_one_after_the_other() {
        let values: Vec<f32> = (0..48).map(|v| v as f32 / 7.0).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"odd").unwrap();
        values[24..].iter().for_each(|x| file.write_all(&x.to_le_bytes()).unwrap());
        let piece = |rows, values| StoredArray::new("frames", vec![2, 4], rows, values);
        let mut array = piece(3, Values::Memory(values[..24].to_vec()));
        array.append(piece(0, Values::Memory(vec![])));
        array.append(piece(3, Values::File(Mutex::new(file), 3)));
        let clips = Clips::opened(StoredTable::new("x".into(), vec![array], None)).unwrap();
        assert_eq!((clips.len(), clips.frames(), clips.width()), (6, 2, 4));
        assert_eq!(
            (clips.row(2).unwrap(), clips.row(3).unwrap()),
            (values[16..24].to_vec(), values[24..32].to_vec())
        );
        let batch =
            clips.batch(&[5, 0], &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(batch, [&values[40..], &values[..8]].concat());
        assert!(clips.index().is_err());
        let in_memory = Clips::in_memory(Path::new("y"), values, [6, 2, 4]).unwrap();
        assert_eq!(in_memory.digest().unwrap(), clips.digest().unwrap());
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        for (shape, reason) in
            [(&[3, 8][..], "--parts frames"), (&[24, 1, 1], "two frames"), (&[0, 2, 4], "two frames")]
        {
            let mut bytes = rows::formats::npy::header(shape);
            bytes.resize(bytes.len() + 4 * shape.iter().product::<usize>(), 0);
            std::fs::write(&path, bytes).unwrap();
            let opened = rows::open(&path, rows::Wanted::one("frames"), folder.path()).unwrap();
            let error = Clips::opened(opened).err().unwrap().to_string();
            assert!(error.contains(reason) && error.contains("x.npy"), "{error}");
        }
        assert!(Clips::in_memory(&path, vec![0.0; 5], [1, 2, 3]).is_err());
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
