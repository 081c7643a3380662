//! The measurements of `lift bench`: where the time goes, in proportion to what this machine can do.
//!
//! Each stage of the frame encoder is timed on one thread; the whole encoder on all threads, as a run uses it; both are compared
//! with the matrix peak that the same kernels reach on operands in the first cache level, measured in the same run. Where
//! the encoder runs in batches (on a GPU), the peak is what the device's own library reaches on one large product.

mod batched;
mod random;
mod report;
mod turns;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::kernels::{activate_in_place, peak};
use crate::model::encoder::FrameEncoder;
use crate::model::fast::FastEncoder;
use crate::model::lift::FastLift;
use crate::model::stages::{Stage, StageTimes};
use crate::rows::{ClipMeta, Destination, Dims, Part, Prepared, Row};
use crate::threads::IdleThreads;
use crate::video::{
    Request, Sampling, Strategy, Video, Work,
    transform::{Framing, Transform},
};

pub use random::RandomWeights;
pub use report::{Backbone, BenchPlan, BenchReport, Decoding, Peak, StageReport};
use report::{Measured, median, stage};
pub use turns::{Turn, Turns, in_turns};

/// Measures the two networks and the way from the file at `video` to a row in `folder`.
///
/// # Errors
/// If the video cannot be read or the row not written.
pub fn run(
    plan: &BenchPlan,
    encoder: &FrameEncoder,
    lift: &FastLift,
    video: &Path,
    folder: &Path,
) -> Result<BenchReport> {
    let (frames, mut stages, decoding) = reading(plan, encoder.pictures().framing, video)?;
    let measured = match (encoder.fast(), encoder.batched()) {
        (Some(fast), _) => on_the_cpu(plan, fast, &frames)?,
        (None, Some(composed)) => batched::measure(plan, composed, &frames)?,
        (None, None) => anyhow::bail!("this encoder cannot be measured"),
    };
    stages.extend(measured.stages);
    stages.extend(finishing(plan, lift, &measured.features, encoder.width(), folder)?);
    Ok(BenchReport {
        machine: machine(),
        isa: measured.isa,
        precision: measured.precision,
        batch: measured.batch,
        threads: plan.threads,
        frames: plan.frames,
        backbone: measured.backbone,
        peak: measured.peak,
        decoding,
        stages,
        within: measured.within,
        peak_memory_bytes: peak_memory(),
    })
}

