//! `lift plot COLLECTION --figure map`: a collection as a picture or as a page.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use anyhow::anyhow;
use rayon::ThreadPool;

use super::PlotArgs;
use super::plan::default_output;
use crate::cia::representations::StoredParts;
use crate::cia::stored;
use crate::cli::{progress, report};
use crate::exit::{Exit, Fatal};
use crate::files::{AtomicFile, FileError, display_path};
use crate::map::{
    Colouring, LayoutError, LayoutSettings, MapDrawing, MapPage, Strip, Strips, Vectors, groups, layout,
    layout_steps, nearby, nearby_steps, page, shown,
};
use crate::plot::scene::Scene;
use crate::plot::{self, FigureFormat, Method};
use crate::rows::{self, ClipMeta};
use crate::search::{SearchError, representation_of};
use crate::{threads, weights};

/// The most clips of a map.
const MOST_POINTS: usize = 50_000;
/// Groups of similar clips where no number is asked for.
const GROUPS: usize = 8;

/// The most clips with videos of a page in one file: their filmstrips take some 25 MB.
const MOST_INSIDE: usize = 1000;

/// Where the map goes.
enum MapOutput {
    /// A page in one file.
    Page(AtomicFile),
    /// A page in a folder, which holds the filmstrips too.
    Folder(PathBuf, AtomicFile),
    /// A still picture.
    Still(FigureFormat, AtomicFile),
}

/// The clips that are shown, and their rows.
struct Shown {
    parts: StoredParts,
    /// How many rows the collection has.
    all: usize,
    rows: Vectors,
    clips: Vec<ClipMeta>,
    colouring: Colouring,
}

/// Reads the collection, lays it out and draws it.
pub(super) fn run(args: &PlotArgs, quiet: bool) -> Result<Exit, Fatal> {
    let collection = checked(args)?;
    let output = output(args, collection)?;
    let pool = threads::pool(args.compute.threads()).map_err(Fatal::input)?;
    let shown = read(args, collection, quiet, &pool)?;
    if let MapOutput::Page(file) = &output {
        check_size(file.target(), &shown)?;
    }
    let done = AtomicUsize::new(0);
    let settings = LayoutSettings {
        method: args.look.method.unwrap_or(Method::Tsne),
        perplexity: args.look.perplexity,
        seed: args.look.seed,
    };
    let laid = progress::watch(layout_steps(shown.rows.len()), quiet, &done, || {
        pool.install(|| layout(&shown.rows, settings, &done))
    });
    let laid = laid.map_err(|error| match error {
        LayoutError::Search(error) => wrong(collection, error),
        error => Fatal::input(anyhow!("{}: {error}", display_path(collection))),
    })?;
    let title = args.look.title.clone().unwrap_or_else(|| display_path(collection));
    let caption = format!(
        "{}, compared by {}; {}",
        counted(shown.rows.len(), shown.all),
        args.map.by.as_deref().unwrap_or("all"),
        laid.quality.caption()
    );
    let drawing = MapDrawing {
        title: &title,
        caption: &caption,
        points: &laid.points,
        colouring: &shown.colouring,
        seed: args.look.seed,
    };
    let pages = Pages { args, collection, shown: &shown, drawing: &drawing, pool: &pool, quiet };
    match output {
        MapOutput::Page(file) => pages.write(file, None),
        MapOutput::Folder(folder, file) => pages.write(file, Some(&folder)),
        MapOutput::Still(format, file) => {
            let (scene, made) = pictured(args, &drawing, &shown, &pool, quiet)?;
            let bytes = plot::still(&scene, format, args.look.dpi).map_err(Fatal::input)?;
            super::write(file, &bytes, quiet)?;
            Ok(missing(&shown.clips, &made, quiet))
        }
    }
}

