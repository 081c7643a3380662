//! Vision towers as transformers saves them: their tensors under timm's names, and their settings.
//!
//! Such a file may hold a text tower too, which is not read. Of the vision tower every tensor must be there, and no other.
//! What changes numbers but no shape (heads, activation, epsilon) is in the `config.json` beside the file, or in the file's
//! metadata under `config`, where [`super::copy_to`] and [`super::convert`] put it. Without either a file is refused, because
//! a wrong guess would go unnoticed. How pictures are made is what [`super::pictures`] finds, else the family's known way. The
//! positions of these towers are not resampled, as in transformers: pictures of a size that they do not fit are refused.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::{dims, divides, layers};
use super::encoder::{Location, expected};
use super::pictures::{OF_TRANSFORMERS, told};
use super::source::{CONFIG_FILE, ENCODER_FLAG};
use super::{EncoderWeights, Store, WeightsError};
use crate::kernels::Activation;
use crate::model::text::TOKEN_TABLE;
use crate::model::{Pictures, vit};
use crate::video::transform::{Filter, Framing, Resize};

/// The metadata key that holds the settings.
pub(super) const CONFIG_KEY: &str = "config";

/// The side of pictures that transformers takes where the settings name none.
const USUAL_SIDE: usize = 224;

/// Rows of the token table of SigLIP 2's text tower; SigLIP's has 32,000.
const SIGLIP2_TOKENS: usize = 256_000;

/// A family's vision tower in transformers.
pub(super) struct Tower {
    /// transformers' `model_type`.
    pub(super) family: &'static str,
    /// What a file should be, in messages.
    pub(super) model: &'static str,
    /// A tensor, without the prefix, that only this family's towers have.
    pub(super) mark: &'static str,
    /// The tensor outside the tower that projects the feature, if there is one.
    pub(super) projection: Option<&'static str>,
    /// Where a file keeps the numbers of a tensor that timm names, for a prefix of transformers' names.
    pub(super) locate: fn(&str, &str) -> Location,
    /// The network's options.
    pub(super) options: vit::VitOptions,
    /// How the published models want their pictures, of 224 x 224.
    pub(super) pictures: Pictures,
    /// The activation where the settings name none.
    pub(super) activation: Activation,
    /// The norms' epsilon where the settings name none.
    pub(super) norm_eps: f64,
}

/// The settings that do not follow from the tensors, by transformers' names. What a file leaves out has the value that
/// transformers gives it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TowerSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_act: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) num_attention_heads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layer_norm_eps: Option<f64>,
    /// DINOv3's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rope_theta: Option<f64>,
    /// Side of the pictures that the table of positions is for.
    #[serde(default, skip_serializing_if = "usual")]
    image_size: Option<usize>,
    /// The vision tower's settings, in the file of a model that has a text tower too.
    #[serde(skip_serializing_if = "Option::is_none")]
    vision_config: Option<Box<TowerSettings>>,
}

/// Whether this is the side that transformers takes where the settings name none.
fn usual(side: &Option<usize>) -> bool {
    side.is_none_or(|side| side == USUAL_SIDE)
}

impl TowerSettings {
    /// From the file's metadata, else from the `config.json` beside it.
    pub(super) fn of(store: &Store, file: &Path) -> Result<Option<Self>, WeightsError> {
        let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
        let parsed = |text: &str, place: &str| {
            serde_json::from_str(text)
                .map(Some)
                .map_err(|e| unclear(format!("{place} is no model's settings: {e}")))
        };
        if let Some(text) = store.metadata().get(CONFIG_KEY) {
            return parsed(text, "its metadata's config");
        }
        if file.as_os_str().is_empty() {
            return Ok(None);
        }
        match std::fs::read_to_string(file.with_file_name(CONFIG_FILE)) {
            Ok(text) => parsed(&text, "the config.json beside it"),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(unclear(format!("the config.json beside it cannot be read: {cause}"))),
        }
    }

    /// The settings of the vision tower, if they are of this family.
    fn of_vision(self, tower: &Tower) -> Result<Self, String> {
        let whole = tower.family;
        match &self.model_type {
            Some(told) if told.starts_with("siglip2") => Err(NAFLEX.into()),
            Some(told) if *told != whole && *told != format!("{whole}_vision_model") => Err(format!(
                "its settings are those of a model of type {told}; --encoder {whole} needs one of {whole}"
            )),
            _ => Ok(match self.vision_config {
                Some(inner) => *inner,
                None => self,
            }),
        }
    }

    /// With the family's name, so that they are complete without the file.
    fn named(self, tower: &Tower) -> Self {
        Self { model_type: Some(format!("{}_vision_model", tower.family)), vision_config: None, ..self }
    }

