//! A frame encoder's checked tensors. They are found by timm's names, whatever names the file has.

use std::borrow::Cow;
use std::ops::Range;

use super::Store;
use crate::model::fold::Tensors;
use crate::model::vit;

/// Where a file keeps the numbers of a tensor.
pub(super) enum Location {
    /// In this tensor.
    Whole(String),
    /// In these tensors, one after the other.
    Stacked([String; 3]),
    /// In these thirds of that tensor's rows.
    Thirds(String, Range<usize>),
}

/// A frame encoder's checked tensors with the shape of the network.
#[derive(Debug)]
pub struct EncoderWeights {
    store: Store,
    config: vit::VitConfig,
    /// Where the file keeps a tensor that timm names, for the prefix of its names.
    locate: fn(&str, &str) -> Location,
    prefix: &'static str,
    settings: Option<String>,
}

impl EncoderWeights {
    pub(super) fn new(
        store: Store,
        config: vit::VitConfig,
        locate: fn(&str, &str) -> Location,
        prefix: &'static str,
        settings: Option<String>,
    ) -> Self {
        Self { store, config, locate, prefix, settings }
    }

    /// The tensors of a file that has timm's names and needs no settings.
    pub(super) fn by_timms_names(store: Store, config: vit::VitConfig) -> Self {
        Self::new(store, config, |name, _| Location::Whole(name.into()), "", None)
    }

    /// The tensors as they are in the file.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns [`Self::store`] by value.
    pub(super) fn into_store(self) -> Store {
        self.store
    }

    /// The settings, in JSON, that decide the numbers besides the tensors; none where everything follows from the tensors.
    pub fn settings(&self) -> Option<&str> {
        self.settings.as_deref()
    }

    /// The shape of the network.
    pub fn config(&self) -> &vit::VitConfig {
        &self.config
    }
}

impl Tensors for EncoderWeights {
    fn values(&self, name: &str) -> candle_core::Result<Cow<'_, [f32]>> {
        match (self.locate)(name, self.prefix) {
            Location::Whole(place) => self.store.values(&place),
            Location::Stacked(places) => {
                let mut all = Vec::new();
                for place in places {
                    all.extend_from_slice(&self.store.values(&place)?);
                }
                Ok(Cow::Owned(all))
            }
            Location::Thirds(place, thirds) => {
                let all = self.store.values(&place)?;
                let third = all.len() / 3;
                Ok(Cow::Owned(all[thirds.start * third..thirds.end * third].to_vec()))
            }
        }
    }
}
