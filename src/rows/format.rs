//! Where rows go and in which form: the extension of `-o` decides.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::FileError;
use crate::files::{display_path, display_text};

/// The single-file formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One array, `(B, 2W)` or `(B, T, D)`: numpy's own.
    Npy,
    /// An array per part: numpy's zip.
    Npz,
    /// A tensor per part, ids in the metadata.
    Safetensors,
    /// A row per video with its columns and a list per part.
    Parquet,
    /// A JSON object per line.
    Jsonl,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] =
        [Format::Npy, Format::Npz, Format::Safetensors, Format::Parquet, Format::Jsonl];

    /// The extension with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Npy => ".npy",
            Format::Npz => ".npz",
            Format::Safetensors => ".safetensors",
            Format::Parquet => ".parquet",
            Format::Jsonl => ".jsonl",
        }
    }

    /// The format a file's extension names (upper or lower case); `None` if it names none.
    pub fn of(path: &Path) -> Option<Format> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Format::ALL.into_iter().find(|f| f.extension()[1..] == extension)
    }

    /// Whether all rows must have one shape.
    pub(crate) fn is_rectangular(self) -> bool {
        self != Format::Jsonl
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.extension())
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
                    Format::ALL.map(Format::extension).join(" ")
                )))
            }
        }
    }

    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Stdout => Format::Jsonl,
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
            Destination::File("X.NPY".into(), Format::Npy)
        );
        assert_eq!(Destination::parse(Path::new("-")).unwrap(), Destination::Stdout);
    }
}
