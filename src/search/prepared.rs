//! The file that makes repeated searches fast: the rows in 8 bits a number, which are compared at the speed of memory, and beside
//! them the rows as they are, for the final scores, and what is said of their clips.
//!
//! A row of length 1 is kept as `centre + scale * codes`, where the centre is the mean of these rows: the more alike they are,
//! the less is rounded away. How long the rest is, is kept too, so that the scan knows how much a score can err.
//!
//! | bytes | content |
//! | --- | --- |
//! | 64 | `lift search 1`, zeros |
//! | `N·W` | i8: the codes |
//! | `8·N` | f32: scale and length of the rest, a row's after another's |
//! | `4·N·W` | f32: the rows as they are |
//! | `4·W` | f32: the centre |
//! | | a line of JSON per row: id, path, start, end, kept columns |
//! | `8·(N + 1)` | u64: where each line begins, and where the last one ends |
//! | | a JSON object: [`Footer`] |
//! | 8 | u64: the bytes of the footer |
//!
//! Each section begins at a multiple of 64 bytes; numbers are little-endian. The file is tied to the collection by a digest of the
//! names, sizes and times of change of the collection's files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::scan::{SearchRows, Units};
use super::{SearchError, StoredRows};
use crate::dataset::read_ledger;
use crate::files::{AtomicFile, FileError, Stamp, beside, hexadecimal};
use crate::inputs::Columns;
use crate::rows::{self, ClipMeta};
use crate::vector::unit_scale;

const MAGIC: &[u8; 13] = b"lift search 1";
const ALIGN: u64 = 64;

/// Rows copied at a time.
const COPIED: usize = 1024;

/// The longest footer: it has a line for each part of a dataset.
const LONGEST_FOOTER: u64 = 64 << 20;

/// What the file says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Footer {
    /// The representation.
    by: String,
    /// The digest of the collection.
    collection: String,
    /// The parts of the collection, if it is a dataset.
    #[serde(default)]
    files: Vec<PartState>,
    /// `N` and `W`.
    rows: usize,
    width: usize,
    /// The first byte of each section.
    codes: u64,
    bounds: u64,
    exact: u64,
    centre: u64,
    lines: u64,
    places: u64,
}

/// A part of a dataset as it was prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PartState {
    name: String,
    stamp: Stamp,
    rows: usize,
}

/// What is kept of a clip.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<f64>,
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    columns: Columns,
}

/// A prepared collection. Its file is read in pieces that fit in a cache, and not mapped: on many machines, the first touch of a
/// mapped page costs more than the copy.
pub struct PreparedRows {
    file: File,
    path: PathBuf,
    footer: Footer,
    centre: Vec<f32>,
}

/// Where the prepared file of a collection stands: beside a file, in the folder of a dataset.
pub fn prepared_path(collection: &Path, by: &str) -> PathBuf {
    let by: String =
        by.chars().map(|c| if c.is_ascii_alphanumeric() || "+-".contains(c) { c } else { '_' }).collect();
    match collection.is_dir() {
        true => collection.join(format!("_{by}.search")),
        false => beside(collection, &format!(".{by}.search")),
    }
}

/// The representations of which a dataset's folder has a prepared file that is out of date.
///
/// # Errors
/// `Read` if the folder cannot be read.
pub fn outdated(folder: &Path) -> Result<Vec<String>, FileError> {
    let mut outdated = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| FileError::read(folder, e.to_string()))?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "search")
            && let Some(footer) = File::open(&path).ok().and_then(|file| footer(&file))
            && prepared_path(folder, &footer.by) == path
            && footer.collection != digest(folder)?
        {
            outdated.push(footer.by);
        }
    }
    outdated.sort();
    Ok(outdated)
}

/// Bytes of the file per row of `width` numbers, without the texts.
pub fn bytes_per_row(width: usize) -> usize {
    5 * width + 16
}

/// The digest of the names, sizes and times of change of a collection's files.
fn digest(collection: &Path) -> Result<String, FileError> {
    let mut digest = Sha256::new();
    for file in rows::files(collection)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let stamp = Stamp::of(&file).unwrap_or(Stamp { bytes: 0, modified: 0 });
        digest.update(format!("{name}\0{}\0{}\n", stamp.bytes, stamp.modified));
    }
    Ok(hexadecimal(&digest.finalize()))
}

