//! DINOv2 and DINOv3 in files: several ways to name one network's tensors, and the few settings that do not follow from them.
//!
//! Each publisher has names of its own: timm, facebookresearch, transformers. A file is known by a tensor that only one of them
//! has; then every tensor of the network must be there, and no other but those that only training uses.

use std::path::Path;

use super::check::{dims, divides, layers, metadata_heads};
use super::encoder::{Location, expected};
use super::pictures::{SettingsForm, told};
use super::transformers::{CONFIG_KEY, TowerSettings, with_pictures};
use super::{EncoderWeights, Store, WeightsError};
use crate::kernels::Activation;
use crate::model::Pictures;
use crate::model::positions::Resampling;
use crate::model::rotary;
use crate::model::vit::{Positions, VitConfig};

/// The head width of every published model: heads are `width / 64`.
const PUBLISHED_HEAD_WIDTH: usize = 64;

/// A family of these networks.
pub(super) struct Dino {
    /// Its name.
    pub(super) family: &'static str,
    /// What a file should be, in messages.
    pub(super) model: &'static str,
    /// The flag that names a file.
    pub(super) flag: &'static str,
    /// The ways its files are named; a file is of the first whose marks it has.
    pub(super) namings: &'static [Naming],
    /// The widths of the published sizes, whose heads are known.
    pub(super) widths: &'static [usize],
    /// A network of a width, whose other numbers are those of the published models.
    pub(super) network: fn(usize) -> VitConfig,
    /// Whether positions are a table.
    pub(super) table: bool,
}

/// A way to name the tensors.
pub(super) struct Naming {
    /// What all names begin with.
    pub(super) prefix: &'static str,
    /// Tensors, without the prefix, that show these names.
    pub(super) marks: &'static [&'static str],
    /// Where a file keeps the numbers of a tensor that timm's `VisionTransformer` names.
    pub(super) locate: fn(&str, &str) -> Location,
    /// Tensors, without the prefix, that only training uses.
    pub(super) unused: &'static [&'static str],
    /// How a table of positions is resampled where there are no registers. With registers it is antialiased everywhere.
    pub(super) resampling: Resampling,
    /// Its settings, in a `config.json`, are transformers': these `model_type`s.
    pub(super) types: &'static [&'static str],
    /// Which settings say how pictures are made.
    pub(super) pictures: &'static [&'static SettingsForm],
    /// Which of them the publisher's repositories on the hub have.
    pub(super) published_pictures: Option<&'static SettingsForm>,
}

impl Naming {
    /// The first tensor with the numbers of one that timm names.
    fn place(&self, name: &str) -> String {
        match (self.locate)(name, self.prefix) {
            Location::Whole(place) | Location::Thirds(place, _) => place,
            Location::Stacked(places) => places.into_iter().flatten().next().unwrap_or_default(),
        }
    }

    /// Whether a tensor is the network's.
    fn has(&self, name: &str) -> bool {
        name.strip_prefix(self.prefix).is_some_and(|name| !self.unused.contains(&name))
    }
}

