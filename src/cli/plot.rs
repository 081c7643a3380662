//! `lift plot`: the paths of videos through feature space, and collections, as pictures.

mod flags;
mod map;
mod plan;
mod sources;

use std::io::Write;

use anyhow::Context;
use serde::Serialize;

use self::flags::FigureChoice;
pub(super) use self::flags::PlotArgs;
use self::plan::PlotPlan;
use super::signals::Signals;
use super::{Verbosity, report};
use crate::exit::{Exit, Fatal};
use crate::files::{self, AtomicFile, FileError, display_path};
use crate::plot::measures::{Measures, measure};
use crate::plot::{Drawing, DrawnClip, draw};
use crate::threads;

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    mirror: bool,
    #[serde(flatten)]
    measures: &'a Measures,
}

/// Reads or embeds the clips, prints the measures and draws the figure.
pub(super) fn run(args: PlotArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let quiet = verbosity.quiet;
    Signals::end_at_once()?;
    if let Some(FigureChoice::Map) = args.figure {
        return map::run(&args, quiet);
    }
    let mut plan = PlotPlan::new(&args)?;
    let (clips, failed) = sources::gather(&plan, &args, quiet)?;
    print_measures(&plan, &clips)?;
    if let Some((format, file)) = plan.output.take() {
        let drawing = Drawing { clips: &clips, look: &plan.look };
        let pool =
            threads::pool(plan.settings.threads).context("no threads to draw with").map_err(Fatal::input)?;
        let drawn = pool.install(|| draw(&drawing, plan.figure, format));
        let bytes = drawn.map_err(|e| if e.is_usage() { Fatal::usage(e) } else { Fatal::input(e) })?;
        write(file, &bytes, quiet)?;
    }
    Ok(if failed { Exit::SomeFailed } else { Exit::Success })
}

/// Prints the measures of all clips as JSON, or the text that belongs to the figure.
fn print_measures(plan: &PlotPlan, clips: &[DrawnClip]) -> Result<(), Fatal> {
    let mut text = String::new();
    for DrawnClip { paths, mirror } in clips {
        if plan.json {
            let line = Line { mirror: *mirror, measures: &measure(paths) };
            text.push_str(&serde_json::to_string(&line).map_err(Fatal::input)?);
            text.push('\n');
        } else if let Some(about) = plan.figure.and_then(|figure| figure.text) {
            text.push_str(&about(paths));
        }
    }
    match files::print(text.as_bytes()) {
        // The figure is still to be drawn.
        Err(FileError::Closed) => Ok(()),
        printed => Ok(printed?),
    }
}

/// Writes the file and gives it its name.
fn write(mut file: AtomicFile, bytes: &[u8], quiet: bool) -> Result<(), Fatal> {
    let target = file.target().to_path_buf();
    file.write_all(bytes).map_err(|error| Fatal {
        exit: Exit::Write,
        error: Some(anyhow::anyhow!("{}: it could not be written: {error}", display_path(&target))),
    })?;
    file.commit()?;
    if !quiet {
        report::say(&format!("drawn into {}", display_path(&target)));
    }
    Ok(())
}
