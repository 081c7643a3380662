//! DINOv3 (Siméoni et al. 2025, arXiv 2508.10104): patches of 16, four registers, rotary positions, gated MLPs where the size has them.
//!
//! As transformers' `DINOv3ViTModel` and timm's `vit_*_patch16_dinov3` with `global_pool='token'`: the feature is the class token
//! after the final norm. (timm's default is the patches' mean, which is not what the authors read.) Biases of the keys are zero; a
//! file has those of queries and values, or none (timm's models without `qkvb`, whose biases were zero).
//!
//! Pictures are the authors' of 224 x 224, both sides resized bilinearly; timm's `config.json` asks for 256 x 256, bicubic, and is
//! obeyed beside a file with timm's names.

use crate::model::positions::Resampling;
use crate::model::{IMAGENET, Pictures, vit};
use crate::video::transform::{Centre, Filter, Framing, Resize};
use crate::weights::dino::{Dino, Naming, as_timm, of_block};
use crate::weights::encoder::Location;
use crate::weights::family::Family;
use crate::weights::pictures::{OF_TIMM, OF_TRANSFORMERS, SettingsForm};
use crate::weights::source::ENCODER_FLAG;
use crate::weights::trained_on::with_numbers;

pub(super) static FAMILY: Family = Family {
    name: "dinov3",
    summary: "DINOv3, by the names of transformers or timm: facebook/dinov3-vits16-pretrain-lvd1689m, 384 numbers a frame",
    model: MODEL,
    licence: "DINOv3 License, Meta's own",
    repo: "facebook/dinov3-vits16-pretrain-lvd1689m",
    revision: "main",
    gate: Some("Meta gives these weights to those who accept the DINOv3 License with a Hugging Face account"),
    settings_file: None,
    pictures_file: |store| DINO.pictures_file(store),
    pictures: PICTURES,
    network: || network(384),
    bundled: None,
    text: None,
    flag: ENCODER_FLAG,
    recognises: |store| DINO.recognises(store),
    load: |store, file, heads| DINO.load(store, file, heads),
    // The file may lack the number of heads, which changes no shape.
    extract: |store, file| DINO.load(store, file, Some(1)).map(with_numbers),
};

/// What a file should be, in messages.
const MODEL: &str = "a DINOv3 ViT";

/// transformers' `DINOv3ViTImageProcessor`, but for the rounding to bytes between resizing and normalising.
const PICTURES: Pictures = Pictures {
    framing: Framing { resize: Resize::Both(224), side: 224, filter: Filter::Bilinear, centre: Centre::Down },
    mean: IMAGENET.0,
    std: IMAGENET.1,
};

static DINO: Dino = Dino {
    family: "dinov3",
    model: MODEL,
    flag: ENCODER_FLAG,
    namings: &NAMINGS,
    // S and S+, B, L, H+.
    widths: &[384, 768, 1024, 1280],
    network,
    table: false,
};

/// A DINOv3 of this width, whose other numbers are those of ViT-S/16 as published.
fn network(width: usize) -> vit::VitConfig {
    let plain = vit::VitConfig::dinov2(width);
    vit::VitConfig {
        options: vit::VitOptions { positions: vit::Positions::Rotary, ..plain.options },
        pictures: PICTURES,
        norm_eps: 1e-5,
        patch: 16,
        grid: 0,
        ..plain
    }
}

static NAMINGS: [Naming; 4] = [
    Naming { marks: &["reg_token", "blocks.0.gamma_1", "blocks.0.mlp.fc1_g.weight"], ..of_timm(timm_gated) },
    Naming { marks: &["reg_token", "blocks.0.gamma_1"], ..of_timm(timm) },
    Naming { marks: &[REGISTERS, "layer.0.mlp.gate_proj.weight"], ..of_transformers(transformers_gated) },
    Naming { marks: &[REGISTERS, "layer.0.layer_scale1.lambda1"], ..of_transformers(transformers) },
];

/// What says how pictures are made, beside a file with timm's names and with transformers'.
static FORMS: [&SettingsForm; 2] = [&OF_TRANSFORMERS, &OF_TIMM];
static FORMS_OF_TRANSFORMERS: [&SettingsForm; 1] = [&OF_TRANSFORMERS];

/// A mark of transformers' names.
const REGISTERS: &str = "embeddings.register_tokens";

const fn of_timm(locate: fn(&str, &str) -> Location) -> Naming {
    Naming {
        prefix: "",
        marks: &[],
        locate,
        unused: &[],
        // There is no table.
        resampling: Resampling::Antialiased,
        types: &[],
        pictures: &FORMS,
        published_pictures: Some(&OF_TIMM),
    }
}

const fn of_transformers(locate: fn(&str, &str) -> Location) -> Naming {
    Naming {
        unused: &["embeddings.mask_token"],
        types: &["dinov3_vit"],
        pictures: &FORMS_OF_TRANSFORMERS,
        published_pictures: Some(&OF_TRANSFORMERS),
        ..of_timm(locate)
    }
}

fn timm(name: &str, prefix: &str) -> Location {
    let bias = |index: &str, x: &str| Some(format!("blocks.{index}.attn.{x}_bias"));
    match of_block(name) {
        Some((index, "attn.qkv", "bias")) => {
            Location::Stacked(vec![bias(index, "q"), None, bias(index, "v")])
        }
        Some((index, "ls1", _)) => Location::Whole(format!("blocks.{index}.gamma_1")),
        Some((index, "ls2", _)) => Location::Whole(format!("blocks.{index}.gamma_2")),
        _ => as_timm(name, prefix),
    }
}

fn timm_gated(name: &str, prefix: &str) -> Location {
    match of_block(name) {
        Some((index, "mlp.fc1", part)) => {
            Location::Stacked(["g", "x"].map(|x| Some(format!("blocks.{index}.mlp.fc1_{x}.{part}"))).into())
        }
        _ => timm(name, prefix),
    }
}

fn transformers(name: &str, _: &str) -> Location {
    let whole = |place: String| Location::Whole(place);
    if let Some((index, layer, part)) = of_block(name) {
        let named = |layer: &str| format!("layer.{index}.{layer}.{part}");
        return match layer {
            "attn.qkv" => {
                let part =
                    |x: &str| (part == "weight" || x != "k").then(|| named(&format!("attention.{x}_proj")));
                Location::Stacked(["q", "k", "v"].map(part).into())
            }
            "attn.proj" => whole(named("attention.o_proj")),
            "ls1" => whole(format!("layer.{index}.layer_scale1.lambda1")),
            "ls2" => whole(format!("layer.{index}.layer_scale2.lambda1")),
            "mlp.fc1" => whole(named("mlp.up_proj")),
            "mlp.fc2" => whole(named("mlp.down_proj")),
            other => whole(named(other)),
        };
    }
    whole(match name.rsplit_once('.').unwrap_or((name, "")) {
        ("cls_token", _) => "embeddings.cls_token".into(),
        ("reg_token", _) => REGISTERS.into(),
        ("patch_embed.proj", part) => format!("embeddings.patch_embeddings.{part}"),
        (other, part) => format!("{other}.{part}"),
    })
}

fn transformers_gated(name: &str, prefix: &str) -> Location {
    match of_block(name) {
        Some((index, "mlp.fc1", part)) => Location::Stacked(
            ["gate", "up"].map(|x| Some(format!("layer.{index}.mlp.{x}_proj.{part}"))).into(),
        ),
        _ => transformers(name, prefix),
    }
}
