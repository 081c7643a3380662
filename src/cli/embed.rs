//! `lift embed`: videos in, embeddings out.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::compute::ComputeArgs;
use super::models::ModelArgs;
use super::progress::Progress;
use super::signals::Signals;
use super::{Verbosity, report};
use crate::embed::{self, Engine, Outcome, Settings};
use crate::exit::{Exit, Fatal};
use crate::inputs::{self, Inputs};
use crate::rows::{Destination, Dims, Failure, Format, Output, Part, Prepared, Row, RowsError, display_path};
use crate::video::{Request, Sampling, VideoError};

/// Embed videos: 16 frames each, as [static, dynamic], 768 numbers
///
/// Broken videos never end a run and never yield an embedding: each is told on standard error, listed with its cause in
/// FILE.rows.csv, and makes the exit code 1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES)]
pub(super) struct EmbedArgs {
    /// Videos, folders (searched), patterns, or - for paths on standard input
    #[arg(value_name = "INPUT", required_unless_present = "list")]
    inputs: Vec<PathBuf>,
    /// A list of videos: one path per line, or CSV/TSV with the column path
    ///
    /// Optional columns: id, and start and end in seconds. Relative paths are relative to the working directory.
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Which frames of a video.
#[derive(Debug, Args)]
#[command(next_help_heading = "Frames")]
pub(super) struct SamplingArgs {
    /// Frames per video, evenly spaced from first to last, or 'all'; at least 2
    #[arg(long, value_name = "N|all", default_value = "16", value_parser = parse_frames)]
    frames: Sampling,
    /// Frames per second of video, instead of a number of frames
    #[arg(long, value_name = "RATE", conflicts_with = "frames", value_parser = parse_rate)]
    fps: Option<f64>,
    /// Where the clip starts, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    start: Option<f64>,
    /// Where the clip ends, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    end: Option<f64>,
    /// Mirror the clip in time: the last frame first
    #[arg(long)]
    reverse: bool,
    /// Take the frames that are there of a truncated or damaged file
    #[arg(long)]
    allow_truncated: bool,
}

/// What is written, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Where the rows go: .npy, .npz, .safetensors, .parquet, .jsonl, or - for JSON lines
    ///
    /// Default: JSON lines where standard output is a pipe or a file; on a terminal NAME.lift.npy for one video and
    /// embeddings.npy for several (.npz for several parts), in the working directory.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write, separated by commas: concat, static, dynamic, reconstructed, frames
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = "concat")]
    parts: Vec<Part>,
    /// Scale every vector to unit length
    #[arg(long)]
    normalize: bool,
    /// Replace an existing output
    #[arg(long)]
    overwrite: bool,
}

const EXAMPLES: &str = "Examples:\n  lift embed video.mp4\n  lift embed clips/ -o clips.parquet\n  \
    find . -name '*.webm' | lift embed - -o all.npz --parts concat,frames";

const LONG_EXAMPLES: &str = "Examples:\n  lift embed video.mp4                       one video\n  \
    lift embed clips/ -o clips.parquet         a folder into a table\n  \
    lift embed --list clips.csv -o clips.npy   rows path,id,start,end\n  \
    lift embed clips/ --parts frames -o x.npz  the frame encoder's features, (B, T, D)\n  \
    lift embed a.mp4 --model mini | jq .id     try it with no download\n\nExit codes: see lift --help";

impl SamplingArgs {
    fn request(&self, most: Option<usize>) -> Request {
        Request {
            most,
            sampling: self.fps.map_or(self.frames, Sampling::Fps),
            reverse: self.reverse,
            allow_truncated: self.allow_truncated,
            // Videos are decoded side by side, one thread each.
            threads: 1,
            ..Request::default()
        }
    }

    /// The number of frames every clip has, if the flags fix one.
    fn fixed(&self) -> Option<usize> {
        match (self.fps, self.frames) {
            (None, Sampling::Count(n)) => Some(n),
            _ => None,
        }
    }
}

fn parse_frames(text: &str) -> Result<Sampling, String> {
    match text.parse() {
        _ if text == "all" => Ok(Sampling::All),
        Ok(n) if n >= 2 => Ok(Sampling::Count(n)),
        Ok(_) => Err("a clip needs at least 2 frames to have a direction in time".into()),
        Err(_) => Err("expected a whole number of frames, at least 2, or 'all'".into()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|r: &f64| r.is_finite() && *r > 0.0);
    rate.ok_or_else(|| "expected frames per second above 0".into())
}

pub(super) fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0);
    seconds.ok_or_else(|| "expected seconds, 0 or more".into())
}

