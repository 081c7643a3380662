//! The benchmark's linear probe, scored on the current weights after each epoch.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::anyhow;
use candle_core::Device;

use crate::cia::evaluate::{EvaluationPlan, evaluate};
use crate::cia::probe::ProbeMethod;
use crate::cia::representations::{Matrix, StoredParts};
use crate::cia::splits::Splits;
use crate::exit::Fatal;
use crate::files::display_path;
use crate::rows::likely_cause;
use crate::train::{Clips, EmbedFn};

/// The groups of the CSVs, and the frame features of their videos.
pub(super) struct BenchmarkProbe<'a> {
    splits: Splits,
    clips: &'a Clips,
    /// The rows of the videos among the clips.
    rows: Vec<usize>,
    index: Arc<HashMap<String, usize>>,
}

impl<'a> BenchmarkProbe<'a> {
    /// A probe on the groups of `splits`, whose videos must be among `clips`; the model reads `frames` of `width`.
    pub(super) fn new(
        splits: Splits,
        clips: &'a Clips,
        (frames, width): (usize, usize),
    ) -> Result<Self, Fatal> {
        let origin = display_path(clips.origin());
        if (clips.frames(), clips.width()) != (frames, width) {
            return Err(Fatal::input(anyhow!(
                "{origin}: clips of {} frames and width {}, but the model is trained on {frames} and {width}",
                clips.frames(),
                clips.width()
            )));
        }
        let places = clips.index().map_err(|error| Fatal::input(anyhow!("{error}")))?;
        let ids = splits.ids();
        let missing: Vec<&str> = ids.iter().copied().filter(|id| !places.contains_key(*id)).collect();
        if let Some(first) = missing.first() {
            let mut there: Vec<&str> = places.keys().map(String::as_str).collect();
            there.sort_unstable();
            return Err(Fatal::input(anyhow!(
                "{origin}: {} of {} videos of the probe's CSVs are not among its ids, {first} first{}; give the file \
                 that has them as --probe-features",
                missing.len(),
                ids.len(),
                likely_cause(&missing, "it", &there)
            )));
        }
        let rows = ids.iter().map(|id| places[*id]).collect();
        let index = ids.iter().enumerate().map(|(row, id)| ((*id).to_owned(), row)).collect();
        Ok(Self { rows, index: Arc::new(index), splits, clips })
    }

    /// The mean accuracy over the groups, in percent.
    pub(super) fn accuracy(&mut self, embed: &EmbedFn<'_>) -> Result<f64, String> {
        const BATCH: usize = 128;
        let mut values = Vec::new();
        for batch in self.rows.chunks(BATCH) {
            let x = self.clips.batch(batch, &Device::Cpu).map_err(|e| e.to_string())?;
            let z = embed(&x).and_then(|z| z.flatten_all()?.to_vec1::<f32>()).map_err(|e| e.to_string())?;
            values.extend(z);
        }
        let shape = vec![values.len() / self.rows.len().max(1)];
        let origin = display_path(self.clips.origin());
        let matrix = Matrix { origin, index: self.index.clone(), shape, source: Arc::new(values) };
        let mut parts = StoredParts::default();
        parts.own.insert("concat".into(), matrix);
        let lift = parts.representation("lift").map_err(|e| e.to_string())?;
        let plan = EvaluationPlan { probe: ProbeMethod::Ridge(1.0), reversed: None, retrieval: false };
        let groups = evaluate(&self.splits, &lift, plan).map_err(|e| e.to_string())?;
        Ok(groups.iter().map(|group| group.accuracy).sum::<f64>() / groups.len().max(1) as f64)
    }
}
