//! `lift plot`: the paths of videos through feature space, as pictures.

mod flags;
mod sources;

use std::io::Write;

use anyhow::{Context, anyhow};
use serde::Serialize;

pub(super) use self::flags::PlotArgs;
use self::flags::{Figure, Kind, MethodFlag, Show};
use self::sources::{Videos, default_output, from_features, is_features};
use super::signals::Signals;
use super::{Verbosity, report};
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::{AtomicFile, FileError, display_path};
use crate::inputs;
use crate::plot::animation::Animation;
use crate::plot::compare::Compared;
use crate::plot::measures::{Measures, measure};
use crate::plot::page::{PageClip, page};
use crate::plot::palette::MOST_CLIPS;
use crate::plot::scene::Scene;
use crate::plot::{
    ClipPaths, Half, Method, Projection, ProjectionSettings, compare, gif, line, mp4, project, raster,
    similarity, svg, trajectory,
};
use crate::threads;
use crate::video::{Request, Sampling};

/// CSS pixels per inch: what `--dpi` counts against.
const CSS_DPI: f64 = 96.0;

/// Of a still picture: sharp on most screens, and a page's width in print.
const STILL_DPI: f64 = 144.0;

/// What is going to be drawn, and where to.
struct Plan {
    kind: Kind,
    figure: Option<Figure>,
    file: AtomicFile,
}

impl PlotArgs {
    /// Settles everything that can be settled before any video is opened; nothing to draw where only JSON is wanted.
    fn plan(&self) -> Result<Option<Plan>, Fatal> {
        let path = match &self.output {
            Some(path) => path.clone(),
            None if self.json => return Ok(None),
            None => default_output(&self.inputs),
        };
        let shown = display_path(&path);
        let Some(kind) = Kind::of(&path) else {
            return Err(Fatal::usage(anyhow!(
                "{shown}: its extension names no kind of picture; use .png, .svg, .gif, .mp4 or .html"
            )));
        };
        match (kind, self.figure) {
            (Kind::Html, Some(_)) => {
                return Err(Fatal::usage(anyhow!(
                    "{shown}: a page shows all paths at once; leave --figure out"
                )));
            }
            (kind, Some(Figure::Animation)) if !kind.moves() => {
                return Err(Fatal::usage(anyhow!("{shown}: an animation is written to .gif or .mp4")));
            }
            (kind, Some(figure)) if kind.moves() && figure != Figure::Animation => {
                return Err(Fatal::usage(anyhow!(
                    "{shown}: .gif and .mp4 hold animations; use .png or .svg"
                )));
            }
            _ => {}
        }
        let figure = self.figure.or(kind.moves().then_some(Figure::Animation));
        if let Some(figure) = figure.filter(|figure| figure.of_one() && kind != Kind::Html)
            && (self.clips.with_reverse || self.inputs.len() > 1)
        {
            let count = self.inputs.len() * if self.clips.with_reverse { 2 } else { 1 };
            return Err(several(figure, count));
        }
        let file = AtomicFile::create(&path, self.overwrite)?;
        Ok(Some(Plan { kind, figure: self.figure, file }))
    }

    fn settings(&self, method: Method) -> ProjectionSettings {
        ProjectionSettings { method, seed: self.look.seed, perplexity: self.look.perplexity }
    }

    /// The authors' figure of one clip is t-SNE's; to compare directions they must mean something.
    fn method(&self, clips: &[Drawn]) -> Method {
        match self.look.method {
            Some(MethodFlag::Pca) => Method::Pca,
            Some(MethodFlag::Tsne) => Method::Tsne,
            None if clips.len() > 1 => Method::Pca,
            None => Method::Tsne,
        }
    }

    /// The paths to show, each once, the features first.
    fn halves(&self) -> Vec<Half> {
        let wanted = |show| self.look.show.contains(&show);
        let pairs = [(Show::Frames, Half::Features), (Show::Lift, Half::Reconstruction)];
        pairs.into_iter().filter(|(show, _)| wanted(*show)).map(|(_, half)| half).collect()
    }

