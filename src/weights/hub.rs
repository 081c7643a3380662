//! Files from the Hugging Face hub, in the hub's own cache.
//!
//! `HF_HOME`, `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `XDG_CACHE_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` and
//! `HF_HUB_OFFLINE` mean what they mean to the hub's Python library, and both share the layout of the cache, its locks and its
//! partial files. A cached file is used without the network.
//! The `hf-hub` crate knows the layout. Its downloads are not used, because they do not wait, do not check a size and do not
//! notice a server that ignores a range; [`super::net`] downloads instead.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};
use ureq::http::StatusCode;

use super::net::{
    Client, Job, Lock, MOST_REDIRECTS, NetError, download, forbidden, host, joined, setting, text_header,
    write_whole,
};
use super::source::{HubId, plain};
use super::{FAMILIES, Family, HUB_FILE, Store, WeightsError};

pub(super) fn cache() -> Cache {
    Cache::new(cache_folder(&setting))
}

/// The hub's cache folder, by the rule of the hub's Python library: `HF_HUB_CACHE`, its older name `HUGGINGFACE_HUB_CACHE`,
/// else `hub` in the hub's home.
fn cache_folder(variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let named = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"].into_iter().find_map(variable);
    named.map_or_else(|| hub_home(variable).join("hub"), |path| with_home(&path, variable))
}

/// The hub's home: `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME`, which is `~/.cache` by default.
fn hub_home(variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let caches = || variable("XDG_CACHE_HOME").unwrap_or_else(|| "~/.cache".into());
    match variable("HF_HOME") {
        Some(home) => with_home(&home, variable),
        None => with_home(&caches(), variable).join("huggingface"),
    }
}

/// A path in which a leading `~` is the user's home.
fn with_home(path: &str, variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let below = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match below.zip(variable("HOME")) {
        Some((rest, home)) => PathBuf::from(home).join(rest.trim_start_matches('/')),
        None => PathBuf::from(path),
    }
}

/// The token for the hub: `HF_TOKEN`, else the file that the hub's own login writes.
fn token() -> Option<String> {
    let file = || {
        let path = setting("HF_TOKEN_PATH");
        path.map_or_else(|| hub_home(&setting).join("token"), |path| with_home(&path, &setting))
    };
    let token = setting("HF_TOKEN").or_else(|| fs::read_to_string(file()).ok())?;
    Some(token.trim().to_string()).filter(|token| !token.is_empty())
}

/// Where [`token`] looks, for messages.
const TOKEN: &str =
    "HF_TOKEN (or HF_TOKEN_PATH, or the file token in HF_HOME, which the hub's own login writes)";

