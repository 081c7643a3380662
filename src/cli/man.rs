//! `lift man`: the manual pages, from the flags' one definition.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Command};
use clap_mangen::Man;

use crate::exit::{Exit, Fatal};
use crate::rows::{self, AtomicFile, RowsError};

/// Print the manual page of lift or of one of its commands, or write all of them into a folder
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift man | man -l -\n  lift man embed | man -l -\n  lift man -o ~/.local/share/man/man1"
)]
pub(super) struct ManArgs {
    /// The command; lift itself if none
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// Write lift.1, lift-embed.1, ... into this folder instead [default: standard output]
    ///
    /// Example: -o ~/.local/share/man/man1
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    output: Option<PathBuf>,
}

/// Prints one page or writes all.
pub(super) fn run(args: &ManArgs, mut command: Command) -> Result<Exit, Fatal> {
    command.build();
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        write(folder, "lift.1", &page(&command))?;
        for sub in pages(&command) {
            write(folder, &format!("lift-{}.1", sub.get_name()), &page(sub))?;
        }
        return Ok(Exit::Success);
    }
    let text = match &args.command {
        None => page(&command),
        Some(name) => {
            let sub = pages(&command).find(|sub| sub.get_name() == name).ok_or_else(|| {
                let names: Vec<_> = pages(&command).map(Command::get_name).collect();
                Fatal::usage(anyhow!("lift has no command '{name}'; it has {}", names.join(", ")))
            })?;
            page(sub)
        }
    };
    rows::print(&text)?;
    Ok(Exit::Success)
}

/// The commands that have a page: all but `help`, which prints what stands in them.
fn pages(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| sub.get_name() != "help")
}

/// A page in roff, as `man` shows it.
fn page(command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    // Building the commands has given each its display name, lift-embed and so on. A vector takes whatever is written.
    let _ = Man::new(command.clone().version(env!("CARGO_PKG_VERSION"))).render(&mut text);
    text
}

fn write(folder: &Path, name: &str, text: &[u8]) -> Result<(), RowsError> {
    let path = folder.join(name);
    let mut file = AtomicFile::create(&path, true)?;
    file.write_all(text).map_err(|e| failed(&path, e))?;
    file.commit()
}

fn failed(path: &Path, cause: std::io::Error) -> RowsError {
    RowsError::Write { path: path.to_path_buf(), cause }
}
