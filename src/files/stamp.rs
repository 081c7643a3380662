//! Whether a file has changed: by its size and its time of change, as `make` does, or by its content.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::text::hexadecimal;

/// A file's size and time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub bytes: u64,
    /// Nanoseconds since 1970; 0 where the system keeps no such time, or an earlier one.
    pub modified: u64,
}

impl Stamp {
    /// The stamp of the file at `path` now; `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0);
        Some(Self { bytes: meta.len(), modified })
    }
}

/// The first 16 bytes of the SHA-256 of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest([u8; 16]);

impl ContentDigest {
    /// The digest of the file at `path`, which is read whole; `None` if it cannot be read, or changed after `stamp` was taken.
    pub fn of(path: &Path, stamp: Stamp) -> Option<Self> {
        let mut digest = Sha256::new();
        io::copy(&mut File::open(path).ok()?, &mut digest).ok()?;
        let mut first = [0; 16];
        first.copy_from_slice(&digest.finalize()[..16]);
        (Stamp::of(path) == Some(stamp)).then_some(Self(first))
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl FromStr for ContentDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a digest of a file's content is not 32 hexadecimal digits".to_string();
        let mut bytes = [0; 16];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return Err(wrong());
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}
