//! A figure as the bytes of a file, in the format that the file's extension names.

use std::path::Path;

use super::drawing::Drawing;
use super::error::DrawError;
use super::figure::{Figure, FigureDraw};
use super::page::{PageClip, page};
use super::project::Method;
use super::scene::Scene;
use super::{compare, gif, moving, mp4, pdf, raster, svg, trajectory};

/// Dots per inch of a still picture: sharp on most screens, and wide enough for a printed page.
const STILL_DPI: f64 = 144.0;

/// The formats of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureFormat {
    /// A still picture of pixels.
    Png,
    /// A still picture of shapes and text.
    Svg,
    /// The same on a page for print.
    Pdf,
    /// An animation.
    Gif,
    /// An animation as a video.
    Mp4,
    /// A page to explore all paths.
    Html,
}

impl FigureFormat {
    /// The format that a file's extension names, in upper or lower case.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "svg" => Some(Self::Svg),
            "pdf" => Some(Self::Pdf),
            "gif" => Some(Self::Gif),
            "mp4" => Some(Self::Mp4),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }

    /// Whether it holds an animation.
    pub fn moves(self) -> bool {
        matches!(self, Self::Gif | Self::Mp4)
    }

    /// The figure that is drawn where none is asked for; none for a page, which is no figure.
    pub fn default_figure(self, clips: usize) -> Option<&'static Figure> {
        match self {
            Self::Html => None,
            Self::Gif | Self::Mp4 => Some(&moving::FIGURE),
            Self::Png | Self::Svg | Self::Pdf if clips > 1 => Some(&compare::FIGURE),
            Self::Png | Self::Svg | Self::Pdf => Some(&trajectory::FIGURE),
        }
    }

    /// Checks that a figure can be written in this format.
    ///
    /// # Errors
    /// [`DrawError::Page`], [`DrawError::NotStill`] or [`DrawError::NotMoving`] if it cannot.
    pub fn check(self, figure: &Figure) -> Result<(), DrawError> {
        match (self, figure.moves()) {
            (Self::Html, _) => Err(DrawError::Page),
            (Self::Png | Self::Svg | Self::Pdf, true) => Err(DrawError::NotStill),
            (Self::Gif | Self::Mp4, false) => Err(DrawError::NotMoving),
            (Self::Png | Self::Svg | Self::Pdf, false) | (Self::Gif | Self::Mp4, true) => Ok(()),
        }
    }
}

/// Draws `figure`, or the format's default if absent, and encodes it: the bytes of a file.
///
/// # Errors
/// See [`DrawError`].
pub fn draw(
    drawing: &Drawing<'_>,
    figure: Option<&'static Figure>,
    format: FigureFormat,
) -> Result<Vec<u8>, DrawError> {
    let Some(figure) = figure.or_else(|| format.default_figure(drawing.clips.len())) else {
        return html(drawing);
    };
    format.check(figure)?;
    match (figure.draw, format) {
        (FigureDraw::Still(draw), format) => still(&draw(drawing)?, format, drawing.look.dpi),
        (FigureDraw::Moving(draw), FigureFormat::Gif) => Ok(gif::gif(&draw(drawing)?)?),
        (FigureDraw::Moving(draw), _) => Ok(mp4::mp4(&draw(drawing)?)?),
    }
}

/// A still figure as the bytes of a file; `dpi`, in dots per inch, is for pixels.
///
/// # Errors
/// See [`DrawError`]; [`DrawError::NotMoving`] and [`DrawError::Page`] for a format that is not still.
pub fn still(scene: &Scene, format: FigureFormat, dpi: Option<f64>) -> Result<Vec<u8>, DrawError> {
    match format {
        FigureFormat::Pdf => Ok(pdf::pdf(scene)?),
        FigureFormat::Svg => Ok(svg::svg(scene)?.into_bytes()),
        FigureFormat::Png => Ok(raster::png(scene, dpi.unwrap_or(STILL_DPI))?),
        FigureFormat::Gif | FigureFormat::Mp4 => Err(DrawError::NotMoving),
        FigureFormat::Html => Err(DrawError::Page),
    }
}

/// The page of all clips in both projections, the one asked for first.
fn html(drawing: &Drawing<'_>) -> Result<Vec<u8>, DrawError> {
    let first = drawing.method();
    let second = if first == Method::Pca { Method::Tsne } else { Method::Pca };
    let projections = [drawing.projection(first)?, drawing.projection(second)?];
    let clips: Vec<PageClip<'_>> =
        drawing.clips.iter().map(|clip| PageClip { clip: &clip.paths, mirror: clip.mirror }).collect();
    Ok(page(&clips, &drawing.title(), &projections, &drawing.look.halves)?.into_bytes())
}