/// Parses nothing, does everything: the contents page of the command.
pub(super) fn run(args: EmbedArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let quiet = verbosity.quiet;
    let inputs = gather(&args)?;
    let destination = destination(&args.output, &inputs)?;
    let prepared = Prepared::new(&destination, &args.output.parts, args.output.overwrite)?;
    if !quiet {
        inputs.notes.iter().for_each(|n| report::note(n));
    }
    let compute = args.compute.settle(quiet)?;
    let engine = Engine::load(&args.models.choice(&compute, quiet), &args.output.parts)?;
    let dims = engine.dims(args.sampling.fixed());
    check_length(&engine, &args.sampling)?;
    let signals = Signals::listen()?;
    let settings = Settings {
        request: args.sampling.request(engine.max_frames()),
        parts: args.output.parts.clone(),
        normalize: args.output.normalize,
        threads: compute.threads,
    };
    let mut run = Run::start(prepared, dims, inputs.items.len(), quiet)?;
    embed::run(&inputs.items, &engine, &settings, &signals.stop, |outcome| run.take(outcome))?;
    if let Some(exit) = signals.received() {
        return Err(Fatal { exit, error: Some(anyhow!("interrupted: nothing was written")) });
    }
    run.finish()
}

fn gather(args: &EmbedArgs) -> Result<Inputs, Fatal> {
    let mut inputs = inputs::gather(&args.inputs, &args.list, &mut std::io::stdin()).map_err(Fatal::input)?;
    inputs.set_default_range(args.sampling.start, args.sampling.end).map_err(Fatal::usage)?;
    Ok(inputs)
}

/// Refuses before any work what no clip could satisfy.
fn check_length(engine: &Engine, sampling: &SamplingArgs) -> Result<(), Fatal> {
    match (engine.max_frames(), sampling.fixed()) {
        (Some(most), Some(frames)) if frames > most => {
            Err(Fatal::usage(anyhow!("{}", VideoError::TooManyFrames { frames, most })))
        }
        _ => Ok(()),
    }
}

/// Where the rows go, by design where nothing is said.
fn destination(output: &OutputArgs, inputs: &Inputs) -> Result<Destination, Fatal> {
    if let Some(path) = &output.output {
        return Ok(Destination::parse(path)?);
    }
    if !std::io::stdout().is_terminal() {
        return Ok(Destination::Stdout);
    }
    let format = if output.parts.len() > 1 { Format::Npz } else { Format::Npy };
    let name = match &inputs.items[..] {
        [one] => {
            let stem = one.path.file_stem().unwrap_or(one.path.as_os_str());
            let mut name = stem.to_os_string();
            name.push(".lift");
            name
        }
        _ => "embeddings".into(),
    };
    let mut name = name;
    name.push(format.extension());
    Ok(Destination::File(PathBuf::from(name), format))
}

/// The rows on their way out, and what was said on the way.
struct Run {
    output: Output,
    progress: Progress,
    quiet: bool,
    /// Notes are said once, with the first video they are true of.
    said: HashSet<String>,
}

impl Run {
    fn start(prepared: Prepared, dims: Dims, videos: usize, quiet: bool) -> Result<Self, Fatal> {
        let (output, progress) = (prepared.start(dims)?, Progress::new(videos, quiet));
        Ok(Self { output, progress, quiet, said: HashSet::new() })
    }

    fn take(&mut self, outcome: Outcome) -> Result<(), RowsError> {
        match outcome {
            Outcome::Embedded(row, notes) => self.embedded(&row, &notes),
            Outcome::Failed(failure) => self.failed(&failure),
        }
    }

    fn embedded(&mut self, row: &Row, notes: &[String]) -> Result<(), RowsError> {
        match self.output.push(row) {
            Ok(()) => {}
            // One row that does not fit (another number of frames, say) is that video's failure, not the run's.
            Err(RowsError::Row(error)) => return self.failed(&unfit(row, error)),
            Err(error) => return Err(error),
        }
        for note in notes {
            if !self.quiet && self.said.insert(note.clone()) {
                let line = format!("{}: {note} (said once)", display_path(&row.path));
                self.progress.aside(|| report::note(&line));
            }
        }
        self.progress.step(true);
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) -> Result<(), RowsError> {
        let line = format!("{}: {}", display_path(&failure.path), failure.error);
        self.progress.aside(|| report::error(&line));
        self.output.fail(failure)?;
        self.progress.step(false);
        Ok(())
    }

    fn finish(self) -> Result<Exit, Fatal> {
        let written = self.output.finish()?;
        let took = self.progress.finish().as_secs_f64();
        if !self.quiet {
            let failed =
                if written.failed > 0 { format!(", {} failed", written.failed) } else { String::new() };
            let place = written.data.as_deref().map(|p| format!(" into {}", display_path(p)));
            let beside = written.companion.as_deref().map(beside).unwrap_or_default();
            eprintln!(
                "{} embedded{failed} in {took:.2} s{}{beside}",
                written.rows,
                place.unwrap_or_default()
            );
        }
        Ok(if written.failed > 0 { Exit::SomeFailed } else { Exit::Success })
    }
}

fn beside(companion: &Path) -> String {
    format!(" (every input: {})", display_path(companion))
}

fn unfit(row: &Row, error: String) -> Failure {
    Failure {
        index: row.index,
        id: row.id.clone(),
        path: row.path.clone(),
        start: row.start,
        end: row.end,
        fps: row.fps,
        duration: row.duration,
        stage: "write".into(),
        error,
    }
}
