//! CLIP and SigLIP as transformers keeps them: their vision towers' tensors under timm's names, and their settings.
//!
//! Such a file may hold the tower for texts too, which is left alone; of the tower for pictures every tensor must be there, and
//! no other. What changes numbers and no shape (heads, activation, epsilon) stands in the `config.json` beside the file, or
//! in the file's metadata under `config`, where [`super::carry`] and [`super::convert`] put it; without either a file is
//! refused, for guessing wrong would go unnoticed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::{dims, divides, layers};
use super::source::{CONFIG_FILE, ENCODER_FLAG};
use super::{Store, WeightsError};
use crate::kernels::Activation;
use crate::model::fold::Tensors;
use crate::model::{Family, IMAGE_SIZE, vit};

/// The metadata key that holds the same.
const CONFIG_KEY: &str = "config";

/// The settings that the tensors do not tell, by transformers' names; what a file leaves out has the value that
/// transformers gives it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    model_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_act: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_attention_heads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_norm_eps: Option<f64>,
    /// The same for the tower of pictures, in the file of a model that has one for texts too.
    #[serde(skip_serializing_if = "Option::is_none")]
    vision_config: Option<Box<Settings>>,
}

impl Settings {
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

    /// Those of the tower for pictures, once they are known to be of this family.
    fn of_vision(self, family: Family) -> Result<Self, String> {
        let whole = family.name();
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

    /// With the family's name, so that they stand by themselves.
    fn named(self, family: Family) -> Self {
        Self { model_type: Some(format!("{family}_vision_model")), vision_config: None, ..self }
    }

    /// The activation that is named, if one is.
    fn activation(&self) -> Result<Option<Activation>, String> {
        let Some(name) = &self.hidden_act else { return Ok(None) };
        match name.as_str() {
            "gelu" => Ok(Some(Activation::Gelu)),
            "gelu_pytorch_tanh" | "gelu_new" => Ok(Some(Activation::GeluTanh)),
            "quick_gelu" => Ok(Some(Activation::QuickGelu)),
            other => Err(format!(
                "its activation {other} is none of gelu, gelu_pytorch_tanh, gelu_new, quick_gelu"
            )),
        }
    }
}

/// The family of a file that holds a CLIP or a SigLIP, with what its names begin with.
pub(super) fn recognised(store: &Store) -> Option<(Family, &'static str)> {
    // A tower saved by itself has no prefix.
    let prefix = ["vision_model.", ""]
        .into_iter()
        .find(|prefix| store.shape(&format!("{prefix}embeddings.patch_embedding.weight")).is_some())?;
    let tells = [(Family::Clip, "embeddings.class_embedding"), (Family::Siglip, "head.probe")];
    let (family, _) =
        tells.into_iter().find(|(_, name)| store.shape(&format!("{prefix}{name}")).is_some())?;
    Some((family, prefix))
}

/// Whether a tensor is the tower for pictures'. Older files number the positions in a tensor of its own.
fn is_towers(name: &str, prefix: &str) -> bool {
    let position_ids = name.strip_prefix(prefix) == Some("embeddings.position_ids");
    !position_ids && (name.starts_with(prefix) || name == PROJECTION)
}

/// The tower for pictures alone.
fn tower(mut store: Store, prefix: &str) -> Store {
    store.retain(|name| is_towers(name, prefix));
    store
}

/// CLIP's projection.
const PROJECTION: &str = "visual_projection.weight";

fn article(family: Family) -> &'static str {
    match family {
        Family::Siglip => "the vision tower of a SigLIP, as transformers names its tensors",
        Family::Clip | Family::Dinov2 => {
            "the vision tower of a CLIP with its projection, as transformers names its tensors"
        }
    }
}

/// The shape of a CLIP's or SigLIP's tower for pictures, its names and shapes checked, and what its names begin with. What the
/// tensors do not tell has the value that transformers gives it where nothing is said.
fn checked(store: &Store, family: Family) -> Result<(vit::Config, &'static str), WeightsError> {
    let model = article(family);
    let prefix = match recognised(store) {
        Some((found, prefix)) if found == family => prefix,
        found => {
            let what =
                found.map_or("no such tensors".into(), |(found, _)| format!("those of a {found} instead"));
            let origin = store.origin().into();
            return Err(WeightsError::Tensors { origin, model, differences: what, flag: ENCODER_FLAG });
        }
    };
    let named = |name: &str| format!("{prefix}{name}");
    let [width, _, patch, _] = dims(store, &named("embeddings.patch_embedding.weight"), model, ENCODER_FLAG)?;
    let [positions, _] = dims(store, &named("embeddings.position_embedding.weight"), model, ENCODER_FLAG)?;
    let [hidden, _] = dims(store, &named("encoder.layers.0.mlp.fc1.weight"), model, ENCODER_FLAG)?;
    let output = match family {
        Family::Clip => dims::<2>(store, PROJECTION, model, ENCODER_FLAG)?[0],
        Family::Dinov2 | Family::Siglip => width,
    };
    let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
    let patches = positions - usize::from(family == Family::Clip);
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
    let (activation, norm_eps) = match family {
        Family::Siglip => (Activation::GeluTanh, 1e-6),
        Family::Clip | Family::Dinov2 => (Activation::QuickGelu, 1e-5),
    };
    let config = vit::Config {
        family,
        width,
        output,
        depth: layers(store, &named("encoder.layers.")),
        heads: 12,
        hidden,
        activation,
        norm_eps,
        patch,
        grid,
        registers: 0,
    };
    store.check(&tensors(&config, prefix), |name| is_towers(name, prefix), model, ENCODER_FLAG)?;
    Ok((config, prefix))
}

