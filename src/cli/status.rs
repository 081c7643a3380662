//! `lift status`: how far a run is.

use std::path::PathBuf;

use clap::Args;

use super::{Verbosity, report};
use crate::dataset::{FailureCause, FolderStatus, RunStatus, status};
use crate::exit::{Exit, Fatal};
use crate::files::{self, FileError, display_path, display_text};

/// How many causes, folders and shards are shown; --json has all.
const SHOWN: usize = 10;

/// Show how far a run is that fills a dataset, over all its shards
///
/// Prints how many inputs are done, embedded and failed, why they failed, how many are missing, and while runs write, how
/// fast they are and how long they will take. It may be asked at any time, and changes nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift status out/                      a dataset, or a folder of shards\n  \
    watch -n 30 lift status out/\n  lift status out/ --json | jq .missing"
)]
pub(super) struct StatusArgs {
    /// A dataset, one shard, or a folder of shards
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Looks, and prints.
pub(super) fn run(args: &StatusArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let found = status(&args.folder)?;
    if args.json {
        let text = serde_json::to_string(&found).map_err(|e| FileError::Usage(e.to_string()))?;
        files::print(format!("{text}\n").as_bytes())?;
    } else if !verbosity.quiet {
        files::print(text(&display_path(&args.folder), &found).as_bytes())?;
    }
    Ok(Exit::Success)
}

fn text(folder: &str, found: &RunStatus) -> String {
    let RunStatus { inputs, done, embedded, rows, failed, missing, shards, not_begun, unfinished, .. } =
        found;
    let percent = 100.0 * *done as f64 / (*inputs).max(1) as f64;
    let of = if *shards > 1 {
        format!(" in {} of {shards} shards", shards - not_begun.len())
    } else {
        String::new()
    };
    let mut lines = vec![
        format!("{folder}: {done} of {} done ({percent:.1} %){of}", report::count(*inputs, "input")),
        format!("{embedded} embedded ({}), {failed} failed, {missing} missing", report::count(*rows, "row")),
    ];
    if !not_begun.is_empty() {
        let numbers: Vec<String> = not_begun.iter().take(SHOWN).map(ToString::to_string).collect();
        lines.push(format!("not begun: shard {}{}", numbers.join(", "), more(not_begun.len())));
    }
    let running = unfinished.iter().filter(|folder| folder.running).count();
    lines.push(match (running, found.rate, found.seconds_left) {
        (0, ..) if missing + not_begun.len() == 0 && unfinished.is_empty() => "complete".into(),
        (0, ..) => "no run writes to it now; the same lift embed goes on with it".into(),
        (_, Some(rate), Some(left)) => {
            format!(
                "{}: {rate:.2} inputs a second, about {} left",
                report::count(running, "run"),
                duration(left)
            )
        }
        (_, Some(rate), None) => format!("{}: {rate:.2} inputs a second", report::count(running, "run")),
        (_, None, _) => format!("{}: the speed is not known yet", report::count(running, "run")),
    });
    if *shards > 1 || unfinished.iter().any(|folder| folder.update) {
        lines.extend(unfinished.iter().take(SHOWN).map(of_folder));
        if unfinished.len() > SHOWN {
            lines
                .push(format!("{} more folders are not finished (--json has all)", unfinished.len() - SHOWN));
        }
    }
    for FailureCause { stage, error, count } in found.causes.iter().take(SHOWN) {
        let inputs = report::count(*count, "input");
        lines.push(format!("{inputs} failed: {}: {}", display_text(stage), display_text(error)));
    }
    if found.causes.len() > SHOWN {
        lines.push(format!("{} more causes (--json has all)", found.causes.len() - SHOWN));
    }
    lines.join("\n") + "\n"
}

/// A folder that is not finished.
fn of_folder(folder: &FolderStatus) -> String {
    let what = match (folder.update, folder.running) {
        (true, true) => "is updated now",
        (true, false) => "its update is not complete; the same lift embed --update goes on with it",
        (false, true) => "is written now",
        (false, false) => "no run writes to it",
    };
    format!("{}: {}, {} missing", folder.path, what, folder.missing)
}

fn more(count: usize) -> String {
    if count > SHOWN { format!(" and {} more (--json has all)", count - SHOWN) } else { String::new() }
}

/// Seconds in words.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86400.0),
    }
}
