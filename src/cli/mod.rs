//! The command line: a file per subcommand with its flags, its checks and its report.
//!
//! Parsing does nothing; a command first turns its flags into a plain configuration, then acts. One place prints what ends a
//! run and picks the exit code.

mod bench;
mod completions;
mod compute;
mod config;
mod embed;
mod eval_cia;
mod info;
mod last_words;
mod man;
mod merge;
mod models;
mod plot;
mod progress;
mod report;
mod signals;
mod synth;
mod train;
mod verify;
mod weights;

use std::io::Write;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Fatal};

/// Time-aware video embeddings: 768 numbers that tell opening a door from closing it.
///
/// lift embeds a video as LiFT (NeurIPS 2025) does: DINOv2 features of 16 frames, pulled straight by a small auto-encoder
/// into [static, dynamic].
#[derive(Debug, Parser)]
#[command(name = "lift", version, after_help = Exit::HELP, disable_help_subcommand = true)]
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
    EvalCia(eval_cia::EvalCiaArgs),
    Train(train::TrainArgs),
    Synth(synth::SynthArgs),
    Merge(merge::MergeArgs),
    Verify(verify::VerifyArgs),
    Bench(bench::BenchArgs),
    Weights(weights::WeightsArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// How much is said on standard error.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Verbosity {
    /// Say nothing but errors: no progress, no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more (-v: what is loaded and chosen; -vv: every step); RUST_LOG refines it
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Lines for people, or a JSON object a line, on standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = report::LogFormat::Text)]
    log_format: report::LogFormat,
    /// Take flags from this TOML file where the command line does not give them: [embed] frames = 16 ...
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Print the flags in force as such a file, and do nothing
    #[arg(long, global = true)]
    print_config: bool,
}

/// Parses the arguments of this process, runs the command and says how it ended.
pub fn main() -> Exit {
    let command = Cli::command();
    let parsed = config::parse(&command, std::env::args_os().collect())
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are answers, not errors; a closed pipe is no reason to complain.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    last_words::prepare();
    start_log(&cli.verbosity);
    if let Some((name, given)) = matches.subcommand()
        && let Some(sub) = command.find_subcommand(name)
    {
        let settings = config::print(sub, given);
        if cli.verbosity.print_config {
            // Whoever reads has seen enough.
            let _ = std::io::stdout().write_all(settings.as_bytes());
            return Exit::Success;
        }
        tracing::info!("settings: {}", config::in_force(&settings));
    }
    crate::weights::tell_to(Box::new(weights::downloads::Downloads::new(cli.verbosity.quiet)));
    // Frames are shared among our own threads; candle's would only crowd them.
    if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(1).build_global() {
        tracing::debug!("candle keeps its own threads: {error}");
    }
    let ended = match cli.command {
        Command::Embed(args) => embed::run(&args, &cli.verbosity),
        Command::Plot(args) => plot::run(args, &cli.verbosity),
        Command::EvalCia(args) => eval_cia::main(&args, &cli.verbosity),
        Command::Train(args) => train::run(&args, &cli.verbosity),
        Command::Synth(args) => synth::run(&args, &cli.verbosity),
        Command::Bench(args) => bench::run(args, &cli.verbosity),
        Command::Completions(args) => completions::run(&args, command),
        Command::Man(args) => man::run(&args, command),
        Command::Merge(args) => merge::run(&args, &cli.verbosity),
        Command::Verify(args) => verify::run(&args, &cli.verbosity),
        Command::Info(args) => info::run(args, &cli.verbosity),
        Command::Weights(args) => weights::run(args, &cli.verbosity),
    };
    ended.unwrap_or_else(|Fatal { exit, error }| {
        if let Some(error) = error {
            report::fatal(&error);
        }
        exit
    })
}

/// Whether an output is a folder, for a dataset: it ends with a slash, or is there already.
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
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    report::set_format(verbosity.log_format);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    match verbosity.log_format {
        report::LogFormat::Text => log.with_ansi(report::colour_on_stderr()).init(),
        report::LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }
}
