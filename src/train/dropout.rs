//! Dropout whose masks are a function of seed, step, layer and element: no mask is stored, and equal runs have equal masks.

use std::sync::Arc;

use super::random::{Purpose, Stream};
use crate::kernels::grad::Factors;
use crate::model::lift::Dropout;

/// The dropout of one step on one shard.
pub struct Seeded {
    probability: f64,
    seed: u64,
    place: [u64; 2],
    sites: u64,
}

impl Seeded {
    /// Drops with this probability (0 to 1, in steps of 2^-16) in this step and shard.
    pub fn new(probability: f64, seed: u64, place: [u64; 2]) -> Self {
        Self { probability, seed, place, sites: 0 }
    }
}

impl Dropout for Seeded {
    fn mask(&mut self) -> Option<Arc<dyn Factors>> {
        self.sites += 1;
        let [step, shard] = self.place;
        let stream = Stream::new(self.seed, Purpose::Dropout, &[step, shard, self.sites]);
        let threshold = (self.probability * 65536.0).round().min(65535.0) as u16;
        (threshold > 0).then(|| Arc::new(Mask { stream, threshold }) as Arc<dyn Factors>)
    }
}

/// Which elements are kept: sixteen bits of the stream decide for each.
struct Mask {
    stream: Stream,
    threshold: u16,
}

impl Mask {
    /// The factor of lane `lane` of a word.
    #[inline]
    fn factor(&self, word: u64, lane: usize, kept: f32) -> f32 {
        if (word >> (16 * lane)) as u16 >= self.threshold { kept } else { 0.0 }
    }
}

impl Factors for Mask {
    fn fill(&self, start: usize, factors: &mut [f32]) {
        // Kept elements are scaled up, so that the mean stays the same.
        let kept = 65536.0 / (65536.0 - f32::from(self.threshold));
        let head = (start.next_multiple_of(4) - start).min(factors.len());
        let (head, rest) = factors.split_at_mut(head);
        for (i, factor) in head.iter_mut().enumerate() {
            *factor = self.factor(self.stream.word((start / 4) as u64), (start + i) % 4, kept);
        }
        let first = start.div_ceil(4);
        for (number, four) in rest.chunks_mut(4).enumerate() {
            let word = self.stream.word((first + number) as u64);
            for (lane, factor) in four.iter_mut().enumerate() {
                *factor = self.factor(word, lane, kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor, Var};

    use super::*;

    fn factors(step: u64, start: usize, count: usize) -> Vec<f32> {
        let mut factors = vec![0.0; count];
        Seeded::new(0.1, 7, [step, 0]).mask().unwrap().fill(start, &mut factors);
        factors
    }

    #[test]
    fn a_tenth_is_dropped_and_the_mean_stays() {
        let all = factors(0, 0, 200_001);
        let dropped = all.iter().filter(|v| **v == 0.0).count() as f64 / all.len() as f64;
        assert!((dropped - 0.1).abs() < 0.003, "{dropped}");
        let mean = all.iter().map(|v| f64::from(*v)).sum::<f64>() / all.len() as f64;
        assert!((mean - 1.0).abs() < 0.003, "{mean}");
        assert_eq!(all, factors(0, 0, 200_001));
        assert_ne!(all, factors(1, 0, 200_001));
    }

    #[test]
    fn a_part_of_a_mask_equals_that_part_of_the_whole_mask() {
        let all = factors(0, 0, 100);
        for (start, count) in [(0, 1), (1, 2), (3, 50), (4, 8), (7, 93), (2, 0)] {
            assert_eq!(factors(0, start, count), all[start..start + count]);
        }
    }

    #[test]
    fn each_layer_has_its_own_mask_and_gradients_pass_where_values_did() {
        let var =
            Var::from_tensor(&Tensor::ones(1000, candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap();
        let mut dropout = Seeded::new(0.3, 1, [2, 0]);
        let y = dropout.apply(var.as_tensor().clone()).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        let grad = grads.get(var.as_tensor()).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(grad, y.to_vec1::<f32>().unwrap());
        // Without a gradient the composed path takes the same mask.
        let mut again = Seeded::new(0.3, 1, [2, 0]);
        assert_eq!(grad, again.apply(var.as_detached_tensor()).unwrap().to_vec1::<f32>().unwrap());
        let other = dropout.apply(var.as_tensor().clone()).unwrap().to_vec1::<f32>().unwrap();
        assert_ne!(grad, other);
    }
}
