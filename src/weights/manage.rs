//! Downloads, copies, verifies and removes the weights that [`super::inventory`] lists.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::RepoType;
use serde::Serialize;

use crate::files::{FileError, beside};
use crate::weights::convert::{ConvertError, Storage, convert};
use crate::weights::family::Family;
use crate::weights::home::{encoder_file, lift_home, lift_lock, lift_part, place_of};
use crate::weights::hub::CachedRepo;
use crate::weights::inventory::{ModelKind, Presence, WeightsName, kind_of, names_in, state};
use crate::weights::net::{Lock, NetError, write_whole};
use crate::weights::open::told_digest;
use crate::weights::{
    HUB_FILE, HubId, LIFT_CHECKPOINT, LIFT_FILE, Store, WeightsError, WeightsRecord, check, home, hub, load,
    open, pictures,
};

/// Fetches what is missing of an item; where it is then.
///
/// # Errors
/// If it may or can not be fetched, or is not what it should be.
pub fn pull(item: &WeightsName) -> Result<PathBuf, WeightsError> {
    match item {
        WeightsName::Encoder(family) => {
            let encoder = load::load_encoder(family, &super::WeightsSource::Published, None, false)?;
            Ok(encoder.store().origin().into())
        }
        WeightsName::Lift => Ok(home::published_lift(false)?.origin().into()),
        WeightsName::Hub(id) => {
            let path = hub::fetch(id, HUB_FILE, "--dinov2", None, false)?;
            let store = Store::map(&path)?;
            if let Some(family) = Family::of(&store) {
                if let Some(settings) = family.settings_file {
                    hub::fetch(id, settings, family.flag, Some(settings), false)?;
                }
                hub::fetch_pictures(id, family, &store, false)?;
            }
            Ok(path)
        }
        WeightsName::Url(url) => home::from_url(url, "--dinov2, --encoder-weights or --lift", false),
        WeightsName::Download(path) => {
            let path = lift_home().join(path);
            if path.is_file() {
                return Ok(path);
            }
            let path = path.display();
            Err(WeightsError::Absent(format!("{path} is not here; name the URL it came from")))
        }
    }
}

/// Copies weights into a folder that can serve as `LIFT_HOME` on another machine. Of a file that holds more than the frame
/// encoder, only the frame encoder is copied, with its settings.
///
/// # Errors
/// If it cannot be read or the folder cannot be written.
pub fn copy_to(item: &WeightsName, folder: &Path) -> Result<PathBuf, WeightsError> {
    let path = pull(item)?;
    let name = match item {
        WeightsName::Encoder(family) => encoder_file(family),
        WeightsName::Lift => LIFT_FILE.to_string(),
        WeightsName::Hub(id) => format!("{}.safetensors", id.repo.rsplit('/').next().unwrap_or_default()),
        WeightsName::Url(_) | WeightsName::Download(_) => {
            path.file_name().unwrap_or_default().display().to_string()
        }
    };
    let target = folder.join(name);
    let write = |e: NetError| e.into_weights("", "");
    let store = open(&path)?;
    let family = match item {
        WeightsName::Encoder(family) => Some(*family),
        _ => Family::of(&store),
    };
    let beside = |file: &str| path.with_file_name(file).is_file();
    let has_settings = |family: &Family| {
        family.settings_file.is_some() || (family.pictures_file)(&store).is_some_and(beside)
    };
    if let Some(family) = family.filter(|family| has_settings(family)) {
        fs::create_dir_all(folder).map_err(|e| write(NetError::write(folder, e)))?;
        let mut tower = (family.extract)(store, &path)?;
        if matches!(item, WeightsName::Encoder(_)) {
            tower = pictures::with_usual(tower, &family.pictures);
        }
        let done = convert(&tower, &target, Storage::F32, true).map_err(|error| match error {
            ConvertError::Weights(error) => error,
            ConvertError::Rows(FileError::Write { cause, .. }) => write(NetError::write(&target, cause)),
            ConvertError::Rows(other) => WeightsError::Absent(other.to_string()),
        })?;
        WeightsRecord::of_converted(&tower, &state(item).source, done).write(&target).map_err(write)?;
        return Ok(target);
    }
    let mut from = fs::File::open(&path).map_err(|e| write(NetError::write(&path, e)))?;
    write_whole(&target, &mut from).map_err(write)?;
    let record = WeightsRecord::of(&path).unwrap_or_else(|| {
        let (digest, size) = (store.digest(), store.size());
        let source = state(item).source;
        WeightsRecord { source, source_sha256: digest.clone(), source_size: size, sha256: digest, size }
    });
    record.write(&target).map_err(write)?;
    Ok(target)
}

/// What a check of a file found.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// As [`WeightsName`] is written.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes now.
    pub sha256: String,
    /// Where the expected digest comes from; none where nobody recorded one.
    pub against: Option<&'static str>,
    /// What is wrong; none where nothing is.
    pub problem: Option<String>,
}

