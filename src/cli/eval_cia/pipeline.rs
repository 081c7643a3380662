//! Connects the command to the rest of the program: CSVs from the hub, and embeddings of videos through the feature cache.

use std::path::PathBuf;

use anyhow::anyhow;

use super::{Embedder, EvalCiaArgs, run};
use crate::cia::representations::{Matrix, StoredParts};
use crate::cia::stored;
use crate::cli::features;
use crate::cli::signals::Signals;
use crate::cli::{Verbosity, report};
use crate::embed::ModelChoice;
use crate::exit::{Exit, Fatal};
use crate::files::display_path;
use crate::inputs::Input;
use crate::rows::Provenance;
use crate::weights;

/// Flags that are left out of the report: they say where it is written, and do not change its content.
const NO_PART: [&str; 4] = ["output", "figure", "shots_figure", "overwrite"];

/// Runs the command.
pub(in crate::cli) fn main(
    args: &EvalCiaArgs,
    verbosity: &Verbosity,
    mut settings: crate::cia::report::FlagValues,
) -> Result<Exit, Fatal> {
    settings.retain(|name, _| !NO_PART.contains(&name.as_str()));
    let mut pipeline = Pipeline { args, quiet: verbosity.quiet, choice: None, signals: Signals::listen()? };
    let note = |line: &str| {
        if !verbosity.quiet {
            report::note(line);
        }
    };
    let ended = run(args, settings, &mut pipeline, &mut std::io::stdout(), &note);
    match pipeline.signals.received() {
        Some(exit) => {
            let error =
                anyhow!("interrupted: no report was written; what is embedded is kept for the next run");
            Err(Fatal { exit, error: Some(error) })
        }
        None => ended,
    }
}

struct Pipeline<'a> {
    args: &'a EvalCiaArgs,
    quiet: bool,
    choice: Option<ModelChoice>,
    signals: Signals,
}

impl Pipeline<'_> {
    /// The models that the flags choose; notes about them are printed once.
    fn choice(&mut self) -> Result<ModelChoice, Fatal> {
        if let Some(choice) = &self.choice {
            return Ok(choice.clone());
        }
        let compute = self.args.compute.settle(self.quiet)?;
        Ok(self.choice.insert(self.args.models.choice(&compute, self.quiet)).clone())
    }
}

impl Embedder for Pipeline<'_> {
    fn hub_file(&mut self, repository: &str, name: &str) -> Result<PathBuf, Fatal> {
        let offline = self.args.models.offline();
        let remedy = format!(
            "bring the data set's CSVs, for training and for validation, from {repository} on the hub and name their folder with \
             --splits DIR"
        );
        Ok(weights::hub_dataset_file(repository, name, offline, &remedy)?)
    }

    fn embed(&mut self, dataset: &str, clips: &[Input]) -> Result<StoredParts, Fatal> {
        let fail = |what: String| Err(Fatal::input(anyhow!("{dataset}: {what}")));
        // A mistyped folder is reported before any weights are loaded.
        if let Some(first) = clips.first()
            && !clips.iter().any(|clip| clip.path.exists())
        {
            return fail(format!(
                "none of {} videos is there; the first looked for is {} (--videos names the folder, --template the way \
                 from it to a video)",
                clips.len(),
                display_path(&first.path)
            ));
        }
        let choice = self.choice()?;
        let (folder, threads) = (self.args.cache.as_deref(), self.args.compute.threads());
        let (folder, cached) =
            features::cached(clips, folder, &choice, threads, &self.args.limits, &self.signals, self.quiet)?;
        if self.signals.received().is_some() {
            return fail("interrupted".to_owned());
        }
        for failure in &cached.failures {
            report::failed(&display_path(&failure.clip.path), failure);
        }
        if cached.files.is_empty() {
            return fail(format!(
                "none of {} videos could be embedded; check --videos and --template",
                clips.len()
            ));
        }
        let mut parts = stored::several(&folder, &cached.files)?;
        let Some(frames) = parts.own.get("frames").cloned() else {
            return fail("the cache holds no frame features".to_owned());
        };
        if choice.has_lift() && self.args.probe.reads_lift() {
            let ids: Vec<&str> = frames.index.keys().map(String::as_str).collect();
            parts.own.insert("concat".into(), features::lift(&choice, &frames, &ids, true)?);
            if let (true, Some(mirrored)) = (self.args.probe.reads_mirror(), frames.reversed()) {
                parts.own.insert("reversed".into(), features::lift(&choice, &mirrored, &ids, true)?);
            }
        }
        Ok(parts)
    }

    fn lift(&mut self, frames: &Matrix, ids: &[&str], made: Option<&Provenance>) -> Result<Matrix, Fatal> {
        let choice = self.choice()?;
        features::same_lift(&choice, made, &frames.origin)?;
        features::lift(&choice, frames, ids, false)
    }
}
