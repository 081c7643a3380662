//! What a figure is drawn from: one clip's frames and its two paths through feature space.
//!
//! This is plain data, so that figures depend on neither the video decoder nor the network, and can also be drawn from a
//! file with the parts `frames,reconstructed`. The data is checked once, by [`ClipPaths::check`]; all figures rely on that.

use image::RgbImage;

/// The features of a clip, one row per frame: `(T, D)`, row-major f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    width: usize,
    values: Vec<f32>,
}

impl Features {
    /// Wraps `(T, D)` row-major values of width `D`.
    ///
    /// # Errors
    /// [`ClipError::Ragged`] unless `D` is positive and divides the number of values.
    pub fn new(width: usize, values: Vec<f32>) -> Result<Self, ClipError> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(ClipError::Ragged { values: values.len(), width });
        }
        Ok(Self { width, values })
    }

    /// Number of frames, `T`.
    pub fn frames(&self) -> usize {
        self.values.len() / self.width
    }

    /// Feature width, `D`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The rows in time order, each of `D` values.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width)
    }

    /// The same rows backwards in time.
    pub fn reversed(&self) -> Self {
        Self { width: self.width, values: self.rows().rev().flatten().copied().collect() }
    }
}

/// Why a clip cannot be drawn.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ClipError {
    /// The values do not fill whole rows.
    #[error("{values} values do not make rows of {width}: the part is not of shape (T, D)")]
    Ragged {
        /// Number of values given.
        values: usize,
        /// Width of a row.
        width: usize,
    },
    /// One frame is a point, not a path.
    #[error("\"{title}\" has {frames} frame(s): a path needs at least 2")]
    TooShort {
        /// The clip's title.
        title: String,
        /// Its number of frames.
        frames: usize,
    },
    /// The two paths differ in shape.
    #[error(
        "\"{title}\": frame features are {}x{} but the reconstruction is {}x{}; both parts must come from one run",
        features.0, features.1, reconstructed.0, reconstructed.1
    )]
    Shape {
        /// The clip's title.
        title: String,
        /// `(T, D)` of the features.
        features: (usize, usize),
        /// `(T, D)` of the reconstruction.
        reconstructed: (usize, usize),
    },
    /// The number of pictures differs from the number of features.
    #[error("\"{title}\" has {pictures} pictures for {frames} frame features")]
    Pictures {
        /// The clip's title.
        title: String,
        /// Number of pictures.
        pictures: usize,
        /// Number of feature rows.
        frames: usize,
    },
    /// A feature holds NaN or infinity.
    #[error("\"{title}\": a feature of frame {frame} is not a finite number")]
    NotFinite {
        /// The clip's title.
        title: String,
        /// The frame, counted from 1.
        frame: usize,
    },
}

/// One clip: its title, its frames, and its two paths.
#[derive(Debug, Clone)]
pub struct ClipPaths {
    /// The title, any text; it is escaped where it is written.
    pub title: String,
    /// The sampled frames in time order, one per feature row, or none at all (features read from a file).
    pub frames: Vec<RgbImage>,
    /// The frame encoder's features `x`, `(T, D)`.
    pub features: Features,
    /// LiFT's reconstruction of them, `decoder(z_s + t z_d)`, `(T, D)`.
    pub reconstructed: Features,
}

impl ClipPaths {
    /// Number of frames, `T`.
    pub fn len(&self) -> usize {
        self.features.frames()
    }

    /// The clip mirrored in time: the same frames and features, the last first, and the reconstruction that LiFT makes of
    /// them in that order (which is not the first reconstruction backwards).
    pub fn mirrored(&self, reconstructed: Features) -> Self {
        Self {
            title: format!("{}, mirrored in time", self.title),
            frames: self.frames.iter().rev().cloned().collect(),
            features: self.features.reversed(),
            reconstructed,
        }
    }

    /// Whether there is no frame at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks what every figure relies on: at least 2 frames, two paths of the same shape, a picture for each frame or
    /// no pictures, and finite values.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn check(&self) -> Result<(), ClipError> {
        let title = || self.title.clone();
        let shape = |part: &Features| (part.frames(), part.width());
        if shape(&self.features) != shape(&self.reconstructed) {
            return Err(ClipError::Shape {
                title: title(),
                features: shape(&self.features),
                reconstructed: shape(&self.reconstructed),
            });
        }
        if self.len() < 2 {
            return Err(ClipError::TooShort { title: title(), frames: self.len() });
        }
        if !self.frames.is_empty() && self.frames.len() != self.len() {
            return Err(ClipError::Pictures {
                title: title(),
                pictures: self.frames.len(),
                frames: self.len(),
            });
        }
        for part in [&self.features, &self.reconstructed] {
            if let Some(frame) = part.rows().position(|row| row.iter().any(|value| !value.is_finite())) {
                return Err(ClipError::NotFinite { title: title(), frame: frame + 1 });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(frames: usize, pictures: usize) -> ClipPaths {
        let part = Features::new(3, (0..3 * frames).map(|value| value as f32).collect()).unwrap();
        ClipPaths {
            title: "t".into(),
            frames: vec![RgbImage::new(2, 2); pictures],
            features: part.clone(),
            reconstructed: part,
        }
    }

    #[test]
    fn rows_reverse_in_time_only() {
        let part = Features::new(2, vec![1., 2., 3., 4.]).unwrap();
        assert_eq!(part.reversed(), Features::new(2, vec![3., 4., 1., 2.]).unwrap());
        assert!(Features::new(3, vec![1., 2., 3., 4.]).is_err());
        assert!(Features::new(0, vec![]).is_err());
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_its_reason() {
        assert_eq!(clip(2, 0).check(), Ok(()));
        assert_eq!(clip(2, 2).check(), Ok(()));
        assert!(matches!(clip(1, 0).check(), Err(ClipError::TooShort { frames: 1, .. })));
        assert!(matches!(clip(3, 2).check(), Err(ClipError::Pictures { pictures: 2, frames: 3, .. })));
        let mut nan = clip(3, 0);
        nan.reconstructed.values[4] = f32::NAN;
        assert!(matches!(nan.check(), Err(ClipError::NotFinite { frame: 2, .. })));
        let mut other = clip(3, 0);
        other.reconstructed = Features::new(3, vec![0.; 6]).unwrap();
        assert!(matches!(other.check(), Err(ClipError::Shape { .. })));
    }
}
