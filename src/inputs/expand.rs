//! Finds the files of folders and patterns.
//!
//! A folder is searched to any depth, in the order of the names. Symbolic links are followed, hidden files and folders are
//! skipped. Only in a folder does the extension decide what is a video: a file that is named is always taken.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::input::{Columns, Found, Sink, id_text};
use crate::files::display_path;

/// What counts as a video inside a folder, in lower case: FFmpeg's usual containers and raw streams.
const EXTENSIONS: &[&str] = &[
    "264", "265", "3g2", "3gp", "amv", "asf", "avi", "avif", "divx", "dv", "f4v", "flv", "gif", "h264",
    "h265", "hevc", "ivf", "m1v", "m2p", "m2t", "m2ts", "m2v", "m4v", "mj2", "mjpeg", "mjpg", "mkv", "mod",
    "mov", "mp4", "mpe", "mpeg", "mpg", "mpv", "mts", "mxf", "nut", "obu", "ogm", "ogv", "qt", "rm", "rmvb",
    "tod", "ts", "vob", "vp8", "vp9", "webm", "wmv", "wtv", "y4m",
];

fn is_video(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

/// A file, a folder, or, if nothing of that name exists, a pattern.
pub(crate) fn argument(arg: &Path, found: &mut dyn Sink, notes: &mut Vec<String>) {
    match pattern(arg) {
        Some(pattern) => matches(pattern, found, notes),
        None => path(arg, found, notes),
    }
}

/// The pattern that an argument is.
fn pattern(arg: &Path) -> Option<&str> {
    arg.to_str().filter(|a| a.contains(['*', '?', '[']) && arg.symlink_metadata().is_err())
}

/// Whether an argument is no pattern, and nothing has its name.
pub(crate) fn is_missing(arg: &Path) -> bool {
    pattern(arg).is_none() && is_absent(arg)
}

/// Whether nothing has this name. What is there and cannot be reached (a link to itself, a folder without permission) is not absent:
/// reading it tells the cause.
pub(crate) fn is_absent(path: &Path) -> bool {
    path.metadata().is_err_and(|e| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// A file or a folder, taken literally.
pub(crate) fn path(arg: &Path, found: &mut dyn Sink, notes: &mut Vec<String>) {
    if arg.is_dir() { folder(arg, found, notes) } else { found.take(Found::file(arg.to_path_buf())) }
}

/// The matches of a pattern by the shell's rules: sorted, hidden names only where the pattern has the dot.
fn matches(pattern: &str, found: &mut dyn Sink, notes: &mut Vec<String>) {
    let shown = display_path(Path::new(pattern));
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let entries = match glob::glob_with(pattern, options) {
        Ok(entries) => entries,
        Err(e) => return notes.push(format!("{shown}: no such file, and not a pattern either: {}", e.msg)),
    };
    let mut any = false;
    for entry in entries {
        any = true;
        match entry {
            Ok(match_) => path(&match_, found, notes),
            Err(e) => notes.push(format!("{}: could not be read: {}", display_path(e.path()), e.error())),
        }
    }
    if !any {
        notes.push(format!("{shown}: no file of that name and none that matches it"));
    }
}

/// The videos below a folder, with ids relative to it.
fn folder(root: &Path, found: &mut dyn Sink, notes: &mut Vec<String>) {
    let before = (found.count(), notes.len());
    let mut ids = Ids { root, folders: Vec::new(), kept: 0, first: None };
    let walk = WalkDir::new(root).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|e| e.depth() == 0 || !is_hidden(e.file_name())) {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_video(entry.path()) => {
                found.take(ids.found(entry.into_path()));
            }
            Ok(_) => {}
            Err(e) => match e.path() {
                // A dangling link with a video's name: the run will say that it cannot be opened.
                Some(path) if e.loop_ancestor().is_none() && is_dangling(path) => {
                    if is_video(path) && !path.file_name().is_some_and(is_hidden) {
                        found.take(ids.found(path.to_path_buf()));
                    }
                }
                _ => notes.push(format!(
                    "{}: could not be searched: {}",
                    display_path(e.path().unwrap_or(root)),
                    words(&e)
                )),
            },
        }
    }
    if (found.count(), notes.len()) == before {
        notes.push(format!(
            "{}: no video in this folder (by extension; a file that is named is always taken)",
            display_path(root)
        ));
    }
    if let Some(first) = ids.first {
        notes.push(format!(
            "{}: {} of its files differ from another one in the extension alone, and keep it in their ids ({first}, ...)",
            display_path(root),
            ids.kept
        ));
    }
}

/// Gives the videos below a folder their ids, in the order of the walk.
struct Ids<'a> {
    root: &'a Path,
    /// The folder that is walked and those above it, each with the names that keep their extension.
    folders: Vec<(PathBuf, HashSet<OsString>)>,
    /// How many ids kept their extension, and the first of them for display.
    kept: usize,
    first: Option<String>,
}