    fn title(&self, clips: &[Drawn]) -> String {
        let names = || clips.iter().filter(|clip| !clip.mirror).map(|clip| clip.paths.title.as_str());
        self.look.title.clone().unwrap_or_else(|| names().collect::<Vec<_>>().join(", "))
    }
}

/// A clip of the figure.
struct Drawn {
    paths: ClipPaths,
    mirror: bool,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    mirror: bool,
    #[serde(flatten)]
    measures: &'a Measures,
}

/// Reads or embeds the clips, draws the figure, tells the measures.
pub(super) fn run(args: PlotArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    if !args.clips.id.is_empty()
        && let Some(video) = args.inputs.iter().find(|input| !is_features(input))
    {
        return Err(Fatal::usage(anyhow!(
            "--id chooses a clip of a file of features, and {} is none; leave --id out",
            display_path(video)
        )));
    }
    Signals::end_at_once()?;
    let plan = args.plan()?;
    let pool =
        threads::pool(args.compute.threads()).context("no threads to draw with").map_err(Fatal::input)?;
    pool.install(|| {
        let (clips, failed) = gather(&args, plan.as_ref(), verbosity.quiet)?;
        if clips.len() > MOST_CLIPS {
            return Err(Fatal::usage(anyhow!(
                "{} clips are too many for one figure; {MOST_CLIPS} can be told apart (a mirror counts as one)",
                clips.len()
            )));
        }
        tell(&args, &clips)?;
        if let Some(plan) = plan {
            write(&args, plan, &clips, verbosity.quiet)?;
        }
        Ok(if failed { Exit::SomeFailed } else { Exit::Success })
    })
}

/// All clips, in the order of the inputs, and whether one is missing because it failed.
fn gather(args: &PlotArgs, plan: Option<&Plan>, quiet: bool) -> Result<(Vec<Drawn>, bool), Fatal> {
    let request = Request {
        sampling: Sampling::Count(usize::from(args.clips.frames)),
        start: args.clips.start,
        end: args.clips.end,
        allow_truncated: args.clips.allow_truncated,
        threads: 0,
        ..Request::default()
    };
    let mut videos = None;
    let (mut clips, mut failed) = (Vec::new(), false);
    for argument in &args.inputs {
        if is_features(argument) {
            if args.clips.with_reverse {
                return Err(Fatal::usage(anyhow!(
                    "{}: a file of features holds no reconstruction of the mirrored clip; give the video for --with-reverse",
                    display_path(argument)
                )));
            }
            for paths in from_features(argument, &args.clips.id, MOST_CLIPS).map_err(Fatal::input)? {
                paths.check().map_err(Fatal::input)?;
                clips.push(Drawn { paths, mirror: false });
            }
            continue;
        }
        let no_range = inputs::Range::default();
        let found = inputs::gather(std::slice::from_ref(argument), &[], &mut std::io::stdin(), no_range)?;
        found.notes.iter().filter(|_| !quiet).for_each(|note| report::note(note));
        if clips.len() + found.len() > MOST_CLIPS {
            return Err(Fatal::usage(anyhow!(
                "{}: with it there are {} videos, too many for one figure; {MOST_CLIPS} can be told apart",
                display_path(argument),
                clips.len() + found.len()
            )));
        }
        for mut input in &found {
            // Clips of one name in two folders are told apart by their paths.
            if clips.iter().any(|clip: &Drawn| clip.paths.title == input.id) {
                input.id = display_path(&input.path).to_string();
            }
            let videos = match &mut videos {
                Some(videos) => videos,
                none => {
                    let choice = args.models.choice(&args.compute.settle(quiet)?, quiet);
                    none.insert(Videos::new(choice, request.clone()))
                }
            };
            videos.load()?;
            match clip_and_mirror(videos, &input, args, plan) {
                Ok(both) => clips.extend(both),
                Err(error) => {
                    report::error(&format!("{}: {error:#}", display_path(&input.path)));
                    failed = true;
                }
            }
        }
    }
    if clips.is_empty() {
        return Err(Fatal {
            exit: Exit::SomeFailed,
            error: Some(anyhow!("nothing was drawn: no clip could be read")),
        });
    }
    Ok((clips, failed))
}

