//! From a source to a model's checked tensors.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::check::{check_dinov2, check_lift};
use super::source::{CONFIG_FILE, flag, published};
use super::vision::Vision;
use super::{HUB_FILE, HubId, MINI_DINOV2, MINI_LIFT, Source, Store, WeightsError, home, hub, open};
use crate::model::fold::Tensors;
use crate::model::{Family, lift, vit};

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
