//! `--config FILE` reads flags from a TOML file; `--print-config` prints the flags in force as such a file.
//!
//! A file has one table per command (`[embed]`, `[weights.pull]`). Its keys are the names of the command's flags and, in lower
//! case, of its positional arguments. What the command line does not give itself is taken from the file and added to the
//! command line, so that clap checks both in the same way.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

use super::examples;

/// Parses a command line together with the flags of the file that `--config` names.
///
/// # Errors
/// Clap's errors, which include help and version; and if the file cannot be read or names a flag that the command does not
/// have.
pub(super) fn parse(command: &Command, args: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    let command = &examples::wrapped(command);
    // The first pass finds the file and ignores what is missing, because the file may give it.
    let look = command.clone().ignore_errors(true).try_get_matches_from(&args)?;
    let chosen = ChosenCommand::of(command, &look);
    let args = match chosen.given.try_get_one::<PathBuf>("config").ok().flatten() {
        Some(file) => with_more(args, of_file(command, &chosen, file)?),
        None => args,
    };
    let args = match of_resumed_run(command, &args)? {
        Some(more) => with_more(args, more),
        None => args,
    };
    command.clone().try_get_matches_from(args)
}

/// The arguments with more of them, before `--`: behind it they would be read as inputs.
fn with_more(mut args: Vec<OsString>, more: Vec<OsString>) -> Vec<OsString> {
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    args.splice(end..end, more);
    args
}

/// An error about a file: the usage of the command line, which is not at fault, does not stand behind it.
fn plain_error(kind: ErrorKind, what: String) -> clap::Error {
    clap::Error::raw(kind, format!("{what}\n"))
}

/// The settings of a file as arguments, without those that the command line gives.
fn of_file(command: &Command, chosen: &ChosenCommand<'_>, file: &Path) -> Result<Vec<OsString>, clap::Error> {
    let fail = |kind, what: String| plain_error(kind, format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|e| fail(ErrorKind::Io, format!("the settings cannot be read: {e}")))?;
    let tables: Table =
        text.parse().map_err(|e| fail(ErrorKind::ValueValidation, format!("not TOML: {e}")))?;
    let unknown = |what| fail(ErrorKind::UnknownArgument, what);
    let settings = chosen.settings(command, tables).map_err(unknown)?;
    arguments(chosen, &settings).map_err(unknown)
}

/// The flags of the run that `lift train --resume` continues as arguments, without those that the command line gives; `None` for any
/// other command.
fn of_resumed_run(command: &Command, args: &[OsString]) -> Result<Option<Vec<OsString>>, clap::Error> {
    let look = command.clone().ignore_errors(true).try_get_matches_from(args)?;
    let chosen = ChosenCommand::of(command, &look);
    if chosen.names != ["train"] || flag(chosen.given, "resume") != Some(true) {
        return Ok(None);
    }
    let Some(folder) = chosen.given.try_get_one::<PathBuf>("output").ok().flatten() else { return Ok(None) };
    let fail = |what| plain_error(ErrorKind::ArgumentConflict, what);
    let in_force = SettingsInForce::of(&chosen);
    let names = in_force.given();
    let mut given = in_force.values();
    given.retain(|name, _| names.contains(name));
    let mut flags = super::train::flags_of_run(folder, &given).map_err(fail)?;
    // A run of another version may have flags that there are no more.
    flags.retain(|name, _| chosen.command.get_arguments().any(|arg| name_of(arg) == *name));
    let flags = Table::try_from(flags).map_err(|e| fail(format!("{}: {e}", folder.display())))?;
    arguments(&chosen, &flags).map(Some).map_err(fail)
}

/// A flag without a value; none where the arguments could not be read so far, because one before it is wrong.
fn flag(given: &ArgMatches, id: &str) -> Option<bool> {
    given.try_get_one::<bool>(id).ok().flatten().copied()
}

/// The command that a command line names.
pub(super) struct ChosenCommand<'a> {
    /// The names of the command and its subcommands: `["weights", "pull"]`.
    names: Vec<&'a str>,
    command: &'a Command,
    given: &'a ArgMatches,
}

