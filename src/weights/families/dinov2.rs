//! DINOv2, LiFT's frame encoder, with registers or without (Oquab et al. 2023, arXiv 2304.07193; Darcet et al. 2023, arXiv 2309.16588).
//!
//! As timm's `vit_*_patch14_dinov2` and `vit_*_patch14_reg4_dinov2`, `dinov2_vit*14` of facebookresearch, and transformers'
//! `Dinov2Model` and `Dinov2WithRegistersModel`: the feature is the class token after the final norm. The three resample positions in
//! different ways where there are no registers, and each file is computed as by those who named it.
//!
//! Pictures are LiFT's, of 224 x 224. timm's `config.json` asks for 518 x 518, which the published LiFT was not trained on; it is
//! not read. A `preprocessor_config.json` is.

use crate::model::positions::Resampling;
use crate::model::{Pictures, vit};
use crate::weights::dino::{Dino, Naming, as_timm, of_block};
use crate::weights::encoder::Location;
use crate::weights::family::Family;
use crate::weights::mini::MINI_DINOV2;
use crate::weights::pictures::{OF_TRANSFORMERS, SettingsForm};
use crate::weights::source::DINOV2_REPO;
use crate::weights::trained_on::with_numbers;

pub(super) static FAMILY: Family = Family {
    name: "dinov2",
    summary: "DINOv2 with registers or without, by the names of timm, facebookresearch or transformers; 384 numbers a frame",
    model: MODEL,
    licence: "Apache-2.0",
    repo: DINOV2_REPO,
    revision: "main",
    gate: None,
    settings_file: None,
    pictures_file: |store| DINO.pictures_file(store),
    pictures: Pictures::LIFT,
    network: vit::VitConfig::vit_small,
    bundled: Some(("bundled mini DINOv2", MINI_DINOV2)),
    text: None,
    flag: FLAG,
    recognises: |store| DINO.recognises(store),
    load: |store, file, heads| DINO.load(store, file, heads),
    // The file may lack the number of heads, which changes no shape.
    extract: |store, file| DINO.load(store, file, Some(1)).map(with_numbers),
};

/// What a file should be, in messages.
const MODEL: &str = "a DINOv2";

/// The flag that names a file.
const FLAG: &str = "--dinov2";

static DINO: Dino = Dino {
    family: "dinov2",
    model: MODEL,
    flag: FLAG,
    namings: &NAMINGS,
    // S, B, L and giant.
    widths: &[384, 768, 1024, 1536],
    network: vit::VitConfig::dinov2,
    table: true,
};

/// In the order of recognition: timm's names are also among facebookresearch's.
static NAMINGS: [Naming; 6] = [
    Naming { marks: &["pos_embed", "mask_token", "blocks.0.mlp.w12.weight"], ..of_facebook(facebook_gated) },
    Naming { marks: &["pos_embed", "mask_token", "patch_embed.proj.weight"], ..of_facebook(facebook) },
    Naming {
        marks: &[POSITIONS, "encoder.layer.0.mlp.weights_in.weight"],
        ..of_transformers(transformers_gated)
    },
    Naming { marks: &[POSITIONS, "encoder.layer.0.layer_scale1.lambda1"], ..of_transformers(transformers) },
    Naming { marks: &["patch_embed.proj.weight", "reg_token", "pos_embed"], ..of_timm() },
    Naming { marks: &["patch_embed.proj.weight", "blocks.0.ls1.gamma", "pos_embed"], ..of_timm() },
];

/// What says how pictures are made.
static FORMS: [&SettingsForm; 1] = [&OF_TRANSFORMERS];

/// A mark of transformers' names.
const POSITIONS: &str = "embeddings.position_embeddings";

const fn of_timm() -> Naming {
    Naming {
        prefix: "",
        marks: &[],
        locate: as_timm,
        unused: &[],
        resampling: Resampling::Antialiased,
        types: &[],
        pictures: &FORMS,
        published_pictures: None,
    }
}

const fn of_facebook(locate: fn(&str, &str) -> Location) -> Naming {
    Naming { locate, unused: &["mask_token"], resampling: Resampling::PlainByFactor, ..of_timm() }
}

const fn of_transformers(locate: fn(&str, &str) -> Location) -> Naming {
    Naming {
        locate,
        unused: &["embeddings.mask_token"],
        resampling: Resampling::Plain,
        types: &["dinov2", "dinov2_with_registers"],
        published_pictures: Some(&OF_TRANSFORMERS),
        ..of_timm()
    }
}

fn facebook(name: &str, _: &str) -> Location {
    Location::Whole(if name == "reg_token" { "register_tokens" } else { name }.into())
}

fn facebook_gated(name: &str, prefix: &str) -> Location {
    match of_block(name) {
        Some((index, "mlp.fc1", part)) => Location::Whole(format!("blocks.{index}.mlp.w12.{part}")),
        Some((index, "mlp.fc2", part)) => Location::Whole(format!("blocks.{index}.mlp.w3.{part}")),
        _ => facebook(name, prefix),
    }
}

fn transformers(name: &str, _: &str) -> Location {
    let whole = |place: String| Location::Whole(place);
    if let Some((index, layer, part)) = of_block(name) {
        let named = |layer: &str| format!("encoder.layer.{index}.{layer}.{part}");
        return match layer {
            "attn.qkv" => {
                let part = |x| Some(named(&format!("attention.attention.{x}")));
                Location::Stacked(["query", "key", "value"].map(part).into())
            }
            "attn.proj" => whole(named("attention.output.dense")),
            "ls1" => whole(format!("encoder.layer.{index}.layer_scale1.lambda1")),
            "ls2" => whole(format!("encoder.layer.{index}.layer_scale2.lambda1")),
            other => whole(named(other)),
        };
    }
    whole(match name.rsplit_once('.').unwrap_or((name, "")) {
        ("cls_token", _) => "embeddings.cls_token".into(),
        ("reg_token", _) => "embeddings.register_tokens".into(),
        ("pos_embed", _) => POSITIONS.into(),
        ("patch_embed.proj", part) => format!("embeddings.patch_embeddings.projection.{part}"),
        (_, part) => format!("layernorm.{part}"),
    })
}

fn transformers_gated(name: &str, prefix: &str) -> Location {
    match of_block(name) {
        Some((index, "mlp.fc1", part)) => {
            Location::Whole(format!("encoder.layer.{index}.mlp.weights_in.{part}"))
        }
        Some((index, "mlp.fc2", part)) => {
            Location::Whole(format!("encoder.layer.{index}.mlp.weights_out.{part}"))
        }
        _ => transformers(name, prefix),
    }
}
