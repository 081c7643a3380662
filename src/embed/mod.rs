//! The pipeline: inputs in, outcomes out, in input order.
//!
//! [`Engine`] holds the two networks; [`run`] shares the work among threads and hands each clip's [`Outcome`] on as soon
//! as all before it are done. One bad video is an outcome like any other; it never ends a run.

pub mod batch;
pub mod cache;
mod engine;
mod pipeline;
mod work;

pub use engine::{Embedding, Engine, ModelChoice};
pub use pipeline::{Outcome, Settings, run};

/// Where the embedding of a clip failed, for clips whose video was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct StageError {
    /// The step, as it stands in a run's table of failures.
    pub stage: &'static str,
    /// What went wrong, and what to try.
    pub cause: String,
}
