//! `lift embed --stream`: reads requests from standard input and writes answers to standard output, in the same order. The
//! models are loaded once, and a failed input is an answer with its error.

use std::collections::HashMap;
use std::io::{self, BufRead, stdin};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use anyhow::anyhow;
use serde::Deserialize;
use serde_json::Value;

use super::args::{StreamFormat, parse_frames};
use super::{EmbedArgs, check_length, settings};
use crate::cli::Verbosity;
use crate::cli::embed::run_report::RunReport;
use crate::cli::signals::Signals;
use crate::embed::{self, Engine, InputSource, Next, Outcome, OwnSettings};
use crate::exit::{Exit, Fatal};
use crate::files::FileError;
use crate::guard::lock;
use crate::inputs::{Id, Input};
use crate::rows::{Answers, ClipMeta, Failure, IdForm, Part};

/// How many lines are read ahead.
const AHEAD: usize = 64;

/// A request: one line of standard input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    path: PathBuf,
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    start: Option<f64>,
    #[serde(default)]
    end: Option<f64>,
    #[serde(default)]
    frames: Option<Frames>,
    #[serde(default)]
    parts: Option<Vec<String>>,
}

/// A number of frames, or `all`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "frames is a number or \"all\"")]
enum Frames {
    Count(usize),
    Text(String),
}

/// A request that is understood.
#[derive(Debug)]
struct Order {
    path: PathBuf,
    id: Option<Id>,
    start: Option<f64>,
    end: Option<f64>,
    own: OwnSettings,
}

/// A line that is no request, with its path and its id if they can be read.
#[derive(Debug)]
struct WrongLine {
    path: PathBuf,
    id: Option<Id>,
    why: String,
}

/// What is remembered of a request until it is answered.
#[derive(Debug, Default)]
struct Pending {
    /// The path of a wrong request, and why it is wrong.
    wrong: Option<(PathBuf, String)>,
    id: IdForm,
    parts: Option<Vec<Part>>,
}

