//! The frame encoder's fast path on a CPU: the forward pass of `vit` over one frame, on the kernels' slices.
//!
//! The unit of work is a frame, computed by one thread in memory of its own, so a feature's bits do not depend on the
//! batch, the order or the number of threads, and threads never wait for one another. Where the feature is made of the class
//! token, only that token of the last block is read, so there its queries, projection and MLP are computed for it alone.

use std::sync::Mutex;

use candle_core::{Result, bail};

use super::IMAGE_SIZE as SIDE;
use super::fold::{BYTE_CENTRE, VitWeights};
use super::stages::{Stage, StageListener};
use super::vit::{HeadKind, VitConfig};
use super::workers::share;
use crate::guard::lock;
use crate::kernels::{
    Activation, Attention, AttentionScratch, Backend, Buffer, PackedLinear, Precision, attention, layer_norm,
    linear, linear_activation, linear_residual, standardize, to_operand,
};

/// Bytes of a frame: RGB, row by row.
pub const FRAME_BYTES: usize = SIDE * SIDE * 3;

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
    patch: usize,
    tokens: usize,
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
    attention: AttentionScratch,
}

impl FastEncoder {
    /// Folds and lays out the weights, with up to `threads` threads.
    ///
    /// # Errors
    /// If a tensor is missing or of the wrong size, the patch does not divide 224, or heads of odd width meet bf16, which
    /// pairs numbers.
    pub fn new(weights: &VitWeights, backend: Backend, threads: usize) -> Result<Self> {
        let &VitConfig { options, heads, width, output, patch, depth, hidden, activation, norm_eps, .. } =
            weights.config;
        let tokens = weights.config.tokens();
        if patch == 0 || !SIDE.is_multiple_of(patch) {
            bail!("a patch of {patch} pixels does not divide a frame of {SIDE}");
        }
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
            patch,
            tokens,
            start: weights.start()?,
            patches: weights.patch_embedding(backend)?,
            norm_pre: weights.norm_pre()?,
            blocks,
            head: Head::new(weights, backend)?,
            idle: Mutex::new(Vec::new()),
        })
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
            Stage::Patches => (SIDE / self.patch).pow(2) * pixels * d,
            Stage::Norm => 0,
            Stage::Qkv => rows * d * d + depth * n * 2 * d * d,
            Stage::Attention => 2 * rows * n * d,
            Stage::Proj => rows * d * d,
            Stage::Fc1Gelu | Stage::Fc2 => rows * d * hidden,
        }
    }

    /// GELUs of one frame, as computed.
    pub fn gelus(&self) -> usize {
        self.multiply_adds(Stage::Fc1Gelu, false) / self.width
    }

    /// Memory for one thread.
    pub fn scratch(&self) -> Scratch {
        let (n, words) = (self.tokens, |values| self.backend.precision().words(values));
        let pixels = self.patches.inputs();
        let patches = (SIDE / self.patch).pow(2) * words(pixels);
        Scratch {
            x: Buffer::zeros(n * self.width),
            operand: Buffer::zeros(n * words(self.width)),
            qkv: Buffer::zeros(n * 3 * self.width),
            hidden: Buffer::zeros(patches.max(n * words(self.hidden))),
            pixels: vec![0.0; pixels],
            attention: AttentionScratch::default(),
        }
    }

    /// The feature `out (width)` of one frame of [`FRAME_BYTES`] RGB bytes, by the calling thread alone.
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
        assert_eq!(rgb.len(), FRAME_BYTES, "a frame of another size");
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
        let (p, grid, line) = (self.patch, SIDE / self.patch, 3 * SIDE);
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
        let Scratch { x, operand, qkv, hidden, attention: attention_scratch, .. } = scratch;
        let (d, keys, backend) = (self.width, self.tokens, self.backend);
        let words = backend.precision().words(d);
        standardize(backend, x, d, self.eps, operand);
        listener.finished(Stage::Norm);

        // Only the last block has fewer queries than keys.
        let (queries, q, k, kv_stride) = match &block.project {
            Project::All(layer) => {
                linear(layer, operand, qkv);
                (keys, &qkv[..], &qkv[d..], 3 * d)
            }
            Project::Last { query, keys_values } => {
                let (kv, q) = qkv.split_at_mut(keys * 2 * d);
                linear(keys_values, operand, kv);
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
        linear_activation(&block.fc1, self.activation, operand, hidden);
        listener.finished(Stage::Fc1Gelu);
        linear_residual(&block.fc2, hidden, x);
        listener.finished(Stage::Fc2);
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

    /// The feature `(width)` of one frame of [`FRAME_BYTES`] RGB bytes, by the calling thread, in memory that is used again.
    ///
    /// # Errors
    /// If the frame has another size.
    pub fn encode_one(&self, frame: &[u8]) -> Result<Vec<f32>> {
        self.encode(&[frame], 1)
    }

    /// Features `(T, width)` of frames of [`FRAME_BYTES`] RGB bytes each, row-major, by up to `threads` threads; the bits do
    /// not depend on how many.
    ///
    /// # Errors
    /// If a frame has another size.
    pub fn encode<F: AsRef<[u8]> + Sync>(&self, frames: &[F], threads: usize) -> Result<Vec<f32>> {
        for frame in frames {
            if frame.as_ref().len() != FRAME_BYTES {
                bail!("a frame of {} bytes, expected {FRAME_BYTES} (224 x 224 RGB)", frame.as_ref().len());
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
