//! Vision towers as transformers saves them: their tensors under timm's names, and their settings.
//!
//! Such a file may hold a text tower too, which is not read. Of the vision tower every tensor must be there, and no other.
//! What changes numbers but no shape (heads, activation, epsilon) is in the `config.json` beside the file, or in the file's
//! metadata under `config`, where [`super::copy_to`] and [`super::convert`] put it. Without either a file is refused, because
//! a wrong guess would go unnoticed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::{dims, divides, layers};
use super::encoder::Location;
use super::source::{CONFIG_FILE, ENCODER_FLAG};
use super::{EncoderWeights, Store, WeightsError};
use crate::kernels::Activation;
use crate::model::{IMAGE_SIZE, Pictures, vit};

/// The metadata key that holds the settings.
const CONFIG_KEY: &str = "config";

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
    /// How it wants its pictures.
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
    model_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_act: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_attention_heads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_norm_eps: Option<f64>,
    /// The vision tower's settings, in the file of a model that has a text tower too.
    #[serde(skip_serializing_if = "Option::is_none")]
    vision_config: Option<Box<TowerSettings>>,
}

impl TowerSettings {
    /// From the file's metadata, else from the `config.json` beside it.
    fn of(store: &Store, file: &Path) -> Result<Self, WeightsError> {
        let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
        let parsed = |text: &str, place: &str| {
            serde_json::from_str(text).map_err(|e| unclear(format!("{place} is no model's settings: {e}")))
        };
        if let Some(text) = store.metadata().get(CONFIG_KEY) {
            return parsed(text, "its metadata's config");
        }
        match std::fs::read_to_string(file.with_file_name(CONFIG_FILE)) {
            Ok(text) => parsed(&text, "the config.json beside it"),
            Err(cause) => Err(unclear(format!(
                "its number of attention heads and its activation stand in the model's config.json, which is not beside it \
                 ({cause}): put it there"
            ))),
        }
    }

    /// The settings of the vision tower, if they are of this family.
    fn of_vision(self, tower: &Tower) -> Result<Self, String> {
        let whole = tower.family;
        match &self.model_type {
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
    fn activation(&self) -> Result<Option<Activation>, String> {
        self.hidden_act.as_deref().map(activation).transpose()
    }
}

/// An activation by transformers' name for it.
pub(super) fn activation(name: &str) -> Result<Activation, String> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::GeluTanh),
        "quick_gelu" => Ok(Activation::QuickGelu),
        other => {
            Err(format!("its activation {other} is none of gelu, gelu_pytorch_tanh, gelu_new, quick_gelu"))
        }
    }
}

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

    /// The tower in `store`, which came from `file`; `heads` overrides the settings' number.
    ///
    /// # Errors
    /// If it is not of this family, its settings are nowhere, or it does not read pictures of 224 x 224.
    pub(super) fn load(
        &self,
        mut store: Store,
        file: &Path,
        heads: Option<usize>,
    ) -> Result<EncoderWeights, WeightsError> {
        // The tensors first: a file of another model needs no settings to be refused.
        let (mut config, prefix) = self.check(&store)?;
        let unclear = |cause| WeightsError::Unclear { origin: store.origin().into(), cause };
        let settings = TowerSettings::of(&store, file)?.of_vision(self).map_err(unclear)?;
        config.heads = heads.or(settings.num_attention_heads).unwrap_or(config.heads);
        divides(
            &store,
            config.heads,
            config.width,
            "check num_attention_heads in its config.json, or --heads",
        )?;
        config.activation = settings.activation().map_err(unclear)?.unwrap_or(config.activation);
        config.norm_eps = settings.layer_norm_eps.unwrap_or(config.norm_eps);
        let text = serde_json::to_string(&settings.named(self)).unwrap_or_default();
        store.retain(|name| self.has(name, prefix));
        let store = store.with_metadata(CONFIG_KEY, text.clone());
        Ok(EncoderWeights::new(store, config, self.locate, prefix, Some(text)))
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
        let [width, _, patch, _] = dims(store, &named("embeddings.patch_embedding.weight"), model, flag)?;
        let [positions, _] = dims(store, &named("embeddings.position_embedding.weight"), model, flag)?;
        let [hidden, _] = dims(store, &named("encoder.layers.0.mlp.fc1.weight"), model, flag)?;
        let output = match self.projection {
            Some(name) => dims::<2>(store, name, model, flag)?[0],
            None => width,
        };
        let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
        let patches = positions - usize::from(self.options.class_position);
        let grid = patches.isqrt();
        if grid * grid != patches || grid == 0 {
            return Err(unclear(format!("its {patches} positions are no square grid of patches")));
        }
        let side = grid.saturating_mul(patch);
        if side != IMAGE_SIZE {
            return Err(unclear(format!(
                "it reads pictures of {side} x {side} px; only models for {IMAGE_SIZE} x {IMAGE_SIZE} serve here"
            )));
        }
        let config = vit::VitConfig {
            options: self.options,
            pictures: self.pictures,
            width,
            output,
            depth: layers(store, &named("encoder.layers.")),
            heads: 12,
            hidden,
            activation: self.activation,
            norm_eps: self.norm_eps,
            patch,
            grid,
            registers: 0,
        };
        store.check(&self.tensors(&config, prefix), |name| self.has(name, prefix), model, flag)?;
        Ok((config, prefix))
    }

    /// Names and shapes of the tower's tensors, as transformers writes them.
    fn tensors(&self, config: &vit::VitConfig, prefix: &str) -> Vec<(String, Vec<usize>)> {
        let mut all = BTreeMap::new();
        for (name, mut shape) in config.tensors() {
            let rows = shape[0];
            match (self.locate)(&name, prefix) {
                Location::Whole(place) => {
                    // timm's tables have axes for the batch, and the class token one for the tokens.
                    let spare = match name.as_str() {
                        "cls_token" => 2,
                        "pos_embed" => 1,
                        _ => 0,
                    };
                    all.insert(place, shape.split_off(spare));
                }
                Location::Stacked(places) => {
                    shape[0] = rows / 3;
                    all.extend(places.map(|place| (place, shape.clone())));
                }
                Location::Thirds(place, thirds) => {
                    shape[0] = rows / thirds.len() * 3;
                    all.insert(place, shape);
                }
            }
        }
        all.into_iter().collect()
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
                    Location::Stacked(["q", "k", "v"].map(|x| named(&format!("self_attn.{x}_proj"))))
                }
                "attn.proj" => Location::Whole(named("self_attn.out_proj")),
                "norm1" => Location::Whole(named("layer_norm1")),
                "norm2" => Location::Whole(named("layer_norm2")),
                mlp => Location::Whole(named(mlp)),
            }
        }
    }
}
