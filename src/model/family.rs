//! The frame encoders there are: what their networks have in common stands in [`super::vit`], what sets them apart here.

use std::fmt;

/// A frame encoder by the name of its publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// DINOv2 with registers, LiFT's frame encoder (Oquab et al. 2023, arXiv 2304.07193; Darcet et al. 2023, arXiv
    /// 2309.16588), as timm's `vit_*_patch14_reg4_dinov2`: the feature is the class token after the final norm.
    #[value(help = "DINOv2 with registers, by timm's names")]
    Dinov2,
    /// CLIP (Radford et al. 2021, arXiv 2103.00020), as `CLIPModel.get_image_features` of transformers: the feature is the
    /// class token after the final norm, projected to the space that texts share; its length is left as it is.
    #[value(help = "CLIP, by transformers' names")]
    Clip,
    /// SigLIP (Zhai et al. 2023, arXiv 2303.15343), as `SiglipModel.get_image_features` of transformers: the feature is what
    /// a learned query gathers from all patches.
    #[value(help = "SigLIP, by transformers' names")]
    Siglip,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Dinov2, Self::Clip, Self::Siglip];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dinov2 => "dinov2",
            Self::Clip => "clip",
            Self::Siglip => "siglip",
        }
    }

    /// Subtracted from pixels in `[0, 1]`, for red, green, blue.
    pub fn mean(self) -> [f32; 3] {
        match self {
            // ImageNet's.
            Self::Dinov2 => [0.485, 0.456, 0.406],
            // Of CLIP's own training pictures.
            Self::Clip => [0.481_454_66, 0.457_827_5, 0.408_210_73],
            Self::Siglip => [0.5; 3],
        }
    }

    /// What pixels are then divided by.
    pub fn std(self) -> [f32; 3] {
        match self {
            Self::Dinov2 => [0.229, 0.224, 0.225],
            Self::Clip => [0.268_629_54, 0.261_302_6, 0.275_777_1],
            Self::Siglip => [0.5; 3],
        }
    }

    /// Whether a class token stands before the patches, and is what the feature is made of. Of the last block only that
    /// token is then needed.
    pub fn has_class_token(self) -> bool {
        self != Self::Siglip
    }

    /// Rows of the position table for a grid of this side.
    pub(super) fn positions(self, grid: usize) -> usize {
        // CLIP's table has one for the class token.
        grid * grid + usize::from(self == Self::Clip)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
