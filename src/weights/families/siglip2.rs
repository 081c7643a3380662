//! SigLIP 2 of fixed size (Tschannen et al. 2025, arXiv 2502.14786): the networks of SigLIP, but pictures are resized bilinearly.
//!
//! As `SiglipModel.get_image_features` of transformers, whose settings call these models `siglip`. Base with patches of 16 at 224 and
//! 256, large with 16 at 256, so400m with 14 at 224 and 384. (At 384, 27 patches of 14 leave 6 pixels unseen, as in transformers.)
//! The NaFlex models, whose pictures keep their proportions, are another network.

use crate::model::Pictures;
use crate::video::transform::{Filter, Framing};
use crate::weights::families::siglip::{MODEL, TEXT, VISION};
use crate::weights::family::Family;
use crate::weights::pictures::PREPROCESSOR_FILE;
use crate::weights::source::{CONFIG_FILE, ENCODER_FLAG};
use crate::weights::trained_on::with_numbers;
use crate::weights::transformers::Tower;

pub(super) static FAMILY: Family = Family {
    name: "siglip2",
    summary: "SigLIP 2, by transformers' names: google/siglip2-base-patch16-224, 768 numbers a frame",
    model: MODEL,
    licence: "Apache-2.0",
    // The smallest for pictures of 224 x 224.
    repo: "google/siglip2-base-patch16-224",
    revision: "main",
    gate: None,
    settings_file: Some(CONFIG_FILE),
    pictures_file: |_| Some(PREPROCESSOR_FILE),
    pictures: PICTURES,
    network: || TOWER.network(12, 768, 768, 16),
    bundled: None,
    text: Some(TEXT),
    flag: ENCODER_FLAG,
    recognises: |store| TOWER.recognises(store),
    load: |store, file, heads| TOWER.load(store, file, heads),
    extract: |store, file| TOWER.load(store, file, None).map(with_numbers),
};

const PICTURES: Pictures =
    Pictures { framing: Framing { filter: Filter::Bilinear, ..VISION.pictures.framing }, ..VISION.pictures };

static TOWER: Tower = Tower { pictures: PICTURES, ..VISION };
