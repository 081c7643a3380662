//! DINOv2 with registers, LiFT's frame encoder (Oquab et al. 2023, arXiv 2304.07193; Darcet et al. 2023, arXiv 2309.16588).
//!
//! As timm's `vit_*_patch14_reg4_dinov2`: the feature is the class token after the final norm. The network's options and its
//! pictures are those of [`vit::VitConfig::dinov2`].

use crate::model::{IMAGE_SIZE, vit};
use crate::weights::check::{dims, divides, layers, metadata_heads};
use crate::weights::family::Family;
use crate::weights::mini::MINI_DINOV2;
use crate::weights::source::DINOV2_REPO;
use crate::weights::{EncoderWeights, Store, WeightsError};

pub(super) static FAMILY: Family = Family {
    name: "dinov2",
    summary: "DINOv2 with registers, by timm's names; 384 numbers a frame",
    model: MODEL,
    licence: "Apache-2.0",
    repo: DINOV2_REPO,
    revision: "main",
    settings_file: None,
    bundled: Some(("bundled mini DINOv2", MINI_DINOV2)),
    text: None,
    flag: FLAG,
    recognises: |store| {
        store.shape("reg_token").is_some() && store.shape("patch_embed.proj.weight").is_some()
    },
    load: |store, _, heads| {
        let config = check(&store, heads)?;
        Ok(EncoderWeights::by_timms_names(store, config))
    },
    // The file may lack the number of heads, which changes no shape.
    extract: |store, _| check(&store, Some(1)).map(|_| store),
};

/// What a file should be, in messages.
const MODEL: &str = "a DINOv2 with registers";

/// The flag that names a file.
const FLAG: &str = "--dinov2";

/// The head width of every published DINOv2: heads are `width / 64`.
const PUBLISHED_HEAD_WIDTH: usize = 64;

/// The widths of the published sizes S, B, L.
const PUBLISHED_WIDTHS: [usize; 3] = [384, 768, 1024];

/// Compares names and shapes with those of a DINOv2 with registers.
fn check(store: &Store, heads: Option<usize>) -> Result<vit::VitConfig, WeightsError> {
    let config = config(store, heads)?;
    store.check(&config.tensors(), |_| true, MODEL, FLAG)?;
    Ok(config)
}

fn config(store: &Store, heads: Option<usize>) -> Result<vit::VitConfig, WeightsError> {
    let (model, flag) = (MODEL, FLAG);
    let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
    let [_, positions, width] = dims(store, "pos_embed", model, flag)?;
    let [_, registers, _] = dims(store, "reg_token", model, flag)?;
    let [_, _, patch, _] = dims(store, "patch_embed.proj.weight", model, flag)?;
    let [hidden, _] = dims(store, "blocks.0.mlp.fc1.weight", model, flag)?;
    let grid = positions.isqrt();
    if grid * grid != positions {
        return Err(unclear(format!("pos_embed has {positions} rows, which is no square grid of patches")));
    }
    if patch == 0 || !IMAGE_SIZE.is_multiple_of(patch) {
        return Err(unclear(format!("patches of {patch} px do not tile the frame of 224 px")));
    }
    let heads = match heads.map_or_else(|| metadata_heads(store), |h| Ok(Some(h)))? {
        Some(heads) => heads,
        None if PUBLISHED_WIDTHS.contains(&width) => width / PUBLISHED_HEAD_WIDTH,
        None => {
            return Err(unclear(format!(
                "a width of {width} is none of the published sizes, so the number of attention heads must be told: \
                 --heads N, or num_heads in the file's metadata"
            )));
        }
    };
    divides(store, heads, width, "check --heads")?;
    let depth = layers(store, "blocks.");
    Ok(vit::VitConfig { depth, heads, hidden, patch, grid, registers, ..vit::VitConfig::dinov2(width) })
}
