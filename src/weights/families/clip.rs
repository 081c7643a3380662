//! CLIP (Radford et al. 2021, arXiv 2103.00020).
//!
//! As `CLIPModel.get_image_features` of transformers: the feature is the class token after the final norm, projected to the
//! space that texts share; its length is left as it is.

use crate::kernels::Activation;
use crate::model::Pictures;
use crate::model::text::TextKind;
use crate::model::vit::{HeadKind, VitOptions};
use crate::video::transform::Framing;
use crate::weights::EncoderWeights;
use crate::weights::encoder::Location;
use crate::weights::family::{Family, TextFamily};
use crate::weights::source::{CONFIG_FILE, ENCODER_FLAG};
use crate::weights::transformers::{self, Tower};

pub(super) static FAMILY: Family = Family {
    name: "clip",
    summary: "CLIP, by transformers' names: openai/clip-vit-base-patch32's projected image embeddings, 512 numbers a frame",
    model: MODEL,
    licence: "MIT",
    repo: "openai/clip-vit-base-patch32",
    // OpenAI's own branch has no safetensors; the hub's conversion is in this one.
    revision: "refs/pr/15",
    settings_file: Some(CONFIG_FILE),
    bundled: None,
    text: Some(TextFamily {
        kind: TextKind::Clip,
        model: "the text tower of a CLIP with its projection, as transformers names its tensors",
        heads: 8,
        activation: Activation::QuickGelu,
        norm_eps: 1e-5,
    }),
    flag: ENCODER_FLAG,
    recognises: |store| TOWER.recognises(store),
    load: |store, file, heads| TOWER.load(store, file, heads),
    extract: |store, file| TOWER.load(store, file, None).map(EncoderWeights::into_store),
};

/// The projection, which is outside the tower.
const PROJECTION: &str = "visual_projection.weight";

/// What a file should be, in messages.
const MODEL: &str = "the vision tower of a CLIP with its projection, as transformers names its tensors";

static TOWER: Tower = Tower {
    family: "clip",
    model: MODEL,
    mark: "embeddings.class_embedding",
    projection: Some(PROJECTION),
    locate,
    options: VitOptions {
        class_token: true,
        class_position: true,
        patch_bias: false,
        norm_pre: true,
        layer_scale: false,
        head: HeadKind::Projection,
    },
    pictures: Pictures {
        framing: Framing::ShorterTo224,
        // Of CLIP's own training pictures.
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
    },
    activation: Activation::QuickGelu,
    norm_eps: 1e-5,
};

fn locate(name: &str, prefix: &str) -> Location {
    match name.rsplit_once('.').unwrap_or((name, "")) {
        ("cls_token", _) => Location::Whole(format!("{prefix}embeddings.class_embedding")),
        ("norm_pre", part) => Location::Whole(format!("{prefix}pre_layrnorm.{part}")),
        ("head", _) => Location::Whole(PROJECTION.into()),
        _ => transformers::locate(name, prefix),
    }
}