fn on_the_cpu(plan: &BenchPlan, fast: &FastEncoder, frames: &[Vec<u8>]) -> Result<Measured> {
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

/// The frames that a clip is measured by.
fn request(plan: &BenchPlan) -> Request {
    Request { sampling: Sampling::Count(plan.frames), keyframes: plan.keyframes, ..Request::default() }
}

/// Decoding, colour conversion and transform of the clip's frames.
fn reading(
    plan: &BenchPlan,
    framing: Framing,
    path: &Path,
) -> Result<(Vec<Vec<u8>>, Vec<StageReport>, Decoding)> {
    let request = request(plan);
    let mut frames = vec![Vec::new(); plan.frames];
    let (mut decode, mut convert, mut transformed) = (vec![], vec![], vec![]);
    let (mut one, mut all, mut processor) = (vec![], vec![], vec![]);
    let (mut work, mut wanted) = (Work::default(), 0);
    for _ in 0..plan.repeat {
        let (start, before) = (Instant::now(), processor_time());
        let request = Request { groups: plan.threads, ..request.clone() };
        let mut transform = Transform::new(framing);
        let read = Video::open(path).and_then(|mut video| {
            video.read_once(&request, Strategy::Auto, |_, frame| drop(transform.apply(frame)))
        });
        read.with_context(|| path.display().to_string())?;
        all.push(start.elapsed());
        processor.push(processor_time().saturating_sub(before));
        let (mut transform, mut spent) = (Transform::new(framing), Duration::ZERO);
        let start = Instant::now();
        let mut video = Video::open(path).with_context(|| path.display().to_string())?;
        let info = video.read(&request, |slot, frame| {
            let start = Instant::now();
            frames[slot] = transform.apply(frame);
            spent += start.elapsed();
        });
        let info = info.with_context(|| path.display().to_string())?;
        one.push(start.elapsed());
        work = video.work();
        wanted = info.indices.iter().collect::<HashSet<_>>().len();
        decode.push(start.elapsed().saturating_sub(spent + info.converting));
        convert.push(info.converting);
        transformed.push(spent);
    }
    let decoding = Decoding {
        wanted,
        decoded: work.packets - work.skipped,
        skipped: work.skipped,
        bytes_read: work.bytes,
        one_thread_ms: median(one) * 1e3,
        all_threads_ms: median(all) * 1e3,
        processor_ms: median(processor) * 1e3,
    };
    let stages = vec![stage("decode", decode), stage("convert", convert), stage("transform", transformed)];
    Ok((frames, stages, decoding))
}

/// The frames of the clip alone.
fn read_frames(plan: &BenchPlan, framing: Framing, path: &Path) -> Result<Vec<Vec<u8>>> {
    let request = request(plan);
    let mut transform = Transform::new(framing);
    let mut frames = vec![Vec::new(); plan.frames];
    let read = Video::open(path)
        .and_then(|mut video| video.read(&request, |slot, frame| frames[slot] = transform.apply(frame)));
    read.with_context(|| path.display().to_string())?;
    Ok(frames)
}

fn backbone(plan: &BenchPlan, fast: &FastEncoder, frames: &[Vec<u8>], peak: &Peak) -> Result<Backbone> {
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

fn encoder_stages(plan: &BenchPlan, fast: &FastEncoder, frames: &[Vec<u8>], peak: &Peak) -> Vec<StageReport> {
    let (mut scratch, mut out, alone) = (fast.scratch(), vec![0.0; fast.output()], IdleThreads::default());
    let rounds: Vec<StageTimes> = (0..plan.repeat)
        .map(|_| {
            let mut times = StageTimes::start();
            for frame in frames {
                fast.encode_frame(frame, &mut scratch, &alone, &mut times, &mut out);
            }
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

/// All linear layers of the blocks together; the first of the MLP with its GELU.
fn linear(plan: &BenchPlan, fast: &FastEncoder, stages: &[StageReport], peak: &Peak) -> StageReport {
    let layers = [Stage::Qkv, Stage::Proj, Stage::Fc1Gelu, Stage::Fc2];
    let ms = layers.iter().filter_map(|s| stages.iter().find(|r| r.name == s.name())).map(|r| r.ms).sum();
    let work: usize = layers.iter().map(|s| fast.multiply_adds(*s, false)).sum();
    let sum = StageReport { name: "linear", ms, gflops: None, peak_share: None };
    sum.with_work(work * plan.frames, peak)
}

/// The activations of a clip by themselves, a tile at a time as the layer before them leaves them in the first cache level.
fn gelu(plan: &BenchPlan, fast: &FastEncoder) -> StageReport {
    /// Six rows of a panel.
    const TILE: usize = 384;
    let source: Vec<f32> = (0..TILE).map(|i| i as f32 / TILE as f32 * 8.0 - 4.0).collect();
    let tiles = fast.activations() * plan.frames / TILE;
    let times = (0..plan.repeat).map(|_| {
        let mut tile = source.clone();
        let start = Instant::now();
        for _ in 0..tiles {
            tile.copy_from_slice(&source);
            activate_in_place(plan.backend, fast.activation(), &mut tile);
            std::hint::black_box(&tile[..]);
        }
        start.elapsed()
    });
    stage("GELU", times.collect())
}

/// LiFT and the writing of a row with all parts.
fn finishing(
    plan: &BenchPlan,
    lift: &FastLift,
    features: &[f32],
    width: usize,
    folder: &Path,
) -> Result<Vec<StageReport>> {
    let dims =
        Dims { frames: Some(plan.frames), width: lift.config().latent, features: width, ..Dims::default() };
    let (mut lifting, mut writing) = (vec![], vec![]);
    for _ in 0..plan.repeat {
        let start = Instant::now();
        let concat = lift.encode(features)?;
        lifting.push(start.elapsed());
        let reconstructed = lift.decode(&concat, plan.frames)?;
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

/// Processor time of all threads of this process so far.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes to the value alone; where there is none, it stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find(|l| l.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    let threads = crate::threads::available();
    format!("{}, {threads} threads", cpu.unwrap_or_else(|| std::env::consts::ARCH.into()))
}

/// The process's largest resident size so far.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
