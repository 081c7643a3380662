//! `--config FILE`: flags of a long run from a TOML file; `--print-config`: the flags in force, as such a file.
//!
//! A file has a table per command, whose keys are the names of its flags (and of its positional arguments, in lower case).
//! They become arguments of the command line, where it does not give them itself, so one definition of the flags checks
//! both; what the command line says holds.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

/// Parses a command line, with the flags of the file that it names.
///
/// # Errors
/// Clap's, also for help and version; and where the file cannot be read or names what the command does not have.
pub(super) fn parse(command: &Command, args: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    // A first look for the file: what is missing may stand in it.
    let look = command.clone().ignore_errors(true).try_get_matches_from(&args)?;
    let Some((name, given)) = look.subcommand() else { return command.clone().try_get_matches_from(args) };
    let file = given.try_get_one::<PathBuf>("config").ok().flatten();
    let (Some(file), Some(sub)) = (file, command.find_subcommand(name)) else {
        return command.clone().try_get_matches_from(args);
    };
    let fail = |kind, what: String| command.clone().error(kind, format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|e| fail(ErrorKind::Io, format!("the settings cannot be read: {e}")))?;
    let tables: Table =
        text.parse().map_err(|e| fail(ErrorKind::ValueValidation, format!("not TOML: {e}")))?;
    for (key, value) in &tables {
        if command.find_subcommand(key).is_none() || !value.is_table() {
            let what = format!("'{key}' is no table of a command; write [{name}] above its settings");
            return Err(fail(ErrorKind::UnknownArgument, what));
        }
    }
    let settings = tables.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    let more = arguments(sub, given, &settings).map_err(|what| fail(ErrorKind::UnknownArgument, what))?;
    // Behind `--` they would be inputs.
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let (before, behind) = args.split_at(end);
    command.clone().try_get_matches_from(before.iter().cloned().chain(more).chain(behind.iter().cloned()))
}

/// The settings as arguments, but for those that the command line gives.
fn arguments(command: &Command, given: &ArgMatches, settings: &Table) -> Result<Vec<OsString>, String> {
    let mut all = Vec::new();
    for (key, value) in settings {
        let arg = command.get_arguments().find(|arg| name_of(arg) == *key).ok_or_else(|| {
            let names: Vec<String> = listed(command).map(name_of).collect();
            format!("lift {} has no setting '{key}'; it has {}", command.get_name(), names.join(", "))
        })?;
        if given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        match value {
            Value::Boolean(on) if !takes_value(arg) => all.extend(on.then(|| format!("--{key}").into())),
            Value::Integer(n) if matches!(arg.get_action(), ArgAction::Count) => {
                all.extend((0..*n).map(|_| OsString::from(format!("--{key}"))));
            }
            _ if !takes_value(arg) => return Err(format!("'{key}' is true or false, not {value}")),
            Value::Array(values) => {
                for value in values {
                    all.push(argument(arg, key, value)?);
                }
            }
            value => all.push(argument(arg, key, value)?),
        }
    }
    Ok(all)
}

fn argument(arg: &Arg, key: &str, value: &Value) -> Result<OsString, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(_) | Value::Float(_) => value.to_string(),
        other => return Err(format!("'{key}' cannot be {other}")),
    };
    Ok(if arg.is_positional() { text.into() } else { format!("--{key}={text}").into() })
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// The name of a setting: the long flag, or a positional argument's.
fn name_of(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_string)
}

/// What can stand in a file.
fn listed(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let never = ["help", "version", "config", "print-config"];
        !never.contains(&name_of(arg).as_str())
    })
}

/// What stands behind a flag that is not set and has no default.
const UNSET: &str = " is not set";

