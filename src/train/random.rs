//! Counter-based random numbers: SplitMix64 (Steele, Lea & Flood 2014) read at any position.
//!
//! A generator with a state would have to be saved with every checkpoint, and its numbers drawn in one order. This one has no
//! state: seed, purpose and position decide a number, so a resumed run and any number of threads get the same ones.

/// 2^64 over the golden ratio, SplitMix64's increment.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser.
#[inline]
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What a stream is used for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The initial weights.
    Init = 1,
    /// The order of the clips in an epoch.
    Shuffle = 2,
    /// The dropout masks of a step.
    Dropout = 3,
    /// Which clips are held out.
    Split = 4,
}

/// An endless sequence of 64-bit words, readable at any position.
#[derive(Clone, Copy, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of this seed, purpose and place (an epoch, a step and a site, a tensor).
    pub fn new(seed: u64, purpose: Purpose, place: &[u64]) -> Self {
        let words = [seed, purpose as u64].into_iter().chain(place.iter().copied());
        Self(words.fold(STRIDE, |key, word| mix(key.wrapping_add(mix(word.wrapping_add(STRIDE))))))
    }

    /// The word at `position`.
    #[inline]
    pub fn word(&self, position: u64) -> u64 {
        mix(self.0.wrapping_add(position.wrapping_add(1).wrapping_mul(STRIDE)))
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn unit(&self, position: u64) -> f64 {
        (self.word(position) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box & Muller 1958); takes the two words `2 * position` and the next.
    pub fn normal(&self, position: u64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit(2 * position)).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit(2 * position + 1)).cos()
    }

    /// The numbers `0..count` in random order (Fisher & Yates); the bias of the modulus is below `count / 2^64`.
    pub fn permutation(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = (self.word(last as u64) % (last as u64 + 1)) as usize;
            order.swap(last, other);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_place() {
        let words = [
            Stream::new(0, Purpose::Init, &[0, 0]),
            Stream::new(1, Purpose::Init, &[0, 0]),
            Stream::new(0, Purpose::Shuffle, &[0, 0]),
            Stream::new(0, Purpose::Init, &[1, 0]),
            Stream::new(0, Purpose::Init, &[0, 1]),
        ]
        .map(|stream| stream.word(0));
        let distinct: std::collections::HashSet<_> = words.into_iter().collect();
        assert_eq!(distinct.len(), 5);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let stream = Stream::new(3, Purpose::Init, &[0, 0]);
        let moments = |draw: &dyn Fn(u64) -> f64| {
            let n = 20_000;
            let mean = (0..n).map(draw).sum::<f64>() / n as f64;
            (mean, (0..n).map(|i| (draw(i) - mean).powi(2)).sum::<f64>() / n as f64)
        };
        let (mean, variance) = moments(&|i| stream.unit(i));
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.002);
        let (mean, variance) = moments(&|i| stream.normal(i));
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03);
    }

    #[test]
    fn a_permutation_has_every_number_once() {
        let order = Stream::new(0, Purpose::Shuffle, &[4, 0]).permutation(100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100) && !order.iter().copied().eq(0..100));
    }
}
