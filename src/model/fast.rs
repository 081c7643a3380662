//! The frame encoder's fast path on a CPU: the forward pass of `vit` over one frame, on the kernels' slices.
//!
//! The unit of work is a frame, computed by one thread in memory of its own, so a feature's bits do not depend on the
//! batch, the order or the number of threads, and threads never wait for one another. Where the feature is made of the class
//! token, only that token of the last block is read, so there its queries, projection and MLP are computed for it alone.

use std::sync::Mutex;

use candle_core::{Result, bail};

use super::fold::{BYTE_CENTRE, VitWeights};
use super::rotary::Angles;
use super::stages::{Stage, StageListener};
use super::vit::{HeadKind, Positions, VitConfig};
use super::workers::share;
use crate::guard::lock;
use crate::kernels::{
    Activation, Attention, AttentionScratch, Backend, Buffer, PackedLinear, Precision, Turn, attention, gate,
    layer_norm, linear, linear_activation, linear_residual, standardize, to_operand, turn,
};

/// The frame encoder with its weights laid out for one [`Backend`].
#[derive(Debug)]
pub struct FastEncoder {
    backend: Backend,
    width: usize,
    output: usize,
    heads: usize,
    hidden: usize,
    activation: Activation,
    /// Epsilon of every LayerNorm.
    eps: f32,
    /// Side of a frame in pixels.
    side: usize,
    patch: usize,
    tokens: usize,
    /// By what the queries and keys of the patches are turned.
    angles: Option<Angles>,
    /// The MLPs' first layer gives two halves.
    gated: bool,
    /// Class token, registers and positions, `(N, D)`.
    start: Vec<f32>,
    patches: PackedLinear,
    norm_pre: Option<Norm>,
    blocks: Vec<Block>,
    head: Head,
    /// Memory of threads that are done, for the next ones.
    idle: Mutex<Vec<Scratch>>,
}

/// Weight and bias of a norm that is a step of its own, `(D)` each.
type Norm = (Vec<f32>, Vec<f32>);

#[derive(Debug)]
struct Block {
    project: Project,
    proj: PackedLinear,
    fc1: PackedLinear,
    fc2: PackedLinear,
}

/// The layer before attention.
#[derive(Debug)]
enum Project {
    /// Queries, keys and values of all tokens at once.
    All(PackedLinear),
    /// The last block: keys and values of all tokens, the query of the first.
    Last { query: PackedLinear, keys_values: PackedLinear },
}

/// What makes a feature of the last block's tokens.
#[derive(Debug)]
enum Head {
    /// The class token, normed.
    Token(Norm),
    /// That, projected.
    Projection(Norm, PackedLinear),
    /// A learned query's attention over all tokens, normed.
    Pool(Box<Pool>),
}

#[derive(Debug)]
struct Pool {
    /// Projected and scaled, `(D)`.
    query: Vec<f32>,
    keys_values: PackedLinear,
    proj: PackedLinear,
    fc1: PackedLinear,
    fc2: PackedLinear,
}

impl Head {
    fn new(weights: &VitWeights, backend: Backend) -> Result<Self> {
        Ok(match weights.config.options.head {
            HeadKind::Token => Self::Token(weights.norm("norm")?),
            HeadKind::Projection => Self::Projection(weights.norm("norm")?, weights.projection(backend)?),
            HeadKind::AttentionPool => {
                let folded = weights.pool()?;
                let [keys_values, proj, fc1, fc2] =
                    [&folded.keys_values, &folded.proj, &folded.fc1, &folded.fc2].map(|l| l.pack(backend));
                Self::Pool(Box::new(Pool { query: folded.query, keys_values, proj, fc1, fc2 }))
            }
        })
    }
}

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
    attention: AttentionScratch,
}

