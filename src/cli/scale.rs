//! The flag `--scale` of the commands that probe.

use clap::ValueEnum;

use crate::cia::scaling::Scaling;

/// How the parts of a representation are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ScaleKind {
    /// Not at all
    None,
    /// Every number to mean 0 and standard deviation 1 over the training videos
    Standardize,
    /// The part of every video to length 1
    Unit,
}

impl ScaleKind {
    pub(super) fn scaling(self) -> Scaling {
        match self {
            Self::None => Scaling::None,
            Self::Standardize => Scaling::Standardize,
            Self::Unit => Scaling::Unit,
        }
    }
}
