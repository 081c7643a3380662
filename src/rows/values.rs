//! Converts numbers to bytes and back. They are little-endian on disk on every machine, and are read in chunks, so that memory
//! grows with the bytes of the file and not with a size that a header declares.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use crate::files::{AtomicFile, FileError};
use crate::rows::layout::Layout;
use crate::rows::{Part, Row};

/// Values converted at a time.
const CHUNK: usize = 8192;

/// Writes values as little-endian f32.
pub(crate) fn write_f32(out: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 * values.len().min(CHUNK));
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// The floating-point types that are read; all become f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    pub(crate) fn size(self) -> usize {
        match self {
            Element::F16 | Element::Bf16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
        }
    }

    fn decode(self, bytes: &[u8], values: &mut Vec<f32>) {
        fn each<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, value: impl Fn([u8; N]) -> f32) {
            values.extend(bytes.as_chunks::<N>().0.iter().map(|b| value(*b)));
        }
        match self {
            Element::F16 => each(bytes, values, |b| f16::from_le_bytes(b).to_f32()),
            Element::Bf16 => each(bytes, values, |b| bf16::from_le_bytes(b).to_f32()),
            Element::F32 => each(bytes, values, f32::from_le_bytes),
            Element::F64 => each(bytes, values, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

/// The number of elements of a shape, if its bytes can be counted at all.
pub(crate) fn count(shape: &[usize], element_size: usize) -> Result<usize, String> {
    shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .filter(|n| n.checked_mul(element_size).is_some())
        .ok_or_else(|| format!("the shape {shape:?} is impossible"))
}

/// Reads `count` values. The caller has compared the declared size with the file's.
pub(crate) fn read_values(from: &mut impl Read, count: usize, element: Element) -> io::Result<Vec<f32>> {
    let mut values = Vec::new();
    let mut bytes = vec![0u8; CHUNK.min(count) * element.size()];
    while values.len() < count {
        let piece = &mut bytes[..(count - values.len()).min(CHUNK) * element.size()];
        from.read_exact(piece)?;
        element.decode(piece, &mut values);
    }
    Ok(values)
}

/// The values of one part until the output can be laid out: an unnamed file on the target's disk, so that memory does not grow
/// with the run. The system removes it when the process ends, in whatever way.
pub(crate) struct Spool {
    file: BufWriter<File>,
    target: PathBuf,
}

impl Spool {
    pub(crate) fn new(folder: &Path, target: &Path) -> Result<Self, FileError> {
        let file = tempfile::tempfile_in(folder).map_err(|e| FileError::write(target, e))?;
        Ok(Self { file: BufWriter::new(file), target: target.to_path_buf() })
    }

    pub(crate) fn push(&mut self, values: &[f32]) -> Result<(), FileError> {
        write_f32(&mut self.file, values).map_err(|e| FileError::write(&self.target, e))
    }

    /// The unnamed file itself, little-endian f32 from its first byte.
    pub(crate) fn into_file(self) -> Result<File, FileError> {
        let Self { file, target } = self;
        file.into_inner().map_err(|e| FileError::write(&target, e.into_error()))
    }

    /// Copies everything into the file proper; the space is free afterwards.
    pub(crate) fn copy_into(self, out: &mut impl Write) -> io::Result<u64> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        io::copy(&mut BufReader::with_capacity(1 << 18, file), out)
    }
}

/// A spool for each part of an output.
pub(crate) struct Spools(Vec<(Part, Spool)>);

impl Spools {
    /// Empty spools beside `file`.
    pub(crate) fn new(file: &AtomicFile, layout: &Layout) -> Result<Self, FileError> {
        let spool = |&part: &Part| Ok((part, Spool::new(file.folder(), file.target())?));
        layout.parts.iter().map(spool).collect::<Result<_, FileError>>().map(Self)
    }

    /// Appends a row's values.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), FileError> {
        self.0.iter_mut().try_for_each(|(part, spool)| spool.push(row.values(*part)))
    }

    /// The parts, in their order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.iter().map(|(part, _)| *part)
    }

    /// The parts with their spools.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = (Part, Spool)> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_across_chunk_borders() {
        let values: Vec<f32> = (0..2 * CHUNK + 3).map(|i| i as f32 / 3.0).collect();
        let mut bytes = Vec::new();
        write_f32(&mut bytes, &values).unwrap();
        assert_eq!(read_values(&mut &bytes[..], values.len(), Element::F32).unwrap(), values);
        assert!(read_values(&mut &bytes[..], values.len() + 1, Element::F32).is_err());
    }

    #[test]
    fn a_declared_size_allocates_nothing() {
        assert!(read_values(&mut &b"abcd"[..], usize::MAX / 16, Element::F64).is_err());
        assert!(count(&[usize::MAX, 2], 1).is_err());
        assert!(count(&[usize::MAX / 4], 8).is_err());
        assert_eq!(count(&[3, 0], 8), Ok(0));
    }

    #[test]
    fn narrow_and_wide_types_become_f32() {
        let read = |bytes: &[u8], e| read_values(&mut &bytes[..], 1, e).unwrap()[0];
        assert_eq!(read(&f16::from_f32(1.5).to_le_bytes(), Element::F16), 1.5);
        assert_eq!(read(&bf16::from_f32(-2.0).to_le_bytes(), Element::Bf16), -2.0);
        assert_eq!(read(&0.25f64.to_le_bytes(), Element::F64), 0.25);
    }
}
