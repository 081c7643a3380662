//! Where the time goes, against what this machine can do: the measurements behind `lift bench`.
//!
//! Each stage of the frame encoder is timed on one thread; the whole encoder on all threads, as a run uses it; both are held
//! against the matrix peak that the same kernels reach on operands in the first cache level, measured in the same run. Where
//! the encoder runs in batches (on a GPU), the peak is what the device's own library reaches on one large product.

mod batched;
mod random;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use serde::Serialize;

use crate::kernels::{Activation, Backend, activate_in_place, peak};
use crate::model::encoder::FrameEncoder;
use crate::model::fast::FastEncoder;
use crate::model::lift::{Lift, NoDropout};
use crate::model::stages::{Stage, StageTimes};
use crate::rows::{ClipMeta, Destination, Dims, Part, Prepared, Row};
use crate::video::{Request, Sampling, Video, transform::Transform};

pub use random::RandomWeights;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Frames per clip.
    pub frames: usize,
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

/// The yardstick.
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

/// Everything measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The processor's name and how many threads it runs at once.
    pub machine: String,
    /// The instruction set of the kernels, or the GPU.
    pub isa: String,
    /// `f32`, `bf16` or `f16`.
    pub precision: &'static str,
    /// Frames per batch, where the encoder runs in batches.
    pub batch: Option<usize>,
    /// Threads of the whole encoder.
    pub threads: usize,
    /// Frames per clip.
    pub frames: usize,
    /// The whole encoder.
    pub backbone: Backbone,
    /// The yardstick.
    pub peak: Peak,
    /// Stage by stage.
    pub stages: Vec<StageReport>,
    /// The same time cut another way, so not to be added to it: `linear`, the sum of the four layers of a block, and
    /// `GELU`, as long as the one within `fc1 + GELU` takes alone.
    pub within: Vec<StageReport>,
    /// The most memory this process held, in bytes; absent where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
}

/// Measures the two networks and the way from the file at `video` to a row in `folder`.
///
/// # Errors
/// If the video cannot be read or the row not written.
pub fn run(plan: &Plan, encoder: &FrameEncoder, lift: &Lift, video: &Path, folder: &Path) -> Result<Report> {
    let (frames, mut stages) = reading(plan, video)?;
    let measured = match (encoder.fast(), encoder.batched()) {
        (Some(fast), _) => on_the_cpu(plan, fast, &frames)?,
        (None, Some(composed)) => batched::measure(plan, composed, &frames)?,
        (None, None) => anyhow::bail!("this encoder cannot be measured"),
    };
    stages.extend(measured.stages);
    stages.extend(finishing(plan, lift, &measured.features, encoder.width(), folder)?);
    Ok(Report {
        machine: machine(),
        isa: measured.isa,
        precision: measured.precision,
        batch: measured.batch,
        threads: plan.threads,
        frames: plan.frames,
        backbone: measured.backbone,
        peak: measured.peak,
        stages,
        within: measured.within,
        peak_memory_bytes: peak_memory(),
    })
}

/// What is measured of a frame encoder.
struct Measured {
    isa: String,
    precision: &'static str,
    batch: Option<usize>,
    backbone: Backbone,
    peak: Peak,
    stages: Vec<StageReport>,
    within: Vec<StageReport>,
    /// Features `(T, D)` of the clip.
    features: Vec<f32>,
}

fn on_the_cpu(plan: &Plan, fast: &FastEncoder, frames: &[Vec<u8>]) -> Result<Measured> {
    let peak = Peak {
        gflops: peak::measure(plan.backend, plan.threads),
        one_thread_gflops: peak::measure(plan.backend, 1),
    };
    let stages = encoder_stages(plan, fast, frames, &peak);
    let within = vec![linear(plan, fast, &stages, &peak), gelu(plan, fast)];
    Ok(Measured {
        isa: plan.backend.isa().name().into(),
        precision: plan.backend.precision().name(),
        batch: None,
        backbone: backbone(plan, fast, frames, &peak)?,
        stages,
        within,
        features: fast.encode(frames, plan.threads)?,
        peak,
    })
}

fn stage(name: &'static str, times: Vec<Duration>) -> StageReport {
    StageReport { name, ms: median(times) * 1e3, gflops: None, peak_share: None }
}

/// The median in seconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    match times.len() {
        0 => 0.0,
        n if n % 2 == 1 => times[n / 2].as_secs_f64(),
        n => (times[n / 2 - 1] + times[n / 2]).as_secs_f64() / 2.0,
    }
}

/// Decoding, colour conversion and transform of the clip's frames.
fn reading(plan: &Plan, path: &Path) -> Result<(Vec<Vec<u8>>, Vec<StageReport>)> {
    let request = Request { sampling: Sampling::Count(plan.frames), ..Request::default() };
    let mut frames = vec![Vec::new(); plan.frames];
    let (mut decode, mut convert, mut transformed) = (vec![], vec![], vec![]);
    for _ in 0..plan.repeat {
        let (mut transform, mut spent) = (Transform::default(), Duration::ZERO);
        let start = Instant::now();
        let mut video = Video::open(path).with_context(|| path.display().to_string())?;
        let info = video.read(&request, |slot, frame| {
            let start = Instant::now();
            frames[slot] = transform.apply(frame);
            spent += start.elapsed();
        });
        let info = info.with_context(|| path.display().to_string())?;
        decode.push(start.elapsed().saturating_sub(spent + info.converting));
        convert.push(info.converting);
        transformed.push(spent);
    }
    Ok((frames, vec![stage("decode", decode), stage("convert", convert), stage("transform", transformed)]))
}

