//! The matrix unit: requests it from the system, holds its registers, and has the few instructions that products need.

use std::arch::asm;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::super::x86::Avx512Bf16;
use super::{BLOCK, TILE};

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
    pub(in super::super) fn vectors(self) -> Avx512Bf16 {
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

/// The tile registers of this thread, configured: sums in 0 to 3, rows of the left operand in 4 and 5, columns of the
/// right one in 6 and 7. One at a time per thread; dropped, it gives them back, and the system need not save them.
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

    /// Rows of a left operand's tile.
    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Clears the sums.
    #[inline(always)]
    pub(super) fn clear(&self) {
        // SAFETY: the registers are configured and nobody else's.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nomem, nostack, preserves_flags)
            );
        }
    }

    /// One step: `sums (T tiles x 2) += a b`, `a` the first word of `T` (1 or 2) row tiles, rows `stride` words apart, `b` the
    /// two tiles of a packed step. Of two tiles, the second's rows start `TILE` rows further on.
    ///
    /// # Safety
    /// Behind `a` stand as many rows of 16 words as were configured, and those of the second tile; behind `b` 512 words.
    #[inline(always)]
    pub(super) unsafe fn step<const T: usize>(&self, a: *const f32, stride: usize, b: *const f32) {
        // SAFETY: the registers are configured and nobody else's; the caller answers for the memory.
        unsafe {
            if T == 1 {
                asm!(
                    "tileloadd tmm4, [{a} + {stride}*4]",
                    "tileloadd tmm6, [{b} + {line}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    a = in(reg) a, stride = in(reg) stride, b = in(reg) b, line = in(reg) 64_usize,
                    options(readonly, nostack, preserves_flags)
                );
            } else {
                asm!(
                    "tileloadd tmm4, [{a} + {stride}*4]",
                    "tileloadd tmm6, [{b} + {line}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{below} + {stride}*4]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    a = in(reg) a, below = in(reg) a.add(TILE * stride), stride = in(reg) stride, b = in(reg) b, line = in(reg) 64_usize,
                    options(readonly, nostack, preserves_flags)
                );
            }
        }
    }

    /// Writes the sums of `T` row tiles, rows of 32 f32, `stride` f32 apart; the second tile's start `TILE` rows further on.
    ///
    /// # Safety
    /// `to` points to that much memory.
    #[inline(always)]
    pub(super) unsafe fn store<const T: usize>(&self, to: *mut f32, stride: usize) {
        // SAFETY: the registers are configured and nobody else's; the caller answers for the memory.
        unsafe {
            asm!(
                "tilestored [{to} + {stride}*4], tmm0",
                "tilestored [{to} + {stride}*4 + 64], tmm1",
                to = in(reg) to, stride = in(reg) stride,
                options(nostack, preserves_flags)
            );
            if T == 2 {
                asm!(
                    "tilestored [{to} + {stride}*4], tmm2",
                    "tilestored [{to} + {stride}*4 + 64], tmm3",
                    to = in(reg) to.add(TILE * stride), stride = in(reg) stride,
                    options(nostack, preserves_flags)
                );
            }
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
            tiles.clear();
            // SAFETY: both operands are 512 words, the sums 32 rows of 32.
            unsafe {
                tiles.step::<2>(ones.as_ptr(), 16, ones.as_ptr());
                tiles.step::<2>(ones.as_ptr(), 16, ones.as_ptr());
                tiles.store::<2>(sums.as_mut_ptr(), BLOCK);
            }
            assert!(sums[..rows * BLOCK].iter().all(|&sum| sum == 64.0), "{rows}");
            assert!(sums[TILE * BLOCK..][..rows * BLOCK].iter().all(|&sum| sum == 64.0), "{rows}");
        }
    }
}
