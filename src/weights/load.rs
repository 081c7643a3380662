//! From a source to a model's checked tensors.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::vision::{self, CONFIG_FILE, Vision};
use super::{HUB_FILE, HubId, MINI_DINOV2, MINI_LIFT, Source, Store, WeightsError, checkpoint, home, hub};
use crate::model::fold::Tensors;
use crate::model::{Family, lift, vit};

/// The head width of every published DINOv2: heads are `width / 64`.
const PUBLISHED_HEAD_WIDTH: usize = 64;

/// The widths of the published sizes S, B, L.
const PUBLISHED_WIDTHS: [usize; 3] = [384, 768, 1024];

/// A frame encoder's checked tensors, by timm's names whatever the file calls them.
#[derive(Debug)]
pub struct Encoder {
    named: Named,
    config: vit::Config,
}

#[derive(Debug)]
enum Named {
    /// As timm does.
    Timm(Store),
    /// As transformers does.
    Transformers(Vision),
}

impl Encoder {
    /// The tensors as they stand in the file.
    pub fn store(&self) -> &Store {
        match &self.named {
            Named::Timm(store) => store,
            Named::Transformers(vision) => vision.store(),
        }
    }

    /// What besides the tensors decides the numbers, as the file or another beside it told, in JSON; none where everything
    /// follows from the tensors.
    pub fn settings(&self) -> Option<&str> {
        match &self.named {
            Named::Timm(_) => None,
            Named::Transformers(vision) => Some(vision.settings()),
        }
    }

    /// [`Self::store`], given away.
    pub(super) fn into_store(self) -> Store {
        match self.named {
            Named::Timm(store) => store,
            Named::Transformers(vision) => vision.into_store(),
        }
    }

    /// The shape of the network.
    pub fn config(&self) -> &vit::Config {
        &self.config
    }
}

impl Tensors for Encoder {
    fn values(&self, name: &str) -> candle_core::Result<Cow<'_, [f32]>> {
        match &self.named {
            Named::Timm(store) => store.values(name),
            Named::Transformers(vision) => vision.values(name),
        }
    }
}

/// A frame encoder's tensors, checked.
///
/// `heads` overrides the head count of the file; `offline` forbids a download.
///
/// # Errors
/// If the file is absent, unreadable, or not a model of this family.
pub fn load_encoder(
    family: Family,
    source: &Source,
    heads: Option<usize>,
    offline: bool,
) -> Result<Encoder, WeightsError> {
    let (store, file) = encoder_store(family, source, offline)?;
    encoder_of(store, &file, family, heads)
}

/// The frame encoder in `store`, which came from `file`.
pub(super) fn encoder_of(
    store: Store,
    file: &Path,
    family: Family,
    heads: Option<usize>,
) -> Result<Encoder, WeightsError> {
    Ok(match family {
        Family::Dinov2 => {
            let config = check_dinov2(&store, heads)?;
            Encoder { named: Named::Timm(store), config }
        }
        Family::Clip | Family::Siglip => {
            let (vision, config) = Vision::load(store, file, family, heads)?;
            Encoder { named: Named::Transformers(vision), config }
        }
    })
}

/// The flag that names the weights of a family.
fn flag(family: Family) -> &'static str {
    match family {
        Family::Dinov2 => "--dinov2",
        Family::Clip | Family::Siglip => vision::FLAG,
    }
}

