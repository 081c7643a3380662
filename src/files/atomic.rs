//! Files that appear whole or not at all.
//!
//! The bytes go to a temporary file in the target's folder. It is hidden, so that a search for videos skips it. When all is
//! written, the file is synced and renamed to the target. Dropping an [`AtomicFile`] removes the temporary file, so an error
//! leaves nothing; code that ends the process at once calls [`remove_unfinished`] first. The mode follows the umask, as for
//! any new file. Creating an [`AtomicFile`] also shows that the target can be written: create it before any work.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use tempfile::NamedTempFile;

use crate::files::error::FileError;
use crate::files::text::display_path;
use crate::guard::lock;

/// How the names of temporary files begin and end.
const PREFIX: &str = ".lift-";
const SUFFIX: &str = ".tmp";

/// The temporary files of this process that have no name of their own yet.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A temporary file's place in [`UNFINISHED`].
#[derive(Debug)]
struct Listed(PathBuf);

impl Listed {
    fn new(temp: &Path) -> Self {
        unfinished().insert(temp.to_path_buf());
        Self(temp.to_path_buf())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}

/// The set is valid after every change, so it stays usable after a panic elsewhere.
fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    lock(&UNFINISHED)
}

/// Removes the temporary files of outputs under construction, for a process that ends without unwinding.
pub fn remove_unfinished() {
    for path in unfinished().iter() {
        // Best effort: the process ends.
        let _ = fs::remove_file(path);
    }
}

/// A file that is being written; [`commit`](Self::commit) gives it its name.
#[derive(Debug)]
pub struct AtomicFile {
    pub(crate) temp: NamedTempFile,
    /// Removes the entry in [`UNFINISHED`] after the temporary file is removed or renamed.
    listed: Listed,
    /// The name asked for, for messages.
    pub(crate) target: PathBuf,
    /// Where the bytes go: the target, or what it points to if it is a symbolic link.
    pub(crate) place: PathBuf,
    overwrite: bool,
}

impl AtomicFile {
    /// Creates the temporary file of `target`.
    ///
    /// # Errors
    /// `Usage` if the target exists and `overwrite` is false, if it is not a regular file, or if its folder does not
    /// exist; `Write` if the folder cannot be written.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, FileError> {
        let place = resolve(target, overwrite)?;
        let folder = folder_of(&place);
        if !folder.is_dir() {
            let folder = display_path(folder);
            return Err(FileError::Usage(format!(
                "{}: the folder {folder} does not exist; create it first (mkdir -p) or choose another",
                display_path(target)
            )));
        }
        let temp = new_temp(folder).map_err(|e| FileError::write(target, e))?;
        let listed = Listed::new(temp.path());
        Ok(Self { temp, listed, target: target.to_path_buf(), place, overwrite })
    }

    /// Changes the name that the file will get; the folder must be the same.
    pub(crate) fn retarget(&mut self, target: &Path) {
        (self.target, self.place) = (target.to_path_buf(), target.to_path_buf());
    }

    /// Whether a file name is that of a temporary file of this program.
    pub(crate) fn is_temporary(name: &OsStr) -> bool {
        name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
    }

    /// The name asked for.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The folder that holds the file, for more temporary files on the same disk.
    pub(crate) fn folder(&self) -> &Path {
        folder_of(&self.place)
    }

    /// The file behind a buffer, when all is written.
    ///
    /// # Errors
    /// `Write` if the disk refuses the last bytes.
    pub(crate) fn from_buffer(buffer: BufWriter<Self>) -> Result<Self, FileError> {
        buffer.into_inner().map_err(|e| {
            let (cause, buffer) = e.into_parts();
            FileError::write(&buffer.get_ref().target, cause)
        })
    }

    /// Syncs the bytes and gives the file its name.
    ///
    /// # Errors
    /// `Write` if the disk is full or the rename fails (the temporary file is removed). If another process made the
    /// target meanwhile and overwriting was not asked for, that file stays, and the finished bytes are kept under the
    /// temporary name, which the message gives.
    pub fn commit(self) -> Result<(), FileError> {
        self.sync()?;
        self.rename()
    }

    /// Writes all bytes of the file and gives it its name.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_bytes(mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.write_all(bytes).map_err(|e| FileError::write(&self.target, e))?;
        self.commit()
    }

    pub(crate) fn sync(&self) -> Result<(), FileError> {
        self.temp.as_file().sync_all().map_err(|e| FileError::write(&self.target, e))
    }

    pub(crate) fn rename(self) -> Result<(), FileError> {
        let Self { temp, listed: _listed, target, place, overwrite } = self;
        if overwrite {
            temp.persist(&place).map_err(|e| FileError::write(&target, e.error))?;
        } else if let Err(e) = temp.persist_noclobber(&place) {
            return Err(match e.error.kind() {
                io::ErrorKind::AlreadyExists => kept_aside(&target, e.file),
                _ => FileError::write(&target, e.error),
            });
        }
        sync_folder(folder_of(&place));
        Ok(())
    }

    pub(crate) fn collides(&self) -> bool {
        !self.overwrite && fs::symlink_metadata(&self.place).is_ok()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.as_file_mut().flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.temp.as_file_mut().seek(to)
    }
}

