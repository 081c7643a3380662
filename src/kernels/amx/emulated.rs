//! The tile registers in memory, so that what runs on the matrix unit is tested on processors that have none.

use std::cell::RefCell;

use super::super::isa::Isa;
use super::super::precision::Precision;
use super::super::x86::Avx512Bf16;
use super::unit::Registers;
use super::{STEP, TILE, TILE_WORDS};

/// Eight registers that do what Intel's manual says of the instructions.
pub(in super::super) struct Emulated {
    /// Of a left operand's tile.
    rows: usize,
    registers: RefCell<[[f32; TILE_WORDS]; 8]>,
}

impl Emulated {
    /// Configures left operands and sums of `rows` rows a tile.
    pub(in super::super) fn configure(rows: usize) -> Self {
        // Whatever the registers held before must not matter.
        Self { rows, registers: RefCell::new([[f32::NAN; TILE_WORDS]; 8]) }
    }

    /// The vectors that go with it, where this processor has them.
    pub(in super::super) fn vectors<const SPLIT: bool>() -> Option<Avx512Bf16<SPLIT>> {
        if !Isa::Avx512.supports(Precision::Bf16) {
            println!("skipped: this processor has no AVX512-BF16");
            return None;
        }
        // SAFETY: the processor was just asked for the features.
        Some(unsafe { Avx512Bf16::new() })
    }

    fn rows_of(&self, register: usize) -> usize {
        if register < 6 { self.rows } else { TILE }
    }
}

/// Both bf16 of a word.
fn pair(word: f32) -> [f32; 2] {
    [word.to_bits() << 16, word.to_bits() & 0xffff_0000].map(f32::from_bits)
}

impl Registers for Emulated {
    fn rows(&self) -> usize {
        self.rows
    }

    fn clear<const R: usize>(&self) {
        self.registers.borrow_mut()[R].fill(0.0);
    }

    unsafe fn load<const R: usize>(&self, from: *const f32, stride: usize) {
        let register = &mut self.registers.borrow_mut()[R];
        register.fill(0.0);
        for (row, to) in register.chunks_exact_mut(STEP).take(self.rows_of(R)).enumerate() {
            // SAFETY: the caller answers for the memory.
            to.copy_from_slice(unsafe { std::slice::from_raw_parts(from.add(row * stride), STEP) });
        }
    }

    unsafe fn store<const R: usize>(&self, to: *mut f32, stride: usize) {
        let register = &self.registers.borrow()[R];
        for (row, from) in register.chunks_exact(STEP).take(self.rows_of(R)).enumerate() {
            // SAFETY: the caller answers for the memory.
            unsafe { to.add(row * stride).copy_from_nonoverlapping(from.as_ptr(), STEP) };
        }
    }

    fn multiply<const SUMS: usize, const A: usize, const B: usize>(&self) {
        let mut registers = self.registers.borrow_mut();
        for row in 0..self.rows {
            for column in 0..TILE {
                let mut both = [0.0f32; 2];
                for step in 0..STEP {
                    let a = pair(registers[A][row * STEP + step]);
                    let b = pair(registers[B][step * STEP + column]);
                    both = [0, 1].map(|half| a[half].mul_add(b[half], both[half]));
                }
                registers[SUMS][row * STEP + column] += both[0] + both[1];
            }
        }
    }
}
