//! The arrays of a file of rows, or of several files as one, with the ids of the rows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::files::{FileError, display_text};
use crate::rows::array::{Array, NamedArray, StoredArray, UNNAMED, common_rows};
use crate::rows::ids::{ids_of, index_of, without_ids};
use crate::rows::shapes::{said, shapes};
use crate::rows::{Format, Provenance, Wanted};

/// Arrays with a row per video: all have the same number of rows, and there are as many ids if there are any.
#[derive(Debug, Clone, PartialEq)]
pub struct Table<A = Array> {
    /// The file or folder it came from.
    pub path: PathBuf,
    /// The arrays, in the file's order.
    pub arrays: Vec<A>,
    ids: Option<Vec<String>>,
    /// What made the rows, if the file says so.
    pub provenance: Option<Provenance>,
}

/// A table whose values may be left in their files.
pub type StoredTable = Table<StoredArray>;

impl<A: NamedArray> Table<A> {
    /// Takes arrays of equally many rows, and as many ids if there are any.
    pub fn new(path: PathBuf, arrays: Vec<A>, ids: Option<Vec<String>>) -> Self {
        Self { path, arrays, ids, provenance: None }
    }

    /// Takes what was read of a file, with the ids `own` that it holds itself, as far as it is `wanted`.
    ///
    /// # Errors
    /// `Read` if there is no array, the arrays have other shapes than a row of numbers per video or different numbers of
    /// rows, or there is another number of ids.
    pub(crate) fn checked(
        path: &Path,
        format: Format,
        (arrays, own): (Vec<A>, Option<Vec<String>>),
        wanted: Wanted,
    ) -> Result<Self, FileError> {
        let mut table = Self::new(path.to_owned(), arrays, None);
        // A file of JSON lines without a line cannot say which arrays it has.
        let no_lines = format.one_shape().is_none() && own.as_ref().is_some_and(Vec::is_empty);
        if table.arrays.is_empty() && !no_lines {
            return Err(match wanted.array {
                // The file was read for this array alone.
                Some(name) => match shapes(path) {
                    Ok(there) => {
                        let reason =
                            format!("it has no array '{}'; it has {}", display_text(name), said(&there));
                        FileError::read(path, reason)
                    }
                    Err(_) => table.missing(name),
                },
                None => FileError::read(path, "it holds no array of numbers with a row per video"),
            });
        }
        let rows = common_rows(&table.arrays).map_err(|reason| FileError::read(path, reason))?;
        table.ids = ids_of(path, rows, wanted, own)?;
        table.provenance = Provenance::of(path)?;
        // An .npy has no name for its array, but what made it says which part it is.
        if let (true, Some(made), [array]) =
            (format.0.holds_one_part(), &table.provenance, &mut table.arrays[..])
            && let [part] = &made.parts[..]
        {
            array.rename(part);
        }
        Ok(table)
    }

    /// `B`.
    pub fn rows(&self) -> usize {
        self.arrays.first().map_or(0, A::rows)
    }

    /// The ids, in the rows' order.
    ///
    /// # Errors
    /// `Read` if the file carries none and has no companion.
    pub fn ids(&self) -> Result<&[String], FileError> {
        self.ids.as_deref().ok_or_else(|| without_ids(&self.path))
    }

    /// The same table with its arrays as `store` gives them.
    pub(crate) fn map<B: NamedArray>(self, store: impl FnMut(A) -> B) -> Table<B> {
        let Self { path, arrays, ids, provenance } = self;
        Table { path, arrays: arrays.into_iter().map(store).collect(), ids, provenance }
    }

    /// The row of each id.
    ///
    /// # Errors
    /// `Read` if there are no ids, or one stands twice.
    pub fn index(&self) -> Result<HashMap<String, usize>, FileError> {
        index_of(&self.path, self.ids()?)
    }

    /// The array of that name. The one array of an `.npy` has no name and answers to any.
    ///
    /// # Errors
    /// `Read` if there is none; the message lists the names there are.
    pub fn array(&self, name: &str) -> Result<&A, FileError> {
        let named = |a: &&A| a.name() == name || a.name() == UNNAMED;
        self.arrays.iter().find(named).ok_or_else(|| self.missing(name))
    }

    /// The only array, for files whose array may have any name.
    ///
    /// # Errors
    /// `Read` if there are several; the message lists their names.
    pub fn only(&self) -> Result<&A, FileError> {
        match self.arrays.as_slice() {
            [array] => Ok(array),
            several => {
                let reason = format!("it holds {} arrays ({}); say which", several.len(), self.names());
                Err(FileError::read(&self.path, reason))
            }
        }
    }

    fn missing(&self, name: &str) -> FileError {
        FileError::read(&self.path, format!("it has no array '{name}'; it has {}", self.names()))
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.arrays.iter().map(|array| display_text(array.name())).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }
}

impl StoredTable {
    /// Appends the rows of the next file.
    ///
    /// # Errors
    /// `Read` if its arrays have other names or shapes, or it was made otherwise.
    pub(crate) fn extend(&mut self, next: Self) -> Result<(), FileError> {
        // A file of JSON lines without a line has no arrays, and no rows either.
        if next.arrays.is_empty() {
            return Ok(());
        }
        if self.arrays.is_empty() {
            *self = next;
            return Ok(());
        }
        let shapes = |table: &Self| {
            let shape = |array: &StoredArray| format!("{} {:?}", array.name, array.shape);
            table.arrays.iter().map(shape).collect::<Vec<_>>().join(", ")
        };
        let (first, here) = (shapes(self), shapes(&next));
        if first != here {
            let reason = format!("it holds {here} per row, and the files before it {first}");
            return Err(FileError::read(&next.path, reason));
        }
        let both = [self.provenance.as_ref(), next.provenance.as_ref()];
        Provenance::check_alike((&self.path, both[0]), (&next.path, both[1]))?;
        self.provenance = self.provenance.take().filter(|_| next.provenance.is_some());
        for (array, more) in self.arrays.iter_mut().zip(next.arrays) {
            array.append(more);
        }
        self.ids = self.ids.take().zip(next.ids).map(|(mut ids, more)| {
            ids.extend(more);
            ids
        });
        Ok(())
    }

    /// Takes the ids of a list instead of the files' own.
    ///
    /// # Errors
    /// `Read` if the list cannot be read, or holds another number of ids.
    pub(crate) fn take_ids(&mut self, wanted: Wanted) -> Result<(), FileError> {
        self.ids = ids_of(&self.path, self.rows(), wanted, None)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_array_lists_the_others() {
        let array = Array { name: "frames".into(), shape: vec![0, 2], data: vec![] };
        let table = Table::new("x.npz".into(), vec![array], None);
        assert!(table.array("concat").unwrap_err().to_string().contains("it has frames"));
        assert_eq!(table.only().unwrap().name, "frames");
    }
}
