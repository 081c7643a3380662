//! The frame encoder as the pipeline uses it: a frame of bytes in, a feature out, one frame at a time.
//!
//! One frame is the unit of work, so a feature never depends on its neighbours in a batch or on the number of threads.

use candle_core::Result;

use super::dinov2::Config;
use super::fast::FastEncoder;
use super::fold::{DinoWeights, Tensors};
use crate::kernels::Backend;

/// A loaded frame encoder, shared by all workers.
#[derive(Debug)]
pub struct FrameEncoder {
    fast: FastEncoder,
}

impl FrameEncoder {
    /// Lays out the tensors of [`Config::tensors`] for `backend`, with up to `threads` threads.
    ///
    /// # Errors
    /// If a tensor is missing or has another size.
    pub fn new(tensors: &dyn Tensors, config: &Config, backend: Backend, threads: usize) -> Result<Self> {
        Ok(Self { fast: FastEncoder::new(&DinoWeights::new(tensors, config), backend, threads)? })
    }

    /// Width `D` of a feature.
    pub fn width(&self) -> usize {
        self.fast.width()
    }

    /// The fast path itself, for measuring it stage by stage.
    pub fn fast(&self) -> &FastEncoder {
        &self.fast
    }

    /// The feature `(D)`, f32, of a frame of 224 x 224 RGB bytes, row by row.
    ///
    /// # Errors
    /// If the frame has another number of bytes.
    pub fn encode(&self, frame: &[u8]) -> Result<Vec<f32>> {
        self.fast.encode_one(frame)
    }
}
