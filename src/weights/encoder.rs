//! A frame encoder's checked tensors. They are found by timm's names, whatever names the file has.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::Store;
use crate::model::fold::Tensors;
use crate::model::vit;

/// Where a file keeps the numbers of a tensor.
pub(super) enum Location {
    /// In this tensor.
    Whole(String),
    /// In these tensors of one size, one after the other; zeros where there is none.
    Stacked(Vec<Option<String>>),
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

/// Names and shapes of a network's tensors as a file has them. `spare` says how many of the first axes, of size 1, a file leaves
/// out of a tensor that timm names.
pub(super) fn expected(
    config: &vit::VitConfig,
    locate: impl Fn(&str) -> Location,
    spare: impl Fn(&str) -> usize,
) -> Vec<(String, Vec<usize>)> {
    let mut all = BTreeMap::new();
    for (name, mut shape) in config.tensors() {
        let rows = shape[0];
        match locate(&name) {
            Location::Whole(place) => {
                all.insert(place, shape.split_off(spare(&name)));
            }
            Location::Stacked(places) => {
                shape[0] = rows / places.len();
                all.extend(places.into_iter().flatten().map(|place| (place, shape.clone())));
            }
            Location::Thirds(place, thirds) => {
                shape[0] = rows / thirds.len() * 3;
                all.insert(place, shape);
            }
        }
    }
    all.into_iter().collect()
}

impl Tensors for EncoderWeights {
    fn values(&self, name: &str) -> candle_core::Result<Cow<'_, [f32]>> {
        match (self.locate)(name, self.prefix) {
            Location::Whole(place) => self.store.values(&place),
            Location::Stacked(places) => {
                let mut parts = Vec::new();
                for place in &places {
                    parts.push(place.as_ref().map(|place| self.store.values(place)).transpose()?);
                }
                let size = parts.iter().flatten().map(|part| part.len()).next().unwrap_or(0);
                let part =
                    |part: Option<Cow<'_, [f32]>>| part.map_or_else(|| vec![0.0; size], Cow::into_owned);
                Ok(Cow::Owned(parts.into_iter().flat_map(part).collect()))
            }
            Location::Thirds(place, thirds) => {
                let all = self.store.values(&place)?;
                let third = all.len() / 3;
                Ok(Cow::Owned(all[thirds.start * third..thirds.end * third].to_vec()))
            }
        }
    }

    fn check_values(&self, name: &str) -> candle_core::Result<()> {
        match (self.locate)(name, self.prefix) {
            Location::Whole(place) | Location::Thirds(place, _) => self.store.check_values(&place),
            Location::Stacked(places) => {
                places.iter().flatten().try_for_each(|place| self.store.check_values(place))
            }
        }
    }
}
