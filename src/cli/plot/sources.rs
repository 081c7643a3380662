//! Where the clips of a figure come from: videos through the pipeline, or files of features.

use std::sync::Arc;

use anyhow::anyhow;

use super::PlotArgs;
use super::plan::PlotPlan;
use crate::cli::report;
use crate::embed::{Engine, clip, reconstruct};
use crate::exit::{Exit, Fatal};
use crate::files::display_path;
use crate::inputs::{self, Input};
use crate::plot::palette::MOST_CLIPS;
use crate::plot::{ClipPaths, DrawnClip, Features, read_clips};
use crate::rows::{Part, is_features};

/// All clips in the order of the inputs, and whether one is missing because it failed.
pub(super) fn gather(plan: &PlotPlan, args: &PlotArgs, quiet: bool) -> Result<(Vec<DrawnClip>, bool), Fatal> {
    // The models are loaded when the first video needs them: features need none.
    let mut engine: Option<Arc<Engine>> = None;
    let mut load = || -> Result<Arc<Engine>, Fatal> {
        if let Some(engine) = &engine {
            return Ok(Arc::clone(engine));
        }
        let choice = args.models.choice(&args.compute.settle(quiet)?, quiet);
        Ok(engine.insert(Arc::new(Engine::load(&choice, &plan.settings.parts)?)).clone())
    };
    inputs::check_present(&plan.inputs)?;
    let (mut clips, mut failed) = (Vec::new(), false);
    for argument in &plan.inputs {
        if is_features(argument) {
            if plan.with_reverse {
                return Err(Fatal::usage(anyhow!(
                    "{}: a file of features holds no reconstruction of the mirrored clip; give the video for --with-reverse",
                    display_path(argument)
                )));
            }
            for paths in read_clips(argument, &plan.ids, MOST_CLIPS)? {
                paths.check().map_err(Fatal::input)?;
                clips.push(DrawnClip { paths, mirror: false });
            }
            continue;
        }
        // A range that is wrong fails the video that it does not fit, not the run.
        let no_range = inputs::Range::default();
        let found =
            inputs::gather(std::slice::from_ref(argument), &[], &mut std::io::stdin(), no_range, &[])?;
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
            if clips.iter().any(|clip: &DrawnClip| clip.paths.title == input.id) {
                input.id = display_path(&input.path).to_string();
            }
            input.start = input.start.or(plan.range.start);
            input.end = input.end.or(plan.range.end);
            match clip_and_mirror(&load()?, &input, plan) {
                Ok(both) => clips.extend(both),
                Err(error) => {
                    report::failed_file(&input.path, &error);
                    failed = true;
                }
            }
        }
    }
    match clips.len() {
        0 => Err(Fatal {
            exit: Exit::SomeFailed,
            error: Some(anyhow!("nothing was drawn: no clip could be read")),
        }),
        count if count > MOST_CLIPS => Err(Fatal::usage(anyhow!(
            "{count} clips are too many for one figure; {MOST_CLIPS} can be told apart (a mirror counts as one)"
        ))),
        _ => Ok((clips, failed)),
    }
}

/// The clip of a video, and its mirror where the plan has mirrors; or why there is none.
fn clip_and_mirror(engine: &Arc<Engine>, input: &Input, plan: &PlotPlan) -> Result<Vec<DrawnClip>, String> {
    let clip = clip(engine, input, &plan.settings).map_err(|failure| failure.error)?;
    let features =
        |values: Vec<f32>| Features::new(engine.encoder().width(), values).map_err(|e| e.to_string());
    let paths = ClipPaths {
        title: input.id.clone(),
        reconstructed: features(clip.part(Part::Reconstructed).to_vec())?,
        features: features(clip.features)?,
        frames: clip.pictures,
    };
    paths.check().map_err(|e| e.to_string())?;
    let mut clips = Vec::new();
    if plan.mirrors {
        let reversed = reconstruct(engine, paths.features.reversed().values()).map_err(|e| e.to_string())?;
        clips.push(DrawnClip { paths: paths.mirrored(features(reversed)?), mirror: true });
    }
    clips.insert(0, DrawnClip { paths, mirror: false });
    Ok(clips)
}
