//! The two networks: the frame encoder (DINOv2, DINOv3, CLIP or SigLIP) and LiFT. Besides, the text
//! towers of CLIP and SigLIP, which searches use.
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
mod pictures;
pub mod positions;
pub mod rotary;
pub mod stages;
pub mod symmetry;
pub mod text;
pub mod vit;
mod workers;

pub use pictures::{IMAGENET, Pictures};

/// The words of a candle error without the backtrace that candle adds where `RUST_BACKTRACE` is set: for messages.
pub fn cause(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => cause(inner),
        other => other.to_string(),
    }
}
