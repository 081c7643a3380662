//! The command connected to the program: splits from the hub, embeddings from videos by way of the feature cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};

use super::{Embedder, Ended, EvalCiaArgs, Stop, run};
use crate::cia::clips::Clip;
use crate::cia::representations::{Matrix, Parts};
use crate::cia::stored;
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::cli::{Verbosity, report};
use crate::embed::{Engine, ModelChoice, cache};
use crate::exit::{Exit, Fatal};
use crate::files::{display_path, display_text};
use crate::inputs::Input;
use crate::weights;

/// Flags that say where a report goes: wherever that is, the same evaluation gives the same report.
const NO_PART: [&str; 3] = ["output", "figure", "overwrite"];

/// Runs the command and says how it ended.
pub(in crate::cli) fn main(
    args: &EvalCiaArgs,
    verbosity: &Verbosity,
    mut settings: crate::cia::report::Settings,
) -> Result<Exit, Fatal> {
    settings.retain(|name, _| !NO_PART.contains(&name.as_str()));
    let mut pipeline = Pipeline { args, quiet: verbosity.quiet, choice: None, signals: Signals::listen()? };
    let note = |line: &str| {
        if !verbosity.quiet {
            report::note(line);
        }
    };
    let ended = run(args, settings, &mut pipeline, &mut std::io::stdout(), &note);
    if let Some(exit) = pipeline.signals.received() {
        let error = anyhow!("interrupted: no report was written; what is embedded is kept for the next run");
        return Err(Fatal { exit, error: Some(error) });
    }
    match ended {
        Ok(Ended::Whole) => Ok(Exit::Success),
        Ok(Ended::WithoutSome) => Ok(Exit::SomeFailed),
        Err(Stop::Usage(error)) => Err(Fatal::usage(error)),
        Err(Stop::Input(error)) => Err(Fatal::input(error)),
        Err(Stop::Rows(error)) => Err(error.into()),
    }
}

struct Pipeline<'a> {
    args: &'a EvalCiaArgs,
    quiet: bool,
    choice: Option<ModelChoice>,
    signals: Signals,
}

impl Pipeline<'_> {
    /// The models asked for; what is to be said of them is said once.
    fn choice(&mut self) -> anyhow::Result<ModelChoice> {
        if let Some(choice) = &self.choice {
            return Ok(choice.clone());
        }
        let settled = self.args.compute.settle(self.quiet);
        let compute = settled.map_err(|fatal| fatal.error.unwrap_or_else(|| anyhow!("no device")))?;
        Ok(self.choice.insert(self.args.models.choice(&compute, self.quiet)).clone())
    }
}

impl Embedder for Pipeline<'_> {
    fn hub_file(&mut self, repository: &str, name: &str) -> anyhow::Result<PathBuf> {
        let offline = self.args.models.offline();
        let remedy = format!(
            "bring the data set's CSVs, for training and for validation, from {repository} on the hub and name their folder with \
             --splits DIR"
        );
        Ok(weights::hub_dataset_file(repository, name, offline, &remedy)?)
    }

    fn embed(&mut self, dataset: &str, clips: &[Clip]) -> anyhow::Result<Parts> {
        let choice = self.choice()?;
        let inputs: Vec<Input> = clips
            .iter()
            .enumerate()
            .map(|(index, clip)| Input {
                index,
                id: clip.id.clone(),
                path: clip.path.clone(),
                start: clip.start,
                end: clip.end,
            })
            .collect();
        let folder = self.args.cache.clone().unwrap_or_else(|| weights::lift_home().join("features"));
        let limits = &self.args.limits;
        let settings = cache::settings(self.args.compute.threads(), limits.max_pixels, limits.timeout());
        let progress = RefCell::new(Progress::new(inputs.len(), self.quiet));
        let cached = cache::features::<anyhow::Error>(
            &inputs,
            &folder,
            &choice,
            &settings,
            &self.signals.stop,
            |outcome| progress.borrow_mut().step(outcome.result.is_ok()),
        )?;
        progress.into_inner().finish();
        if self.signals.received().is_some() {
            bail!("interrupted");
        }
        if let (true, Some(first)) = (cached.files.is_empty(), clips.first())
            && !clips.iter().any(|clip| clip.path.exists())
        {
            bail!(
                "{dataset}: none of {} videos is there; the first looked for is {} (--videos names the folder, --template the way \
                 from it to a video)",
                clips.len(),
                display_path(&first.path)
            );
        }
        for failure in &cached.failures {
            report::error(&format!("{}: {}", display_text(&failure.path), failure.error));
        }
        if cached.files.is_empty() {
            bail!(
                "{dataset}: none of {} videos could be embedded; check --videos and --template",
                clips.len()
            );
        }
        let mut parts = stored::several(&folder, &cached.files)?;
        let frames = parts.own.get("frames").context("the cache holds no frame features")?.clone();
        if choice.has_lift() {
            let ids: Vec<&str> = frames.index.keys().map(String::as_str).collect();
            parts.own.insert("concat".into(), self.lift(&frames, &ids)?);
        }
        Ok(parts)
    }

    fn lift(&mut self, frames: &Matrix, ids: &[&str]) -> anyhow::Result<Matrix> {
        let choice = self.choice()?;
        let &[count, width] = frames.shape.as_slice() else {
            bail!("{}: not frame features (T, D)", frames.origin)
        };
        let lift = Engine::load_lift_alone(&choice, width)?;
        let mut values = Vec::new();
        let mut index = HashMap::new();
        for (row, id) in ids.iter().enumerate() {
            let at =
                *frames.index.get(*id).with_context(|| format!("{}: no features of {id}", frames.origin))?;
            let mut features = vec![0.0; count * width];
            frames.source.copy_row(at, &mut features).with_context(|| frames.origin.clone())?;
            values.extend(lift.concat(&features, width)?);
            index.insert((*id).to_string(), row);
        }
        let shape = vec![values.len() / ids.len().max(1)];
        let origin = format!("{} through LiFT", frames.origin);
        Ok(Matrix { origin, index: Arc::new(index), shape, source: Arc::new(values) })
    }
}
