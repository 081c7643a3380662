//! The published form of LiFT: a PyTorch Lightning `.ckpt`, an uncompressed zip with a protocol-2 pickle.
//!
//! candle's reader executes nothing, but it panics on some malformed pickles and skips tensors it cannot place. Here a
//! panic becomes an error, and [`super::Store::check`] notices whatever was skipped.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::{DType, Tensor, pickle::read_all_with_key};

use super::{Store, WeightsError};

/// Reads the `state_dict` of a Lightning checkpoint.
///
/// # Errors
/// If the file cannot be opened, is not such a checkpoint, or holds numbers that are not floating-point.
pub(super) fn read(path: &Path) -> Result<Store, WeightsError> {
    let origin = path.display().to_string();
    std::fs::File::open(path).map_err(|source| WeightsError::Open { origin: origin.clone(), source })?;
    let bad = |cause: String| WeightsError::Format { origin: origin.clone(), format: "checkpoint", cause };
    let read = || -> candle_core::Result<HashMap<String, Tensor>> {
        read_all_with_key(path, Some("state_dict"))?
            .into_iter()
            .map(|(name, t)| Ok((name, t.to_dtype(DType::F32)?.contiguous()?)))
            .collect()
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(tensors)) => Ok(Store::from_tensors(origin, tensors)),
        Ok(Err(e)) => Err(bad(crate::model::cause(&e))),
        Err(_) => Err(bad("the pickle inside is malformed".into())),
    }
}
