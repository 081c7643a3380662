//! `lift embed --stream`: reads requests from standard input and writes answers to standard output, in the same order. The
//! models are loaded once, and a failed input is an answer with its error.

use std::io::{self, BufRead, stdin};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use anyhow::anyhow;
use serde::Deserialize;

use super::args::StreamFormat;
use super::{EmbedArgs, check_length, settings};
use crate::cli::Verbosity;
use crate::cli::embed::run_report::RunReport;
use crate::cli::signals::Signals;
use crate::embed::{self, Engine, InputSource, Next, Outcome};
use crate::exit::{Exit, Fatal};
use crate::files::FileError;
use crate::guard::lock;
use crate::inputs::Input;
use crate::rows::{Answers, Failure};

/// How many lines are read ahead.
const AHEAD: usize = 64;

/// A request: one line of standard input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    path: PathBuf,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    start: Option<f64>,
    #[serde(default)]
    end: Option<f64>,
}

/// Answers requests until standard input ends.
pub(super) fn run(args: &EmbedArgs, format: StreamFormat, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let compute = args.compute.settle(verbosity.quiet)?;
    let choice = args.models.choice(&compute, verbosity.quiet);
    let engine = Arc::new(Engine::load(&choice, &args.output.parts)?);
    check_length(&engine, args)?;
    let signals = Signals::listen()?;
    let settings = settings(args, &compute, engine.max_frames());
    let dims = args.sampling.dims(&engine);
    let mut answers = match format {
        StreamFormat::Jsonl => Answers::jsonl(&args.output.parts, dims),
        StreamFormat::Arrow => Answers::arrow(&args.output.parts, dims)?,
    };
    // There is no progress bar: the number of requests is not known, and each answer shows the progress. With -q nothing is printed of
    // failures, which the answers tell: a program that never reads standard error would block the run.
    let mut report = RunReport::new(0, true);
    let quiet = verbosity.quiet;
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let broken = Arc::new(OnceLock::new());
    let requests = Requests { lines: listen(args, &broken), wrong: wrong.clone(), index: 0 };
    embed::run(requests, &engine, &settings, &signals.stop, |outcome| {
        answer(&mut answers, &mut report, outcome, &wrong, quiet)
    })?;
    answers.finish()?;
    if let Some(cause) = broken.get() {
        return Err(Fatal::input(anyhow!(
            "standard input cannot be read: {cause}; what was read before is answered"
        )));
    }
    match signals.received() {
        Some(exit) => {
            let error = anyhow!("stopped: requests that were begun are answered, later ones are not");
            Err(Fatal { exit, error: Some(error) })
        }
        None if report.failed() > 0 => Ok(Exit::SomeFailed),
        None => Ok(Exit::Success),
    }
}

/// The requests that cannot be carried out: their index and the reason.
type Wrong = Arc<Mutex<Vec<(usize, String)>>>;

fn answer(
    answers: &mut Answers,
    report: &mut RunReport,
    outcome: Outcome,
    wrong: &Wrong,
    quiet: bool,
) -> Result<(), FileError> {
    let failure = match outcome.result {
        Ok(embedded) => match embedded.written(answers.rows(&embedded.rows))? {
            Some(failure) => failure,
            None => return Ok(()),
        },
        Err(failure) => {
            let mut wrong = lock(wrong);
            let at = wrong.iter().position(|(index, _)| *index == failure.clip.index);
            match at.map(|at| wrong.swap_remove(at)) {
                Some((_, error)) => Failure { stage: "request".into(), error, ..failure },
                None => failure,
            }
        }
    };
    match quiet {
        true => report.count_failure(),
        false => report.failure(&failure),
    }
    answers.failure(&failure)
}

/// Reads lines on a thread of its own, so that no worker waits for them; `broken` is set if standard input fails.
fn listen(args: &EmbedArgs, broken: &Arc<OnceLock<io::Error>>) -> Receiver<Result<Asked, String>> {
    let (sender, receiver) = sync_channel(AHEAD);
    let broken = broken.clone();
    let (start, end) = (args.sampling.range.start, args.sampling.range.end);
    thread::spawn(move || {
        for line in stdin().lock().lines() {
            let asked = match line {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => parse(&line, start, end),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => Err("the line is not UTF-8".into()),
                Err(e) => {
                    // This is set before the channel closes, because it is read after that.
                    let _ = broken.set(e);
                    break;
                }
            };
            if sender.send(asked).is_err() {
                break;
            }
        }
    });
    receiver
}

fn parse(line: &str, start: Option<f64>, end: Option<f64>) -> Result<Asked, String> {
    let mut asked: Asked = serde_json::from_str(line)
        .map_err(|e| format!("not a request: {e}; expected {{\"path\": ..., \"id\", \"start\", \"end\"}}"))?;
    (asked.start, asked.end) = (asked.start.or(start), asked.end.or(end));
    let bad = |value: Option<f64>| value.is_some_and(|v| !v.is_finite() || v < 0.0);
    if bad(asked.start) || bad(asked.end) {
        return Err("start and end are seconds, 0 or more".into());
    }
    Ok(asked)
}

/// The requests as the pipeline takes them.
struct Requests {
    lines: Receiver<Result<Asked, String>>,
    wrong: Wrong,
    index: usize,
}

impl InputSource for Requests {
    fn next(&mut self) -> Next {
        let asked = match self.lines.try_recv() {
            Ok(asked) => asked,
            Err(TryRecvError::Empty) => return Next::Later,
            Err(TryRecvError::Disconnected) => return Next::End,
        };
        let index = self.index;
        self.index += 1;
        Next::Input(match asked {
            Ok(Asked { path, id, start, end }) => {
                let id = id.unwrap_or_else(|| crate::inputs::stem(&path));
                Input { index, id, path, start, end }
            }
            Err(why) => {
                // It goes through the pipeline like all inputs, so that its answer keeps its place; the empty path fails there.
                lock(&self.wrong).push((index, why));
                Input { index, id: String::new(), path: PathBuf::new(), start: None, end: None }
            }
        })
    }
}
