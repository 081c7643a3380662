//! The flags that choose the networks, shared by every command that runs them.

use clap::{Args, ValueEnum};

use crate::embed::ModelChoice;
use crate::weights::{Family, LIFT_FAMILY, MINI_NOTE, WeightsSource};

use super::compute::Compute;
use super::report;

/// Which pair of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelPair {
    /// The published DINOv2 ViT-S/14 and LiFT
    Full,
    /// The small pair bundled with the program, for trying it
    Mini,
}

/// Which networks, and from where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models")]
pub(super) struct ModelArgs {
    /// The pair of networks
    ///
    /// Example: --model mini
    #[arg(long, value_enum, default_value_t = ModelPair::Full)]
    model: ModelPair,
    /// Frame encoder: a file, a hub id owner/name[@revision], or a URL
    ///
    /// A DINOv2 of any size, with registers or without, with the tensor names of timm, facebookresearch or transformers:
    /// .safetensors, or torch's .pt, .pth, .bin. Default:
    /// timm/vit_small_patch14_reg4_dinov2.lvd142m from the Hugging Face hub (88 MB, downloaded once into the hub's own
    /// cache; see lift help models).
    ///
    /// Example: --dinov2 dinov2.safetensors, or --dinov2 timm/vit_base_patch14_reg4_dinov2.lvd142m
    #[arg(long, value_name = "FILE|ID|URL")]
    dinov2: Option<WeightsSource>,
    /// Which frame encoder: LiFT's own, or another one
    ///
    /// The published LiFT reads DINOv2's features: with another encoder ask for --parts frames, or train a LiFT on its
    /// features. Each frame is cut and scaled as the model's own settings say (see lift help encoders). Example: --encoder clip --parts frames
    #[arg(long, value_enum, value_name = "NAME", default_value_t = LIFT_FAMILY)]
    encoder: &'static Family,
    /// Other weights for an --encoder that is not dinov2: a file, a model's folder, a hub id, or a URL
    ///
    /// A model of any size, with transformers' tensor names (DINOv3: also timm's), and its config.json and
    /// preprocessor_config.json beside the file.
    /// Default: those that --encoder names. Example: --encoder clip --encoder-weights openai/clip-vit-large-patch14
    #[arg(long, value_name = "FILE|ID|URL", conflicts_with = "dinov2", requires = "encoder")]
    encoder_weights: Option<WeightsSource>,
    /// LiFT: a .safetensors file, the authors' .ckpt, a hub id, or a URL
    ///
    /// Default: lift.safetensors or the authors' checkpoint in LIFT_HOME (by default the folder lift/ in the platform's cache
    /// folder). It is downloaded once from the authors' Google Drive (112 MB, of which 43 are kept; see lift help models).
    ///
    /// Example: --lift run/best.safetensors
    #[arg(long, value_name = "FILE|ID|URL")]
    lift: Option<WeightsSource>,
    /// Attention heads of the frame encoder, if its file does not say
    ///
    /// Default: the number in the file's metadata; without it, the width divided by 64. Example: --heads 6
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    /// Never use the network (also LIFT_OFFLINE=1, HF_HUB_OFFLINE=1)
    #[arg(long)]
    offline: bool,
}

impl ModelArgs {
    /// Whether the network is forbidden on the command line.
    pub(super) fn offline(&self) -> bool {
        self.offline
    }

    /// The frame encoder that the flags name, if it is not LiFT's own.
    pub(super) fn named_encoder(&self) -> Option<(&'static Family, WeightsSource)> {
        let source = || self.encoder_weights.clone().unwrap_or(WeightsSource::Published);
        (self.encoder != LIFT_FAMILY).then(|| (self.encoder, source()))
    }

    /// The choice these flags make; says so where the bundled pair is used.
    pub(super) fn choice(&self, compute: &Compute, quiet: bool) -> ModelChoice {
        let default =
            if self.model == ModelPair::Mini { WeightsSource::Mini } else { WeightsSource::Published };
        let choice = ModelChoice {
            family: self.encoder,
            encoder: self
                .dinov2
                .as_ref()
                .or(self.encoder_weights.as_ref())
                .cloned()
                .unwrap_or_else(|| default.clone()),
            lift: self.lift.clone().unwrap_or(default),
            heads: self.heads,
            offline: self.offline,
            backend: compute.backend,
            batched: compute.batched,
            threads: compute.threads.get(),
        };
        if !quiet && [&choice.encoder, &choice.lift].contains(&&WeightsSource::Mini) {
            report::note(MINI_NOTE);
        }
        choice
    }
}
