//! Opens a file of weights, whatever its format.

use std::path::Path;

use super::{Store, WeightsError, checkpoint};

/// Opens a file of either format, which its first bytes show: a `.ckpt` is a zip.
///
/// # Errors
/// If the file is neither.
pub fn open(path: &Path) -> Result<Store, WeightsError> {
    use std::io::Read;
    let mut magic = [0u8; 4];
    let sniffed = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic));
    match magic {
        checkpoint::ZIP_MAGIC if sniffed.is_ok() => checkpoint::read(path),
        // PROTO 2: torch's format before its version 1.6, which pickles the numbers themselves.
        [0x80, 2, ..] => Err(WeightsError::Unclear {
            origin: path.display().to_string(),
            cause: "is a pickle of torch before 1.6, which is not read; save it again with a newer torch"
                .into(),
        }),
        _ => Store::map(path),
    }
}
