//! Compares the tensors of a file with the exact set that a model has.

use std::path::Path;

use super::{Store, WeightsError, open};
use crate::model::lift;

/// Compares names and shapes with those of a LiFT.
pub(super) fn check_lift(store: &Store) -> Result<lift::LiftConfig, WeightsError> {
    let config = lift_config(store)?;
    store.check(&config.tensors(), |_| true, "a LiFT model", "--lift")?;
    Ok(config)
}

/// A LiFT in either format, checked.
pub(super) fn checked_lift(path: &Path) -> Result<Store, WeightsError> {
    let store = open(path)?;
    check_lift(&store)?;
    Ok(store)
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

/// The number of layers `prefix0.`, `prefix1.`, ... among the names.
pub(super) fn layers(store: &Store, prefix: &str) -> usize {
    let index = |name: &str| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
    // A hostile name such as `blocks.99999999999.x` must not size the expected set.
    let most = store.names().count();
    store.names().filter_map(index).filter(|i| *i < most).max().map_or(0, |i| i + 1)
}

/// The number of attention heads in the metadata.
pub(super) fn metadata_heads(store: &Store) -> Result<Option<usize>, WeightsError> {
    let parse = |text: &String| {
        text.parse().map_err(|_| WeightsError::Unclear {
            origin: store.origin().into(),
            cause: format!("its metadata says num_heads = {text:?}, expected a whole number"),
        })
    };
    store.metadata().get("num_heads").map(parse).transpose()
}

/// Checks that the heads share the width evenly.
pub(super) fn divides(store: &Store, heads: usize, width: usize, remedy: &str) -> Result<(), WeightsError> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    let cause = format!("{heads} heads do not divide the width {width}; {remedy}");
    Err(WeightsError::Unclear { origin: store.origin().into(), cause })
}

fn lift_config(store: &Store) -> Result<lift::LiftConfig, WeightsError> {
    let (model, flag) = ("a LiFT model", "--lift");
    let [latent, feature] = dims(store, "model.encoder.input_proj.weight", model, flag)?;
    let [_, max_len, _] = dims(store, "model.encoder.pos_encoder.pe", model, flag)?;
    let [hidden, _] = dims(store, "model.encoder.transformer.layers.0.linear1.weight", model, flag)?;
    let [decoder_hidden, _] = dims(store, "model.decoder.model.0.weight", model, flag)?;
    let heads = metadata_heads(store)?.unwrap_or(lift::HEADS);
    divides(store, heads, latent, "check num_heads in its metadata")?;
    let layers = layers(store, "model.encoder.transformer.layers.");
    Ok(lift::LiftConfig { feature, latent, layers, heads, hidden, decoder_hidden, max_len })
}
