//! The map as a page: one file that holds everything, or a file beside a folder of filmstrips. It fetches nothing from anywhere.
//!
//! The data is columns of all clips, because a page may show 50,000.

use serde::Serialize;

use super::colouring::{Colouring, PLAIN, look};
use super::nearby::{NEAREST, Nearby, NearbyKind};
use super::strips::FRAMES;
use crate::plot::page::{Framed, PageError, Pictures, framed};
use crate::plot::palette::hex;
use crate::plot::sheet::Marker;
use crate::plot::strip::StripData;
use crate::rows::ClipMeta;
use crate::search::time;

const BODY: &str = include_str!("../../assets/page/map.html");
const SCRIPT: &str =
    concat!(include_str!("../../assets/page/marks.js"), include_str!("../../assets/page/map.js"));

/// The longer side of the map, in the units of the page's whole numbers.
const EXTENT: f64 = 65_535.0;

/// A map as a page.
#[derive(Debug, Clone, Copy)]
pub struct MapPage<'a> {
    /// Its title.
    pub title: &'a str,
    /// What it shows, in one line.
    pub caption: &'a str,
    /// The ids of the clips.
    pub ids: &'a [String],
    /// What is said of them.
    pub clips: &'a [ClipMeta],
    /// Where they lie.
    pub points: &'a [[f64; 2]],
    /// Their labels.
    pub colouring: &'a Colouring,
    /// Their filmstrips, or why there are none.
    pub strips: &'a [Result<StripData, String>],
    /// Whether the filmstrips are files beside the page.
    pub beside: bool,
    /// Their neighbours.
    pub nearby: &'a [Nearby],
}

#[derive(Serialize)]
struct Data<'a> {
    caption: &'a str,
    ids: &'a [String],
    /// Empty if no clip has a path.
    paths: Vec<String>,
    /// The ranges for people, and as numbers; empty if no clip has a range.
    times: Vec<String>,
    starts: Vec<Option<f64>>,
    ends: Vec<Option<f64>>,
    /// From 0 to `width` and `height`, y up.
    x: Vec<u32>,
    y: Vec<u32>,
    width: u32,
    height: u32,
    /// What labels are.
    labelled: &'a str,
    labels: Vec<LabelData<'a>>,
    /// An index into `labels`, or -1.
    label: Vec<i64>,
    unlabelled: usize,
    /// The colour of clips without a label.
    plain: String,
    strips: StripsData<'a>,
    /// Neighbours of each kind for each clip.
    nearest: usize,
    near: Vec<NearData>,
    /// Why there are no neighbours of some kind.
    without: Vec<&'static str>,
}

#[derive(Serialize)]
struct LabelData<'a> {
    name: &'a str,
    count: usize,
    colour: String,
    shape: &'static str,
}

#[derive(Serialize)]
struct StripsData<'a> {
    frames: usize,
    sources: Vec<Option<&'a str>>,
    widths: Vec<u32>,
    heights: Vec<u32>,
    /// Why a clip has no strip; all others have `otherwise`.
    missing: Vec<(usize, &'a str)>,
    otherwise: &'a str,
}

#[derive(Serialize)]
struct NearData {
    name: &'static str,
    title: &'static str,
    about: String,
    /// `nearest` rows of each clip, -1 where there are fewer.
    rows: Vec<i64>,
    /// Their cosines, in units of 1e-4.
    scores: Vec<i32>,
}

/// The page.
///
/// # Errors
/// If the data cannot be written as JSON, which does not happen.
pub fn page(map: &MapPage<'_>) -> Result<String, PageError> {
    let json = serde_json::to_string(&data(map))?;
    let title = crate::plot::text::clean(map.title);
    let pictures = if map.beside { Pictures::Beside } else { Pictures::Inside };
    let (command, body, script) = ("lift plot --figure map", BODY, SCRIPT);
    Ok(framed(Framed { command, title: &title, body, json: &json, script, pictures }))
}

fn data<'a>(map: &MapPage<'a>) -> Data<'a> {
    let ([x, y], [width, height]) = whole_numbers(map.points);
    let ranged = map.clips.iter().any(|clip| clip.start.is_some() || clip.end.is_some());
    let pathed = map.clips.iter().any(|clip| clip.path.as_os_str() != "");
    let of_ranged = |column: fn(&ClipMeta) -> Option<f64>| -> Vec<Option<f64>> {
        if ranged { map.clips.iter().map(column).collect() } else { vec![] }
    };
    let moves = map.nearby.iter().any(|nearby| nearby.kind == NearbyKind::Motion);
    let without =
        "There are no neighbours by motion: embed the collection with --parts concat,reversed to have them.";
    Data {
        caption: map.caption,
        ids: map.ids,
        paths: match pathed {
            true => map.clips.iter().map(|clip| clip.path.to_string_lossy().into_owned()).collect(),
            false => vec![],
        },
        times: match ranged {
            true => map.clips.iter().map(|clip| time(clip.start, clip.end)).collect(),
            false => vec![],
        },
        starts: of_ranged(|clip| clip.start),
        ends: of_ranged(|clip| clip.end),
        x,
        y,
        width,
        height,
        labelled: &map.colouring.title,
        labels: labels(map.colouring),
        label: map.colouring.of.iter().map(|label| label.map_or(-1, i64::from)).collect(),
        unlabelled: map.colouring.without(),
        plain: hex(PLAIN),
        strips: strips(map.strips),
        nearest: NEAREST,
        near: map.nearby.iter().map(near).collect(),
        without: if moves { vec![] } else { vec![without] },
    }
}

