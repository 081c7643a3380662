//! The frame encoder as the pipeline uses it: frames of bytes in, features out.
//!
//! On the CPU one frame is the unit of work, so a feature never depends on its neighbours in a batch or on the number of
//! threads. A GPU takes batches, which [`FrameEncoder::batched`] gives access to.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::Pictures;
use super::composed::{Batched, ComposedEncoder};
use super::fast::FastEncoder;
use super::fold::{Tensors, VitWeights};
use super::vit::VitConfig;
use crate::kernels::Backend;

/// A loaded frame encoder, shared by all workers.
#[derive(Debug)]
pub struct FrameEncoder {
    pictures: Pictures,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Our kernels, a frame per thread.
    Fast(Box<FastEncoder>),
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
        Ok(Self { pictures: config.pictures, way: Way::Fast(Box::new(fast)) })
    }

    /// Puts the tensors of [`VitConfig::tensors`] where `how` says.
    ///
    /// # Errors
    /// If a tensor is missing or has another size, or the device fails.
    pub fn in_batches(tensors: &dyn Tensors, config: &VitConfig, how: Batched) -> Result<Self> {
        let tensors = config
            .tensors()
            .into_iter()
            .map(|(name, shape)| {
                let tensor = Tensor::from_slice(&tensors.values(&name)?, &shape[..], &Device::Cpu)?;
                Ok((name, tensor))
            })
            .collect::<Result<HashMap<_, _>>>()?;
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let composed = ComposedEncoder::new(&weights, config, how)?;
        Ok(Self { pictures: config.pictures, way: Way::Batched(composed) })
    }

    /// How it wants its pictures.
    pub fn pictures(&self) -> Pictures {
        self.pictures
    }

    /// Width `D` of a feature.
    pub fn width(&self) -> usize {
        match &self.way {
            Way::Fast(fast) => fast.output(),
            Way::Batched(composed) => composed.width(),
        }
    }

    /// The fast path itself, for measuring it stage by stage; absent where another one is used.
    pub fn fast(&self) -> Option<&FastEncoder> {
        match &self.way {
            Way::Fast(fast) => Some(fast),
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

    /// The feature `(D)`, f32, of a frame of RGB bytes, row by row, of the side that [`Self::pictures`] says.
    ///
    /// # Errors
    /// If the frame has another number of bytes, or the device fails.
    pub fn encode(&self, frame: &[u8]) -> Result<Vec<f32>> {
        match &self.way {
            Way::Fast(fast) => fast.encode_one(frame),
            Way::Batched(composed) => composed.lanes()[0].encode(&[frame]),
        }
    }
}
