//! A decoded frame as RGB bytes.

/// An upright RGB picture.
pub struct RgbFrame<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    stride: usize,
    data: &'a [u8],
}

impl<'a> RgbFrame<'a> {
    /// A picture of `height` rows of `width` RGB pixels, `stride` bytes from row to row.
    ///
    /// `data` must reach to the end of the last row.
    #[must_use]
    pub fn new(width: usize, height: usize, stride: usize, data: &'a [u8]) -> Self {
        debug_assert!(stride >= width * 3 && data.len() >= (height - 1) * stride + width * 3);
        Self { width, height, stride, data }
    }

    /// Row `y`: `width x 3` bytes.
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width * 3]
    }

    /// The pixels without gaps between rows.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        (0..self.height).flat_map(|y| self.row(y)).copied().collect()
    }
}
