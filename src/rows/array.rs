//! Arrays with a row per video: read into memory, or left in their files and read a row at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

use crate::files::display_text;
use crate::guard::lock;
use crate::rows::Part;

/// The name of the array of an `.npy`, which itself has none.
pub(crate) const UNNAMED: &str = "array";

/// One array, a row per video.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The part's name, or what a foreign file calls it; `array` from an `.npy`.
    pub name: String,
    /// `(B, ...)`.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub data: Vec<f32>,
}

impl Array {
    /// `B`.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The number of values of one row.
    pub fn width(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The values of a row, all axes in one; empty beyond the last.
    pub fn row(&self, at: usize) -> &[f32] {
        let width = self.width();
        self.data.get(at * width..(at + 1) * width).unwrap_or(&[])
    }
}

/// What a format gives: arrays, and ids if it carries them itself.
pub(crate) struct Raw {
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) arrays: Vec<Array>,
}

/// Where the values of some rows are.
#[derive(Debug)]
pub enum Values {
    /// In memory, row-major.
    Memory(Vec<f32>),
    /// In a file: little-endian f32, row-major, from this byte on. Read, not mapped: mapped pages would count as this
    /// process's memory, and a file that another process shortens would end it.
    File(Mutex<File>, u64),
}

/// An array with a row per video, in memory, in a file, or in several files one after the other.
#[derive(Debug)]
pub struct StoredArray {
    /// The part's name, or what a foreign file calls it; `array` from an `.npy`.
    pub name: String,
    /// The shape of one row.
    pub shape: Vec<usize>,
    /// The array's first row in each piece, and the piece's values. Pieces without rows are left out.
    pieces: Vec<(usize, Values)>,
    rows: usize,
}

/// The arrays of a file, and the ids it has itself.
pub(crate) type StoredArrays = (Vec<StoredArray>, Option<Vec<String>>);

impl StoredArray {
    /// An array of `rows` rows of the shape given, whose values are in one place.
    pub fn new(name: impl Into<String>, shape: Vec<usize>, rows: usize, values: Values) -> Self {
        let pieces = if rows > 0 { vec![(0, values)] } else { vec![] };
        Self { name: name.into(), shape, pieces, rows }
    }

    /// An array of shape `(B, ...)` whose values begin at byte `offset` of the file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(crate) fn in_file(path: &Path, name: String, shape: &[usize], offset: u64) -> Result<Self, String> {
        // Opened anew: a clone would share its position with the other arrays' readers.
        let file = File::open(path).map_err(|e| e.to_string())?;
        let (rows, shape) = shape.split_first().map_or((0, shape), |(rows, shape)| (*rows, shape));
        Ok(Self::new(name, shape.to_vec(), rows, Values::File(Mutex::new(file), offset)))
    }

    /// `B`.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether all values are in files.
    pub fn is_on_disk(&self) -> bool {
        self.pieces.iter().all(|(_, values)| matches!(values, Values::File(..)))
    }

    /// Appends the rows of another array of the same shape.
    pub fn append(&mut self, more: StoredArray) {
        let before = self.rows;
        self.pieces.extend(more.pieces.into_iter().map(|(first, values)| (before + first, values)));
        self.rows += more.rows;
    }

    /// Copies the values of row `row` into `out`, which has as many places.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the last row or beyond the end of a file; else what the system says.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) -> io::Result<()> {
        let at = self.pieces.partition_point(|(first, _)| *first <= row);
        let piece = self.pieces[..at].last().filter(|_| row < self.rows);
        let (first, values) = piece.ok_or(io::ErrorKind::UnexpectedEof)?;
        let start = (row - first) * out.len();
        match values {
            Values::Memory(values) => {
                let values = values.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                out.copy_from_slice(values);
            }
            Values::File(file, offset) => {
                let mut bytes = vec![0; size_of_val(out)];
                {
                    // A thread that died while it read left the file as good as before.
                    let mut file = lock(file);
                    file.seek(SeekFrom::Start(offset + size_of::<f32>() as u64 * start as u64))?;
                    file.read_exact(&mut bytes)?;
                }
                for (out, four) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *out = f32::from_le_bytes(*four);
                }
            }
        }
        Ok(())
    }
}

impl From<Array> for StoredArray {
    fn from(Array { name, mut shape, data }: Array) -> Self {
        let rows = if shape.is_empty() { 0 } else { shape.remove(0) };
        Self::new(name, shape, rows, Values::Memory(data))
    }
}

/// An array of a [`Table`](crate::rows::Table).
pub trait NamedArray {
    /// What it is called.
    fn name(&self) -> &str;
    /// Calls it by another name.
    fn rename(&mut self, name: &str);
    /// `B`.
    fn rows(&self) -> usize;
    /// Its shape, `(B, ...)`.
    fn whole_shape(&self) -> Vec<usize>;
}

impl NamedArray for Array {
    fn name(&self) -> &str {
        &self.name
    }

    fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    fn rows(&self) -> usize {
        self.rows()
    }

    fn whole_shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
}

impl NamedArray for StoredArray {
    fn name(&self) -> &str {
        &self.name
    }

    fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn whole_shape(&self) -> Vec<usize> {
        [&[self.rows], &self.shape[..]].concat()
    }
}

/// The number of rows of a file's arrays: each must have a row of numbers per video, and all equally many.
pub(crate) fn common_rows<A: NamedArray>(arrays: &[A]) -> Result<usize, String> {
    let rows = arrays.first().map_or(0, A::rows);
    for array in arrays {
        let (name, shape) = (display_text(array.name()), array.whole_shape());
        if shape.len() < 2 || (array.rows() > 0 && shape.contains(&0)) {
            return Err(format!("'{name}' has the shape {shape:?}; a row of numbers per video is needed"));
        }
        if array.rows() != rows {
            let first = display_text(arrays[0].name());
            return Err(format!("'{name}' has {} rows and '{first}' has {rows}", array.rows()));
        }
    }
    Ok(rows)
}

/// The part a column stands for; other columns keep their name.
pub(crate) fn part_name(column: &str) -> &str {
    if column == Part::Frames.column() { Part::Frames.name() } else { column }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn rows_from_disk_equal_those_from_memory_across_files() {
        let all: Vec<f32> = (0..10).map(|at| at as f32 / 3.0).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"odd").unwrap();
        all[4..].iter().for_each(|x| file.write_all(&x.to_le_bytes()).unwrap());
        let mut array = StoredArray::new("concat", vec![2], 2, Values::Memory(all[..4].to_vec()));
        array.append(StoredArray::new("concat", vec![2], 0, Values::Memory(vec![])));
        array.append(StoredArray::new("concat", vec![2], 3, Values::File(Mutex::new(file), 3)));
        let mut row = [0.0; 2];
        for at in 0..5 {
            array.copy_row(at, &mut row).unwrap();
            assert_eq!(row, all[2 * at..][..2]);
        }
        assert!(array.copy_row(5, &mut row).is_err());
    }
}
