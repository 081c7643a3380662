//! The kinds of opposite pairs of actions, with their verbs and nouns.

use super::draw::Draw;
use super::hinged::{Door, Lid, Sheet};
use super::motions::{Motion, Rigid};
use super::texture::Contrast;
use super::vessels::{Inside, Level};

/// Draws the motion of a kind with this noun.
type Make = fn(&mut Draw, &str, Contrast) -> Box<dyn Motion>;

/// One kind of pair: a motion and its reverse.
pub struct PairKind {
    /// The verb of the forward class.
    pub forward: &'static str,
    /// The verb of the reverse class.
    pub reverse: &'static str,
    /// The objects that move; each is a group of its own.
    pub nouns: &'static [&'static str],
    make: Make,
}

impl PairKind {
    /// Draws one motion in the forward direction.
    pub fn make(&self, draw: &mut Draw, noun: &str, contrast: Contrast) -> Box<dyn Motion> {
        (self.make)(draw, noun, contrast)
    }
}

const SHAPES: &[&str] = &["ball", "block", "star", "cross", "leaf", "heart"];

/// Every kind, in the order in which groups take them.
pub static KINDS: [PairKind; 9] = [
    PairKind {
        forward: "moving up",
        reverse: "moving down",
        nouns: SHAPES,
        make: |draw, noun, contrast| Box::new(Rigid::up(draw, noun, contrast)),
    },
    PairKind {
        forward: "moving left",
        reverse: "moving right",
        nouns: SHAPES,
        make: |draw, noun, contrast| Box::new(Rigid::left(draw, noun, contrast)),
    },
    PairKind {
        forward: "approaching",
        reverse: "receding",
        nouns: SHAPES,
        make: |draw, noun, contrast| Box::new(Rigid::nearer(draw, noun, contrast)),
    },
    PairKind {
        forward: "opening",
        reverse: "closing",
        nouns: &["door", "cupboard", "window", "hatch"],
        make: |draw, noun, contrast| Box::new(Door::random(draw, noun, contrast)),
    },
    PairKind {
        forward: "rotating clockwise",
        reverse: "rotating counterclockwise",
        nouns: &["arrow", "spoon", "key", "bottle"],
        make: |draw, noun, contrast| Box::new(Rigid::clockwise(draw, noun, contrast)),
    },
    PairKind {
        forward: "folding",
        reverse: "unfolding",
        nouns: &["paper", "cloth", "map", "towel"],
        make: |draw, noun, contrast| Box::new(Sheet::random(draw, noun, contrast)),
    },
    PairKind {
        forward: "rising",
        reverse: "falling",
        nouns: &["water", "juice", "sand", "milk"],
        make: |draw, noun, contrast| Box::new(Level::random(draw, noun, contrast)),
    },
    PairKind {
        forward: "putting in",
        reverse: "taking out",
        nouns: SHAPES,
        make: |draw, noun, contrast| Box::new(Inside::random(draw, noun, contrast)),
    },
    PairKind {
        forward: "opening lid of",
        reverse: "closing lid of",
        nouns: &["box", "chest", "bin", "case"],
        make: |draw, noun, contrast| Box::new(Lid::random(draw, noun, contrast)),
    },
];
