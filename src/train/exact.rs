//! Stores an `f64` in JSON as text, which gives the same bits back: JSON has no number for infinity, and a JSON reader may
//! round.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// For `#[serde(with = "exact")]`.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// For `#[serde(with = "exact")]`.
///
/// # Errors
/// If the text is no number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
