//! What the processor can do at most: the yardstick `lift bench` holds every stage against.

use std::time::Instant;

use super::buffer::Buffer;
use super::isa::Backend;
use super::simd::{Op, Simd};
use super::tile::{ROWS, Rows, multiply};

/// Rounds of which the fastest counts.
const ROUNDS: usize = 100;

/// Multiply-adds per round: a millisecond or two, short enough that some rounds pass undisturbed on a busy machine.
const WORK: usize = 100_000_000;

/// The matrix peak in GFLOP/s over `threads` threads at once: the micro-kernel on operands that lie in the first cache
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
                    backend.run(Product { rounds })
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).sum()
    })
}

struct Product {
    rounds: usize,
}

impl Op for Product {
    /// GFLOP/s.
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        // A panel of 16 KB beside six rows of 384 bytes.
        let steps = 4096 / (S::PANEL * S::LANES);
        let across = S::PANEL * S::LANES;
        let (a, b) = (Buffer::zeros(ROWS * steps), Buffer::zeros(steps * across));
        let mut c = Buffer::zeros(ROWS * across);
        let per_tile = ROWS * across * steps * S::PACK;
        let tiles = WORK / per_tile;
        let mut best = f64::MAX;
        for _ in 0..self.rounds {
            let start = Instant::now();
            for _ in 0..tiles {
                multiply(
                    s,
                    Rows { words: &a, rows: ROWS, steps, stride: steps },
                    &b,
                    S::PANEL,
                    &mut c,
                    across,
                );
            }
            std::hint::black_box(&c[..]);
            best = best.min(start.elapsed().as_secs_f64());
        }
        2.0 * (tiles * per_tile) as f64 / best / 1e9
    }
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
