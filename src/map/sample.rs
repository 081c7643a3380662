//! Which clips of a large collection are shown.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

/// All rows of `rows` if there are at most `most`; else a seeded sample of so many, in their order.
pub fn shown(rows: usize, most: usize, seed: u64) -> Vec<usize> {
    if rows <= most {
        return (0..rows).collect();
    }
    let mut chosen = sample(&mut ChaCha8Rng::seed_from_u64(seed), rows, most).into_vec();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sample_in_the_order_of_the_rows() {
        assert_eq!(shown(5, 5, 0), [0, 1, 2, 3, 4]);
        let some = shown(1000, 50, 7);
        assert_eq!(some.len(), 50);
        assert!(some.windows(2).all(|pair| pair[0] < pair[1]) && some[49] > 500);
        assert_eq!(some, shown(1000, 50, 7));
        assert_ne!(some, shown(1000, 50, 8));
    }
}
