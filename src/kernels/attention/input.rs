//! What attention is given: slices and where their heads begin, and memory to work in.

use crate::kernels::buffer::Buffer;
use crate::kernels::precision::Precision;

/// What memory is rounded up to: the rows and columns of any kernel's blocks.
pub(super) const ROOM: usize = 32;

/// What attends to what. Head `h` of token `i` is `head_dim` f32 from `i * stride + h * head_dim`, so the three may lie
/// in one packed projection.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Queries, from the first one's first value.
    pub q: &'a [f32],
    /// Keys.
    pub k: &'a [f32],
    /// Values.
    pub v: &'a [f32],
    /// f32 from one query to the next.
    pub q_stride: usize,
    /// f32 from one key, or value, to the next.
    pub kv_stride: usize,
    /// Number of queries.
    pub queries: usize,
    /// Number of keys and values.
    pub keys: usize,
    /// Number of heads.
    pub heads: usize,
    /// Values per head, even in bf16.
    pub head_dim: usize,
    /// What scores are multiplied by, positive: `1/sqrt(head_dim)`, or 1 where the query projection holds it.
    pub scale: f32,
}

/// Memory that [`attention`](super::attention) works in, reused from call to call.
#[derive(Debug, Clone, Default)]
pub struct AttentionScratch {
    pub(super) keys: Buffer,
    pub(super) values: Buffer,
    pub(super) queries: Buffer,
    pub(super) scores: Buffer,
    pub(super) weights: Buffer,
    /// The output in f32, `(queries, heads * head_dim)`, before it is split.
    pub(super) plain: Buffer,
}

/// Makes room for `len` f32.
pub(super) fn fit(buffer: &mut Buffer, len: usize) {
    if buffer.len() < len {
        *buffer = Buffer::zeros(len);
    }
}

impl AttentionScratch {
    pub(super) fn fit(&mut self, precision: Precision, keys: usize, head_dim: usize) {
        let (keys, head_dim) = (keys.next_multiple_of(ROOM), head_dim.next_multiple_of(ROOM));
        fit(&mut self.keys, keys * precision.words(head_dim));
        fit(&mut self.values, head_dim * precision.words(keys));
        fit(&mut self.queries, ROOM * precision.words(head_dim));
        fit(&mut self.scores, ROOM * keys);
        fit(&mut self.weights, ROOM * precision.words(keys));
    }
}
