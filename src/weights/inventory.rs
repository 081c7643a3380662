//! The weights on this machine, and their names on the command line.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hf_hub::RepoType;
use serde::Serialize;

use crate::files::beside;
use crate::weights::family::Family;
use crate::weights::home::{encoder_file, lift_home, lift_part, place_of};
use crate::weights::hub::{CachedRepo, cache};
use crate::weights::open::told_digest;
use crate::weights::{
    FAMILIES, HUB_FILE, HubId, LIFT_CHECKPOINT, LIFT_DRIVE_ID, LIFT_FAMILY, LIFT_FILE, Store, WeightsRecord,
    open,
};

/// What weights are called on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsName {
    /// The published frame encoder of a family.
    Encoder(&'static Family),
    /// The published LiFT.
    Lift,
    /// A file of a repository on the hub.
    Hub(HubId),
    /// A file of a URL.
    Url(String),
    /// A file of some URL, by its place below `LIFT_HOME`.
    Download(PathBuf),
}

impl FromStr for WeightsName {
    type Err = String;

    /// A family's name, `lift`, a URL, `downloads/...` as [`list`] gives it, or `owner/name[@revision]`.
    fn from_str(s: &str) -> Result<Self, String> {
        let kept = || {
            let path = Path::new(s);
            let plain = path.components().all(|c| matches!(c, std::path::Component::Normal(_)));
            (plain && path.starts_with("downloads") && path.components().count() == 3)
                .then(|| path.to_owned())
        };
        if let Some(family) = Family::named(s) {
            return Ok(Self::Encoder(family));
        }
        match s {
            "lift" => Ok(Self::Lift),
            _ if s.starts_with("https://") || s.starts_with("http://") => Ok(Self::Url(s.into())),
            _ => match (kept(), HubId::parse(s)) {
                (Some(path), _) => Ok(Self::Download(path)),
                (None, Some(id)) => Ok(Self::Hub(id)),
                (None, None) => Err(format!(
                    "'{s}' is no weights: give {}, lift, owner/name[@revision] of the hub, or a URL",
                    FAMILIES.map(|family| family.name).join(", ")
                )),
            },
        }
    }
}

impl fmt::Display for WeightsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoder(family) => family.fmt(f),
            Self::Lift => f.write_str("lift"),
            Self::Hub(id) => id.fmt(f),
            Self::Url(url) => f.write_str(url),
            Self::Download(path) => path.display().fmt(f),
        }
    }
}

/// Which model a file holds, by the names of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// A frame encoder.
    Encoder(&'static Family),
    /// LiFT.
    Lift,
}

/// The model whose tensors `store` has, if the program knows it.
pub fn kind_of(store: &Store) -> Option<ModelKind> {
    match Family::of(store) {
        Some(family) => Some(ModelKind::Encoder(family)),
        None => store.shape("model.encoder.input_proj.weight").map(|_| ModelKind::Lift),
    }
}

/// Whether weights are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Yes.
    Here,
    /// As the authors' checkpoint, which becomes safetensors when it is first used.
    Checkpoint,
    /// A download began and did not finish.
    Partial,
    /// No.
    Missing,
}

/// Weights and where they are.
#[derive(Debug, Clone, Serialize)]
pub struct WeightsState {
    /// As [`WeightsName`] is written.
    pub name: String,
    /// Whether they are here.
    pub presence: Presence,
    /// The file, also where only its beginning is here; none where nothing is.
    pub path: Option<PathBuf>,
    /// Bytes that are here.
    pub size: u64,
    /// Where they come from.
    pub source: String,
    /// SHA-256 as the server or the record gives it; [`super::verify`] recomputes it.
    pub sha256: Option<String>,
    /// How a frame encoder's pictures are made; none for LiFT, and for what cannot be read.
    pub pictures: Option<String>,
}

/// The paper's two models, here or not, and whatever else is here that can serve.
pub fn list() -> Vec<(WeightsName, WeightsState)> {
    let mut items = vec![WeightsName::Encoder(LIFT_FAMILY), WeightsName::Lift];
    let others = FAMILIES.into_iter().filter(|family| *family != LIFT_FAMILY).map(WeightsName::Encoder);
    items.extend(others.filter(|item| state(item).presence != Presence::Missing));
    items.extend(cached_models());
    items.extend(downloads());
    items.into_iter().map(|item| (item.clone(), state(&item))).collect()
}

pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Models in the hub's cache that the program can use, without the published ones.
fn cached_models() -> Vec<WeightsName> {
    let cache = cache();
    let mut found = Vec::new();
    for folder in names_in(cache.path()) {
        let Some(repo) = folder.strip_prefix("models--").map(|name| name.replacen("--", "/", 1)) else {
            continue;
        };
        for revision in names_in(&cache.path().join(&folder).join("refs")) {
            let Some(id) = HubId::parse(&format!("{repo}@{revision}")) else { continue };
            if FAMILIES.into_iter().any(|family| id == family.published()) {
                continue;
            }
            let file = CachedRepo::of(&id, RepoType::Model).get(HUB_FILE);
            let store = file.and_then(|path| Store::map(&path).ok());
            if store.as_ref().and_then(kind_of).is_some() {
                found.push(WeightsName::Hub(id));
            }
        }
    }
    found
}