    /// The activation that is named, if one is.
    pub(super) fn activation(&self) -> Result<Option<Activation>, String> {
        self.hidden_act.as_deref().map(activation).transpose()
    }
}

/// An activation by transformers' name for it.
pub(super) fn activation(name: &str) -> Result<Activation, String> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::GeluTanh),
        "quick_gelu" => Ok(Activation::QuickGelu),
        "silu" => Ok(Activation::Silu),
        other => Err(format!(
            "its activation {other} is none of gelu, gelu_pytorch_tanh, gelu_new, quick_gelu, silu"
        )),
    }
}

/// What is said of SigLIP 2's other kind.
const NAFLEX: &str = "it is a SigLIP 2 NaFlex, whose pictures keep their proportions, which is not supported; the models of fixed size \
                      are: google/siglip2-base-patch16-224 and others";

impl Tower {
    /// Whether a file holds such a tower.
    pub(super) fn recognises(&self, store: &Store) -> bool {
        self.prefix(store).is_some()
    }

    /// What the names of the tower's tensors begin with; none where the file holds no such tower.
    fn prefix(&self, store: &Store) -> Option<&'static str> {
        // A tower saved by itself has no prefix.
        let prefix = ["vision_model.", ""]
            .into_iter()
            .find(|prefix| store.shape(&format!("{prefix}embeddings.patch_embedding.weight")).is_some())?;
        store.shape(&format!("{prefix}{}", self.mark)).map(|_| prefix)
    }

    /// Whether a tensor is one of the vision tower's. Older files number the positions in a tensor of its own.
    fn has(&self, name: &str, prefix: &str) -> bool {
        let position_ids = name.strip_prefix(prefix) == Some("embeddings.position_ids");
        !position_ids && (name.starts_with(prefix) || Some(name) == self.projection)
    }

    /// The published network of these numbers.
    pub(super) fn network(&self, heads: usize, width: usize, output: usize, patch: usize) -> vit::VitConfig {
        vit::VitConfig {
            options: self.options,
            pictures: self.pictures,
            width,
            output,
            depth: 12,
            heads,
            hidden: 4 * width,
            activation: self.activation,
            norm_eps: self.norm_eps,
            patch,
            grid: self.pictures.framing.side / patch,
            registers: 0,
        }
    }

    /// The tower in `store`, which came from `file`; `heads` overrides the settings' number.
    ///
    /// # Errors
    /// If it is not of this family, its settings are nowhere, or they ask for pictures that do not fit its positions or are not
    /// supported.
    pub(super) fn load(
        &self,
        mut store: Store,
        file: &Path,
        heads: Option<usize>,
    ) -> Result<EncoderWeights, WeightsError> {
        // The tensors first: a file of another model needs no settings to be refused.
        let (mut config, prefix) = self.check(&store)?;
        let unclear = |cause| WeightsError::Unclear { origin: store.origin().into(), cause };
        let Some(settings) = TowerSettings::of(&store, file)? else {
            return Err(unclear(
                "its number of attention heads and its activation stand in the model's config.json, which is not beside it: \
                 put it there"
                    .into(),
            ));
        };
        let settings = settings.of_vision(self).map_err(unclear)?;
        config.heads = heads.or(settings.num_attention_heads).unwrap_or(config.heads);
        divides(
            &store,
            config.heads,
            config.width,
            "check num_attention_heads in its config.json, or --heads",
        )?;
        config.activation = settings.activation().map_err(unclear)?.unwrap_or(config.activation);
        config.norm_eps = settings.layer_norm_eps.unwrap_or(config.norm_eps);
        let usual = self.usual_pictures(&store, settings.image_size.unwrap_or(USUAL_SIDE));
        let told = told(&store, file, &[&OF_TRANSFORMERS])?;
        config.pictures = match &told {
            Some(told) => told.pictures,
            None => {
                tracing::info!(
                    "{}: nothing says how its pictures are made ({} is not beside it): taken with {usual}, {}'s usual way",
                    store.origin(),
                    OF_TRANSFORMERS.file,
                    self.family
                );
                usual
            }
        };
        let (side, grid, patch) = (config.side(), config.grid, config.patch);
        if side / patch != grid {
            return Err(unclear(format!(
                "its pictures are {side} x {side} px, its positions are for {grid} x {grid} patches of {patch} px: a {} reads no \
                 other size than its own; bring the config.json and the {} of the same model",
                self.family, OF_TRANSFORMERS.file
            )));
        }
        let text = serde_json::to_string(&settings.named(self)).unwrap_or_default();
        store.retain(|name| self.has(name, prefix));
        let mut store = store.with_metadata(CONFIG_KEY, text.clone());
        if let Some(told) = told {
            store = store.with_metadata(told.key, told.text);
        }
        let settings = with_pictures(Some(text), &config.pictures, &self.pictures);
        Ok(EncoderWeights::new(store, config, self.locate, prefix, settings))
    }

    /// The family's usual pictures with this side. A SigLIP's text tower shows whether it is a SigLIP 2, which has other pictures.
    fn usual_pictures(&self, store: &Store, side: usize) -> Pictures {
        let Pictures { framing, mean, std } = self.pictures;
        let resize = match framing.resize {
            Resize::Shorter(_) => Resize::Shorter(side),
            Resize::Both(_) => Resize::Both(side),
        };
        let tokens = store.shape(TOKEN_TABLE).and_then(|shape| shape.first());
        let filter = if tokens == Some(&SIGLIP2_TOKENS) { Filter::Bilinear } else { framing.filter };
        Pictures { framing: Framing { resize, side, filter, ..framing }, mean, std }
    }

    /// The tower's shape, its names and shapes checked, and what its names begin with. What does not follow from the tensors has the
    /// value that transformers gives it by default.
    fn check(&self, store: &Store) -> Result<(vit::VitConfig, &'static str), WeightsError> {
        let (model, flag) = (self.model, ENCODER_FLAG);
        let Some(prefix) = self.prefix(store) else {
            let (origin, differences) = (store.origin().into(), "no such tensors".into());
            return Err(WeightsError::Tensors { origin, model, differences, flag });
        };
        let named = |name: &str| format!("{prefix}{name}");
        let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
        if store.shape(&named("embeddings.patch_embedding.weight")).is_some_and(|shape| shape.len() == 2) {
            return Err(unclear(NAFLEX.into()));
        }
        let [width, _, patch, _] = dims(store, &named("embeddings.patch_embedding.weight"), model, flag)?;
        let [positions, _] = dims(store, &named("embeddings.position_embedding.weight"), model, flag)?;
        let [hidden, _] = dims(store, &named("encoder.layers.0.mlp.fc1.weight"), model, flag)?;
        let output = match self.projection {
            Some(name) => dims::<2>(store, name, model, flag)?[0],
            None => width,
        };
        let class = matches!(self.options.positions, vit::Positions::Table { class: true, .. });
        let patches = positions - usize::from(class);
        let grid = patches.isqrt();
        if grid * grid != patches || grid == 0 {
            return Err(unclear(format!("its {patches} positions are no square grid of patches")));
        }
        let depth = layers(store, &named("encoder.layers."));
        let config = vit::VitConfig { depth, hidden, grid, ..self.network(12, width, output, patch) };
        // timm's tables have axes for the batch, and the class token one for the tokens.
        let spare = |name: &str| match name {
            "cls_token" => 2,
            "pos_embed" => 1,
            _ => 0,
        };
        let tensors = expected(&config, |name| (self.locate)(name, prefix), spare);
        store.check(&tensors, |name| self.has(name, prefix), model, flag)?;
        Ok((config, prefix))
    }
}

