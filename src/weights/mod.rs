//! Reads files of weights, checks them, and downloads them where they are missing.
//!
//! A file is never trusted: before a tensor is used, names and shapes are compared with the exact set that the model has, and
//! one message names every difference. Safetensors and torch's files are memory-mapped; a pickle is read but never executed.
//! A missing file is downloaded once, from the hub or from Google Drive, into the caches (see `net`).

mod check;
mod checkpoint;
mod convert;
mod dino;
mod drive;
mod encoder;
mod families;
mod family;
mod home;
mod hub;
mod inventory;
mod load;
mod manage;
mod mini;
mod net;
mod open;
mod pickle;
mod pictures;
mod progress;
mod source;
mod store;
mod text;
mod tokens;
mod trained_on;
mod transformers;

pub use convert::{ConvertError, Converted, Storage, convert};
pub use encoder::EncoderWeights;
pub use families::{FAMILIES, LIFT_FAMILY};
pub use family::Family;
pub use home::{LIFT_FILE, WeightsRecord, lift_home};
pub use hub::fetch_dataset_file as hub_dataset_file;
pub use inventory::{ModelKind, Presence, WeightsName, WeightsState, kind_of, list, state};
pub use load::{load_encoder, load_lift};
pub use manage::{Verification, copy_to, model_in, pull, remove, verify};
pub use mini::{MINI_DINOV2, MINI_LIFT, MINI_NOTE};
pub use net::stop_downloads_on;
pub use open::open;
pub use progress::{DownloadListener, set_download_listener};
pub use source::{
    DINOV2_REPO, HUB_FILE, HubId, LIFT_CHECKPOINT, LIFT_DRIVE_ID, TOKENIZER_FILE, WeightsSource,
};
pub use store::{Store, WeightsError};
pub use text::TextEncoder;
pub use trained_on::{ENCODER_KEY, EncoderRecord};
