//! `lift completions`: scripts by which a shell completes commands and flags, made from the definition of the flags.

use clap::{Args, Command};
use clap_complete::Shell;

use super::help;
use crate::exit::{Exit, Fatal};
use crate::files;

/// Print a script by which a shell completes commands and flags
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift completions bash > ~/.local/share/bash-completion/completions/lift\n  \
    lift completions zsh > ~/.zfunc/_lift\n  lift completions fish > ~/.config/fish/completions/lift.fish\n  \
    lift completions powershell >> $PROFILE\n  lift completions elvish > ~/.config/elvish/lib/lift.elv"
)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs, mut command: Command) -> Result<Exit, Fatal> {
    // clap's own `help` knows the commands only. What is added once it is built needs its names.
    command.build();
    let topics = help::TOPICS.iter().map(|topic| {
        let name = format!("lift help {}", topic.name);
        Command::new(topic.name).about(topic.summary()).bin_name(&name).display_name(&name)
    });
    let mut command = command.mut_subcommand("help", |help| help.subcommands(topics));
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lift", &mut text);
    files::print(&text)?;
    Ok(Exit::Success)
}
