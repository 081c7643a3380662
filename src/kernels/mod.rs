//! The CPU's inner loops, behind plain names: linear layers, attention, norms, activations.
//!
//! Every kernel is a function over f32 slices, written once over a trait of vectors (`simd`) and compiled for each instruction set; a
//! [`Backend`] names the one that runs, chosen by asking the processor. Each is tested against the same computation in f64;
//! [`grad`] has what training needs, for candle's tensors, beside the composed expression that it is tested
//! against. No kernel of inference starts threads: the caller computes frames in parallel, so that a result never depends on the
//! number of threads.
//!
//! A slice of wrong length is a programmer's error and panics; lengths that come from outside are checked before.

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod buffer;
mod dot;
mod gate;
pub mod grad;
mod isa;
mod linear;
mod math;
mod norm;
mod pack;
pub mod peak;
mod portable;
mod precision;
mod simd;
mod student;
mod tile;
mod turn;

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
pub(crate) mod testing;

pub use attention::{Attention, AttentionScratch, attention};
pub use buffer::Buffer;
pub use dot::{dot, dot_i8, largest_i16, widen};
pub use gate::gate;
pub use isa::{Backend, Isa, Unsupported};
pub use linear::{PackedLinear, linear, linear_activation, linear_residual, to_operand};
pub use math::{Activation, QUICK_FACTOR, activate_in_place};
pub use norm::{layer_norm, standardize};
pub use precision::Precision;
pub use student::{Bodies, attraction, repulsion};
pub use turn::{Turn, turn};

#[cfg(test)]
pub(crate) use isa::backends;
