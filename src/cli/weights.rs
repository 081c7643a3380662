//! `lift weights`: fetch, list, check, convert and remove the files of weights.

pub(super) mod downloads;

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::signals::Signals;
use super::{Verbosity, report};
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::display_path;
use crate::files::size_text;
use crate::weights::{
    self, ConvertError, LIFT_FAMILY, Presence, Storage, Verification, WeightsName, WeightsState,
};

/// Download, list, check, convert and remove the weights
///
/// DINOv2 is downloaded from the Hugging Face hub into the hub's own cache. LiFT's checkpoint is downloaded from the authors'
/// Google Drive; its tensors are kept in LIFT_HOME (by default the folder lift/ in the platform's cache folder). Every command
/// downloads the weights that it needs; `pull` downloads them in advance. These variables are used: HF_HOME, HF_HUB_CACHE,
/// HF_ENDPOINT, HF_TOKEN, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE. LIFT_DRIVE_ENDPOINT names a server in place of Google's.
/// LIFT_HTTP_TIMEOUT is how many seconds a connection may be silent (default: 30); the pauses between attempts are
/// proportional to it. More: lift help models.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift weights pull                                    both networks, once\n  \
    lift weights pull --to carry/                        for a machine without a network\n  \
    lift weights list                                    what is here\n  \
    lift weights verify                                  every digest, every number\n  \
    lift weights convert in.ckpt out.safetensors --dtype bf16"
)]
pub(super) struct WeightsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Pull(PullArgs),
    List(ListArgs),
    /// Print the paths of the files, one per line
    #[command(after_help = "Examples:\n  lift weights path\n  cp $(lift weights path) /media/stick/")]
    Path(ItemArgs),
    /// Compute the digests again, and check names, shapes and that every number is finite
    #[command(
        after_help = "Examples:\n  lift weights verify\n  lift weights verify lift --json | jq .problem"
    )]
    Verify(ItemArgs),
    Rm(RmArgs),
    Convert(ConvertArgs),
}

