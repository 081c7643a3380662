//! The benchmark's linear probe on the weights of the moment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use candle_core::Device;

use super::data;
use crate::cia::clips::Columns;
use crate::cia::evaluate::{Plan, evaluate};
use crate::cia::probe;
use crate::cia::representations::{Matrix, Parts};
use crate::cia::splits::Splits;
use crate::exit::Fatal;
use crate::rows::{self, Part};
use crate::train::{Clips, Embed};

/// The splits and the frame features of their videos.
pub(super) struct Probe {
    splits: Splits,
    clips: Clips,
    index: Arc<HashMap<String, usize>>,
    origin: PathBuf,
}

impl Probe {
    /// Reads training CSV, validation CSV and features with ids.
    pub(super) fn read(
        [train, valid, features]: [&Path; 3],
        frames: usize,
        width: usize,
    ) -> Result<Self, Fatal> {
        let splits = Splits::read(train, valid, &Columns::default(), false).map_err(Fatal::input)?;
        let clips = data::file(features)?;
        if (clips.frames(), clips.width()) != (frames, width) {
            return Err(Fatal::input(anyhow!(
                "{}: clips of {} frames and width {}, but the model is trained on {frames} and {width}",
                features.display(),
                clips.frames(),
                clips.width()
            )));
        }
        let table = rows::read(features, None, Some(Part::Frames.name()))?;
        let index: HashMap<String, usize> =
            table.index()?.into_iter().map(|(id, row)| (id.to_owned(), row)).collect();
        let missing: Vec<&str> = splits.ids().into_iter().filter(|id| !index.contains_key(*id)).collect();
        if let Some(first) = missing.first() {
            let origin = features.display();
            return Err(Fatal::input(anyhow!(
                "{origin}: {} videos of the CSVs are missing, {first} first",
                missing.len()
            )));
        }
        Ok(Self { splits, clips, index: Arc::new(index), origin: features.into() })
    }

    /// The mean accuracy over the groups, in percent.
    pub(super) fn accuracy(&mut self, embed: &Embed<'_>) -> Result<f64, String> {
        const BATCH: usize = 128;
        let rows: Vec<usize> = (0..self.clips.len()).collect();
        let mut values = Vec::new();
        for batch in rows.chunks(BATCH) {
            let x = self.clips.batch(batch, &Device::Cpu).map_err(|e| e.to_string())?;
            let z = embed(&x).and_then(|z| z.flatten_all()?.to_vec1::<f32>()).map_err(|e| e.to_string())?;
            values.extend(z);
        }
        let shape = vec![values.len() / rows.len()];
        let origin = self.origin.display().to_string();
        let matrix = Matrix { origin, index: self.index.clone(), shape, source: Arc::new(values) };
        let mut parts = Parts::default();
        parts.own.insert("concat".into(), matrix);
        let lift = parts.representation("lift").map_err(|e| e.to_string())?;
        let plan = Plan { probe: probe::Probe::Ridge(1.0), reversed: None, retrieval: false };
        let groups = evaluate(&self.splits, &lift, plan).map_err(|e| e.to_string())?;
        Ok(groups.iter().map(|group| group.accuracy).sum::<f64>() / groups.len().max(1) as f64)
    }
}