fn endpoint() -> String {
    let endpoint = setting("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
    endpoint.trim_end_matches('/').to_string()
}

/// A repository in the hub's cache folder.
pub(super) struct CachedRepo {
    /// The repository's folder.
    folder: PathBuf,
    /// The folder's name.
    name: String,
    revision: String,
}

impl CachedRepo {
    pub(super) fn of(id: &HubId, kind: RepoType) -> Self {
        let name = Repo::new(id.repo.clone(), kind).folder_name();
        Self { folder: cache().path().join(&name), name, revision: id.revision.clone() }
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }

    /// The commit of the revision in this cache. A commit has no reference: it names itself.
    pub(super) fn commit(&self) -> Option<String> {
        let named = fs::read_to_string(self.reference()).ok().map(|text| text.trim().to_string());
        let itself = || (self.revision.len() == 40).then(|| self.revision.clone());
        named.or_else(itself).filter(|commit| plain(commit))
    }

    /// The file, if it is here.
    pub(super) fn get(&self, file: &str) -> Option<PathBuf> {
        let path = self.folder.join("snapshots").join(self.commit()?).join(file);
        path.is_file().then_some(path)
    }

    /// The note that the commit has no such file.
    fn absent(&self, file: &str) -> Option<PathBuf> {
        Some(self.folder.join(".no_exist").join(self.commit()?).join(file))
    }

    fn is_known_absent(&self, file: &str) -> bool {
        self.absent(file).is_some_and(|note| note.is_file())
    }

    fn note_absent(&self, file: &str) -> Result<(), NetError> {
        match self.absent(file) {
            Some(note) => {
                let folder = note.parent().unwrap_or(&note);
                fs::create_dir_all(folder).map_err(|e| NetError::write(folder, e))?;
                write_whole(&note, &mut &[][..])
            }
            None => Ok(()),
        }
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    pub(super) fn part(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The lock under which the hub's Python library fetches the same file.
    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        cache().path().join(".locks").join(&self.name).join(format!("{etag}.lock"))
    }

    /// Makes `file` of `commit` the blob `etag`, and the revision this commit.
    fn place(&self, file: &str, commit: &str, etag: &str) -> Result<PathBuf, NetError> {
        let snapshot = self.folder.join("snapshots").join(commit);
        let pointer = snapshot.join(file);
        let folder = pointer.parent().unwrap_or(&snapshot);
        fs::create_dir_all(folder).map_err(|e| NetError::write(folder, e))?;
        let depth = 2 + file.split('/').count() - 1;
        let blob = PathBuf::from("../".repeat(depth)).join("blobs").join(etag);
        if !pointer.is_file() {
            // A link that leads nowhere is of no use.
            let _ = fs::remove_file(&pointer);
            link(&blob, &self.blob(etag), &pointer)?;
        }
        if self.revision != commit {
            let reference = self.reference();
            write_whole(&reference, &mut commit.as_bytes())?;
        }
        Ok(pointer)
    }
}

/// A link as the hub's library makes it, or a copy where there are none.
fn link(relative: &Path, blob: &Path, pointer: &Path) -> Result<(), NetError> {
    if std::os::unix::fs::symlink(relative, pointer).is_ok() {
        return Ok(());
    }
    let mut blob = fs::File::open(blob).map_err(|e| NetError::write(pointer, e))?;
    write_whole(pointer, &mut blob)
}

/// The path of a file of a model's repository ([`HUB_FILE`] or its settings), from the cache or else downloaded into it;
/// `flag` is the one that takes the weights, and `settings_file` the file that is needed beside them.
///
/// # Errors
/// If the file is not cached and `offline` or the environment forbids the network, or the download fails.
pub(super) fn fetch(
    id: &HubId,
    file: &str,
    flag: &str,
    settings_file: Option<&str>,
    offline: bool,
) -> Result<PathBuf, WeightsError> {
    let family = FAMILIES.into_iter().find(|family| *id == family.published());
    let carry = match family {
        Some(family) => format!(
            "run `lift weights pull {family} --to DIR` where there is a network and bring DIR here as LIFT_HOME, or "
        ),
        None => format!("run `lift weights pull {id} --to DIR` where there is a network, or "),
    };
    let (files, without) = match settings_file {
        Some(settings) => (format!("{HUB_FILE} and {settings}"), ""),
        None => (HUB_FILE.to_string(), " (`--model mini` tries the program without)"),
    };
    let tree = tree(id);
    let remedy = format!(
        "{carry}bring {files} of {}/{}{tree} here and pass it with {flag} FILE{without}",
        endpoint(),
        id.repo
    );
    // Without a token the hub would only refuse.
    let cached = CachedRepo::of(id, RepoType::Model).get(file).is_some();
    if let Some(gate) = family.and_then(|family| family.gate).filter(|_| !cached && token().is_none()) {
        let page = page(id, RepoType::Model);
        return Err(WeightsError::Absent(format!(
            "{file} of {id} is not in the hub's cache. {gate}: accept it at {page}, make a token there and set {TOKEN}; \
             nothing was fetched. Or {remedy}"
        )));
    }
    fetch_file(id, RepoType::Model, file, offline, &remedy, &|path| check(file, path))
}

/// Brings the file that says how a model's pictures are made beside its weights, which are here, if its repository has one. That
/// it has none is noted in the cache, as by the hub's Python library.
///
/// # Errors
/// As [`fetch`], but that the repository has no such file is none.
pub(super) fn fetch_pictures(
    id: &HubId,
    family: &Family,
    store: &Store,
    offline: bool,
) -> Result<(), WeightsError> {
    let Some(file) = (family.pictures_file)(store) else { return Ok(()) };
    let cached = CachedRepo::of(id, RepoType::Model);
    if cached.get(file).is_some() || cached.is_known_absent(file) {
        return Ok(());
    }
    let (hub, tree) = (endpoint(), tree(id));
    let remedy = format!(
        "it says how the model's pictures are made; bring {HUB_FILE} and {file} of {hub}/{}{tree} here in one folder and pass it with \
         {} FOLDER",
        id.repo, family.flag
    );
    if let Some(switch) = forbidden(offline) {
        let cache = cache();
        return Err(WeightsError::Absent(format!(
            "{file} of {id} is not in the hub's cache ({}), and the network is switched off ({switch}): {remedy}",
            cache.path().display()
        )));
    }
    match bring(&cached, &url(id, RepoType::Model, file), &format!("{file} of {id}"), file, &|_| Ok(())) {
        Ok(_) => Ok(()),
        Err(NetError::Status { status: StatusCode::NOT_FOUND, .. }) => {
            // A folder that cannot be written costs a question at each run.
            let _ = cached.note_absent(file);
            Ok(())
        }
        Err(error) => {
            let page = page(id, RepoType::Model);
            Err(explain(error, &page).into_weights(&format!("{file} of {id}"), &remedy))
        }
    }
}

/// As [`fetch`], for a model whose text tower is needed: `files` are needed beside each other.
///
/// # Errors
/// As [`fetch`].
pub(super) fn fetch_with_text(
    id: &HubId,
    file: &str,
    flag: &str,
    files: [&str; 3],
    offline: bool,
) -> Result<PathBuf, WeightsError> {
    let remedy = format!(
        "bring {} of {}/{}{} here in one folder and pass it with {flag} FOLDER",
        files.join(", "),
        endpoint(),
        id.repo,
        tree(id)
    );
    fetch_file(id, RepoType::Model, file, offline, &remedy, &|path| check(file, path))
}

/// Where the revision's page is, below the repository's.
fn tree(id: &HubId) -> String {
    match id.revision.as_str() {
        "main" => String::new(),
        revision => format!("/tree/{}", revision.replace('/', "%2F")),
    }
}

/// What arrived must be readable.
fn check(file: &str, path: &Path) -> Result<(), String> {
    match file {
        HUB_FILE => Store::map(path).map(drop).map_err(|e| e.to_string()),
        _ => Ok(()),
    }
}

/// The path of a file of a data set on the hub, from the cache or else downloaded into it; `remedy` says what else to do.
///
/// # Errors
/// As for a model's file.
pub fn fetch_dataset_file(
    dataset: &str,
    file: &str,
    offline: bool,
    remedy: &str,
) -> Result<PathBuf, WeightsError> {
    let id = HubId { repo: dataset.into(), revision: "main".into() };
    fetch_file(&id, RepoType::Dataset, file, offline, remedy, &|_| Ok(()))
}

fn fetch_file(
    id: &HubId,
    kind: RepoType,
    file: &str,
    offline: bool,
    remedy: &str,
    check: &dyn Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, WeightsError> {
    let cached = CachedRepo::of(id, kind);
    if let Some(path) = cached.get(file) {
        return Ok(path);
    }
    if let Some(switch) = forbidden(offline) {
        let cache = cache();
        return Err(WeightsError::Absent(format!(
            "{file} of {id} is not in the hub's cache ({}), and the network is switched off ({switch}): {remedy}",
            cache.path().display()
        )));
    }
    let what = format!("{file} of {id}");
    bring(&cached, &url(id, kind, file), &what, file, check)
        .map_err(|error| explain(error, &page(id, kind)).into_weights(&what, remedy))
}

/// The page of a repository.
fn page(id: &HubId, kind: RepoType) -> String {
    let prefix = match kind {
        RepoType::Model => "",
        RepoType::Dataset => "datasets/",
        RepoType::Space => "spaces/",
    };
    format!("{}/{prefix}{}", endpoint(), id.repo)
}

/// Where a file of a repository is.
fn url(id: &HubId, kind: RepoType, file: &str) -> String {
    format!("{}/resolve/{}/{file}", page(id, kind), id.revision.replace('/', "%2F"))
}

/// What the hub says of a file before it sends the file.
struct Meta {
    commit: String,
    etag: String,
    size: Option<u64>,
}

fn bring(
    cached: &CachedRepo,
    url: &str,
    what: &str,
    file: &str,
    check: &dyn Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, NetError> {
    let client = Client::new(token())?;
    let Meta { commit, etag, size } = meta(&client, url)?;
    let _lock = Lock::acquire(&cached.lock(&etag), what)?;
    let blob = cached.blob(&etag);
    if !blob.is_file() {
        let folder = blob.parent().unwrap_or(cached.folder());
        fs::create_dir_all(folder).map_err(|e| NetError::write(folder, e))?;
        // Large files are named by their SHA-256, small ones by git's digest, which has 40 digits.
        let sha256 = (etag.len() == 64).then_some(etag.as_str());
        let part = cached.part(&etag);
        download(&client, &Job { what, url, target: &blob, part: &part, memo: None, size, sha256, check })?;
    }
    cached.place(file, &commit, &etag)
}

/// Reads the headers and follows redirects within the hub. The servers with the bytes name neither commit nor digest.
fn meta(client: &Client, url: &str) -> Result<Meta, NetError> {
    let hub = host(url);
    let (mut url, mut size) = (url.to_string(), None);
    let (mut commit, mut etag) = (None::<String>, None::<String>);
    for _ in 0..MOST_REDIRECTS {
        let (status, headers) = client.head(&url)?;
        let text = |name| text_header(&headers, name);
        commit = commit.or_else(|| text("x-repo-commit").map(ToString::to_string));
        etag = etag.or_else(|| text("x-linked-etag").map(ToString::to_string));
        size = size.or_else(|| text("x-linked-size").and_then(|n| n.parse().ok()));
        let next = text("location").filter(|_| status.is_redirection()).and_then(|to| joined(&url, to));
        if let Some(next) = next.filter(|next| host(next) == hub)
            && (commit.is_none() || etag.is_none() || size.is_none())
        {
            url = next;
            continue;
        }
        if !status.is_redirection() {
            size = size.or_else(|| text("content-length").and_then(|n| n.parse().ok()));
        }
        etag = etag.or_else(|| text("etag").map(ToString::to_string));
        let clean = |tag: String| {
            let tag = tag.trim_start_matches("W/").trim_matches('"').to_string();
            plain(&tag).then_some(tag)
        };
        return match (commit.filter(|commit| plain(commit)), etag.and_then(clean)) {
            (Some(commit), Some(etag)) => Ok(Meta { commit, etag, size }),
            _ => Err(NetError::Wrong(format!(
                "{hub} does not answer as the hub does (no x-repo-commit or no etag); check HF_ENDPOINT"
            ))),
        };
    }
    Err(NetError::Wrong(format!("{hub} redirects again and again")))
}

/// Puts what the hub means by a status into words.
fn explain(error: NetError, page: &str) -> NetError {
    let NetError::Status { host, status, detail, page: body } = error else { return error };
    let detail = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("{detail}: not public, or not there; accept its terms at {page} and set {TOKEN}")
        }
        StatusCode::NOT_FOUND => format!("{detail}: no such repository, revision or file; see {page}"),
        _ => detail,
    };
    NetError::Status { host, status, detail, page: body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_hubs_python_library_has_it() {
        let folder = |set: &[(&str, &str)]| {
            let of =
                |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
            cache_folder(&|name: &str| of(name).or_else(|| (name == "HOME").then(|| "/home/me".into())))
        };
        for (set, expected) in [
            (&[][..], "/home/me/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HF_HOME", "~/x"), ("XDG_CACHE_HOME", "/y")], "/home/me/x/hub"),
            (&[("HUGGINGFACE_HUB_CACHE", "/x"), ("HF_HOME", "/y")], "/x"),
            (&[("HF_HUB_CACHE", "~"), ("HUGGINGFACE_HUB_CACHE", "/y")], "/home/me"),
            (&[("HF_HUB_CACHE", "~other/x")], "~other/x"),
        ] {
            assert_eq!(folder(set), Path::new(expected), "{set:?}");
        }
    }
}
