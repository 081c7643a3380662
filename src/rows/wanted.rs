//! What of a file of features is read: which array, and which ids.

use std::path::Path;

use crate::files::display_text;

/// What of a file of features is read. The default is every array that is there, with the ids that the file has itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The one array (or column) to read, the others stay on disk; all if none is named.
    pub array: Option<&'a str>,
    /// The column (or the array) that holds the ids: of the list `ids` if there is one, else of the file, else of its companion.
    /// `None` for `id`, in an `.npz` also `ids`.
    pub id_column: Option<&'a str>,
    /// A list of ids that counts instead of the file's own: see [`read_ids`](crate::rows::read_ids).
    pub ids: Option<&'a Path>,
}

impl<'a> Wanted<'a> {
    /// One array, with the ids that the file has itself.
    pub fn one(array: &'a str) -> Self {
        Self { array: Some(array), ..Self::default() }
    }

    /// The same with another choice of the array, if one is made.
    pub(crate) fn or_array(self, array: Option<&'a str>) -> Self {
        Self { array: self.array.or(array), ..self }
    }

    /// What is wanted of the file itself: with a list of ids, the column of the ids is one of the list.
    pub(crate) fn of_file(self) -> Self {
        Self { id_column: self.id_column.filter(|_| self.ids.is_none()), ..self }
    }

    /// Whether the ids are read of the array or column of that name; `usual` are the names unless the user names one. Beside a list
    /// of ids, the file's own are not looked at.
    pub(crate) fn holds_ids(self, name: &str, usual: &[&str]) -> bool {
        let named = self.id_column.map_or_else(|| usual.contains(&name), |column| column == name);
        named && self.ids.is_none()
    }

    /// Checks that the column of the ids that the user named was found among `there`.
    ///
    /// # Errors
    /// If it was not, with the names that there are.
    pub(crate) fn check_ids_found<Name: AsRef<str>>(
        self,
        found: bool,
        there: impl IntoIterator<Item = Name>,
    ) -> Result<(), String> {
        let Some(column) = self.id_column.filter(|_| !found) else { return Ok(()) };
        let names: Vec<String> = there.into_iter().map(|name| display_text(name.as_ref())).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        Err(format!("it has no '{}' to read the ids from; it has {names}", display_text(column)))
    }
}
