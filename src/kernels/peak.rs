//! The processor's largest matrix speed, with which `lift bench` compares every stage.

use std::time::Instant;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::buffer::Buffer;
use super::isa::Backend;
#[cfg(target_arch = "x86_64")]
use super::precision::Precision;
use super::simd::{Op, Simd};
use super::tile::{ROWS, Rows, multiply};

/// Rounds of which the fastest counts.
const ROUNDS: usize = 100;

/// Multiply-adds per round: a millisecond or two, short enough that some rounds pass undisturbed on a busy machine.
const WORK: usize = 100_000_000;

/// The matrix peak in GFLOP/s over `threads` threads at once: the micro-kernel on operands that are in the first cache
/// level, the fastest of several rounds on each thread, summed.
pub fn measure(backend: Backend, threads: usize) -> f64 {
    best_of(ROUNDS, backend, threads)
}

fn best_of(rounds: usize, backend: Backend, threads: usize) -> f64 {
    let barrier = std::sync::Barrier::new(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    #[cfg(target_arch = "x86_64")]
                    if let Some(unit) = backend.amx() {
                        return match backend.precision() {
                            Precision::Bf16x3 => tiles::<true>(unit, rounds),
                            _ => tiles::<false>(unit, rounds),
                        };
                    }
                    backend.run(Product { rounds })
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).sum()
    })
}

/// The fastest of several rounds of `WORK` done by `tile`, which takes `per_tile` multiply-adds, in GFLOP/s.
#[inline(always)]
fn fastest(rounds: usize, per_tile: usize, mut tile: impl FnMut()) -> f64 {
    let tiles = WORK / per_tile;
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..tiles {
            tile();
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (tiles * per_tile) as f64 / best / 1e9
}

struct Product {
    rounds: usize,
}

impl Op for Product {
    /// GFLOP/s.
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        // A panel of 16 KB beside six rows that it reads again and again.
        let steps = 4096 / (S::PANEL * S::LANES * S::PARTS);
        let (across, row) = (S::PANEL * S::LANES, steps * S::PARTS);
        let (a, b) = (Buffer::zeros(ROWS * row), Buffer::zeros(row * across));
        let mut c = Buffer::zeros(ROWS * across);
        fastest(self.rounds, ROWS * across * steps * S::PACK, || {
            let a = Rows { words: &a, rows: ROWS, steps, stride: row };
            multiply(s, a, &b, S::PANEL, &mut c, across);
            std::hint::black_box(&mut c[..]);
        })
    }
}

/// The same with the matrix unit's blocks: two panels of 16 KB.
#[cfg(target_arch = "x86_64")]
fn tiles<const SPLIT: bool>(unit: amx::Amx, rounds: usize) -> f64 {
    let (precision, steps) = if SPLIT { (Precision::Bf16x3, 4) } else { (Precision::Bf16, 8) };
    let tiles = amx::Tiles::configure(unit, amx::TILE);
    let panel = steps * amx::step_words(precision);
    let (a, b) = (Buffer::zeros(panel), Buffer::zeros(panel));
    let mut c = Buffer::zeros(amx::BLOCK * amx::BLOCK);
    fastest(rounds, amx::BLOCK * amx::BLOCK * steps * amx::STEP_VALUES, || {
        let a = amx::Left { words: &a, stride: panel / amx::BLOCK, steps };
        amx::multiply::<2, SPLIT>(&tiles, a, &b, &mut c, amx::BLOCK);
        std::hint::black_box(&mut c[..]);
    })
}

#[cfg(test)]
mod tests {
    use crate::kernels::isa::backends;

    #[test]
    fn is_a_rate_on_every_backend() {
        for backend in backends() {
            let rate = super::best_of(1, backend, 2);
            assert!(rate.is_finite() && rate > 0.0, "{backend:?}: {rate}");
        }
    }
}