/// Refuses flags that do not go together; returns the collection.
fn checked(args: &PlotArgs) -> Result<&Path, Fatal> {
    let [collection] = args.inputs.as_slice() else {
        return Err(Fatal::usage(anyhow!(
            "a map shows one collection, and {} inputs are given; join them first with lift merge",
            args.inputs.len()
        )));
    };
    let (file, _) = rows::split_array(collection);
    if !file.exists() {
        return Err(Fatal::input(anyhow!("{}: there is no such file or folder", display_path(collection))));
    }
    if !rows::is_features(file) {
        return Err(Fatal::usage(anyhow!(
            "{}: a map shows embeddings (.parquet, .npz, .safetensors, .npy, .jsonl, or a dataset's folder), and this is none; embed \
             videos first: lift embed clips/ -o all.parquet --parts concat,reversed",
            display_path(collection)
        )));
    }
    if let Some(videos) = args.map.videos.as_ref().filter(|videos| !videos.is_dir()) {
        return Err(Fatal::input(anyhow!("--videos {}: there is no such folder", display_path(videos))));
    }
    let refused = [
        ("--json", args.json),
        ("--with-reverse", args.clips.with_reverse),
        ("--id", !args.clips.id.is_empty()),
    ];
    if let Some((flag, _)) = refused.into_iter().find(|(_, given)| *given) {
        return Err(Fatal::usage(anyhow!("{flag} has no meaning for a map; leave it out")));
    }
    Ok(collection)
}

/// Claims the output.
fn output(args: &PlotArgs, collection: &Path) -> Result<MapOutput, Fatal> {
    let path = args.output.clone().unwrap_or_else(|| default_output(&[collection.to_owned()]));
    if path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/') {
        fs::create_dir_all(&path).map_err(|error| FileError::write(&path, error))?;
        let file = AtomicFile::create(&path.join("index.html"), args.overwrite)?;
        return Ok(MapOutput::Folder(path, file));
    }
    let format = FigureFormat::of(&path).filter(|format| !format.moves()).ok_or_else(|| {
        Fatal::usage(anyhow!(
            "{}: a map is written as .png, .svg, .pdf or .html, or into a folder (DIR/); name one of these",
            display_path(&path)
        ))
    })?;
    let file = AtomicFile::create(&path, args.overwrite)?;
    Ok(if format == FigureFormat::Html { MapOutput::Page(file) } else { MapOutput::Still(format, file) })
}

/// Opens the collection, chooses the clips that are shown, and labels them.
fn read(args: &PlotArgs, collection: &Path, quiet: bool, pool: &ThreadPool) -> Result<Shown, Fatal> {
    let fail = |error| wrong(collection, error);
    let parts = stored::collection(collection, args.map.ids.wanted())?;
    let ids = parts.ids();
    if ids.is_empty() {
        return Err(Fatal::input(anyhow!("{}: it has no row", display_path(collection))));
    }
    let clips = if args.map.ids.is_given() {
        rows::bare_clips(&ids)
    } else {
        rows::clips(rows::split_array(collection).0, &ids)?
    };
    let most = args.map.points.map_or(MOST_POINTS, |points| points as usize);
    let chosen = shown(ids.len(), most, args.look.seed);
    if chosen.len() < ids.len() && !quiet {
        report::note(&format!(
            "{} has {} rows; the map shows a sample of {} by --seed {}",
            display_path(collection),
            ids.len(),
            chosen.len(),
            args.look.seed
        ));
    }
    let some: Vec<String> = chosen.iter().map(|row| ids[*row].clone()).collect();
    let by = representation_of(args.map.by.as_deref().unwrap_or("all"));
    let rows = Vectors::read(&parts, by, &some).map_err(fail)?;
    let colouring = match &args.map.labels {
        Some(labels) => {
            let all = Colouring::of_labels(labels, args.map.label.as_deref(), &ids);
            all.map_err(Fatal::input)?.select(&chosen)
        }
        None => {
            let count = args.map.clusters.map_or(GROUPS, usize::from);
            Colouring::of_groups(&pool.install(|| groups(&rows, count, args.look.seed)))
        }
    };
    if colouring.names.is_empty() && !quiet {
        report::note("no clip of the collection is in the labels; all points are grey");
    }
    let clips = chosen.iter().map(|row| clips[*row].clone()).collect();
    Ok(Shown { parts, all: ids.len(), rows, clips, colouring })
}

/// Refuses a page in one file that would be too large to open.
fn check_size(file: &Path, shown: &Shown) -> Result<(), Fatal> {
    let videos = shown.clips.iter().filter(|clip| clip.path != Path::new("")).count();
    if videos <= MOST_INSIDE {
        return Ok(());
    }
    let (path, folder) = (display_path(file), display_path(&file.with_extension("")));
    Err(Fatal::usage(anyhow!(
        "{path}: the filmstrips of {videos} clips are too much for one file, which holds those of at most {MOST_INSIDE}; name a folder \
         (-o {folder}/), or show a sample (--points {MOST_INSIDE})"
    )))
}

