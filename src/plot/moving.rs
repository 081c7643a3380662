//! The figure `animation`: the clip beside its growing paths.

use super::animation::Animation;
use super::drawing::Drawing;
use super::error::DrawError;
use super::figure::{Figure, FigureDraw};
use super::scene::CSS_DPI;

/// The figure of the command line.
pub static FIGURE: Figure = Figure {
    name: "animation",
    about: "The video beside its growing path (.gif, .mp4)",
    one_clip: true,
    draw: FigureDraw::Moving(from_drawing),
    text: None,
};

fn from_drawing<'a>(drawing: &Drawing<'a>) -> Result<Animation<'a>, DrawError> {
    let clip = drawing.only(FIGURE.name)?;
    let projection = drawing.projection(drawing.method())?;
    let scale = drawing.look.dpi.unwrap_or(CSS_DPI) / CSS_DPI;
    Ok(Animation::new(clip, &drawing.title(), &projection, &drawing.look.halves, scale))
}
