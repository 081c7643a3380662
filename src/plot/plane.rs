//! A panel that shows a plane with equal scales on both axes: paths with arrows, and labels placed where they cover nothing.

use super::palette::{GRID, Half, RULE, Rgb, mix};
use super::scene::{Area, Scene};
use super::sheet::{Marker, time};

/// Maps the plane into an area of the sheet, y up, one scale for both axes.
#[derive(Debug, Clone, Copy)]
pub struct Plane {
    /// The panel.
    pub area: Area,
    /// CSS pixels per unit of the plane.
    pub scale: f64,
    /// Whether the points differ at all; if not, `scale` has no meaning.
    pub moves: bool,
    middle: [f64; 2],
}

impl Plane {
    /// Fits all `points` into `area` less `padding` on each side.
    pub fn fit<'a>(area: Area, points: impl IntoIterator<Item = &'a [f64; 2]>, padding: f64) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        if low[0] > high[0] {
            (low, high) = ([0.0; 2], [0.0; 2]);
        }
        let room = area.grown(-padding);
        let scale = (room.w / (high[0] - low[0])).min(room.h / (high[1] - low[1]));
        let moves = scale.is_finite() && scale > 0.0;
        let scale = if moves { scale } else { 1.0 };
        Self { area, scale, moves, middle: [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0] }
    }

    /// A point of the plane on the sheet.
    pub fn at(&self, point: [f64; 2]) -> [f64; 2] {
        let centre = self.area.centre();
        [
            centre[0] + (point[0] - self.middle[0]) * self.scale,
            centre[1] - (point[1] - self.middle[1]) * self.scale,
        ]
    }

    /// A whole path on the sheet.
    pub fn path(&self, points: &[[f64; 2]]) -> Vec<[f64; 2]> {
        points.iter().map(|point| self.at(*point)).collect()
    }

    /// Draws the panel's frame and a light square grid without numbers: in t-SNE's plane numbers mean nothing, and in PCA's
    /// only the proportions matter, which the grid shows.
    pub fn draw(&self, scene: &mut Scene) {
        let step = nice_step(64.0 / self.scale) * self.scale;
        let origin = self.at([0.0, 0.0]);
        for (axis, low, high) in [(0, self.area.x, self.area.right()), (1, self.area.y, self.area.bottom())] {
            let mut line = ((low - origin[axis]) / step).ceil() * step + origin[axis];
            while line < high {
                if axis == 0 {
                    scene.stroke(&[[line, self.area.y], [line, self.area.bottom()]], GRID, 1.0);
                } else {
                    scene.stroke(&[[self.area.x, line], [self.area.right(), line]], GRID, 1.0);
                }
                line += step;
            }
        }
        scene.outline(self.area, RULE, 1.0);
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `least`.
pub fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= least * 0.999)
        .unwrap_or(power)
}

/// How a path is drawn.
pub struct PathLook<'a> {
    /// Colour at a time in `0..=1`.
    pub colour: &'a dyn Fn(f64) -> Rgb,
    /// Rim of the markers at a time in `0..=1`.
    pub rim: &'a dyn Fn(f64) -> Rgb,
    /// Shape of the markers.
    pub marker: Marker,
    /// Size of the markers.
    pub radius: f64,
    /// Thickness of the line.
    pub width: f64,
}

/// From this number of frames on, markers cover each other so much that mostly their rims are seen.
const CROWDED: usize = 41;

/// The colour of a marker's rim at `time` on a path with the colours `colour`: dark for few markers, and only a little darker
/// than the marker for many, so that the colour of time stays visible.
pub fn rim_colour(colour: &dyn Fn(f64) -> Rgb, frames: usize, time: f64) -> Rgb {
    if frames < CROWDED { colour(0.0) } else { mix(colour(time), [0; 3], 0.12) }
}

/// The marker radius that suits this number of points.
pub fn marker_radius(frames: usize) -> f64 {
    match frames {
        0..=20 => 6.0,
        21..=40 => 4.6,
        _ => 3.6,
    }
}

/// Draws the path of a half; its points are already on the sheet.
pub fn draw_half(scene: &mut Scene, path: &[[f64; 2]], frames: usize, half: Half) {
    let colour = |time| half.colour(time);
    let look = PathLook {
        colour: &colour,
        rim: &|time| rim_colour(&colour, frames, time),
        marker: Marker::of(half),
        radius: marker_radius(frames),
        width: 2.0,
    };
    draw_path(scene, path, frames, &look);
}

/// Draws the path's first `points` (already on the sheet) of `frames` in all: lines, arrowheads where there is room,
/// markers on top.
pub fn draw_path(scene: &mut Scene, points: &[[f64; 2]], frames: usize, look: &PathLook<'_>) {
    for (step, pair) in points.windows(2).enumerate() {
        let colour = (look.colour)(time(2 * step + 1, 2 * frames - 1));
        scene.stroke(pair, colour, look.width);
        arrowhead(scene, pair[0], pair[1], look, colour);
    }
    for (frame, point) in points.iter().enumerate() {
        let time = time(frame, frames);
        look.marker.draw(scene, *point, look.radius, (look.colour)(time), (look.rim)(time));
    }
}

