//! The training loop: epochs of steps, validation after each epoch, checkpoints, and a log.
//!
//! Everything that a run computes is a function of its settings, its data and the step's number. So a run that is resumed
//! from `state.safetensors`, at the end of an epoch or within one, writes the same bytes as a run that was never stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::checkpoint::{BEST, LAST, LossSums, STATE, TrainProgress, read_state, write_state, write_weights};
use super::log::{LOG, Log, LogRecord, flags_in_force, read as read_log};
use super::random::{Purpose, Stream};
use super::step::{evaluate, step};
use super::{Adam, Clips, LossValues, Params, Plateau, TrainError, TrainSettings};

/// Clips per pass when validating.
const EVALUATION_BATCH: usize = 256;

/// Some of the clips of a file.
#[derive(Clone, Copy)]
pub struct ClipSubset<'a> {
    /// The clips of the file.
    pub clips: &'a Clips,
    /// The rows of the file that belong to the subset.
    pub rows: &'a [usize],
}

/// Scores the current weights: takes a function that embeds clips, returns an accuracy in percent.
pub type ProbeFn<'a> = dyn FnMut(&EmbedFn<'_>) -> Result<f64, String> + Send + 'a;

/// Embeds clips `(B, T, D)` with the current weights, `(B, 2W)`.
pub type EmbedFn<'a> = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + 'a;

/// A run: what it reads, and where it writes.
pub struct Run<'a> {
    /// The numbers that decide the result.
    pub settings: TrainSettings,
    /// The run ends after this many epochs in all.
    pub epochs: u64,
    /// An existing folder.
    pub folder: &'a Path,
    /// The clips to train on.
    pub train: ClipSubset<'a>,
    /// The clips to validate on; without them, the training loss decides about the learning rate and the best checkpoint.
    pub validation: Option<ClipSubset<'a>>,
    /// Called after each epoch.
    pub probe: Option<Box<ProbeFn<'a>>>,
    /// Steps between two written states, besides those after each epoch.
    pub save_every: Option<u64>,
    /// Steps between two logged steps.
    pub log_every: u64,
    /// The flags in force, by their names: the log begins with them.
    pub flags: BTreeMap<String, serde_json::Value>,
    /// The frame encoder that the features are of, in JSON, if it is known: the weights' metadata says it.
    pub encoder: Option<String>,
    /// The device that computes.
    pub device: Device,
    /// Once true, the run ends after the current step.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Done,
    /// The run was stopped, and can be resumed.
    Stopped,
}

/// Receives the progress of a run.
pub trait Watcher {
    /// After each step: steps done, steps in all, the batch's losses, the rate.
    fn step(&mut self, done: u64, all: u64, loss: LossValues, lr: f64);
    /// After each epoch.
    fn epoch(&mut self, record: &LogRecord);
}

