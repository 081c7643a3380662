//! The forward pass over one frame.
//!
//! Threads that have nothing to do take a part of a block's tokens each. They meet twice in a block: the keys and values of all
//! tokens must be there before attention, and its end before the next block. Where the feature is made of the class token, only that
//! token of the last block is read, so there its queries, projection and MLP are computed for it alone.

use super::weights::BYTE_CENTRE;
use super::{Block, FastEncoder, Head, Pool, Project};
use crate::kernels::{
    Attention, AttentionScratch, Buffer, PackedLinear, Turn, attention, gate, layer_norm, linear,
    linear_activation, linear_residual, standardize, to_operand, turn,
};
use crate::model::stages::{Stage, StageListener};
use crate::model::workers::together;
use crate::threads::{Computing, IdleThreads};

/// What the tokens of a thread are rounded up to, so that the kernels' tiles of six rows are whole.
const ROWS: usize = 6;

/// Fewer tokens than this are not worth a thread.
const LEAST_TOKENS: usize = 24;

/// One thread's memory for one frame.
#[derive(Debug)]
pub struct Scratch {
    /// The residual stream, `(N, D)`.
    x: Buffer,
    /// Normed tokens, then the attention's output, operand rows `(N, words(D))`.
    operand: Buffer,
    /// `(N, 3D)`.
    qkv: Buffer,
    /// Operand rows of the MLP `(N, words(hidden))`, and of the patches before the blocks.
    hidden: Buffer,
    /// The pixels of a patch.
    pixels: Vec<f32>,
    /// Both halves of a gated MLP's hidden numbers, `(N, 2 hidden)`; empty without one.
    halves: Buffer,
    /// One for each thread that takes part.
    attention: Vec<AttentionScratch>,
}

/// A thread's tokens on their way to attention: operands, and the answers of the layer before it.
struct Before<'a> {
    /// The first token.
    first: usize,
    x: &'a [f32],
    operand: &'a mut [f32],
    out: &'a mut [f32],
}

/// A thread's tokens from attention to the end of the block.
struct After<'a> {
    /// From the first token's query.
    q: &'a [f32],
    x: &'a mut [f32],
    operand: &'a mut [f32],
    hidden: &'a mut [f32],
    halves: &'a mut [f32],
    scratch: &'a mut AttentionScratch,
}

/// Keys and values of all tokens, from the first key.
#[derive(Clone, Copy)]
struct Keys<'a> {
    k: &'a [f32],
    stride: usize,
}

impl FastEncoder {
    /// Memory for one thread.
    pub fn scratch(&self) -> Scratch {
        let (n, words) = (self.tokens, |values| self.backend.precision().words(values));
        let pixels = self.ends.patches.inputs();
        let patches = self.patch_count() * words(pixels);
        Scratch {
            x: Buffer::zeros(n * self.width),
            operand: Buffer::zeros(n * words(self.width)),
            qkv: Buffer::zeros(n * 3 * self.width),
            hidden: Buffer::zeros(patches.max(n * words(self.hidden))),
            pixels: vec![0.0; pixels],
            halves: Buffer::zeros(if self.gated { n * 2 * self.hidden } else { 0 }),
            attention: vec![AttentionScratch::default()],
        }
    }

    /// The feature `out (width)` of one frame of [`Self::frame_bytes`] RGB bytes, by the calling thread and what it finds among
    /// `idle`. The listener hears of the calling thread alone.
    ///
    /// # Panics
    /// If `rgb` or `out` has another length, or `scratch` is another encoder's.
    pub fn encode_frame(
        &self,
        rgb: &[u8],
        scratch: &mut Scratch,
        idle: &IdleThreads,
        listener: &mut impl StageListener,
        out: &mut [f32],
    ) {
        assert_eq!(rgb.len(), self.frame_bytes(), "a frame of another size");
        let computing = idle.compute();
        self.embed(rgb, scratch);
        listener.finished(Stage::Patches);
        for block in &self.blocks {
            self.block(block, scratch, &computing, listener);
        }
        self.finish(scratch, out);
        listener.finished(Stage::Norm);
    }

