//! Names of weights: what a user writes, the published models, repositories on the hub.

use std::path::PathBuf;
use std::str::FromStr;

/// The frame encoder of the paper: DINOv2 ViT-S/14 with registers, as timm publishes it.
pub const DINOV2_REPO: &str = "timm/vit_small_patch14_reg4_dinov2.lvd142m";

/// The authors' checkpoint, by its name on their Google Drive.
pub const LIFT_CHECKPOINT: &str = "ggwirp95-epoch=458-step=834003.ckpt";

/// The Google Drive id of [`LIFT_CHECKPOINT`].
pub const LIFT_DRIVE_ID: &str = "1DFapOrZwRcltyq3_tQNTQ9mHtpgKqtZY";

/// The file that holds the weights in a repository.
pub const HUB_FILE: &str = "model.safetensors";

/// The settings' file of a model of transformers.
pub(super) const CONFIG_FILE: &str = "config.json";

/// The file with the vocabulary of a model of transformers that reads texts.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// The flag that names the weights of a frame encoder other than DINOv2.
pub(super) const ENCODER_FLAG: &str = "--encoder-weights";

/// Where a model's weights come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsSource {
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

impl FromStr for WeightsSource {
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

/// A repository on the hub at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    /// `owner/name`.
    pub repo: String,
    /// A branch, tag or commit; `main` by default.
    pub revision: String,
}

impl std::fmt::Display for HubId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repo)?;
        if self.revision == "main" { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

impl HubId {
    /// Reads `owner/name[@revision]`.
    pub fn parse(s: &str) -> Option<Self> {
        let (repo, revision) = s.split_once('@').unwrap_or((s, "main"));
        let (owner, name) = repo.split_once('/')?;
        let branch = revision.split('/').all(plain);
        (plain(owner) && plain(name) && branch).then(|| Self { repo: repo.into(), revision: revision.into() })
    }
}

/// Whether a text is a single, ordinary name: such parts go into paths.
pub(super) fn plain(part: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !part.is_empty() && part.chars().all(safe) && part != "." && part != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_a_hub_id_or_the_bundled_pair() {
        assert_eq!("mini".parse(), Ok(WeightsSource::Mini));
        assert_eq!("weights/x.safetensors".parse(), Ok(WeightsSource::File("weights/x.safetensors".into())));
        assert_eq!("./x".parse(), Ok(WeightsSource::File("./x".into())));
        let hub = |repo: &str, revision: &str| {
            Ok(WeightsSource::Hub(HubId { repo: repo.into(), revision: revision.into() }))
        };
        assert_eq!("timm/vit".parse(), hub("timm/vit", "main"));
        assert_eq!("timm/vit@v1".parse(), hub("timm/vit", "v1"));
        let url = "https://a.example/x.safetensors";
        assert_eq!(url.parse(), Ok(WeightsSource::Url(url.into())));
        assert!("a/b/c".parse::<WeightsSource>().is_err());
        assert!("".parse::<WeightsSource>().is_err());
    }

    #[test]
    fn an_id_holds_nothing_that_leaves_the_cache() {
        assert_eq!(HubId::parse("a/b@v1/x").map(|id| id.revision), Some("v1/x".into()));
        for bad in ["a/b@", "a/b@..", "a/b@x/../../y", "a/b@/etc", "a/..", "../b", "a/b/c", "a", "a/b@x\\y"] {
            assert_eq!(HubId::parse(bad), None, "{bad}");
        }
    }
}
