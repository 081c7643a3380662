//! `lift info`: describes video files.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::range::KeyframesArgs;
use super::{Verbosity, report};
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::display_path;
use crate::inputs;
use crate::video::{Request, Video, VideoError, VideoInfo};

/// Show the properties of a video, and which 16 frames lift would take from it
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift info video.mp4\n  lift info clips/ --json | jq -r 'select(.error) | .path'\n  \
    lift info clips/ --json | jq .frames\n  find . -name '*.webm' | lift info -"
)]
pub(super) struct InfoArgs {
    /// Videos, folders (searched), patterns, or - for paths on standard input
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    key: KeyframesArgs,
}

/// A file in the output of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: String,
    #[serde(flatten)]
    info: Option<&'a VideoInfo>,
    /// The 16 frames that would be taken, by index in presentation order.
    sample: Option<Vec<usize>>,
    /// Bytes that were read of the file to tell all this.
    bytes_read: Option<u64>,
    error: Option<String>,
}

/// Describes every input.
pub(super) fn run(args: InfoArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let inputs = inputs::gather_files(&args.inputs, &mut std::io::stdin())?;
    if !verbosity.quiet {
        inputs.notes.iter().for_each(|n| report::note(n));
    }
    let mut exit = Exit::Success;
    for (i, input) in inputs.iter().enumerate() {
        let seen = look(&input.path, args.key.keyframes);
        if let Err(error) = &seen {
            report::failed_file(&input.path, &error.to_string());
            exit = Exit::SomeFailed;
        }
        let text = if args.json {
            json(&input.path, &seen)
        } else {
            seen.map_or_else(|_| String::new(), |(info, sample, _)| table(&input.path, &info, &sample, i > 0))
        };
        files::print(text.as_bytes())?;
    }
    Ok(exit)
}

/// The properties, the sample, and the bytes read.
type Seen = (VideoInfo, Vec<usize>, u64);

fn look(path: &Path, keyframes: bool) -> Result<Seen, VideoError> {
    let mut video = Video::open(path)?;
    let sample = video.sample(&Request { keyframes, ..Request::default() })?;
    let mut info = video.info().clone();
    info.notes.extend(sample.key_notes());
    info.notes.extend(sample.still_note());
    Ok((info, sample.indices, video.work().bytes))
}

fn json(path: &Path, seen: &Result<Seen, VideoError>) -> String {
    let path = path.to_string_lossy().into_owned();
    let line = match seen {
        Ok((info, sample, bytes)) => Line {
            path,
            info: Some(info),
            sample: Some(sample.clone()),
            bytes_read: Some(*bytes),
            error: None,
        },
        Err(error) => {
            Line { path, info: None, sample: None, bytes_read: None, error: Some(error.to_string()) }
        }
    };
    serde_json::to_string(&line).map(|s| s + "\n").unwrap_or_default()
}

fn table(path: &Path, info: &VideoInfo, sample: &[usize], gap: bool) -> String {
    let tag = |t: &Option<String>| t.clone().unwrap_or_else(|| "untagged".into());
    let join = |lines: &[String], none: &str| if lines.is_empty() { none.into() } else { lines.join("; ") };
    let sample: Vec<String> = sample.iter().map(ToString::to_string).collect();
    let rows = [
        ("container", info.container.clone()),
        ("codec", format!("{}, {}", info.codec, info.pixel_format)),
        ("size", format!("{} x {}", info.width, info.height)),
        ("rotation", format!("{}°", info.rotation)),
        (
            "colour",
            format!(
                "matrix {}, range {}, primaries {}, transfer {}",
                tag(&info.color_space),
                tag(&info.color_range),
                tag(&info.color_primaries),
                tag(&info.color_transfer)
            ),
        ),
        ("frames", format!("{} ({} key)", info.frames, info.key_frames)),
        ("fps", format!("{:.3}", info.fps)),
        ("duration", format!("{:.3} s", info.duration)),
        ("damage", join(&info.damage, "none seen")),
        ("notes", join(&info.notes, "none")),
        ("16 frames", sample.join(" ")),
    ];
    let mut text = if gap { "\n".to_string() } else { String::new() };
    text += &format!("{}\n", display_path(path));
    for (name, value) in rows {
        text += &format!("  {name:<10} {value}\n");
    }
    text
}
