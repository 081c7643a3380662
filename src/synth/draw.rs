//! Random numbers from ChaCha streams whose seeds are text; this module turns the bits into numbers, not a crate.
//!
//! A stream has a name ("seed 7, group 3, train, forward, clip 12"), not a number that depends on the order of the work. So a
//! clip depends on its own name only, and not on the thread that draws it or on the number of clips.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// One random stream.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of this name: ChaCha8 seeded with the name's SHA-256.
    pub fn named(name: &str) -> Self {
        Self(ChaCha8Rng::from_seed(Sha256::digest(name.as_bytes()).into()))
    }

    /// Uniform in `[0, 1)`, 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..count`; the bias of the multiplication is below 2^-24 for the counts used here.
    pub fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// -1 or 1.
    pub fn sign(&mut self) -> f32 {
        if self.0.next_u32() & 1 == 0 { -1.0 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_give_equal_streams() {
        let first = |name: &str| Draw::named(name).unit();
        assert_eq!(first("a"), first("a"));
        assert_ne!(first("a"), first("b"));
    }

    #[test]
    fn below_reaches_every_value_and_no_other() {
        let mut draw = Draw::named("below");
        let mut seen = [0; 5];
        (0..1000).for_each(|_| seen[draw.below(5)] += 1);
        assert!(seen.iter().all(|&count| count > 120), "{seen:?}");
    }
}
