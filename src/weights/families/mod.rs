//! The families of frame encoders: a file each, and a line each in [`FAMILIES`].

mod clip;
mod dinov2;
mod dinov3;
mod siglip;
mod siglip2;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::Store;
use super::family::Family;

/// Every family of frame encoders; the first is the one that LiFT was published with.
pub static FAMILIES: [&Family; 5] =
    [&dinov2::FAMILY, &dinov3::FAMILY, &clip::FAMILY, &siglip::FAMILY, &siglip2::FAMILY];

/// The family whose features the published LiFT reads: DINOv2.
pub static LIFT_FAMILY: &Family = &dinov2::FAMILY;

impl Family {
    /// The family of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.into_iter().find(|family| family.name == name)
    }

    /// The family of the model in a file, by the names of its tensors; a SigLIP 2 counts as a SigLIP, whose names it has.
    pub(super) fn of(store: &Store) -> Option<&'static Self> {
        FAMILIES.into_iter().find(|family| (family.recognises)(store))
    }
}

impl ValueEnum for &'static Family {
    fn value_variants<'a>() -> &'a [Self] {
        &FAMILIES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name).help(format!("{} ({})", self.summary, self.licence)))
    }
}