/// The points as whole numbers, column by column, and the extents of both.
fn whole_numbers(points: &[[f64; 2]]) -> ([Vec<u32>; 2], [u32; 2]) {
    let range = |axis: usize| {
        let wider = |(low, high): (f64, f64), point: &[f64; 2]| (low.min(point[axis]), high.max(point[axis]));
        points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), wider)
    };
    let ranges = [range(0), range(1)];
    let longest = ranges.iter().map(|(low, high)| high - low).fold(0.0, f64::max);
    let scale = if longest > 0.0 { EXTENT / longest } else { 0.0 };
    let number = |axis: usize, value: f64| ((value - ranges[axis].0) * scale).round() as u32;
    let column = |axis: usize| points.iter().map(|point| number(axis, point[axis])).collect();
    let extent = |axis: usize| if points.is_empty() { 0 } else { number(axis, ranges[axis].1) };
    ([column(0), column(1)], [extent(0), extent(1)])
}

fn labels(colouring: &Colouring) -> Vec<LabelData<'_>> {
    let counts = colouring.counts();
    let named = colouring.names.iter().zip(counts).zip(0u32..);
    named
        .map(|((name, count), label)| {
            let (colour, marker) = look(Some(label));
            LabelData { name, count, colour: hex(colour), shape: shape(marker) }
        })
        .collect()
}

/// The marker's name in the script.
fn shape(marker: Marker) -> &'static str {
    match marker {
        Marker::Disc => "disc",
        Marker::Square => "square",
        Marker::Diamond => "diamond",
        Marker::Triangle => "triangle",
    }
}

fn strips<'a>(strips: &'a [Result<StripData, String>]) -> StripsData<'a> {
    // Where no video is known, all clips have the same cause.
    let otherwise = strips.iter().find_map(|strip| strip.as_ref().err()).map_or("", String::as_str);
    let cause = |(row, strip): (usize, &'a Result<StripData, String>)| {
        Some((row, strip.as_ref().err()?.as_str())).filter(|(_, cause)| *cause != otherwise)
    };
    let number =
        |of: fn(&StripData) -> u32| strips.iter().map(|strip| strip.as_ref().map_or(0, of)).collect();
    StripsData {
        frames: FRAMES,
        sources: strips.iter().map(|strip| strip.as_ref().ok().map(|strip| strip.source.as_str())).collect(),
        widths: number(|strip| strip.width),
        heights: number(|strip| strip.height),
        missing: strips.iter().enumerate().filter_map(cause).collect(),
        otherwise,
    }
}

fn near(nearby: &Nearby) -> NearData {
    let (name, title, about) = match nearby.kind {
        NearbyKind::Look => ("look", "Look alike", format!("as lift search --by {} finds", nearby.by)),
        NearbyKind::Motion => ("motion", "Move alike", format!("as lift search --by {} finds", nearby.by)),
        NearbyKind::Opposite => {
            ("opposite", "Move the other way", format!("as lift search --by {} --opposite finds", nearby.by))
        }
    };
    let (mut rows, mut scores) = (Vec::new(), Vec::new());
    for found in &nearby.of {
        for at in 0..NEAREST {
            let hit = found.get(at);
            rows.push(hit.map_or(-1, |(row, _)| i64::from(*row)));
            scores.push(hit.map_or(0, |(_, score)| (score * 1e4).round() as i32));
        }
    }
    NearData { name, title, about, rows, scores }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(page: &str) -> serde_json::Value {
        let json = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn hostile_names_stay_text_and_nothing_is_fetched() {
        let hostile = "</script><script>alert(1)</script>{{data}}<img src=x onerror=alert(2)>\"'&\u{202e}";
        let ids = vec![hostile.to_owned(), "b".to_owned()];
        let clip = ClipMeta { path: hostile.into(), start: Some(0.5), end: Some(2.0), ..ClipMeta::default() };
        let colouring =
            Colouring { title: hostile.to_owned(), names: vec![hostile.to_owned()], of: vec![Some(0), None] };
        let strip = StripData { source: "strips/a.jpg".into(), frames: FRAMES, width: 4, height: 3 };
        let nearby = Nearby { kind: NearbyKind::Opposite, by: "odd", of: vec![vec![(1, 0.25)], vec![]] };
        let map = MapPage {
            title: hostile,
            caption: hostile,
            ids: &ids,
            clips: &[clip, ClipMeta::default()],
            points: &[[-1.0, 2.0], [3.0, 4.0]],
            colouring: &colouring,
            strips: &[Ok(strip), Err(hostile.to_owned())],
            beside: true,
            nearby: &[nearby],
        };
        let page = page(&map).unwrap();
        assert_eq!(page.matches("<script").count(), 2);
        assert!(!page.contains("<img src=x") && !page.contains("alert(1)</script>"));
        assert!(!page.contains("http:") && !page.contains("https:") && page.contains("default-src 'none'"));
        let data = json(&page);
        assert_eq!((&data["ids"][0], &data["labels"][0]["name"]), (&hostile.into(), &hostile.into()));
        assert_eq!(
            (&data["x"], &data["y"]),
            (&serde_json::json!([0, 65535]), &serde_json::json!([0, 32768]))
        );
        assert_eq!(data["times"][0], "0.5 to 2 s");
        assert_eq!(data["near"][0]["rows"].as_array().unwrap()[..2], [1, -1]);
        assert_eq!(data["near"][0]["scores"][0], 2500);
        assert_eq!(
            (&data["strips"]["sources"][0], &data["strips"]["otherwise"]),
            (&"strips/a.jpg".into(), &hostile.into())
        );
    }

    #[test]
    fn a_clip_alone_and_clips_in_one_place_have_points() {
        assert_eq!(whole_numbers(&[[3.0, -4.0]]), ([vec![0], vec![0]], [0, 0]));
        assert_eq!(whole_numbers(&[]), ([vec![], vec![]], [0, 0]));
    }
}
