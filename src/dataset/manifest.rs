//! The manifest of a dataset: everything that decides its numbers. A run is resumed only if its manifest agrees.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::{AtomicFile, FileError};
use crate::rows::provenance::differences;
use crate::rows::{Dims, Format, ModelDigest, Part, Provenance};

/// The version of the folder's layout and of the ledgers. A change that older programs cannot read increments it.
const LAYOUT: u32 = 1;

/// The manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout's version.
    pub layout: u32,
    /// The version of the program.
    pub lift: String,
    /// All inputs of the run, whatever shard this is.
    pub inputs: InputsDigest,
    /// Which shard this is; absent where there is one only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<ShardOf>,
    /// Inputs of this folder that are in the list no more and whose results are kept. They stand behind those of the list, in the order
    /// of their ids.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept: Option<InputsDigest>,
    /// How often the folder was updated.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub generation: u64,
    /// Inputs per part.
    pub shard_size: usize,
    /// The format of the parts, `parquet` or `safetensors`.
    pub format: String,
    /// What a row holds.
    pub parts: Vec<PartShape>,
    /// The columns of the list that travel with its inputs (`--keep`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub keep: Vec<String>,
    /// The settings that decide the numbers, by the names of their flags.
    pub settings: BTreeMap<String, Value>,
    /// The weights, by the network's name.
    pub models: BTreeMap<String, ModelDigest>,
}

/// The inputs of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputsDigest {
    /// How many.
    pub count: usize,
    /// SHA-256 over ids, paths and ranges in their order, in hexadecimal.
    pub sha256: String,
    /// The same over absolute paths, so that a folder is known by any of its names; absent in older manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_sha256: Option<String>,
    /// Whether an input has a start or an end; absent in older manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<bool>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl InputsDigest {
    /// Whether both are the same inputs: the same names, or the same files by other names.
    pub(super) fn same(&self, other: &Self) -> bool {
        let absolute = self.absolute_sha256.is_some() && self.absolute_sha256 == other.absolute_sha256;
        self.count == other.count && (self.sha256 == other.sha256 || absolute)
    }
}

/// One shard of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardOf {
    /// From 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    /// How many of the run's inputs are this shard's.
    pub inputs: usize,
}

/// One part of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartShape {
    /// Its name.
    pub name: String,
    /// Its shape in one row.
    pub shape: Vec<usize>,
}

