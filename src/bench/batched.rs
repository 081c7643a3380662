//! The frame encoder in batches, as it runs on a GPU.
//!
//! A device works asynchronously, so a stage ends when the device says that it is done. The whole is measured
//! with all lanes at once, from frames in the host's memory to features in it.

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use super::report::{Backbone, BenchPlan, Measured, Peak, median, stage};
use crate::embed::batch::{Batches, encode_clip};
use crate::guard::lock;
use crate::model::composed::ComposedEncoder;

/// Batches that each lane computes in one measurement, so that lanes overlap as they do in a run.
const BATCHES: usize = 4;

/// Measures the encoder on batches made of `frames` again and again.
///
/// # Errors
/// If the device fails, or its memory has no room for the batch: what is measured must be what was asked for.
pub fn measure(plan: &BenchPlan, encoder: &ComposedEncoder, frames: &[Vec<u8>]) -> Result<Measured> {
    let (batch, lane) = (encoder.batch(), &encoder.lanes()[0]);
    let pixels: Vec<&[u8]> = frames.iter().map(Vec::as_slice).cycle().take(batch).collect();
    let device = lane.device();
    // The first run is not measured: the device compiles and chooses its kernels then.
    lane.encode(&pixels)?;
    let (mut upload, mut forward, mut download) = (vec![], vec![], vec![]);
    for _ in 0..plan.repeat {
        let start = Instant::now();
        let uploaded = lane.upload(&pixels)?;
        device.synchronize()?;
        upload.push(start.elapsed());
        let start = Instant::now();
        let features = lane.forward(&uploaded)?;
        device.synchronize()?;
        forward.push(start.elapsed());
        let start = Instant::now();
        features.flatten_all()?.to_vec1::<f32>()?;
        download.push(start.elapsed());
    }
    let peak = peak(device, lane.dtype(), plan.repeat)?;
    let seconds = whole(plan, encoder, &pixels)?;
    let work = encoder.multiply_adds();
    let mut stages = [("upload", upload), ("frame encoder", forward), ("download", download)]
        .map(|(name, times)| {
            let mut report = stage(name, times);
            // For one clip, as every stage is.
            report.ms *= plan.frames as f64 / batch as f64;
            report
        })
        .to_vec();
    let gflops = 2.0 * (work * plan.frames) as f64 / (stages[1].ms * 1e-3) / 1e9;
    (stages[1].gflops, stages[1].peak_share) = (Some(gflops), Some(gflops / peak));
    let peak = Peak { gflops: peak, one_thread_gflops: peak };
    Ok(Measured {
        isa: encoder.place().name().unwrap_or_else(|| encoder.place().to_string()),
        precision: match lane.dtype() {
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            _ => "f32",
        },
        batch: Some(batch),
        backbone: Backbone::new(plan, seconds * plan.frames as f64 / batch as f64, work, &peak),
        peak,
        stages,
        within: vec![],
        features: encode_clip(encoder, frames).map_err(anyhow::Error::msg)?,
    })
}

/// Median seconds of a batch with all lanes at work.
fn whole(plan: &BenchPlan, encoder: &ComposedEncoder, pixels: &[&[u8]]) -> Result<f64> {
    let count = BATCHES * encoder.lanes().len();
    let mut times = vec![];
    for _ in 0..plan.repeat {
        let batches = Batches::<&[u8]>::of(encoder);
        let failed = std::sync::Mutex::new(None);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for lane in encoder.lanes() {
                let (batches, failed) = (&batches, &failed);
                scope.spawn(move || {
                    batches.serve(lane, |_, feature| {
                        if let Err(why) = feature {
                            *lock(failed) = Some(why.to_string());
                        }
                    });
                });
            }
            for _ in 0..count {
                pixels.iter().for_each(|frame| batches.push(frame));
            }
            batches.close();
        });
        times.push(start.elapsed());
        let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(why) = failed {
            anyhow::bail!("{why}");
        }
        if batches.size() < encoder.batch() {
            anyhow::bail!(
                "the memory has no room for batches of {}; try --batch {}",
                encoder.batch(),
                batches.size()
            );
        }
    }
    Ok(median(times) / count as f64)
}

/// GFLOP/s that the device's matrix library reaches on one square product in this precision: the best of the runs.
fn peak(device: &Device, dtype: DType, repeat: usize) -> Result<f64> {
    let side = if device.is_cpu() { 1024 } else { 8192 };
    let matrix = Tensor::rand(-1f32, 1f32, (side, side), device)?.to_dtype(dtype)?;
    let mut best = f64::INFINITY;
    for _ in 0..=repeat {
        let start = Instant::now();
        crate::model::layers::matmul(&matrix, &matrix)?;
        device.synchronize()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (side as f64).powi(3) / best / 1e9)
}
