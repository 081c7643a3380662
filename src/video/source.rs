//! The bytes of a video, as FFmpeg gets them: of one regular file, through our hands.
//!
//! FFmpeg opens nothing itself. It cannot be led to another file or to the network by what stands in a playlist or by a
//! pattern in a name, and a read that fails is seen here, where FFmpeg makes a plain end of file of it. What is not a
//! regular file is refused before it is opened: a pipe would wait for its writer, a device may never end, and a video is read
//! more than once. The file is held open, so that renaming or removing it changes nothing; if its size or its time of
//! change is another one at the end, what was read belongs to no one state of it.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::error::VideoError;
use crate::guard::lock;

/// A file's size and time of change: another pair means another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Bytes.
    pub bytes: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// The reading end that FFmpeg's context takes over.
pub struct Reader {
    file: File,
    watch: Arc<Watch>,
    /// Parts of the file that are answered with zeros and not read, ascending.
    blank: Vec<Range<u64>>,
    /// The next byte to give, where there are such parts; the file's own position may be another one.
    at: u64,
}

/// What is known of the file while FFmpeg reads it.
pub struct Watch {
    /// A second handle on the same open file, to ask for its state.
    file: File,
    opened: State,
    failure: Mutex<Option<String>>,
    /// Bytes read.
    read: AtomicU64,
}

/// Opens a regular file that holds something.
///
/// # Errors
/// When it cannot be opened, is no regular file, or is empty.
pub fn open(path: &Path) -> Result<(Reader, Arc<Watch>), VideoError> {
    let failed = |error: io::Error| VideoError::Open { cause: error.to_string() };
    // First by name: opening a device can already do something.
    regular(std::fs::metadata(path).map_err(failed)?.file_type())?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Should it have become a pipe meanwhile, this does not wait for its writer.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    regular(metadata.file_type())?;
    if metadata.len() == 0 {
        return Err(VideoError::Empty);
    }
    let watch = Watch {
        file: file.try_clone().map_err(failed)?,
        opened: State::of(&metadata),
        failure: Mutex::default(),
        read: AtomicU64::new(0),
    };
    let watch = Arc::new(watch);
    Ok((Reader { file, watch: watch.clone(), blank: vec![], at: 0 }, watch))
}

/// Refuses what is not a regular file.
fn regular(kind: FileType) -> Result<(), VideoError> {
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(VideoError::Open { cause: "it is a folder".into() });
    }
    #[cfg(unix)]
    let what = {
        use std::os::unix::fs::FileTypeExt;
        match () {
            () if kind.is_fifo() => "a pipe",
            () if kind.is_socket() => "a socket",
            () if kind.is_char_device() || kind.is_block_device() => "a device",
            () => "something else",
        }
    };
    #[cfg(not(unix))]
    let what = "something else";
    Err(VideoError::NoFile { what })
}

impl Watch {
    /// Fails if a read failed so far, or if the file is not what it was when it was opened.
    ///
    /// # Errors
    /// [`VideoError::Reading`] or [`VideoError::Changed`].
    pub fn check(&self) -> Result<(), VideoError> {
        if let Some(cause) = lock(&self.failure).clone() {
            return Err(VideoError::Reading { cause });
        }
        match self.file.metadata() {
            Ok(metadata) if State::of(&metadata) == self.opened => Ok(()),
            Ok(metadata) => Err(VideoError::Changed { before: self.opened.bytes, now: metadata.len() }),
            Err(error) => Err(VideoError::Reading { cause: error.to_string() }),
        }
    }

    /// Bytes that were read of the file.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Reads so many bytes from this place of the file, past what FFmpeg reads; `None` if they cannot be read.
    pub fn bytes_at(&self, place: u64, size: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; size];
        #[cfg(unix)]
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut bytes, place).ok()?;
        #[cfg(not(unix))]
        return None;
        self.read.fetch_add(size as u64, Ordering::Relaxed);
        Some(bytes)
    }

    /// Fails if the file is not the one that `earlier` watched, in the state that it had then.
    ///
    /// # Errors
    /// [`VideoError::Changed`].
    pub fn same_as(&self, earlier: &Self) -> Result<(), VideoError> {
        if self.opened == earlier.opened {
            return Ok(());
        }
        Err(VideoError::Changed { before: earlier.opened.bytes, now: self.opened.bytes })
    }
}

impl Reader {
    /// Answers these parts of the file, ascending and within it, with zeros.
    pub fn blank(mut self, parts: Vec<Range<u64>>) -> Self {
        self.blank = parts;
        self
    }

    /// Reads from the file, or gives zeros.
    fn give(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.blank.is_empty() {
            return self.read_file(buffer);
        }
        let next = self.blank.partition_point(|part| part.end <= self.at);
        let start = self.blank.get(next).map_or(u64::MAX, |part| part.start);
        let until = if start <= self.at { self.blank[next].end } else { start };
        let most = buffer.len().min(usize::try_from(until - self.at).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..most];
        let given = if start <= self.at {
            buffer.fill(0);
            most
        } else {
            self.file.seek(SeekFrom::Start(self.at))?;
            self.read_file(buffer)?
        };
        self.at += given as u64;
        Ok(given)
    }

    /// Reads from the file, and counts the bytes.
    fn read_file(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.watch.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.give(buffer);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            let mut failure = lock(&self.watch.failure);
            failure.get_or_insert_with(|| error.to_string());
        }
        result
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let (SeekFrom::Current(by), false) = (to, self.blank.is_empty()) {
            self.file.seek(SeekFrom::Start(self.at))?;
            self.at = self.file.seek(SeekFrom::Current(by))?;
        } else {
            self.at = self.file.seek(to)?;
        }
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_grows_while_it_is_open_has_changed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"some bytes").unwrap();
        let (_reader, watch) = open(file.path()).unwrap();
        assert_eq!(watch.check(), Ok(()));
        file.write_all(b" and more").unwrap();
        assert_eq!(watch.check(), Err(VideoError::Changed { before: 10, now: 19 }));
        let (_reader, again) = open(file.path()).unwrap();
        assert!(again.same_as(&watch).is_err() && again.check().is_ok());
    }

    #[test]
    fn a_file_that_is_removed_while_it_is_open_has_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"bytes").unwrap();
        let (mut reader, watch) = open(file.path()).unwrap();
        file.close().unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), watch.check()), ("bytes", Ok(())));
    }

    #[test]
    fn blank_parts_are_zeros_and_are_not_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        let (reader, watch) = open(file.path()).unwrap();
        let mut reader = reader.blank(vec![2..4, 7..9]);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!((&all[..], watch.bytes_read()), (&b"01\0\x00456\0\x009"[..], 6));
        assert_eq!(reader.seek(SeekFrom::End(-7)).unwrap(), 3);
        assert_eq!(reader.seek(SeekFrom::Current(-1)).unwrap(), 2);
        let mut three = [1; 3];
        reader.read_exact(&mut three).unwrap();
        assert_eq!(&three, b"\0\x004");
        assert_eq!(watch.bytes_at(2, 2).as_deref(), Some(&b"23"[..]));
        assert_eq!(watch.bytes_at(9, 2), None);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_devices_and_sockets_are_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.mp4");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let socket = folder.path().join("socket.mp4");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, expected) in
            [(pipe.as_path(), "a pipe"), (socket.as_path(), "a socket"), (Path::new("/dev/zero"), "a device")]
        {
            assert_eq!(open(path).err(), Some(VideoError::NoFile { what: expected }));
        }
    }
}
