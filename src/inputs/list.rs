//! Lists: plain text, or CSV and TSV with a header.
//!
//! Plain text is one path per line, nothing else: no comments, no trimming, because `#` and spaces may begin a name; only
//! empty lines are skipped. A first line with a field `path` makes it a table, and the header tells the delimiter; a file named
//! `.csv` or `.tsv` must be one. A table's paths are taken literally (a folder in it fails as a video); plain lines may
//! be folders. Relative paths are relative to the working directory, as in the shell; those that are not there are looked for from the
//! list's folder.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::InputsError;
use super::expand;
use super::input::{Columns, Found, Sink, is_stdin, stem};
use crate::files::{display_path, display_text};

const DELIMITERS: [u8; 3] = [b'\t', b',', b';'];

/// What is looked at to tell what a list is: longer than any path, so that `find -print0` shows its NUL.
const HEAD: usize = 64 << 10;

fn unusable(list: &str, line: Option<u64>, reason: impl Into<String>) -> InputsError {
    InputsError::List { list: list.to_string(), line, reason: reason.into() }
}

/// A list on disk whatever it came from, so that it is read once or twice and never held: a pipe is copied first.
struct List {
    name: String,
    file: File,
    /// Where the text begins: spreadsheets put a byte order mark first, which belongs to no path.
    start: u64,
    /// The first [`HEAD`] bytes of the text.
    head: Vec<u8>,
}

impl List {
    fn open(path: &Path, stdin: &mut dyn Read) -> Result<Self, InputsError> {
        let name = if is_stdin(path) { "standard input".to_string() } else { display_path(path) };
        let fail = |e: io::Error| unusable(&name, None, format!("the list cannot be read: {e}"));
        let mut file = if is_stdin(path) {
            copied(stdin).map_err(fail)?
        } else {
            let mut file = File::open(path).map_err(fail)?;
            let whole = file.metadata().map_err(fail)?.is_file();
            if whole { file } else { copied(&mut file).map_err(fail)? }
        };
        let mut head = Vec::new();
        (&mut file).take(HEAD as u64).read_to_end(&mut head).map_err(fail)?;
        let start = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        head.drain(..start);
        Ok(Self { name, file, start: start as u64, head })
    }

    /// The text from `offset` on.
    fn at(&self, offset: u64) -> io::Result<BufReader<&File>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.start + offset))?;
        Ok(BufReader::with_capacity(HEAD, file))
    }

    fn unreadable(&self, e: &io::Error) -> InputsError {
        unusable(&self.name, None, format!("the list cannot be read: {e}"))
    }

    /// Hands on the paths of plain text: separated by NUL if there is one (`find -print0`), else by line ends.
    fn paths(&self, mut each: impl FnMut(PathBuf)) -> Result<(), InputsError> {
        let separator = if self.head.contains(&0) { 0 } else { b'\n' };
        let mut text = self.at(0).map_err(|e| self.unreadable(&e))?;
        let mut line = Vec::new();
        while text.read_until(separator, &mut line).map_err(|e| self.unreadable(&e))? > 0 {
            let path = line.strip_suffix(&[separator]).unwrap_or(&line);
            let path = if separator == b'\n' { path.strip_suffix(b"\r").unwrap_or(path) } else { path };
            if !path.is_empty() {
                each(path_of(path));
            }
            line.clear();
        }
        Ok(())
    }

    /// The line on which a record begins; the reader's own position stands before the empty lines that it skips.
    fn line_of(&self, position: &csv::Position) -> u64 {
        let skipped = self.at(position.byte()).map_or(0, |text| {
            let ends = text.bytes().map_while(Result::ok).take_while(|b| matches!(b, b'\r' | b'\n'));
            ends.filter(|b| *b == b'\n').count()
        });
        position.line() + skipped as u64
    }
}

/// Paths looked at before a list counts as one whose paths do not start at its folder: a look at a file on a slow disk takes time.
const LOOKED_AT: usize = 1000;

