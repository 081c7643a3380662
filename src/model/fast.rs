//! The frame encoder's fast path on a CPU: the forward pass of `vit` over one frame, on the kernels' slices.
//!
//! The unit of work is a frame, computed by one thread in memory of its own (`frame.rs`). Threads that have no frame take a part
//! of another one's tokens. A token's numbers do not depend on the tokens beside it, so a feature's bits do not depend on the
//! batch, the order or the number of threads.

mod frame;
mod weights;

use std::sync::Mutex;

use candle_core::{Result, bail};

use super::fold::Norm;
use super::rotary::Angles;
use super::stages::Stage;
use super::vit::{HeadKind, Positions, VitConfig};
use super::workers::share;
use crate::guard::lock;
use crate::kernels::{Activation, Backend, PackedLinear, Precision};
use crate::threads::IdleThreads;
pub use frame::Scratch;
pub use weights::VitWeights;

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
    blocks: Vec<Block>,
    ends: Ends,
    /// Memory of threads that are done, for the next ones.
    spare: Mutex<Vec<Scratch>>,
}

/// What comes before and after the blocks.
#[derive(Debug)]
struct Ends {
    /// Class token, registers and positions, `(N, D)`.
    start: Vec<f32>,
    patches: PackedLinear,
    norm_pre: Option<Norm>,
    head: Head,
}

impl Ends {
    fn new(weights: &VitWeights, backend: Backend) -> Result<Self> {
        Ok(Self {
            start: weights.start()?,
            patches: weights.patch_embedding(backend)?,
            norm_pre: weights.norm_pre()?,
            head: Head::new(weights, backend)?,
        })
    }
}

#[derive(Debug)]
struct Block {
    project: Project,
    proj: PackedLinear,
    fc1: PackedLinear,
    fc2: PackedLinear,
}

impl Block {
    fn new(weights: &VitWeights, index: usize, backend: Backend) -> Result<Self> {
        let &VitConfig { options, width, depth, .. } = weights.config;
        let folded = weights.block(index)?;
        let project = if index + 1 < depth || !options.class_token {
            Project::All(folded.qkv.pack(backend))
        } else {
            Project::Last {
                query: folded.qkv.pack_outputs(backend, 0..width),
                keys_values: folded.qkv.pack_outputs(backend, width..3 * width),
            }
        };
        let [proj, fc1, fc2] = [&folded.proj, &folded.fc1, &folded.fc2].map(|l| l.pack(backend));
        Ok(Self { project, proj, fc1, fc2 })
    }
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

impl FastEncoder {
    /// Folds and lays out the weights, with up to `threads` threads.
    ///
    /// # Errors
    /// If a tensor is missing or of the wrong size, a frame has no room for a patch, or heads of odd width meet bf16, which
    /// pairs numbers.
    pub fn new(weights: &VitWeights, backend: Backend, threads: usize) -> Result<Self> {
        Self::check(weights, backend)?;
        let &VitConfig { options, heads, width, output, patch, depth, hidden, activation, norm_eps, .. } =
            weights.config;
        let blocks: Vec<_> = (0..depth).map(|_| Mutex::new(None)).collect();
        let ends = Mutex::new(None);
        let lay_out = |(): &mut (), i: usize| match i.checked_sub(1) {
            None => *lock(&ends) = Some(Ends::new(weights, backend)),
            Some(i) => *lock(&blocks[i]) = Some(Block::new(weights, i, backend)),
        };
        share(threads, 1 + depth, || (), lay_out, || ());
        let made = |block: Mutex<Option<Result<Block>>>| lock(&block).take();
        let blocks = blocks.into_iter().filter_map(made).collect::<Result<_>>()?;
        let ends = lock(&ends).take().unwrap_or_else(|| Ends::new(weights, backend))?;
        Ok(Self {
            backend,
            width,
            output,
            heads,
            hidden,
            activation,
            eps: norm_eps as f32,
            side: weights.config.side(),
            patch,
            tokens: weights.config.tokens(),
            angles: (options.positions == Positions::Rotary)
                .then(|| Angles::new(weights.config.frame_grid(), width / heads)),
            gated: options.gated,
            blocks,
            ends,
            spare: Mutex::new(Vec::new()),
        })
    }

    /// Checks what does not depend on the numbers.
    ///
    /// # Errors
    /// If a frame has no room for a patch, or heads of odd width meet bf16, which pairs numbers.
    pub fn check(weights: &VitWeights, backend: Backend) -> Result<()> {
        let &VitConfig { heads, width, patch, .. } = weights.config;
        let (side, head_dim) = (weights.config.side(), width / heads);
        if patch == 0 || patch > side {
            bail!("a patch of {patch} pixels has no room in a frame of {side}");
        }
        if backend.precision() == Precision::Bf16 && !head_dim.is_multiple_of(2) {
            bail!("bf16 needs attention heads of even width, these are {head_dim} wide; use f32");
        }
        Ok(())
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
        let (hidden, pixels) = (self.hidden, self.ends.patches.inputs());
        // Tokens that pass through queries and everything after attention, over all blocks.
        let whole = full || matches!(self.ends.head, Head::Pool(_));
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

    /// The feature `(width)` of one frame of [`Self::frame_bytes`] RGB bytes, by the calling thread and what it finds among `idle`,
    /// in memory that is used again.
    ///
    /// # Errors
    /// If the frame has another size.
    pub fn encode_one(&self, frame: &[u8], idle: &IdleThreads) -> Result<Vec<f32>> {
        self.encode_sharing(&[frame], 1, idle, || ())
    }

    /// Features `(T, width)` of frames of [`Self::frame_bytes`] RGB bytes each, row-major, by up to `threads` threads; the bits do
    /// not depend on how many.
    ///
    /// # Errors
    /// If a frame has another size.
    pub fn encode<F: AsRef<[u8]> + Sync>(&self, frames: &[F], threads: usize) -> Result<Vec<f32>> {
        let idle = IdleThreads::default();
        idle.lend(threads.saturating_sub(frames.len()));
        self.encode_sharing(frames, threads, &idle, || idle.lend(1))
    }

    /// [`Self::encode`] with what is found among `idle`; each thread calls `done` when it finds no more frame.
    fn encode_sharing<F: AsRef<[u8]> + Sync>(
        &self,
        frames: &[F],
        threads: usize,
        idle: &IdleThreads,
        done: impl Fn() + Sync,
    ) -> Result<Vec<f32>> {
        for frame in frames {
            let (bytes, expected, side) = (frame.as_ref().len(), self.frame_bytes(), self.side);
            if bytes != expected {
                bail!("a frame of {bytes} bytes, expected {expected} ({side} x {side} RGB)");
            }
        }
        let mut features = vec![0.0; frames.len() * self.output];
        let rows: Vec<_> = features.chunks_exact_mut(self.output).map(Mutex::new).collect();
        let borrow = || Borrowed { pool: &self.spare, scratch: lock(&self.spare).pop() };
        let encode = |scratch: &mut Borrowed<'_>, i: usize| {
            let scratch = scratch.scratch.get_or_insert_with(|| self.scratch());
            self.encode_frame(frames[i].as_ref(), scratch, idle, &mut (), &mut lock(&rows[i]));
        };
        share(threads, frames.len(), borrow, encode, done);
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
