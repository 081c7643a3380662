//! The command line: one file per command, with its flags, its checks and its report.
//!
//! Parsing has no side effects. A command first turns its flags into a plain configuration, and then acts. [`main`] is the one
//! place that prints the error that ends a run and returns the exit code.

mod bench;
mod completions;
mod compute;
mod config;
mod diff;
mod duplicates;
mod embed;
mod eval_cia;
mod examples;
mod fatal_signals;
mod features;
mod help;
mod ids;
mod info;
mod limits;
mod log_lines;
mod man;
mod merge;
mod models;
mod numbers;
mod plot;
mod probe;
mod progress;
mod range;
mod report;
mod scale;
mod search;
mod signals;
mod status;
mod synth;
mod train;
mod verify;
mod weights;

use std::io::Write;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Fatal};

const EXAMPLES: &str = "Examples:\n  lift embed video.mp4              one video, into video.lift.npy\n  \
    lift embed clips/ -o clips.npz    a folder, one row per video\n  \
    lift info video.mp4               what is in it, which frames are used\n  \
    lift plot video.mp4 -o path.png   a figure of its path\n  \
    lift embed clips/ --model mini    with the bundled models, without a download";

/// Time-aware video embeddings: 768 numbers that tell opening a door from closing it.
///
/// lift computes the video embedding of LiFT (NeurIPS 2025). DINOv2 turns 16 frames into features, and a small auto-encoder
/// turns the features into [static, dynamic].
#[derive(Debug, Parser)]
#[command(name = "lift", version, after_help = format!("{EXAMPLES}\n\n{}\n\n{}", help::list(), Exit::HELP), disable_help_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
enum Command {
    Embed(Box<embed::EmbedArgs>),
    Info(info::InfoArgs),
    Plot(plot::PlotArgs),
    Search(Box<search::SearchArgs>),
    Duplicates(duplicates::DuplicatesArgs),
    EvalCia(eval_cia::EvalCiaArgs),
    Probe(Box<probe::ProbeArgs>),
    Train(train::TrainArgs),
    Synth(synth::SynthArgs),
    Merge(merge::MergeArgs),
    Verify(verify::VerifyArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Bench(bench::BenchArgs),
    Weights(weights::WeightsArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// The flags of every command: how much is printed on standard error, and settings in a file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common to all commands")]
pub(crate) struct Verbosity {
    /// Print errors only: no progress, no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more (-v: what is loaded and chosen; -vv: every step); RUST_LOG selects in detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Format of the messages on standard error: text, or one JSON object per line
    ///
    /// The objects have time, level, event and message; a failed input also path, id, stage and cause (lift help settings). A wrong
    /// command line is always reported as text.
    ///
    /// Example: --log-format json
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = report::LogFormat::Text)]
    log_format: report::LogFormat,
    /// Read flags from this TOML file; a flag on the command line takes precedence [default: none]
    ///
    /// The file has one table per command, for example [embed] with the line frames = 8. The flags common to all commands belong
    /// on the command line. More: lift help settings.
    ///
    /// Example: --config run.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Print the flags in force as such a file, and do nothing else
    #[arg(long, global = true)]
    print_config: bool,
    /// Print help: -h prints one line per flag, --help prints everything
    // clap's own flag would be alone under a heading of its own, above all others.
    #[arg(short, long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Parses the arguments of this process, runs the command and returns how the run ended.
pub fn main() -> Exit {
    let command = Cli::command();
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(topic) = help::asked(&args) {
        return print(topic.text.as_bytes());
    }
    let parsed = config::parse(&command, args.clone())
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are answers, not errors. If the reader of the answer left, there is nobody to tell.
            let _ = error.print();
            if args.get(1).is_some_and(|arg| arg == "help") && error.use_stderr() {
                let _ = writeln!(std::io::stderr(), "\n{}", help::list());
            }
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    fatal_signals::prepare();
    start_log(&cli.verbosity);
    let settings = config::SettingsInForce::of(&config::ChosenCommand::of(&command, &matches));
    if cli.verbosity.print_config {
        return print(settings.file().as_bytes());
    }
    tracing::info!("settings: {}", settings.line());
    crate::weights::set_download_listener(Box::new(weights::downloads::Downloads::new(cli.verbosity.quiet)));
    crate::threads::limit_global_pool();
    let done = match cli.command {
        Command::Embed(args) => embed::run(&args, &cli.verbosity, &settings.given()),
        Command::Plot(args) => plot::run(args, &cli.verbosity),
        Command::Search(args) => search::run(&args, &cli.verbosity),
        Command::Duplicates(args) => duplicates::run(&args, &cli.verbosity),
        Command::EvalCia(args) => eval_cia::main(&args, &cli.verbosity, settings.values()),
        Command::Probe(args) => probe::run(&args, &cli.verbosity, settings.values()),
        Command::Train(args) => train::run(&args, &cli.verbosity, settings.values()),
        Command::Synth(args) => synth::run(&args, &cli.verbosity),
        Command::Bench(args) => bench::run(args, &cli.verbosity),
        Command::Completions(args) => completions::run(&args, command),
        Command::Man(args) => man::run(&args, command),
        Command::Merge(args) => merge::run(&args, &cli.verbosity),
        Command::Verify(args) => verify::run(&args, &cli.verbosity),
        Command::Status(args) => status::run(&args, &cli.verbosity),
        Command::Diff(args) => diff::run(&args, &cli.verbosity),
        Command::Info(args) => info::run(args, &cli.verbosity),
        Command::Weights(args) => weights::run(args, &cli.verbosity),
    };
    done.unwrap_or_else(ended)
}

/// Prints an answer that needs no run.
fn print(text: &[u8]) -> Exit {
    crate::files::print(text).map_or_else(|e| ended(e.into()), |()| Exit::Success)
}

/// Prints the error that ended a run, if there is one, and returns the exit code.
fn ended(Fatal { exit, error }: Fatal) -> Exit {
    if let Some(error) = error {
        report::fatal(&error, exit);
    }
    exit
}

/// Whether an output is the folder of a dataset: it ends with a slash, or is a folder that exists.
fn is_folder(output: &std::path::Path) -> bool {
    output.as_os_str().as_encoded_bytes().ends_with(b"/") || output.is_dir()
}

fn start_log(verbosity: &Verbosity) {
    let default = match (verbosity.quiet, verbosity.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "lift=info,warn",
        _ => "lift=debug,info",
    };
    report::set_format(verbosity.log_format);
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|asked| !asked.is_empty());
    let filter = asked.and_then(|asked| match EnvFilter::try_new(&asked) {
        Ok(filter) => Some(filter),
        Err(error) => {
            report::note(&format!(
                "{}={asked} is not understood ({error}) and ignored",
                EnvFilter::DEFAULT_ENV
            ));
            None
        }
    });
    let filter = filter.unwrap_or_else(|| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    match verbosity.log_format {
        report::LogFormat::Text => log.with_ansi(report::colour_on_stderr()).init(),
        report::LogFormat::Json => log.with_ansi(false).event_format(log_lines::LogLines).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command and subcommand with its name.
    fn commands(command: &clap::Command, name: &str, see: &mut impl FnMut(&str, &clap::Command)) {
        see(name, command);
        for sub in command.get_subcommands() {
            commands(sub, &format!("{name} {}", sub.get_name()), see);
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_tells_its_value_its_default_and_an_example() {
        let mut wrong = Vec::new();
        commands(&Cli::command(), "lift", &mut |command, definition| {
            for arg in definition.get_opts().filter(|arg| arg.get_action().takes_values()) {
                let flag = format!("--{}", arg.get_long().unwrap_or_default());
                let short = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let long = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
                let mut check = |holds: bool, what: &str| {
                    if !holds {
                        wrong.push(format!("{command} {flag}: {what}"));
                    }
                };
                let example = long.split_once("Example: ").map(|(_, example)| example).unwrap_or_default();
                let shown = example.contains(&flag)
                    || arg.get_short().is_some_and(|s| example.contains(&format!("-{s} ")));
                check(shown, "its long help has no line 'Example: ...' that uses it");
                let told = arg.is_required_set()
                    || !arg.get_default_values().is_empty()
                    || short.contains("[default: ")
                    || long.contains("Default: ");
                check(told, "its help does not say what holds without it");
                // N is a count, of what the first line says; any other number has its unit or its kind for a name.
                let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
                let count = name.is_none_or(|name| name == "N");
                let real = arg.get_value_parser().type_id() == std::any::TypeId::of::<f64>();
                check(!(real && count), "its value's name is no unit");
                check(
                    !short.is_empty() && !short.ends_with('.'),
                    "its first line is missing or ends in a full stop",
                );
            }
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn many_flags_stand_under_headings() {
        commands(&Cli::command(), "lift", &mut |command, definition| {
            let flags: Vec<_> = definition.get_arguments().filter(|arg| !arg.is_positional()).collect();
            for arg in flags.iter().filter(|_| flags.len() > 8) {
                assert!(arg.get_help_heading().is_some(), "{command} --{}: no heading", arg.get_id());
            }
        });
    }

    #[test]
    fn every_command_shows_at_most_five_examples_of_itself() {
        commands(&Cli::command(), "lift", &mut |command, definition| {
            for help in [definition.get_after_help(), definition.get_after_long_help()].into_iter().flatten()
            {
                let help = help.to_string();
                let examples =
                    help.strip_prefix("Examples:\n").unwrap_or_else(|| panic!("{command}: {help}"));
                let examples: Vec<_> = examples.lines().take_while(|line| line.starts_with("  ")).collect();
                assert!((1..=5).contains(&examples.len()), "{command}: {} examples", examples.len());
                assert!(examples.iter().any(|line| line.contains(command)), "{command}: {help}");
            }
            let some = definition.get_after_help().is_some() || definition.get_after_long_help().is_some();
            assert!(some, "{command}: no examples");
        });
    }
}
