//! Folders and patterns into files.
//!
//! A folder is searched to any depth, names sorted, symbolic links followed; hidden files and folders are passed by. Only
//! there does the extension decide what is a video: a file that is named is taken as it is, and its content is sniffed later.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Found, Sink, display_path};

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
    if arg.symlink_metadata().is_err()
        && let Some(pattern) = arg.to_str().filter(|a| a.contains(['*', '?', '[']))
    {
        return matches(pattern, found, notes);
    }
    path(arg, found, notes);
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
    let walk = WalkDir::new(root).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|e| e.depth() == 0 || !is_hidden(e)) {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_video(entry.path()) => {
                found.take(below(root, entry.into_path()));
            }
            Ok(_) => {}
            Err(e) => match e.path() {
                // A dangling link with a video's name: the run will say that it cannot be opened.
                Some(path) if e.loop_ancestor().is_none() && is_dangling(path) => {
                    if is_video(path) && !hidden_name(path) {
                        found.take(below(root, path.to_path_buf()));
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
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn hidden_name(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."))
}

/// What the system says, without the path that stands in front already; a loop of links has words of walkdir's own.
fn words(error: &walkdir::Error) -> String {
    error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
}

fn is_dangling(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_symlink()) && path.metadata().is_err()
}

/// A video below a folder: its id is the path from there without the extension, `/` between the names.
fn below(root: &Path, path: PathBuf) -> Found {
    let relative = path.strip_prefix(root).unwrap_or(&path).with_extension("");
    let names: Vec<_> = relative.iter().map(|n| n.to_string_lossy()).collect();
    Found { id: names.join("/"), path, start: None, end: None }
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
