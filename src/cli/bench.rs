//! `lift bench`: how fast this machine runs the networks, stage by stage.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::compute::{Compute, ComputeArgs};
use super::range::KeyframesArgs;
use super::{Verbosity, report};
use crate::bench::{self, BenchPlan, BenchReport, RandomWeights, StageReport, Turn, Turns};
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::model::encoder::FrameEncoder;
use crate::model::fold::Tensors;
use crate::model::lift::FastLift;
use crate::model::{lift, vit};
use crate::weights::{Family, LIFT_FAMILY, WeightsSource, load_encoder};

/// A clip to read where none is named.
const CLIP: &[u8] = include_bytes!("../../assets/clips/ball_rising.mp4");

/// Measure the speed of every stage against this machine's limit
///
/// Runs a network of the published shape with random weights, unless --dinov2 names a file: speed does not depend on the
/// numbers. Stages are timed on one thread, the whole frame encoder on all threads. The results are medians over --repeat runs.
/// On a GPU (--device), the frames of the clip are repeated to fill batches of --batch frames.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift bench                                  every stage, on random weights\n  \
    lift bench --threads 1 --precision bf16     one core, bfloat16 products\n  lift bench video.mp4 --frames 32            another video, other frames\n  \
    lift bench --encoder dinov3 --beside dinov2 both in turns\n  lift bench --json | jq .backbone            for programs"
)]
pub(super) struct BenchArgs {
    /// A video to decode [default: a bundled clip of 256 x 256 pixels]
    #[arg(value_name = "VIDEO")]
    video: Option<PathBuf>,
    /// Frames per clip
    ///
    /// Example: --frames 32
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(2..=4096), help_heading = "Measurement")]
    frames: u16,
    /// Runs per measurement
    ///
    /// Example: --repeat 31
    #[arg(long, value_name = "N", default_value = "9", help_heading = "Measurement")]
    repeat: NonZeroUsize,
    /// Frame encoder: a file, a hub id owner/name[@revision], or a URL [default: random weights]
    ///
    /// Example: --dinov2 dinov2.safetensors
    #[arg(long, value_name = "FILE|ID|URL", help_heading = "Models")]
    dinov2: Option<WeightsSource>,
    /// Attention heads of the frame encoder [default: the number in its file; without it, its width divided by 64]
    ///
    /// Example: --heads 6
    #[arg(long, value_name = "N", help_heading = "Models")]
    heads: Option<usize>,
    /// Which frame encoder's published shape, with random weights
    ///
    /// Example: --encoder dinov3
    #[arg(long, value_enum, value_name = "NAME", default_value_t = LIFT_FAMILY, conflicts_with = "dinov2", help_heading = "Models")]
    encoder: &'static Family,
    /// Measure this frame encoder too, a clip by the one and a clip by the other in turns [default: one alone]
    ///
    /// Both have random weights of their published shape. Nothing but the frame encoders is measured then. It may be given several
    /// times. Example: --encoder dinov3 --beside dinov2
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "dinov2", help_heading = "Models")]
    beside: Vec<&'static Family>,
    #[command(flatten, next_help_heading = "Measurement")]
    key: KeyframesArgs,
    #[command(flatten)]
    compute: ComputeArgs,
    /// One JSON object instead of a table
    #[arg(long, help_heading = "Measurement")]
    json: bool,
}

/// Loads, measures, prints.
pub(super) fn run(args: BenchArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let compute = args.compute.settle(verbosity.quiet)?;
    let plan = BenchPlan {
        frames: usize::from(args.frames),
        keyframes: args.key.keyframes,
        threads: compute.threads.get(),
        repeat: args.repeat.get(),
        backend: compute.backend,
    };
    let folder = tempfile::tempdir().context("no temporary folder").map_err(Fatal::input)?;
    let video = match args.video {
        Some(video) => video,
        None => {
            let path = folder.path().join("clip.mp4");
            std::fs::write(&path, CLIP)
                .context("the bundled clip cannot be unpacked")
                .map_err(Fatal::input)?;
            path
        }
    };
    if !args.beside.is_empty() {
        let families: Vec<_> = std::iter::once(args.encoder).chain(args.beside).collect();
        return turns(&families, &plan, &compute, &video, args.json);
    }
    let encoder = encoder(args.encoder, args.dinov2.as_ref(), args.heads, &compute)?;
    let lift = random_lift(encoder.width(), plan.frames).map_err(Fatal::input)?;
    let report = bench::run(&plan, &encoder, &lift, &video, folder.path()).map_err(Fatal::input)?;
    if args.json {
        let line = serde_json::to_string(&report).map_err(Fatal::input)? + "\n";
        files::print(line.as_bytes())?;
    } else {
        if !verbosity.quiet && args.dinov2.is_none() {
            report::note("random weights of the published shape: speed does not depend on the numbers");
        }
        files::print(table(&report).as_bytes())?;
    }
    Ok(Exit::Success)
}