/// The parts of a collection, up to the first file that is no part of a dataset.
fn part_states(collection: &Path) -> Result<Vec<PartState>, FileError> {
    let state = |file: &PathBuf| {
        let name = file.file_name()?.to_string_lossy().into_owned();
        let rows = read_ledger(file).ok()?.entries.iter().map(|entry| entry.rows).sum();
        Some(PartState { name, stamp: Stamp::of(file)?, rows })
    };
    Ok(rows::files(collection)?.iter().map_while(state).collect())
}

/// The prepared file that is there, and how many of the first rows of the collection it has as they are: those of the parts before the
/// first one that changed. `None` if they are less than half of all, because a mean of few rows makes searches slow.
fn reusable(
    path: &Path,
    by: &str,
    stored: &StoredRows,
    files: &[PartState],
) -> Option<(PreparedRows, usize)> {
    let old = PreparedRows::any(&prepared_path(path, by))?;
    let same = old.footer.files.iter().zip(files).take_while(|(before, now)| before == now);
    let count: usize = same.map(|(_, now)| now.rows).sum();
    let fits = old.footer.by == by
        && old.footer.width == stored.width()
        && count <= old.footer.rows.min(stored.rows())
        && count > 0
        && 2 * count >= stored.rows();
    let ids = if fits { old.ids().ok()? } else { vec![] };
    (fits && ids[..count] == stored.ids()[..count]).then_some((old, count))
}

/// Writes the prepared file of `stored`, the representation `by` of the collection at `path`; `clips` describe its rows. `done`
/// is called with the rows that are read, of three times `N`. An older prepared file is replaced; the codes of rows that did not change
/// are taken from it. Returns the file, and how many these are.
///
/// # Errors
/// If a row cannot be read or is not finite, or the disk refuses; then nothing is written.
pub fn prepare(
    path: &Path,
    by: &str,
    stored: &StoredRows,
    clips: &[ClipMeta],
    done: &mut dyn FnMut(usize),
) -> Result<(PathBuf, usize), SearchError> {
    let target = prepared_path(path, by);
    let (rows, width) = (stored.rows(), stored.width());
    let (collection, files) = (digest(path)?, part_states(path)?);
    let old = reusable(path, by, stored, &files);
    let taken = old.as_ref().map_or(0, |(_, taken)| *taken);
    let mut out = Sections::new(AtomicFile::create(&target, true)?);
    out.write(MAGIC)?;
    // Any centre will do: how much is rounded away is kept beside the codes.
    let centre = match &old {
        Some((old, _)) => old.centre.clone(),
        None => mean_of_units(stored, done)?,
    };
    let codes = out.begin()?;
    let mut all_bounds = Vec::with_capacity(rows);
    for (old, first) in
        old.iter().flat_map(|(old, taken)| (0..*taken).step_by(COPIED).map(move |at| (old, at)))
    {
        let mut units = Units::Coded { codes: vec![], bounds: vec![] };
        old.units(first, COPIED.min(taken - first), &mut units)?;
        if let Units::Coded { codes, bounds } = units {
            out.write(bytemuck::cast_slice(&codes))?;
            all_bounds.extend(bounds);
        }
    }
    for row in taken..rows {
        let (codes, bounds) = coded(&stored.exact(row)?, &centre);
        out.write(bytemuck::cast_slice(&codes))?;
        all_bounds.push(bounds);
        done(rows + row + 1);
    }
    let bounds = out.begin()?;
    all_bounds.as_flattened().iter().try_for_each(|x| out.write(&x.to_le_bytes()))?;
    let exact = out.begin()?;
    for row in 0..rows {
        stored.exact(row)?.iter().try_for_each(|x| out.write(&x.to_le_bytes()))?;
        done(2 * rows + row + 1);
    }
    let begin_of_centre = out.begin()?;
    centre.iter().try_for_each(|x| out.write(&x.to_le_bytes()))?;
    let lines = out.begin()?;
    let mut places = vec![lines];
    for clip in clips {
        let path = clip.path.to_string_lossy().into_owned();
        let columns = clip.columns.clone();
        let line = Line { id: clip.id.clone(), path, start: clip.start, end: clip.end, columns };
        out.json(&line)?;
        out.write(b"\n")?;
        places.push(out.at);
    }
    let begin = out.begin()?;
    places.iter().try_for_each(|place| out.write(&place.to_le_bytes()))?;
    out.begin()?;
    let before = out.at;
    let footer = Footer {
        by: by.to_owned(),
        collection,
        files,
        rows,
        width,
        codes,
        bounds,
        exact,
        centre: begin_of_centre,
        lines,
        places: begin,
    };
    out.json(&footer)?;
    let size = out.at - before;
    out.write(&size.to_le_bytes())?;
    AtomicFile::from_buffer(out.file)?.commit()?;
    Ok((target, taken))
}

