//! What a figure is: its name, what it shows, and how it is drawn.

use super::animation::Animation;
use super::clip::ClipPaths;
use super::drawing::Drawing;
use super::error::DrawError;
use super::scene::Scene;

/// One kind of figure; [`super::figures`] lists them.
#[derive(Debug)]
pub struct Figure {
    /// Its name, as `--figure` takes it.
    pub name: &'static str,
    /// What it shows, in one line of the help.
    pub about: &'static str,
    /// Whether it shows one clip only.
    pub one_clip: bool,
    /// How it is drawn.
    pub draw: FigureDraw,
    /// Makes the text about a clip that is printed beside the figure; absent if there is none.
    pub text: Option<fn(&ClipPaths) -> String>,
}

/// How a figure is drawn.
#[derive(Debug, Clone, Copy)]
pub enum FigureDraw {
    /// As a still picture.
    Still(fn(&Drawing<'_>) -> Result<Scene, DrawError>),
    /// As an animation.
    Moving(for<'a> fn(&Drawing<'a>) -> Result<Animation<'a>, DrawError>),
}

impl Figure {
    /// Whether it is an animation.
    pub fn moves(&self) -> bool {
        matches!(self.draw, FigureDraw::Moving(_))
    }
}
