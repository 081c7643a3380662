//! Messages on standard error.

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::sync::OnceLock;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::log_lines;
use crate::exit::Exit;
use crate::files::{display_path, display_text};
use crate::rows::Failure;

/// How lines on standard error are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object per line
    Json,
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Chooses how lines are written; called once, before the first line.
pub(super) fn set_format(format: LogFormat) {
    // A second call would be a bug; the first choice stays in force.
    let _ = FORMAT.set(format);
}

/// Whether standard error is read by a program.
pub(super) fn is_for_programs() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Whether standard error shows colours: it is a terminal, `TERM` is not `dumb`, and `NO_COLOR` is not set.
pub(super) fn colour_on_stderr() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    stderr().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Something failed.
    Error,
    /// The user should know it; the run goes on.
    Note,
    /// How the run goes on, or how it ended.
    Info,
}

impl Level {
    /// Its name for programs, which the log has too.
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "warn",
            Self::Info => "info",
        }
    }
}

/// Prints an error: one that ends the run, or one of no input.
pub(super) fn error(message: &str) {
    event(Level::Error, "error", message, Value::Null);
}

/// Prints that an input failed, and why; `of` names it for people.
pub(super) fn failed(of: &str, Failure { clip, stage, error }: &Failure) {
    let fields = json!({
        "path": display_path(&clip.path), "id": clip.id, "index": clip.index, "stage": stage, "cause": error,
    });
    event(Level::Error, "failed", &format!("{of}: {error}"), fields);
}

/// Prints that a file failed, and why.
pub(super) fn failed_file(path: &Path, cause: &str) {
    let path = display_path(path);
    event(Level::Error, "failed", &format!("{path}: {cause}"), json!({ "path": path, "cause": cause }));
}

/// Prints the error that ends a run: its causes in order, without those that the text before them already contains.
pub(super) fn fatal(what: &anyhow::Error, exit: Exit) {
    let mut text = String::new();
    for cause in what.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    event(Level::Error, "ended", &text, json!({ "cause": text, "exit": exit.code() }));
}

/// Prints what the user should know; the run goes on.
pub(super) fn note(message: &str) {
    event(Level::Note, "note", message, Value::Null);
}

/// Prints what the user should know of a file; the run goes on.
pub(super) fn note_of(path: &str, message: &str) {
    event(Level::Note, "note", &format!("{path}: {message}"), json!({ "path": path }));
}

/// Prints how the run goes on, or how it ended.
pub(super) fn say(message: &str) {
    event(Level::Info, "message", message, Value::Null);
}

/// A number with its noun, which is plural unless the number is 1.
pub(super) fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Prints a line: for people `message` after its label, with control characters of a file's name escaped; for programs an object with
/// the `fields` besides, an object whose nulls are left out.
pub(super) fn event(level: Level, event: &str, message: &str, fields: Value) {
    let message = display_text(message);
    // If standard error cannot be written, nothing can be reported.
    let _ = match level {
        _ if is_for_programs() => {
            writeln!(stderr(), "{}", log_lines::line(level.name(), event, &message, fields))
        }
        Level::Info => writeln!(stderr(), "{message}"),
        Level::Error => labelled("error", "31", &message),
        Level::Note => labelled("note", "33", &message),
    };
}

fn labelled(label: &str, colour: &str, message: &str) -> std::io::Result<()> {
    match colour_on_stderr() {
        true => writeln!(stderr(), "\x1b[{colour}m{label}:\x1b[0m {message}"),
        false => writeln!(stderr(), "{label}: {message}"),
    }
}
