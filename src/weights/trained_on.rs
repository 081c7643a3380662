//! The frame encoder that a LiFT was trained on, as the LiFT's file records it, and the comparison with the one that is used.
//!
//! Features of another encoder, or of pictures made in another way, have the same shape and mean something else: nothing would show
//! that an embedding of them is worthless. Files that record nothing (the authors' checkpoint, older ones) cannot be compared.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::family::Family;
use super::{EncoderWeights, Store, WeightsError};
use crate::files::hexadecimal;
use crate::model::Pictures;
use crate::model::fold::Tensors;
use crate::video::transform::{Centre, Framing};

/// The metadata key in a LiFT's file.
pub const ENCODER_KEY: &str = "encoder";

/// Metadata keys in a frame encoder's file that was converted: the digest of the numbers before they were rounded, and that of the
/// file that they came from.
const NUMBERS_KEY: &str = "numbers_sha256";
const FILE_KEY: &str = "source_sha256";

/// A frame encoder, by what decides its features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderRecord {
    /// Its family.
    pub family: String,
    /// How its pictures are made.
    pub pictures: Pictures,
    /// SHA-256 of its numbers as f32, in the order of timm's names, whatever file and names they are in; none where only a data set
    /// of features is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<String>,
    /// SHA-256 of its file, or of the file that it was converted from. It decides where the numbers are not known.
    pub file: String,
    /// Where it came from: for people, not compared.
    pub from: String,
}

impl EncoderRecord {
    /// Of loaded weights.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn of(family: &Family, weights: &EncoderWeights) -> Result<Self, WeightsError> {
        let recorded = weights.store().metadata().get(NUMBERS_KEY).cloned();
        let numbers = recorded.map_or_else(|| numbers(weights), Ok).map_err(|e| WeightsError::Unclear {
            origin: weights.store().origin().into(),
            cause: crate::model::cause(&e),
        })?;
        Ok(Self {
            family: family.name.into(),
            pictures: weights.config().pictures,
            numbers: Some(numbers),
            file: weights
                .store()
                .metadata()
                .get(FILE_KEY)
                .cloned()
                .unwrap_or_else(|| weights.store().known_digest()),
            from: weights.store().origin().into(),
        })
    }

    /// Of what an output says of a model that made it: its name, where it came from, its file's digest, its settings. None for a
    /// model that is no frame encoder.
    pub fn of_output(name: &str, from: &str, sha256: &str, settings: Option<&str>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Told {
            pictures: Option<Pictures>,
        }
        let family = Family::named(name)?;
        let told =
            settings.and_then(|text| serde_json::from_str::<Told>(text).ok()).and_then(|told| told.pictures);
        Some(Self {
            family: name.into(),
            pictures: told.unwrap_or(family.pictures),
            numbers: None,
            file: sha256.into(),
            from: from.into(),
        })
    }

    /// What the file of a LiFT records; none where it records nothing.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn in_lift(lift: &Store) -> Result<Option<Self>, WeightsError> {
        let parsed = lift.metadata().get(ENCODER_KEY).map(|text| serde_json::from_str(text));
        parsed.transpose().map_err(|e| WeightsError::Unclear {
            origin: lift.origin().into(),
            cause: format!("its metadata's {ENCODER_KEY} is not understood: {e}"),
        })
    }

    /// Compares the encoder that this file of a LiFT was trained on, if it says so, with the one that is used.
    ///
    /// # Errors
    /// If they differ; the message names both.
    pub fn check(&self, lift: &Store) -> Result<(), WeightsError> {
        match Self::in_lift(lift)? {
            Some(trained) if !trained.is(self) => Err(WeightsError::Unclear {
                origin: lift.origin().into(),
                cause: format!(
                    "this LiFT was trained on the features of {trained}, but the frame encoder here is {self}; pass the encoder that \
                     it was trained on, or a LiFT that was trained on this one (`lift train`)"
                ),
            }),
            Some(_) => Ok(()),
            None => {
                tracing::info!("{}: does not say which frame encoder it was trained on", lift.origin());
                Ok(())
            }
        }
    }

    /// Checks that the published LiFT is used with an encoder of the kind that it was trained on.
    ///
    /// # Errors
    /// If it is of another family, has no registers, or has other pictures.
    pub fn check_published(
        family: &Family,
        weights: &EncoderWeights,
        lift: &Store,
    ) -> Result<(), WeightsError> {
        // One pixel more or less at the edge is not another picture.
        let pictures =
            |of: Pictures| Pictures { framing: Framing { centre: Centre::Down, ..of.framing }, ..of };
        let registers = weights.config().registers;
        if registers == 4 && pictures(weights.config().pictures) == pictures(Pictures::LIFT) {
            return Ok(());
        }
        let here = Self::of(family, weights)?;
        Err(WeightsError::Unclear {
            origin: lift.origin().into(),
            cause: format!(
                "the published LiFT was trained on DINOv2 ViT-S/14 with 4 registers, pictures: {}; the frame encoder here is \
                 {here}, with {registers} registers; leave --dinov2 out, or train a LiFT on its features (`lift train`)",
                Pictures::LIFT
            ),
        })
    }

    /// Whether both give the same features.
    fn is(&self, other: &Self) -> bool {
        self.pictures == other.pictures
            && match (&self.numbers, &other.numbers) {
                // A SigLIP 2 may be called a SigLIP.
                (Some(these), Some(those)) => these == those,
                _ => self.family == other.family && self.file == other.file,
            }
    }
}

impl fmt::Display for EncoderRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, pictures, numbers, file, from } = self;
        let digest = numbers.as_ref().unwrap_or(file);
        write!(f, "{family} ({from}, {}; pictures: {pictures})", digest.get(..12).unwrap_or(digest))
    }
}

/// The tensors with the digests of their numbers and of their file in the metadata, which stay when the numbers are rounded.
pub(super) fn with_numbers(weights: EncoderWeights) -> Store {
    if weights.store().metadata().contains_key(NUMBERS_KEY) {
        return weights.into_store();
    }
    let file = weights.store().digest();
    match numbers(&weights) {
        Ok(digest) => weights.into_store().with_metadata(NUMBERS_KEY, digest).with_metadata(FILE_KEY, file),
        // Whoever writes or reads the numbers gets the error.
        Err(_) => weights.into_store(),
    }
}

fn numbers(weights: &EncoderWeights) -> candle_core::Result<String> {
    let mut digest = Sha256::new();
    for (name, shape) in weights.config().tensors() {
        digest.update(format!("{name} {shape:?}\n"));
        let values = weights.values(&name)?;
        if cfg!(target_endian = "little") {
            digest.update(bytemuck::cast_slice::<f32, u8>(&values));
        } else {
            values.iter().for_each(|value| digest.update(value.to_le_bytes()));
        }
    }
    Ok(hexadecimal(&digest.finalize()))
}
