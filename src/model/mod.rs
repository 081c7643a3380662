//! The two networks: the frame encoder (DINOv2 with registers) and LiFT.
//!
//! Each is one definition in composed candle operations, used for training, on every device, and as the reference that
//! the CPU's fast path is tested against.

pub mod composed;
pub mod device;
pub mod encoder;
pub mod fast;
pub mod fold;
pub mod layers;
pub mod lift;
pub mod positions;
pub mod stages;
pub mod vit;
mod workers;

/// Side of the square that the frame encoder sees, in pixels.
pub const IMAGE_SIZE: usize = 224;

/// ImageNet's channel means, for red, green, blue in `[0, 1]`.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// ImageNet's channel standard deviations, for red, green, blue in `[0, 1]`.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The words of a candle error without the backtrace that candle adds where `RUST_BACKTRACE` is set: for messages.
pub fn cause(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => cause(inner),
        other => other.to_string(),
    }
}
