//! The files in `LIFT_HOME`. A small record beside each file says where the file came from, its size and its digest.
//!
//! The published LiFT is downloaded once from Google Drive, or a user puts the checkpoint here; either way it is checked for
//! exact names and shapes and converted to safetensors. Loading checks the size; `lift weights verify` checks the digests. A
//! record holds no date, so that equal files have equal records. The folder may be read-only once the file is there.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::convert::{ConvertError, Converted, Storage, convert};
use super::family::Family;
use super::net::{Arrived, Client, Job, Lock, NetError, download, forbidden, write_whole};
use super::{LIFT_CHECKPOINT, LIFT_DRIVE_ID, Store, WeightsError, check, drive, open};
use crate::files::beside;
use crate::files::size_text;
use crate::weights::open::unchanged;
use crate::weights::progress::listener;

/// The converted LiFT.
pub const LIFT_FILE: &str = "lift.safetensors";

/// A frame encoder, where `lift weights pull --to` put it beside [`LIFT_FILE`].
pub(super) fn encoder_file(family: &Family) -> String {
    format!("{family}.safetensors")
}

/// Where `lift` keeps what it converts: `LIFT_HOME`, else `lift/` in the platform's cache folder.
pub fn lift_home() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("LIFT_HOME").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        cache.unwrap_or_else(std::env::temp_dir).join("lift")
    })
}

/// The record of a file in `LIFT_HOME`: `FILE.json` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsRecord {
    /// Where it came from: a file's name, a hub id, a host.
    pub source: String,
    /// SHA-256 of what came from there.
    pub source_sha256: String,
    /// Bytes of what came from there.
    pub source_size: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
}

impl WeightsRecord {
    /// The record of `file`, if there is one that can be read.
    pub(super) fn of(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(beside(file, ".json")).ok()?).ok()
    }

    /// The record of what [`convert`] made of a file that came `from` there.
    pub(super) fn of_converted(
        source: &Store,
        from: &str,
        Converted { sha256, size, .. }: Converted,
    ) -> Self {
        let (source_sha256, source_size) = (source.digest(), source.size());
        Self { source: from.into(), source_sha256, source_size, sha256, size }
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), NetError> {
        let path = beside(file, ".json");
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        write_whole(&path, &mut &text[..])
    }

    /// Checks the size, which shows a damaged file without reading it.
    ///
    /// # Errors
    /// If the file has not the size that was recorded.
    pub(super) fn check_size(&self, file: &Path) -> Result<(), WeightsError> {
        let size = fs::metadata(file).map_or(0, |meta| meta.len());
        if size == self.size {
            return Ok(());
        }
        let cause = format!(
            "has {size} bytes, but {} were recorded when it came: it was damaged or replaced; `lift weights rm` removes \
             it, `lift weights pull` fetches it again",
            self.size
        );
        Err(WeightsError::Unclear { origin: file.display().to_string(), cause })
    }
}

/// Opens a file in `LIFT_HOME` whose size is that of its record.
pub(super) fn open_recorded(path: &Path) -> Result<Store, WeightsError> {
    let record = WeightsRecord::of(path);
    record.as_ref().map_or(Ok(()), |record| record.check_size(path))?;
    let digest = record.filter(|_| unchanged(path, &beside(path, ".json"))).map(|record| record.sha256);
    Ok(Store::map(path)?.with_digest(digest))
}

/// The lock for what becomes [`LIFT_FILE`].
pub(super) fn lift_lock(home: &Path) -> PathBuf {
    home.join(".lift.lock")
}

/// The partial download of the checkpoint.
pub(super) fn lift_part(home: &Path) -> PathBuf {
    home.join(format!("{LIFT_CHECKPOINT}.part"))
}

