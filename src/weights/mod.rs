//! Files of weights turned into checked models.
//!
//! A file is data, never trusted: names and shapes are compared with the exact set a model has before a tensor is used,
//! and what differs is told in one message. Safetensors and torch's files are memory-mapped; a pickle is read but never
//! executed. What is missing is fetched once, from the hub or from Google Drive, into the caches, by the rule of `net`.

mod checkpoint;
mod convert;
mod drive;
mod home;
mod hub;
mod inventory;
mod load;
mod manage;
mod mini;
mod net;
mod pickle;
mod progress;
mod store;
mod vision;

pub use convert::{ConvertError, Converted, Storage, convert};
pub use home::{LIFT_FILE, Record, lift_home};
pub use hub::fetch_dataset_file as hub_dataset_file;
pub use hub::{HUB_FILE, HubId};
pub use inventory::{Item, Kind, Presence, State, kind_of, list, state};
pub use load::{Encoder, load_encoder, load_lift, open};
pub use manage::{Verdict, carry, model_in, pull, remove, verify};
pub use mini::{MINI_DINOV2, MINI_LIFT, MINI_NOTE};
pub use net::stop_downloads_on;
pub use progress::{Tell, size_text, tell_to};
pub use store::{Store, WeightsError};

use std::path::PathBuf;
use std::str::FromStr;

/// The frame encoder of the paper: DINOv2 ViT-S/14 with registers, as timm publishes it.
pub const DINOV2_REPO: &str = "timm/vit_small_patch14_reg4_dinov2.lvd142m";

/// The authors' checkpoint, by its name on their Google Drive.
pub const LIFT_CHECKPOINT: &str = "ggwirp95-epoch=458-step=834003.ckpt";

/// The Google Drive id of [`LIFT_CHECKPOINT`].
pub const LIFT_DRIVE_ID: &str = "1DFapOrZwRcltyq3_tQNTQ9mHtpgKqtZY";

/// Where a model's weights come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The published weights, from the caches.
    Published,
    /// The small pair bundled with the program, for trying it.
    Mini,
    /// A file on disk.
    File(PathBuf),
    /// A repository on the Hugging Face hub.
    Hub(HubId),
    /// A file on the web, or on Google Drive by its share link.
    Url(String),
}

impl FromStr for Source {
    type Err = String;

    /// `mini`, a URL, else a path if it looks like one or exists, else `owner/name[@revision]`.
    fn from_str(s: &str) -> Result<Self, String> {
        let path = PathBuf::from(s);
        let is_weights = path.extension().is_some_and(|e| {
            ["safetensors", "ckpt", "pt", "pth", "bin"].iter().any(|x| e.eq_ignore_ascii_case(x))
        });
        if s == "mini" {
            Ok(Self::Mini)
        } else if s.starts_with("https://") || s.starts_with("http://") {
            Ok(Self::Url(s.into()))
        } else if path.exists() || is_weights || path.is_absolute() || s.starts_with('.') {
            Ok(Self::File(path))
        } else if let Some(id) = HubId::parse(s) {
            Ok(Self::Hub(id))
        } else {
            Err(format!("'{s}' is neither a file nor a hub id; give PATH, owner/name[@revision] or a URL"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_a_hub_id_or_the_bundled_pair() {
        assert_eq!("mini".parse(), Ok(Source::Mini));
        assert_eq!("weights/x.safetensors".parse(), Ok(Source::File("weights/x.safetensors".into())));
        assert_eq!("./x".parse(), Ok(Source::File("./x".into())));
        let hub = |repo: &str, revision: &str| {
            Ok(Source::Hub(HubId { repo: repo.into(), revision: revision.into() }))
        };
        assert_eq!("timm/vit".parse(), hub("timm/vit", "main"));
        assert_eq!("timm/vit@v1".parse(), hub("timm/vit", "v1"));
        let url = "https://a.example/x.safetensors";
        assert_eq!(url.parse(), Ok(Source::Url(url.into())));
        assert!("a/b/c".parse::<Source>().is_err());
        assert!("".parse::<Source>().is_err());
    }
}
