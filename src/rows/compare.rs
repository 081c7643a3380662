//! Compares two outputs row by row: the check before one moves to other weights or to another version.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use crate::files::{FileError, display_path};
use crate::rows::array::{NamedArray, StoredArray};
use crate::rows::{Provenance, StoredTable, Wanted, open};
use crate::vector::cosine;

/// How two outputs differ. The first is `a`, the second is `b`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first output.
    pub a: Side,
    /// The second output.
    pub b: Side,
    /// Ids that both have.
    pub common: usize,
    /// The parts that both have.
    pub parts: Vec<PartDifference>,
    /// Settings and models that differ, in words: `settings.frames: 16 there, 8 here`, where `there` is the first output. Empty if
    /// they are the same, or if an output does not say what made it.
    pub made: Vec<String>,
}

/// One of the two outputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Its path.
    pub path: String,
    /// Its rows.
    pub rows: usize,
    /// The version of the program that made it; none if it does not say.
    pub lift: Option<String>,
    /// Ids that the other does not have, in the order of the rows.
    pub ids_alone: Vec<String>,
    /// Parts that the other does not have.
    pub parts_alone: Vec<String>,
}

/// How the values of a part differ, over the ids that both outputs have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartDifference {
    /// Its name.
    pub part: String,
    /// The shape of a row in each output. Rows of different shapes are not compared, and all differ.
    pub shapes: [Vec<usize>; 2],
    /// Rows of which a value differs in any bit.
    pub differing: usize,
    /// How far they are apart; none if no row differs, or the shapes do.
    pub apart: Option<RowDistances>,
}

/// How far rows that differ are apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowDistances {
    /// The median of the cosine distances, 1 - cosine, from 0 to 2.
    pub median: f64,
    /// The largest one.
    pub largest: f64,
    /// The id of that row.
    pub id: String,
    /// The largest absolute difference of two values, of any row.
    pub value: f64,
}

impl Comparison {
    /// Whether both have the same ids and parts, values of the same bits, and the same settings and models.
    pub fn is_same(&self) -> bool {
        let alone = |side: &Side| side.ids_alone.len() + side.parts_alone.len();
        alone(&self.a) + alone(&self.b) == 0
            && self.made.is_empty()
            && self.parts.iter().all(|part| part.differing == 0)
    }
}

/// Compares two files of rows or folders of datasets. One row of each is in memory at a time if they are large.
///
/// # Errors
/// `Read` if one cannot be read, has no ids, or has an id twice.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison, FileError> {
    let scratch = std::env::temp_dir();
    let (first, second) = (open(a, Wanted::default(), &scratch)?, open(b, Wanted::default(), &scratch)?);
    let (first_index, second_index) = (first.index()?, second.index()?);
    let mut common = Vec::new();
    for (row, id) in first.ids()?.iter().enumerate() {
        common.extend(second_index.get(id).map(|other| (row, *other)));
    }
    let mut parts = Vec::new();
    for array in &first.arrays {
        let Some(other) = second.arrays.iter().find(|other| other.name() == array.name()) else { continue };
        parts.push(part((&first, array), (&second, other), &common)?);
    }
    let made = match (&first.provenance, &second.provenance) {
        (Some(a), Some(b)) => a.differences(b),
        _ => Vec::new(),
    };
    Ok(Comparison {
        a: side(a, &first, (&second, &second_index))?,
        b: side(b, &second, (&first, &first_index))?,
        common: common.len(),
        parts,
        made,
    })
}

fn side(
    path: &Path,
    table: &StoredTable,
    (other, index): (&StoredTable, &HashMap<String, usize>),
) -> Result<Side, FileError> {
    let alone = |array: &&StoredArray| !other.arrays.iter().any(|other| other.name() == array.name());
    Ok(Side {
        path: display_path(path),
        rows: table.rows(),
        lift: table.provenance.as_ref().map(|Provenance { lift, .. }| lift.clone()),
        ids_alone: table.ids()?.iter().filter(|id| !index.contains_key(*id)).cloned().collect(),
        parts_alone: table.arrays.iter().filter(alone).map(|array| array.name().to_owned()).collect(),
    })
}