/// Where the file is put: the target, or what a symbolic link points to. Only regular files are replaced.
fn resolve(target: &Path, overwrite: bool) -> Result<PathBuf, FileError> {
    let shown = display_path(target);
    if target.file_name().is_none() {
        return Err(FileError::Usage(format!("{shown}: not a file name")));
    }
    let Ok(meta) = fs::symlink_metadata(target) else {
        return Ok(target.to_path_buf());
    };
    let mut place = target.to_path_buf();
    if meta.is_symlink() {
        place = match fs::canonicalize(target) {
            Ok(real) => real,
            // A dangling link: the file is made where it points.
            Err(_) => match fs::read_link(target) {
                Ok(link) => folder_of(target).join(link),
                Err(e) => return Err(FileError::write(target, e)),
            },
        };
    }
    match fs::symlink_metadata(&place) {
        Err(_) => Ok(place),
        Ok(meta) if meta.is_dir() => {
            Err(FileError::Usage(format!("{shown}: is a folder; name a file in it")))
        }
        Ok(meta) if !meta.is_file() => Err(FileError::Usage(format!(
            "{shown}: exists and is not a regular file; name another, or write to standard output with -"
        ))),
        Ok(_) if !overwrite => Err(FileError::Usage(format!(
            "{shown}: exists already; pass --overwrite to replace it, or name another"
        ))),
        Ok(_) => Ok(place),
    }
}

/// The folder of a path; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str() != OsStr::new("") => folder,
        _ => Path::new("."),
    }
}

/// A hidden temporary file. Its name does not grow with the target's, which may be as long as names can be.
pub(crate) fn new_temp(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // tempfile's own default is 0600; with this the umask decides.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // Messages name this path; without `absolute`, it would have `/./` in it.
    builder.tempfile_in(std::path::absolute(folder)?)
}

/// Syncs the rename itself. Best effort: not every file system can sync a folder.
pub(crate) fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

pub(crate) fn kept_name(temp: NamedTempFile) -> Result<String, FileError> {
    match temp.keep() {
        Ok((_, path)) => Ok(display_path(&path)),
        Err(e) => Err(FileError::write(e.file.path(), e.error)),
    }
}

fn kept_aside(target: &Path, temp: NamedTempFile) -> FileError {
    match kept_name(temp) {
        Ok(name) => appeared(target, &name),
        Err(e) => e,
    }
}

pub(crate) fn appeared(target: &Path, kept: &str) -> FileError {
    let text = format!(
        "another process made it meanwhile; it is left alone, and this run's result is kept as {kept}"
    );
    FileError::write(target, io::Error::new(io::ErrorKind::AlreadyExists, text))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::files::ErrorKind;

    pub(in crate::files) fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(in crate::files) fn file_with(path: &Path, text: &str, overwrite: bool) -> AtomicFile {
        let mut file = AtomicFile::create(path, overwrite).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn nothing_is_there_before_the_commit_and_nothing_stays_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.npy");
        let file = file_with(&target, "half", false);
        assert!(!target.exists());
        drop(file);
        assert_eq!(names(dir.path()), Vec::<String>::new());
        file_with(&target, "whole", false).commit().unwrap();
        assert_eq!(names(dir.path()), ["x.npy"]);
        assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
    }

    #[test]
    fn a_temporary_file_is_listed_for_removal_as_long_as_it_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let listed = || unfinished().iter().filter(|path| path.starts_with(dir.path())).count();
        let (dropped, named) = (dir.path().join("dropped"), dir.path().join("named"));
        let files = (file_with(&dropped, "", false), file_with(&named, "", false));
        assert_eq!(listed(), 2);
        drop(files.0);
        files.1.commit().unwrap();
        assert_eq!(listed(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_is_that_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        file_with(&ours, "", false).commit().unwrap();
        File::create(&plain).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[test]
    fn an_existing_file_needs_overwrite_and_survives_a_dropped_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.npy");
        fs::write(&target, "old").unwrap();
        let error = AtomicFile::create(&target, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("--overwrite"), "{error}");
        drop(file_with(&target, "new", true));
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        file_with(&target, "new", true).commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    }

    #[test]
    fn a_missing_folder_and_a_folder_as_target_are_usage() {
        let dir = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(&dir.path().join("no/x.npy"), false).unwrap_err();
        assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("does not exist"), "{error}");
        let error = AtomicFile::create(dir.path(), true).unwrap_err();
        assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("is a folder"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_takes_no_files_is_a_writing_failure_at_once() {
        // Not even root can make files there.
        let error = AtomicFile::create(Path::new("/proc/x.npy"), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
        assert!(error.to_string().starts_with("/proc/x.npy: writing failed: "), "{error}");
    }

    #[test]
    fn the_path_of_a_temporary_file_has_no_dot_in_it() {
        let temp = new_temp(folder_of(Path::new("x.npy"))).unwrap();
        let parent = temp.path().parent().unwrap();
        assert_eq!(parent.as_os_str(), std::env::current_dir().unwrap().as_os_str());
    }

    #[test]
    fn a_file_that_appeared_meanwhile_is_left_and_the_work_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.npy");
        let file = file_with(&target, "ours", false);
        fs::write(&target, "theirs").unwrap();
        let error = file.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        let kept = names(dir.path()).into_iter().find(|n| n != "x.npy").unwrap();
        assert!(error.to_string().contains(&kept), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join(kept)).unwrap(), "ours");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        file_with(&link, "new", true).commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    }
}
