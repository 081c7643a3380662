//! The frame encoder as the pipeline uses it: frames of bytes in, features out.
//!
//! On the CPU one frame is the unit of work, and a feature never depends on its neighbours in a batch or on the number of
//! threads. A GPU takes batches, which [`FrameEncoder::batched`] gives access to.

use std::sync::Arc;

use candle_core::{Error, Result};

use super::Pictures;
use super::composed::{Batched, ComposedEncoder};
use super::fast::{FastEncoder, VitWeights};
use super::fold::{Tensors, copied};
use super::vit::VitConfig;
use crate::kernels::Backend;
use crate::later::Later;
use crate::threads::IdleThreads;

/// A loaded frame encoder, shared by all workers.
#[derive(Debug)]
pub struct FrameEncoder {
    pictures: Pictures,
    /// Of a feature.
    width: usize,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Our kernels, a frame per thread.
    Fast(Later<FastEncoder>),
    /// candle's operations, in batches.
    Batched(ComposedEncoder),
}

impl FrameEncoder {
    /// Lays out the tensors of [`VitConfig::tensors`] for `backend`, with up to `threads` threads.
    ///
    /// # Errors
    /// If a tensor is missing or has another size.
    pub fn new(tensors: &dyn Tensors, config: &VitConfig, backend: Backend, threads: usize) -> Result<Self> {
        let fast = FastEncoder::new(&VitWeights::new(tensors, config), backend, threads)?;
        Ok(Self { pictures: config.pictures, width: config.output, way: Way::Fast(Later::ready(fast)) })
    }

    /// Does what [`Self::new`] does while other work goes on. Whoever needs the weights waits for them.
    ///
    /// # Errors
    /// As there. What can be wrong with tensors of the right shapes is found before this returns.
    pub fn in_background(
        tensors: Arc<impl Tensors + Send + 'static>,
        config: &VitConfig,
        backend: Backend,
        threads: usize,
    ) -> Result<Self> {
        let weights = VitWeights::new(&*tensors, config);
        weights.check()?;
        FastEncoder::check(&weights, backend)?;
        let (pictures, width, config) = (config.pictures, config.output, config.clone());
        let fast =
            Later::start(move || FastEncoder::new(&VitWeights::new(&*tensors, &config), backend, threads));
        Ok(Self { pictures, width, way: Way::Fast(fast) })
    }

    /// Puts the tensors of [`VitConfig::tensors`] where `how` says.
    ///
    /// # Errors
    /// If a tensor is missing or has another size, or the device fails.
    pub fn in_batches(tensors: &dyn Tensors, config: &VitConfig, how: Batched) -> Result<Self> {
        let weights = copied(tensors, config.tensors())?;
        let composed = ComposedEncoder::new(&weights, config, how)?;
        Ok(Self { pictures: config.pictures, width: config.output, way: Way::Batched(composed) })
    }

    /// How it wants its pictures.
    pub fn pictures(&self) -> Pictures {
        self.pictures
    }

    /// Width `D` of a feature.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The fast path itself, for measuring it stage by stage; absent where another one is used.
    pub fn fast(&self) -> Option<&FastEncoder> {
        match &self.way {
            Way::Fast(fast) => fast.get().ok(),
            Way::Batched(_) => None,
        }
    }

    /// Where frames are to be gathered into batches, what computes them.
    pub fn batched(&self) -> Option<&ComposedEncoder> {
        match &self.way {
            Way::Fast(_) => None,
            Way::Batched(composed) => Some(composed),
        }
    }

    /// The feature `(D)`, f32, of a frame of RGB bytes, row by row, of the side that [`Self::pictures`] says. On the CPU threads among
    /// `idle` take part.
    ///
    /// # Errors
    /// If the frame has another number of bytes, or the device fails.
    pub fn encode(&self, frame: &[u8], idle: &IdleThreads) -> Result<Vec<f32>> {
        match &self.way {
            Way::Fast(fast) => fast.get().map_err(Error::msg)?.encode_one(frame, idle),
            Way::Batched(composed) => composed.lanes()[0].encode(&[frame]),
        }
    }
}
