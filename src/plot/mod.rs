//! Figures of the paths that a clip's frames take through feature space, and of the lines that LiFT makes of them.
//!
//! [`draw()`] turns a [`Drawing`], which is plain data, into the bytes of a file. [`project`] puts all paths of a figure in
//! one plane (by [`pca`] or [`tsne`]), and [`measures`] says in numbers how straight they are. A figure ([`figures`] lists them) draws both as a
//! [`scene`] of shapes, which [`raster`] and [`svg`] encode; [`animation`] and [`page`] are made from the same shapes and
//! data. Nothing in this folder reads a video or runs a network.

pub mod animation;
pub mod axes;
mod clip;
pub mod compare;
mod draw;
mod drawing;
pub(crate) mod encode;
mod error;
mod features_file;
pub mod figure;
pub mod figures;
#[cfg(test)]
mod figures_test;
pub mod gif;
#[cfg(test)]
pub(crate) mod goldens;
pub mod line;
pub mod measures;
pub mod moving;
pub mod mp4;
pub mod page;
pub mod palette;
pub mod pca;
mod pdf;
pub mod picture;
pub(crate) mod plane;
mod project;
pub mod raster;
#[cfg(test)]
mod samples;
pub mod scene;
pub mod sheet;
pub mod similarity;
pub mod strip;
pub mod svg;
pub mod text;
pub mod trajectory;
pub mod tsne;

pub use clip::{ClipError, ClipPaths, Features};
pub use draw::{FigureFormat, draw, still};
pub use drawing::{Drawing, DrawnClip, Look};
pub use error::DrawError;
pub use features_file::read_clips;
pub use figure::Figure;
pub use palette::Half;
pub use project::{
    Method, PlanePaths, Projection, ProjectionSettings, Quality, fitted_perplexity, project, upright,
};