impl<'a> ChosenCommand<'a> {
    /// The innermost subcommand that the command line gives.
    pub(super) fn of(command: &'a Command, matches: &'a ArgMatches) -> Self {
        let mut chosen = Self { names: Vec::new(), command, given: matches };
        while let Some((name, given)) = chosen.given.subcommand()
            && let Some(command) = chosen.command.find_subcommand(name)
        {
            chosen.names.push(name);
            (chosen.command, chosen.given) = (command, given);
        }
        chosen
    }

    /// The table of the command in a file; empty if the file has none.
    fn settings(&self, root: &Command, mut tables: Table) -> Result<Table, String> {
        let mut command = root;
        for name in &self.names {
            let stray = |(key, value): &(&String, &Value)| {
                command.find_subcommand(key).is_none() || !value.is_table()
            };
            if let Some((key, _)) = tables.iter().find(stray) {
                let own = self.names.join(".");
                return Err(format!(
                    "'{key}' is not the table of a command; write [{own}] above its settings"
                ));
            }
            tables = match tables.remove(*name) {
                Some(Value::Table(table)) => table,
                _ => Table::new(),
            };
            command = command.find_subcommand(name).unwrap_or(command);
        }
        Ok(tables)
    }
}

/// The settings as arguments, without those that the command line gives.
fn arguments(chosen: &ChosenCommand<'_>, settings: &Table) -> Result<Vec<OsString>, String> {
    let mut all = Vec::new();
    for (key, value) in settings {
        let arg = chosen.command.get_arguments().find(|arg| name_of(arg) == *key).ok_or_else(|| {
            let names: Vec<String> = chosen.command.get_arguments().map(name_of).collect();
            let command = chosen.names.join(" ");
            match names.iter().find(|name| **name == key.replace('_', "-").to_ascii_lowercase()) {
                Some(name) => {
                    format!("lift {command} has no setting '{key}'; write '{name}', as the flag is called")
                }
                None => format!("lift {command} has no setting '{key}'; it has {}", names.join(", ")),
            }
        })?;
        if chosen.given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        match value {
            Value::Boolean(on) if !takes_value(arg) => all.extend(on.then(|| format!("--{key}").into())),
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

/// The name of a setting: that of the long flag or of the positional argument.
fn name_of(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_string)
}

/// The flags in force of one command.
pub(super) struct SettingsInForce {
    /// The table's name in a file: `weights.pull`.
    table: String,
    settings: Vec<Setting>,
}

struct Setting {
    name: String,
    /// The value in TOML; absent if it is not set and has no default.
    value: Option<String>,
    /// Whether the command line or its file gives it.
    given: bool,
}

impl SettingsInForce {
    /// The command's own arguments. Those common to all commands are not among them before clap builds the command; they are
    /// given on the command line only.
    pub(super) fn of(chosen: &ChosenCommand<'_>) -> Self {
        let setting = |arg: &Arg| {
            let id = arg.get_id().as_str();
            let value = match arg.get_action() {
                ArgAction::SetTrue => flag(chosen.given, id).map(|set| set.to_string()),
                action => {
                    let raw = chosen.given.get_raw(id).into_iter().flatten();
                    let values: Vec<String> = raw.map(|v| toml_value(&v.to_string_lossy())).collect();
                    match (&values[..], action) {
                        ([], _) => None,
                        ([one], ArgAction::Set) => Some(one.clone()),
                        (several, _) => Some(format!("[{}]", several.join(", "))),
                    }
                }
            };
            let given = chosen.given.value_source(id) == Some(ValueSource::CommandLine);
            Setting { name: name_of(arg), value, given }
        };
        let settings = chosen.command.get_arguments().map(setting).collect();
        Self { table: chosen.names.join("."), settings }
    }

    /// The settings as a file for `--config`; defaults and unset flags are comments in it.
    pub(super) fn file(&self) -> String {
        let line = |Setting { name, value, given }: &Setting| match value {
            Some(value) if *given => format!("{name} = {value}\n"),
            // A default is a comment, because it may exclude a flag that is given (--frames and --fps).
            Some(value) => format!("# {name} = {value}\n"),
            None => format!("# {name} is not set\n"),
        };
        format!("[{}]\n", self.table) + &self.settings.iter().map(line).collect::<String>()
    }

    /// The settings with their defaults in one line, for the log.
    pub(super) fn line(&self) -> String {
        let table = format!("[{}]", self.table);
        std::iter::once(table).chain(self.set()).collect::<Vec<_>>().join(", ")
    }

    /// The values with their defaults, by the names of the flags.
    pub(super) fn values(&self) -> BTreeMap<String, serde_json::Value> {
        let table = self.set().collect::<Vec<_>>().join("\n").parse::<Table>().ok();
        // The text was written as TOML, so it can be parsed.
        table.and_then(|table| serde_json::from_value(serde_json::json!(table)).ok()).unwrap_or_default()
    }

    /// The names of the flags that the command line or its file gives.
    pub(super) fn given(&self) -> Vec<String> {
        self.settings.iter().filter(|setting| setting.given).map(|setting| setting.name.clone()).collect()
    }

    fn set(&self) -> impl Iterator<Item = String> {
        self.settings.iter().filter_map(|s| Some(format!("{} = {}", s.name, s.value.as_ref()?)))
    }
}

/// A number stays as it is written; any other text becomes a string.
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
        in_force(file, args).map(|settings| settings.file())
    }

    fn in_force(file: &str, args: &[&str]) -> Result<SettingsInForce, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        std::fs::write(&path, file).unwrap();
        let command = crate::cli::Cli::command();
        let mut all: Vec<OsString> = args.iter().map(OsString::from).collect();
        all.insert(2, "--config".into());
        all.insert(3, path.into());
        let matches = parse(&command, all).map_err(|e| e.to_string())?;
        Ok(SettingsInForce::of(&ChosenCommand::of(&command, &matches)))
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
    fn printed_settings_read_back_as_the_same_settings() {
        for args in [
            &["lift", "embed", "a.mp4", "--fps", "2.5", "-v"][..],
            &["lift", "train", "f.npy", "-o", "o", "--lr", "0.0003", "--resume"],
            &["lift", "synth", "-o", "x", "--seed", "7"],
            &["lift", "weights", "pull", "lift", "clip", "--to", "a folder/", "--json"],
        ] {
            let first = parsed("", args).unwrap();
            let command = if args[1] == "weights" { 3 } else { 2 };
            let again = parsed(&first, &args[..command]).unwrap();
            assert_eq!(first, again);
        }
    }

    #[test]
    fn the_values_in_force_are_those_given_and_the_defaults() {
        let file = "[embed]\ninputs = [\"a\\nb\"]\n";
        let values = in_force(file, &["lift", "embed", "--fps", "2.5"]).unwrap().values();
        assert_eq!(values["inputs"], serde_json::json!(["a\nb"]));
        assert_eq!(values["fps"], 2.5);
        assert_eq!(values["parts"], serde_json::json!(["concat"]));
        assert_eq!(values["reverse"], false);
        assert!(!values.contains_key("output"));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        for (file, said) in [
            ("[embed]\nframse = 8\n", "no setting 'framse'"),
            ("[embed]\nshard_size = 8\n", "no setting 'shard_size'; write 'shard-size'"),
            ("frames = 8\n", "write [embed] above"),
            ("[embed]\nreverse = 3\n", "'reverse' is true or false"),
            ("[embed]\nframes = 1\n", "at least 2"),
            ("[embed\n", "not TOML"),
        ] {
            let error = parsed(file, &["lift", "embed", "x"]).unwrap_err();
            assert!(error.contains(said), "{said:?} is not in {error}");
        }
        for (file, said) in [
            ("[weights]\njson = true\n", "write [weights.pull] above"),
            ("[weights.pull]\njsn = true\n", "lift weights pull has no setting 'jsn'; it has what, to, json"),
        ] {
            let error = parsed(file, &["lift", "weights", "pull"]).unwrap_err();
            assert!(error.contains(said), "{said:?} is not in {error}");
        }
        let command = crate::cli::Cli::command();
        let args = ["lift", "embed", "x", "--config", "no/such.toml"].map(OsString::from).to_vec();
        assert!(parse(&command, args).unwrap_err().to_string().contains("no/such.toml"));
    }
}
