//! Features of clips to train on: `(B, T, D)` f32, read one batch at a time, from memory if they are small, else from mapped
//! files.
//!
//! Kinetics-400 has 240,000 clips of 16 x 384 numbers, 6 GB. Mapped files let the system keep in memory what fits. Mapped
//! rows are not searched for values that are not finite; such a value makes the loss not finite, which ends the run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use memmap2::Mmap;
use sha2::{Digest, Sha256};

use super::TrainError;
use super::random::{Purpose, Stream};
use crate::files::FileError;
use crate::rows::{Opened, Values};

/// The number of rows that the digest reads, evenly spread.
const DIGEST_ROWS: usize = 256;

enum ClipValues {
    Memory(Vec<f32>),
    /// Little-endian f32 from this byte on, not aligned.
    Mapped(Mmap, usize),
}

/// Features of many clips.
pub struct Clips {
    origin: PathBuf,
    /// The first row of each source, and the source.
    sources: Vec<(usize, ClipValues)>,
    index: Result<HashMap<String, usize>, FileError>,
    count: usize,
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
        Self::new(origin, vec![(0, ClipValues::Memory(values))], index, shape[0], &shape[1..])
    }

    /// Takes the one array of opened files.
    ///
    /// # Errors
    /// If its shape is not `(B, T, D)`, there is no clip, a clip has fewer than two frames, or a file cannot be mapped.
    pub fn opened(mut opened: Opened) -> Result<Self, TrainError> {
        let (index, count) = (opened.index(), opened.rows());
        let fail = |cause: String| TrainError::Read { path: opened.origin.clone(), cause };
        let Some(array) = opened.arrays.pop() else { return Err(fail("it holds no clips".into())) };
        let values = array.shape.iter().product::<usize>();
        let mut sources = Vec::new();
        let mut first = 0;
        for stretch in array.stretches {
            let source = match stretch.values {
                Values::Memory(values) => ClipValues::Memory(values),
                Values::File(file, offset) => {
                    // SAFETY: the map is read-only; as for every memory map, no other process may shorten the file meanwhile.
                    let map = unsafe { Mmap::map(&file) }.map_err(|e| fail(e.to_string()))?;
                    let start = usize::try_from(offset).unwrap_or(usize::MAX);
                    let end = stretch.rows.checked_mul(4 * values).and_then(|bytes| bytes.checked_add(start));
                    if end.is_none_or(|end| end > map.len()) {
                        return Err(fail("a file was cut short while it was opened".into()));
                    }
                    ClipValues::Mapped(map, start)
                }
            };
            // A file without rows holds no clip to look up.
            if stretch.rows > 0 {
                sources.push((first, source));
                first += stretch.rows;
            }
        }
        Self::new(&opened.origin, sources, index, count, &array.shape)
    }

    fn new(
        origin: &Path,
        sources: Vec<(usize, ClipValues)>,
        index: Result<HashMap<String, usize>, FileError>,
        count: usize,
        shape: &[usize],
    ) -> Result<Self, TrainError> {
        let fail = |cause: String| TrainError::Read { path: origin.to_owned(), cause };
        let whole = [&[count], shape].concat();
        let &[frames, width] = shape else {
            return Err(fail(format!(
                "its shape is {whole:?}; training reads the features of frames, (clips, frames, width): \
                 make them with `lift embed --parts frames`"
            )));
        };
        if count == 0 || frames < 2 || width == 0 {
            return Err(fail(format!("its shape is {whole:?}; training needs clips of at least two frames")));
        }
        Ok(Self { origin: origin.to_owned(), sources, index, count, frames, width })
    }

    /// Clips, `B`.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Always false: a file without clips is refused.
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

    /// The row of each id.
    ///
    /// # Errors
    /// If the rows have no ids, or two rows have the same id.
    pub fn index(&self) -> Result<&HashMap<String, usize>, &FileError> {
        self.index.as_ref()
    }

    /// Appends one clip, `(T, D)` row-major, to `values`; appends nothing if there is no such row.
    fn append(&self, row: usize, values: &mut Vec<f32>) {
        let size = self.frames * self.width;
        let at = self.sources.partition_point(|(first, _)| *first <= row);
        let Some((first, source)) = at.checked_sub(1).map(|at| &self.sources[at]) else { return };
        let within = (row - first) * size;
        match source {
            ClipValues::Memory(all) => {
                values.extend_from_slice(all.get(within..within + size).unwrap_or(&[]))
            }
            ClipValues::Mapped(map, start) => {
                let start = start + 4 * within;
                let bytes = map.get(start..start + 4 * size).unwrap_or(&[]);
                values.extend(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)));
            }
        }
    }

    /// One clip, `(T, D)` row-major; empty if there is no such row.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.frames * self.width);
        self.append(row, &mut values);
        values
    }

    /// These clips as a tensor `(rows, T, D)`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn batch(&self, rows: &[usize], device: &Device) -> candle_core::Result<Tensor> {
        let mut values = Vec::with_capacity(rows.len() * self.frames * self.width);
        rows.iter().for_each(|&row| self.append(row, &mut values));
        Tensor::from_vec(values, (rows.len(), self.frames, self.width), device)
    }

    /// SHA-256 of the shape and of up to 256 rows, evenly spread. It tells data sets apart without reading gigabytes; a
    /// change in another row does not change it.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("{} {} {}", self.count, self.frames, self.width));
        let looked_at = self.count.min(DIGEST_ROWS);
        for place in 0..looked_at {
            digest.update(bytemuck::cast_slice::<f32, u8>(&self.row(place * self.count / looked_at)));
        }
        crate::files::hexadecimal(&digest.finalize())
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
    use crate::rows::{self, Lying, Stretch};

    #[test]
    fn clips_come_from_memory_and_from_files_one_after_the_other() {
        let values: Vec<f32> = (0..48).map(|v| v as f32 / 7.0).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"odd").unwrap();
        values[24..].iter().for_each(|x| file.write_all(&x.to_le_bytes()).unwrap());
        let stretch = |rows, values| Stretch { rows, values };
        let stretches = vec![
            stretch(3, Values::Memory(values[..24].to_vec())),
            stretch(0, Values::Memory(vec![])),
            stretch(3, Values::File(file, 3)),
        ];
        let array = Lying { name: "frames".into(), shape: vec![2, 4], stretches };
        let clips = Clips::opened(Opened::new("x".into(), vec![array], None)).unwrap();
        assert_eq!((clips.len(), clips.frames(), clips.width()), (6, 2, 4));
        assert_eq!((clips.row(2), clips.row(3)), (values[16..24].to_vec(), values[24..32].to_vec()));
        let batch =
            clips.batch(&[5, 0], &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(batch, [&values[40..], &values[..8]].concat());
        assert!(clips.index().is_err());
        let in_memory = Clips::in_memory(Path::new("y"), values, [6, 2, 4]).unwrap();
        assert_eq!(in_memory.digest(), clips.digest());
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
            let opened = rows::open(&path, None, Some("frames"), folder.path()).unwrap();
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
