//! `lift man`: the manual pages; those of commands are made from the definition of the flags, those of topics from files.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Command};
use clap_mangen::Man;

use super::help;
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::{AtomicFile, FileError};

/// Print the manual page of lift, of a command or of a topic, or write all pages into a folder
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift man | man -l -\n  lift man embed | man -l -\n  lift man weights pull | man -l -\n  \
    lift man formats | man -l -\n  lift man -o ~/.local/share/man"
)]
pub(super) struct ManArgs {
    /// The command or the topic; without one, the page of lift itself
    #[arg(value_name = "COMMAND|TOPIC")]
    command: Vec<String>,
    /// Write all pages into the folders man1 and man7 of this folder [default: print one page on standard output]
    ///
    /// The pages of the commands are man1/lift.1, man1/lift-embed.1 and so on; those of the topics (see lift help) are
    /// man7/lift-formats.7 and so on. The command man finds them if this folder is in its search path.
    ///
    /// Example: -o ~/.local/share/man
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    output: Option<PathBuf>,
}

/// clap's own subcommand, which has no page: it prints what the other pages hold.
const HELP: &str = "help";

/// Prints one page, or writes all of them.
pub(super) fn run(args: &ManArgs, mut command: Command) -> Result<Exit, Fatal> {
    command.build();
    if let Some(folder) = &args.output {
        let (commands, topics) = (folder.join("man1"), folder.join("man7"));
        for folder in [&commands, &topics] {
            std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        }
        for sub in pages(&command) {
            write(&commands.join(format!("{}.1", title(sub))), &page(sub))?;
        }
        for topic in &help::TOPICS {
            write(&topics.join(format!("lift-{}.7", topic.name)), &help::page(topic))?;
        }
        return Ok(Exit::Success);
    }
    if let [name] = &args.command[..]
        && let Some(topic) = help::Topic::named(name)
    {
        files::print(&help::page(topic))?;
        return Ok(Exit::Success);
    }
    let wanted = [&["lift".to_string()], &args.command[..]].concat().join("-");
    let found = pages(&command).into_iter().find(|page| title(page) == wanted).ok_or_else(|| {
        let (given, names) = (args.command.join(" "), command.get_subcommands().map(Command::get_name));
        let names: Vec<_> = names.filter(|name| *name != HELP).collect();
        let topics: Vec<_> = help::TOPICS.iter().map(|topic| topic.name).collect();
        Fatal::usage(anyhow!(
            "lift has no command '{given}' and no topic of that name; its commands are {}; its topics are {}",
            names.join(", "),
            topics.join(", ")
        ))
    })?;
    files::print(&page(found))?;
    Ok(Exit::Success)
}

/// The commands that have a page (all but `help`), each followed by its subcommands.
fn pages(command: &Command) -> Vec<&Command> {
    let named = command.get_subcommands().filter(|sub| sub.get_name() != HELP);
    std::iter::once(command).chain(named.flat_map(pages)).collect()
}

/// The name of a page: lift, lift-embed, lift-weights-pull. clap sets it when it builds the commands.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A page in roff, the format that `man` reads.
fn page(command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone().version(version)).source(format!("lift {version}"));
    // Writing to a vector cannot fail.
    let _ = man.render(&mut text);
    text
}

fn write(path: &Path, text: &[u8]) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path, true)?;
    file.write_all(text).map_err(|e| failed(path, e))?;
    file.commit()
}

fn failed(path: &Path, cause: std::io::Error) -> FileError {
    FileError::Write { path: path.to_path_buf(), cause }
}