/// The published LiFT: converted before, or put here as a checkpoint, or fetched now.
///
/// # Errors
/// If it is not here and may or can not be fetched, or what is here is not LiFT.
pub(super) fn published_lift(offline: bool) -> Result<Store, WeightsError> {
    let home = lift_home();
    let (converted, checkpoint) = (home.join(LIFT_FILE), home.join(LIFT_CHECKPOINT));
    if converted.is_file() {
        return open_recorded(&converted);
    }
    if checkpoint.is_file() {
        return match convert_checkpoint(&home, &checkpoint) {
            Ok(()) => open_recorded(&converted),
            Err(NoLift::Wrong(error)) => Err(error),
            Err(NoLift::NotStored(cause)) => {
                // A folder of the system's that others only read: the checkpoint serves as it is.
                tracing::info!("{}: used as it is: {cause}", checkpoint.display());
                check::checked_lift(&checkpoint)
            }
        };
    }
    let remedy = by_hand(&home);
    let what = "the LiFT checkpoint";
    if let Some(switch) = forbidden(offline) {
        return Err(WeightsError::Absent(format!(
            "{what} is not in {}, and the network is switched off ({switch}): {remedy}",
            home.display()
        )));
    }
    download_lift(&home).map_err(|error| match error {
        NoLift::Wrong(error) => error,
        NoLift::NotStored(error) => error.into_weights(what, &remedy),
    })?;
    open_recorded(&converted)
}

fn by_hand(home: &Path) -> String {
    format!(
        "run `lift weights pull lift --to DIR` where there is a network and bring DIR here as LIFT_HOME; or open {} in a \
         browser, save {LIFT_CHECKPOINT} (112 MB) and put it into {}, or pass it with --lift FILE (`--model mini` tries \
         the program without)",
        drive::page_of(LIFT_DRIVE_ID),
        home.display()
    )
}

/// Why there is no converted LiFT.
enum NoLift {
    /// What is there is not LiFT.
    Wrong(WeightsError),
    /// It could not be fetched or written.
    NotStored(NetError),
}

impl From<NetError> for NoLift {
    fn from(error: NetError) -> Self {
        Self::NotStored(error)
    }
}

fn convert_checkpoint(home: &Path, checkpoint: &Path) -> Result<(), NoLift> {
    let _lock = Lock::acquire(&lift_lock(home), LIFT_FILE)?;
    if home.join(LIFT_FILE).is_file() {
        return Ok(());
    }
    listener().line(&format!("converting {} to {LIFT_FILE}, once", checkpoint.display()));
    let source = check::checked_lift(checkpoint).map_err(NoLift::Wrong)?;
    store_tensors(&source, &home.join(LIFT_FILE), LIFT_CHECKPOINT)
}

fn download_lift(home: &Path) -> Result<(), NoLift> {
    let _lock = Lock::acquire(&lift_lock(home), "the LiFT checkpoint")?;
    if home.join(LIFT_FILE).is_file() {
        return Ok(());
    }
    let arrived = home.join(LIFT_CHECKPOINT);
    let sound = |path: &Path| check::checked_lift(path).map(drop).map_err(|e| e.to_string());
    drive::fetch(LIFT_DRIVE_ID, "the LiFT checkpoint", &arrived, &lift_part(home), &sound)?;
    let source = check::checked_lift(&arrived).map_err(NoLift::Wrong)?;
    let from = format!("Google Drive {LIFT_DRIVE_ID}, {LIFT_CHECKPOINT}");
    store_tensors(&source, &home.join(LIFT_FILE), &from)?;
    drop(source);
    // It was fetched for this: the converted file has all that is needed of it.
    let _ = fs::remove_file(&arrived);
    listener().line(&format!("kept its tensors in {}", home.join(LIFT_FILE).display()));
    Ok(())
}

/// Writes the tensors of `source` to `target`, the record first: a file without its record is what a user put there.
fn store_tensors(source: &Store, target: &Path, from: &str) -> Result<(), NoLift> {
    // Only the digest of the finished bytes makes the record, so they wait in a folder of their own, which the lock makes
    // ours: what a process that was killed left there goes first.
    let folder = target.with_file_name(".converting");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).map_err(|e| NetError::write(&folder, e))?;
    let file = folder.join(LIFT_FILE);
    let written = convert(source, &file, Storage::F32, false).map_err(|error| match error {
        ConvertError::Weights(error) => NoLift::Wrong(error),
        ConvertError::Rows(crate::files::FileError::Write { cause, .. }) => {
            NetError::write(target, cause).into()
        }
        ConvertError::Rows(other) => NetError::Wrong(other.to_string()).into(),
    })?;
    WeightsRecord::of_converted(source, from, written).write(target)?;
    fs::rename(&file, target).map_err(|e| NetError::write(target, e))?;
    let _ = fs::remove_dir(&folder);
    Ok(())
}

