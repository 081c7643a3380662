//! Figures of the paths that a clip's frames take through feature space, and of the lines LiFT makes of them.
//!
//! From [`ClipPaths`], which is plain data, to a file. [`project`] puts all paths of a figure in one plane (by
//! [`pca`] or [`tsne`]), [`measures`] says in numbers how straight they are, a figure draws both as a [`scene`] of
//! shapes, and [`raster`] and [`svg`] write that down ([`picture`] chooses by a file's name); `animation` and `page` are made from the same parts. Nothing here
//! knows of videos or networks.

pub mod animation;
pub mod axes;
mod clip;
pub mod compare;
mod encode;
#[cfg(test)]
mod figures_test;
pub mod gif;
#[cfg(test)]
mod goldens;
pub mod line;
pub mod measures;
pub mod mp4;
pub mod page;
pub mod palette;
pub mod pca;
pub mod picture;
mod plane;
mod project;
pub mod raster;
#[cfg(test)]
mod samples;
pub mod scene;
pub mod sheet;
pub mod similarity;
pub mod svg;
pub mod text;
pub mod trajectory;
pub mod tsne;

pub use clip::{ClipError, ClipPaths, Features};
pub use palette::Half;
pub use project::{Method, PlanePaths, Projection, ProjectionSettings, Quality, fitted_perplexity, project};
