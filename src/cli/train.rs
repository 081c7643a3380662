//! `lift train`: trains LiFT on the features of frames, without labels.

mod args;
mod data;
mod probe;
mod resume;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, anyhow};
use candle_core::Device;
use indicatif::ProgressBar;

use super::report::{self, Level};
use super::signals::Signals;
use super::{Verbosity, progress};
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::{AtomicFile, FileError, display_path};
use crate::plot::picture::PictureFormat;
use crate::rows::Wanted;
use crate::threads;
use crate::train::{
    BEST, ClipSubset, Clips, End, LAST, LOG, LogRecord, LossValues, Params, Run, STATE, TrainError,
    TrainSettings, Watcher, curves, read_log, split,
};
use crate::weights;

pub(super) use args::TrainArgs;
pub(super) use resume::flags_of_run;

/// Reads the features, trains, writes the curves.
pub(super) fn run(
    args: &TrainArgs,
    verbosity: &Verbosity,
    flags: BTreeMap<String, serde_json::Value>,
) -> Result<Exit, Fatal> {
    if let Some(log) = &args.plot {
        return plot(log, args.output.as_deref(), args.overwrite);
    }
    // The state to resume is looked for before any work.
    if let Some(output) = args.output.as_deref().filter(|output| args.resume && !output.join(STATE).exists())
    {
        let folder = display_path(output);
        return Err(Fatal::input(anyhow!(
            "{folder}: there is no run to resume; leave out --resume to start one there"
        )));
    }
    let (Some(output), false) = (args.output.as_deref(), args.inputs.is_empty()) else {
        return Err(Fatal::usage(anyhow!(
            "give the features or videos to train on, and -o DIR for the trained weights (with --resume, -o DIR alone)"
        )));
    };
    let signals = Signals::listen()?;
    let compute = args.compute.settle(verbosity.quiet)?;
    // Files that must be copied are copied into the output folder.
    let new = !output.exists();
    std::fs::create_dir_all(output)
        .map_err(|cause| Fatal::from(FileError::Write { path: output.into(), cause }))?;
    // Computing the features of videos may take hours, so every file that the command line names is read before.
    let read = || -> Result<_, Fatal> {
        let file =
            |path: Option<&Path>, wanted| path.map(|path| data::file(path, wanted, output)).transpose();
        let splits = args.probe.splits()?;
        let held_out = file(args.validation.as_deref(), Wanted::default())?;
        let probed = file(args.probe.probe_features.as_deref(), args.probe.wanted())?;
        let (clips, left_out, encoder) = data::read(args, &compute, output, &signals, verbosity.quiet)?;
        Ok((splits, held_out, probed, clips, left_out, encoder))
    };
    let (splits, held_out, probed, clips, left_out, encoder) = read().inspect_err(|_| {
        if new {
            // This removes only an empty folder.
            let _ = std::fs::remove_dir(output);
        }
    })?;
    let (train, valid) = match &held_out {
        Some(held_out) => ((0..clips.len()).collect(), (0..held_out.len()).collect::<Vec<_>>()),
        None => split(clips.len(), args.held_out, args.settings.seed),
    };
    let held_out = held_out.as_ref().unwrap_or(&clips);
    fits(&clips, held_out)?;
    let device = compute.device()?;
    let (settings, init) = prepare(args, &clips, &device)?;
    let probed = probed.as_ref().unwrap_or(&clips);
    let shape = (held_out.frames(), clips.width());
    let probe = splits.map(|splits| probe::BenchmarkProbe::new(splits, probed, shape)).transpose()?;
    let run = Run {
        settings,
        epochs: args.epochs.get(),
        folder: output,
        train: ClipSubset { clips: &clips, rows: &train },
        validation: (!valid.is_empty()).then_some(ClipSubset { clips: held_out, rows: &valid }),
        probe: probe
            .map(|mut probe| Box::new(move |embed: &crate::train::EmbedFn<'_>| probe.accuracy(embed)) as _),
        save_every: args.save_every.map(|steps| steps.get()),
        log_every: args.log_every.get(),
        flags,
        encoder: encoder.as_ref().and_then(|encoder| serde_json::to_string(encoder).ok()),
        device,
        stop: &signals.stop,
    };
    say(verbosity, &format!("training on {} clips, validating on {}", train.len(), valid.len()));
    let ended = learn(run, init, args, verbosity)?;
    finish(ended, args, output, &signals, verbosity)?;
    Ok(if left_out == 0 { Exit::Success } else { Exit::SomeFailed })
}

fn learn(run: Run<'_>, init: Option<Params>, args: &TrainArgs, verbosity: &Verbosity) -> Result<End, Fatal> {
    let mut watcher = Bar::new(verbosity.quiet, args.epochs.get());
    // candle's matrix products use the threads of this pool.
    let pool = threads::pool(args.compute.threads());
    let pool = pool.context("the threads cannot be started").map_err(Fatal::input)?;
    let outcome =
        pool.install(|| if args.resume { run.resume(&mut watcher) } else { run.start(init, &mut watcher) });
    watcher.finish();
    outcome.map_err(fatal)
}

fn finish(
    ended: End,
    args: &TrainArgs,
    output: &Path,
    signals: &Signals,
    verbosity: &Verbosity,
) -> Result<(), Fatal> {
    let folder = display_path(output);
    if ended == End::Stopped {
        let exit = signals.received().unwrap_or(Exit::Interrupted);
        let error = anyhow!("stopped; lift train --resume -o {folder} continues the run");
        return Err(Fatal { exit, error: Some(error) });
    }
    let log = read_log(&output.join(LOG)).map_err(fatal)?;
    for name in ["curves.png", "curves.svg"] {
        draw(&log, &output.join(name), true)?;
    }
    say(
        verbosity,
        &format!(
            "{folder}: {BEST} and {LAST} (for lift embed --lift), {LOG}, curves.png after {}",
            report::count(args.epochs.get() as usize, "epoch")
        ),
    );
    Ok(())
}

/// Draws the curves of an existing log into `output`, or beside the log.
fn plot(log: &Path, output: Option<&Path>, overwrite: bool) -> Result<Exit, Fatal> {
    let records = read_log(log).map_err(fatal)?;
    let beside = log.with_extension("png");
    let output = output.unwrap_or(&beside);
    draw(&records, output, overwrite)?;
    files::print(format!("{}\n", display_path(output)).as_bytes())?;
    Ok(Exit::Success)
}

fn draw(log: &[LogRecord], path: &Path, overwrite: bool) -> Result<(), Fatal> {
    let format = PictureFormat::of(path).map_err(Fatal::usage)?;
    let mut file = AtomicFile::create(path, overwrite)?;
    let picture = curves::draw(log, format).map_err(Fatal::input)?;
    file.write_all(&picture).map_err(|cause| FileError::Write { path: path.into(), cause })?;
    Ok(file.commit()?)
}

fn fits(train: &Clips, valid: &Clips) -> Result<(), Fatal> {
    if train.width() == valid.width() {
        return Ok(());
    }
    Err(Fatal::usage(anyhow!(
        "{}: features of width {}, but {} has {}; validate on features of the same frame encoder",
        display_path(valid.origin()),
        valid.width(),
        display_path(train.origin()),
        train.width()
    )))
}

/// The settings of the run, and the weights that it starts from if they are given.
fn prepare(
    args: &TrainArgs,
    clips: &Clips,
    device: &Device,
) -> Result<(TrainSettings, Option<Params>), Fatal> {
    let Some(source) = &args.init else {
        return Ok((args.settings.settings(clips.width(), clips.frames()), None));
    };
    let (store, config) = weights::load_lift(source, args.models.offline())?;
    if config.feature != clips.width() {
        return Err(Fatal::input(anyhow!(
            "{}: reads features of width {}, but {} has width {}",
            store.origin(),
            config.feature,
            display_path(clips.origin()),
            clips.width()
        )));
    }
    let tensors = config
        .tensors()
        .into_iter()
        .map(|(name, _)| Ok((name.clone(), store.tensor(&name, device)?)))
        .collect::<Result<BTreeMap<_, _>, weights::WeightsError>>()?;
    let params = Params::from_tensors(&config, tensors).map_err(Fatal::input)?;
    let mut settings = args.settings.settings(clips.width(), clips.frames());
    settings.model = config;
    Ok((settings, Some(params)))
}

/// An error of training with its exit code.
fn fatal(error: TrainError) -> Fatal {
    match error {
        TrainError::File(error) => error.into(),
        TrainError::Settings(_) | TrainError::Exists(_) => Fatal::usage(error),
        error => Fatal::input(error),
    }
}

fn say(verbosity: &Verbosity, line: &str) {
    if !verbosity.quiet {
        report::say(line);
    }
}

/// Shows loss, learning rate and time left on a terminal, and prints one line per epoch.
struct Bar {
    bar: Option<ProgressBar>,
    quiet: bool,
    epochs: u64,
    started: Instant,
    told: Instant,
}

impl Bar {
    fn new(quiet: bool, epochs: u64) -> Self {
        let bar = match quiet {
            true => None,
            false => progress::bar(None, "{wide_bar} {pos}/{len}{msg}, {eta} left"),
        };
        Self { bar, quiet, epochs, started: Instant::now(), told: Instant::now() }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for Bar {
    fn step(&mut self, done: u64, all: u64, loss: LossValues, lr: f64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
            bar.set_message(format!(", loss {:.4}, rate {lr:.1e}", loss.total));
        } else if report::is_for_programs() && !self.quiet && self.told.elapsed() >= progress::every() {
            self.told = Instant::now();
            let line = format!("step {done}/{all}, loss {:.4}", loss.total);
            progress::event((done, all), None, self.started, &line);
        }
    }

    fn epoch(&mut self, record: &LogRecord) {
        let LogRecord::Epoch { epoch, train, validation, probe, lr, seconds, .. } = record else { return };
        let validation =
            validation.as_ref().map_or(String::new(), |v| format!(", validation {:.5}", v.total));
        let probe = probe.map_or(String::new(), |p| format!(", probe {p:.1} %"));
        let line = format!(
            "epoch {epoch}/{}: loss {:.5}{validation}{probe}, rate {lr:.1e}, {seconds:.0} s",
            self.epochs, train.total
        );
        let fields = serde_json::json!(record);
        let say = || report::event(Level::Info, "epoch", &line, fields);
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None if !self.quiet => say(),
            None => {}
        }
    }
}