/// Recomputes the digest of a file, compares its names and shapes, and looks for numbers that are not finite.
///
/// # Errors
/// If the item is not here.
pub fn verify(item: &WeightsName) -> Result<Verification, WeightsError> {
    let state = state(item);
    let path = match (state.presence, state.path) {
        (Presence::Here | Presence::Checkpoint, Some(path)) => path,
        _ => {
            return Err(WeightsError::Absent(format!(
                "{item} is not here: run `lift weights pull {item}` where there is a network"
            )));
        }
    };
    let name = item.to_string();
    let recorded = WeightsRecord::of(&path).map(|record| (record.sha256, "its record"));
    let told = recorded.or_else(|| Some((told_digest(&path)?, "the hub's name for it")));
    let against = told.as_ref().map(|(_, by)| *by);
    let store = match open(&path) {
        Ok(store) => store,
        Err(error) => {
            let problem = Some(error.to_string());
            return Ok(Verification { name, path, sha256: String::new(), against, problem });
        }
    };
    let sha256 = store.digest();
    let problem = match told {
        Some((wanted, by)) if !wanted.eq_ignore_ascii_case(&sha256) => {
            Some(format!("its SHA-256 is {sha256}, by {by} it should be {wanted}"))
        }
        _ => sound(store, &path).err(),
    };
    Ok(Verification { name, path, sha256, against, problem })
}

/// The model that `store`, which came from `file`, holds: its tensors alone, names and shapes checked, with what else must be
/// known of it in the metadata.
///
/// # Errors
/// If it holds no model that is known here, or other tensors than that model has.
pub fn model_in(store: Store, file: &Path) -> Result<Store, WeightsError> {
    match kind_of(&store) {
        Some(ModelKind::Encoder(family)) => (family.extract)(store, file),
        Some(ModelKind::Lift) => check::check_lift(&store).map(|_| store),
        None => Err(WeightsError::Unclear {
            origin: store.origin().into(),
            cause: "holds no model that is known here: a DINOv2, DINOv3, CLIP or SigLIP by the names that \
                    `lift help encoders` lists, or a LiFT"
                .into(),
        }),
    }
}

fn sound(store: Store, file: &Path) -> Result<(), String> {
    let store = model_in(store, file).map_err(|e| e.to_string())?;
    for name in store.names() {
        let values = store.f32(name).map_err(|e| e.to_string())?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(format!("{name} holds a number that is not finite ({}, at {at})", values[at]));
        }
    }
    Ok(())
}

/// Removes weights and their partial downloads; returns the removed files with their sizes.
///
/// # Errors
/// If another process is fetching it, or a file cannot be removed.
pub fn remove(item: &WeightsName) -> Result<Vec<(PathBuf, u64)>, WeightsError> {
    let home = lift_home();
    let mut paths = Vec::new();
    let mut locks = Vec::new();
    let mut with_record = |path: PathBuf| paths.extend([beside(&path, ".json"), path]);
    match item {
        WeightsName::Encoder(family) => {
            with_record(home.join(encoder_file(family)));
            in_hub(&family.published(), &mut paths, &mut locks);
        }
        WeightsName::Lift => {
            with_record(home.join(LIFT_FILE));
            with_record(lift_part(&home));
            with_record(home.join(LIFT_CHECKPOINT));
            locks.push(lift_lock(&home));
        }
        WeightsName::Hub(id) => in_hub(id, &mut paths, &mut locks),
        WeightsName::Url(_) | WeightsName::Download(_) => {
            let path = match item {
                WeightsName::Url(url) => place_of(url),
                WeightsName::Download(path) => home.join(path),
                _ => home.clone(),
            };
            locks.push(path.with_file_name(".lock"));
            with_record(beside(&path, ".part"));
            with_record(path);
        }
    }
    let there: Vec<PathBuf> = paths.into_iter().filter(|p| fs::symlink_metadata(p).is_ok()).collect();
    let mut held = Vec::new();
    for lock in locks.iter().filter(|_| !there.is_empty()) {
        match Lock::if_free(lock).map_err(|e| e.into_weights("", ""))? {
            Some(lock) => held.push(lock),
            None => {
                return Err(WeightsError::Absent(format!(
                    "{item} is being fetched by another process; wait for it or stop it, then remove it"
                )));
            }
        }
    }
    let mut removed = Vec::new();
    for path in there {
        let bytes =
            fs::symlink_metadata(&path).map_or(0, |meta| if meta.is_symlink() { 0 } else { meta.len() });
        fs::remove_file(&path).map_err(|cause| WeightsError::Write {
            origin: path.display().to_string(),
            cause,
            remedy: "it was not removed",
        })?;
        removed.push((path, bytes));
    }
    Ok(removed)
}

/// The pointer and the bytes of a hub file and every partial download of its repository, with their locks.
/// Other whole files of the repository, which other programs may have put there, stay.
fn in_hub(id: &HubId, paths: &mut Vec<PathBuf>, locks: &mut Vec<PathBuf>) {
    let repo = CachedRepo::of(id, RepoType::Model);
    let blobs = repo.folder().join("blobs");
    if let Some(pointer) = repo.get(HUB_FILE) {
        let blob = fs::canonicalize(&pointer)
            .ok()
            .filter(|blob| blob.parent().is_some_and(|p| p.ends_with("blobs")));
        paths.push(pointer);
        paths.extend(blob);
    }
    for name in names_in(&blobs) {
        if let Some(etag) = name.strip_suffix(".incomplete") {
            locks.push(repo.lock(etag));
            paths.push(repo.part(etag));
        }
    }
}
