//! The settings and the results of a measurement.

use std::time::Duration;

use serde::Serialize;

use crate::kernels::Backend;

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchPlan {
    /// Frames per clip.
    pub frames: usize,
    /// The nearest key frames in their place.
    pub keyframes: bool,
    /// Threads of the whole encoder.
    pub threads: usize,
    /// How often each measurement is repeated; the median counts.
    pub repeat: usize,
    /// Instruction set and precision.
    pub backend: Backend,
}

/// The encoder as a run uses it.
#[derive(Debug, Clone, Serialize)]
pub struct Backbone {
    /// Median seconds for one clip's frames on all threads.
    pub median_s: f64,
    /// The full network's arithmetic over that time (the last block counted for all its tokens).
    pub gflops: f64,
    /// Its share of the peak.
    pub peak_share: f64,
    /// Frames per second.
    pub frames_per_s: f64,
    /// Clips per second.
    pub clips_per_s: f64,
}

/// The matrix speed that the rest is compared with.
#[derive(Debug, Clone, Serialize)]
pub struct Peak {
    /// GFLOP/s on all threads at once, or of the device.
    pub gflops: f64,
    /// GFLOP/s of one thread alone; of a device the same.
    pub one_thread_gflops: f64,
}

/// One stage, on one thread.
#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: &'static str,
    /// Median milliseconds for one clip.
    pub ms: f64,
    /// Arithmetic per time; absent where a stage is none of matrix products.
    pub gflops: Option<f64>,
    /// Its share of one thread's peak.
    pub peak_share: Option<f64>,
}

/// What decoding one clip took.
#[derive(Debug, Clone, Serialize)]
pub struct Decoding {
    /// Different frames that were wanted.
    pub wanted: usize,
    /// Pictures decoded.
    pub decoded: usize,
    /// Pictures not decoded, although the walk passed them: nothing refers to them.
    pub skipped: usize,
    /// Bytes read of the file.
    pub bytes_read: u64,
    /// Median milliseconds from the file to frames ready for the network, on one thread.
    pub one_thread_ms: f64,
    /// The same with all threads.
    pub all_threads_ms: f64,
    /// Median milliseconds of processor time with all threads, over all of them.
    pub processor_ms: f64,
}

/// Everything measured.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// The processor's name and how many threads it runs at once.
    pub machine: String,
    /// The instruction set of the kernels, or the GPU.
    pub isa: String,
    /// `f32`, `bf16`, `bf16x3` or `f16`.
    pub precision: &'static str,
    /// Frames per batch, where the encoder runs in batches.
    pub batch: Option<usize>,
    /// Threads of the whole encoder.
    pub threads: usize,
    /// Frames per clip.
    pub frames: usize,
    /// The whole encoder.
    pub backbone: Backbone,
    /// The matrix speed that the rest is compared with.
    pub peak: Peak,
    /// What decoding the clip took.
    pub decoding: Decoding,
    /// Stage by stage.
    pub stages: Vec<StageReport>,
    /// The same time cut another way, so not to be added to it: `linear`, the sum of the four layers of a block, and
    /// `GELU`, as long as the one within `fc1 + GELU` takes alone.
    pub within: Vec<StageReport>,
    /// The most memory this process held, in bytes; absent where the system does not say.
    pub peak_memory_bytes: Option<u64>,
}

impl Backbone {
    /// From the seconds for one clip's frames, and the multiply-adds of a frame.
    pub(super) fn new(plan: &BenchPlan, median_s: f64, work: usize, peak: &Peak) -> Self {
        let gflops = 2.0 * work as f64 * plan.frames as f64 / median_s / 1e9;
        Self {
            median_s,
            gflops,
            peak_share: gflops / peak.gflops,
            frames_per_s: plan.frames as f64 / median_s,
            clips_per_s: 1.0 / median_s,
        }
    }
}

impl StageReport {
    /// Adds what follows from the multiply-adds done in that time, if there are any.
    pub(super) fn with_work(mut self, multiply_adds: usize, peak: &Peak) -> Self {
        if multiply_adds > 0 {
            let gflops = 2.0 * multiply_adds as f64 / (self.ms * 1e-3) / 1e9;
            (self.gflops, self.peak_share) = (Some(gflops), Some(gflops / peak.one_thread_gflops));
        }
        self
    }
}

/// What is measured of a frame encoder.
pub(super) struct Measured {
    pub(super) isa: String,
    pub(super) precision: &'static str,
    pub(super) batch: Option<usize>,
    pub(super) backbone: Backbone,
    pub(super) peak: Peak,
    pub(super) stages: Vec<StageReport>,
    pub(super) within: Vec<StageReport>,
    /// Features `(T, D)` of the clip.
    pub(super) features: Vec<f32>,
}

/// A stage that took these times.
pub(super) fn stage(name: &'static str, times: Vec<Duration>) -> StageReport {
    StageReport { name, ms: median(times) * 1e3, gflops: None, peak_share: None }
}

/// The median in seconds.
pub(super) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    match times.len() {
        0 => 0.0,
        n if n % 2 == 1 => times[n / 2].as_secs_f64(),
        n => (times[n / 2 - 1] + times[n / 2]).as_secs_f64() / 2.0,
    }
}
