//! AMX: Intel's matrix unit, which multiplies bf16 tiles of 16 x 32 values, and the matrix products that run on it.
//!
//! The unit has eight tile registers of a kilobyte. A block of a product keeps four of them, 32 x 32 sums, and passes along
//! the summed axis 32 values at a time: two tiles of rows, two of columns, four multiplications, one load for each. That
//! leaves the vector units idle, so a finished block waits in memory while the next one is multiplied, and what
//! becomes of its sums (bias, GELU, residual) is computed between the steps of that one.
//!
//! The right-hand operand is packed tile by tile ([`pack`]); the left-hand one is read in place: operand rows as every
//! other kernel makes them. Sums are f32, and a row's do not depend on the rows beside it.
//!
//! Tiles are reached by stable inline assembly. The compiler knows no tile registers, so it never touches them between two
//! pieces of assembly; [`unit::Tiles`] holds them for as long as a product takes.
//!
//! With bf16x3 a step is of split values: twelve multiplications for eight loads. That was written on a machine without AMX:
//! tests run the same steps on registers in memory (`emulated`), and nobody has measured it.

#[cfg(test)]
mod emulated;
mod pack;
mod product;
mod unit;

use super::precision::Precision;

#[cfg(test)]
pub(super) use emulated::Emulated;
pub(super) use pack::{pack_columns, pack_rows, packed_words};
#[cfg(test)]
pub(super) use product::product_on;
pub(super) use product::{Left, Sums, multiply, product};
pub(super) use unit::{Amx, Registers, Tiles};

/// Columns of a panel of packed words, and rows of a block: two tiles.
pub(super) const BLOCK: usize = 32;

/// Words per row of a tile: a step along the summed axis.
pub(super) const STEP: usize = 16;

/// Rows of a tile.
pub(super) const TILE: usize = 16;

/// Words of a tile.
const TILE_WORDS: usize = TILE * STEP;

/// Words of a packed step: two tiles, of each part where values are split.
pub(super) const fn step_words(precision: Precision) -> usize {
    2 * TILE_WORDS * precision.parts()
}

/// The values one step passes.
pub(super) const STEP_VALUES: usize = 2 * STEP;

const _: () = assert!(STEP == super::precision::RUN);
