//! What to work on: the paths, folders, patterns and lists of the command line become one numbered list of videos.
//!
//! An error in the **request** (an argument that names nothing, a list that cannot be read, two inputs with one id, an end
//! before its start, a folder or pattern without videos) ends the run before any work. An error in a **video** does not: a path of
//! a list that does not exist fails when it is opened, and is recorded as failed. Nothing here opens a video.

mod error;
mod expand;
mod id;
mod input;
mod list;
mod listing;
mod shard;

use std::io::Read;
use std::path::PathBuf;

use crate::files::display_path;

pub use error::InputsError;
pub use id::Id;
pub(crate) use input::stem;
pub use input::{Columns, Input, Range, column_names};
pub(crate) use listing::{IdDigest, id_digest};
pub use listing::{InputIter, InputList};
pub use shard::Shard;

use input::{Sink as _, is_stdin};
use listing::Collector;

/// Turns the arguments, then the lists, into the inputs of a run.
///
/// An argument is a file, a folder (searched, sorted), a pattern the shell left alone (if nothing of that name exists), or
/// `-`: a list on standard input. A list is a file of paths, one per line, or separated by NUL if there is one, or CSV or TSV with a
/// column `path`; `-` reads it from standard input. `stdin` is read only if something asks for it. Clips
/// without a range of their own take `range`. Of every list, the columns `keep` travel with its clips.
///
/// # Errors
/// If an argument names nothing, there is no video, a list is unreadable or lacks a column, an id stands twice, or a clip ends before it
/// starts.
pub fn gather(
    args: &[PathBuf],
    lists: &[PathBuf],
    stdin: &mut dyn Read,
    range: Range,
    keep: &[String],
) -> Result<InputList, InputsError> {
    if let Some(name) = keep.first()
        && lists.is_empty()
        && !args.iter().any(|arg| is_stdin(arg))
    {
        return Err(InputsError::NoColumns(name.clone()));
    }
    check_present(args)?;
    let (found, notes, empty) = collect(args, lists, stdin, (range, keep))?;
    if !empty.is_empty() && found.count() > 0 {
        return Err(InputsError::Empty(empty));
    }
    found.finish(notes)
}

/// Checks that every argument names something: a mistyped name ends a run before any work.
///
/// # Errors
/// [`InputsError::Missing`] with those that do not. A pattern that matches nothing is not among them.
pub fn check_present(args: &[PathBuf]) -> Result<(), InputsError> {
    let missing: Vec<String> = args
        .iter()
        .filter(|arg| !is_stdin(arg) && expand::is_missing(arg))
        .map(|arg| display_path(arg))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(InputsError::Missing(missing)) }
}

/// [`gather`] for commands that know a file by its path: ids may stand twice, and a file that is not there is an input.
///
/// # Errors
/// As [`gather`].
pub fn gather_files(args: &[PathBuf], stdin: &mut dyn Read) -> Result<InputList, InputsError> {
    let (found, notes, _) = collect(args, &[], stdin, (Range::default(), &[]))?;
    found.finish_with_any_ids(notes)
}

