//! What the kernels' tests share.

use super::precision::{Precision, RUN};

/// Repeatable numbers, uniform in -1..1.
pub(crate) fn noise(n: usize, seed: u64) -> Vec<f32> {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// The values of a row of operand words.
pub(crate) fn unpack(precision: Precision, words: &[f32], width: usize) -> Vec<f32> {
    match precision {
        Precision::F32 => words[..width].to_vec(),
        Precision::Bf16 => {
            (0..width).map(|i| f32::from_bits((words[i / 2].to_bits() >> (16 * (i % 2))) << 16)).collect()
        }
        Precision::Bf16x3 => {
            let runs = words[..precision.words(width)].chunks_exact(RUN);
            let parts: Vec<_> = runs.map(|run| unpack(Precision::Bf16, run, 2 * RUN)).collect();
            let sums = parts.chunks_exact(2).flat_map(|parts| parts[0].iter().zip(&parts[1]));
            sums.map(|(first, second)| first + second).take(width).collect()
        }
    }
}
