//! Random weights of the published shapes: speed does not depend on the numbers.

use std::borrow::Cow;
use std::collections::HashMap;

use candle_core::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::fold::Tensors;

/// Random tensors of given names and shapes, drawn from a fixed seed when they are read.
#[derive(Debug)]
pub struct RandomWeights {
    shapes: HashMap<String, Vec<usize>>,
}

impl RandomWeights {
    /// Weights of these names and shapes.
    pub fn new(shapes: Vec<(String, Vec<usize>)>) -> Self {
        Self { shapes: shapes.into_iter().collect() }
    }
}

impl Tensors for RandomWeights {
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        let Some(shape) = self.shapes.get(name) else { candle_core::bail!("tensor {name} is missing") };
        // Uniform within ±1/sqrt(fan-in) keeps activations in an ordinary range, where arithmetic runs at its usual speed.
        let bound = 1.0 / (shape.iter().skip(1).product::<usize>() as f32).sqrt();
        let seed = name.bytes().fold(0u64, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b)));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Ok((0..shape.iter().product()).map(|_| rng.random_range(-bound..bound)).collect())
    }
}
