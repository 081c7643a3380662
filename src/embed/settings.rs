//! The settings of a run.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::rows::Part;
use crate::video::{Request, Sampling};

/// What a run does with every input.
#[derive(Debug, Clone)]
pub struct EmbedSettings {
    /// Which frames, and how they are decoded; the range is each input's own.
    pub request: Request,
    /// The parts to compute.
    pub parts: Vec<Part>,
    /// Scale every vector to unit length.
    pub normalize: bool,
    /// Worker threads.
    pub threads: NonZeroUsize,
    /// How long reading one video may take, without the network's time; no limit if absent.
    pub timeout: Option<Duration>,
    /// Keep the frames as pictures whose sides are at most this many pixels; none if absent.
    pub pictures: Option<u32>,
}

/// What one input asks for instead of what the run does.
#[derive(Debug, Clone, Default)]
pub struct OwnSettings {
    /// How many frames.
    pub sampling: Option<Sampling>,
    /// The parts to compute; LiFT's only if the run's own have one of LiFT's.
    pub parts: Option<Vec<Part>>,
}