/// The file's tensors, and where it is.
fn encoder_store(family: Family, source: &Source, offline: bool) -> Result<(Store, PathBuf), WeightsError> {
    let flag = flag(family);
    let of_hub = |id: &HubId| {
        if family != Family::Dinov2 {
            // Beside the weights, where its settings are looked for.
            hub::fetch(id, CONFIG_FILE, flag, offline)?;
        }
        let path = hub::fetch(id, HUB_FILE, flag, offline)?;
        Ok((Store::map(&path)?, path))
    };
    match source {
        Source::Mini if family == Family::Dinov2 => {
            Ok((Store::bundled("bundled mini DINOv2", MINI_DINOV2)?, PathBuf::new()))
        }
        Source::Mini => Err(WeightsError::Unclear {
            origin: format!("--encoder {family}"),
            cause: format!(
                "the bundled pair has no {family}; leave --model mini out, or name weights with {flag}"
            ),
        }),
        Source::File(path) => {
            // A model's folder as transformers saves it.
            let path = if path.is_dir() { path.join(HUB_FILE) } else { path.clone() };
            Ok((open(&path)?, path))
        }
        Source::Hub(id) => of_hub(id),
        Source::Url(url) => {
            let path = home::from_url(url, flag, offline)?;
            Ok((open(&path)?, path))
        }
        Source::Published => {
            let carried = home::lift_home().join(home::encoder_file(family));
            if carried.is_file() {
                return Ok((home::kept(&carried)?, carried));
            }
            of_hub(&published(family))
        }
    }
}

/// The published frame encoder of a family on the hub: DINOv2's as the paper has it, of the others the smallest for pictures of
/// 224 x 224.
pub(super) fn published(family: Family) -> HubId {
    let (repo, revision) = match family {
        Family::Dinov2 => (super::DINOV2_REPO, "main"),
        // OpenAI's own branch has no safetensors; the hub's conversion stands in this one.
        Family::Clip => ("openai/clip-vit-base-patch32", "refs/pr/15"),
        Family::Siglip => ("google/siglip-base-patch16-224", "main"),
    };
    HubId { repo: repo.into(), revision: revision.into() }
}

/// LiFT's tensors, checked, with the shape they have.
///
/// # Errors
/// If the file is absent, unreadable, or not a LiFT model.
pub fn load_lift(source: &Source, offline: bool) -> Result<(Store, lift::Config), WeightsError> {
    let store = match source {
        Source::Mini => Store::bundled("bundled mini LiFT", MINI_LIFT)?,
        Source::File(path) => open(path)?,
        Source::Hub(id) => Store::map(&hub::fetch(id, HUB_FILE, "--lift", offline)?)?,
        Source::Url(url) => open(&home::from_url(url, "--lift", offline)?)?,
        Source::Published => home::published_lift(offline)?,
    };
    let config = check_lift(&store)?;
    Ok((store, config))
}

/// Compares names and shapes with those of a LiFT.
pub(super) fn check_lift(store: &Store) -> Result<lift::Config, WeightsError> {
    let config = lift_config(store)?;
    store.check(&config.tensors(), |_| true, "a LiFT model", "--lift")?;
    Ok(config)
}

/// Compares names and shapes with those of a DINOv2 with registers.
pub(super) fn check_dinov2(store: &Store, heads: Option<usize>) -> Result<vit::Config, WeightsError> {
    let config = dinov2_config(store, heads)?;
    store.check(&config.tensors(), |_| true, "a DINOv2 with registers", "--dinov2")?;
    Ok(config)
}

/// A LiFT in either format, checked.
pub(super) fn checked_lift(path: &Path) -> Result<Store, WeightsError> {
    let store = open(path)?;
    check_lift(&store)?;
    Ok(store)
}

/// Either format, told apart by the first bytes: a `.ckpt` is a zip.
///
/// # Errors
/// If the file is neither.
pub fn open(path: &Path) -> Result<Store, WeightsError> {
    use std::io::Read;
    let mut magic = [0u8; 4];
    let sniffed = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic));
    match magic {
        checkpoint::ZIP_MAGIC if sniffed.is_ok() => checkpoint::read(path),
        // PROTO 2: torch's format before its version 1.6, which pickles the numbers themselves.
        [0x80, 2, ..] => Err(WeightsError::Unclear {
            origin: path.display().to_string(),
            cause: "is a pickle of torch before 1.6, which is not read; save it again with a newer torch"
                .into(),
        }),
        _ => Store::map(path),
    }
}

