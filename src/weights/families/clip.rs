//! CLIP (Radford et al. 2021, arXiv 2103.00020).
//!
//! As `CLIPModel.get_image_features` of transformers: the feature is the class token after the final norm, projected to the
//! space that texts share; its length is left as it is.

use crate::kernels::Activation;
use crate::model::Pictures;
use crate::model::positions::Resampling;
use crate::model::text::TextKind;
use crate::model::vit::{HeadKind, Positions, VitOptions};
use crate::video::transform::{Centre, Filter, Framing, Resize};
use crate::weights::encoder::Location;
use crate::weights::family::{Family, TextFamily};
use crate::weights::pictures::{CLIP_STATISTICS, PREPROCESSOR_FILE};
use crate::weights::source::{CONFIG_FILE, ENCODER_FLAG};
use crate::weights::trained_on::with_numbers;
use crate::weights::transformers::{self, Tower};

pub(super) static FAMILY: Family = Family {
    name: "clip",
    summary: "CLIP, by transformers' names: openai/clip-vit-base-patch32's projected image embeddings, 512 numbers a frame",
    model: MODEL,
    licence: "MIT",
    repo: "openai/clip-vit-base-patch32",
    // OpenAI's own branch has no safetensors; the hub's conversion is in this one.
    revision: "refs/pr/15",
    gate: None,
    settings_file: Some(CONFIG_FILE),
    pictures_file: |_| Some(PREPROCESSOR_FILE),
    pictures: PICTURES,
    network: || TOWER.network(12, 768, 512, 32),
    bundled: None,
    text: Some(TextFamily {
        kind: TextKind::Clip,
        model_type: "clip",
        model: "the text tower of a CLIP with its projection, as transformers names its tensors",
        heads: 8,
        activation: Activation::QuickGelu,
        norm_eps: 1e-5,
    }),
    flag: ENCODER_FLAG,
    recognises: |store| TOWER.recognises(store),
    load: |store, file, heads| TOWER.load(store, file, heads),
    extract: |store, file| TOWER.load(store, file, None).map(with_numbers),
};

/// The projection, which is outside the tower.
const PROJECTION: &str = "visual_projection.weight";

/// What a file should be, in messages.
const MODEL: &str = "the vision tower of a CLIP with its projection, as transformers names its tensors";

/// As transformers' `CLIPImageProcessorPil` makes them.
const PICTURES: Pictures = Pictures {
    framing: Framing {
        resize: Resize::Shorter(224),
        side: 224,
        filter: Filter::Bicubic,
        centre: Centre::Down,
    },
    mean: CLIP_STATISTICS.0,
    std: CLIP_STATISTICS.1,
};

static TOWER: Tower = Tower {
    family: "clip",
    model: MODEL,
    mark: "embeddings.class_embedding",
    projection: Some(PROJECTION),
    locate,
    options: VitOptions {
        class_token: true,
        positions: Positions::Table { class: true, resampling: Resampling::Antialiased },
        patch_bias: false,
        qkv_bias: true,
        gated: false,
        norm_pre: true,
        layer_scale: false,
        head: HeadKind::Projection,
    },
    pictures: PICTURES,
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
