//! The flags that say how the networks run, shared by every command that runs them.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};

use super::report;
use crate::kernels::{Backend, Precision};

/// What matrix products multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    /// Single precision
    F32,
    /// bfloat16 operands, f32 sums (needs a processor with AMX, or AMD's with AVX512-BF16)
    Bf16,
}

/// How the networks run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compute")]
pub(super) struct ComputeArgs {
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Precision of the frame encoder's matrix products
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
}

impl ComputeArgs {
    /// The number of worker threads.
    pub(super) fn threads(&self) -> NonZeroUsize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    /// The best this processor has; where it lacks the precision asked for, or is slower in it, f32 and a line that says so.
    pub(super) fn backend(&self, quiet: bool) -> Backend {
        let precision = match self.precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        };
        Backend::best_in(precision).unwrap_or_else(|unsupported| {
            if !quiet {
                report::note(&format!("{unsupported}; continuing in f32"));
            }
            Backend::best()
        })
    }
}