/// An arrowhead past the middle of a step, if the step is long enough to show it between its markers.
fn arrowhead(scene: &mut Scene, from: [f64; 2], to: [f64; 2], look: &PathLook<'_>, colour: Rgb) {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let length = dx.hypot(dy);
    let size = 4.0 + 1.6 * look.width;
    if length < 2.0 * look.radius + size + 3.0 {
        return;
    }
    let (ux, uy) = (dx / length, dy / length);
    let tip = [from[0] + dx / 2.0 + ux * size * 0.6, from[1] + dy / 2.0 + uy * size * 0.6];
    let back = [tip[0] - ux * size * 1.25, tip[1] - uy * size * 1.25];
    let half = size * 0.55;
    scene.polygon(
        &[tip, [back[0] - uy * half, back[1] + ux * half], [back[0] + uy * half, back[1] - ux * half]],
        colour,
    );
}

/// Points along a path a few pixels apart: what a label must not cover.
pub fn ink_of(path: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut ink = path.to_vec();
    for pair in path.windows(2) {
        let (dx, dy) = (pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]);
        let pieces = (dx.hypot(dy) / 5.0).clamp(1.0, 400.0) as usize;
        ink.extend((1..pieces).map(|piece| {
            let share = piece as f64 / pieces as f64;
            [pair[0][0] + dx * share, pair[0][1] + dy * share]
        }));
    }
    ink
}

/// Finds room for a `w` x `h` label near `point`: inside `bounds`, off everything `taken`, covering as little ink as
/// possible, and of the places that are equally good the nearest. None if every place is taken.
pub fn place_near(
    point: [f64; 2],
    (w, h): (f64, f64),
    bounds: &Area,
    taken: &[Area],
    ink: &[[f64; 2]],
) -> Option<Area> {
    let mut best: Option<(f64, Area)> = None;
    for distance in [16.0, 28.0, 44.0, 64.0, 90.0, 120.0, 160.0] {
        for direction in 0..32 {
            let (sin, cos) = (f64::from(direction) * std::f64::consts::TAU / 32.0).sin_cos();
            // How far away the label's middle must be for its edge to be `distance` away in this direction.
            let reach = (w / 2.0 / cos.abs().max(1e-9)).min(h / 2.0 / sin.abs().max(1e-9)) + distance;
            let centre = [point[0] + cos * reach, point[1] + sin * reach];
            let area = Area::new(centre[0] - w / 2.0, centre[1] - h / 2.0, w, h);
            // The line that leads to the label should not run over the path either.
            let edge = [point[0].clamp(area.x, area.right()), point[1].clamp(area.y, area.bottom())];
            let crossed = ink_of(&[point, edge])
                .iter()
                .filter(|at| (at[0] - point[0]).hypot(at[1] - point[1]) > 11.0)
                .filter(|at| ink.iter().any(|ink| (at[0] - ink[0]).hypot(at[1] - ink[1]) < 5.0))
                .count();
            consider(&mut best, area, distance + 25.0 * crossed as f64, bounds, taken, ink);
        }
    }
    best.map(|(_, area)| area)
}

fn consider(
    best: &mut Option<(f64, Area)>,
    area: Area,
    distance: f64,
    bounds: &Area,
    taken: &[Area],
    ink: &[[f64; 2]],
) {
    if !bounds.holds(&area) || taken.iter().any(|other| other.overlaps(&area.grown(5.0))) {
        return;
    }
    let near = area.grown(9.0);
    let cost = distance + 30.0 * ink.iter().filter(|point| near.has(**point)).count() as f64;
    if best.as_ref().is_none_or(|(least, _)| cost < *least) {
        *best = Some((cost, area));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_one_for_both_axes_and_everything_is_inside() {
        let points = [[-3.0, 0.0], [5.0, 1.0], [0.0, -0.5]];
        let area = Area::new(10.0, 20.0, 300.0, 200.0);
        let plane = Plane::fit(area, &points, 20.0);
        assert!((plane.scale - 260.0 / 8.0).abs() < 1e-9);
        assert!(plane.path(&points).iter().all(|point| area.grown(-19.9).has(*point)));
        assert!(plane.at([0.0, 1.0])[1] < plane.at([0.0, 0.0])[1], "y grows upwards");
    }

    #[test]
    fn one_point_and_no_point_are_in_the_middle() {
        let area = Area::new(0.0, 0.0, 100.0, 100.0);
        assert_eq!(Plane::fit(area, &[[7.0, 7.0]; 3], 10.0).at([7.0, 7.0]), [50.0, 50.0]);
        assert_eq!(Plane::fit(area, &[], 10.0).at([0.0, 0.0]), [50.0, 50.0]);
    }

    #[test]
    fn labels_avoid_the_edge_other_labels_and_the_path() {
        let bounds = Area::new(0.0, 0.0, 400.0, 300.0);
        let ink = ink_of(&[[10.0, 150.0], [390.0, 150.0]]);
        let first = place_near([10.0, 150.0], (80.0, 60.0), &bounds, &[], &ink).unwrap();
        let second = place_near([14.0, 150.0], (80.0, 60.0), &bounds, &[first], &ink).unwrap();
        for label in [first, second] {
            assert!(bounds.holds(&label));
            assert!(!ink.iter().any(|point| label.has(*point)));
        }
        assert!(!first.overlaps(&second));
        assert!(place_near([10.0, 10.0], (80.0, 60.0), &bounds, &[bounds], &ink).is_none());
    }

    #[test]
    fn steps_are_round_numbers() {
        assert_eq!([0.013, 0.2, 3.1, 70.0].map(nice_step), [0.02, 0.2, 5.0, 100.0]);
    }
}
