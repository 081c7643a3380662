//! Which format a file has, and where rows go: the extension decides.

use std::path::{Path, PathBuf};

use crate::files::{FileError, display_path, display_text};
use crate::rows::file_format::Format;
use crate::rows::formats::FORMATS;
use crate::rows::{Dims, Part};

impl Format {
    /// Every format.
    pub const ALL: [Format; FORMATS.len()] = FORMATS;

    /// The format a file's extension names (upper or lower case); `None` if it names none.
    pub fn of(path: &Path) -> Option<Format> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        FORMATS.into_iter().find(|f| f.extension()[1..] == extension)
    }

    /// The formats that the parts of a dataset may have.
    pub(crate) fn of_datasets() -> impl Iterator<Item = Format> {
        FORMATS.into_iter().filter(|format| format.0.dataset_part().is_some())
    }

    /// The extensions of all formats, for messages.
    pub(crate) fn extensions() -> String {
        FORMATS.map(Format::extension).join(" ")
    }
}

/// Where the rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `-`: JSON lines on standard output, a line flushed per row, no companion.
    Stdout,
    /// A file and its companion.
    File(PathBuf, Format),
}

impl Destination {
    /// What `-o OUTPUT` means. Nothing is touched.
    ///
    /// # Errors
    /// `Usage` if the extension is unknown; the message lists the known ones.
    pub fn parse(output: &Path) -> Result<Self, FileError> {
        if output == Path::new("-") {
            return Ok(Self::Stdout);
        }
        match Format::of(output) {
            Some(format) => Ok(Self::File(output.to_path_buf(), format)),
            None => {
                let ending = match output.extension() {
                    Some(e) => format!("the extension .{} is unknown", display_text(&e.to_string_lossy())),
                    None => "it has no extension".to_string(),
                };
                Err(FileError::Usage(format!(
                    "{}: {ending}; the format follows from it: {}, - for JSON lines on standard output, DIR/ for a dataset",
                    display_path(output),
                    Format::extensions()
                )))
            }
        }
    }

    /// Refuses a file of `rows` rows of these parts for which the disk has too little space. Only formats whose size follows from the
    /// shapes are looked at, and only rows of one shape.
    ///
    /// # Errors
    /// `Write`, with both numbers.
    pub fn check_space(&self, rows: usize, parts: &[Part], dims: Dims) -> Result<(), FileError> {
        let Self::File(path, format) = self else { return Ok(()) };
        let exact = [Format::NPY, Format::NPZ, Format::SAFETENSORS].contains(format);
        let Some(row) = dims.row_bytes(parts).filter(|_| exact) else { return Ok(()) };
        // A part is copied from its spool into the file, and the spool is gone after that.
        let spool = match format.0.holds_one_part() {
            true => 0,
            false => parts.iter().filter_map(|part| dims.row_bytes(&[*part])).max().unwrap_or(0),
        };
        crate::files::check_space(path, (row + spool).saturating_mul(rows as u64))
    }

    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Stdout => Format::JSONL,
            Self::File(_, format) => *format,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ErrorKind;

    #[test]
    fn an_unknown_extension_lists_the_known_ones() {
        for name in ["x.csv", "x", "out/"] {
            let error = Destination::parse(Path::new(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(".npy .npz .safetensors .parquet .jsonl"), "{error}");
        }
        assert_eq!(
            Destination::parse(Path::new("X.NPY")).unwrap(),
            Destination::File("X.NPY".into(), Format::NPY)
        );
        assert_eq!(Destination::parse(Path::new("-")).unwrap(), Destination::Stdout);
    }
}
