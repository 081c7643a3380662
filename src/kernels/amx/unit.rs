//! The matrix unit: requests it from the system, holds its registers, and has the few instructions that products need.

use std::arch::asm;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::super::x86::Avx512Bf16;
use super::{BLOCK, STEP, TILE, TILE_WORDS};

/// Proof that this processor has AMX with bf16 products and AVX-512 with bf16, and that the system lets this process use
/// them.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Amx(());

impl Amx {
    /// Asks the processor and the system, once per process.
    pub(in super::super) fn ask() -> Option<Self> {
        static GRANTED: OnceLock<bool> = OnceLock::new();
        let vectors = || {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512bf16")
        };
        GRANTED
            .get_or_init(|| vectors() && processor_has_tiles() && system_grants_tiles())
            .then_some(Self(()))
    }

    /// The vectors that go with it.
    pub(in super::super) fn vectors<const SPLIT: bool>(self) -> Avx512Bf16<SPLIT> {
        // SAFETY: `ask` asked for these features.
        unsafe { Avx512Bf16::new() }
    }
}

/// The instructions are there, and the system saves the registers (Intel's manual, volume 1, chapters 13 and 18).
fn processor_has_tiles() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    const STATE: u64 = 1 << 17 | 1 << 18;
    const OSXSAVE: u32 = 1 << 27;
    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: the caller has seen OSXSAVE, without which the instruction does not exist.
        unsafe { _xgetbv(0) }
    }
    if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & BF16_AND_TILES != BF16_AND_TILES {
        return false;
    }
    // SAFETY: OSXSAVE says that the instruction is enabled.
    __cpuid(1).ecx & OSXSAVE != 0 && unsafe { saved() } & STATE == STATE
}

/// Linux grants the registers to a process that asks, with all its threads, from version 5.16 on.
#[cfg(target_os = "linux")]
fn system_grants_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
}

/// Other systems are not supported.
#[cfg(not(target_os = "linux"))]
fn system_grants_tiles() -> bool {
    false
}

/// Eight tile registers and what is done with them: sums in 0 to 3, rows of the left operand in 4 and 5, columns of the right one in
/// 6 and 7. The instructions are methods of their own, so that tests run the same sequences of them on any processor.
pub(in super::super) trait Registers {
    /// Rows of a left operand's tile.
    fn rows(&self) -> usize;

    /// Clears register `R`.
    fn clear<const R: usize>(&self);

    /// Loads register `R`: rows of 16 words, `stride` words apart.
    ///
    /// # Safety
    /// Behind `from` stand as many such rows as the register has.
    unsafe fn load<const R: usize>(&self, from: *const f32, stride: usize);

    /// Writes register `R`: rows of 16 f32, `stride` f32 apart.
    ///
    /// # Safety
    /// Behind `to` there is room for as many such rows as the register has, and nobody else writes there.
    unsafe fn store<const R: usize>(&self, to: *mut f32, stride: usize);

    /// Register `SUMS` `+=` register `A` by register `B`, of bf16 pairs.
    fn multiply<const SUMS: usize, const A: usize, const B: usize>(&self);

    /// Clears the sums.
    #[inline(always)]
    fn clear_sums(&self) {
        self.clear::<0>();
        self.clear::<1>();
        self.clear::<2>();
        self.clear::<3>();
    }

    /// One step: `sums (T tiles x 2) += a b`, `a` the first word of `T` (1 or 2) row tiles, rows `stride` words apart, `b` the
    /// tiles of a packed step. Of two row tiles, the second's rows start `TILE` rows further on. Split rows have the words of their
    /// second parts behind those of the first ones, a split step has two tiles of second parts behind those of the first ones.
    ///
    /// # Safety
    /// Behind `a` stand as many rows of `STEP` words as were configured, and those of the second tile; behind `b` two tiles.
    /// With `SPLIT` twice as much of both.
    #[inline(always)]
    unsafe fn step<const T: usize, const SPLIT: bool>(&self, a: *const f32, stride: usize, b: *const f32) {
        // SAFETY: passed on.
        unsafe {
            if SPLIT {
                self.load_both::<T>(a.add(STEP), stride, b);
                // The first parts' columns stay for the first parts' rows, and those for the second parts' columns: eight
                // loads for twelve products.
                self.load_rows::<T>(a, stride);
                self.load_columns::<T>(b.add(2 * TILE_WORDS));
            } else {
                self.load_both::<T>(a, stride, b);
            }
        }
    }

    /// Loads rows and columns and multiplies them.
    ///
    /// # Safety
    /// As [`Registers::step`] without `SPLIT`.
    #[inline(always)]
    unsafe fn load_both<const T: usize>(&self, a: *const f32, stride: usize, b: *const f32) {
        // SAFETY: passed on.
        unsafe {
            self.load::<4>(a, stride);
            self.load::<6>(b, STEP);
            self.multiply::<0, 4, 6>();
            self.load::<7>(b.add(TILE_WORDS), STEP);
            self.multiply::<1, 4, 7>();
            self.load_second_rows::<T>(a, stride);
        }
    }

    /// Loads other rows and multiplies them with the columns that are there.
    ///
    /// # Safety
    /// As [`Registers::step`] without `SPLIT`.
    #[inline(always)]
    unsafe fn load_rows<const T: usize>(&self, a: *const f32, stride: usize) {
        // SAFETY: passed on.
        unsafe {
            self.load::<4>(a, stride);
            self.multiply::<0, 4, 6>();
            self.multiply::<1, 4, 7>();
            self.load_second_rows::<T>(a, stride);
        }
    }