    /// Bytes to tokens.
    fn embed(&self, rgb: &[u8], scratch: &mut Scratch) {
        let (p, grid, line) = (self.patch, self.side / self.patch, 3 * self.side);
        let words = self.backend.precision().words(self.ends.patches.inputs());
        let operand = &mut scratch.hidden[..grid * grid * words];
        for (i, row) in operand.chunks_exact_mut(words).enumerate() {
            let corner = i / grid * p * line + i % grid * p * 3;
            for (y, to) in scratch.pixels.chunks_exact_mut(3 * p).enumerate() {
                for (to, &byte) in to.iter_mut().zip(&rgb[corner + y * line..][..3 * p]) {
                    *to = f32::from(i16::from(byte) - BYTE_CENTRE);
                }
            }
            to_operand(self.backend, &scratch.pixels, scratch.pixels.len(), row);
        }
        scratch.x.copy_from_slice(&self.ends.start);
        let prefix = (self.tokens - grid * grid) * self.width;
        linear_residual(&self.ends.patches, operand, &mut scratch.x[prefix..]);
        if let Some((weight, bias)) = &self.ends.norm_pre {
            let normed = &mut scratch.qkv[..self.tokens * self.width];
            layer_norm(self.backend, &scratch.x, weight, bias, self.eps, normed);
            scratch.x.copy_from_slice(normed);
        }
    }

    fn block(
        &self,
        block: &Block,
        scratch: &mut Scratch,
        computing: &Computing<'_>,
        listener: &mut impl StageListener,
    ) {
        let helpers = computing.borrow((self.tokens / LEAST_TOKENS).saturating_sub(1));
        let each = self.tokens.div_ceil(1 + helpers.count()).next_multiple_of(ROWS);
        let Scratch { x, operand, qkv, hidden, halves, attention, .. } = scratch;
        let (d, n) = (self.width, self.tokens);
        let words = self.backend.precision().words(d);
        attention.resize_with(attention.len().max(n.div_ceil(each)), AttentionScratch::default);

        // Only the last block has fewer queries than keys.
        let (layer, stride, heads) = match &block.project {
            Project::All(layer) => (layer, 3 * d, 2 * self.heads),
            Project::Last { keys_values, .. } => (keys_values, 2 * d, self.heads),
        };
        let (projected, rest) = qkv.split_at_mut(n * stride);
        let tokens = x.chunks(each * d).zip(operand.chunks_mut(each * words));
        let jobs = tokens.zip(projected.chunks_mut(each * stride)).enumerate();
        let job = |(i, ((x, operand), out))| Before { first: i * each, x, operand, out };
        together(
            jobs.map(job).collect(),
            |job| self.before_attention(layer, heads, job, listener),
            |job| self.before_attention(layer, heads, job, &mut ()),
        );
        let (queries, q, keys) = match &block.project {
            Project::All(_) => (n, &*projected, Keys { k: &projected[d..], stride }),
            Project::Last { query, .. } => {
                linear(query, &operand[..words], &mut rest[..d]);
                (1, &*rest, Keys { k: projected, stride })
            }
        };
        listener.finished(Stage::Qkv);

        let hidden_words = self.backend.precision().words(self.hidden);
        let tokens = x[..queries * d].chunks_mut(each * d).zip(operand.chunks_mut(each * words));
        let tokens = tokens.zip(q.chunks(each * 3 * d)).zip(hidden.chunks_mut(each * hidden_words));
        let mut halves = halves.chunks_mut(each * 2 * self.hidden);
        let jobs = tokens.zip(attention).map(|((((x, operand), q), hidden), scratch)| {
            let rows = x.len() / d;
            let (operand, hidden) = (&mut operand[..rows * words], &mut hidden[..rows * hidden_words]);
            After { q, x, operand, hidden, halves: halves.next().unwrap_or_default(), scratch }
        });
        together(
            jobs.collect(),
            |job| self.after_attention(block, keys, job, listener),
            |job| self.after_attention(block, keys, job, &mut ()),
        );
    }

