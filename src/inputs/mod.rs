//! What to work on: the paths, folders, patterns and lists of the command line become one numbered list of videos.
//!
//! Policy: what is wrong with the **request** (a list that cannot be read, two rows with one id, an end before its start, no
//! video at all) ends the run before any work; what is wrong with a **video** does not: a path that does not exist is an
//! input like any other and fails when it is opened, in its own row. A folder or pattern without videos is a note as long as
//! other arguments have some. Nothing here opens a video.

mod expand;
mod list;
mod listing;
mod shard;

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use crate::files::{display_path, display_text};
pub use listing::{Items, Listing};
pub use shard::Shard;

use listing::Collector;

/// One video of a run, or one clip of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its place among the inputs, from 0.
    pub index: usize,
    /// Unique in the run: a list's `id`; else, under a folder argument, the path below it without the extension; else the
    /// file's stem. Invalid UTF-8 as U+FFFD.
    pub id: String,
    /// The file as given: relative paths, in lists too, are relative to the working directory.
    pub path: PathBuf,
    /// Where the clip starts, in seconds, at least 0; `None` for the beginning.
    pub start: Option<f64>,
    /// Where the clip ends, in seconds, not before its start; `None` for the end.
    pub end: Option<f64>,
}

/// The range of the clips that have none of their own, side by side: a list that sets only `start` still gets this `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// Seconds, at least 0; `None` for the beginning.
    pub start: Option<f64>,
    /// Seconds; `None` for the end.
    pub end: Option<f64>,
}

/// A request that cannot be carried out as asked.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// No argument names a video; what each held instead.
    #[error("no video to work on{}", .0.iter().map(|n| format!("; {n}")).collect::<String>())]
    NoVideos(Vec<String>),
    /// Two inputs have one id.
    #[error(
        "two inputs have the id '{}': {first} and {second}; name the folder that holds both (within it ids are paths), give \
         them ids of their own in a list (--list, columns path and id), or leave one out", display_text(.id)
    )]
    SameId {
        /// The id.
        id: String,
        /// The first file, for display.
        first: String,
        /// The second file, for display.
        second: String,
    },
    /// A list that cannot be used, with its line where one is to blame.
    #[error("{list}{}: {reason}", .line.map(|l| format!(", line {l}")).unwrap_or_default())]
    List {
        /// The list, for display.
        list: String,
        /// The line, from 1.
        line: Option<u64>,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A clip that ends before it starts.
    #[error("{path}: the clip ends at {end} s, before its start at {start} s")]
    EndBeforeStart {
        /// The file, for display.
        path: String,
        /// Seconds.
        start: f64,
        /// Seconds.
        end: f64,
    },
    /// Standard input was asked for twice.
    #[error("standard input (-) can be read once only, and it is named twice")]
    StdinTwice,
    /// The list of inputs could not be kept.
    #[error("the list of inputs cannot be kept in the temporary folder: {0}; free some space or set TMPDIR")]
    Spool(std::io::Error),
}

/// A video before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) start: Option<f64>,
    pub(crate) end: Option<f64>,
}

impl Found {
    /// A file by itself: its stem is its id.
    pub(crate) fn file(path: PathBuf) -> Self {
        let id = stem(&path);
        Self { id, path, start: None, end: None }
    }
}

/// Where videos go as they are found.
pub(crate) trait Sink {
    /// Takes the next one.
    fn take(&mut self, found: Found);
    /// How many came.
    fn count(&self) -> usize;
}

