//! SigLIP (Zhai et al. 2023, arXiv 2303.15343).
//!
//! A SigLIP 2 has the same tensors and other pictures: [`super::siglip2`]. Its settings are obeyed here too.
//!
//! As `SiglipModel.get_image_features` of transformers: the feature is what a learned query gathers from all patches.

use crate::kernels::Activation;
use crate::model::Pictures;
use crate::model::positions::Resampling;
use crate::model::text::TextKind;
use crate::model::vit::{HeadKind, Positions, VitOptions};
use crate::video::transform::{Centre, Filter, Framing, Resize};
use crate::weights::encoder::Location;
use crate::weights::family::{Family, TextFamily};
use crate::weights::pictures::PREPROCESSOR_FILE;
use crate::weights::source::{CONFIG_FILE, ENCODER_FLAG};
use crate::weights::trained_on::with_numbers;
use crate::weights::transformers::{self, Tower};

pub(super) static FAMILY: Family = Family {
    name: "siglip",
    summary: "SigLIP, by transformers' names: google/siglip-base-patch16-224, 768 numbers a frame",
    model: MODEL,
    licence: "Apache-2.0",
    // The smallest for pictures of 224 x 224.
    repo: "google/siglip-base-patch16-224",
    revision: "main",
    gate: None,
    settings_file: Some(CONFIG_FILE),
    pictures_file: |_| Some(PREPROCESSOR_FILE),
    pictures: TOWER.pictures,
    network: || TOWER.network(12, 768, 768, 16),
    bundled: None,
    text: Some(TEXT),
    flag: ENCODER_FLAG,
    recognises: |store| TOWER.recognises(store),
    load: |store, file, heads| TOWER.load(store, file, heads),
    extract: |store, file| TOWER.load(store, file, None).map(with_numbers),
};

/// The text tower.
pub(super) const TEXT: TextFamily = TextFamily {
    kind: TextKind::Siglip,
    model_type: "siglip",
    model: "the text tower of a SigLIP, as transformers names its tensors",
    heads: 12,
    activation: Activation::GeluTanh,
    norm_eps: 1e-6,
};

/// What a file should be, in messages.
pub(super) const MODEL: &str = "the vision tower of a SigLIP, as transformers names its tensors";

static TOWER: Tower = VISION;

/// The vision tower.
pub(super) const VISION: Tower = Tower {
    family: "siglip",
    model: MODEL,
    mark: "head.probe",
    projection: None,
    locate,
    options: VitOptions {
        class_token: false,
        positions: Positions::Table { class: false, resampling: Resampling::Antialiased },
        patch_bias: true,
        qkv_bias: true,
        gated: false,
        norm_pre: false,
        layer_scale: false,
        head: HeadKind::AttentionPool,
    },
    // As transformers' `SiglipImageProcessorPil` makes them.
    pictures: Pictures {
        framing: Framing {
            resize: Resize::Both(224),
            side: 224,
            filter: Filter::Bicubic,
            centre: Centre::Down,
        },
        mean: [0.5; 3],
        std: [0.5; 3],
    },
    activation: Activation::GeluTanh,
    norm_eps: 1e-6,
};

fn locate(name: &str, prefix: &str) -> Location {
    let Some(name) = name.strip_prefix("attn_pool.") else { return transformers::locate(name, prefix) };
    let (layer, part) = name.rsplit_once('.').unwrap_or(("", name));
    let whole = |name: &str| Location::Whole(format!("{prefix}head.{name}"));
    let in_proj = |thirds| Location::Thirds(format!("{prefix}head.attention.in_proj_{part}"), thirds);
    match layer {
        "" => whole("probe"),
        "q" => in_proj(0..1),
        "kv" => in_proj(1..3),
        "proj" => whole(&format!("attention.out_proj.{part}")),
        "norm" => whole(&format!("layernorm.{part}")),
        mlp => whole(&format!("{mlp}.{part}")),
    }
}
