//! What made an output: the settings that change values, the digests of the models, the version of the program.
//!
//! Every output carries it as JSON under the key [`KEY`]: `.parquet` and `.safetensors` in their metadata, `.npz` as an array, the
//! others in the last line of their companion, in the column `provenance`. Outputs that were made otherwise are not joined, because
//! their rows cannot be compared. Files of other programs, and of older versions of this one, do not have it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::{FileError, display_path};
use crate::rows::companion::{companion_path, companion_provenance};
use crate::rows::{Format, Part};

/// Where a file's own metadata has it.
pub(crate) const KEY: &str = "lift.provenance";

/// The settings that decide which inputs fail, and no value of a row.
const WITHOUT_EFFECT: [&str; 1] = ["max-pixels"];

/// What made the rows of an output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The version of the program.
    pub lift: String,
    /// The parts of a row, in their order.
    pub parts: Vec<String>,
    /// The settings that change values, by the names of their flags.
    pub settings: BTreeMap<String, Value>,
    /// The weights, by the network's name.
    pub models: BTreeMap<String, ModelDigest>,
    /// The differences of the files that were joined all the same; empty for any other output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<String>,
}

/// A network's weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDigest {
    /// Where they came from: for people, not compared.
    pub from: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The contents of the settings file beside the weights, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
}

impl Provenance {
    /// The provenance of rows that this program makes; settings that change no value are left out.
    pub fn new(
        parts: &[Part],
        mut settings: BTreeMap<String, Value>,
        models: BTreeMap<String, ModelDigest>,
    ) -> Self {
        settings.retain(|name, _| !WITHOUT_EFFECT.contains(&name.as_str()));
        let parts = parts.iter().map(|part| part.name().to_owned()).collect();
        let lift = env!("CARGO_PKG_VERSION").into();
        Self { lift, parts, settings, models, unchecked: vec![] }
    }

    /// The provenance that a file of rows carries, itself or in its companion; `None` if it says nothing.
    ///
    /// # Errors
    /// `Read` if the file is damaged, or what it says is no provenance.
    pub fn of(path: &Path) -> Result<Option<Self>, FileError> {
        let Some(format) = Format::of(path).filter(|_| path.is_file()) else { return Ok(None) };
        let (text, at) = match format.0.note(path, KEY).map_err(|reason| FileError::read(path, reason))? {
            Some(text) => (Some(text), path.to_path_buf()),
            None if format.0.keeps_notes() => return Ok(None),
            None => (companion_provenance(path)?, companion_path(path)),
        };
        let Some(text) = text else { return Ok(None) };
        let wrong = |e| FileError::read(&at, format!("what it says of its making ('{KEY}') is damaged: {e}"));
        serde_json::from_str(&text).map(Some).map_err(wrong)
    }

    /// Its text in files.
    pub(crate) fn text(&self) -> Result<String, FileError> {
        serde_json::to_string(self).map_err(|e| FileError::Usage(format!("the provenance of the rows: {e}")))
    }

    /// What differs between these settings and models and the `other` ones, in words: `settings.frames: 16 there, 8 here`. None
    /// if the rows can be compared. The version of the program is no difference.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        differences(&comparable(self), &comparable(other), "here")
    }

    /// As [`differences`](Self::differences), and the version of the program.
    pub fn differences_and_version(&self, other: &Self) -> Vec<String> {
        let mut found = self.differences(other);
        if self.lift != other.lift {
            found.push(format!("lift: {:?} there, {:?} here", self.lift, other.lift));
        }
        found
    }

    /// Refuses the rows of `path` beside those of `first`, unless both were made alike, or one of them does not say.
    ///
    /// # Errors
    /// `Read`, with the differences.
    pub(crate) fn check_alike(
        (first, made): (&Path, Option<&Self>),
        (path, other): (&Path, Option<&Self>),
    ) -> Result<(), FileError> {
        let (Some(made), Some(other)) = (made, other) else { return Ok(()) };
        let found = made.differences(other);
        if found.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "it was made otherwise than {} ({}); read only files together that were made alike",
            display_path(first),
            found.join("; ")
        );
        Err(FileError::read(path, reason))
    }
}

/// What is compared, as JSON.
fn comparable(made: &Provenance) -> Value {
    let mut models = made.models.clone();
    models.values_mut().for_each(|model| model.from.clear());
    serde_json::json!({ "settings": made.settings, "models": models, "unchecked": made.unchecked })
}

/// The values that differ between two JSON objects, by their dotted names, in words: `frames: 16 there, 8 now`, where `now` is the
/// word for the second object.
pub(crate) fn differences(there: &Value, other: &Value, now: &str) -> Vec<String> {
    let flat = |value: &Value| {
        let mut flat = BTreeMap::new();
        flatten("", value, &mut flat);
        flat
    };
    let (there, other) = (flat(there), flat(other));
    let keys: BTreeSet<_> = there.keys().chain(other.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or("nothing".into(), short);
    keys.into_iter()
        .filter(|key| there.get(*key) != other.get(*key))
        .map(|key| format!("{key}: {} there, {} {now}", shown(there.get(key)), shown(other.get(key))))
        .collect()
}

/// A value for a message; digests are shortened.
fn short(value: &Value) -> String {
    match value.to_string() {
        long if long.len() > 20 => format!("{}...", long.chars().take(14).collect::<String>()),
        all => all,
    }
}

/// All values of a nested object, by their dotted names.
fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, into);
            }
        }
        leaf => {
            into.insert(name.to_string(), leaf.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Wanted;
    use crate::rows::testing::{DIMS, made, row};
    use crate::rows::{Destination, Prepared};

    #[test]
    fn every_format_carries_what_made_it() {
        for format in Format::ALL {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(format!("x{format}"));
            let mut output = Prepared::new(&Destination::parse(&path).unwrap(), &[Part::Concat], false)
                .unwrap()
                .start(DIMS)
                .unwrap();
            output.push(&row(0, 3, &[Part::Concat])).unwrap();
            output.push(&row(1, 3, &[Part::Concat])).unwrap();
            assert_eq!(Provenance::of(&path).ok().flatten(), None);
            output.made_by(&made()).unwrap();
            output.finish().unwrap();
            assert_eq!(Provenance::of(&path).unwrap(), Some(made()), "{format}");
            let table = crate::rows::read(&path, Wanted::default()).unwrap();
            assert_eq!(table.arrays.len(), 1, "{format}");
            assert_eq!(table.provenance, Some(made()), "{format}");
        }
    }

    #[test]
    fn the_place_of_a_model_and_the_version_are_no_difference_of_values() {
        let (there, mut here) = (made(), made());
        here.models.get_mut("lift").unwrap().from = "elsewhere".into();
        here.lift = "99.0".into();
        assert_eq!(there.differences(&here), Vec::<String>::new());
        assert!(there.differences_and_version(&here)[0].contains("\"99.0\" here"));
        here.settings.insert("normalize".into(), true.into());
        here.models.get_mut("lift").unwrap().sha256 = "cd".repeat(32);
        let said = there.differences(&here).join("; ");
        assert!(said.contains("settings.normalize: false there, true here"), "{said}");
        assert!(said.contains("models.lift.sha256: \"abab"), "{said}");
    }

    #[test]
    fn settings_that_change_no_value_are_left_out() {
        let settings =
            BTreeMap::from([("max-pixels".to_owned(), 7.into()), ("frames".to_owned(), 16.into())]);
        let made = Provenance::new(&[Part::Odd], settings, BTreeMap::new());
        assert_eq!(made.settings.keys().collect::<Vec<_>>(), ["frames"]);
        assert_eq!(made.parts, ["odd"]);
    }
}
