//! A drawing as a list of shapes, which both the bitmap writer and the SVG writer read.
//!
//! Units are CSS pixels (1/96 inch) and may be fractions; y grows downwards. The output decides about the density.

use super::palette::{Rgb, WHITE};
use super::text::{self, Anchor, Font};
use image::RgbImage;
use std::sync::Arc;

/// CSS pixels per inch.
pub const CSS_DPI: f64 = 96.0;

/// An upright rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Area {
    /// An area by its corner and size.
    pub fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Self { x, y, w, h }
    }

    /// Right edge.
    pub fn right(&self) -> f64 {
        self.x + self.w
    }

    /// Bottom edge.
    pub fn bottom(&self) -> f64 {
        self.y + self.h
    }

    /// The middle.
    pub fn centre(&self) -> [f64; 2] {
        [self.x + self.w / 2.0, self.y + self.h / 2.0]
    }

    /// Larger by `by` on each side (smaller if negative).
    pub fn grown(&self, by: f64) -> Self {
        Self::new(self.x - by, self.y - by, self.w + 2.0 * by, self.h + 2.0 * by)
    }

    /// Whether the two share any point.
    pub fn overlaps(&self, other: &Area) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// Whether `other` lies in this area.
    pub fn holds(&self, other: &Area) -> bool {
        self.x <= other.x
            && other.right() <= self.right()
            && self.y <= other.y
            && other.bottom() <= self.bottom()
    }

    /// Whether the point lies in this area.
    pub fn has(&self, point: [f64; 2]) -> bool {
        (self.x..=self.right()).contains(&point[0]) && (self.y..=self.bottom()).contains(&point[1])
    }

    /// The largest area of the given proportions (width over height) in the middle of this one.
    pub fn fitted(&self, aspect: f64) -> Self {
        let w = self.w.min(self.h * aspect);
        let h = w / aspect;
        Self::new(self.x + (self.w - w) / 2.0, self.y + (self.h - h) / 2.0, w, h)
    }
}

/// One shape.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A stroke through points.
    Stroke {
        /// At least two.
        points: Vec<[f64; 2]>,
        /// Ink.
        colour: Rgb,
        /// Thickness.
        width: f64,
    },
    /// A filled convex polygon.
    Polygon {
        /// At least three corners.
        points: Vec<[f64; 2]>,
        /// Ink.
        fill: Rgb,
    },
    /// A filled disc.
    Disc {
        /// Its middle.
        centre: [f64; 2],
        /// Its radius.
        radius: f64,
        /// Ink.
        fill: Rgb,
    },
    /// A filled rectangle.
    Block {
        /// Where.
        area: Area,
        /// Ink.
        fill: Rgb,
    },
    /// One line of text.
    Text {
        /// Any text; the writers escape it.
        text: String,
        /// Anchor point: x by `anchor`, y the baseline.
        at: [f64; 2],
        /// How `at` lies.
        anchor: Anchor,
        /// Its look.
        font: Font,
    },
    /// A picture scaled into an area.
    Picture {
        /// Where.
        area: Area,
        /// What, shared by all the places that show it.
        image: Arc<RgbImage>,
    },
}

/// Shapes on a sheet of paper, in painting order.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Width of the sheet.
    pub width: f64,
    /// Height of the sheet.
    pub height: f64,
    /// The title of the sheet, for screen readers.
    pub title: String,
    /// The shapes, the first painted first.
    pub shapes: Vec<Shape>,
}

impl Scene {
    /// An empty white sheet.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let paper = Shape::Block { area: Area::new(0.0, 0.0, width, height), fill: WHITE };
        Self { width, height, title: title.to_string(), shapes: vec![paper] }
    }

    /// Sets the height of the sheet to what its content needs.
    pub fn cut(&mut self, height: f64) {
        self.height = height;
        if let Some(Shape::Block { area, .. }) = self.shapes.first_mut() {
            area.h = height;
        }
    }

    /// Adds a stroke.
    pub fn stroke(&mut self, points: &[[f64; 2]], colour: Rgb, width: f64) {
        self.shapes.push(Shape::Stroke { points: points.to_vec(), colour, width });
    }

    /// Adds a dashed line, upright or level, from one point to another that is further down or to the right.
    pub fn dashed(&mut self, from: [f64; 2], to: [f64; 2], colour: Rgb, width: f64) {
        const DASH: f64 = 5.0;
        const STEP: f64 = 9.0;
        let mut at = from;
        let axis = usize::from(from[0] == to[0]);
        while at[axis] < to[axis] {
            let mut end = at;
            end[axis] = (at[axis] + DASH).min(to[axis]);
            self.stroke(&[at, end], colour, width);
            at[axis] += STEP;
        }
    }

    /// Adds the outline of an area.
    pub fn outline(&mut self, area: Area, colour: Rgb, width: f64) {
        let h = width / 2.0;
        for (x, y, w, tall) in [
            (area.x - h, area.y - h, area.w + width, width),
            (area.x - h, area.bottom() - h, area.w + width, width),
            (area.x - h, area.y - h, width, area.h + width),
            (area.right() - h, area.y - h, width, area.h + width),
        ] {
            self.block(Area::new(x, y, w, tall), colour);
        }
    }

    /// Adds a filled convex polygon.
    pub fn polygon(&mut self, points: &[[f64; 2]], fill: Rgb) {
        self.shapes.push(Shape::Polygon { points: points.to_vec(), fill });
    }

    /// Adds a disc with a rim.
    pub fn disc(&mut self, centre: [f64; 2], radius: f64, fill: Rgb, rim: Rgb, rim_width: f64) {
        self.shapes.push(Shape::Disc { centre, radius: radius + rim_width, fill: rim });
        self.shapes.push(Shape::Disc { centre, radius, fill });
    }

    /// Adds a circle's outline.
    pub fn ring(&mut self, centre: [f64; 2], radius: f64, colour: Rgb, width: f64) {
        let corner = |step: u32| {
            let (sin, cos) = (f64::from(step) * std::f64::consts::TAU / 40.0).sin_cos();
            [centre[0] + radius * cos, centre[1] + radius * sin]
        };
        self.stroke(&(0..=40).map(corner).collect::<Vec<_>>(), colour, width);
    }

    /// Adds a filled rectangle.
    pub fn block(&mut self, area: Area, fill: Rgb) {
        self.shapes.push(Shape::Block { area, fill });
    }

    /// Adds one line of text.
    pub fn text(&mut self, text: &str, at: [f64; 2], anchor: Anchor, font: Font) {
        self.shapes.push(Shape::Text { text: text::clean(text), at, anchor, font });
    }

    /// Adds a picture.
    pub fn picture(&mut self, image: &Arc<RgbImage>, area: Area) {
        self.shapes.push(Shape::Picture { area, image: image.clone() });
    }
}