/// Compares a part of the rows `common`, by their places in both tables.
fn part(
    (table, array): (&StoredTable, &StoredArray),
    (other_table, other): (&StoredTable, &StoredArray),
    common: &[(usize, usize)],
) -> Result<PartDifference, FileError> {
    let named = |differing, apart| PartDifference {
        part: array.name().to_owned(),
        shapes: [array.shape.clone(), other.shape.clone()],
        differing,
        apart,
    };
    if array.shape != other.shape {
        return Ok(named(common.len(), None));
    }
    let width = array.shape.iter().product();
    let (mut row, mut other_row) = (vec![0.0; width], vec![0.0; width]);
    let (mut distances, mut farthest, mut value) = (Vec::new(), (0.0, 0), 0.0_f64);
    for &(at, other_at) in common {
        let read = |table: &StoredTable, array: &StoredArray, at, out: &mut [f32]| {
            array.copy_row(at, out).map_err(|e| FileError::read(&table.path, e.to_string()))
        };
        read(table, array, at, &mut row)?;
        read(other_table, other, other_at, &mut other_row)?;
        let pairs = || row.iter().zip(&other_row);
        if pairs().all(|(a, b)| a.to_bits() == b.to_bits()) {
            continue;
        }
        // Rounding may give a cosine above 1.
        let distance = (1.0 - cosine(&row, &other_row)).max(0.0);
        if distances.is_empty() || distance > farthest.0 {
            farthest = (distance, at);
        }
        distances.push(distance);
        value = pairs().fold(value, |most, (a, b)| most.max((f64::from(*a) - f64::from(*b)).abs()));
    }
    if distances.is_empty() {
        return Ok(named(0, None));
    }
    distances.sort_by(f64::total_cmp);
    let median = (distances[(distances.len() - 1) / 2] + distances[distances.len() / 2]) / 2.0;
    let apart = RowDistances { median, largest: farthest.0, id: table.ids()?[farthest.1].clone(), value };
    Ok(named(distances.len(), Some(apart)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::rows::testing::{DIMS, made, row};
    use crate::rows::{Destination, Part, Prepared, Row};

    /// A file with these rows.
    fn file(folder: &Path, name: &str, parts: &[Part], made: &Provenance, rows: &[Row]) -> PathBuf {
        let path = folder.join(name);
        let destination = Destination::parse(&path).unwrap();
        let mut output = Prepared::new(&destination, parts, false).unwrap().start(DIMS).unwrap();
        rows.iter().for_each(|row| output.push(row).unwrap());
        output.made_by(made).unwrap();
        output.finish().unwrap();
        path
    }

    #[test]
    fn rows_are_compared_by_their_ids_whatever_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let parts = [Part::Concat, Part::Frames];
        let rows: Vec<Row> = (0..4).map(|at| row(at, 3, &parts)).collect();
        let a = file(dir.path(), "a.npz", &parts, &made(), &rows);
        let b = file(dir.path(), "b.parquet", &parts, &made(), &[rows[0].clone(), rows[2].clone()]);
        let found = compare(&a, &b).unwrap();
        assert_eq!((found.common, found.a.rows, found.b.rows), (2, 4, 2));
        assert_eq!(found.a.ids_alone, [rows[1].clip.id.clone(), rows[3].clip.id.clone()]);
        assert!(found.b.ids_alone.is_empty() && found.parts.iter().all(|part| part.differing == 0));
        assert!(!found.is_same());
        assert!(compare(&a, &a).unwrap().is_same());
    }

    #[test]
    fn a_value_a_shape_a_part_and_a_setting_that_differ_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let parts = [Part::Concat];
        let rows: Vec<Row> = (0..3).map(|at| row(at, 3, &parts)).collect();
        let mut other = rows.clone();
        // The second row turns around, the third is twice as long.
        other[1].parts[0].1.iter_mut().for_each(|value| *value = -*value);
        other[2].parts[0].1.iter_mut().for_each(|value| *value *= 2.0);
        let mut made_otherwise = made();
        made_otherwise.settings.insert("normalize".into(), true.into());
        let a = file(dir.path(), "a.npz", &parts, &made(), &rows);
        let b = file(dir.path(), "b.npz", &parts, &made_otherwise, &other);
        let found = compare(&a, &b).unwrap();
        let [part] = &found.parts[..] else { panic!("{found:?}") };
        let apart = part.apart.as_ref().unwrap();
        assert_eq!((part.differing, &apart.id), (2, &rows[1].clip.id));
        assert!((apart.largest - 2.0).abs() < 1e-12 && (apart.median - 1.0).abs() < 1e-12, "{apart:?}");
        let largest = rows[1].parts[0].1.iter().fold(0.0_f64, |most, x| most.max(2.0 * f64::from(x.abs())));
        let longest = rows[2].parts[0].1.iter().fold(0.0_f64, |most, x| most.max(f64::from(x.abs())));
        assert_eq!(apart.value, largest.max(longest));
        assert!(found.made[0].contains("settings.normalize: false there, true here"), "{:?}", found.made);
        let frames = [Part::Frames];
        let c = file(dir.path(), "c.npz", &frames, &made(), &[row(0, 3, &frames)]);
        let found = compare(&a, &c).unwrap();
        assert!(found.parts.is_empty() && !found.is_same());
        assert_eq!(
            (&found.a.parts_alone[..], &found.b.parts_alone[..]),
            (&["concat".to_owned()][..], &["frames".to_owned()][..])
        );
        std::fs::write(dir.path().join("d.jsonl"), "{\"id\":\"x\",\"concat\":[1,2]}\n").unwrap();
        let found = compare(&a, &dir.path().join("d.jsonl")).unwrap();
        assert_eq!((found.common, found.b.lift), (0, None));
    }
}