/// Reads one tensor's shape, whose rank the pattern fixes.
pub(super) fn dims<const N: usize>(
    store: &Store,
    name: &str,
    model: &'static str,
    flag: &'static str,
) -> Result<[usize; N], WeightsError> {
    let differences = match store.shape(name) {
        Some(shape) => match <[usize; N]>::try_from(shape) {
            Ok(dims) if !dims.contains(&0) => return Ok(dims),
            _ => format!("1 wrong shape ({name} is {shape:?})"),
        },
        None => format!("{name} is missing among its {} tensors", store.names().count()),
    };
    Err(WeightsError::Tensors { origin: store.origin().into(), model, differences, flag })
}

/// How many consecutive layers `prefix0.`, `prefix1.`, ... the names speak of.
pub(super) fn layers(store: &Store, prefix: &str) -> usize {
    let index = |name: &str| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
    // A hostile name such as `blocks.99999999999.x` must not size the expected set.
    let most = store.names().count();
    store.names().filter_map(index).filter(|i| *i < most).max().map_or(0, |i| i + 1)
}

fn metadata_heads(store: &Store) -> Result<Option<usize>, WeightsError> {
    let parse = |text: &String| {
        text.parse().map_err(|_| WeightsError::Unclear {
            origin: store.origin().into(),
            cause: format!("its metadata says num_heads = {text:?}, expected a whole number"),
        })
    };
    store.metadata().get("num_heads").map(parse).transpose()
}

pub(super) fn divides(store: &Store, heads: usize, width: usize, remedy: &str) -> Result<(), WeightsError> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    let cause = format!("{heads} heads do not divide the width {width}; {remedy}");
    Err(WeightsError::Unclear { origin: store.origin().into(), cause })
}

fn dinov2_config(store: &Store, heads: Option<usize>) -> Result<vit::Config, WeightsError> {
    let (model, flag) = ("a DINOv2 with registers", "--dinov2");
    let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
    let [_, positions, width] = dims(store, "pos_embed", model, flag)?;
    let [_, registers, _] = dims(store, "reg_token", model, flag)?;
    let [_, _, patch, _] = dims(store, "patch_embed.proj.weight", model, flag)?;
    let [hidden, _] = dims(store, "blocks.0.mlp.fc1.weight", model, flag)?;
    let grid = positions.isqrt();
    if grid * grid != positions {
        return Err(unclear(format!("pos_embed has {positions} rows, which is no square grid of patches")));
    }
    if patch == 0 || !crate::model::IMAGE_SIZE.is_multiple_of(patch) {
        return Err(unclear(format!("patches of {patch} px do not tile the frame of 224 px")));
    }
    let heads = match heads.map_or_else(|| metadata_heads(store), |h| Ok(Some(h)))? {
        Some(heads) => heads,
        None if PUBLISHED_WIDTHS.contains(&width) => width / PUBLISHED_HEAD_WIDTH,
        None => {
            return Err(unclear(format!(
                "a width of {width} is none of the published sizes, so the number of attention heads must be told: \
                 --heads N, or num_heads in the file's metadata"
            )));
        }
    };
    divides(store, heads, width, "check --heads")?;
    let depth = layers(store, "blocks.");
    Ok(vit::Config { depth, heads, hidden, patch, grid, registers, ..vit::Config::dinov2(width) })
}

fn lift_config(store: &Store) -> Result<lift::Config, WeightsError> {
    let (model, flag) = ("a LiFT model", "--lift");
    let [latent, feature] = dims(store, "model.encoder.input_proj.weight", model, flag)?;
    let [_, max_len, _] = dims(store, "model.encoder.pos_encoder.pe", model, flag)?;
    let [hidden, _] = dims(store, "model.encoder.transformer.layers.0.linear1.weight", model, flag)?;
    let [decoder_hidden, _] = dims(store, "model.decoder.model.0.weight", model, flag)?;
    let heads = metadata_heads(store)?.unwrap_or(lift::HEADS);
    divides(store, heads, latent, "check num_heads in its metadata")?;
    let layers = layers(store, "model.encoder.transformer.layers.");
    Ok(lift::Config { feature, latent, layers, heads, hidden, decoder_hidden, max_len })
}