    /// Loads the rows of the second tile, if there is one, and multiplies them with the columns that are there.
    ///
    /// # Safety
    /// As [`Registers::step`] without `SPLIT`.
    #[inline(always)]
    unsafe fn load_second_rows<const T: usize>(&self, a: *const f32, stride: usize) {
        if T == 2 {
            // SAFETY: passed on.
            unsafe { self.load::<5>(a.add(TILE * stride), stride) };
            self.multiply::<2, 5, 6>();
            self.multiply::<3, 5, 7>();
        }
    }

    /// Loads other columns and multiplies the rows that are there with them.
    ///
    /// # Safety
    /// As [`Registers::step`] without `SPLIT`.
    #[inline(always)]
    unsafe fn load_columns<const T: usize>(&self, b: *const f32) {
        // SAFETY: passed on.
        unsafe {
            self.load::<6>(b, STEP);
            self.multiply::<0, 4, 6>();
            if T == 2 {
                self.multiply::<2, 5, 6>();
            }
            self.load::<7>(b.add(TILE_WORDS), STEP);
            self.multiply::<1, 4, 7>();
            if T == 2 {
                self.multiply::<3, 5, 7>();
            }
        }
    }

    /// Writes the sums of `T` row tiles, rows of 32 f32, `stride` f32 apart; the second tile's start `TILE` rows further on.
    ///
    /// # Safety
    /// `to` points to that much memory, which nobody else writes.
    #[inline(always)]
    unsafe fn store_sums<const T: usize>(&self, to: *mut f32, stride: usize) {
        // SAFETY: passed on.
        unsafe {
            self.store::<0>(to, stride);
            self.store::<1>(to.add(TILE), stride);
            if T == 2 {
                self.store::<2>(to.add(TILE * stride), stride);
                self.store::<3>(to.add(TILE * stride + TILE), stride);
            }
        }
    }
}

/// The tile registers of this thread, configured. One at a time per thread; dropped, it gives them back, and the system need
/// not save them.
pub(in super::super) struct Tiles {
    /// Of a left operand's tile.
    rows: usize,
    /// Registers belong to a thread.
    _thread: PhantomData<*const ()>,
}

/// What `ldtilecfg` reads (palette 1).
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// Configures left operands and sums of `rows` rows a tile, 1 to `TILE`.
    pub(in super::super) fn configure(_: Amx, rows: usize) -> Self {
        assert!((1..=TILE).contains(&rows), "tiles of {rows} rows");
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        configuration.row_bytes[..8].fill(64);
        configuration.rows[..6].fill(rows as u8);
        configuration.rows[6..8].fill(TILE as u8);
        // SAFETY: `Amx` proves that the instruction is there and granted; the configuration is valid for palette 1.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags))
        };
        Self { rows, _thread: PhantomData }
    }
}

impl Registers for Tiles {
    #[inline(always)]
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn clear<const R: usize>(&self) {
        // SAFETY: the registers are configured and nobody else's.
        unsafe { asm!("tilezero tmm{}", const R, options(nomem, nostack, preserves_flags)) };
    }

    #[inline(always)]
    unsafe fn load<const R: usize>(&self, from: *const f32, stride: usize) {
        // SAFETY: the registers are configured and nobody else's; the caller answers for the memory.
        unsafe {
            asm!(
                "tileloadd tmm{register}, [{from} + {stride}*4]",
                register = const R, from = in(reg) from, stride = in(reg) stride,
                options(readonly, nostack, preserves_flags)
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const R: usize>(&self, to: *mut f32, stride: usize) {
        // SAFETY: the registers are configured and nobody else's; the caller answers for the memory.
        unsafe {
            asm!(
                "tilestored [{to} + {stride}*4], tmm{register}",
                register = const R, to = in(reg) to, stride = in(reg) stride,
                options(nostack, preserves_flags)
            );
        }
    }

    #[inline(always)]
    fn multiply<const SUMS: usize, const A: usize, const B: usize>(&self) {
        // SAFETY: the registers are configured and nobody else's.
        unsafe {
            asm!(
                "tdpbf16ps tmm{sums}, tmm{a}, tmm{b}",
                sums = const SUMS, a = const A, b = const B,
                options(nomem, nostack, preserves_flags)
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: they were configured, and their last user is gone.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
    }
}

const _: () = assert!(BLOCK == 2 * TILE && size_of::<Configuration>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_twice_gives_the_same_answer() {
        assert_eq!(Amx::ask().is_some(), Amx::ask().is_some());
    }

    #[test]
    fn a_step_adds_32_products_to_every_sum() {
        let Some(unit) = Amx::ask() else {
            println!("skipped: this processor has no AMX");
            return;
        };
        // Two bf16 ones in a word.
        let ones = [f32::from_bits(0x3f80_3f80); 512];
        let mut sums = [f32::NAN; 2 * BLOCK * TILE];
        for rows in [1, 5, TILE] {
            let tiles = Tiles::configure(unit, rows);
            tiles.clear_sums();
            // SAFETY: both operands are 512 words, the sums 32 rows of 32.
            unsafe {
                tiles.step::<2, false>(ones.as_ptr(), 16, ones.as_ptr());
                tiles.step::<2, false>(ones.as_ptr(), 16, ones.as_ptr());
                tiles.store_sums::<2>(sums.as_mut_ptr(), BLOCK);
            }
            assert!(sums[..rows * BLOCK].iter().all(|&sum| sum == 64.0), "{rows}");
            assert!(sums[TILE * BLOCK..][..rows * BLOCK].iter().all(|&sum| sum == 64.0), "{rows}");
        }
    }
}