impl Run<'_> {
    /// Starts a run from torch's initialisation, or from `init` if it is given.
    ///
    /// # Errors
    /// If the folder holds a run, the settings or data cannot be trained, the loss is not finite, or a write fails.
    pub fn start(self, init: Option<Params>, watcher: &mut (dyn Watcher + Send)) -> Result<End, TrainError> {
        self.settings.check()?;
        self.check_data()?;
        if self.folder.join(STATE).exists() {
            return Err(TrainError::Exists(self.folder.to_owned()));
        }
        let config = self.settings.model.clone();
        let params = match init {
            Some(params) => params,
            None => Params::init(&config, self.settings.seed, &self.device)?,
        };
        let adam = Adam::new(self.settings.adam, params.vars())?;
        let progress = TrainProgress {
            settings: self.settings.clone(),
            data: self.digest()?,
            epochs: 0,
            batches: 0,
            steps: 0,
            plateau: Plateau::new(self.settings.lr),
            sums: LossSums::default(),
            best: f64::INFINITY,
        };
        let mut log = Log::create(&self.folder.join(LOG))?;
        let (lift, settings) = (env!("CARGO_PKG_VERSION").into(), Box::new(self.settings.clone()));
        log.add(&LogRecord::Begin { lift, settings, flags: self.flags.clone() })?;
        self.go(params, adam, progress, log, watcher)
    }

    /// Resumes the run in the folder from its state.
    ///
    /// # Errors
    /// If there is no state, its settings or data differ, and as for [`Run::start`].
    pub fn resume(self, watcher: &mut (dyn Watcher + Send)) -> Result<End, TrainError> {
        let path = self.folder.join(STATE);
        let (params, adam, progress) = read_state(&path, &self.device)?;
        let differences = progress.settings.differences(&self.settings);
        if !differences.is_empty() {
            let cause =
                format!("the run was started with other settings (then, now): {}", differences.join("; "));
            return Err(TrainError::Settings(format!("{}: {cause}", path.display())));
        }
        if progress.data != self.digest()? {
            let cause = "the run was started with other features or another split; give the same ones";
            return Err(TrainError::Settings(format!("{}: {cause}", path.display())));
        }
        self.check_data()?;
        let path = self.folder.join(LOG);
        let mut log = Log::resume(&path, &progress)?;
        // Another resumed run takes them from there.
        let without = |mut flags: BTreeMap<String, serde_json::Value>| {
            flags.remove("resume");
            flags
        };
        if without(flags_in_force(&read_log(&path)?)) != without(self.flags.clone()) {
            log.add(&LogRecord::Resume { flags: self.flags.clone() })?;
        }
        self.go(params, adam, progress, log, watcher)
    }

    /// Of the data and of which rows are trained and validated on.
    fn digest(&self) -> Result<String, TrainError> {
        let part =
            |rows: ClipSubset| Ok::<_, TrainError>(format!("{}:{}", rows.clips.digest()?, rows.rows.len()));
        let validation = self.validation.map(part).transpose()?.unwrap_or_default();
        Ok(format!("{} {validation}", part(self.train)?).trim_end().to_string())
    }

    fn check_data(&self) -> Result<(), TrainError> {
        for ClipSubset { clips, rows } in [Some(self.train), self.validation].into_iter().flatten() {
            let model = &self.settings.model;
            let fail = |cause| Err(TrainError::Read { path: clips.origin().to_owned(), cause });
            if clips.width() != model.feature {
                return fail(format!(
                    "features of width {}, but the model reads {}",
                    clips.width(),
                    model.feature
                ));
            }
            if clips.frames() > model.max_len {
                let (frames, most) = (clips.frames(), model.max_len);
                return fail(format!(
                    "clips of {frames} frames, but the model reads at most {most}: raise --max-len"
                ));
            }
            if rows.is_empty() {
                return fail("no clip is left to train or validate on".to_string());
            }
        }
        Ok(())
    }

    fn go(
        mut self,
        params: Params,
        mut adam: Adam,
        mut progress: TrainProgress,
        mut log: Log,
        watcher: &mut (dyn Watcher + Send),
    ) -> Result<End, TrainError> {
        let began = Instant::now();
        let settings = self.settings.clone();
        let per_epoch = self.train.rows.len().div_ceil(settings.batch) as u64;
        while progress.epochs < self.epochs {
            let epoch = progress.epochs + 1;
            let order =
                Stream::new(settings.seed, Purpose::Shuffle, &[epoch]).permutation(self.train.rows.len());
            let lr = progress.plateau.lr;
            for batch in order.chunks(settings.batch).skip(progress.batches as usize) {
                let rows: Vec<usize> = batch.iter().map(|&place| self.train.rows[place]).collect();
                let x = self.train.clips.batch(&rows, &self.device)?;
                let loss = step(&params, &mut adam, &settings, &x, lr)?;
                if !loss.total.is_finite() {
                    return Err(TrainError::NotFinite { loss: loss.total, step: progress.steps + 1, epoch });
                }
                progress.steps += 1;
                progress.batches += 1;
                progress.sums.add(loss, rows.len());
                watcher.step(progress.steps, self.epochs * per_epoch, loss, lr);
                if progress.steps.is_multiple_of(self.log_every.max(1)) {
                    log.add(&LogRecord::Step { step: progress.steps, epoch, loss, lr })?;
                }
                let stopped = self.stop.load(Ordering::Relaxed);
                if stopped || self.save_every.is_some_and(|every| progress.steps.is_multiple_of(every.max(1)))
                {
                    self.save(&params, &adam, &progress)?;
                }
                if stopped {
                    self.write_weights(
                        LAST,
                        &params,
                        &progress,
                        &serde_json::json!({"step": progress.steps}),
                    )?;
                    return Ok(End::Stopped);
                }
            }
            let record = self.finish_epoch(&params, &mut progress, began)?;
            log.add(&record)?;
            watcher.epoch(&record);
            self.keep(&params, &adam, &mut progress, &record)?;
        }
        Ok(End::Done)
    }

    /// Validates, runs the probe, and sets the counters for the next epoch.
    fn finish_epoch(
        &mut self,
        params: &Params,
        progress: &mut TrainProgress,
        began: Instant,
    ) -> Result<LogRecord, TrainError> {
        let settings = &self.settings;
        let lr = progress.plateau.lr;
        let train = progress.sums.mean();
        let validation = self.validation.map(|rows| self.validate(params, rows)).transpose()?;
        let device = self.device.clone();
        let embed = |x: &Tensor| Ok(evaluate(params, settings, &x.to_device(&device)?)?.1);
        let probe = match &mut self.probe {
            Some(probe) => Some(probe(&embed).map_err(TrainError::Settings)?),
            None => None,
        };
        progress.plateau.step(validation.unwrap_or(train).total, &settings.plateau);
        progress.epochs += 1;
        progress.batches = 0;
        progress.sums = LossSums::default();
        let seconds = began.elapsed().as_secs_f64();
        Ok(LogRecord::Epoch {
            epoch: progress.epochs,
            step: progress.steps,
            train,
            validation,
            probe,
            lr,
            seconds,
        })
    }

    fn validate(
        &self,
        params: &Params,
        ClipSubset { clips, rows }: ClipSubset,
    ) -> Result<LossValues, TrainError> {
        let mut sums = LossSums::default();
        for rows in rows.chunks(EVALUATION_BATCH) {
            let x = clips.batch(rows, &self.device)?;
            sums.add(evaluate(params, &self.settings, &x)?.0, rows.len());
        }
        Ok(sums.mean())
    }

    /// Writes the checkpoints of a finished epoch: first the weights, and last the state, so that a state's weights exist.
    fn keep(
        &self,
        params: &Params,
        adam: &Adam,
        progress: &mut TrainProgress,
        record: &LogRecord,
    ) -> Result<(), TrainError> {
        let LogRecord::Epoch { epoch, step, train, validation, probe, .. } = record else { return Ok(()) };
        let loss = validation.unwrap_or(*train).total;
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { loss, step: *step, epoch: *epoch });
        }
        check_finite(params, *step, *epoch)?;
        let facts = serde_json::json!({
            "epoch": epoch, "step": step, "train": train, "validation": validation, "probe": probe
        });
        if loss < progress.best {
            progress.best = loss;
            self.write_weights(BEST, params, progress, &facts)?;
        }
        self.write_weights(LAST, params, progress, &facts)?;
        write_state(&self.folder.join(STATE), params, adam, progress)
    }

    fn save(&self, params: &Params, adam: &Adam, progress: &TrainProgress) -> Result<(), TrainError> {
        check_finite(params, progress.steps, progress.epochs + 1)?;
        write_state(&self.folder.join(STATE), params, adam, progress)
    }

    fn write_weights(
        &self,
        name: &str,
        params: &Params,
        progress: &TrainProgress,
        facts: &serde_json::Value,
    ) -> Result<(), TrainError> {
        write_weights(&self.folder.join(name), params, progress, facts, self.encoder.as_deref())
    }
}

/// Refuses weights that are not finite; without this check only the loss of the next step would show them.
fn check_finite(params: &Params, step: u64, epoch: u64) -> Result<(), TrainError> {
    if params.are_finite()? { Ok(()) } else { Err(TrainError::Weights { step, epoch }) }
}

#[cfg(test)]
mod tests;
