//! The description that each family of frame encoders gives.

use std::fmt;
use std::path::Path;

use super::source::HubId;
use super::{EncoderWeights, Store, WeightsError};
use crate::kernels::Activation;
use crate::model::Pictures;
use crate::model::text::TextKind;
use crate::model::vit::VitConfig;

/// A family of frame encoders, by the name of its publication. [`FAMILIES`](super::FAMILIES) has them all.
pub struct Family {
    /// The name that users write.
    pub name: &'static str,
    /// What it is, for the help of `--encoder`.
    pub summary: &'static str,
    /// What a file should be, in messages: with an article.
    pub(super) model: &'static str,
    /// The licence of the published weights.
    pub licence: &'static str,
    /// The published weights on the hub: `owner/name`.
    pub(super) repo: &'static str,
    /// A branch, tag or commit of that repository.
    pub(super) revision: &'static str,
    /// Why the published weights are not for everybody, if they are not: a sentence without its full stop.
    pub(super) gate: Option<&'static str>,
    /// The file beside the weights with the settings that do not follow from the tensors, if there are such settings.
    pub(super) settings_file: Option<&'static str>,
    /// The file that a repository on the hub may have beside a model's weights, and that says how its pictures are made.
    pub(super) pictures_file: fn(&Store) -> Option<&'static str>,
    /// How the published weights want their pictures.
    pub pictures: Pictures,
    /// The network of the published weights.
    pub network: fn() -> VitConfig,
    /// The small model inside the program, with its name in messages.
    pub(super) bundled: Option<(&'static str, &'static [u8])>,
    /// The text tower beside the vision tower, if there is one.
    pub(super) text: Option<TextFamily>,
    /// The flag that names other weights.
    pub(super) flag: &'static str,
    /// Whether a file holds such a model, by the names of its tensors.
    pub(super) recognises: fn(&Store) -> bool,
    /// The model in a file, its tensors and settings checked. The number of attention heads overrides the file's.
    pub(super) load: fn(Store, &Path, Option<usize>) -> Result<EncoderWeights, WeightsError>,
    /// The model's tensors alone, checked, with its settings in the metadata. The number of heads may be unknown.
    pub(super) extract: fn(Store, &Path) -> Result<Store, WeightsError>,
}

/// What the text towers of a family have in common.
pub(super) struct TextFamily {
    /// How tokens become a feature.
    pub(super) kind: TextKind,
    /// transformers' `model_type` of the whole model.
    pub(super) model_type: &'static str,
    /// What a file should be, in messages: with an article.
    pub(super) model: &'static str,
    /// Attention heads, if the settings do not say.
    pub(super) heads: usize,
    /// Between the layers of the MLP, if the settings do not say.
    pub(super) activation: Activation,
    /// Epsilon of every LayerNorm, if the settings do not say.
    pub(super) norm_eps: f64,
}

impl Family {
    /// Where the published weights are on the hub.
    pub(super) fn published(&self) -> HubId {
        HubId { repo: self.repo.into(), revision: self.revision.into() }
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Family {}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
