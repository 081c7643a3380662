//! A panel with numbered axes, for figures of quantities.

use super::palette::{GRID, RULE};
use super::plane::nice_step;
use super::scene::{Area, Scene};
use super::sheet::{SMALL, strip_frames};
use super::text::Anchor;

/// Frames along x (numbered from 1), a quantity along y.
#[derive(Debug, Clone, Copy)]
pub struct FrameAxes {
    /// The panel.
    pub area: Area,
    frames: usize,
    top: f64,
}

impl FrameAxes {
    /// Draws the panel's grid and numbers: y from 0 to at least `most`, in steps of `step` or of a round number.
    pub fn draw(scene: &mut Scene, area: Area, frames: usize, most: f64, step: Option<f64>) -> Self {
        let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
        let step = step.unwrap_or_else(|| nice_step(most / 5.0));
        let top = (most / step * 0.9999).ceil() * step;
        let axes = Self { area, frames, top };
        let digits = if step < 1.0 { (-step.log10().floor()).min(9.0) as usize } else { 0 };
        for tick in 0..=(top / step).round() as usize {
            let value = tick as f64 * step;
            let y = axes.y(value);
            scene.stroke(&[[area.x, y], [area.right(), y]], GRID, 1.0);
            scene.text(&format!("{value:.digits$}"), [area.x - 8.0, y + 4.5], Anchor::End, SMALL);
        }
        for frame in strip_frames(frames, 16) {
            scene.text(
                &(frame + 1).to_string(),
                [axes.x(frame), area.bottom() + 18.0],
                Anchor::Middle,
                SMALL,
            );
        }
        scene.stroke(&[[area.x, area.bottom()], [area.right(), area.bottom()]], RULE, 1.2);
        axes
    }

    /// The width of a frame's slot.
    pub fn slot(&self) -> f64 {
        self.area.w / self.frames.max(1) as f64
    }

    /// The x of the middle of a frame's slot.
    pub fn x(&self, frame: usize) -> f64 {
        self.area.x + (frame as f64 + 0.5) * self.slot()
    }

    /// The y of a value.
    pub fn y(&self, value: f64) -> f64 {
        self.area.bottom() - value / self.top * self.area.h
    }
}