/// The videos, the notes about the arguments, and the notes of those arguments that gave no video.
fn collect(
    args: &[PathBuf],
    lists: &[PathBuf],
    stdin: &mut dyn Read,
    (range, keep): (Range, &[String]),
) -> Result<(Collector, Vec<String>, Vec<String>), InputsError> {
    if args.iter().chain(lists).filter(|a| is_stdin(a)).count() > 1 {
        return Err(InputsError::StdinTwice);
    }
    let mut found = Collector::new(range, keep)?;
    let (mut notes, mut empty) = (Vec::new(), Vec::new());
    for arg in args {
        let before = (found.count(), notes.len());
        if is_stdin(arg) {
            list::gather(arg, stdin, &mut found, &mut notes)?;
        } else {
            expand::argument(arg, &mut found, &mut notes);
            if found.count() == before.0 {
                empty.extend(notes[before.1..].iter().cloned());
            }
        }
    }
    for file in lists {
        list::gather(file, stdin, &mut found, &mut notes)?;
    }
    Ok((found, notes, empty))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;

    use super::*;
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

    fn all(args: &[PathBuf], mut stdin: &[u8]) -> Result<InputList, InputsError> {
        gather(args, &[], &mut stdin, Range::default(), &[])
    }

    fn ids(args: &[PathBuf], stdin: &str) -> Vec<String> {
        let inputs = gather(args, &[], &mut stdin.as_bytes(), Range::default(), &[]).unwrap();
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
    fn a_named_file_is_taken_whatever_its_extension_but_must_be_there() {
        let dir = tree(&["x.data"]);
        let args = ["x.data", "gone.mp4", "lost"].map(|name| dir.path().join(name));
        assert_eq!(ids(&args[..1], ""), ["x"]);
        let error = all(&args, b"").unwrap_err();
        assert!(matches!(&error, InputsError::Missing(names) if names.len() == 2), "{error}");
        for piece in ["gone.mp4", "lost", "no such file", "check the spelling"] {
            assert!(error.to_string().contains(piece), "{error}");
        }
        // What a list or standard input names, and what `lift info` looks at, fails by itself.
        let named = args[1].to_str().unwrap();
        assert_eq!(ids(&["-".into()], named), ["gone"]);
        assert_eq!(gather_files(&args, &mut &b""[..]).unwrap().len(), 3);
    }

    #[test]
    fn files_that_differ_in_the_extension_alone_keep_it() {
        let dir =
            tree(&["in/a.avi", "in/a.mp4", "in/a.txt", "in/b.mp4", "in/a/b.mp4", "in/c.MP4", "in/c.mp4"]);
        let inputs = all(&[dir.path().join("in")], b"").unwrap();
        let ids: Vec<_> = inputs.iter().map(|input| input.id).collect();
        assert_eq!(ids, ["a/b", "a.avi", "a.mp4", "b", "c.MP4", "c.mp4"]);
        let [note] = &inputs.notes[..] else { panic!("{:?}", inputs.notes) };
        assert!(note.contains("4 of its files") && note.contains("a.avi"), "{note}");
        // A name that is an id of such a file keeps its extension too.
        let dir = tree(&["a.avi", "a.mp4", "a.mp4.mkv", "a.mp4.mkv.ts", "x.mkv"]);
        let ids: Vec<_> =
            all(&[dir.path().to_path_buf()], b"").unwrap().iter().map(|input| input.id).collect();
        assert_eq!(ids, ["a.avi", "a.mp4", "a.mp4.mkv", "a.mp4.mkv.ts", "x"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_have_ids_that_differ() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        for name in [&b"caf\xe8.mp4"[..], b"caf\xe9.mp4", b"caf\xe9.mkv", b"100%\xff.mp4", b"100%.mp4"] {
            fs::write(dir.path().join(OsStr::from_bytes(name)), "").unwrap();
        }
        let ids = ids(&[dir.path().to_path_buf()], "");
        assert_eq!(ids, ["100%", "100%25%FF", "caf%E8", "caf%E9.mkv", "caf%E9.mp4"]);
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
    fn nothing_found_is_an_error_alone_and_beside_others() {
        let dir = tree(&["a.txt", "v/x.mp4"]);
        fs::create_dir(dir.path().join("empty")).unwrap();
        for arg in ["empty", "*.mp4"] {
            let arg = dir.path().join(arg);
            let error = all(std::slice::from_ref(&arg), b"").unwrap_err().to_string();
            assert!(error.contains(&*arg.to_string_lossy()), "{error}");
            let args = [arg.clone(), dir.path().join("v")];
            let error = all(&args, b"").unwrap_err().to_string();
            assert!(error.contains(&*arg.to_string_lossy()) && error.contains("nothing was done"), "{error}");
            // `lift info` looks at what there is.
            let inputs = gather_files(&args, &mut &b""[..]).unwrap();
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
    fn a_header_on_standard_input_makes_it_a_table() {
        let table = "id,path,start\nx,a.mp4,1\n,b.mp4,\n";
        assert_eq!(ids(&["-".into()], table), ["x", "b"]);
        let inputs = gather(&[], &["-".into()], &mut table.as_bytes(), Range::default(), &[]).unwrap();
        assert_eq!(inputs.iter().next().unwrap().start, Some(1.0));
    }

    #[test]
    fn standard_input_has_lines_or_nul() {
        assert_eq!(ids(&["-".into()], "a.mp4\r\n\nsub/b*.mp4\n#c.mp4"), ["a", "b*", "#c"]);
        let named = tree(&["z.mp4"]);
        let z = named.path().join("z.mp4");
        assert_eq!(ids(&["-".into(), z], "a\nb.mp4\0c.mp4\0"), ["a\nb", "c", "z"]);
        let twice = gather(&["-".into()], &["-".into()], &mut &b""[..], Range::default(), &[]);
        assert!(matches!(twice, Err(InputsError::StdinTwice)));
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_keep_their_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"caf\xe9\n'\x1b.mp4");
        fs::write(dir.path().join(name), "").unwrap();
        let first = |listing: InputList| listing.iter().next().unwrap();
        let input = first(all(&[dir.path().to_path_buf()], b"").unwrap());
        assert_eq!(input.path.file_name(), Some(name));
        assert_eq!(input.id, "caf%E9\n'\x1b");
        let piped = first(all(&["-".into()], b"caf\xe9.mp4\n").unwrap());
        assert_eq!(piped.path.as_os_str().as_bytes(), b"caf\xe9.mp4");
    }

    #[test]
    fn the_default_range_fills_gaps_and_is_checked() {
        let list = "path,start,end\na.mp4,1,\nb.mp4,,\n";
        let with = |start, end| gather(&[], &["-".into()], &mut list.as_bytes(), Range { start, end }, &[]);
        let inputs = with(Some(0.5), Some(2.0)).unwrap();
        let ranges: Vec<_> = inputs.iter().map(|i| (i.start, i.end)).collect();
        assert_eq!(ranges, [(Some(1.0), Some(2.0)), (Some(0.5), Some(2.0))]);
        assert!(with(None, Some(0.75)).unwrap_err().to_string().starts_with("a.mp4"));
    }
}
