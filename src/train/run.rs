//! The loop: epochs of steps, validation after each, checkpoints, a log, and an end that can be gone on from.
//!
//! Whatever a run computes is a function of its settings, its data and the step's number, so a run that goes on from
//! `state.safetensors`, at the end of an epoch or in the middle of one, arrives at the same bytes as one never stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::checkpoint::{BEST, LAST, Progress, STATE, Sums, read_state, write_state, write_weights};
use super::log::{LOG, Log, Record};
use super::random::{Purpose, Stream};
use super::step::{evaluate, step};
use super::{Adam, Clips, LossValues, Params, Plateau, Settings, TrainError};

/// Clips per pass when validating.
const EVALUATION_BATCH: usize = 256;

/// Clips of a file, by their rows.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The file.
    pub clips: &'a Clips,
    /// Which of its rows.
    pub rows: &'a [usize],
}

/// The accuracy in percent of a probe on embeddings: `embed(rows)` gives `(rows, 2W)` for rows of the probe's own features.
pub type Probe<'a> = dyn FnMut(&Embed<'_>) -> Result<f64, String> + Send + 'a;

/// Embeds clips `(B, T, D)` with the weights of the moment, `(B, 2W)`.
pub type Embed<'a> = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + 'a;

/// Everything a run reads and where it writes.
pub struct Run<'a> {
    /// What is computed.
    pub settings: Settings,
    /// The run ends after this many epochs in all.
    pub epochs: u64,
    /// An existing folder.
    pub folder: &'a Path,
    /// Trained on.
    pub train: Rows<'a>,
    /// Validated on; without, the schedule and the best checkpoint go by the training loss.
    pub validation: Option<Rows<'a>>,
    /// Called after each epoch.
    pub probe: Option<Box<Probe<'a>>>,
    /// A state is written every so many steps, besides after each epoch.
    pub save_every: Option<u64>,
    /// A step is logged every so many steps.
    pub log_every: u64,
    /// Flags that were in force, by their names: the log begins with them.
    pub flags: BTreeMap<String, serde_json::Value>,
    /// Where it runs.
    pub device: Device,
    /// Set from outside, it ends the run after the step under way.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Done,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

/// What a run tells as it goes.
pub trait Watcher {
    /// After each step: steps done, steps in all, the batch's losses, the rate.
    fn step(&mut self, done: u64, all: u64, loss: LossValues, lr: f64);
    /// After each epoch.
    fn epoch(&mut self, record: &Record);
}

impl Run<'_> {
    /// Starts from torch's initialisation, or from `init` where weights are given.
    ///
    /// # Errors
    /// If the folder holds a run, the settings or data cannot be trained, the loss stops being finite, or a write fails.
    pub fn start(self, init: Option<Params>, watcher: &mut (dyn Watcher + Send)) -> Result<End, TrainError> {
        self.settings.check()?;
        self.check_data()?;
        if self.folder.join(STATE).exists() {
            return Err(TrainError::Exists(self.folder.to_owned()));
        }
        let config = self.settings.model.config();
        let params = match init {
            Some(params) => params,
            None => Params::init(&config, self.settings.seed, &self.device)?,
        };
        let adam = Adam::new(self.settings.adam, params.vars())?;
        let progress = Progress {
            settings: self.settings.clone(),
            data: self.digest()?,
            epochs: 0,
            batches: 0,
            steps: 0,
            plateau: Plateau::new(self.settings.lr),
            sums: Sums::default(),
            best: f64::INFINITY,
        };
        let mut log = Log::create(&self.folder.join(LOG))?;
        let (lift, settings) = (env!("CARGO_PKG_VERSION").into(), Box::new(self.settings.clone()));
        log.add(&Record::Begin { lift, settings, flags: self.flags.clone() })?;
        self.go(params, adam, progress, log, watcher)
    }

    /// Goes on where the folder's state is.
    ///
    /// # Errors
    /// If there is no state, or one of other settings or data, and as [`Run::start`].
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
        let log = Log::resume(&self.folder.join(LOG), &progress)?;
        self.go(params, adam, progress, log, watcher)
    }

    /// Of the data and of which rows are trained and validated on.
    fn digest(&self) -> Result<String, TrainError> {
        let part = |rows: Rows| Ok::<_, TrainError>(format!("{}:{}", rows.clips.digest()?, rows.rows.len()));
        let validation = self.validation.map(part).transpose()?.unwrap_or_default();
        Ok(format!("{} {validation}", part(self.train)?).trim_end().to_string())
    }

    fn check_data(&self) -> Result<(), TrainError> {
        for Rows { clips, rows } in [Some(self.train), self.validation].into_iter().flatten() {
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
        mut progress: Progress,
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
                    log.add(&Record::Step { step: progress.steps, epoch, loss, lr })?;
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

    /// Validates, probes, and turns the counters to the next epoch.
    fn finish_epoch(
        &mut self,
        params: &Params,
        progress: &mut Progress,
        began: Instant,
    ) -> Result<Record, TrainError> {
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
        progress.sums = Sums::default();
        let seconds = began.elapsed().as_secs_f64();
        Ok(Record::Epoch {
            epoch: progress.epochs,
            step: progress.steps,
            train,
            validation,
            probe,
            lr,
            seconds,
        })
    }

    fn validate(&self, params: &Params, Rows { clips, rows }: Rows) -> Result<LossValues, TrainError> {
        let mut sums = Sums::default();
        for rows in rows.chunks(EVALUATION_BATCH) {
            let x = clips.batch(rows, &self.device)?;
            sums.add(evaluate(params, &self.settings, &x)?.0, rows.len());
        }
        Ok(sums.mean())
    }

    /// Writes the checkpoints of a finished epoch: first the weights, then the state that vouches for them.
    fn keep(
        &self,
        params: &Params,
        adam: &Adam,
        progress: &mut Progress,
        record: &Record,
    ) -> Result<(), TrainError> {
        let Record::Epoch { epoch, step, train, validation, probe, .. } = record else { return Ok(()) };
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

    fn save(&self, params: &Params, adam: &Adam, progress: &Progress) -> Result<(), TrainError> {
        check_finite(params, progress.steps, progress.epochs + 1)?;
        write_state(&self.folder.join(STATE), params, adam, progress)
    }

    fn write_weights(
        &self,
        name: &str,
        params: &Params,
        progress: &Progress,
        facts: &serde_json::Value,
    ) -> Result<(), TrainError> {
        write_weights(&self.folder.join(name), params, progress, facts)
    }
}

/// A step may leave weights that are not finite, which only the next one's loss would show.
fn check_finite(params: &Params, step: u64, epoch: u64) -> Result<(), TrainError> {
    if params.are_finite()? { Ok(()) } else { Err(TrainError::Weights { step, epoch }) }
}

#[cfg(test)]
mod tests;