/// The mean of the rows, each scaled to length 1.
fn mean_of_units(stored: &StoredRows, done: &mut dyn FnMut(usize)) -> Result<Vec<f32>, SearchError> {
    let mut sums = vec![0.0; stored.width()];
    for row in 0..stored.rows() {
        let exact = stored.exact(row)?;
        let scale = unit_scale(&exact);
        sums.iter_mut().zip(&exact).for_each(|(sum, x)| *sum += f64::from(*x) * scale);
        done(row + 1);
    }
    Ok(sums.into_iter().map(|sum| (sum / stored.rows().max(1) as f64) as f32).collect())
}

/// The codes of a row, and its `[scale, error]`: see [`Units::Coded`].
pub(super) fn coded(row: &[f32], centre: &[f32]) -> (Vec<i8>, [f32; 2]) {
    let unit = unit_scale(row);
    let rest: Vec<f64> = row.iter().zip(centre).map(|(x, c)| f64::from(*x) * unit - f64::from(*c)).collect();
    let largest = rest.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let scale = (largest / 127.0) as f32;
    let inverse = if scale > 0.0 { 1.0 / f64::from(scale) } else { 0.0 };
    let codes: Vec<i8> = rest.iter().map(|x| (x * inverse).round().clamp(-127.0, 127.0) as i8).collect();
    let squares = rest.iter().zip(&codes).map(|(x, code)| (x - f64::from(scale) * f64::from(*code)).powi(2));
    let error = squares.sum::<f64>().sqrt() as f32;
    (codes, [scale, error.next_up()])
}

/// Writes sections one after the other.
struct Sections {
    file: BufWriter<AtomicFile>,
    target: PathBuf,
    at: u64,
}

impl Sections {
    fn new(file: AtomicFile) -> Self {
        let target = file.target().to_path_buf();
        Self { file: BufWriter::with_capacity(1 << 20, file), target, at: 0 }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| FileError::write(&self.target, e))
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), FileError> {
        let bytes = serde_json::to_vec(value).map_err(|e| FileError::write(&self.target, e.into()))?;
        self.write(&bytes)
    }

    /// Fills up to the next section and gives its first byte.
    fn begin(&mut self) -> Result<u64, FileError> {
        let gap = self.at.next_multiple_of(ALIGN) - self.at;
        self.write(&[0; ALIGN as usize][..gap as usize])?;
        Ok(self.at)
    }
}

impl PreparedRows {
    /// Opens the prepared file of a collection; `None` if there is none.
    ///
    /// # Errors
    /// If the file is damaged, or belongs to an older state of the collection.
    pub fn open(collection: &Path, by: &str) -> Result<Option<Self>, FileError> {
        let path = prepared_path(collection, by);
        if !path.exists() {
            return Ok(None);
        }
        let again = "make it anew with lift search --prepare, or remove it";
        let damaged = || FileError::read(&path, format!("it is damaged or cut short; {again}"));
        let opened = Self::any(&path).ok_or_else(damaged)?;
        if opened.footer.by != by || opened.footer.collection != digest(collection)? {
            let reason = format!(
                "it was prepared for another state of the collection, which has changed since; {again}"
            );
            return Err(FileError::read(&path, reason));
        }
        Ok(Some(opened))
    }

    /// Reads a prepared file, whatever collection it is of; `None` if it is absent or damaged.
    fn any(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let footer = footer(&file)?;
        let mut centre = vec![[0; 4]; footer.width];
        file.read_exact_at(centre.as_flattened_mut(), footer.centre).ok()?;
        let centre = centre.into_iter().map(f32::from_le_bytes).collect();
        Some(Self { file, path: path.to_owned(), footer, centre })
    }

    /// The bytes that a scan reads.
    pub fn scanned_bytes(&self) -> usize {
        self.footer.rows * (self.footer.width + 8)
    }

