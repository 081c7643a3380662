//! The parts of a clip, from its features.

use super::StageError;
use crate::model::cause;
use crate::model::lift::FastLift;
use crate::model::symmetry;
use crate::rows::{Dims, Part};
use crate::vector::{length, scale_to_unit};

/// The values of a clip, one list per part asked for, row-major f32.
pub type Embedding = Vec<(Part, Vec<f32>)>;

/// Whether one of the parts is LiFT's.
pub(super) fn needs_lift(parts: &[Part]) -> bool {
    parts.iter().any(|part| part.needs_lift())
}

/// The parts of one clip from its features `(T, width)`, row-major.
pub(super) fn parts_of(
    lift: Option<&FastLift>,
    features: Vec<f32>,
    width: usize,
    parts: &[Part],
    normalize: bool,
) -> Result<Embedding, StageError> {
    let frames = features.len() / width;
    let codes = lift.filter(|_| needs_lift(parts)).map(|lift| LiftCodes::new(lift, &features, width, parts));
    let codes = codes.transpose().map_err(lift_failed)?;
    let part = |part: Part| -> Result<Vec<f32>, StageError> {
        match (part, &codes) {
            (Part::Mean, _) => Ok(mean(&features, width)),
            (Part::Frames, _) => Ok(features.clone()),
            (_, None) => Err(StageError { stage: "lift", cause: format!("the part {part} needs LiFT") }),
            (part, Some(codes)) => codes.part(part, frames).map_err(lift_failed),
        }
    };
    let latent = lift.map_or(0, |lift| lift.config().latent);
    let dims = Dims { frames: Some(frames), width: latent, features: width, ..Dims::default() };
    parts
        .iter()
        .map(|&p| {
            let mut values = part(p)?;
            if values.iter().any(|v| !v.is_finite()) {
                let cause = format!("the part {p} is not finite; check the weights");
                return Err(StageError { stage: "lift", cause });
            }
            if normalize {
                let width = p.shape(frames, dims).last().copied().unwrap_or(1);
                values.chunks_exact_mut(width).for_each(scale_to_unit);
            }
            Ok((p, values))
        })
        .collect()
}

/// What LiFT says of one clip.
struct LiftCodes<'a> {
    lift: &'a FastLift,
    /// The embedding `[z_s, z_d]`, `(2W)`.
    concat: Vec<f32>,
    /// That of the mirrored clip, where a part needs it.
    reversed: Vec<f32>,
}

impl<'a> LiftCodes<'a> {
    /// Of features `(T, D)`, row-major.
    fn new(lift: &'a FastLift, features: &[f32], d: usize, parts: &[Part]) -> candle_core::Result<Self> {
        let reversed = match parts.iter().any(|part| part.needs_mirror()) {
            true => lift.encode(&symmetry::mirrored(features, d))?,
            false => vec![],
        };
        Ok(Self { lift, concat: lift.encode(features)?, reversed })
    }

    /// The values of one of LiFT's parts, of a clip of `frames` frames.
    fn part(&self, part: Part, frames: usize) -> candle_core::Result<Vec<f32>> {
        let (r#static, dynamic) = self.concat.split_at(self.concat.len() / 2);
        Ok(match part {
            Part::Static => r#static.to_vec(),
            Part::Dynamic => dynamic.to_vec(),
            Part::Reversed => self.reversed.clone(),
            Part::Odd => symmetry::odd(&self.concat, &self.reversed),
            Part::Even => symmetry::even(&self.concat, &self.reversed),
            Part::Reconstructed => self.lift.decode(&self.concat, frames)?,
            Part::Concat | Part::Frames | Part::Mean => self.concat.clone(),
        })
    }
}

fn lift_failed(error: candle_core::Error) -> StageError {
    StageError { stage: "lift", cause: cause(&error) }
}

/// The part [`Part::Mean`] of features `(T, width)`, row-major.
fn mean(features: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    for frame in features.chunks_exact(width) {
        let length = length(frame);
        if length > 0.0 {
            sum.iter_mut().zip(frame).for_each(|(sum, x)| *sum += f64::from(*x) / length);
        }
    }
    let mut mean: Vec<f32> =
        sum.into_iter().map(|sum| (sum / (features.len() / width) as f64) as f32).collect();
    scale_to_unit(&mut mean);
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_weighs_every_frame_alike_and_has_length_1() {
        // Directions (1, 0), (0, 1) and a frame without one.
        let mean = mean(&[2.0, 0.0, 0.0, 100.0, 0.0, 0.0], 2);
        assert!(mean.iter().all(|v| (f64::from(*v) - 0.5f64.sqrt()).abs() < 1e-7), "{mean:?}");
        assert_eq!(super::mean(&[0.0; 6], 2), [0.0, 0.0]);
    }
}
