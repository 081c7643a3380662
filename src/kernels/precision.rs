//! The precisions of matrix products, and how many words their operands take.

/// Words of one part that stand together in a row of split values: a row of AMX's tiles.
pub(super) const RUN: usize = 16;

/// The numbers that matrix products multiply; sums are f32 in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// IEEE single precision.
    F32,
    /// Eight bits of significand, the exponents of f32.
    Bf16,
    /// Sums of two bf16, the second being what the first leaves of an f32: sixteen bits of significand. Three products for one.
    Bf16x3,
}

impl Precision {
    /// As users name it: `f32`, `bf16`, `bf16x3`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Bf16x3 => "bf16x3",
        }
    }

    /// 4-byte words that a row of `values` numbers takes as an operand of a matrix product.
    pub const fn words(self, values: usize) -> usize {
        match self {
            Precision::F32 => values,
            Precision::Bf16 => values.div_ceil(2),
            // Whole runs of both parts.
            Precision::Bf16x3 => values.next_multiple_of(2 * RUN),
        }
    }

    /// Neighbouring values in one word.
    pub(super) const fn pack(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Bf16 | Precision::Bf16x3 => 2,
        }
    }

    /// Words that hold a value.
    pub(super) const fn parts(self) -> usize {
        match self {
            Precision::F32 | Precision::Bf16 => 1,
            Precision::Bf16x3 => 2,
        }
    }
}