/// The flags in force, as a file for `--config`; defaults, and what is not set, stand there as comments.
pub(super) fn print(command: &Command, matches: &ArgMatches) -> String {
    let mut text = format!("[{}]\n", command.get_name());
    for arg in listed(command) {
        let name = name_of(arg);
        let id = arg.get_id().as_str();
        // A default may not stand beside what replaces it (--frames beside --fps).
        let mark = if matches.value_source(id) == Some(ValueSource::CommandLine) { "" } else { "# " };
        let _ = match arg.get_action() {
            ArgAction::SetTrue => writeln!(text, "{mark}{name} = {}", matches.get_flag(id)),
            ArgAction::Count => writeln!(text, "{mark}{name} = {}", matches.get_count(id)),
            action => {
                let raw = matches.get_raw(id).into_iter().flatten();
                let values: Vec<String> = raw.map(|v| toml_value(&v.to_string_lossy())).collect();
                match (&values[..], action) {
                    ([], _) => writeln!(text, "# {name}{UNSET}"),
                    ([one], ArgAction::Set) => writeln!(text, "{mark}{name} = {one}"),
                    (several, _) => writeln!(text, "{mark}{name} = [{}]", several.join(", ")),
                }
            }
        };
    }
    text
}

/// The settings of [`print`] in one line, defaults too.
pub(super) fn in_force(printed: &str) -> String {
    let set = printed.lines().filter(|line| !line.ends_with(UNSET));
    set.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect::<Vec<_>>().join(", ")
}

/// A number where it is one, as it stands; else a text.
fn toml_value(text: &str) -> String {
    let number = format!("x = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("x"));
    match number {
        Some(Value::Integer(_) | Value::Float(_)) => text.to_string(),
        _ => Value::String(text.to_string()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(file: &str, args: &[&str]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        std::fs::write(&path, file).unwrap();
        let command = crate::cli::Cli::command();
        let mut all: Vec<OsString> = args.iter().map(OsString::from).collect();
        all.insert(2, "--config".into());
        all.insert(3, path.into());
        let matches = parse(&command, all).map_err(|e| e.to_string())?;
        let (name, sub) = matches.subcommand().unwrap();
        Ok(print(command.find_subcommand(name).unwrap(), sub))
    }

    fn has(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|l| l == *line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_file_gives_what_the_command_line_does_not() {
        let file = "[embed]\nframes = 8\nparts = [\"concat\", \"frames\"]\nreverse = true\ninputs = [\"a\", \"b c\"]\n[train]\nlr = 1e-3\n";
        let text = parsed(file, &["lift", "embed"]).unwrap();
        has(
            &text,
            &[
                "frames = 8",
                "parts = [\"concat\", \"frames\"]",
                "reverse = true",
                "inputs = [\"a\", \"b c\"]",
            ],
        );
        let text = parsed(file, &["lift", "embed", "--frames", "4", "--parts=static", "x"]).unwrap();
        has(
            &text,
            &["frames = 4", "parts = [\"static\"]", "reverse = true", "inputs = [\"x\"]", "# fps is not set"],
        );
    }

    #[test]
    fn what_is_printed_is_a_file_that_prints_itself() {
        for args in [
            &["lift", "embed", "a.mp4", "--fps", "2.5", "-v"][..],
            &["lift", "train", "f.npy", "-o", "o", "--lr", "0.0003", "--resume"],
            &["lift", "synth", "-o", "x", "--seed", "7"],
        ] {
            let first = parsed("", args).unwrap();
            let again = parsed(&first, &args[..2]).unwrap();
            assert_eq!(first, again);
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        for (file, said) in [
            ("[embed]\nframse = 8\n", "no setting 'framse'"),
            ("frames = 8\n", "write [embed] above"),
            ("[embed]\nreverse = 3\n", "'reverse' is true or false"),
            ("[embed]\nframes = 1\n", "at least 2"),
            ("[embed\n", "not TOML"),
        ] {
            let error = parsed(file, &["lift", "embed", "x"]).unwrap_err();
            assert!(error.contains(said), "{said:?} is not in {error}");
        }
        let command = crate::cli::Cli::command();
        let args = ["lift", "embed", "x", "--config", "no/such.toml"].map(OsString::from).to_vec();
        assert!(parse(&command, args).unwrap_err().to_string().contains("no/such.toml"));
    }
}