fn downloads() -> Vec<WeightsName> {
    let folder = lift_home().join("downloads");
    let files = names_in(&folder).into_iter().flat_map(|digest| {
        let ours = |name: &String| {
            !name.starts_with('.') && ![".json", ".part"].iter().any(|end| name.ends_with(end))
        };
        let names = names_in(&folder.join(&digest)).into_iter().filter(ours);
        names
            .map(|name| WeightsName::Download(Path::new("downloads").join(&digest).join(name)))
            .collect::<Vec<_>>()
    });
    files.collect()
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Looks where an item would be.
pub fn state(item: &WeightsName) -> WeightsState {
    let home = lift_home();
    let found = |presence, path: PathBuf, source: String, sha256| WeightsState {
        name: item.to_string(),
        presence,
        size: size(&path),
        path: Some(path),
        source,
        sha256,
        pictures: None,
    };
    let missing = |source: String| WeightsState {
        name: item.to_string(),
        presence: Presence::Missing,
        path: None,
        size: 0,
        source,
        sha256: None,
        pictures: None,
    };
    let recorded = |path: PathBuf, otherwise: &str| {
        let record = WeightsRecord::of(&path);
        let source = record.as_ref().map_or_else(|| otherwise.into(), |record| record.source.clone());
        found(Presence::Here, path, source, record.map(|record| record.sha256))
    };
    let in_hub = |id: &HubId| {
        let repo = CachedRepo::of(id, RepoType::Model);
        let source = format!("hub {}@{}", id.repo, id.revision);
        if let Some(path) = repo.get(HUB_FILE) {
            let sha256 = told_digest(&path);
            let commit = repo.commit().filter(|commit| *commit != id.revision);
            let source = commit.map_or(source.clone(), |commit| format!("{source} (commit {commit})"));
            return found(Presence::Here, path, source, sha256);
        }
        let blobs = repo.folder().join("blobs");
        let begun = |name: &String| name.ends_with(".incomplete") && size(&blobs.join(name)) > 0;
        match names_in(&blobs).into_iter().find(begun) {
            Some(part) => found(Presence::Partial, blobs.join(part), source, None),
            None => missing(source),
        }
    };
    let by_url = |path: PathBuf, source: &str| {
        let part = beside(&path, ".part");
        if path.is_file() {
            recorded(path, source)
        } else if size(&part) > 0 {
            found(Presence::Partial, part, source.into(), None)
        } else {
            missing(source.into())
        }
    };
    let mut state = match item {
        WeightsName::Encoder(family) => {
            let copied = home.join(encoder_file(family));
            if copied.is_file() { recorded(copied, "put there by hand") } else { in_hub(&family.published()) }
        }
        WeightsName::Lift => {
            let (converted, checkpoint) = (home.join(LIFT_FILE), home.join(LIFT_CHECKPOINT));
            let (drive, part) = (format!("Google Drive {LIFT_DRIVE_ID}"), lift_part(&home));
            if converted.is_file() {
                recorded(converted, "put there by hand")
            } else if checkpoint.is_file() {
                found(Presence::Checkpoint, checkpoint, "put there by hand".into(), None)
            } else if size(&part) > 0 {
                found(Presence::Partial, part, drive, None)
            } else {
                missing(drive)
            }
        }
        WeightsName::Hub(id) => in_hub(id),
        WeightsName::Url(url) => by_url(place_of(url), &super::net::host(url)),
        WeightsName::Download(path) => by_url(home.join(path), "a URL"),
    };
    state.pictures = pictures(item, &state);
    state
}

/// How the pictures of a frame encoder are made.
fn pictures(item: &WeightsName, state: &WeightsState) -> Option<String> {
    let named = if let WeightsName::Encoder(family) = item { Some(*family) } else { None };
    let (Presence::Here, Some(path)) = (state.presence, &state.path) else {
        return named.map(|family| family.pictures.to_string());
    };
    let store = open(path).ok()?;
    let family = named.or_else(|| Family::of(&store))?;
    // The number of heads, which may be unknown, does not matter.
    let model = (family.load)(store, path, Some(1)).ok()?;
    Some(model.config().pictures.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_weights_are_read_as_they_are_written() {
        for name in [
            "dinov2",
            "dinov3",
            "clip",
            "siglip",
            "siglip2",
            "lift",
            "timm/vit",
            "timm/vit@v1",
            "https://a.example/x",
            "downloads/ab/x.ckpt",
        ] {
            assert_eq!(name.parse::<WeightsName>().unwrap().to_string(), name);
        }
        for bad in ["", "dino", "downloads/../x.ckpt", "downloads/a/b/c", "/etc/passwd", "a/b/c"] {
            assert!(bad.parse::<WeightsName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_model_is_known_by_its_names() {
        let kind = |bytes| kind_of(&Store::bundled("x", bytes).unwrap());
        assert_eq!(kind(super::super::MINI_DINOV2), Some(ModelKind::Encoder(LIFT_FAMILY)));
        assert_eq!(kind(super::super::MINI_LIFT), Some(ModelKind::Lift));
    }
}
