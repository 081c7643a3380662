//! The display matrix of a stream: how a stored picture is turned and mirrored to stand upright.

use super::frame::RgbFrame;

/// One of the eight ways to lay a rectangle on a rectangle: stored `(x, y)` goes to
/// `(xx·x + yx·y, xy·x + yy·y)`, moved back into the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    xx: i8,
    xy: i8,
    yx: i8,
    yy: i8,
}

impl Orientation {
    /// Nothing to do.
    pub const UPRIGHT: Self = Self { xx: 1, xy: 0, yx: 0, yy: 1 };

    /// Reads a display matrix (nine numbers, the first two columns in 16.16 fixed point); `None` if it is no multiple
    /// of a right angle.
    #[must_use]
    pub fn from_matrix(matrix: &[i32; 9]) -> Option<Self> {
        let (a, b, c, d) = (matrix[0], matrix[1], matrix[3], matrix[4]);
        let sign = |value: i32| value.signum() as i8;
        // Cameras write a few thousandths of a turn beside the main direction: it does not show at these sizes.
        let small = |value: i32, beside: i32| (i64::from(value).abs()) * 50 < i64::from(beside).abs();
        if small(b, a) && small(c, d) && a != 0 && d != 0 {
            Some(Self { xx: sign(a), xy: 0, yx: 0, yy: sign(d) })
        } else if small(a, b) && small(d, c) && b != 0 && c != 0 {
            Some(Self { xx: 0, xy: sign(b), yx: sign(c), yy: 0 })
        } else {
            None
        }
    }

    /// Whether pictures are stored as they are shown.
    #[must_use]
    pub fn is_upright(self) -> bool {
        self == Self::UPRIGHT
    }

    /// Whether width and height change places.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        self.xx == 0
    }

    /// Degrees clockwise that the stored picture is turned by to stand upright, after any mirroring left to right.
    #[must_use]
    pub fn degrees(self) -> u16 {
        let mirror = self.xx * self.yy - self.xy * self.yx;
        match (self.xx * mirror, self.xy * mirror) {
            (1, _) => 0,
            (_, 1) => 90,
            (-1, _) => 180,
            _ => 270,
        }
    }

    /// Writes the upright picture into `out` without gaps and gives its `(width, height)`.
    pub fn turn(self, frame: &RgbFrame, out: &mut Vec<u8>) -> (usize, usize) {
        let (width, height) =
            if self.swaps_sides() { (frame.height, frame.width) } else { (frame.width, frame.height) };
        out.clear();
        out.resize(width * height * 3, 0);
        let place = |along: i8, value: usize, size: usize| if along > 0 { value } else { size - 1 - value };
        for y in 0..frame.height {
            for (x, pixel) in frame.row(y).chunks_exact(3).enumerate() {
                let (to_x, to_y) = if self.swaps_sides() {
                    (place(self.yx, y, width), place(self.xy, x, height))
                } else {
                    (place(self.xx, x, width), place(self.yy, y, height))
                };
                let at = (to_y * width + to_x) * 3;
                out[at..at + 3].copy_from_slice(pixel);
            }
        }
        (width, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;

    fn turned(matrix: [i32; 4]) -> (Vec<u8>, (usize, usize), u16) {
        let [a, b, c, d] = matrix;
        let orientation = Orientation::from_matrix(&[a, b, 0, c, d, 0, 0, 0, 1 << 30]).unwrap();
        // Two rows of three pixels: 1 2 3 / 4 5 6.
        let data: Vec<u8> = (1..=6).flat_map(|v| [v, v, v]).collect();
        let mut out = Vec::new();
        let size = orientation.turn(&RgbFrame::new(3, 2, 9, &data), &mut out);
        (out.chunks(3).map(|p| p[0]).collect(), size, orientation.degrees())
    }

    #[test]
    fn the_four_turns_and_the_mirrors() {
        assert_eq!(turned([ONE, 0, 0, ONE]), (vec![1, 2, 3, 4, 5, 6], (3, 2), 0));
        assert_eq!(turned([0, ONE, -ONE, 0]), (vec![4, 1, 5, 2, 6, 3], (2, 3), 90));
        assert_eq!(turned([-ONE, 0, 0, -ONE]), (vec![6, 5, 4, 3, 2, 1], (3, 2), 180));
        assert_eq!(turned([0, -ONE, ONE, 0]), (vec![3, 6, 2, 5, 1, 4], (2, 3), 270));
        assert_eq!(turned([-ONE, 0, 0, ONE]).0, [3, 2, 1, 6, 5, 4]);
        assert_eq!(turned([ONE, 0, 0, -ONE]).0, [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn a_slanted_matrix_is_none() {
        assert_eq!(Orientation::from_matrix(&[ONE, ONE, 0, -ONE, ONE, 0, 0, 0, 1 << 30]), None);
        assert_eq!(Orientation::from_matrix(&[0; 9]), None);
    }
}