/// What the command line fixes for all requests.
#[derive(Debug, Clone)]
struct Fixed {
    start: Option<f64>,
    end: Option<f64>,
    /// Whether LiFT is loaded.
    lift: bool,
    /// Whether the answers have fixed columns.
    columns: bool,
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
    let pending: Pendings = Arc::default();
    let broken = Arc::new(OnceLock::new());
    let fixed = Fixed {
        start: args.sampling.range.start,
        end: args.sampling.range.end,
        lift: args.output.parts.iter().any(|part| part.needs_lift()),
        columns: format == StreamFormat::Arrow,
    };
    let requests = Requests { lines: listen(fixed, &broken), pending: pending.clone(), index: 0 };
    embed::run(requests, &engine, &settings, &signals.stop, |outcome| {
        answer(&mut answers, &mut report, outcome, &pending, quiet)
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

/// The requests that are not answered yet, by their index.
type Pendings = Arc<Mutex<HashMap<usize, Pending>>>;

fn answer(
    answers: &mut Answers,
    report: &mut RunReport,
    outcome: Outcome,
    pending: &Pendings,
    quiet: bool,
) -> Result<(), FileError> {
    let index = match &outcome.result {
        Ok(embedded) => embedded.rows.first().map(|row| row.clip.index),
        Err(failure) => Some(failure.clip.index),
    };
    let Pending { wrong, id, parts } =
        index.and_then(|index| lock(pending).remove(&index)).unwrap_or_default();
    let failure = match outcome.result {
        Ok(embedded) => match embedded.written(answers.rows(&embedded.rows, parts.as_deref(), id))? {
            Some(failure) => failure,
            None => return Ok(()),
        },
        Err(failure) => match wrong {
            Some((path, error)) => {
                Failure { stage: "request".into(), error, clip: ClipMeta { path, ..failure.clip } }
            }
            None => failure,
        },
    };
    match quiet {
        true => report.count_failure(),
        false => report.failed_request(&failure),
    }
    answers.failure(&failure, id)
}

/// Reads lines on a thread of its own, so that no worker waits for them; `broken` is set if standard input fails.
fn listen(fixed: Fixed, broken: &Arc<OnceLock<io::Error>>) -> Receiver<Result<Order, WrongLine>> {
    let (sender, receiver) = sync_channel(AHEAD);
    let broken = broken.clone();
    thread::spawn(move || {
        for line in stdin().lock().lines() {
            let asked = match line {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => parse(&line, &fixed),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                    Err(WrongLine { path: PathBuf::new(), id: None, why: "the line is not UTF-8".into() })
                }
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

fn parse(line: &str, fixed: &Fixed) -> Result<Order, WrongLine> {
    order(line, fixed).map_err(|why| {
        // The answer of a wrong request has its path and its id too, if they are in it.
        let value = serde_json::from_str::<Value>(line).unwrap_or_default();
        let path = value.get("path").and_then(Value::as_str).map(PathBuf::from).unwrap_or_default();
        let id = value.get("id").and_then(|id| serde_json::from_value(id.clone()).ok());
        WrongLine { path, id, why }
    })
}

fn order(line: &str, fixed: &Fixed) -> Result<Order, String> {
    // An array would be read as the values of the keys, in their order.
    if line.trim_start().starts_with('[') {
        return Err("not a request: a JSON object is expected, and this is an array".into());
    }
    let Asked { path, id, start, end, frames, parts } = serde_json::from_str(line).map_err(|e| {
        format!("not a request: {e}; expected {{\"path\": ..., \"id\", \"start\", \"end\", \"frames\", \"parts\"}}")
    })?;
    let (start, end) = (start.or(fixed.start), end.or(fixed.end));
    let bad = |value: Option<f64>| value.is_some_and(|v| !v.is_finite() || v < 0.0);
    if bad(start) || bad(end) {
        return Err("start and end are seconds, 0 or more".into());
    }
    let sampling = match frames {
        None => None,
        Some(Frames::Count(count)) => Some(parse_frames(&count.to_string())),
        Some(Frames::Text(text)) => Some(parse_frames(&text)),
    };
    let sampling = sampling.transpose().map_err(|e| format!("frames: {e}"))?;
    let parts = parts.map(|names| own_parts(&names, fixed)).transpose().map_err(|e| format!("parts: {e}"))?;
    Ok(Order { path, id, start, end, own: OwnSettings { sampling, parts } })
}

/// The parts that a request names.
fn own_parts(names: &[String], fixed: &Fixed) -> Result<Vec<Part>, String> {
    if fixed.columns {
        return Err(
            "the columns of an Arrow stream are those of --parts; leave them out, or answer in jsonl".into(),
        );
    }
    let parts: Vec<Part> = names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    if parts.is_empty() {
        return Err("name at least one".into());
    }
    Part::check_single(&parts).map_err(|e| e.to_string())?;
    match parts.iter().find(|part| part.needs_lift() && !fixed.lift) {
        Some(part) => {
            Err(format!("{part} needs LiFT, which is not loaded; start the stream with it in --parts"))
        }
        None => Ok(parts),
    }
}

/// The requests as the pipeline takes them.
struct Requests {
    lines: Receiver<Result<Order, WrongLine>>,
    pending: Pendings,
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
        let form = |id: &Option<Id>| match id {
            Some(Id::Integer(_) | Id::Unsigned(_)) => IdForm::Integer,
            _ => IdForm::Text,
        };
        let (pending, next) = match asked {
            Ok(Order { path, id, start, end, own }) => {
                let pending = Pending { wrong: None, id: form(&id), parts: own.parts.clone() };
                let id = id.map_or_else(|| crate::inputs::stem(&path), Id::text);
                (pending, Next::Own(Input { index, id, path, start, end, ..Input::default() }, own))
            }
            Err(WrongLine { path, id, why }) => {
                let stem = if path == Path::new("") { String::new() } else { crate::inputs::stem(&path) };
                let pending = Pending { wrong: Some((path, why)), id: form(&id), parts: None };
                // It goes through the pipeline like all inputs, so that its answer keeps its place; the empty path fails there.
                let id = id.map_or(stem, Id::text);
                (pending, Next::Input(Input { index, id, ..Input::default() }))
            }
        };
        lock(&self.pending).insert(index, pending);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_request_keeps_its_id_and_says_what_is_wrong() {
        let fixed = Fixed { start: None, end: None, lift: false, columns: false };
        let wrong = |line: &str| parse(line, &fixed).unwrap_err();
        for (line, id, said) in [
            (r#"{"id": "a"}"#, Some("a"), "missing field `path`"),
            (r#"{"path": "x", "id": 7, "strat": 1}"#, Some("7"), "unknown field `strat`"),
            (
                r#"{"path": "x", "id": 18446744073709551615, "start": -1}"#,
                Some("18446744073709551615"),
                "seconds",
            ),
            (r#"{"path": "x", "id": 1.5}"#, None, "a text or an integer is needed"),
            (r#"{"path": "x", "frames": 1}"#, None, "frames: a clip needs at least 2"),
            (r#"{"path": "x", "frames": "some"}"#, None, "frames: expected"),
            (r#"{"path": "x", "frames": -4}"#, None, "frames is a number or"),
            (r#"{"path": "x", "parts": ["mean", "mean"]}"#, None, "listed twice"),
            (r#"{"path": "x", "parts": []}"#, None, "at least one"),
            (r#"{"path": "x", "parts": ["odd"]}"#, None, "odd needs LiFT"),
            ("{", None, "not a request"),
            (r#"["x", "a"]"#, None, "this is an array"),
        ] {
            let WrongLine { path, id: found, why } = wrong(line);
            assert_eq!(path == Path::new("x"), line.contains(r#""path": "x""#), "{line}");
            assert_eq!(found.map(Id::text).as_deref(), id, "{line}");
            assert!(why.contains(said), "{line}: {why}");
        }
        let arrow = Fixed { columns: true, lift: true, ..fixed.clone() };
        assert!(parse(r#"{"path": "x", "parts": ["mean"]}"#, &arrow).unwrap_err().why.contains("Arrow"));
        let order = parse(r#"{"path": "x", "frames": "all", "parts": ["mean", "frames"]}"#, &fixed).unwrap();
        assert_eq!(order.own.sampling, Some(crate::video::Sampling::All));
        assert_eq!(order.own.parts, Some(vec![Part::Mean, Part::Frames]));
    }
}
