//! The two networks, loaded and checked to fit each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::StageError;
use super::parts::{Embedding, needs_lift, parts_of};
use crate::kernels::Backend;
use crate::later::Later;
use crate::model::cause;
use crate::model::composed::Batched;
use crate::model::device::ComputePlace;
use crate::model::encoder::FrameEncoder;
use crate::model::lift::{FastLift, LiftConfig};
use crate::rows::{Dims, ModelDigest, Part};
use crate::video::transform::Framing;
use crate::weights::{
    self, ENCODER_KEY, EncoderRecord, EncoderWeights, Family, LIFT_FAMILY, Store, WeightsError, WeightsSource,
};

/// Which weights to load.
#[derive(Debug, Clone)]
pub struct ModelChoice {
    /// Which frame encoder.
    pub family: &'static Family,
    /// Its weights.
    pub encoder: WeightsSource,
    /// LiFT.
    pub lift: WeightsSource,
    /// The frame encoder's attention heads, if its file does not say.
    pub heads: Option<usize>,
    /// Never use the internet.
    pub offline: bool,
    /// Instruction set and precision of the frame encoder's kernels on the CPU.
    pub backend: Backend,
    /// The device that runs the frame encoder instead of those kernels, if there is one.
    pub batched: Option<Batched>,
    /// Threads to load with.
    pub threads: usize,
}

impl ModelChoice {
    /// Describes the networks without loading them: the sizes of the parts, and the weights' digests by the network's name.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn describe(
        &self,
        parts: &[Part],
        frames: Option<usize>,
    ) -> Result<(Dims, BTreeMap<String, ModelDigest>), WeightsError> {
        let digest = |store: &Store, settings: Option<&str>| ModelDigest {
            from: store.origin().into(),
            sha256: store.known_digest(),
            settings: settings.map(Into::into),
        };
        self.check(parts)?;
        let encoder = self.load_encoder()?;
        let described = digest(encoder.store(), encoder.settings());
        let mut models = BTreeMap::from([(self.family.to_string(), described)]);
        let mut dims = Dims { frames, features: encoder.config().output, ..Dims::default() };
        if needs_lift(parts) {
            let (store, config) = lift_store(self, dims.features, Some(&encoder))?;
            dims.width = config.latent;
            models.insert("lift".into(), digest(&store, None));
        }
        Ok((dims, models))
    }

    /// SHA-256 of LiFT's file, in hexadecimal.
    ///
    /// # Errors
    /// If the file is absent or wrong.
    pub fn lift_digest(&self) -> Result<String, WeightsError> {
        Ok(self.lift_model()?.sha256)
    }

    /// LiFT's file as outputs name it.
    ///
    /// # Errors
    /// If the file is absent or wrong.
    pub fn lift_model(&self) -> Result<ModelDigest, WeightsError> {
        let (store, _) = weights::load_lift(&self.lift, self.offline)?;
        Ok(ModelDigest { from: store.origin().into(), sha256: store.known_digest(), settings: None })
    }

    /// Whether there can be a LiFT for this frame encoder: the published one reads DINOv2's features alone.
    pub fn has_lift(&self) -> bool {
        self.family == LIFT_FAMILY || self.lift != WeightsSource::Published
    }

    /// Checks that there is a LiFT for the frame encoder, before anything is downloaded.
    fn check(&self, parts: &[Part]) -> Result<(), WeightsError> {
        if self.has_lift() || !needs_lift(parts) {
            return Ok(());
        }
        let family = self.family;
        Err(WeightsError::Unclear {
            origin: format!("--encoder {family}"),
            cause: format!(
                "the published LiFT reads DINOv2's features; train one on {family}'s with `lift train --encoder {family}` and \
                 pass it with --lift, or take the features alone with `lift embed --parts frames`"
            ),
        })
    }

    /// The frame encoder as the file of a LiFT that is trained on its features records it.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub fn encoder_record(&self) -> Result<EncoderRecord, WeightsError> {
        EncoderRecord::of(self.family, &self.load_encoder()?)
    }

    fn load_encoder(&self) -> Result<weights::EncoderWeights, WeightsError> {
        weights::load_encoder(self.family, &self.encoder, self.heads, self.offline)
    }

    /// What decides a run's numbers on any machine: the precision and the kind of device, not the instruction set.
    pub fn precision(&self) -> String {
        match &self.batched {
            None => self.backend.precision().name().into(),
            Some(Batched { place, dtype, .. }) => format!("{} on {}", dtype.as_str(), place.kind()),
        }
    }

    /// What decides the features' last bits besides the weights: part of the name of cached features.
    pub fn arithmetic(&self) -> String {
        match &self.batched {
            None => format!("{:?}", self.backend),
            // All GPUs of a machine count as the same.
            Some(Batched { place: ComputePlace::Cuda(_), dtype, .. }) => format!("cuda {dtype:?}"),
            Some(Batched { place, dtype, .. }) => format!("{place} {dtype:?}"),
        }
    }
}

