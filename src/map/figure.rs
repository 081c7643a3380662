//! The map as a still picture: points whose colour and shape say their label, pictures where they do not overlap, a legend.

use std::sync::Arc;

use image::RgbImage;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::colouring::{Colouring, MOST_LOOKS, PLAIN, look};
use crate::plot::palette::{INK, WHITE, mix};
use crate::plot::plane::Plane;
use crate::plot::scene::{Area, Scene};
use crate::plot::sheet::{BODY, Entry, INNER, MARGIN, Marker, header, legend};
use crate::plot::text;

/// Height of the panel with the points, in CSS pixels.
const HEIGHT: f64 = 640.0;
/// The room that a picture takes.
const PICTURE: (f64, f64) = (60.0, 45.0);
/// Space between pictures.
const GAP: f64 = 5.0;
/// The most pictures, and the most of them for each point: the others must stay visible.
const MOST_PICTURES: usize = 40;
const POINTS_PER_PICTURE: usize = 3;
/// Points without a rim and without order below this number.
const CROWDED: usize = 5000;
/// The widest label of the legend.
const WIDEST_LABEL: f64 = 240.0;

/// A map to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct MapDrawing<'a> {
    /// Its title.
    pub title: &'a str,
    /// What it shows, in one line.
    pub caption: &'a str,
    /// The clips, `(N, 2)`.
    pub points: &'a [[f64; 2]],
    /// Their labels.
    pub colouring: &'a Colouring,
    /// Seed of the order in which points are drawn and pictures are chosen.
    pub seed: u64,
}

impl MapDrawing<'_> {
    fn area(&self) -> Area {
        Area::new(MARGIN, header(self.title, self.caption).1, INNER, HEIGHT)
    }

    fn plane(&self) -> Plane {
        Plane::fit(self.area(), self.points, 30.0)
    }

    /// A seeded order of the points, so that no label covers the others.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.points.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        order
    }

    /// The clips that are shown by a picture of their own: in the seeded order, those whose pictures overlap no other.
    pub fn pictured(&self) -> Vec<usize> {
        let (plane, area) = (self.plane(), self.area());
        let most = MOST_PICTURES.min(self.points.len().div_ceil(POINTS_PER_PICTURE));
        let places: Vec<[f64; 2]> = self.points.iter().map(|point| plane.at(*point)).collect();
        // A picture hides few other points.
        let hidden = (self.points.len() / 30).max(2);
        let hides_few = |room: &Area| places.iter().filter(|place| room.has(**place)).count() <= hidden + 1;
        let mut taken: Vec<(usize, Area)> = Vec::new();
        for row in self.order() {
            if taken.len() == most {
                break;
            }
            let room = room(places[row]);
            let free = !taken.iter().any(|(_, other)| other.grown(GAP).overlaps(&room));
            if area.holds(&room) && free && hides_few(&room) {
                taken.push((row, room));
            }
        }
        taken.into_iter().map(|(row, _)| row).collect()
    }

    /// The picture of the map; `pictures` are those of some of the clips.
    pub fn draw(&self, pictures: &[(usize, Arc<RgbImage>)]) -> Scene {
        let (mut scene, _) = header(self.title, self.caption);
        let plane = self.plane();
        plane.draw(&mut scene);
        let count = self.points.len();
        let radius = match count {
            0..=300 => 5.0,
            301..=2000 => 3.5,
            2001..=CROWDED => 2.6,
            _ => 1.6,
        };
        for row in self.order() {
            let (fill, marker) = look(self.colouring.of[row]);
            let rim = if count > CROWDED { fill } else { mix(fill, [0; 3], 0.45) };
            marker.draw(&mut scene, plane.at(self.points[row]), radius, fill, rim);
        }
        for (row, picture) in pictures {
            let (colour, marker) = look(self.colouring.of[*row]);
            let aspect = f64::from(picture.width().max(1)) / f64::from(picture.height().max(1));
            let area = room(plane.at(self.points[*row])).fitted(aspect);
            scene.block(area.grown(3.0), WHITE);
            scene.block(area.grown(2.0), colour);
            scene.picture(picture, area);
            marker.draw(&mut scene, [area.x, area.bottom()], 5.0, colour, INK);
        }
        let bottom = legend(&mut scene, &self.entries(), plane.area.bottom() + 6.0);
        scene.cut(bottom + MARGIN / 2.0);
        scene
    }

    /// The legend: every label that has a look of its own, then those that have not.
    fn entries(&self) -> Vec<Entry> {
        let counts = self.colouring.counts();
        let entry = |label: String, fill, marker| Entry {
            fills: vec![fill],
            rim: mix(fill, [0; 3], 0.45),
            marker,
            label: text::shorten(&text::clean(&label), BODY, WIDEST_LABEL),
        };
        let named = self.colouring.names.iter().zip(&counts).zip(0u32..).take(MOST_LOOKS);
        let mut entries: Vec<Entry> = named
            .map(|((name, count), label)| {
                let (fill, marker) = look(Some(label));
                entry(format!("{name} ({count})"), fill, marker)
            })
            .collect();
        let others = counts.len().saturating_sub(MOST_LOOKS);
        if others > 0 {
            let clips: usize = counts[MOST_LOOKS..].iter().sum();
            entries.push(entry(format!("{others} other labels ({clips})"), PLAIN, Marker::Disc));
        }
        let without = self.colouring.without();
        if without > 0 {
            entries.push(entry(format!("no label ({without})"), PLAIN, Marker::Disc));
        }
        entries
    }
}