/// A video's clip, and its mirror where it is asked for or a page has a switch for it.
fn clip_and_mirror(
    videos: &mut Videos,
    input: &inputs::Input,
    args: &PlotArgs,
    plan: Option<&Plan>,
) -> anyhow::Result<Vec<Drawn>> {
    let paths = videos.clip(input)?;
    paths.check()?;
    let lone_page = args.inputs.len() == 1 && plan.is_some_and(|plan| plan.kind == Kind::Html);
    let mirror = (args.clips.with_reverse || lone_page).then(|| videos.mirror(&paths)).transpose()?;
    let clip = Drawn { paths, mirror: false };
    Ok([Some(clip), mirror.map(|paths| Drawn { paths, mirror: true })].into_iter().flatten().collect())
}

/// Prints the measures, where they are asked for.
fn tell(args: &PlotArgs, clips: &[Drawn]) -> Result<(), Fatal> {
    let mut text = String::new();
    if args.json {
        for clip in clips {
            let line = Line { mirror: clip.mirror, measures: &measure(&clip.paths) };
            text.push_str(&serde_json::to_string(&line).map_err(Fatal::input)?);
            text.push('\n');
        }
    } else if args.figure == Some(Figure::Line) {
        for clip in clips {
            text.push_str(&table(&measure(&clip.paths)));
        }
    }
    match files::print(text.as_bytes()) {
        // The picture is still to be drawn.
        Err(FileError::Closed) => Ok(()),
        printed => Ok(printed?),
    }
}

fn table(measures: &Measures) -> String {
    let degrees = |mean: Option<f64>| mean.map_or_else(|| "none".into(), |mean| format!("{mean:.1} degrees"));
    let mean = measures.distance.iter().sum::<f64>() / measures.distance.len() as f64;
    let curvature = &measures.curvature;
    let pixels = curvature
        .pixels
        .as_ref()
        .map_or_else(|| "unknown: a file of features has no pixels".into(), |curve| degrees(curve.mean));
    format!(
        "{}\n  distance from the line's decoding, mean  {mean:.3}\n  curvature of the pixels                  {}\n  \
         curvature of the frame features          {}\n  curvature of the reconstruction          {}\n",
        crate::files::display_text(&measures.title),
        pixels,
        degrees(curvature.features.mean),
        degrees(curvature.reconstruction.mean)
    )
}

/// Draws the figure and gives the file its name.
fn write(args: &PlotArgs, mut plan: Plan, clips: &[Drawn], quiet: bool) -> Result<(), Fatal> {
    let bytes = match plan.kind {
        Kind::Html => html(args, clips),
        Kind::Gif | Kind::Mp4 => moving(args, plan.kind, clips),
        Kind::Png | Kind::Svg => still(args, plan.kind, plan.figure, clips),
    }?;
    let target = plan.file.target().to_path_buf();
    let fail = |error: std::io::Error| Fatal {
        exit: Exit::Write,
        error: Some(anyhow!("{}: it could not be written: {error}", display_path(&target))),
    };
    plan.file.write_all(&bytes).map_err(fail)?;
    plan.file.commit()?;
    if !quiet {
        report::say(&format!("drawn into {}", display_path(&target)));
    }
    Ok(())
}

fn projection(args: &PlotArgs, clips: &[Drawn], method: Method) -> Result<Projection, Fatal> {
    let paths: Vec<ClipPaths> = clips.iter().map(|clip| without_pictures(&clip.paths)).collect();
    project(&paths, args.settings(method)).map_err(Fatal::input)
}