fn backbone(plan: &Plan, fast: &FastEncoder, frames: &[Vec<u8>], peak: &Peak) -> Result<Backbone> {
    // Once to touch all memory.
    fast.encode(frames, plan.threads)?;
    let mut times = Vec::new();
    for _ in 0..plan.repeat {
        let start = Instant::now();
        fast.encode(frames, plan.threads)?;
        times.push(start.elapsed());
    }
    let work: usize = Stage::ALL.iter().map(|s| fast.multiply_adds(*s, true)).sum();
    Ok(Backbone::new(plan, median(times), work, peak))
}

impl Backbone {
    /// From the seconds for one clip's frames, and the multiply-adds of a frame.
    fn new(plan: &Plan, median_s: f64, work: usize, peak: &Peak) -> Self {
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

fn encoder_stages(plan: &Plan, fast: &FastEncoder, frames: &[Vec<u8>], peak: &Peak) -> Vec<StageReport> {
    let (mut scratch, mut out) = (fast.scratch(), vec![0.0; fast.output()]);
    let rounds: Vec<StageTimes> = (0..plan.repeat)
        .map(|_| {
            let mut times = StageTimes::start();
            frames.iter().for_each(|frame| fast.encode_frame(frame, &mut scratch, &mut times, &mut out));
            times
        })
        .collect();
    Stage::ALL
        .iter()
        .map(|&s| {
            let report = stage(s.name(), rounds.iter().map(|r| r.total(s)).collect());
            report.with_work(fast.multiply_adds(s, false) * plan.frames, peak)
        })
        .collect()
}

impl StageReport {
    /// Adds what follows from the multiply-adds done in that time, if there are any.
    fn with_work(mut self, multiply_adds: usize, peak: &Peak) -> Self {
        if multiply_adds > 0 {
            let gflops = 2.0 * multiply_adds as f64 / (self.ms * 1e-3) / 1e9;
            (self.gflops, self.peak_share) = (Some(gflops), Some(gflops / peak.one_thread_gflops));
        }
        self
    }
}

/// All linear layers of the blocks together; the first of the MLP with its GELU.
fn linear(plan: &Plan, fast: &FastEncoder, stages: &[StageReport], peak: &Peak) -> StageReport {
    let layers = [Stage::Qkv, Stage::Proj, Stage::Fc1Gelu, Stage::Fc2];
    let ms = layers.iter().filter_map(|s| stages.iter().find(|r| r.name == s.name())).map(|r| r.ms).sum();
    let work: usize = layers.iter().map(|s| fast.multiply_adds(*s, false)).sum();
    let sum = StageReport { name: "linear", ms, gflops: None, peak_share: None };
    sum.with_work(work * plan.frames, peak)
}

/// The GELUs of a clip by themselves, a tile at a time as the layer before them leaves them in the first cache level.
fn gelu(plan: &Plan, fast: &FastEncoder) -> StageReport {
    /// Six rows of a panel.
    const TILE: usize = 384;
    let source: Vec<f32> = (0..TILE).map(|i| i as f32 / TILE as f32 * 8.0 - 4.0).collect();
    let tiles = fast.gelus() * plan.frames / TILE;
    let times = (0..plan.repeat).map(|_| {
        let mut tile = source.clone();
        let start = Instant::now();
        for _ in 0..tiles {
            tile.copy_from_slice(&source);
            activate_in_place(plan.backend, Activation::Gelu, &mut tile);
            std::hint::black_box(&tile[..]);
        }
        start.elapsed()
    });
    stage("GELU", times.collect())
}

/// LiFT and the writing of a row with all parts.
fn finishing(
    plan: &Plan,
    lift: &Lift,
    features: &[f32],
    width: usize,
    folder: &Path,
) -> Result<Vec<StageReport>> {
    let x = Tensor::from_slice(features, (1, plan.frames, width), &Device::Cpu)?;
    let dims = Dims { frames: Some(plan.frames), width: lift.config().latent, features: width };
    let (mut lifting, mut writing) = (vec![], vec![]);
    for _ in 0..plan.repeat {
        let start = Instant::now();
        let codes = lift.encode(&x, &mut NoDropout)?;
        let concat = codes.concat()?.flatten_all()?.to_vec1()?;
        let reconstructed = lift.decode(&codes, plan.frames)?.flatten_all()?.to_vec1()?;
        lifting.push(start.elapsed());
        let start = Instant::now();
        let destination = Destination::parse(&folder.join("bench.npz"))?;
        let parts = vec![(Part::Concat, concat), (Part::Reconstructed, reconstructed)];
        let mut output =
            Prepared::new(&destination, &[Part::Concat, Part::Reconstructed], true)?.start(dims)?;
        let clip = ClipMeta { id: "bench".into(), path: "bench".into(), ..ClipMeta::default() };
        output.push(&Row { clip, window: None, frames: plan.frames, parts })?;
        output.finish()?;
        writing.push(start.elapsed());
    }
    Ok(vec![stage("LiFT", lifting), stage("write", writing)])
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find(|l| l.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {threads} threads", cpu.unwrap_or_else(|| std::env::consts::ARCH.into()))
}

/// The process's largest resident size so far.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