/// Where the file of a URL is kept: `downloads/<digest of the URL>/<name>`.
pub(super) fn place_of(url: &str) -> PathBuf {
    let digest = crate::files::hexadecimal(&Sha256::digest(url));
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let safe: String = last
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.=".contains(c) { c } else { '_' })
        .take(100)
        .collect();
    let name = safe.trim_start_matches('.');
    let name = if name.is_empty() || url.split('/').count() < 4 { "weights" } else { name };
    lift_home().join("downloads").join(&digest[..16]).join(name)
}

/// The file of a URL, from `LIFT_HOME` or else downloaded into it; `flag` is the one that named it.
///
/// # Errors
/// If it is not here and may or can not be fetched, or what arrives is no file of weights.
pub(super) fn from_url(url: &str, flag: &str, offline: bool) -> Result<PathBuf, WeightsError> {
    let path = place_of(url);
    if path.is_file() {
        // The loaders check what is in it; here only that it is what came.
        if let Some(record) = WeightsRecord::of(&path) {
            record.check_size(&path)?;
        }
        return Ok(path);
    }
    let what = format!("{} from {}", path.file_name().unwrap_or_default().display(), super::net::host(url));
    let remedy = format!("bring the file here and pass its path with {flag}");
    if let Some(switch) = forbidden(offline) {
        return Err(WeightsError::Absent(format!(
            "{what} was not fetched before (looked for {}), and the network is switched off ({switch}): {remedy}",
            path.display()
        )));
    }
    download_url(url, &path).map_err(|error| error.into_weights(&what, &remedy))?;
    Ok(path)
}

fn download_url(url: &str, path: &Path) -> Result<(), NetError> {
    let what = path.file_name().unwrap_or_default().display().to_string();
    let folder = path.parent().unwrap_or(path);
    let _lock = Lock::acquire(&folder.join(".lock"), &what)?;
    if path.is_file() {
        return Ok(());
    }
    let part = beside(path, ".part");
    let check = |path: &Path| open(path).map(drop).map_err(|e| e.to_string());
    let Arrived { size, sha256 } = match drive::id_in(url) {
        Some(id) => drive::fetch(id, &what, path, &part, &check)?,
        None => {
            let memo = Some(beside(&part, ".json"));
            let job = Job {
                what: &what,
                url,
                target: path,
                part: &part,
                memo,
                size: None,
                sha256: None,
                check: &check,
            };
            download(&Client::new(None)?, &job)?
        }
    };
    // A URL may hold secrets: the record names its host, the folder its digest.
    WeightsRecord {
        source: super::net::host(url),
        source_sha256: sha256.clone(),
        source_size: size,
        sha256,
        size,
    }
    .write(path)?;
    listener().line(&format!("kept {} ({})", path.display(), size_text(size)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_place_of_its_own_and_no_way_out_of_it() {
        let name = |url: &str| place_of(url).file_name().unwrap().to_str().unwrap().to_string();
        assert_eq!(name("https://a.example/x/model.safetensors?sig=1"), "model.safetensors");
        assert_eq!(name("https://a.example/x/.."), "weights");
        assert_eq!(name("https://a.example/"), "weights");
        assert_eq!(name("https://a.example"), "weights");
        assert_eq!(name("https://a.example/a b/c%2Fd.ckpt"), "c_2Fd.ckpt");
        assert_ne!(place_of("https://a.example/m?sig=1"), place_of("https://a.example/m?sig=2"));
    }

    #[test]
    fn the_recorded_digest_holds_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lift.safetensors");
        fs::write(&file, crate::weights::MINI_LIFT).unwrap();
        let size = crate::weights::MINI_LIFT.len() as u64;
        let recorded = |sha256: &str| WeightsRecord {
            source: "here".into(),
            source_sha256: sha256.into(),
            source_size: size,
            sha256: sha256.into(),
            size,
        };
        recorded("recorded").write(&file).unwrap();
        let known = || open_recorded(&file).unwrap().known_digest();
        assert_eq!(known(), "recorded");
        let after = fs::metadata(beside(&file, ".json")).unwrap().modified().unwrap();
        let changed = fs::File::options().write(true).open(&file).unwrap();
        changed.set_modified(after + std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(known(), Store::map(&file).unwrap().digest());
    }
}
