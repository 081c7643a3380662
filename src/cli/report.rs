//! Messages on standard error.

use std::io::{IsTerminal, Write, stderr};
use std::sync::OnceLock;

use clap::ValueEnum;
use serde_json::json;

use crate::files::display_text;

/// How lines on standard error are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object per line, with level and message
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

/// Prints an error: of an input that failed, or one that ends the run.
pub(super) fn error(message: &str) {
    line("error", "31", message);
}

/// Prints the error that ends a run: its causes in order, without those that the text before them already contains.
pub(super) fn fatal(what: &anyhow::Error) {
    let mut text = String::new();
    for cause in what.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    error(&text);
}

/// Prints what the user should know; the run goes on.
pub(super) fn note(message: &str) {
    line("note", "33", message);
}

/// Prints how the run goes on, or how it ended.
pub(super) fn say(message: &str) {
    line("info", "", message);
}

/// A number with its noun, which is plural unless the number is 1.
pub(super) fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Prints `message` in one line after its label; control characters in a file's name are escaped.
fn line(label: &str, colour: &str, message: &str) {
    let message = display_text(message);
    // If standard error cannot be written, nothing can be reported.
    let _ = match (FORMAT.get(), label) {
        (Some(LogFormat::Json), _) => {
            writeln!(stderr(), "{}", json!({ "level": label, "message": message }))
        }
        (_, "info") => writeln!(stderr(), "{message}"),
        _ if colour_on_stderr() => writeln!(stderr(), "\x1b[{colour}m{label}:\x1b[0m {message}"),
        _ => writeln!(stderr(), "{label}: {message}"),
    };
}
