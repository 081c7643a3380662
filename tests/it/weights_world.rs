//! The hub and Google Drive with small models in the place of the published ones.

use std::fs;
use std::path::PathBuf;

use lift::weights::{DINOV2_REPO, LIFT_DRIVE_ID, MINI_DINOV2, MINI_LIFT, Store};
use sha2::{Digest, Sha256};

use crate::env::TestEnv;
use crate::server::{Reply, Request, Server};
use crate::torch_file::checkpoint;

/// The commit that `main` is at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Where the frame encoder is asked for.
pub fn dinov2_path() -> String {
    format!("/{DINOV2_REPO}/resolve/main/model.safetensors")
}

/// Where the checkpoint is asked for.
pub fn drive_path() -> String {
    format!("/download?id={LIFT_DRIVE_ID}&export=download&confirm=t")
}

/// LiFT as the authors publish it, of the size that fits the small frame encoder.
pub fn lift_checkpoint() -> Vec<u8> {
    let store = Store::bundled("mini", MINI_LIFT).unwrap();
    let tensor = |name: &str| {
        (name.to_string(), store.shape(name).unwrap().to_vec(), store.f32(name).unwrap().into_owned())
    };
    checkpoint(&store.names().map(tensor).collect::<Vec<_>>())
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// What the hub says of a file before it sends it, with where its bytes lie.
pub fn told(bytes: &[u8], at: &str) -> Reply {
    Reply::new(302)
        .header("X-Repo-Commit", COMMIT)
        .header("X-Linked-Etag", format!("\"{}\"", sha256(bytes)))
        .header("X-Linked-Size", bytes.len().to_string())
        .header("Location", at)
}

/// The hub as it should be; `None` for what is not the hub's.
pub fn hub(request: &Request) -> Option<Reply> {
    if request.path == dinov2_path() {
        return Some(told(MINI_DINOV2, "/cdn/dinov2"));
    }
    (request.path == "/cdn/dinov2").then(|| Reply::file(MINI_DINOV2, request))
}

/// Google Drive as it should be.
pub fn drive(request: &Request) -> Option<Reply> {
    (request.path == drive_path()).then(|| {
        Reply::file(&lift_checkpoint(), request)
            .header("Content-Type", "application/octet-stream")
            .header("ETag", "\"one\"")
    })
}

/// Both as they should be.
pub fn good() -> Server {
    Server::start(|request| hub(request).or_else(|| drive(request)).unwrap_or_else(|| Reply::new(404)))
}

/// The hub's folder of the frame encoder's repository.
pub fn hub_folder(env: &TestEnv) -> PathBuf {
    let folder = format!("models--{}", DINOV2_REPO.replace('/', "--"));
    env.path("home/.cache/huggingface/hub").join(folder)
}

/// The bytes of a file, or nothing.
pub fn bytes(path: PathBuf) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

/// The beginning of a download, if there is one.
pub fn hub_part(env: &TestEnv) -> PathBuf {
    hub_folder(env).join("blobs").join(format!("{}.incomplete", sha256(MINI_DINOV2)))
}

/// Waits until `done`, as long as a loaded machine may need.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{what}: not in a minute");
}