impl Dino {
    /// The naming of a file.
    fn naming(&self, store: &Store) -> Option<&'static Naming> {
        let has = |naming: &Naming, mark: &str| store.shape(&format!("{}{mark}", naming.prefix)).is_some();
        self.namings.iter().find(|naming| naming.marks.iter().all(|mark| has(naming, mark)))
    }

    /// Whether a file holds such a model.
    pub(super) fn recognises(&self, store: &Store) -> bool {
        self.naming(store).is_some()
    }

    /// The file beside the weights that says how pictures are made.
    pub(super) fn pictures_file(&self, store: &Store) -> Option<&'static str> {
        self.naming(store)?.published_pictures.map(|form| form.file)
    }

    /// The model in `store`, which came from `file`; `heads` overrides the settings' number.
    pub(super) fn load(
        &self,
        mut store: Store,
        file: &Path,
        heads: Option<usize>,
    ) -> Result<EncoderWeights, WeightsError> {
        let (model, flag) = (self.model, self.flag);
        let Some(naming) = self.naming(&store) else {
            let (origin, differences) = (store.origin().into(), "no such tensors".into());
            return Err(WeightsError::Tensors { origin, model, differences, flag });
        };
        let mut config = self.shape(&store, naming)?;
        let settings = self.settings(&store, file, naming)?;
        config.heads = self.heads(&store, config.width, heads, settings.as_ref())?;
        self.check(&store, naming, &config)?;
        let text = match &settings {
            Some(settings) => {
                self.apply(&store, settings, &mut config)?;
                serde_json::to_string(settings).ok()
            }
            None => None,
        };
        let told = told(&store, file, naming.pictures)?;
        if told.is_none() {
            tracing::info!(
                "{}: its pictures are made as {} usually are: {}",
                store.origin(),
                self.family,
                config.pictures
            );
        }
        let usual: Pictures = config.pictures;
        config.pictures = told.as_ref().map_or(usual, |told| told.pictures);
        if config.frame_grid() == 0 {
            let (side, patch) = (config.side(), config.patch);
            let cause = format!("pictures of {side} x {side} px have no room for its patches of {patch} px");
            return Err(WeightsError::Unclear { origin: store.origin().into(), cause });
        }
        store.retain(|name| naming.has(name));
        if let Some(text) = &text {
            store = store.with_metadata(CONFIG_KEY, text.clone());
        }
        if let Some(told) = told {
            store = store.with_metadata(told.key, told.text);
        }
        let settings = with_pictures(text, &config.pictures, &usual);
        Ok(EncoderWeights::new(store, config, naming.locate, naming.prefix, settings))
    }

    /// The shape that follows from the tensors; the number of heads does not.
    fn shape(&self, store: &Store, naming: &Naming) -> Result<VitConfig, WeightsError> {
        let (model, flag) = (self.model, self.flag);
        let place = |name: &str| naming.place(name);
        let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
        let [width, _, patch, _] = dims(store, &place("patch_embed.proj.weight"), model, flag)?;
        let [fc1, _] = dims(store, &place("blocks.0.mlp.fc1.weight"), model, flag)?;
        let [_, hidden] = dims(store, &place("blocks.0.mlp.fc2.weight"), model, flag)?;
        let registers = match store.shape(&place("reg_token")) {
            Some(_) => dims::<3>(store, &place("reg_token"), model, flag)?[1],
            None => 0,
        };
        let mut config = (self.network)(width);
        // Of two halves in one tensor, or in two of the hidden width each.
        let stacked =
            matches!((naming.locate)("blocks.0.mlp.fc1.weight", naming.prefix), Location::Stacked(_));
        config.options.gated = stacked || fc1 == 2 * hidden;
        config.options.qkv_bias = store.shape(&place("blocks.0.attn.qkv.bias")).is_some();
        if config.options.gated {
            config.activation = Activation::Silu;
        }
        if self.table {
            let [_, rows, _] = dims(store, &place("pos_embed"), model, flag)?;
            let square = |n: usize| (n.isqrt().pow(2) == n).then(|| n.isqrt());
            // With a row for the class token the rest is a square.
            let (grid, class) = match (square(rows), square(rows - 1)) {
                (Some(grid), _) => (grid, false),
                (None, Some(grid)) => (grid, true),
                (None, None) => {
                    return Err(unclear(format!(
                        "{} has {rows} rows, which is no square grid of patches",
                        place("pos_embed")
                    )));
                }
            };
            let resampling = if registers > 0 { Resampling::Antialiased } else { naming.resampling };
            config.grid = grid;
            config.options.positions = Positions::Table { class, resampling };
        }
        let prefix = naming.place("blocks.0.norm1.weight");
        let prefix = prefix.split("0.norm1").next().unwrap_or_default();
        Ok(VitConfig { depth: layers(store, prefix), hidden, patch, registers, ..config })
    }

    fn check(&self, store: &Store, naming: &Naming, config: &VitConfig) -> Result<(), WeightsError> {
        let tensors = expected(config, |name| (naming.locate)(name, naming.prefix), |_| 0);
        store.check(&tensors, |name| naming.has(name), self.model, self.flag)
    }

    /// transformers' settings, if the file's names are transformers' and there are some.
    fn settings(
        &self,
        store: &Store,
        file: &Path,
        naming: &Naming,
    ) -> Result<Option<TowerSettings>, WeightsError> {
        if naming.types.is_empty() {
            return Ok(None);
        }
        let settings = TowerSettings::of(store, file)?;
        let told = settings.as_ref().and_then(|settings| settings.model_type.as_deref());
        match told.filter(|told| !naming.types.contains(told)) {
            Some(told) => Err(WeightsError::Unclear {
                origin: store.origin().into(),
                cause: format!(
                    "its settings are those of a model of type {told}; {} needs {}",
                    self.family,
                    naming.types.join(" or ")
                ),
            }),
            None => Ok(settings),
        }
    }

    fn apply(
        &self,
        store: &Store,
        settings: &TowerSettings,
        config: &mut VitConfig,
    ) -> Result<(), WeightsError> {
        let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
        // DINOv2's gated MLPs have SiLU whatever the settings say; DINOv3's have what the settings say.
        if !config.options.gated || !self.table {
            config.activation = settings.activation().map_err(unclear)?.unwrap_or(config.activation);
        }
        config.norm_eps = settings.layer_norm_eps.unwrap_or(config.norm_eps);
        match settings.rope_theta {
            Some(base) if base != rotary::BASE => {
                Err(unclear(format!("its settings have rope_theta {base}; {} is supported", rotary::BASE)))
            }
            _ => Ok(()),
        }
    }

    fn heads(
        &self,
        store: &Store,
        width: usize,
        told: Option<usize>,
        settings: Option<&TowerSettings>,
    ) -> Result<usize, WeightsError> {
        let recorded = || metadata_heads(store);
        let heads = match told.map_or_else(recorded, |heads| Ok(Some(heads)))? {
            Some(heads) => heads,
            None => match settings.and_then(|settings| settings.num_attention_heads) {
                Some(heads) => heads,
                None if self.widths.contains(&width) => width / PUBLISHED_HEAD_WIDTH,
                None => {
                    return Err(WeightsError::Unclear {
                        origin: store.origin().into(),
                        cause: format!(
                            "a width of {width} is none of the published sizes, so the number of attention heads must be told: \
                             --heads N, or num_heads in the file's metadata"
                        ),
                    });
                }
            },
        };
        divides(store, heads, width, "check --heads")?;
        if !self.table && !(width / heads).is_multiple_of(4) {
            let cause = format!("{heads} heads of {} numbers cannot be turned; check --heads", width / heads);
            return Err(WeightsError::Unclear { origin: store.origin().into(), cause });
        }
        Ok(heads)
    }
}

/// The tensors of a file that are named as timm names them.
pub(super) fn as_timm(name: &str, _: &str) -> Location {
    Location::Whole(name.into())
}

/// A tensor of one of the blocks: its number, its layer, and its last part (`weight`, `bias`, `gamma`).
pub(super) fn of_block(name: &str) -> Option<(&str, &str, &str)> {
    let (index, layer) = name.strip_prefix("blocks.")?.split_once('.')?;
    let (layer, part) = layer.rsplit_once('.')?;
    Some((index, layer, part))
}