/// Download what is missing, and resume partial downloads
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift weights pull\n  lift weights pull lift\n  lift weights pull --to carry/\n  \
    lift weights pull timm/vit_base_patch14_reg4_dinov2.lvd142m"
)]
struct PullArgs {
    /// dinov2, lift, all (both), dinov3, clip, siglip, siglip2, owner/name[@revision] of the hub, or a URL
    #[arg(value_name = "WHAT", default_value = "all")]
    what: Vec<What>,
    /// Also copy the files into this folder, for a machine without a network [default: they stay in the caches]
    ///
    /// On that machine, set LIFT_HOME to the folder, or name its files with --dinov2 and --lift.
    ///
    /// Example: --to carry/
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Show what is here, and what is not
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift weights list\n  lift weights list --json | jq -r .sha256")]
struct ListArgs {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ItemArgs {
    /// dinov2, lift, all, or a name that `lift weights list` shows
    #[arg(value_name = "WHAT", default_value = "all")]
    what: Vec<What>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Remove weights and their partial downloads
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift weights rm lift\n  lift weights rm all")]
struct RmArgs {
    /// dinov2, lift, all, or a name that `lift weights list` shows
    #[arg(value_name = "WHAT", required = true)]
    what: Vec<What>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Write the tensors of a checkpoint or a .safetensors as .safetensors
///
/// Only the tensors of the model are kept: a third of the authors' checkpoint. f16 and bf16 halve the file; the command
/// prints how much the numbers change. lift computes in f32 in each case.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift weights convert in.ckpt out.safetensors\n  \
    lift weights convert in.ckpt half.safetensors --dtype bf16")]
struct ConvertArgs {
    /// The authors' .ckpt, another file of torch's (.pt, .pth, .bin), or a .safetensors
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The .safetensors to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// How the numbers are stored
    ///
    /// Example: --dtype bf16
    #[arg(long, value_enum, default_value_t)]
    dtype: Storage,
    /// Replace OUT if it exists
    #[arg(long)]
    overwrite: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// One item, or all that there are.
#[derive(Debug, Clone)]
enum What {
    All,
    WeightsName(WeightsName),
}

impl FromStr for What {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        if s == "all" { Ok(Self::All) } else { s.parse().map(Self::WeightsName) }
    }
}

/// Runs the command.
pub(super) fn run(args: WeightsArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    match args.action {
        Action::Pull(args) => pull(&args),
        Action::List(args) => list(&args),
        Action::Path(args) => path(&args),
        Action::Verify(args) => verify(&args, verbosity),
        Action::Rm(args) => rm(&args, verbosity),
        Action::Convert(args) => convert(&args),
    }
}

/// A line of `--json`, or the text.
fn print(json: bool, value: &impl Serialize, text: &str) -> Result<(), Fatal> {
    let line = if json { serde_json::to_string(value).map_err(Fatal::input)? } else { text.to_string() };
    Ok(files::print((line + "\n").as_bytes())?)
}

/// The items named, each once; `all` stands for `everything`.
fn items(what: &[What], everything: impl Fn() -> Vec<WeightsName>) -> Vec<WeightsName> {
    let mut items: Vec<WeightsName> = Vec::new();
    for what in what {
        let named = match what {
            What::All => everything(),
            What::WeightsName(item) => vec![item.clone()],
        };
        for item in named {
            if !items.contains(&item) {
                items.push(item);
            }
        }
    }
    items
}

fn published() -> Vec<WeightsName> {
    vec![WeightsName::Encoder(LIFT_FAMILY), WeightsName::Lift]
}

/// What is here, whole.
fn present() -> Vec<WeightsName> {
    let here = |state: &WeightsState| matches!(state.presence, Presence::Here | Presence::Checkpoint);
    weights::list().into_iter().filter(|(_, state)| here(state)).map(|(item, _)| item).collect()
}

/// Does the same for each item; one that fails is reported and the others go on, the first failure's code at the end.
fn each(
    items: &[WeightsName],
    mut act: impl FnMut(&WeightsName) -> Result<(), Fatal>,
) -> Result<Exit, Fatal> {
    let mut exit = Exit::Success;
    for item in items {
        match act(item) {
            Ok(()) => {}
            Err(fatal) if matches!(fatal.exit, Exit::Interrupted | Exit::Terminated) => return Err(fatal),
            Err(Fatal { exit: failed, error }) => {
                if let Some(error) = error {
                    report::error(&format!("{error:#}"));
                }
                exit = if exit == Exit::Success { failed } else { exit };
            }
        }
    }
    Ok(exit)
}

fn pull(args: &PullArgs) -> Result<Exit, Fatal> {
    // Ctrl-C ends a download in order.
    let _signals = Signals::listen()?;
    each(&items(&args.what, published), |item| {
        let before = weights::state(item).presence;
        let mut path = weights::pull(item)?;
        if let Some(folder) = &args.to {
            path = weights::copy_to(item, folder)?;
        }
        let mut state = weights::state(item);
        let verb = match (&args.to, before) {
            (Some(_), _) => "copied to",
            (None, Presence::Here) => "is here already:",
            (None, _) => "is here:",
        };
        let size = size_text(std::fs::metadata(&path).map_or(0, |meta| meta.len()));
        let text = format!("{item} {verb} {} ({size})", display_path(&path));
        state.path = Some(path);
        print(args.json, &state, &text)
    })
}

fn list(args: &ListArgs) -> Result<Exit, Fatal> {
    for (_, state) in weights::list() {
        print(args.json, &state, &described(&state))?;
    }
    Ok(Exit::Success)
}

fn described(state: &WeightsState) -> String {
    let WeightsState { name, presence, path, size, source, sha256, pictures } = state;
    let mut text = match presence {
        Presence::Here => format!("{name}  {}", size_text(*size)),
        Presence::Checkpoint => {
            format!("{name}  {}, becomes {} when it is first used", size_text(*size), weights::LIFT_FILE)
        }
        Presence::Partial => {
            format!("{name}  begun, {}; `lift weights pull {name}` goes on", size_text(*size))
        }
        Presence::Missing => format!("{name}  not here; `lift weights pull {name}` fetches it"),
    };
    if let Some(path) = path {
        text += &format!("\n  file    {}", display_path(path));
    }
    text += &format!("\n  from    {source}");
    if let Some(sha256) = sha256 {
        text += &format!("\n  sha256  {sha256}");
    }
    if let Some(pictures) = pictures {
        text += &format!("\n  frames  {pictures}");
    }
    text
}

fn path(args: &ItemArgs) -> Result<Exit, Fatal> {
    each(&items(&args.what, published), |item| {
        let state = weights::state(item);
        match (state.presence, &state.path) {
            (Presence::Here | Presence::Checkpoint, Some(path)) => {
                print(args.json, &state, &path.display().to_string())
            }
            _ => Err(Fatal::input(anyhow!(
                "{item} is not here: run `lift weights pull {item}` where there is a network"
            ))),
        }
    })
}

fn verify(args: &ItemArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let items = items(&args.what, present);
    if items.is_empty() && !verbosity.quiet {
        report::note("no weights are here; `lift weights pull` fetches them");
    }
    each(&items, |item| {
        let verdict = weights::verify(item)?;
        let Verification { name, path, sha256, against, problem } = &verdict;
        let path = display_path(path);
        let text = match (problem, against) {
            (Some(problem), _) => format!("{name}  WRONG  {path}: {problem}"),
            (None, Some(by)) => format!("{name}  good  {path}: SHA-256 {sha256}, as {by} says"),
            (None, None) => format!("{name}  good  {path}: SHA-256 {sha256}, which nobody recorded"),
        };
        print(args.json, &verdict, &text)?;
        match problem {
            Some(_) => Err(Fatal::input(anyhow!(
                "{path} is not what it should be: `lift weights rm {name}` removes it, `lift weights pull {name}` fetches \
                 it again"
            ))),
            None => Ok(()),
        }
    })
}

/// A file that was removed.
#[derive(Serialize)]
struct Removed {
    name: String,
    path: PathBuf,
    size: u64,
}

fn rm(args: &RmArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let everything = || weights::list().into_iter().map(|(item, _)| item).collect();
    each(&items(&args.what, everything), |item| {
        let removed = weights::remove(item)?;
        if removed.is_empty() && !verbosity.quiet {
            report::note(&format!("{item} is not here"));
        }
        for (path, size) in removed {
            // A link has no bytes of its own.
            let bytes = if size > 0 { format!(" ({})", size_text(size)) } else { String::new() };
            let text = format!("removed {}{bytes}", display_path(&path));
            print(args.json, &Removed { name: item.to_string(), path, size }, &text)?;
        }
        Ok(())
    })
}

fn convert(args: &ConvertArgs) -> Result<Exit, Fatal> {
    Signals::end_at_once()?;
    let store = weights::open(&args.input)?;
    let whole = store.size();
    let store = weights::model_in(store, &args.input)?;
    let done = weights::convert(&store, &args.output, args.dtype, args.overwrite).map_err(|e| match e {
        ConvertError::Weights(error) => Fatal::from(error),
        ConvertError::Rows(error) => Fatal::from(error),
    })?;
    let cost = match &done.largest_in {
        Some(name) => format!(
            "it costs at most {:.1e} a number (in {name}), {:.1e} on average, {:.1e} in proportion",
            done.largest_error, done.mean_error, done.relative_error
        ),
        None => "no number changed".into(),
    };
    let (before, after) = (size_text(whole), size_text(done.size));
    let text = format!(
        "{}: {} tensors, {after} of {before}; {cost}\nSHA-256 {}",
        display_path(&args.output),
        done.tensors,
        done.sha256
    );
    print(args.json, &done, &text)?;
    Ok(Exit::Success)
}
