//! How a frame encoder wants its pictures.

use crate::video::transform::Framing;

/// What happens to a decoded frame before the network sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pictures {
    /// How a frame becomes a square of [`IMAGE_SIZE`](super::IMAGE_SIZE) pixels.
    pub framing: Framing,
    /// Subtracted from pixels in `[0, 1]`, for red, green, blue.
    pub mean: [f32; 3],
    /// What pixels are then divided by.
    pub std: [f32; 3],
}