/// The room of a picture at a point of the sheet.
fn room([x, y]: [f64; 2]) -> Area {
    let (w, h) = PICTURE;
    Area::new(x - w / 2.0, y - h / 2.0, w, h)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Shape;
    use crate::plot::svg;

    fn points(count: usize) -> Vec<[f64; 2]> {
        (0..count).map(|i| [(i as f64 * 0.37).sin() * 40.0, (i as f64 * 0.61).cos() * 25.0]).collect()
    }

    #[test]
    fn pictures_do_not_overlap_and_stay_in_the_panel() {
        let points = points(400);
        let colouring = Colouring::of_groups(&vec![0; 400]);
        let map = MapDrawing { title: "t", caption: "c", points: &points, colouring: &colouring, seed: 3 };
        let chosen = map.pictured();
        assert!(chosen.len() >= 10, "{chosen:?}");
        let picture = Arc::new(RgbImage::new(80, 60));
        let pictures: Vec<_> = chosen.iter().map(|row| (*row, picture.clone())).collect();
        let scene = map.draw(&pictures);
        let areas: Vec<Area> = scene
            .shapes
            .iter()
            .filter_map(|shape| if let Shape::Picture { area, .. } = shape { Some(*area) } else { None })
            .collect();
        assert_eq!(areas.len(), chosen.len());
        for (at, area) in areas.iter().enumerate() {
            assert!(map.area().holds(area));
            assert!(areas[at + 1..].iter().all(|other| !other.overlaps(area)));
        }
        assert_eq!(chosen, map.pictured());
    }

    #[test]
    fn hostile_labels_are_text_and_many_labels_have_one_entry() {
        let points = points(40);
        let hostile = "</text><script>alert(1)</script>\u{202e}\"'&";
        let mut names: Vec<String> = (0..39).map(|label| format!("label {label}")).collect();
        names.insert(0, hostile.to_owned());
        let of = (0..40).map(|label| if label == 39 { None } else { Some(label) }).collect();
        let colouring = Colouring { title: hostile.to_owned(), names, of };
        let map =
            MapDrawing { title: hostile, caption: hostile, points: &points, colouring: &colouring, seed: 0 };
        let text = svg::svg(&map.draw(&[])).unwrap();
        assert!(!text.contains("<script") && !text.contains('\u{202e}'));
        assert!(text.contains("12 other labels (11)") && text.contains("no label (1)"), "{text}");
    }

    #[test]
    fn one_clip_and_none_are_drawn() {
        for count in [0, 1] {
            let points = points(count);
            let colouring = Colouring::of_groups(&vec![0; count]);
            let map = MapDrawing { title: "t", caption: "", points: &points, colouring: &colouring, seed: 0 };
            assert!(svg::svg(&map.draw(&[])).is_ok());
            assert!(map.pictured().len() <= count);
        }
    }
}