/// Finds the files of relative paths: from the working directory, else from the list's folder.
struct Places {
    /// The list's folder; `None` where it is the working directory, or there is none.
    folder: Option<PathBuf>,
    looked_at: usize,
    found: usize,
    first: Option<PathBuf>,
}

impl Places {
    fn of(list: &Path) -> Self {
        let folder = list.parent().filter(|folder| !is_stdin(list) && !folder.as_os_str().is_empty());
        Self { folder: folder.map(Path::to_path_buf), looked_at: 0, found: 0, first: None }
    }

    fn find(&mut self, path: PathBuf) -> PathBuf {
        let Some(folder) = self.folder.as_ref().filter(|_| path.is_relative()) else { return path };
        if self.found == 0 && self.looked_at == LOOKED_AT {
            return path;
        }
        self.looked_at += 1;
        if path.exists() {
            return path;
        }
        let beside = folder.join(&path);
        if !beside.exists() {
            return path;
        }
        self.found += 1;
        self.first.get_or_insert(path);
        beside
    }

    /// What is said of the paths that were found from the list's folder.
    fn note(self, list: &str) -> Option<String> {
        let (folder, first) = (self.folder?, display_path(&self.first?));
        let paths = if self.found == 1 { "path is" } else { "paths are" };
        Some(format!(
            "{list}: {} relative {paths} not in the working directory and taken from the list's folder {} ({first}{})",
            self.found,
            display_path(&folder),
            if self.found == 1 { "" } else { ", ..." }
        ))
    }
}