impl FastEncoder {
    /// Folds and lays out the weights, with up to `threads` threads.
    ///
    /// # Errors
    /// If a tensor is missing or of the wrong size, a frame has no room for a patch, or heads of odd width meet bf16, which
    /// pairs numbers.
    pub fn new(weights: &VitWeights, backend: Backend, threads: usize) -> Result<Self> {
        let &VitConfig { options, heads, width, output, patch, depth, hidden, activation, norm_eps, .. } =
            weights.config;
        let side = weights.config.side();
        if patch == 0 || patch > side {
            bail!("a patch of {patch} pixels has no room in a frame of {side}");
        }
        let tokens = weights.config.tokens();
        let head_dim = width / heads;
        if backend.precision() == Precision::Bf16 && !head_dim.is_multiple_of(2) {
            bail!("bf16 needs attention heads of even width, these are {head_dim} wide; use f32");
        }
        let blocks: Vec<_> = (0..depth).map(|_| Mutex::new(None)).collect();
        share(
            threads,
            depth,
            || (),
            |(), i| {
                let block = weights.block(i).map(|folded| {
                    let project = if i + 1 < depth || !options.class_token {
                        Project::All(folded.qkv.pack(backend))
                    } else {
                        Project::Last {
                            query: folded.qkv.pack_outputs(backend, 0..width),
                            keys_values: folded.qkv.pack_outputs(backend, width..3 * width),
                        }
                    };
                    let [proj, fc1, fc2] = [&folded.proj, &folded.fc1, &folded.fc2].map(|l| l.pack(backend));
                    Block { project, proj, fc1, fc2 }
                });
                *lock(&blocks[i]) = Some(block);
            },
        );
        let blocks = blocks.into_iter().filter_map(|block| lock(&block).take()).collect::<Result<_>>()?;
        Ok(Self {
            backend,
            width,
            output,
            heads,
            hidden,
            activation,
            eps: norm_eps as f32,
            side,
            patch,
            tokens,
            angles: (options.positions == Positions::Rotary)
                .then(|| Angles::new(weights.config.frame_grid(), head_dim)),
            gated: options.gated,
            start: weights.start()?,
            patches: weights.patch_embedding(backend)?,
            norm_pre: weights.norm_pre()?,
            blocks,
            head: Head::new(weights, backend)?,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Bytes of a frame: RGB, row by row.
    pub fn frame_bytes(&self) -> usize {
        self.side * self.side * 3
    }

    /// Patches of a frame.
    fn patch_count(&self) -> usize {
        (self.side / self.patch).pow(2)
    }

    /// Width of a feature.
    pub fn output(&self) -> usize {
        self.output
    }

    /// Instruction set and precision.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Multiply-adds of one frame in `stage`, as computed, the head left out; `full` counts the last block for all its tokens.
    pub fn multiply_adds(&self, stage: Stage, full: bool) -> usize {
        let (n, d, depth) = (self.tokens, self.width, self.blocks.len());
        let (hidden, pixels) = (self.hidden, self.patches.inputs());
        // Tokens that pass through queries and everything after attention, over all blocks.
        let whole = full || matches!(self.head, Head::Pool(_));
        let rows = if whole { depth * n } else { (depth - 1) * n + 1 };
        match stage {
            Stage::Patches => self.patch_count() * pixels * d,
            Stage::Norm => 0,
            Stage::Qkv => rows * d * d + depth * n * 2 * d * d,
            Stage::Attention => 2 * rows * n * d,
            Stage::Proj => rows * d * d,
            Stage::Fc1Gelu => rows * d * hidden * if self.gated { 2 } else { 1 },
            Stage::Fc2 => rows * d * hidden,
        }
    }

    /// Between the layers of the MLPs.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Activations of one frame, as computed.
    pub fn activations(&self) -> usize {
        self.multiply_adds(Stage::Fc2, false) / self.width
    }

    /// Memory for one thread.
    pub fn scratch(&self) -> Scratch {
        let (n, words) = (self.tokens, |values| self.backend.precision().words(values));
        let pixels = self.patches.inputs();
        let patches = self.patch_count() * words(pixels);
        Scratch {
            x: Buffer::zeros(n * self.width),
            operand: Buffer::zeros(n * words(self.width)),
            qkv: Buffer::zeros(n * 3 * self.width),
            hidden: Buffer::zeros(patches.max(n * words(self.hidden))),
            pixels: vec![0.0; pixels],
            halves: Buffer::zeros(if self.gated { n * 2 * self.hidden } else { 0 }),
            attention: AttentionScratch::default(),
        }
    }

    /// The feature `out (width)` of one frame of [`Self::frame_bytes`] RGB bytes, by the calling thread alone.
    ///
    /// # Panics
    /// If `rgb` or `out` has another length, or `scratch` is another encoder's.
    pub fn encode_frame(
        &self,
        rgb: &[u8],
        scratch: &mut Scratch,
        listener: &mut impl StageListener,
        out: &mut [f32],
    ) {
        assert_eq!(rgb.len(), self.frame_bytes(), "a frame of another size");
        self.embed(rgb, scratch);
        listener.finished(Stage::Patches);
        for block in &self.blocks {
            self.block(block, scratch, listener);
        }
        self.finish(scratch, out);
        listener.finished(Stage::Norm);
    }

    /// Bytes to tokens.
    fn embed(&self, rgb: &[u8], scratch: &mut Scratch) {
        let (p, grid, line) = (self.patch, self.side / self.patch, 3 * self.side);
        let words = self.backend.precision().words(self.patches.inputs());
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
        scratch.x.copy_from_slice(&self.start);
        let prefix = (self.tokens - grid * grid) * self.width;
        linear_residual(&self.patches, operand, &mut scratch.x[prefix..]);
        if let Some((weight, bias)) = &self.norm_pre {
            let normed = &mut scratch.qkv[..self.tokens * self.width];
            layer_norm(self.backend, &scratch.x, weight, bias, self.eps, normed);
            scratch.x.copy_from_slice(normed);
        }
    }

    fn block(&self, block: &Block, scratch: &mut Scratch, listener: &mut impl StageListener) {
        let Scratch { x, operand, qkv, hidden, halves, attention: attention_scratch, .. } = scratch;
        let (d, keys, backend) = (self.width, self.tokens, self.backend);
        let words = backend.precision().words(d);
        standardize(backend, x, d, self.eps, operand);
        listener.finished(Stage::Norm);

        // Only the last block has fewer queries than keys.
        let (queries, q, k, kv_stride) = match &block.project {
            Project::All(layer) => {
                linear(layer, operand, qkv);
                self.turn(qkv, 3 * d, 2 * self.heads);
                (keys, &qkv[..], &qkv[d..], 3 * d)
            }
            Project::Last { query, keys_values } => {
                let (kv, q) = qkv.split_at_mut(keys * 2 * d);
                linear(keys_values, operand, kv);
                self.turn(kv, 2 * d, self.heads);
                linear(query, &operand[..words], &mut q[..d]);
                (1, &*q, &*kv, 2 * d)
            }
        };
        listener.finished(Stage::Qkv);
        let input = Attention {
            q,
            k,
            v: &k[d..],
            q_stride: 3 * d,
            kv_stride,
            queries,
            keys,
            heads: self.heads,
            head_dim: d / self.heads,
            scale: 1.0,
        };
        let (x, operand) = (&mut x[..queries * d], &mut operand[..queries * words]);
        attention(backend, &input, attention_scratch, operand);
        listener.finished(Stage::Attention);
        linear_residual(&block.proj, operand, x);
        listener.finished(Stage::Proj);

        standardize(backend, x, d, self.eps, operand);
        listener.finished(Stage::Norm);
        let hidden = &mut hidden[..queries * backend.precision().words(self.hidden)];
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

    /// Turns the first `heads` heads of the patches' rows of `x (N, stride)`, where positions are rotary.
    fn turn(&self, x: &mut [f32], stride: usize, heads: usize) {
        if let Some(angles) = &self.angles {
            let prefix = self.tokens - self.patch_count();
            let input = Turn { stride, heads, cos: &angles.cos, sin: &angles.sin };
            turn(self.backend, &input, &mut x[prefix * stride..]);
        }
    }

    /// The last block's tokens to the feature.
    fn finish(&self, scratch: &mut Scratch, out: &mut [f32]) {
        let Scratch { x, operand, qkv, hidden, attention: attention_scratch, .. } = scratch;
        let (d, keys, backend, eps) = (self.width, self.tokens, self.backend, self.eps);
        let words = backend.precision().words(d);
        match &self.head {
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
                attention(backend, &input, attention_scratch, operand);
                linear(proj, operand, out);
                standardize(backend, out, d, eps, operand);
                let hidden = &mut hidden[..backend.precision().words(self.hidden)];
                linear_activation(fc1, self.activation, operand, hidden);
                linear_residual(fc2, hidden, out);
            }
        }
    }

    /// The feature `(width)` of one frame of [`Self::frame_bytes`] RGB bytes, by the calling thread, in memory that is used again.
    ///
    /// # Errors
    /// If the frame has another size.
    pub fn encode_one(&self, frame: &[u8]) -> Result<Vec<f32>> {
        self.encode(&[frame], 1)
    }

    /// Features `(T, width)` of frames of [`Self::frame_bytes`] RGB bytes each, row-major, by up to `threads` threads; the bits do
    /// not depend on how many.
    ///
    /// # Errors
    /// If a frame has another size.
    pub fn encode<F: AsRef<[u8]> + Sync>(&self, frames: &[F], threads: usize) -> Result<Vec<f32>> {
        for frame in frames {
            let (bytes, expected, side) = (frame.as_ref().len(), self.frame_bytes(), self.side);
            if bytes != expected {
                bail!("a frame of {bytes} bytes, expected {expected} ({side} x {side} RGB)");
            }
        }
        let mut features = vec![0.0; frames.len() * self.output];
        let rows: Vec<_> = features.chunks_exact_mut(self.output).map(Mutex::new).collect();
        let borrow = || Borrowed { pool: &self.idle, scratch: lock(&self.idle).pop() };
        share(threads, frames.len(), borrow, |scratch, i| {
            let scratch = scratch.scratch.get_or_insert_with(|| self.scratch());
            self.encode_frame(frames[i].as_ref(), scratch, &mut (), &mut lock(&rows[i]));
        });
        drop(rows);
        Ok(features)
    }
}

/// Scratch memory that goes back to its pool.
struct Borrowed<'a> {
    pool: &'a Mutex<Vec<Scratch>>,
    scratch: Option<Scratch>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        lock(self.pool).extend(self.scratch.take());
    }
}

#[cfg(test)]
mod tests;