/// Where a file of transformers keeps the numbers of a tensor that timm has.
enum Place {
    /// In this tensor.
    Whole(String),
    /// In these, one after the other.
    Stacked([String; 3]),
    /// In these thirds of that tensor's rows.
    Thirds(String, Range<usize>),
}

impl Place {
    /// Of timm's `name`; [`vit::Config::tensors`] has them all.
    fn of(name: &str, prefix: &str) -> Self {
        let whole = |name: &str| Self::Whole(format!("{prefix}{name}"));
        let (layer, part) = name.rsplit_once('.').unwrap_or((name, ""));
        let in_proj = |thirds| Self::Thirds(format!("{prefix}head.attention.in_proj_{part}"), thirds);
        match layer {
            "cls_token" => whole("embeddings.class_embedding"),
            "pos_embed" => whole("embeddings.position_embedding.weight"),
            "patch_embed.proj" => whole(&format!("embeddings.patch_embedding.{part}")),
            "norm_pre" => whole(&format!("pre_layrnorm.{part}")),
            "norm" => whole(&format!("post_layernorm.{part}")),
            "head" => Self::Whole(PROJECTION.into()),
            "attn_pool" => whole("head.probe"),
            "attn_pool.q" => in_proj(0..1),
            "attn_pool.kv" => in_proj(1..3),
            "attn_pool.proj" => whole(&format!("head.attention.out_proj.{part}")),
            "attn_pool.norm" => whole(&format!("head.layernorm.{part}")),
            _ => {
                if let Some(mlp) = layer.strip_prefix("attn_pool.") {
                    return whole(&format!("head.{mlp}.{part}"));
                }
                let (index, layer) = layer
                    .strip_prefix("blocks.")
                    .and_then(|rest| rest.split_once('.'))
                    .unwrap_or(("", layer));
                let named = |layer: &str| format!("{prefix}encoder.layers.{index}.{layer}.{part}");
                match layer {
                    "attn.qkv" => {
                        Self::Stacked(["q", "k", "v"].map(|x| named(&format!("self_attn.{x}_proj"))))
                    }
                    "attn.proj" => Self::Whole(named("self_attn.out_proj")),
                    "norm1" => Self::Whole(named("layer_norm1")),
                    "norm2" => Self::Whole(named("layer_norm2")),
                    mlp => Self::Whole(named(mlp)),
                }
            }
        }
    }
}

/// Names and shapes of a tower's tensors in transformers' words.
fn tensors(config: &vit::Config, prefix: &str) -> Vec<(String, Vec<usize>)> {
    let mut all = BTreeMap::new();
    for (name, mut shape) in config.tensors() {
        let rows = shape[0];
        match Place::of(&name, prefix) {
            Place::Whole(place) => {
                // timm's tables have axes for the batch, and the class token one for the tokens.
                let spare = match name.as_str() {
                    "cls_token" => 2,
                    "pos_embed" => 1,
                    _ => 0,
                };
                all.insert(place, shape.split_off(spare));
            }
            Place::Stacked(places) => {
                shape[0] = rows / 3;
                all.extend(places.map(|place| (place, shape.clone())));
            }
            Place::Thirds(place, thirds) => {
                shape[0] = rows / thirds.len() * 3;
                all.insert(place, shape);
            }
        }
    }
    all.into_iter().collect()
}

/// A checked tower for pictures, its tensors to be had by timm's names.
#[derive(Debug)]
pub(super) struct Vision {
    store: Store,
    prefix: &'static str,
}

impl Vision {
    /// The tower in `store`, which came from `file`, and its shape; `heads` overrides the settings' number.
    ///
    /// # Errors
    /// If it is not of this family, its settings are nowhere, or it does not read pictures of 224 x 224.
    pub(super) fn load(
        store: Store,
        file: &Path,
        family: Family,
        heads: Option<usize>,
    ) -> Result<(Self, vit::Config), WeightsError> {
        // The tensors first: of a file that is none of this family no settings need be looked for.
        let (mut config, prefix) = checked(&store, family)?;
        let unclear = |cause| WeightsError::Unclear { origin: store.origin().into(), cause };
        let settings = Settings::of(&store, file)?.of_vision(family).map_err(unclear)?;
        config.heads = heads.or(settings.num_attention_heads).unwrap_or(config.heads);
        divides(
            &store,
            config.heads,
            config.width,
            "check num_attention_heads in its config.json, or --heads",
        )?;
        config.activation = settings.activation().map_err(unclear)?.unwrap_or(config.activation);
        config.norm_eps = settings.layer_norm_eps.unwrap_or(config.norm_eps);
        let text = serde_json::to_string(&settings.named(family)).unwrap_or_default();
        let store = tower(store, prefix).with_metadata(CONFIG_KEY, text);
        Ok((Self { store, prefix }, config))
    }

    /// The tower's tensors by transformers' names, its settings in the metadata.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Its settings, in JSON.
    pub(super) fn settings(&self) -> &str {
        self.store.metadata().get(CONFIG_KEY).map_or("", String::as_str)
    }

    /// [`Self::store`], given away.
    pub(super) fn into_store(self) -> Store {
        self.store
    }
}

impl Tensors for Vision {
    fn values(&self, name: &str) -> candle_core::Result<Cow<'_, [f32]>> {
        match Place::of(name, self.prefix) {
            Place::Whole(place) => self.store.values(&place),
            Place::Stacked(places) => {
                let mut all = Vec::new();
                for place in places {
                    all.extend_from_slice(&self.store.values(&place)?);
                }
                Ok(Cow::Owned(all))
            }
            Place::Thirds(place, thirds) => {
                let all = self.store.values(&place)?;
                let third = all.len() / 3;
                Ok(Cow::Owned(all[thirds.start * third..thirds.end * third].to_vec()))
            }
        }
    }
}