impl Ids<'_> {
    /// A video: its id is the path from the root, `/` between the names, without the extension where no other file of its
    /// folder would have the same id.
    fn found(&mut self, path: PathBuf) -> Found {
        let folder = path.parent().unwrap_or(self.root);
        while self.folders.last().is_some_and(|(last, _)| !folder.starts_with(last)) {
            self.folders.pop();
        }
        if self.folders.last().is_none_or(|(last, _)| last != folder) {
            self.folders.push((folder.to_path_buf(), names_that_keep_their_extension(folder)));
        }
        let keeps =
            self.folders.last().zip(path.file_name()).is_some_and(|((_, names), name)| names.contains(name));
        let below = path.strip_prefix(self.root).unwrap_or(&path);
        let below = if keeps { below.to_path_buf() } else { below.with_extension("") };
        let id = below.iter().map(id_text).collect::<Vec<_>>().join("/");
        if keeps {
            self.kept += 1;
            self.first.get_or_insert_with(|| display_path(&below));
        }
        Found { id, path, start: None, end: None, columns: Columns::new() }
    }
}

/// The videos of a folder of which another one has the same stem, and those whose stem is the name of one that is listed.
fn names_that_keep_their_extension(folder: &Path) -> HashSet<OsString> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let mut names: Vec<OsString> = names.filter(|n| is_video(Path::new(n)) && !is_hidden(n)).collect();
    let stem = |name: &OsString| Path::new(name).file_stem().map(OsStr::to_os_string).unwrap_or_default();
    let (mut stems, mut twins) = (HashSet::new(), HashSet::new());
    for name in &names {
        if !stems.insert(stem(name)) {
            twins.insert(stem(name));
        }
    }
    if twins.is_empty() {
        return HashSet::new();
    }
    // Shorter names first: a name is longer than its stem.
    names.sort_by_key(|name| name.len());
    let mut kept = HashSet::new();
    for name in names {
        let stem = stem(&name);
        if twins.contains(&stem) || kept.contains(&stem) {
            kept.insert(name);
        }
    }
    kept
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// The cause of an error, without its path.
fn words(error: &walkdir::Error) -> String {
    error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
}

fn is_dangling(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_symlink()) && path.metadata().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_extensions_are_sorted_lower_case_and_single() {
        assert!(EXTENSIONS.windows(2).all(|w| w[0] < w[1]));
        assert!(EXTENSIONS.iter().all(|e| *e == e.to_ascii_lowercase()));
        assert!(is_video(Path::new("a.MP4")) && !is_video(Path::new("a.jpg")) && !is_video(Path::new("mp4")));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_loops_are_noted_and_dangling_videos_stay_inputs() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("x.mp4"), "").unwrap();
        symlink(other.path(), dir.path().join("linked")).unwrap();
        symlink(dir.path(), dir.path().join("loop")).unwrap();
        symlink("nowhere.mp4", dir.path().join("gone.mp4")).unwrap();
        symlink("nowhere.txt", dir.path().join("gone.txt")).unwrap();
        let (mut found, mut notes) = (Vec::<Found>::new(), Vec::new());
        path(dir.path(), &mut found, &mut notes);
        let ids: Vec<_> = found.iter().map(|f| f.id.as_str()).collect();
        assert_eq!(ids, ["gone", "linked/x"]);
        assert!(notes.len() == 1 && notes[0].contains("loop"), "{notes:?}");
    }
}