    /// The clip of a row.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn clip(&self, row: usize) -> Result<ClipMeta, SearchError> {
        let mut places = [[0; 8]; 2];
        self.read(self.footer.places + 8 * row as u64, places.as_flattened_mut())?;
        let [from, to] = places.map(u64::from_le_bytes);
        let inside = self.footer.lines <= from && from <= to && to <= self.footer.places;
        let mut line = vec![0; if inside { (to - from) as usize } else { 0 }];
        self.read(from, &mut line)?;
        self.parsed(row, &line)
    }

    /// The ids of all rows.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn ids(&self) -> Result<Vec<String>, SearchError> {
        let mut text = vec![0; (self.footer.places - self.footer.lines) as usize];
        self.read(self.footer.lines, &mut text)?;
        let lines = text.split(|byte| *byte == b'\n').take(self.footer.rows).enumerate();
        lines.map(|(row, line)| Ok(self.parsed(row, line)?.id)).collect()
    }

    fn parsed(&self, row: usize, line: &[u8]) -> Result<ClipMeta, SearchError> {
        let damaged = |_| FileError::read(&self.path, format!("the text of row {row} is damaged"));
        let Line { id, path, start, end, columns } = serde_json::from_slice(line).map_err(damaged)?;
        Ok(ClipMeta { index: row, id, path: path.into(), start, end, columns, ..ClipMeta::default() })
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), FileError> {
        self.file.read_exact_at(out, at).map_err(|e| FileError::read(&self.path, e.to_string()))
    }
}

/// The footer, if all sections lie in the file.
fn footer(file: &File) -> Option<Footer> {
    let bytes = file.metadata().ok()?.len();
    let mut size = [0; 8];
    file.read_exact_at(&mut size, bytes.checked_sub(8)?).ok()?;
    let size = u64::from_le_bytes(size);
    let first = bytes.checked_sub(8)?.checked_sub(size)?;
    let mut json = vec![0; usize::try_from(size).ok().filter(|_| size < LONGEST_FOOTER)?];
    file.read_exact_at(&mut json, first).ok()?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact_at(&mut magic, 0).ok()?;
    let footer: Footer = serde_json::from_slice(&json).ok()?;
    let numbers = (footer.rows as u64).checked_mul(footer.width as u64)?;
    let fits = |first: u64, size: u64, end: u64| first.checked_add(size).is_some_and(|last| last <= end);
    let whole = magic == *MAGIC
        && fits(footer.codes, numbers, footer.bounds)
        && fits(footer.bounds, (footer.rows as u64).checked_mul(8)?, footer.exact)
        && fits(footer.exact, numbers.checked_mul(4)?, footer.centre)
        && fits(footer.centre, 4 * footer.width as u64, footer.lines)
        && fits(footer.places, 8 * (footer.rows as u64).checked_add(1)?, bytes)
        && footer.lines <= footer.places;
    whole.then_some(footer)
}

impl SearchRows for PreparedRows {
    fn rows(&self) -> usize {
        self.footer.rows
    }

    fn width(&self) -> usize {
        self.footer.width
    }

    fn units(&self, first: usize, count: usize, out: &mut Units) -> Result<(), SearchError> {
        if let Units::Plain(_) = out {
            *out = Units::Coded { codes: vec![], bounds: vec![] };
        }
        let Units::Coded { codes, bounds } = out else { return Ok(()) };
        codes.resize(count * self.footer.width, 0);
        bounds.resize(count, [0.0; 2]);
        self.read(self.footer.codes + (first * self.footer.width) as u64, bytemuck::cast_slice_mut(codes))?;
        self.read(self.footer.bounds + 8 * first as u64, bytemuck::cast_slice_mut(bounds))?;
        if cfg!(target_endian = "big") {
            let swapped = |x: &mut f32| *x = f32::from_bits(x.to_bits().swap_bytes());
            bounds.as_flattened_mut().iter_mut().for_each(swapped);
        }
        Ok(())
    }

    fn centre(&self) -> &[f32] {
        &self.centre
    }

    fn exact(&self, row: usize) -> Result<Vec<f32>, SearchError> {
        let width = self.footer.width;
        let mut bytes = vec![[0; 4]; width];
        self.read(self.footer.exact + 4 * (row * width) as u64, bytes.as_flattened_mut())?;
        Ok(bytes.into_iter().map(f32::from_le_bytes).collect())
    }

    fn id(&self, row: usize) -> Result<String, SearchError> {
        Ok(self.clip(row)?.id)
    }
}