/// Measures the published shapes of several families in turns.
fn turns(
    families: &[&'static Family],
    plan: &BenchPlan,
    compute: &Compute,
    video: &Path,
    json: bool,
) -> Result<Exit, Fatal> {
    let loaded = |family: &&'static Family| {
        let tokens = (family.network)().tokens();
        Ok((family.to_string(), tokens, encoder(family, None, None, compute)?))
    };
    let encoders = families.iter().map(loaded).collect::<Result<Vec<_>, Fatal>>()?;
    let measured = bench::in_turns(plan, &encoders, video).map_err(Fatal::input)?;
    let text = if json {
        serde_json::to_string(&measured).map_err(Fatal::input)? + "\n"
    } else {
        let Turns { machine, threads, frames, repeat, encoders } = &measured;
        let mut text = format!(
            "{machine}; {threads} threads, {frames} frames a clip, {repeat} clips each, in turns; random weights\n\n\
             {:<18}{:>8}{:>8}{:>14}{:>10}\n",
            "frame encoder", "pixels", "tokens", "median ms", "fastest"
        );
        for Turn { encoder, side, tokens, ms, fastest_ms } in encoders {
            text += &format!("{encoder:<18}{side:>8}{tokens:>8}{ms:>14.1}{fastest_ms:>10.1}\n");
        }
        text
    };
    files::print(text.as_bytes())?;
    Ok(Exit::Success)
}

fn encoder(
    family: &'static Family,
    source: Option<&WeightsSource>,
    heads: Option<usize>,
    compute: &Compute,
) -> Result<FrameEncoder, Fatal> {
    let load = |tensors: &dyn Tensors, config: &vit::VitConfig| {
        let encoder = match compute.batched {
            None => FrameEncoder::new(tensors, config, compute.backend, compute.threads.get()),
            Some(how) => FrameEncoder::in_batches(tensors, config, how),
        };
        encoder.map_err(Fatal::input)
    };
    match source {
        Some(source) => {
            let weights = load_encoder(LIFT_FAMILY, source, heads, false)?;
            load(&weights, weights.config())
        }
        None => {
            let config = (family.network)();
            load(&RandomWeights::new(config.tensors()), &config)
        }
    }
}

fn random_lift(width: usize, frames: usize) -> candle_core::Result<FastLift> {
    let config = lift::LiftConfig::new(width, width, frames);
    FastLift::new(&RandomWeights::new(config.tensors()), config, true)
}

fn table(r: &BenchReport) -> String {
    let mut text = format!(
        "{}, {}, {}, {} frames\n\n{:<18}{:>10}{:>10}{:>8}\n",
        r.machine, r.isa, r.precision, r.frames, "stage (1 thread)", "ms", "GFLOP/s", "peak"
    );
    let line = |s: &StageReport, name: &str| {
        let gflops = s.gflops.map_or(String::new(), |g| format!("{g:.0}"));
        let share = s.peak_share.map_or(String::new(), |p| format!("{:.0} %", 100.0 * p));
        format!("{name:<18}{:>10.2}{gflops:>10}{share:>8}\n", s.ms)
    };
    text.extend(r.stages.iter().map(|s| line(s, s.name)));
    if !r.within.is_empty() {
        text += "of which\n";
    }
    text.extend(r.within.iter().map(|s| line(s, &format!("  {}", s.name))));
    let d = &r.decoding;
    text += &format!(
        "\nfrom the file to frames: {:.1} ms on one thread, {:.1} ms on {}; {} frames wanted, {} pictures decoded, {} skipped, \
         {:.2} MB read\n",
        d.one_thread_ms,
        d.all_threads_ms,
        r.threads,
        d.wanted,
        d.decoded,
        d.skipped,
        d.bytes_read as f64 / 1e6
    );
    let shared = match r.batch {
        Some(batch) => format!("in batches of {batch}"),
        None => format!("on {} threads", r.threads),
    };
    text += &format!(
        "frame encoder {shared}: {:.3} s, {:.1} frames/s, {:.2} clips/s\n\
         {:.0} GFLOP/s (the full network's arithmetic), {:.0} % of the peak of {:.0}\n",
        r.backbone.median_s,
        r.backbone.frames_per_s,
        r.backbone.clips_per_s,
        r.backbone.gflops,
        100.0 * r.backbone.peak_share,
        r.peak.gflops
    );
    if let Some(bytes) = r.peak_memory_bytes {
        text += &format!("peak memory: {:.0} MB\n", bytes as f64 / 1e6);
    }
    text
}