impl Manifest {
    /// The manifest of a run by this program.
    pub fn new(inputs: InputsDigest, shard: Option<ShardOf>, shard_size: usize, kind: Format) -> Self {
        Self {
            layout: LAYOUT,
            lift: env!("CARGO_PKG_VERSION").into(),
            inputs,
            shard,
            kept: None,
            generation: 0,
            shard_size,
            format: kind.extension()[1..].into(),
            parts: vec![],
            keep: vec![],
            settings: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }

    /// Says what a row holds.
    #[must_use]
    pub fn with_parts(mut self, parts: &[Part], dims: Dims) -> Self {
        let shape = |part: &Part| part.shape(dims.frames.unwrap_or(0), dims);
        self.parts = parts.iter().map(|p| PartShape { name: p.name().into(), shape: shape(p) }).collect();
        self
    }

    /// The parts and their sizes.
    ///
    /// # Errors
    /// If it names an unknown part. The caller adds the path.
    pub fn layout(&self) -> Result<(Vec<Part>, Dims), String> {
        let key_frames = self.settings.get("keyframes") == Some(&Value::Bool(true));
        let mut dims = Dims { key_frames, ..Dims::default() };
        let mut parts = Vec::new();
        for PartShape { name, shape } in &self.parts {
            let part: Part = name.parse()?;
            dims.take(part, shape)?;
            parts.push(part);
        }
        Ok((parts, dims))
    }

    /// The format of the parts.
    ///
    /// # Errors
    /// If datasets do not use it, or the layout is not this program's. The caller adds the path.
    pub fn kind(&self) -> Result<Format, String> {
        if self.layout != LAYOUT {
            return Err(format!(
                "its layout is version {}, this program reads version {LAYOUT}; use the lift that wrote it ({})",
                self.layout, self.lift
            ));
        }
        let named = Format::of_datasets().find(|format| format.extension()[1..] == self.format);
        named.ok_or_else(|| {
            let known: Vec<_> = Format::of_datasets().map(|format| &format.extension()[1..]).collect();
            format!("its parts are '{}', not {}", self.format, known.join(" or "))
        })
    }

    /// What made its rows.
    pub fn provenance(&self) -> Provenance {
        let made = Provenance::new(&[], self.settings.clone(), self.models.clone());
        let parts = self.parts.iter().map(|part| part.name.clone()).collect();
        Provenance { lift: self.lift.clone(), parts, ..made }
    }

    /// Reads one.
    ///
    /// # Errors
    /// `Read` if the file is missing or not a manifest.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read(path)
            .map_err(|e| FileError::read(path, format!("{e}; a dataset of lift embed -o DIR/ has one")))?;
        serde_json::from_slice(&text).map_err(|e| FileError::read(path, format!("not a manifest: {e}")))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| FileError::write(path, e.into()))?;
        text.push(b'\n');
        let mut file = AtomicFile::create(path, true)?;
        file.write_all(&text).map_err(|e| FileError::write(path, e))?;
        file.commit()
    }

    /// How many inputs are this folder's.
    pub fn own_inputs(&self) -> usize {
        self.listed_inputs() + self.kept_inputs()
    }

    /// How many of them are in the list.
    pub(super) fn listed_inputs(&self) -> usize {
        self.shard.map_or(self.inputs.count, |shard| shard.inputs)
    }

    /// How many of them are in the list no more.
    pub(super) fn kept_inputs(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.count)
    }

    /// Whether the rows are windows of their inputs.
    pub(super) fn has_windows(&self) -> bool {
        self.settings.contains_key("window")
    }

    /// The manifest of the whole run that this is a shard of.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { shard: None, kept: None, generation: 0, ..self.clone() }
    }

    /// Why a run with the manifest `now` cannot go on with the run of this one; `None` if both are one run.
    pub fn refusal(&self, now: &Self) -> Option<String> {
        let differences = self.differences(now);
        let what = differences.join("; ");
        if differences.is_empty() {
            return None;
        }
        if !self.has_other_inputs(now) {
            return Some(format!(
                "it was begun with other settings ({what}); write to another folder, or run it as it was begun"
            ));
        }
        let missing = if now.inputs.count < self.inputs.count { " (is a disk not mounted?)" } else { "" };
        Some(format!(
            "it was begun with other inputs ({what}); check that all videos are there{missing}, give --update to follow the list, or \
             write to another folder"
        ))
    }

    /// Whether both differ in their inputs alone.
    pub fn has_other_inputs(&self, now: &Self) -> bool {
        let differences = self.differences(now);
        !differences.is_empty() && differences.iter().all(|difference| is_of_inputs(difference))
    }

    /// The differences between the runs that are not those of their inputs.
    pub(super) fn other_differences(&self, now: &Self) -> Vec<String> {
        self.differences(now).into_iter().filter(|difference| !is_of_inputs(difference)).collect()
    }

    /// The differences between the run of this manifest and the current one, in words; none if they are one run.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let same_inputs = self.inputs.same(&now.inputs);
        let compared = |manifest: &Self| {
            let mut plain = manifest.clone();
            if same_inputs {
                plain.inputs = self.inputs.clone();
            }
            plain.inputs.absolute_sha256 = None;
            plain.inputs.ranges = None;
            (plain.kept, plain.generation) = (None, 0);
            plain.models.values_mut().for_each(|model| model.from.clear());
            serde_json::to_value(plain).unwrap_or_default()
        };
        differences(&compared(self), &compared(now), "now")
    }
}

/// Whether a difference is that of the inputs, of what is kept of their list, or of how many of them a shard has.
fn is_of_inputs(difference: &str) -> bool {
    ["inputs.", "shard.inputs:", "keep:"].iter().any(|start| difference.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let inputs = InputsDigest { count: 3, sha256: "ab".repeat(32), ..InputsDigest::default() };
        let mut manifest = Manifest::new(inputs, None, 2, Format::PARQUET);
        manifest.settings.insert("frames".into(), 16.into());
        let model = ModelDigest { from: "a".into(), sha256: "cd".repeat(32), settings: None };
        manifest.models.insert("dinov2".into(), model);
        manifest
    }

    #[test]
    fn what_differs_is_named_and_the_place_of_a_model_is_no_difference() {
        let (there, mut now) = (manifest(), manifest());
        now.models.get_mut("dinov2").unwrap().from = "elsewhere".into();
        assert_eq!(there.differences(&now), Vec::<String>::new());
        now.settings.insert("frames".into(), 8.into());
        now.settings.insert("keyframes".into(), true.into());
        now.inputs.count = 4;
        now.shard = Some(ShardOf { index: 0, count: 2, inputs: 1 });
        let said = there.differences(&now).join("\n");
        for piece in [
            "settings.frames: 16 there, 8 now",
            "inputs.count: 3 there, 4 now",
            "shard.count: nothing there, 2 now",
            "settings.keyframes: nothing there, true now",
        ] {
            assert!(said.contains(piece), "{piece} in {said}");
        }
        assert_eq!(now.whole().shard, None);
    }

    #[test]
    fn it_reads_back_and_its_parts_give_the_sizes_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.json");
        let dims = Dims { frames: Some(16), width: 5, features: 7, key_frames: false };
        let parts = [Part::Concat, Part::Frames];
        let manifest = manifest().with_parts(&parts, dims);
        manifest.write(&path).unwrap();
        let back = Manifest::read(&path).unwrap();
        assert_eq!(back, manifest);
        assert_eq!(back.layout().unwrap(), (parts.to_vec(), dims));
        std::fs::write(&path, "{}").unwrap();
        assert!(Manifest::read(&path).unwrap_err().to_string().contains("not a manifest"));
    }
}
