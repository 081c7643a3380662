//! One training step: a batch is divided into shards, their gradients are summed, and the optimiser makes its step.
//!
//! On the CPU a shard has a fixed number of clips, and its own forward and backward pass. So the operations that candle runs
//! on one thread run on several shards at once. The result does not depend on the number of threads: neither does the
//! division into shards, and sums are taken in the order of the shards.

use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;

use super::{Adam, LossValues, Losses, Params, Seeded, TrainSettings};
use crate::kernels::grad;
use crate::model::lift::NoDropout;

/// Clips per shard on the CPU.
const SHARD: usize = 32;

/// Runs `work` on each shard of `x (B, T, D)`, with its number and its share of the clips; results are in order.
fn shards<R: Send>(x: &Tensor, work: impl Fn(Tensor, u64, f64) -> Result<R> + Sync) -> Result<Vec<R>> {
    let clips = x.dim(0)?;
    let size = if grad::serves(x.device()) { SHARD } else { clips };
    let starts: Vec<usize> = (0..clips).step_by(size.max(1)).collect();
    let each = starts.into_par_iter().enumerate().map(|(number, start)| {
        let part = x.narrow(0, start, size.min(clips - start))?;
        let share = part.dim(0)? as f64 / clips as f64;
        work(part, number as u64, share)
    });
    each.collect()
}

/// The losses of the batch, from those of its shards and their shares.
fn whole(parts: impl Iterator<Item = (LossValues, f64)>) -> LossValues {
    parts.fold(LossValues::default(), |mut sum, (losses, share)| {
        sum.total += losses.total * share;
        sum.reconstruction += losses.reconstruction * share;
        sum.orthogonality += losses.orthogonality * share;
        sum
    })
}

/// Makes one step on `x (B, T, D)` with the learning rate `lr`. If the loss is not finite, the weights stay unchanged.
///
/// # Errors
/// If the model cannot take `x`, or the device fails.
pub fn step(
    params: &Params,
    adam: &mut Adam,
    settings: &TrainSettings,
    x: &Tensor,
    lr: f64,
) -> Result<LossValues> {
    let number = adam.steps();
    let each = shards(x, |part, shard, share| {
        let mut dropout = Seeded::new(settings.dropout, settings.seed, [number, shard]);
        let (losses, _) = Losses::of(&params.model()?, &part, settings.loss, &mut dropout)?;
        Ok(((&losses.total * share)?.backward()?, losses.values()?, share))
    })?;
    let values = whole(each.iter().map(|(_, losses, share)| (*losses, *share)));
    if values.total.is_finite() {
        let gradient = |var: &Var| -> Result<Option<Tensor>> {
            let mut parts = each.iter().filter_map(|(grads, ..)| grads.get(var.as_tensor()));
            let Some(first) = parts.next() else { return Ok(None) };
            parts.try_fold(first.clone(), |sum, part| sum + part).map(Some)
        };
        adam.step(params.vars(), &gradient, lr)?;
    }
    Ok(values)
}

/// The losses on `x (B, T, D)` and the embeddings `(B, 2W)`, without dropout and without a step.
///
/// # Errors
/// If the model cannot take `x`, or the device fails.
pub fn evaluate(params: &Params, settings: &TrainSettings, x: &Tensor) -> Result<(LossValues, Tensor)> {
    let model = params.model()?;
    let each = shards(x, |part, _, share| {
        let (losses, codes) = Losses::of(&model, &part, settings.loss, &mut NoDropout)?;
        Ok((losses.values()?, codes.concat()?.detach(), share))
    })?;
    let embeddings: Vec<_> = each.iter().map(|(_, embedding, _)| embedding).collect();
    Ok((whole(each.iter().map(|(losses, _, share)| (*losses, *share))), Tensor::cat(&embeddings, 0)?))
}
