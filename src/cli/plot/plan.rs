//! What `lift plot` is asked to do, as plain data: settled before any video is opened.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::PlotArgs;
use crate::embed::EmbedSettings;
use crate::exit::Fatal;
use crate::files::{AtomicFile, display_path};
use crate::inputs::Range;
use crate::plot::{DrawError, Figure, FigureFormat, Look, Method};
use crate::rows::{Part, is_features};
use crate::video::{Request, Sampling};

/// The longest side in pixels of a frame that is kept for drawing, so that many frames of a large video fit in memory.
const LONGEST_SIDE: u32 = 960;

/// The plan of a figure.
pub(super) struct PlotPlan {
    /// Videos, folders of them, and features.
    pub(super) inputs: Vec<PathBuf>,
    /// The clips to draw of a file of features; all if empty.
    pub(super) ids: Vec<String>,
    /// The range of the videos that have none of their own.
    pub(super) range: Range,
    /// What is read and computed of each video.
    pub(super) settings: EmbedSettings,
    /// Whether `--with-reverse` asks for each clip mirrored in time.
    pub(super) with_reverse: bool,
    /// Whether videos are drawn mirrored as well: on request, and because the page of one video has a switch for it.
    pub(super) mirrors: bool,
    /// The figure asked for.
    pub(super) figure: Option<&'static Figure>,
    /// How it looks.
    pub(super) look: Look,
    /// Whether the measures are printed as JSON.
    pub(super) json: bool,
    /// Where the figure goes; absent where only JSON is wanted.
    pub(super) output: Option<(FigureFormat, AtomicFile)>,
}

impl PlotPlan {
    /// Checks the flags and claims the output.
    ///
    /// # Errors
    /// If the flags do not go together, or the output cannot be written.
    pub(super) fn new(args: &PlotArgs) -> Result<Self, Fatal> {
        if !args.clips.id.is_empty()
            && let Some(video) = args.inputs.iter().find(|input| !is_features(input))
        {
            return Err(Fatal::usage(anyhow!(
                "--id chooses a clip of a file of features, and {} is none; leave --id out",
                display_path(video)
            )));
        }
        if let Some(flag) = args.map.given() {
            return Err(Fatal::usage(anyhow!(
                "{flag} belongs to the map of a collection: add --figure map, or leave it out"
            )));
        }
        let output = output(args)?;
        let with_reverse = args.clips.with_reverse;
        let page = matches!(output, Some((FigureFormat::Html, _)));
        Ok(Self {
            inputs: args.inputs.clone(),
            ids: args.clips.id.clone(),
            range: args.clips.range.range(),
            settings: EmbedSettings {
                request: Request {
                    sampling: Sampling::Count(usize::from(args.clips.frames)),
                    range_by: args.clips.range.range_by,
                    keyframes: args.clips.key.keyframes,
                    allow_truncated: args.clips.allow_truncated,
                    max_pixels: Some(args.limits.max_pixels),
                    // The videos are read one after the other, so each may use all threads.
                    threads: 0,
                    groups: 1,
                    ..Request::default()
                },
                parts: vec![Part::Frames, Part::Reconstructed],
                normalize: false,
                threads: args.compute.threads(),
                timeout: args.limits.timeout(),
                pictures: Some(LONGEST_SIDE),
            },
            with_reverse,
            mirrors: with_reverse || (page && args.inputs.len() == 1),
            figure: args.figure_of_paths(),
            look: Look {
                title: args.look.title.clone(),
                halves: args.look.halves(),
                // A clip and its mirror are compared, as several clips are.
                method: args.look.method.or(with_reverse.then_some(Method::Pca)),
                seed: args.look.seed,
                perplexity: args.look.perplexity,
                dpi: args.look.dpi,
            },
            json: args.json,
            output,
        })
    }
}

/// The format and the file of the figure; none where only JSON is wanted.
fn output(args: &PlotArgs) -> Result<Option<(FigureFormat, AtomicFile)>, Fatal> {
    let path = match &args.output {
        Some(path) => path.clone(),
        None if args.json => return Ok(None),
        None => default_output(&args.inputs),
    };
    let shown = display_path(&path);
    let format = FigureFormat::of(&path).ok_or_else(|| {
        Fatal::usage(anyhow!(
            "{shown}: its extension names no kind of picture; use .png, .svg, .pdf, .gif, .mp4 or .html"
        ))
    })?;
    if let Some(figure) = args.figure_of_paths() {
        format.check(figure).map_err(|error| Fatal::usage(anyhow!("{shown}: {error}")))?;
    }
    // How many clips there will be is not known yet, but an input is at least one.
    let count = args.inputs.len() * if args.clips.with_reverse { 2 } else { 1 };
    let figure = args.figure_of_paths().or_else(|| format.default_figure(count));
    if let Some(figure) = figure.filter(|figure| figure.one_clip && count > 1) {
        return Err(Fatal::usage(DrawError::SeveralClips { figure: figure.name, count }));
    }
    Ok(Some((format, AtomicFile::create(&path, args.overwrite)?)))
}

/// The name of the figure of `inputs` if none is given.
pub(super) fn default_output(inputs: &[PathBuf]) -> PathBuf {
    match inputs {
        [one] => {
            let mut name = one.file_stem().unwrap_or(one.as_os_str()).to_os_string();
            name.push(".lift.png");
            PathBuf::from(name)
        }
        _ => Path::new("compare.lift.png").to_path_buf(),
    }
}
