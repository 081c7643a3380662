//! Opens a file of weights, whatever its format, with its digest where that is known.

use std::fs;
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

/// Opens a file in the hub's cache. Its digest is the name of its blob, unless the blob changed after it was linked.
pub(super) fn open_cached(pointer: &Path) -> Result<Store, WeightsError> {
    let digest = told_digest(pointer).filter(|_| unchanged(pointer, pointer));
    Ok(Store::map(pointer)?.with_digest(digest))
}

/// Whether a file has not changed after `witness` was made, which may be a link to it.
pub(super) fn unchanged(file: &Path, witness: &Path) -> bool {
    let modified = |meta: std::io::Result<fs::Metadata>| meta.and_then(|meta| meta.modified()).ok();
    let (file, witness) = (modified(fs::metadata(file)), modified(fs::symlink_metadata(witness)));
    file.is_some() && file <= witness
}

/// The SHA-256 that the hub names a large file by: its blob's name.
pub(super) fn told_digest(pointer: &Path) -> Option<String> {
    let blob = fs::canonicalize(pointer).ok()?;
    let name = blob.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_string())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::weights::MINI_LIFT;

    #[test]
    fn a_blob_has_the_digest_of_its_name_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let name = "a".repeat(64);
        let (blob, pointer) = (folder.path().join(&name), folder.path().join("model.safetensors"));
        fs::write(&blob, MINI_LIFT).unwrap();
        std::os::unix::fs::symlink(&blob, &pointer).unwrap();
        assert_eq!(open_cached(&pointer).unwrap().known_digest(), name);
        let linked = fs::symlink_metadata(&pointer).unwrap().modified().unwrap();
        let changed = fs::File::options().write(true).open(&blob).unwrap();
        changed.set_modified(linked + std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(open_cached(&pointer).unwrap().known_digest(), Store::map(&blob).unwrap().digest());
    }
}