/// The bytes of a stream in a file without a name.
fn copied(from: &mut dyn Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(from, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// A path from its bytes.
#[cfg(unix)]
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// A path from its bytes.
#[cfg(not(unix))]
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// A path's bytes.
#[cfg(unix)]
pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// A path's bytes.
#[cfg(not(unix))]
pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}

/// Adds the videos of a list.
pub(crate) fn gather(
    file: &Path,
    stdin: &mut dyn Read,
    found: &mut dyn Sink,
    notes: &mut Vec<String>,
) -> Result<(), InputsError> {
    let list = List::open(file, stdin)?;
    if list.head.starts_with(b"\xff\xfe") || list.head.starts_with(b"\xfe\xff") {
        return Err(unusable(&list.name, None, "the list is UTF-16; save it as UTF-8"));
    }
    let before = found.count();
    let mut places = Places::of(file);
    if let Some(delimiter) = delimiter(&list.head) {
        table(&list, delimiter, &mut places, found)?;
    } else if is_table_by_name(file) {
        let header = list.head.split(|b| *b == b'\n').next().unwrap_or_default();
        let header = display_text(String::from_utf8_lossy(header).trim_end());
        return Err(unusable(
            &list.name,
            Some(1),
            format!("the header has no column 'path'; it is: {header}"),
        ));
    } else if let Some(name) = found.kept_columns().first() {
        let reason = format!("it is a plain list of paths and has no column '{}'", display_text(name));
        return Err(unusable(
            &list.name,
            None,
            format!("{reason}; give it a header with path and that name"),
        ));
    } else {
        list.paths(|path| expand::path(&places.find(path), found, notes))?;
    }
    notes.extend(places.note(&list.name));
    if found.count() == before {
        notes.push(format!("{}: no path in this list", list.name));
    }
    Ok(())
}

fn is_table_by_name(file: &Path) -> bool {
    let extension = file.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    matches!(extension.as_deref(), Some("csv" | "tsv"))
}

/// The delimiter with which the first line has a field `path`; `None` for plain text.
fn delimiter(bytes: &[u8]) -> Option<u8> {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    DELIMITERS.into_iter().find(|delimiter| {
        let mut csv =
            csv::ReaderBuilder::new().delimiter(*delimiter).has_headers(false).from_reader(&bytes[..end]);
        let header = csv.byte_records().next().and_then(Result::ok);
        header.is_some_and(|h| column(&h, "path").is_some())
    })
}

fn column(header: &csv::ByteRecord, name: &str) -> Option<usize> {
    header.iter().position(|field| field.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// Reads a table's rows.
fn table(list: &List, delimiter: u8, places: &mut Places, found: &mut dyn Sink) -> Result<(), InputsError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(list.at(0).map_err(|e| list.unreadable(&e))?);
    let malformed = |e: csv::Error| {
        let line = e.position().map(csv::Position::line);
        unusable(&list.name, line, format!("not readable as a table: {e}"))
    };
    let header = reader.byte_headers().map_err(malformed)?.clone();
    let kept = found.kept_columns().to_vec();
    for name in ["path", "id", "start", "end"].into_iter().chain(kept.iter().map(String::as_str)) {
        let twice =
            header.iter().filter(|f| f.trim_ascii().eq_ignore_ascii_case(name.as_bytes())).count() > 1;
        if twice {
            let reason = format!("the column '{}' stands twice", display_text(name));
            return Err(unusable(&list.name, Some(1), reason));
        }
    }
    let place_of = |name: &String| {
        let place = column(&header, name).ok_or_else(|| {
            let there: Vec<_> =
                header.iter().map(|name| display_text(&String::from_utf8_lossy(name))).collect();
            let reason = format!("the header has no column '{}' (--keep)", display_text(name));
            unusable(&list.name, Some(1), format!("{reason}; it has {}", there.join(", ")))
        })?;
        Ok((name.clone(), place))
    };
    let kept = kept.iter().map(place_of).collect::<Result<Vec<_>, InputsError>>()?;
    let [path, id, start, end] = ["path", "id", "start", "end"].map(|name| column(&header, name));
    for record in reader.byte_records() {
        let record = record.map_err(malformed)?;
        let fail = |reason: String| unusable(&list.name, record.position().map(|p| list.line_of(p)), reason);
        if record.len() != header.len() {
            let (fields, columns) = (record.len(), header.len());
            return Err(fail(format!(
                "{fields} fields where the header has {columns}; quote what holds a delimiter"
            )));
        }
        let cell = |at: Option<usize>| at.and_then(|at| record.get(at)).filter(|c| !c.is_empty());
        let path = path_of(cell(path).ok_or_else(|| fail("the path is empty".into()))?);
        let id = match cell(id) {
            Some(id) => String::from_utf8(id.to_vec()).map_err(|_| fail("the id is not UTF-8".into()))?,
            None => stem(&path),
        };
        let start = cell(start).map(seconds).transpose().map_err(|e| fail(format!("start: {e}")))?;
        let end = cell(end).map(seconds).transpose().map_err(|e| fail(format!("end: {e}")))?;
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(fail(format!("the clip ends at {end} s, before its start at {start} s")));
        }
        let mut columns = Columns::new();
        for (name, place) in &kept {
            let Some(value) = cell(Some(*place)) else { continue };
            let text = String::from_utf8(value.to_vec());
            let text = text.map_err(|_| fail(format!("its {} is not UTF-8", display_text(name))))?;
            columns.insert(name.clone(), text);
        }
        found.take(Found { id, path: places.find(path), start, end, columns });
    }
    Ok(())
}

/// A time in seconds.
fn seconds(cell: &[u8]) -> Result<f64, String> {
    let text = String::from_utf8_lossy(cell);
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!("'{}' is not a time in seconds such as 12.5", display_text(&text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(name: &str, text: &[u8]) -> Result<Vec<Found>, InputsError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        let mut found: Vec<Found> = Vec::new();
        gather(&file, &mut &b""[..], &mut found, &mut Vec::new())?;
        Ok(found)
    }

    fn found(id: &str, path: &str, start: Option<f64>, end: Option<f64>) -> Found {
        Found { id: id.into(), path: path.into(), start, end, columns: Columns::new() }
    }

    #[test]
    fn plain_text_is_paths_and_nothing_else() {
        let list = read("l.txt", b"\xef\xbb\xbfa.mp4\n\n#b.mp4\r\n c, d.mp4").unwrap();
        let paths: Vec<_> = list.iter().map(|f| f.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["a.mp4", "#b.mp4", " c, d.mp4"]);
    }

    #[test]
    fn paths_that_are_not_in_the_working_directory_start_at_the_list() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a.mp4"), "").unwrap();
        for (name, text) in [
            ("l.csv", "path\nsub/a.mp4\ngone.mp4\nCargo.toml\n"),
            ("l.txt", "sub/a.mp4\ngone.mp4\nCargo.toml\n"),
        ] {
            let file = dir.path().join(name);
            fs::write(&file, text).unwrap();
            let (mut found, mut notes) = (Vec::<Found>::new(), Vec::new());
            gather(&file, &mut &b""[..], &mut found, &mut notes).unwrap();
            let paths: Vec<_> = found.iter().map(|f| f.path.clone()).collect();
            // The tests run in the crate's folder, where Cargo.toml is.
            assert_eq!(paths, [dir.path().join("sub/a.mp4"), "gone.mp4".into(), "Cargo.toml".into()]);
            assert!(
                notes.len() == 1 && notes[0].contains("1 relative path is not in the working directory"),
                "{notes:?}"
            );
        }
    }

    #[test]
    fn the_header_tells_the_delimiter_whatever_the_file_is_called() {
        let expected = [found("007", "a b.mp4", Some(1.0), Some(2.5)), found("c", "c.mp4", None, None)];
        for (name, text) in [
            ("l.csv", "id,path,start,end,note\n007,a b.mp4,1,2.5,x\n,c.mp4,,,\n"),
            ("l.tsv", "Path\tID\tstart\tend\na b.mp4\t007\t1\t2.5\nc.mp4\t\t\t\n"),
            ("l.csv", "\u{feff}path;id;start;end\r\na b.mp4;007;1;2.5\r\nc.mp4;;;\r\n"),
            ("l.txt", "\"id\", \"path\",start,end\n007,\"a b.mp4\",1.0,2.5\n\n,c.mp4,,\n"),
        ] {
            // A quoted field after a space is not quoted in CSV; its header is still plain enough.
            let text = text.replace(", \"path\"", ",\"path\"");
            assert_eq!(read(name, text.as_bytes()).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn quoted_fields_hold_anything() {
        let list = read("l.csv", b"path,id\n\"a,\"\"b\"\"\nc.mp4\",\"x\ny\"\nd\xe9.mp4,z\n").unwrap();
        assert_eq!(list[0], found("x\ny", "a,\"b\"\nc.mp4", None, None));
        assert_eq!(list[1].path, path_of(b"d\xe9.mp4"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (name, text, reason) in [
            ("l.csv", "file,id\na.mp4,1\n", "line 1: the header has no column 'path'; it is: file,id"),
            ("l.csv", "path,start,end\na.mp4,2,1\n", "line 2: the clip ends at 1 s, before its start at 2 s"),
            (
                "l.csv",
                "path,start\na.mp4,1\n\nb.mp4,0:30\n",
                "line 4: start: '0:30' is not a time in seconds",
            ),
            ("l.csv", "path,end\na.mp4,-1\n", "line 2: end: '-1'"),
            ("l.csv", "path,end\na.mp4,inf\n", "line 2: end: 'inf'"),
            ("l.csv", "path,id\na,b.mp4,1\n", "line 2: 3 fields where the header has 2"),
            ("l.csv", "path,id\n,1\n", "line 2: the path is empty"),
            ("l.csv", "path,path\na,b\n", "line 1: the column 'path' stands twice"),
        ] {
            let error = read(name, text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let error = read("l.txt", b"\xff\xfea\0.\0").unwrap_err().to_string();
        assert!(error.contains("UTF-16"), "{error}");
        let error =
            gather(Path::new("no/list"), &mut &b""[..], &mut Vec::<Found>::new(), &mut vec![]).unwrap_err();
        assert!(error.to_string().starts_with("no/list: the list cannot be read"), "{error}");
    }
}
