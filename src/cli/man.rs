//! `lift man`: the manual pages, from the flags' one definition.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Command};
use clap_mangen::Man;

use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::{AtomicFile, FileError};

/// Print the manual page of lift or of one of its commands, or write all of them into a folder
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift man | man -l -\n  lift man embed | man -l -\n  lift man weights pull | man -l -\n  \
    lift man -o ~/.local/share/man/man1"
)]
pub(super) struct ManArgs {
    /// The command; lift itself if none
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write lift.1, lift-embed.1, ... into this folder instead [default: standard output]
    ///
    /// Example: -o ~/.local/share/man/man1
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    output: Option<PathBuf>,
}

/// clap's own command, which prints what stands in the others' pages.
const HELP: &str = "help";

/// Prints one page or writes all.
pub(super) fn run(args: &ManArgs, mut command: Command) -> Result<Exit, Fatal> {
    command.build();
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        for sub in pages(&command) {
            write(folder, &format!("{}.1", title(sub)), &page(sub))?;
        }
        return Ok(Exit::Success);
    }
    let wanted = [&["lift".to_string()], &args.command[..]].concat().join("-");
    let found = pages(&command).into_iter().find(|page| title(page) == wanted).ok_or_else(|| {
        let (given, names) = (args.command.join(" "), command.get_subcommands().map(Command::get_name));
        let names: Vec<_> = names.filter(|name| *name != HELP).collect();
        Fatal::usage(anyhow!("lift has no command '{given}'; it has {}", names.join(", ")))
    })?;
    files::print(&page(found))?;
    Ok(Exit::Success)
}

/// The commands that have a page, each before its own: all but `help`.
fn pages(command: &Command) -> Vec<&Command> {
    let named = command.get_subcommands().filter(|sub| sub.get_name() != HELP);
    std::iter::once(command).chain(named.flat_map(pages)).collect()
}

/// The name of a page: lift, lift-embed, lift-weights-pull. Building the commands has given each its own.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A page in roff, as `man` shows it.
fn page(command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone().version(version)).source(format!("lift {version}"));
    // A vector takes whatever is written.
    let _ = man.render(&mut text);
    text
}

fn write(folder: &Path, name: &str, text: &[u8]) -> Result<(), FileError> {
    let path = folder.join(name);
    let mut file = AtomicFile::create(&path, true)?;
    file.write_all(text).map_err(|e| failed(&path, e))?;
    file.commit()
}

fn failed(path: &Path, cause: std::io::Error) -> FileError {
    FileError::Write { path: path.to_path_buf(), cause }
}
