//! A frame encoder in candle's operations, in batches: what runs on a GPU, and every network without kernels of its own.
//!
//! Bytes are uploaded and features downloaded. The device converts and normalises the pixels, because a byte is a quarter of
//! an f32. A GPU has two lanes, each with the weights and its own stream, so that one uploads while the other computes. On the
//! CPU a network runs frame by frame where a feature's bits must not depend on its neighbours.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::Pictures;
use super::device::{ComputePlace, free_memory};
use super::vit::{self, Vit};

/// Lanes of a GPU: one that computes, one that uploads the next batch.
const LANES: usize = 2;

/// Frames per batch where nothing is said and the memory would hold more. From 64 frames on the products are large (16,704
/// rows); more than this costs memory on both sides for little.
const DEFAULT_BATCH: usize = 256;

/// Share of the free memory that default batches may fill; the rest is for what the estimate leaves out.
const MEMORY_SHARE: f64 = 0.6;

/// How a frame encoder is run in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batched {
    /// Where.
    pub place: ComputePlace,
    /// `F32`, `BF16` or `F16`: of weights and activations. Products are summed in f32 in each.
    pub dtype: DType,
    /// Frames per batch; fitted to the memory if absent.
    pub frames: Option<usize>,
}

/// A network with its weights on one stream of a device.
#[derive(Debug)]
pub struct Lane {
    device: Device,
    dtype: DType,
    network: Vit,
}

/// A loaded frame encoder that computes batches of frames.
#[derive(Debug)]
pub struct ComposedEncoder {
    lanes: Vec<Lane>,
    width: usize,
    batch: usize,
    place: ComputePlace,
    multiply_adds: usize,
}

impl ComposedEncoder {
    /// Puts a frame encoder's weights, f32 on the CPU, where they are to run.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape, or the device fails.
    pub fn new(weights: &candle_nn::VarBuilder, config: &vit::VitConfig, how: Batched) -> Result<Self> {
        let lanes = if matches!(how.place, ComputePlace::Cuda(_)) { LANES } else { 1 };
        let lanes = (0..lanes)
            .map(|_| {
                let device = how.place.open()?;
                let weights = weights.clone().set_device(device.clone());
                let network = Vit::load(config.clone(), &weights)?.folded(how.dtype)?;
                // Another thread may take the lane: what was uploaded must have arrived.
                device.synchronize()?;
                Ok(Lane { device, dtype: how.dtype, network })
            })
            .collect::<Result<Vec<_>>>()?;
        let fitted = || {
            let free = lanes.first().and_then(|lane| free_memory(&lane.device));
            let share = |free: usize| free as f64 * MEMORY_SHARE / LANES as f64;
            let most =
                free.map_or(DEFAULT_BATCH, |free| share(free) as usize / frame_bytes(config, how.dtype));
            most.clamp(1, DEFAULT_BATCH)
        };
        let batch = how.frames.unwrap_or_else(fitted).max(1);
        let (width, multiply_adds) = (config.output, config.multiply_adds());
        Ok(Self { lanes, width, batch, place: how.place, multiply_adds })
    }

    /// Multiply-adds of one frame.
    pub fn multiply_adds(&self) -> usize {
        self.multiply_adds
    }

    /// Width `D` of a feature.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Frames per batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Where it runs.
    pub fn place(&self) -> ComputePlace {
        self.place
    }

    /// What can compute at the same time.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }
}

impl Lane {
    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The precision it computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Frames of RGB bytes, of the side that the network reads, on the device: `(B, side, side, 3)` u8.
    ///
    /// # Errors
    /// If a frame has another number of bytes, or the device fails.
    pub fn upload(&self, frames: &[&[u8]]) -> Result<Tensor> {
        let side = self.network.config().side();
        let bytes = side * side * 3;
        if let Some(frame) = frames.iter().find(|frame| frame.len() != bytes) {
            bail!("a frame of {} bytes, expected {bytes} ({side} x {side} RGB)", frame.len());
        }
        Tensor::from_vec(frames.concat(), (frames.len(), side, side, 3), &self.device)
    }

    /// Features `(B, D)` f32, on the device, of frames on it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forward(&self, frames: &Tensor) -> Result<Tensor> {
        let Pictures { mean, std, .. } = self.network.config().pictures;
        let scale = std.map(|std| 1.0 / (255.0 * std));
        let shift: Vec<f32> = mean.iter().zip(std).map(|(mean, std)| -mean / std).collect();
        let (scale, shift) = (Tensor::new(&scale, &self.device)?, Tensor::from_vec(shift, 3, &self.device)?);
        let pixels = frames.to_dtype(DType::F32)?.broadcast_mul(&scale)?.broadcast_add(&shift)?;
        let pixels = pixels.to_dtype(self.dtype)?.permute((0, 3, 1, 2))?.contiguous()?;
        self.network.forward(&pixels)?.to_dtype(DType::F32)
    }

    /// Features of frames of RGB bytes, `(B, D)` row-major.
    ///
    /// # Errors
    /// If a frame has another number of bytes, or the device fails, [full memory](super::device::is_out_of_memory) included.
    pub fn encode(&self, frames: &[&[u8]]) -> Result<Vec<f32>> {
        self.forward(&self.upload(frames)?)?.flatten_all()?.to_vec1()
    }
}

/// About how many bytes a frame takes at the widest place of a block: in the MLP its input, the layer's output and the
/// GELU's; in the attention also its packed and split operands, the scores before and after the softmax.
fn frame_bytes(config: &vit::VitConfig, dtype: DType) -> usize {
    let (n, d) = (config.tokens(), config.width);
    let attention = n * 9 * d + 2 * config.heads * n * n;
    let mlp = n * (3 * d + 2 * config.fc1_outputs());
    let pixels = 3 * config.side().pow(2) * (1 + 3 * DType::F32.size_in_bytes());
    attention.max(mlp) * dtype.size_in_bytes() + pixels
}
