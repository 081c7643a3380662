//! Gives the library the bytes of a Parquet file, and an error where it reads beyond the end.
//!
//! The library trusts the sizes that a page's header declares: it allocates the memory that a length asks for, and reads beyond
//! the end of the file as often as a count says, which a damaged file can set to two thousand million.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;

/// How often the end may be read before it is an error: reading a page's last byte may meet it once or twice.
const PATIENCE: u32 = 16;

/// A file of known length.
pub(crate) struct SizedFile {
    file: File,
    length: u64,
}

impl SizedFile {
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, String> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        let length = file.metadata().map_err(|e| e.to_string())?.len();
        Ok(Self { file, length })
    }

    fn at(&self, start: u64) -> Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    }
}

impl Length for SizedFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for SizedFile {
    type T = SizedFileReader;

    fn get_read(&self, start: u64) -> Result<SizedFileReader> {
        Ok(SizedFileReader { file: BufReader::new(self.at(start)?), ends: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            let text = format!("{length} bytes at {start} are declared, and the file has {}", self.length);
            return Err(ParquetError::EOF(text));
        }
        let mut bytes = vec![0; length];
        self.at(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads the file from an offset on.
pub(crate) struct SizedFileReader {
    file: BufReader<File>,
    ends: u32,
}

impl Read for SizedFileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(buffer)?;
        if got == 0 && !buffer.is_empty() {
            self.ends += 1;
            if self.ends > PATIENCE {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "it is read beyond its end"));
            }
        }
        Ok(got)
    }
}
