//! How a frame encoder wants its pictures.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::video::transform::Framing;

/// Mean and standard deviation of ImageNet's pixels, in `[0, 1]`.
pub const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// What happens to a decoded frame before the network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pictures {
    /// How a frame becomes a square of pixels.
    pub framing: Framing,
    /// Subtracted from pixels in `[0, 1]`, for red, green, blue.
    pub mean: [f32; 3],
    /// What pixels are then divided by.
    pub std: [f32; 3],
}

impl Pictures {
    /// The authors' of LiFT, which are DINOv2's here.
    pub const LIFT: Self = Self { framing: Framing::LIFT, mean: IMAGENET.0, std: IMAGENET.1 };
}

impl fmt::Display for Pictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |values: [f32; 3]| values.map(|x| format!("{x:.3}")).join(" ");
        write!(f, "{}; mean {}, std {}", self.framing, shown(self.mean), shown(self.std))
    }
}
