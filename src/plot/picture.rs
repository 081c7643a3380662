//! A scene as the bytes of a picture file: PNG, SVG or PDF, by the extension of the file's name.

use std::path::{Path, PathBuf};

use super::scene::Scene;
use super::{pdf, raster, svg};

/// Dots per inch of a PNG: one and a half pixels per CSS pixel, which is sharp on most screens.
const DPI: f64 = 144.0;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The extension stands for no picture.
    #[error("{0}: a figure is written as .png, .svg or .pdf")]
    Extension(PathBuf),
    /// Drawing failed.
    #[error("the figure cannot be drawn: {0}")]
    Draw(String),
}

/// The picture formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Pixels.
    Png,
    /// Lines.
    Svg,
    /// Lines, on a page for print.
    Pdf,
}

impl PictureFormat {
    /// The format of a file name.
    ///
    /// # Errors
    /// [`PictureError::Extension`] for another extension.
    pub fn of(path: &Path) -> Result<Self, PictureError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            Some("pdf") => Ok(Self::Pdf),
            _ => Err(PictureError::Extension(path.to_owned())),
        }
    }

    /// The bytes of `scene` as a file of this format.
    ///
    /// # Errors
    /// [`PictureError::Draw`] with what the picture encoder says.
    pub fn bytes(self, scene: &Scene) -> Result<Vec<u8>, PictureError> {
        let drawn = |error: &dyn std::fmt::Display| PictureError::Draw(error.to_string());
        match self {
            Self::Png => raster::png(scene, DPI).map_err(|e| drawn(&e)),
            Self::Svg => svg::svg(scene).map(String::into_bytes).map_err(|e| drawn(&e)),
            Self::Pdf => pdf::pdf(scene).map_err(|e| drawn(&e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_extension_is_refused() {
        let error = PictureFormat::of(Path::new("cia.jpg")).unwrap_err().to_string();
        assert_eq!(error, "cia.jpg: a figure is written as .png, .svg or .pdf");
    }
}
