//! Measures where a frame's time goes. The listener `()` costs nothing.

use std::time::{Duration, Instant};

/// A part of the frame encoder, in the order of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes to tokens.
    Patches,
    /// Both layer norms and the last one.
    Norm,
    /// Queries, keys and values.
    Qkv,
    /// Scores, softmax, weighted values.
    Attention,
    /// The attention's output projection and its residual.
    Proj,
    /// The MLP's first layer with its GELU.
    Fc1Gelu,
    /// The MLP's second layer and its residual.
    Fc2,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 7] =
        [Stage::Patches, Stage::Norm, Stage::Qkv, Stage::Attention, Stage::Proj, Stage::Fc1Gelu, Stage::Fc2];

    /// As a table shows it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Patches => "patch embedding",
            Stage::Norm => "norm",
            Stage::Qkv => "qkv",
            Stage::Attention => "attention",
            Stage::Proj => "projection",
            Stage::Fc1Gelu => "fc1 + GELU",
            Stage::Fc2 => "fc2",
        }
    }
}

/// Is called after every stage; `()` does nothing.
pub trait StageListener {
    /// The work since the last call belonged to `stage`.
    fn finished(&mut self, stage: Stage);
}

impl StageListener for () {
    #[inline(always)]
    fn finished(&mut self, _stage: Stage) {}
}

/// Adds up the time of each stage.
#[derive(Debug, Clone)]
pub struct StageTimes {
    last: Instant,
    totals: [Duration; Stage::ALL.len()],
}

impl StageTimes {
    /// Starts the clock.
    pub fn start() -> Self {
        Self { last: Instant::now(), totals: Default::default() }
    }

    /// Time spent in `stage` so far.
    pub fn total(&self, stage: Stage) -> Duration {
        self.totals[stage as usize]
    }
}

impl StageListener for StageTimes {
    fn finished(&mut self, stage: Stage) {
        let now = Instant::now();
        self.totals[stage as usize] += now - self.last;
        self.last = now;
    }
}
