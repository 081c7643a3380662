//! What reading a video cost.

/// What reading a video cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes read of the file.
    pub bytes: u64,
    /// Packets that were given to a decoder.
    pub packets: usize,
    /// Packets among them whose picture was not decoded, because it was not wanted and no other picture refers to it.
    pub skipped: usize,
}