/// The networks of a run. LiFT is absent if only the frame encoder's features are wanted.
#[derive(Debug)]
pub struct Engine {
    encoder: FrameEncoder,
    lift: Option<(LiftConfig, Later<FastLift>)>,
}

impl Engine {
    /// Loads the frame encoder and, if a part needs it, LiFT. The files are opened and checked; on the CPU their numbers are laid out
    /// while other work goes on.
    ///
    /// # Errors
    /// If a file is absent or wrong, or the two widths differ.
    pub fn load(choice: &ModelChoice, parts: &[Part]) -> Result<Self, WeightsError> {
        choice.check(parts)?;
        let weights = Arc::new(choice.load_encoder()?);
        let (store, config) = (weights.store(), weights.config());
        let encoder = match choice.batched {
            None => FrameEncoder::in_background(weights.clone(), config, choice.backend, choice.threads),
            Some(how) => FrameEncoder::in_batches(&*weights, config, how),
        };
        let encoder = encoder.map_err(|e| unclear(store, &e))?;
        tracing::info!("frame encoder {}: {config:?}, {}", store.origin(), how_it_runs(choice, &encoder));
        let lift = match needs_lift(parts) {
            true => {
                let (store, config) = lift_store(choice, encoder.width(), Some(&weights))?;
                store.names().try_for_each(|name| store.check_numbers(name))?;
                let decodes = parts.contains(&Part::Reconstructed);
                Some((config.clone(), Later::start(move || lift_of(&store, config, decodes))))
            }
            false => None,
        };
        Ok(Self { encoder, lift })
    }

    /// Loads LiFT alone, for features of `width` numbers that are known already, and of the encoder `made_by` if that is known too.
    ///
    /// # Errors
    /// If the file is absent or wrong, or reads features of another width or another encoder.
    pub fn load_lift_alone(
        choice: &ModelChoice,
        width: usize,
        made_by: Option<&EncoderRecord>,
    ) -> Result<LiftAlone, WeightsError> {
        let (store, config) = lift_store(choice, width, None)?;
        if let Some(made_by) = made_by {
            made_by.check(&store)?;
        }
        lift_of(&store, config, true).map(LiftAlone)
    }

    /// The frame encoder.
    pub fn encoder(&self) -> &FrameEncoder {
        &self.encoder
    }

    /// How pictures are cropped and scaled for the frame encoder.
    pub fn framing(&self) -> Framing {
        self.encoder.pictures().framing
    }

    /// The most frames of a clip that LiFT can read; any number without LiFT.
    pub fn max_frames(&self) -> Option<usize> {
        self.lift.as_ref().map(|(config, _)| config.max_len)
    }

    /// The sizes of the parts; `frames` is the number of frames of every clip, if it is fixed.
    pub fn dims(&self, frames: Option<usize>) -> Dims {
        let width = self.lift.as_ref().map_or(0, |(config, _)| config.latent);
        Dims { frames, width, features: self.encoder.width(), ..Dims::default() }
    }

