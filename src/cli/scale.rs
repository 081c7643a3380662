//! The flag `--scale` of the commands that probe.

use clap::Args;

use crate::cia::scaling::Scaling;

/// How the parts of a representation are scaled.
#[derive(Debug, Args)]
pub(super) struct ScaleArgs {
    /// How each part of a representation is scaled before the probe: none (the paper's way), standardize or unit
    ///
    /// a+b joins parts as they are: a part of large numbers decides alone, one of small numbers counts for nothing. standardize
    /// gives every number mean 0 and standard deviation 1 over the training videos alone; unit gives each part of every
    /// video length 1.
    ///
    /// Example: --representation lift+clip --scale standardize
    #[arg(long, value_enum, default_value = "none")]
    pub(super) scale: Scaling,
}