/// Where a file keeps the numbers of a tensor that every tower has, by timm's name.
pub(super) fn locate(name: &str, prefix: &str) -> Location {
    let (layer, part) = name.rsplit_once('.').unwrap_or((name, ""));
    let whole = |name: &str| Location::Whole(format!("{prefix}{name}"));
    match layer {
        "pos_embed" => whole("embeddings.position_embedding.weight"),
        "patch_embed.proj" => whole(&format!("embeddings.patch_embedding.{part}")),
        "norm" => whole(&format!("post_layernorm.{part}")),
        _ => {
            let (index, layer) =
                layer.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')).unwrap_or(("", layer));
            let named = |layer: &str| format!("{prefix}encoder.layers.{index}.{layer}.{part}");
            match layer {
                "attn.qkv" => {
                    let part = |x| Some(named(&format!("self_attn.{x}_proj")));
                    Location::Stacked(["q", "k", "v"].map(part).into())
                }
                "attn.proj" => Location::Whole(named("self_attn.out_proj")),
                "norm1" => Location::Whole(named("layer_norm1")),
                "norm2" => Location::Whole(named("layer_norm2")),
                mlp => Location::Whole(named(mlp)),
            }
        }
    }
}

/// The settings with the pictures, where those are not the family's usual ones. What decides numbers is compared by this text.
pub(super) fn with_pictures(
    settings: Option<String>,
    pictures: &Pictures,
    usual: &Pictures,
) -> Option<String> {
    if pictures == usual {
        return settings;
    }
    let mut all: serde_json::Map<String, serde_json::Value> =
        settings.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    all.insert("pictures".into(), serde_json::to_value(pictures).unwrap_or_default());
    serde_json::to_string(&all).ok()
}