    /// The parts of one clip from its features `(T, D)`, row-major.
    ///
    /// # Errors
    /// If LiFT cannot read so many frames, or a value is not finite.
    pub fn finish(
        &self,
        features: Vec<f32>,
        parts: &[Part],
        normalize: bool,
    ) -> Result<Embedding, StageError> {
        let lift = self.lift.as_ref().filter(|_| needs_lift(parts)).map(|(_, lift)| lift.get());
        let lift = lift.transpose().map_err(|why| StageError { stage: "lift", cause: why.into() })?;
        parts_of(lift, features, self.encoder.width(), parts, normalize)
    }
}

/// How the frame encoder runs, for the log.
fn how_it_runs(choice: &ModelChoice, encoder: &FrameEncoder) -> String {
    match (&choice.batched, encoder.batched()) {
        (Some(how), Some(batched)) => {
            format!("{}, {}, batches of {}", how.place, how.dtype.as_str(), batched.batch())
        }
        _ => format!(
            "{}, {}, {} threads",
            choice.backend.isa().name(),
            choice.backend.precision().name(),
            choice.threads
        ),
    }
}

/// LiFT without a frame encoder.
#[derive(Debug)]
pub struct LiftAlone(FastLift);

impl LiftAlone {
    /// `W`: the width of each of the two codes.
    pub fn width(&self) -> usize {
        self.0.config().latent
    }

    /// The most frames of a clip that it can read.
    pub fn max_frames(&self) -> usize {
        self.0.config().max_len
    }

    /// The parts of one clip from its features `(T, width)`, row-major.
    ///
    /// # Errors
    /// If LiFT cannot read so many frames, or a value is not finite.
    pub fn finish(
        &self,
        features: Vec<f32>,
        width: usize,
        parts: &[Part],
        normalize: bool,
    ) -> Result<Embedding, StageError> {
        parts_of(Some(&self.0), features, width, parts, normalize)
    }

    /// The embedding `(2W)` of a clip's features `(T, D)`, row-major.
    ///
    /// # Errors
    /// If LiFT cannot read so many frames.
    pub fn concat(&self, features: &[f32]) -> candle_core::Result<Vec<f32>> {
        self.0.encode(features)
    }
}

/// LiFT's file, for features of `width` numbers of this encoder, if it is known.
fn lift_store(
    choice: &ModelChoice,
    width: usize,
    encoder: Option<&EncoderWeights>,
) -> Result<(Store, LiftConfig), WeightsError> {
    let (store, config) = weights::load_lift(&choice.lift, choice.offline)?;
    if config.feature != width {
        let cause = match encoder {
            Some(_) => format!(
                "LiFT reads features of width {}, the frame encoder ({}) gives {width}; pass a LiFT that fits with --lift, train \
                 one with `lift train`, or take the features alone with `lift embed --parts frames`",
                config.feature, choice.family
            ),
            None => format!(
                "LiFT reads features of width {}, and these have width {width}; pass a LiFT that fits with --lift, or train one \
                 on them with `lift train`",
                config.feature
            ),
        };
        return Err(WeightsError::Unclear { origin: store.origin().into(), cause });
    }
    if let Some(encoder) = encoder {
        // The digest of the encoder's numbers takes time, so it is computed for a LiFT that records one.
        if store.metadata().contains_key(ENCODER_KEY) {
            EncoderRecord::of(choice.family, encoder)?.check(&store)?;
        }
        if choice.lift == WeightsSource::Published {
            EncoderRecord::check_published(choice.family, encoder, &store)?;
        }
    }
    Ok((store, config))
}

/// LiFT, with its decoder if a part needs it.
fn lift_of(store: &Store, config: LiftConfig, decodes: bool) -> Result<FastLift, WeightsError> {
    tracing::info!("LiFT {}: {config:?}", store.origin());
    FastLift::new(store, config, decodes).map_err(|e| unclear(store, &e))
}

fn unclear(store: &Store, error: &candle_core::Error) -> WeightsError {
    WeightsError::Unclear { origin: store.origin().into(), cause: cause(error) }
}