/// The paths alone: a projection has no use for the pictures.
fn without_pictures(clip: &ClipPaths) -> ClipPaths {
    ClipPaths {
        title: clip.title.clone(),
        frames: vec![],
        features: clip.features.clone(),
        reconstructed: clip.reconstructed.clone(),
    }
}

fn html(args: &PlotArgs, clips: &[Drawn]) -> Result<Vec<u8>, Fatal> {
    let first = args.method(clips);
    let second = if first == Method::Pca { Method::Tsne } else { Method::Pca };
    let projections = [projection(args, clips, first)?, projection(args, clips, second)?];
    let shown: Vec<PageClip<'_>> =
        clips.iter().map(|clip| PageClip { clip: &clip.paths, mirror: clip.mirror }).collect();
    Ok(page(&shown, &args.title(clips), &projections, &args.halves()).map_err(Fatal::input)?.into_bytes())
}

/// The only clip of a figure that shows one.
fn only(clips: &[Drawn], figure: Figure) -> Result<&ClipPaths, Fatal> {
    match clips {
        [one] => Ok(&one.paths),
        more => Err(several(figure, more.len())),
    }
}

/// Too many clips for a figure of one.
fn several(figure: Figure, count: usize) -> Fatal {
    Fatal::usage(anyhow!(
        "the {} figure shows one clip, not {count}; draw them one by one, or write a .png or .svg with --figure compare",
        figure.name()
    ))
}

fn moving(args: &PlotArgs, kind: Kind, clips: &[Drawn]) -> Result<Vec<u8>, Fatal> {
    let clip = only(clips, Figure::Animation)?;
    let projection = projection(args, clips, args.method(clips))?;
    let halves = args.halves();
    let animation = Animation::new(
        clip,
        &args.title(clips),
        &projection,
        &halves,
        args.look.dpi.unwrap_or(CSS_DPI) / CSS_DPI,
    );
    if kind == Kind::Gif {
        gif::gif(&animation).map_err(Fatal::input)
    } else {
        mp4::mp4(&animation).map_err(Fatal::input)
    }
}

fn still(args: &PlotArgs, kind: Kind, figure: Option<Figure>, clips: &[Drawn]) -> Result<Vec<u8>, Fatal> {
    let default = if clips.len() > 1 { Figure::Compare } else { Figure::Trajectory };
    let scene = scene(args, figure.unwrap_or(default), clips)?;
    if kind == Kind::Svg {
        return Ok(svg::svg(&scene).map_err(Fatal::input)?.into_bytes());
    }
    raster::png(&scene, args.look.dpi.unwrap_or(STILL_DPI)).map_err(Fatal::input)
}

/// A lone clip and its mirror are called what they are, since the figure's title is the clip's.
fn compared(clips: &[Drawn]) -> Vec<Compared<'_>> {
    let pair = matches!(clips, [clip, mirror] if !clip.mirror && mirror.mirror);
    clips
        .iter()
        .map(|clip| {
            let name = match (pair, clip.mirror) {
                (true, false) => "forward",
                (true, true) => "mirrored in time",
                (false, _) => clip.paths.title.as_str(),
            };
            Compared { name, clip: &clip.paths }
        })
        .collect()
}

fn scene(args: &PlotArgs, figure: Figure, clips: &[Drawn]) -> Result<Scene, Fatal> {
    let (title, halves) = (args.title(clips), args.halves());
    Ok(match figure {
        Figure::Trajectory => {
            let clip = only(clips, figure)?;
            trajectory::trajectory(clip, &title, &projection(args, clips, args.method(clips))?, &halves)
        }
        Figure::Compare => {
            compare::compare(&compared(clips), &title, &projection(args, clips, args.method(clips))?, &halves)
        }
        Figure::Line => {
            let clip = only(clips, figure)?;
            line::line(clip, &title, &measure(clip))
        }
        Figure::Similarity => similarity::similarity(only(clips, figure)?, &title, &halves),
        // Refused for these files before anything was read.
        Figure::Animation => return Err(Fatal::usage(anyhow!("an animation is written to .gif or .mp4"))),
    })
}
