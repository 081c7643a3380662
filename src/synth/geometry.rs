//! Points, and values between two others.

/// A point in the unit square of the picture.
pub type Point = (f32, f32);

/// The value at `progress` (0 to 1) on the way from the first to the second.
pub fn between(ends: [f32; 2], progress: f32) -> f32 {
    ends[0] + (ends[1] - ends[0]) * progress
}

/// The point at `progress` (0 to 1) on the way from the first to the second.
pub fn point_between([from, to]: [Point; 2], progress: f32) -> Point {
    (between([from.0, to.0], progress), between([from.1, to.1], progress))
}
