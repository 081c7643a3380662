//! Frame encoders beside each other: a clip by the one, a clip by the next, again and again, so that a machine that slows down or
//! speeds up meanwhile does so to all.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use super::report::{BenchPlan, median};
use super::{machine, read_frames};
use crate::model::encoder::FrameEncoder;

/// What was measured of one encoder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turn {
    /// Its name.
    pub encoder: String,
    /// Side of the square that a frame is, in pixels.
    pub side: usize,
    /// Tokens of a frame.
    pub tokens: usize,
    /// Median milliseconds of the frames of a clip, on all threads, pictures not included.
    pub ms: f64,
    /// The fastest.
    pub fastest_ms: f64,
}

/// The measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turns {
    /// The processor and its threads.
    pub machine: String,
    /// Threads that computed.
    pub threads: usize,
    /// Frames of a clip.
    pub frames: usize,
    /// Clips by each encoder.
    pub repeat: usize,
    /// In the order of the flags.
    pub encoders: Vec<Turn>,
}

/// Measures encoders, each with its name and its tokens, on the frames of the clip at `video`, by the kernels of the CPU.
///
/// # Errors
/// If the video cannot be read, or an encoder runs elsewhere.
pub fn in_turns(plan: &BenchPlan, encoders: &[(String, usize, FrameEncoder)], video: &Path) -> Result<Turns> {
    let mut runs = Vec::new();
    for (name, tokens, encoder) in encoders {
        let Some(fast) = encoder.fast() else {
            anyhow::bail!("encoders are compared on the CPU's kernels; leave --device out");
        };
        let framing = encoder.pictures().framing;
        let frames = read_frames(plan, framing, video)?;
        // Once to touch all memory.
        fast.encode(&frames, plan.threads)?;
        runs.push((name, *tokens, framing.side, fast, frames, vec![]));
    }
    for _ in 0..plan.repeat {
        for (_, _, _, fast, frames, times) in &mut runs {
            let start = Instant::now();
            fast.encode(frames, plan.threads)?;
            times.push(start.elapsed());
        }
    }
    let turn =
        |(name, tokens, side, _, _, times): (&String, usize, usize, _, _, Vec<std::time::Duration>)| Turn {
            encoder: name.clone(),
            side,
            tokens,
            fastest_ms: times.iter().min().map_or(0.0, |time| time.as_secs_f64() * 1e3),
            ms: median(times) * 1e3,
        };
    let encoders = runs.into_iter().map(turn).collect();
    let BenchPlan { threads, frames, repeat, .. } = *plan;
    Ok(Turns { machine: machine(), threads, frames, repeat, encoders })
}
