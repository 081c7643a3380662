//! `lift embed -o FILE`: one file of rows with its companion, or JSON lines on standard output.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::anyhow;
use serde_json::Value;

use super::{EmbedArgs, check_any_exists, check_length, deciding, gather, settings, too_many};
use crate::cli::Verbosity;
use crate::cli::embed::run_report::RunReport;
use crate::cli::signals::Signals;
use crate::embed::{self, Embedded, Engine, ModelChoice, Outcome};
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::{FileError, display_path};
use crate::rows::{
    Destination, Failure, Format, ModelDigest, Output, Part, Prepared, Provenance, Row, Written,
};
use crate::weights::WeightsError;

/// Gathers the inputs, claims the output, loads the models, embeds, and reports.
pub(super) fn run(args: &EmbedArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let quiet = verbosity.quiet;
    let inputs = gather(args)?;
    let mut items = inputs.iter();
    let lone = items.next().filter(|_| items.next().is_none()).map(|input| input.path);
    let destination = destination(args, lone.as_deref())?;
    if args.runs.dry_run {
        files::print(format!("{} to embed\n", inputs.len()).as_bytes())?;
        return Ok(Exit::Success);
    }
    check_any_exists(&inputs)?;
    let kept = match destination {
        Destination::Stdout => "the lines printed so far are complete",
        _ => "nothing was written",
    };
    let prepared =
        Prepared::new(&destination, &args.output.parts, args.output.overwrite)?.keeping(&args.keep);
    let report = RunReport::new(inputs.len(), quiet);
    report.notes(&inputs.notes);
    let compute = args.compute.settle(quiet)?;
    let choice = args.models.choice(&compute, quiet);
    let engine = Arc::new(Engine::load(&choice, &args.output.parts)?);
    check_length(&engine, args)?;
    let making = matches!(destination, Destination::File(..)).then(|| Making::begin(args, &choice));
    let signals = Signals::listen()?;
    let settings = settings(args, &compute, engine.max_frames());
    let dims = args.sampling.dims(&engine);
    if args.sampling.window.is_none() {
        destination.check_space(inputs.len(), &args.output.parts, dims)?;
    }
    let output = prepared.start(dims)?;
    let mut run = Run::new(output, report);
    let limit = args.runs.max_failures;
    let ended = embed::run(inputs.iter(), &engine, &settings, &signals.stop, |outcome| {
        run.take(outcome).map_err(Fatal::from)?;
        match limit.filter(|&limit| run.failed() > limit) {
            Some(limit) => Err(too_many(limit, kept)),
            None => Ok(()),
        }
    });
    ended?;
    if let Some(exit) = signals.received() {
        return Err(Fatal { exit, error: Some(anyhow!("interrupted: {kept}")) });
    }
    if let Some(making) = making {
        run.made_by(&making.end()?)?;
    }
    run.finish()
}

/// What makes the rows, found out on a thread of its own while videos are embedded: the digests of large weights take time.
struct Making {
    settings: BTreeMap<String, Value>,
    parts: Vec<Part>,
    models: JoinHandle<Result<BTreeMap<String, ModelDigest>, WeightsError>>,
}

impl Making {
    fn begin(args: &EmbedArgs, choice: &ModelChoice) -> Self {
        let (settings, parts) = (deciding(args, choice), args.output.parts.clone());
        let (choice, of) = (choice.clone(), parts.clone());
        let models = thread::spawn(move || choice.describe(&of, None).map(|(_, models)| models));
        Self { settings, parts, models }
    }

    fn end(self) -> Result<Provenance, Fatal> {
        let models = self.models.join();
        let models =
            models.map_err(|_| Fatal::input(anyhow!("the digests of the models cannot be taken")))?;
        Ok(Provenance::new(&self.parts, self.settings, models?))
    }
}

/// Where the rows go: what the flags say, else the default, which is named after the only input.
pub(super) fn destination(args: &EmbedArgs, lone: Option<&Path>) -> Result<Destination, Fatal> {
    let output = &args.output;
    if let Some(path) = &output.output {
        return Ok(Destination::parse(path)?);
    }
    if !std::io::stdout().is_terminal() {
        return Ok(Destination::Stdout);
    }
    let format = if output.parts.len() > 1 { Format::NPZ } else { Format::NPY };
    let name = match lone {
        Some(path) => {
            let stem = path.file_stem().unwrap_or(path.as_os_str());
            let mut name = stem.to_os_string();
            name.push(".lift");
            name
        }
        None => "embeddings".into(),
    };
    let mut name = name;
    name.push(format.extension());
    Ok(Destination::File(PathBuf::from(name), format))
}

/// The state of the run: its output and its report.
pub(super) struct Run {
    output: Output,
    report: RunReport,
    /// The number of inputs that gave rows.
    embedded: usize,
}

impl Run {
    pub(super) fn new(output: Output, report: RunReport) -> Self {
        Self { output, report, embedded: 0 }
    }

    /// The number of inputs that have failed so far.
    pub(super) fn failed(&self) -> usize {
        self.report.failed()
    }

    /// Says what made the rows.
    pub(super) fn made_by(&mut self, made: &Provenance) -> Result<(), FileError> {
        self.output.made_by(made)
    }

    /// Writes the rows of an input, or records its failure.
    pub(super) fn take(&mut self, outcome: Outcome) -> Result<(), FileError> {
        match outcome.result {
            Ok(embedded) => {
                if let Some(failure) = embedded.written(self.output.push_all(&embedded.rows))? {
                    return self.fail(&failure);
                }
                let Embedded { rows, notes, .. } = embedded;
                self.embedded += 1;
                self.report.embedded(rows.first().map(|row: &Row| row.clip.path.as_path()), &notes);
                Ok(())
            }
            Err(failure) => self.fail(&failure),
        }
    }

    fn fail(&mut self, failure: &Failure) -> Result<(), FileError> {
        self.output.fail(failure)?;
        self.report.failure(failure);
        Ok(())
    }

    /// Gives the output its name, and reports.
    pub(super) fn finish(self) -> Result<Exit, Fatal> {
        let Written { data, companion, rows, failed } = self.output.finish()?;
        let embedded = self.embedded;
        let windows = if rows == embedded { String::new() } else { format!(" ({rows} rows)") };
        let place = data.as_deref().map(|p| format!(" into {}", display_path(p))).unwrap_or_default();
        let beside = companion.as_deref().map(beside).unwrap_or_default();
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        self.report.end(|seconds| {
            format!("{embedded} embedded{windows}{failures} in {seconds:.2} s{place}{beside}")
        });
        Ok(if failed > 0 { Exit::SomeFailed } else { Exit::Success })
    }
}

fn beside(companion: &Path) -> String {
    format!(" (every input: {})", display_path(companion))
}
