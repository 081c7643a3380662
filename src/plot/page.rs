//! The clips as one web page that links frames and paths. The file holds everything and fetches nothing.
//!
//! The templates and scripts are in `assets/page`; the data is inlined as JSON. Titles may be any text: they are escaped in
//! the markup and in the JSON (every `<`), and the script shows them through `textContent` alone. The page's content security
//! policy forbids it the network.

use super::encode::{data_address, escape, json_for_script};
use super::measures::measure;
use super::palette::{Half, Rgb, clip_colour_at, hex};
use super::sheet::time;
use super::{ClipPaths, Projection, Quality, text};
use serde::Serialize;
use std::collections::HashMap;

const BODY: &str = include_str!("../../assets/page/paths.html");
const SCRIPT: &str = include_str!("../../assets/page/paths.js");
/// What all pages have in common: the head, the data and the scripts around a body, the style, and the script for filmstrips.
const FRAME: &str = include_str!("../../assets/page/frame.html");
const STYLE: &str = include_str!("../../assets/page/style.css");
const COMMON: &str = include_str!("../../assets/page/page.js");
/// The longest side of a frame in the page, in pixels.
const PICTURE_SIDE: u32 = 480;

/// Why the page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A frame could not be encoded.
    #[error("a frame could not be encoded as JPEG: {0}")]
    Picture(#[from] image::ImageError),
    /// The data could not be written as JSON.
    #[error("the page's data could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A clip of the page.
#[derive(Debug, Clone, Copy)]
pub struct PageClip<'a> {
    /// Its paths.
    pub clip: &'a ClipPaths,
    /// Whether it is another clip mirrored in time: such a clip is switched off at first, and drawn hollow.
    pub mirror: bool,
}

#[derive(Serialize)]
struct Data {
    shown: Shown,
    pictures: Vec<String>,
    clips: Vec<ClipData>,
    projections: Vec<ProjectionData>,
}

#[derive(Serialize)]
struct ClipData {
    title: String,
    mirror: bool,
    frames: usize,
    /// Indices into the page's pictures, one per frame; a mirrored clip has the same pictures.
    pictures: Vec<usize>,
    colours: Halves<String>,
    distance: Vec<f64>,
    curvature: Means,
}

/// Which paths are switched on at first.
#[derive(Serialize)]
struct Shown {
    features: bool,
    reconstructed: bool,
}

#[derive(Serialize)]
struct Halves<T> {
    features: Vec<T>,
    reconstructed: Vec<T>,
}

#[derive(Serialize)]
struct Means {
    pixels: Option<f64>,
    features: Option<f64>,
    reconstruction: Option<f64>,
}

#[derive(Serialize)]
struct ProjectionData {
    method: &'static str,
    caption: String,
    clips: Vec<Halves<[f64; 2]>>,
}

/// The page of `clips`, in the given projections of all of them, the first shown first, with `halves` of the paths
/// switched on.
///
/// # Errors
/// See [`PageError`]; neither happens to clips that passed their check.
pub fn page(
    clips: &[PageClip<'_>],
    title: &str,
    projections: &[Projection],
    halves: &[Half],
) -> Result<String, PageError> {
    let mut pictures = Vec::new();
    let mut known: HashMap<(u32, u32, &[u8]), usize> = HashMap::new();
    let mut described = Vec::new();
    let lone = clips.iter().filter(|clip| !clip.mirror).count() == 1;
    for (number, PageClip { clip, mirror }) in clips.iter().enumerate() {
        let mut shown = Vec::new();
        for frame in &clip.frames {
            let key = (frame.width(), frame.height(), frame.as_raw().as_slice());
            let next = pictures.len();
            let index = *known.entry(key).or_insert(next);
            if index == next {
                pictures.push(data_address(frame, PICTURE_SIDE)?);
            }
            shown.push(index);
        }
        let measures = measure(clip);
        let colours = |half| {
            (0..clip.len()).map(|t| hex(colour(lone, *mirror, number, half, time(t, clip.len())))).collect()
        };
        described.push(ClipData {
            title: text::clean(&clip.title),
            mirror: *mirror,
            frames: clip.len(),
            pictures: shown,
            colours: Halves {
                features: colours(Half::Features),
                reconstructed: colours(Half::Reconstruction),
            },
            distance: measures.distance.iter().map(|value| rounded(*value)).collect(),
            curvature: Means {
                pixels: measures.curvature.pixels.and_then(|curve| curve.mean),
                features: measures.curvature.features.mean,
                reconstruction: measures.curvature.reconstruction.mean,
            },
        });
    }
    let mut described_projections: Vec<ProjectionData> = projections.iter().map(describe).collect();
    // For a clip that is too short or too still for t-SNE, both projections are the principal components.
    described_projections.dedup_by(|a, b| a.method == b.method);
    let projections = described_projections;
    let shown = Shown {
        features: halves.contains(&Half::Features),
        reconstructed: halves.contains(&Half::Reconstruction),
    };
    let json = serde_json::to_string(&Data { shown, pictures, clips: described, projections })?;
    let title = text::clean(title);
    Ok(framed(Framed {
        command: "lift plot",
        title: &title,
        body: BODY,
        json: &json,
        script: SCRIPT,
        pictures: Pictures::Inside,
    }))
}

/// The colour of a point. One clip has the authors' colours and its mirror two others; several clips have one colour each.
fn colour(lone: bool, mirror: bool, number: usize, half: Half, time: f64) -> Rgb {
    match (lone, mirror, half) {
        (true, false, half) => half.colour(time),
        (true, true, Half::Features) => clip_colour_at(4, time),
        (true, true, Half::Reconstruction) => clip_colour_at(2, time),
        _ => clip_colour_at(number, time),
    }
}

fn describe(projection: &Projection) -> ProjectionData {
    let path = |points: &[[f64; 2]]| points.iter().map(|point| point.map(rounded)).collect();
    ProjectionData {
        method: match projection.quality {
            Quality::Divergence { .. } => "tsne",
            Quality::Explained(_) | Quality::Still => "pca",
        },
        caption: projection.caption(),
        clips: projection
            .clips
            .iter()
            .map(|paths| Halves {
                features: path(&paths.features),
                reconstructed: path(&paths.reconstructed),
            })
            .collect(),
    }
}

/// Rounds to six significant digits, more than a screen can show.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let unit = 10f64.powf(5.0 - value.abs().log10().floor());
    (value * unit).round() / unit
}

