//! Operations with gradients, for training on the CPU: candle records them, our loops compute them.
//!
//! Training composes the same layers as inference. candle's own operations could do that, but each of its elementwise steps
//! is one pass over memory forwards and three backwards. Here a layer is one operation with its own gradient.
//! Against candle's operations a step of `lift train` takes 0.60 of the processor time and makes 1.7 times the steps per
//! second (medians of three rounds, in turns; 12 steps of batch 128, 2 threads, AMD EPYC with AVX-512, a busy machine; only
//! this module was switched off). `--device cpu-batched` trains by candle's operations alone, without shards: there the
//! factor is 1.5 in both.
//!
//! The operations take f32 on the CPU where a gradient is wanted ([`applies`]). Elsewhere the callers compose candle's
//! operations, and the tests compare values and gradients of both.
//!
//! Vectors run on the calling thread. Matrix products may use the threads of its rayon pool, which does not change a bit of
//! them: they share out rows and columns, never sums.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{CpuStorage, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::simd::Simd;

mod activation;
mod attention;
mod line;
mod linear;
mod norm;

pub use activation::{gelu, scale};
pub use attention::attention;
pub use line::line;
pub use linear::{linear, linear_relu};
pub use norm::layer_norm;

/// Numbers to multiply elements with, by the elements' positions: a dropout's mask that is computed, not stored.
pub trait Factors: Send + Sync {
    /// Writes the factors of the elements from position `start` on.
    fn fill(&self, start: usize, factors: &mut [f32]);
}

static LEFT_OUT: AtomicBool = AtomicBool::new(false);

/// From now on this process trains on the CPU as it would on a GPU, by candle's operations: for tests and comparisons.
pub fn leave_out() {
    LEFT_OUT.store(true, Ordering::Relaxed);
}

/// Whether these operations, and what else training has of its own, serve there.
pub fn serves(device: &Device) -> bool {
    device.is_cpu() && !LEFT_OUT.load(Ordering::Relaxed)
}

/// Whether these operations take the tensors: f32 where they [serve](serves), and a gradient is wanted of one.
pub fn applies(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|x| serves(x.device()) && x.dtype() == DType::F32)
        && tensors.iter().any(|x| x.track_op())
}

/// The values of a contiguous tensor in memory.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("operations with gradients take contiguous tensors"),
    }
}

/// Calls `with` with the values of contiguous f32 CPU tensors.
fn read<const N: usize, R>(tensors: [&Tensor; N], with: impl FnOnce([&[f32]; N]) -> R) -> Result<R> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        *slice = match &**storage {
            candle_core::Storage::Cpu(storage) => values(storage, layout)?,
            _ => bail!("operations with gradients run on the CPU"),
        };
    }
    Ok(with(slices))
}

/// A gradient as a tensor.
fn tensor(values: Vec<f32>, shape: &Shape) -> Result<Tensor> {
    Tensor::from_vec(values, shape.clone(), &candle_core::Device::Cpu)
}

/// The vector of `row` that begins at `i`, zeros behind its end.
#[inline(always)]
fn load<S: Simd>(s: S, row: &[f32], i: usize) -> S::V {
    s.load_part(&row[i..row.len().min(i + S::LANES)], 0.0)
}

/// Puts a vector into `row` at `i`, as far as it reaches.
#[inline(always)]
fn store<S: Simd>(s: S, v: S::V, row: &mut [f32], i: usize) {
    let end = row.len().min(i + S::LANES);
    s.store_part(v, &mut row[i..end]);
}

#[cfg(test)]
mod testing {
    use candle_core::{Device, Var};

    use super::*;
    use crate::kernels::testing::noise;

    /// A variable of repeatable numbers.
    pub fn var(shape: impl Into<Shape>, seed: u64) -> Var {
        let shape = shape.into();
        let values = noise(shape.elem_count(), seed);
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// Asserts that both give the same values and the same gradients of an uneven sum of them.
    pub fn agree(vars: &[&Var], ours: Result<Tensor>, composed: Result<Tensor>) {
        let (ours, composed) = (ours.unwrap(), composed.unwrap());
        close(&ours, &composed, "values");
        let weights = noise(composed.elem_count(), 99);
        let weights = Tensor::from_vec(weights, composed.shape(), &Device::Cpu).unwrap();
        let gradients = |y: &Tensor| (y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        let (ours, composed) = (gradients(&ours), gradients(&composed));
        for (number, var) in vars.iter().enumerate() {
            let [a, b] = [&ours, &composed].map(|grads| grads.get(var.as_tensor()).unwrap());
            close(a, b, &format!("gradient {number}"));
        }
    }

    fn close(a: &Tensor, b: &Tensor, what: &str) {
        assert_eq!(a.dims(), b.dims(), "{what}");
        let far = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        let size = b.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        let far = far.to_scalar::<f32>().unwrap();
        assert!(far <= 2e-5 * size.max(1.0), "{what}: {far} of {size}");
    }
}
