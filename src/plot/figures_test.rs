//! Draws every figure of many kinds of clips and checks that it stays inside its sheet. With `LIFT_PLOT_OUT=DIR` the figures
//! are written there, to be looked at.

use super::raster::rasterise;
use super::samples::{made_up, sample, still};
use super::scene::{Area, Scene, Shape};
use super::text::Anchor;
use super::*;

const BOTH: [Half; 2] = [Half::Features, Half::Reconstruction];

fn check(name: &str, scene: &Scene) {
    let mut texts: Vec<(&str, Area)> = Vec::new();
    for shape in &scene.shapes {
        if let Shape::Text { text, at, anchor, font } = shape {
            let width = text::width(text, *font);
            let left = match anchor {
                Anchor::Start => at[0],
                Anchor::Middle => at[0] - width / 2.0,
                Anchor::End => at[0] - width,
            };
            assert!(left >= 0.0 && left + width <= scene.width, "{name}: {text} leaves the sheet sideways");
            assert!(at[1] >= font.size && at[1] <= scene.height, "{name}: {text} leaves the sheet");
            let place = Area::new(left, at[1] - 0.75 * font.size, width, 0.95 * font.size);
            for (other, taken) in &texts {
                assert!(!place.overlaps(taken), "{name}: {text} lies over {other}");
            }
            texts.push((text, place));
        }
        if let Shape::Disc { centre, .. } = shape {
            assert!(centre[0] > 0.0 && centre[0] < scene.width, "{name}: a point leaves the sheet");
            assert!(centre[1] > 0.0 && centre[1] < scene.height, "{name}: a point leaves the sheet");
        }
    }
    let document = svg::svg(scene).unwrap();
    assert!(document.ends_with("</svg>\n"));
    for value in document.split('"').filter(|value| !value.starts_with("data:")) {
        assert!(!value.contains("NaN") && !value.contains("inf,"), "{name}: {value}");
    }
    let image = rasterise(scene, 0.4);
    assert!(image.pixels().any(|pixel| pixel.0 != [255; 3]), "{name} is blank");
    if let Some(folder) = std::env::var_os("LIFT_PLOT_OUT").map(std::path::PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        rasterise(scene, 1.5).save(folder.join(format!("{name}.png"))).unwrap();
        std::fs::write(folder.join(format!("{name}.svg")), document).unwrap();
    }
}

fn named(clips: &[ClipPaths]) -> Vec<compare::Compared<'_>> {
    clips.iter().map(|clip| compare::Compared { name: &clip.title, clip }).collect()
}

fn all_figures(name: &str, clip: &ClipPaths) {
    clip.check().unwrap();
    for method in [Method::Tsne, Method::Pca] {
        let projection =
            project(std::slice::from_ref(clip), ProjectionSettings { method, ..Default::default() }).unwrap();
        let label = format!("{name}-{method:?}").to_lowercase();
        check(&format!("{label}-trajectory"), &trajectory::trajectory(clip, &clip.title, &projection, &BOTH));
        if method == Method::Pca {
            let one = trajectory::trajectory(clip, &clip.title, &projection, &BOTH[1..]);
            check(&format!("{label}-lift"), &one);
        }
    }
    let mirror = clip.mirrored(clip.reconstructed.reversed());
    let clips = [clip.clone(), mirror];
    let projection =
        project(&clips, ProjectionSettings { method: Method::Pca, ..Default::default() }).unwrap();
    check(&format!("{name}-compare"), &compare::compare(&named(&clips), &clip.title, &projection, &BOTH));
    check(&format!("{name}-line"), &line::line(clip, &clip.title, &measures::measure(clip)));
    check(&format!("{name}-similarity"), &similarity::similarity(clip, &clip.title, &BOTH));
}

