//! Files from the Hugging Face hub, in the hub's own cache.
//!
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean to the hub's Python
//! library. A cached file is used without asking the network.

use std::env;
use std::path::PathBuf;

use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};

use super::WeightsError;

/// The file that holds the weights in a repository.
pub const HUB_FILE: &str = "model.safetensors";

/// A repository on the hub at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    /// `owner/name`.
    pub repo: String,
    /// A branch, tag or commit; `main` by default.
    pub revision: String,
}

impl HubId {
    /// Reads `owner/name[@revision]`.
    pub fn parse(s: &str) -> Option<Self> {
        let (repo, revision) = s.split_once('@').unwrap_or((s, "main"));
        let (owner, name) = repo.split_once('/')?;
        let plain = |part: &str| {
            let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.chars().all(safe) && part != "." && part != ".."
        };
        (plain(owner) && plain(name) && !revision.is_empty())
            .then(|| Self { repo: repo.into(), revision: revision.into() })
    }
}

/// True for any value of an environment switch but the empty one, 0, false, no and off.
fn switched_on(name: &str) -> bool {
    env::var(name).is_ok_and(|v| !["", "0", "false", "no", "off"].contains(&v.to_ascii_lowercase().as_str()))
}

fn cache() -> Cache {
    let hub = |name: &str, below: &str| {
        env::var_os(name).filter(|v| !v.is_empty()).map(|v| PathBuf::from(v).join(below))
    };
    match hub("HF_HUB_CACHE", "").or_else(|| hub("HF_HOME", "hub")) {
        Some(path) => Cache::new(path),
        None => Cache::from_env(),
    }
}

/// The path of a repository's [`HUB_FILE`], from the cache or else downloaded into it.
///
/// # Errors
/// If the file is not cached and `offline` or the environment forbids the network, or the download fails.
pub(super) fn fetch(id: &HubId, offline: bool) -> Result<PathBuf, WeightsError> {
    let remedy = format!(
        "bring {HUB_FILE} of {}@{} here and pass it with --dinov2 FILE (or try `--model mini`)",
        id.repo, id.revision
    );
    let repo = Repo::with_revision(id.repo.clone(), RepoType::Model, id.revision.clone());
    fetch_file(&repo, &id.repo, HUB_FILE, offline, &remedy)
}

/// The path of a file of a data set on the hub, from the cache or else downloaded into it; `remedy` tells how to do without.
///
/// # Errors
/// As for a model's file.
pub fn fetch_dataset_file(
    dataset: &str,
    file: &str,
    offline: bool,
    remedy: &str,
) -> Result<PathBuf, WeightsError> {
    fetch_file(&Repo::dataset(dataset.into()), dataset, file, offline, remedy)
}

fn fetch_file(
    repo: &Repo,
    name: &str,
    file: &str,
    offline: bool,
    remedy: &str,
) -> Result<PathBuf, WeightsError> {
    let cache = cache();
    if let Some(path) = cache.repo(repo.clone()).get(file) {
        return Ok(path);
    }
    let absent = |cause: String| {
        let folder = cache.path().display();
        WeightsError::Absent(format!("{name}: {file}: {cause} (looked in {folder}); {remedy}"))
    };
    if offline || switched_on("LIFT_OFFLINE") || switched_on("HF_HUB_OFFLINE") {
        return Err(absent("not in the hub's cache, and the network is switched off".into()));
    }
    let api = api(cache.clone()).map_err(|e| absent(e.to_string()))?;
    let remote = api.repo(repo.clone());
    // The size is a courtesy: where the hub does not tell it, the download itself will say what is wrong.
    let size = api.metadata(&remote.url(file)).map(|m| format!(" ({:.1} MB)", m.size() as f64 / 1e6));
    eprintln!("downloading {file}{} of {name} from {}", size.unwrap_or_default(), endpoint());
    remote.download(file).map_err(|e| absent(format!("the download failed: {e}")))
}

fn endpoint() -> String {
    env::var("HF_ENDPOINT").ok().filter(|v| !v.is_empty()).unwrap_or_else(|| "https://huggingface.co".into())
}

fn api(cache: Cache) -> Result<Api, hf_hub::api::sync::ApiError> {
    let token = env::var("HF_TOKEN").ok().filter(|t| !t.trim().is_empty()).or_else(|| cache.token());
    ApiBuilder::from_cache(cache).with_endpoint(endpoint()).with_token(token).with_progress(false).build()
}