/// What makes a page its own.
pub(crate) struct Framed<'a> {
    /// The command that makes it.
    pub(crate) command: &'a str,
    /// Plain text.
    pub(crate) title: &'a str,
    /// A template in which the title is filled in.
    pub(crate) body: &'a str,
    /// The data of the script.
    pub(crate) json: &'a str,
    /// What it adds to the common script.
    pub(crate) script: &'a str,
    /// Where its pictures are.
    pub(crate) pictures: Pictures,
}

/// Where the pictures of a page are, which its content security policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pictures {
    /// In the page.
    Inside,
    /// In files beside it.
    Beside,
}

/// The page with everything in it.
pub(crate) fn framed(page: Framed<'_>) -> String {
    let Framed { command, title, body, json, script, pictures } = page;
    let title = escape(title);
    fill(
        FRAME,
        &[
            ("generator", command),
            ("title", &title),
            // A page on a disk has no origin that 'self' could name.
            ("images", if pictures == Pictures::Beside { " 'self' file:" } else { "" }),
            ("style", STYLE),
            ("body", &fill(body, &[("title", &title)])),
            ("data", &json_for_script(json)),
            ("script", &format!("{COMMON}{script}")),
        ],
    )
}

/// A template with every `{{name}}` replaced; placeholders inside a value are not replaced.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    page + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::samples::made_up;
    use crate::plot::{Method, ProjectionSettings, project};

    const BOTH: [Half; 2] = [Half::Features, Half::Reconstruction];

    fn both(clips: &[ClipPaths]) -> Vec<Projection> {
        [Method::Pca, Method::Tsne]
            .map(|method| project(clips, ProjectionSettings { method, ..Default::default() }).unwrap())
            .into()
    }

    fn data(page: &str) -> serde_json::Value {
        let json = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_hostile_title_stays_text_everywhere() {
        let hostile = "</script><script>alert(1)</script>{{data}}<img src=x onerror=alert(2)>\"'&";
        let clip = made_up(hostile, 4, (16, 12));
        let shown = [PageClip { clip: &clip, mirror: false }];
        let page = page(&shown, hostile, &both(std::slice::from_ref(&clip)), &BOTH).unwrap();
        assert_eq!(page.matches("<script").count(), 2);
        assert!(!page.contains("<img src=x") && !page.contains("alert(1)</script>"));
        assert_eq!(data(&page)["clips"][0]["title"], hostile);
    }

    #[test]
    fn nothing_is_fetched() {
        let clip = made_up("t", 4, (16, 12));
        let shown = [PageClip { clip: &clip, mirror: false }];
        let page = page(&shown, "t", &both(std::slice::from_ref(&clip)), &BOTH).unwrap();
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("//cdn"));
        assert!(page.contains("default-src 'none'"));
        assert!(!page.contains("{{"), "a placeholder was left");
    }

    #[test]
    fn a_mirror_shares_the_pictures() {
        let clip = made_up("t", 4, (16, 12));
        let mirror = clip.mirrored(clip.reconstructed.clone());
        let clips = [clip, mirror];
        let shown = [PageClip { clip: &clips[0], mirror: false }, PageClip { clip: &clips[1], mirror: true }];
        let data = data(&page(&shown, "t", &both(&clips), &BOTH).unwrap());
        assert_eq!(data["pictures"].as_array().unwrap().len(), 4);
        assert_eq!(data["clips"][1]["pictures"], serde_json::json!([3, 2, 1, 0]));
        assert_eq!(data["projections"][0]["method"], "pca");
        assert_eq!(data["projections"][1]["clips"][1]["features"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn the_paths_asked_for_are_switched_on() {
        let clip = made_up("t", 4, (16, 12));
        let shown = [PageClip { clip: &clip, mirror: false }];
        let page = page(&shown, "t", &both(std::slice::from_ref(&clip)), &[Half::Reconstruction]).unwrap();
        assert_eq!(data(&page)["shown"], serde_json::json!({"features": false, "reconstructed": true}));
    }

    #[test]
    fn six_digits_are_kept() {
        assert_eq!(
            [rounded(0.0), rounded(123.456789), rounded(-0.000123456789)],
            [0.0, 123.457, -0.000123457]
        );
    }
}