/// The animation and the page, only with `LIFT_PLOT_OUT`: their own tests check small ones.
fn moving_figures(name: &str, clip: &ClipPaths) {
    let Some(folder) = std::env::var_os("LIFT_PLOT_OUT").map(std::path::PathBuf::from) else { return };
    let mirror = clip.mirrored(clip.reconstructed.reversed());
    let clips = [clip.clone(), mirror];
    let projections = [Method::Tsne, Method::Pca]
        .map(|method| project(&clips, ProjectionSettings { method, ..Default::default() }).unwrap());
    let shown =
        [page::PageClip { clip: &clips[0], mirror: false }, page::PageClip { clip: &clips[1], mirror: true }];
    let html = page::page(&shown, &clip.title, &projections, &BOTH).unwrap();
    std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
    let animation = animation::Animation::new(clip, &clip.title, &projections[1], &BOTH, 1.0);
    std::fs::write(folder.join(format!("{name}.mp4")), mp4::mp4(&animation).unwrap()).unwrap();
    let animation = animation::Animation::new(clip, &clip.title, &projections[1], &BOTH, 0.8);
    std::fs::write(folder.join(format!("{name}.gif")), gif::gif(&animation).unwrap()).unwrap();
}

#[test]
fn the_sample_clips() {
    let down = sample("76198", "moving something down");
    let fold = sample("folding_paper", "folding paper");
    if let (Some(down), Some(fold)) = (down, fold) {
        all_figures("down", &down);
        moving_figures("down", &down);
        all_figures("fold", &fold);
        let clips = [down, fold];
        let projection = project(&clips, ProjectionSettings::default()).unwrap();
        check("two-compare", &compare::compare(&named(&clips), "Two actions", &projection, &BOTH));
    }
}

#[test]
fn few_frames_many_frames_stills_and_portraits() {
    all_figures("two", &made_up("Two frames", 2, (160, 90)));
    all_figures("many", &made_up("Sixty-four frames", 64, (160, 90)));
    all_figures("still", &still());
    // All frames are the same, but the reconstruction moves: other weights can make that of a still.
    let mut half_still = made_up("Half a still", 16, (120, 90));
    half_still.features = still().features;
    all_figures("half-still", &half_still);
    all_figures("very-many", &made_up("All a clip can have", 256, (160, 90)));
    all_figures("portrait", &made_up("Upright", 16, (90, 160)));
    moving_figures("portrait", &made_up("Upright", 16, (90, 160)));
    moving_figures("many", &made_up("Sixty-four frames", 64, (160, 90)));
    moving_figures("two", &made_up("Two frames", 2, (160, 90)));
    all_figures("wide", &made_up("Very wide", 16, (400, 40)));
}

#[test]
fn titles_of_any_kind() {
    let long = "Открывание очень тяжёлой двери, à la manière de l'école, 折り紙 🎬 ".repeat(6);
    moving_figures("title", &made_up(&long, 16, (160, 120)));
    all_figures("title", &made_up(&long, 16, (160, 120)));
    all_figures("untitled", &made_up("", 16, (160, 120)));
    all_figures("hostile", &made_up("</svg><script>alert(1)</script>\u{0}\n\u{202e}", 16, (160, 120)));
}

#[test]
fn without_pictures() {
    let mut clip = made_up("From a file", 16, (4, 4));
    clip.frames.clear();
    all_figures("bare", &clip);
    moving_figures("bare", &clip);
}

#[test]
fn as_many_clips_as_there_are_colours() {
    let clips: Vec<ClipPaths> = (0..palette::MOST_CLIPS)
        .map(|number| {
            let mut clip = made_up(&format!("Clip {number} with quite a long title"), 8 + number, (160, 90));
            if number % 2 == 1 {
                clip.features = clip.features.reversed();
            }
            clip
        })
        .collect();
    let projection =
        project(&clips, ProjectionSettings { method: Method::Pca, ..Default::default() }).unwrap();
    check("seven-compare", &compare::compare(&named(&clips), "Seven clips", &projection, &BOTH));
}