    /// The norm, the layer before attention, and the turns of positions.
    fn before_attention(
        &self,
        layer: &PackedLinear,
        heads: usize,
        tokens: Before<'_>,
        listener: &mut impl StageListener,
    ) {
        let Before { first, x, operand, out } = tokens;
        standardize(self.backend, x, self.width, self.eps, operand);
        listener.finished(Stage::Norm);
        linear(layer, operand, out);
        self.turn(out, first, layer.outputs(), heads);
        listener.finished(Stage::Qkv);
    }

    /// Attention, and what follows it in a block.
    fn after_attention(
        &self,
        block: &Block,
        Keys { k, stride: kv_stride }: Keys<'_>,
        tokens: After<'_>,
        listener: &mut impl StageListener,
    ) {
        let After { q, x, operand, hidden, halves, scratch } = tokens;
        let (d, backend) = (self.width, self.backend);
        let queries = x.len() / d;
        let input = Attention {
            q,
            k,
            v: &k[d..],
            q_stride: 3 * d,
            kv_stride,
            queries,
            keys: self.tokens,
            heads: self.heads,
            head_dim: d / self.heads,
            scale: 1.0,
        };
        attention(backend, &input, scratch, operand);
        listener.finished(Stage::Attention);
        linear_residual(&block.proj, operand, x);
        listener.finished(Stage::Proj);

        standardize(backend, x, d, self.eps, operand);
        listener.finished(Stage::Norm);
        if self.gated {
            let halves = &mut halves[..queries * 2 * self.hidden];
            linear(&block.fc1, operand, halves);
            gate(backend, self.activation, halves, self.hidden, hidden);
        } else {
            linear_activation(&block.fc1, self.activation, operand, hidden);
        }
        listener.finished(Stage::Fc1Gelu);
        linear_residual(&block.fc2, hidden, x);
        listener.finished(Stage::Fc2);
    }

    /// Turns the first `heads` heads of the patches' rows of `x (rows, stride)`, whose first row is the token `first`, where positions
    /// are rotary.
    fn turn(&self, x: &mut [f32], first: usize, stride: usize, heads: usize) {
        let Some(angles) = &self.angles else { return };
        let (prefix, half) = (self.tokens - self.patch_count(), self.width / self.heads / 2);
        let rows = x.len() / stride;
        let before = prefix.saturating_sub(first).min(rows);
        let patches = first.saturating_sub(prefix) * half..;
        let input = Turn {
            stride,
            heads,
            cos: &angles.cos[patches.clone()][..(rows - before) * half],
            sin: &angles.sin[patches][..(rows - before) * half],
        };
        turn(self.backend, &input, &mut x[before * stride..]);
    }

    /// The last block's tokens to the feature.
    fn finish(&self, scratch: &mut Scratch, out: &mut [f32]) {
        let Scratch { x, operand, qkv, hidden, attention: attention_scratch, .. } = scratch;
        let (d, keys, backend, eps) = (self.width, self.tokens, self.backend, self.eps);
        let words = backend.precision().words(d);
        match &self.ends.head {
            Head::Token((weight, bias)) => layer_norm(backend, &x[..d], weight, bias, eps, out),
            Head::Projection((weight, bias), projection) => {
                layer_norm(backend, &x[..d], weight, bias, eps, &mut qkv[..d]);
                to_operand(backend, &qkv[..d], d, &mut operand[..words]);
                linear(projection, &operand[..words], out);
            }
            Head::Pool(pool) => {
                let Pool { query, keys_values, proj, fc1, fc2 } = &**pool;
                standardize(backend, x, d, eps, operand);
                let kv = &mut qkv[..keys * 2 * d];
                linear(keys_values, operand, kv);
                let input = Attention {
                    q: query,
                    k: kv,
                    v: &kv[d..],
                    q_stride: d,
                    kv_stride: 2 * d,
                    queries: 1,
                    keys,
                    heads: self.heads,
                    head_dim: d / self.heads,
                    scale: 1.0,
                };
                let operand = &mut operand[..words];
                attention(backend, &input, &mut attention_scratch[0], operand);
                linear(proj, operand, out);
                standardize(backend, out, d, eps, operand);
                let hidden = &mut hidden[..backend.precision().words(self.hidden)];
                linear_activation(fc1, self.activation, operand, hidden);
                linear_residual(fc2, hidden, out);
            }
        }
    }
}
