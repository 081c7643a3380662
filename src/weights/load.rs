//! Loads a model's checked tensors from a file, the hub, a URL or the caches.

use std::path::PathBuf;

use super::check::check_lift;
use super::family::Family;
use super::open::open_cached;
use super::source::{CONFIG_FILE, TOKENIZER_FILE};
use super::{
    EncoderWeights, HUB_FILE, HubId, MINI_LIFT, Store, WeightsError, WeightsSource, home, hub, open,
};
use crate::model::lift;

/// A frame encoder's tensors, checked.
///
/// `heads` overrides the head count of the file; `offline` forbids a download.
///
/// # Errors
/// If the file is absent, unreadable, or not a model of this family.
pub fn load_encoder(
    family: &'static Family,
    source: &WeightsSource,
    heads: Option<usize>,
    offline: bool,
) -> Result<EncoderWeights, WeightsError> {
    let (store, file) = encoder_store(family, source, offline)?;
    match Family::of(&store) {
        Some(other) if !(family.recognises)(&store) => Err(WeightsError::Tensors {
            origin: store.origin().into(),
            model: family.model,
            differences: format!("those of a {other} instead"),
            flag: family.flag,
        }),
        _ => (family.load)(store, &file, heads),
    }
}

/// The file's tensors, and where it is.
fn encoder_store(
    family: &Family,
    source: &WeightsSource,
    offline: bool,
) -> Result<(Store, PathBuf), WeightsError> {
    let flag = family.flag;
    let of_hub = |id: &HubId| {
        if let Some(settings) = family.settings_file {
            // The file is put beside the weights, where the settings are looked for.
            hub::fetch(id, settings, flag, family.settings_file, offline)?;
        }
        let path = hub::fetch(id, HUB_FILE, flag, family.settings_file, offline)?;
        let store = open_cached(&path)?;
        // How the published weights want their pictures is known.
        if *id != family.published() {
            hub::fetch_pictures(id, family, &store, offline)?;
        }
        Ok((store, path))
    };
    match source {
        WeightsSource::Mini => match family.bundled {
            Some((name, bytes)) => Ok((Store::bundled(name, bytes)?, PathBuf::new())),
            None => Err(WeightsError::Unclear {
                origin: format!("--encoder {family}"),
                cause: format!(
                    "the bundled pair has no {family}; leave --model mini out, or name weights with {flag}"
                ),
            }),
        },
        WeightsSource::File(path) => {
            // A model's folder as transformers saves it.
            let path = if path.is_dir() { path.join(HUB_FILE) } else { path.clone() };
            Ok((open(&path)?, path))
        }
        WeightsSource::Hub(id) => of_hub(id),
        WeightsSource::Url(url) => {
            let path = home::from_url(url, flag, offline)?;
            Ok((open(&path)?, path))
        }
        WeightsSource::Published => {
            let copied = home::lift_home().join(home::encoder_file(family));
            if copied.is_file() {
                return Ok((home::open_recorded(&copied)?, copied));
            }
            of_hub(&family.published())
        }
    }
}

/// The file of a family's model with its text tower, and where it is; its settings and its tokenizer are brought beside it.
pub(super) fn text_store(
    family: &Family,
    source: &WeightsSource,
    offline: bool,
) -> Result<(Store, PathBuf), WeightsError> {
    let id = match source {
        // What LIFT_HOME has under the family's name is a vision tower alone.
        WeightsSource::Published => family.published(),
        WeightsSource::Hub(id) => id.clone(),
        _ => return encoder_store(family, source, offline),
    };
    let files = [HUB_FILE, CONFIG_FILE, TOKENIZER_FILE];
    let fetch = |file| hub::fetch_with_text(&id, file, family.flag, files, offline);
    // The small ones first.
    fetch(TOKENIZER_FILE)?;
    fetch(CONFIG_FILE)?;
    let path = fetch(HUB_FILE)?;
    Ok((Store::map(&path)?, path))
}

/// LiFT's tensors, checked, with the shape they have.
///
/// # Errors
/// If the file is absent, unreadable, or not a LiFT model.
pub fn load_lift(source: &WeightsSource, offline: bool) -> Result<(Store, lift::LiftConfig), WeightsError> {
    let store = match source {
        WeightsSource::Mini => Store::bundled("bundled mini LiFT", MINI_LIFT)?,
        WeightsSource::File(path) => open(path)?,
        WeightsSource::Hub(id) => open_cached(&hub::fetch(id, HUB_FILE, "--lift", None, offline)?)?,
        WeightsSource::Url(url) => open(&home::from_url(url, "--lift", offline)?)?,
        WeightsSource::Published => home::published_lift(offline)?,
    };
    let config = check_lift(&store)?;
    Ok((store, config))
}
