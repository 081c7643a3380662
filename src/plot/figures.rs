//! The list of figures, which the command line and its help read.
//!
//! A figure is one file with a static `FIGURE`. To add one, copy `similarity.rs`, which draws one clip as a still picture,
//! declare the module in `mod.rs`, and add one line to [`FIGURES`].

use super::figure::Figure;
use super::{compare, line, moving, similarity, trajectory};

/// Every figure, in the order of the help.
pub static FIGURES: &[&Figure] =
    &[&trajectory::FIGURE, &compare::FIGURE, &line::FIGURE, &similarity::FIGURE, &moving::FIGURE];

/// The figure of this name.
pub fn named(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().copied().find(|figure| figure.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own() {
        for figure in FIGURES {
            assert!(std::ptr::eq(named(figure.name).unwrap(), *figure), "{}", figure.name);
        }
        assert!(named("none").is_none());
    }
}
