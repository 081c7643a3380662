//! What can go wrong while a figure is drawn.

use super::mp4::Mp4Error;
use super::page::PageError;
use super::pca::NoConvergence;
use super::pdf::PdfError;

/// Why a figure cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The figure shows one clip.
    #[error(
        "the {figure} figure shows one clip, not {count}; draw them one by one, or write a .png, .svg or .pdf with --figure compare"
    )]
    SeveralClips {
        /// The figure's name.
        figure: &'static str,
        /// Clips given.
        count: usize,
    },
    /// The format is a page.
    #[error("a page shows all paths at once; leave --figure out")]
    Page,
    /// The format holds a still picture, and the figure is an animation.
    #[error("an animation is written to .gif or .mp4")]
    NotStill,
    /// The format holds an animation, and the figure is a still picture.
    #[error(".gif and .mp4 hold animations; use .png, .svg or .pdf")]
    NotMoving,
    /// The paths could not be projected.
    #[error(transparent)]
    Projection(#[from] NoConvergence),
    /// A picture could not be encoded.
    #[error(transparent)]
    Picture(#[from] image::ImageError),
    /// The PDF could not be written.
    #[error(transparent)]
    Pdf(#[from] PdfError),
    /// The GIF could not be encoded.
    #[error(transparent)]
    Gif(#[from] ::gif::EncodingError),
    /// The MP4 could not be encoded.
    #[error(transparent)]
    Mp4(#[from] Mp4Error),
    /// The page could not be made.
    #[error(transparent)]
    PageData(#[from] PageError),
}

impl DrawError {
    /// Whether the figure, the format and the clips do not go together, so that another request would succeed.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::SeveralClips { .. } | Self::Page | Self::NotStill | Self::NotMoving)
    }
}
