//! What a figure is drawn from, as plain data: clips and settings.

use super::clip::ClipPaths;
use super::error::DrawError;
use super::palette::Half;
use super::pca::NoConvergence;
use super::project::{Method, Projection, ProjectionSettings, project};

/// How figures look.
#[derive(Debug, Clone)]
pub struct Look {
    /// The title; the clips' titles if absent.
    pub title: Option<String>,
    /// The paths to show of each clip.
    pub halves: Vec<Half>,
    /// The projection; t-SNE for one clip and principal components for several if absent.
    pub method: Option<Method>,
    /// Seed of t-SNE's starts.
    pub seed: u64,
    /// t-SNE's perplexity, at least 1.
    pub perplexity: f64,
    /// Dots per inch; what suits the format if absent.
    pub dpi: Option<f64>,
}

/// A clip of a figure.
#[derive(Debug, Clone)]
pub struct DrawnClip {
    /// Its frames and paths.
    pub paths: ClipPaths,
    /// Whether it is the clip before it, mirrored in time.
    pub mirror: bool,
}

/// The clips of a figure and how it looks.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// The clips, in the order in which they are named.
    pub clips: &'a [DrawnClip],
    /// How the figure looks.
    pub look: &'a Look,
}

impl<'a> Drawing<'a> {
    /// The clip of a figure that shows only one; `figure` is its name.
    ///
    /// # Errors
    /// [`DrawError::SeveralClips`] unless there is exactly one.
    pub fn only(&self, figure: &'static str) -> Result<&'a ClipPaths, DrawError> {
        match self.clips {
            [one] => Ok(&one.paths),
            more => Err(DrawError::SeveralClips { figure, count: more.len() }),
        }
    }

    /// The title: the one asked for, else the titles of the clips that are no mirrors.
    pub fn title(&self) -> String {
        let titles = self.clips.iter().filter(|clip| !clip.mirror).map(|clip| clip.paths.title.as_str());
        self.look.title.clone().unwrap_or_else(|| titles.collect::<Vec<_>>().join(", "))
    }

    /// The method: the one asked for, else t-SNE for one clip, as in the authors' figure, and principal components for
    /// several, because clips are compared by the directions of their paths. The mirror that a page has of its clip does not count, so
    /// that the page and the picture of one clip open alike.
    pub fn method(&self) -> Method {
        let clips = self.clips.iter().filter(|clip| !clip.mirror).count();
        let default = if clips > 1 { Method::Pca } else { Method::Tsne };
        self.look.method.unwrap_or(default)
    }

    /// All paths projected together.
    ///
    /// # Errors
    /// [`NoConvergence`] if the singular value decomposition does not converge.
    pub fn projection(&self, method: Method) -> Result<Projection, NoConvergence> {
        let Look { seed, perplexity, .. } = *self.look;
        project(self.clips.iter().map(|clip| &clip.paths), ProjectionSettings { method, seed, perplexity })
    }
}