/// A page, in one file or in a folder.
struct Pages<'a> {
    args: &'a PlotArgs,
    collection: &'a Path,
    shown: &'a Shown,
    drawing: &'a MapDrawing<'a>,
    pool: &'a ThreadPool,
    quiet: bool,
}

impl Pages<'_> {
    /// Finds the neighbours, makes the filmstrips, in `folder` if the page has one, and writes the page last.
    fn write(&self, file: AtomicFile, folder: Option<&Path>) -> Result<Exit, Fatal> {
        let Shown { parts, rows, clips, colouring, .. } = self.shown;
        let done = AtomicUsize::new(0);
        let near = || self.pool.install(|| nearby(parts, rows.ids(), clips, &done));
        let near = progress::watch(nearby_steps(rows.len()), self.quiet, &done, near)
            .map_err(|error| wrong(self.collection, error))?;
        let place =
            folder.map_or_else(|| weights::lift_home().join("strips"), |folder| folder.join("strips"));
        let strips = strips(self.args, place);
        let done = AtomicUsize::new(0);
        let all: Vec<&ClipMeta> = clips.iter().collect();
        let made = || self.pool.install(|| strips.make(&all, &done));
        let made = progress::watch(all.len(), self.quiet, &done, made)?;
        let data = made.iter().map(|strip| match (strip, folder) {
            (Err(cause), _) => Ok(Err(cause.clone())),
            (Ok(strip), Some(_)) => Ok(Ok(strips.beside(strip, "strips/"))),
            (Ok(strip), None) => strips.inside(strip).map(Ok),
        });
        let data = data.collect::<Result<Vec<_>, FileError>>()?;
        let html = page(&MapPage {
            title: self.drawing.title,
            caption: self.drawing.caption,
            ids: rows.ids(),
            clips,
            points: self.drawing.points,
            colouring,
            strips: &data,
            beside: folder.is_some(),
            nearby: &near,
        });
        let html = html.map_err(Fatal::input)?;
        super::write(file, html.as_bytes(), self.quiet)?;
        Ok(missing(clips, &made, self.quiet))
    }
}

/// Draws the points, with pictures of some of the clips; also returns the filmstrips that these were taken from.
fn pictured(
    args: &PlotArgs,
    drawing: &MapDrawing<'_>,
    shown: &Shown,
    pool: &ThreadPool,
    quiet: bool,
) -> Result<(Scene, Vec<Strip>), Fatal> {
    let pictured = drawing.pictured();
    let strips = strips(args, weights::lift_home().join("strips"));
    let clips: Vec<&ClipMeta> = pictured.iter().map(|row| &shown.clips[*row]).collect();
    let done = AtomicUsize::new(0);
    let made = progress::watch(clips.len(), quiet, &done, || pool.install(|| strips.make(&clips, &done)))?;
    let mut pictures = Vec::new();
    for (row, strip) in pictured.iter().zip(&made) {
        if let Ok(strip) = strip {
            pictures.push((*row, Arc::new(strips.middle(strip)?)));
        }
    }
    Ok((drawing.draw(&pictures), made))
}

fn strips(args: &PlotArgs, folder: PathBuf) -> Strips {
    Strips { folder, videos: args.map.videos.clone(), max_pixels: args.limits.max_pixels }
}

/// Tells which videos could not be read.
fn missing(clips: &[ClipMeta], made: &[Strip], quiet: bool) -> Exit {
    if clips.iter().all(|clip| clip.path == Path::new("")) {
        if !quiet {
            report::note("the collection does not say where its videos are, so no pictures are shown");
        }
        return Exit::Success;
    }
    let failed: Vec<&String> = made.iter().filter_map(|strip| strip.as_ref().err()).collect();
    let Some(first) = failed.first() else { return Exit::Success };
    report::error(&format!(
        "{} of {} videos cannot be shown, the first because of this: {first}; --videos DIR names the folder of videos that were moved",
        failed.len(),
        made.len()
    ));
    Exit::SomeFailed
}

/// How many clips are shown.
fn counted(shown: usize, all: usize) -> String {
    if shown == all { report::count(all, "clip") } else { format!("a sample of {shown} of {all} clips") }
}

/// The error of a search, with the collection in front.
fn wrong(collection: &Path, error: SearchError) -> Fatal {
    match error {
        SearchError::File(error) => error.into(),
        error => Fatal::input(anyhow!("{}: {error}", display_path(collection))),
    }
}