#[cfg(test)]
impl Sink for Vec<Found> {
    fn take(&mut self, found: Found) {
        self.push(found);
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// The stem of a file name as an id; the whole path where there is none (`..`).
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Turns the arguments, then the lists, into the inputs of a run.
///
/// An argument is a file, a folder (searched, sorted), a pattern the shell left alone (if nothing of that name exists), or
/// `-`: paths on standard input, one per line, or separated by NUL if there is one. A list is a file of paths, one per line, or
/// CSV or TSV with a column `path`; `-` reads it from standard input. `stdin` is read only if something asks for it. Clips
/// without a range of their own take `range`.
///
/// # Errors
/// If there is no video, a list is unreadable, an id stands twice, or a clip ends before it starts.
pub fn gather(
    args: &[PathBuf],
    lists: &[PathBuf],
    stdin: &mut dyn Read,
    range: Range,
) -> Result<Listing, InputsError> {
    let (found, notes) = collect(args, lists, stdin, range)?;
    found.finish(notes)
}

/// [`gather`] for commands that know a file by its path: ids may stand twice.
///
/// # Errors
/// As [`gather`].
pub fn gather_files(args: &[PathBuf], stdin: &mut dyn Read) -> Result<Listing, InputsError> {
    let (found, notes) = collect(args, &[], stdin, Range::default())?;
    found.finish_with_any_ids(notes)
}

fn collect(
    args: &[PathBuf],
    lists: &[PathBuf],
    stdin: &mut dyn Read,
    range: Range,
) -> Result<(Collector, Vec<String>), InputsError> {
    if args.iter().chain(lists).filter(|a| is_stdin(a)).count() > 1 {
        return Err(InputsError::StdinTwice);
    }
    let mut found = Collector::new(range)?;
    let mut notes = Vec::new();
    for arg in args {
        if is_stdin(arg) {
            list::stdin_paths(stdin, |path| expand::path(&path, &mut found, &mut notes))?;
        } else {
            expand::argument(arg, &mut found, &mut notes);
        }
    }
    for file in lists {
        list::gather(file, stdin, &mut found, &mut notes)?;
    }
    Ok((found, notes))
}

fn is_stdin(arg: &Path) -> bool {
    arg.as_os_str() == OsStr::new("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn tree(files: &[&str]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn all(args: &[PathBuf], mut stdin: &[u8]) -> Result<Listing, InputsError> {
        gather(args, &[], &mut stdin, Range::default())
    }

    fn ids(args: &[PathBuf], stdin: &str) -> Vec<String> {
        let inputs = gather(args, &[], &mut stdin.as_bytes(), Range::default()).unwrap();
        inputs.iter().enumerate().for_each(|(i, input)| assert_eq!(input.index, i));
        inputs.iter().map(|i| i.id).collect()
    }

    #[test]
    fn a_folder_gives_its_videos_sorted_with_ids_below_it() {
        let dir =
            tree(&["b/2.webm", "b/10.MP4", "a.mkv", "notes.txt", ".hidden/x.mp4", "b/._10.MP4", "c.d.MoV"]);
        assert_eq!(ids(&[dir.path().to_path_buf()], ""), ["a", "b/10", "b/2", "c.d"]);
        let slash = PathBuf::from(format!("{}/", dir.path().display()));
        assert_eq!(ids(&[slash], ""), ["a", "b/10", "b/2", "c.d"]);
    }

    #[test]
    fn a_hidden_folder_named_outright_is_searched() {
        let dir = tree(&[".clips/x.mp4"]);
        assert_eq!(ids(&[dir.path().join(".clips")], ""), ["x"]);
    }

    #[test]
    fn a_named_file_is_taken_whatever_its_extension_and_even_if_it_is_missing() {
        let dir = tree(&["x.data"]);
        assert_eq!(ids(&[dir.path().join("x.data"), dir.path().join("gone.mp4")], ""), ["x", "gone"]);
    }

    #[test]
    fn a_pattern_is_expanded_unless_a_file_has_that_name() {
        let dir = tree(&["a1.mp4", "a2.mp4", "b[1].mp4", "b1.mp4", ".a3.mp4", "sub/a4.webm"]);
        assert_eq!(ids(&[dir.path().join("a*.mp4")], ""), ["a1", "a2"]);
        assert_eq!(ids(&[dir.path().join("b[1].mp4")], ""), ["b[1]"]);
        assert_eq!(ids(&[dir.path().join("b[0-9].mp4")], ""), ["b1"]);
        assert_eq!(ids(&[dir.path().join("s*")], ""), ["a4"], "a folder that matches is searched");
    }

    #[test]
    fn nothing_found_is_an_error_alone_and_a_note_beside_others() {
        let dir = tree(&["a.txt", "v/x.mp4"]);
        fs::create_dir(dir.path().join("empty")).unwrap();
        for arg in ["empty", "*.mp4"] {
            let arg = dir.path().join(arg);
            let error = all(std::slice::from_ref(&arg), b"").unwrap_err().to_string();
            assert!(error.contains(&*arg.to_string_lossy()), "{error}");
            let inputs = all(&[arg, dir.path().join("v")], b"").unwrap();
            assert_eq!((inputs.len(), inputs.notes.len()), (1, 1));
        }
        assert!(matches!(all(&[], b""), Err(InputsError::NoVideos(_))));
    }

    #[test]
    fn one_id_twice_is_refused_with_both_paths() {
        let dir = tree(&["x/a.mp4", "y/a.webm"]);
        let args = [dir.path().join("x"), dir.path().join("y")];
        assert_eq!(gather_files(&args, &mut &b""[..]).unwrap().len(), 2);
        let error = all(&args, b"").unwrap_err().to_string();
        assert!(error.contains("x/a.mp4") && error.contains("y/a.webm") && error.contains("'a'"), "{error}");
    }

    #[test]
    fn standard_input_has_lines_or_nul() {
        assert_eq!(ids(&["-".into()], "a.mp4\r\n\nsub/b*.mp4\n#c.mp4"), ["a", "b*", "#c"]);
        assert_eq!(ids(&["-".into(), "z.mp4".into()], "a\nb.mp4\0c.mp4\0"), ["a\nb", "c", "z"]);
        let twice = gather(&["-".into()], &["-".into()], &mut &b""[..], Range::default());
        assert!(matches!(twice, Err(InputsError::StdinTwice)));
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_keep_their_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"caf\xe9\n'\x1b.mp4");
        fs::write(dir.path().join(name), "").unwrap();
        let first = |listing: Listing| listing.iter().next().unwrap();
        let input = first(all(&[dir.path().to_path_buf()], b"").unwrap());
        assert_eq!(input.path.file_name(), Some(name));
        assert_eq!(input.id, "caf\u{fffd}\n'\x1b");
        let piped = first(all(&["-".into()], b"caf\xe9.mp4\n").unwrap());
        assert_eq!(piped.path.as_os_str().as_bytes(), b"caf\xe9.mp4");
    }

    #[test]
    fn the_default_range_fills_gaps_and_is_checked() {
        let list = "path,start,end\na.mp4,1,\nb.mp4,,\n";
        let with = |start, end| gather(&[], &["-".into()], &mut list.as_bytes(), Range { start, end });
        let inputs = with(Some(0.5), Some(2.0)).unwrap();
        let ranges: Vec<_> = inputs.iter().map(|i| (i.start, i.end)).collect();
        assert_eq!(ranges, [(Some(1.0), Some(2.0)), (Some(0.5), Some(2.0))]);
        assert!(with(None, Some(0.75)).unwrap_err().to_string().starts_with("a.mp4"));
    }
}
