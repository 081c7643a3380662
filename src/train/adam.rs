//! Adam with weight decay as an L2 penalty in the gradient (torch's `Adam`, not `AdamW`); candle does not have it.
//!
//! Kingma & Ba 2015 in torch's order of operations: `g += λp`, `m = lerp(m, g, 1-β₁)`, `v = β₂v + (1-β₂)g²`,
//! `p -= lr/(1-β₁ᵗ) · m / (sqrt(v)/sqrt(1-β₂ᵗ) + ε)`. On the CPU each formula is one parallel pass in
//! place; on a GPU the same formulas are computed by candle's operations.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, InplaceOp3, Layout, Result, Tensor, Var, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::grad;

/// Elements per parallel task; a multiple of every vector width.
const CHUNK: usize = 1 << 14;

/// The settings of Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Decay of the mean of the gradients, β₁.
    pub beta1: f64,
    /// Decay of the mean of their squares, β₂.
    pub beta2: f64,
    /// Added to the root, ε.
    pub eps: f64,
    /// The factor of the weight that is added to its gradient, λ.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-5 }
    }
}

/// The two running means of one variable.
struct Moments {
    first: Var,
    second: Var,
}

/// The optimiser: its running means and the number of its steps.
pub struct Adam {
    config: AdamConfig,
    moments: BTreeMap<String, Moments>,
    steps: u64,
}

impl Adam {
    /// The optimiser before its first step.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(config: AdamConfig, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let zeros = vars.iter().map(|(name, var)| Ok((name.clone(), (var.zeros_like()?, var.zeros_like()?))));
        Self::resume(config, vars, zeros.collect::<Result<_>>()?, 0)
    }

    /// The optimiser after `steps` steps, with the means of the gradients and of their squares for each variable.
    ///
    /// # Errors
    /// If a mean is missing or has another shape.
    pub fn resume(
        config: AdamConfig,
        vars: &BTreeMap<String, Var>,
        mut means: BTreeMap<String, (Tensor, Tensor)>,
        steps: u64,
    ) -> Result<Self> {
        let mut moments = BTreeMap::new();
        for (name, var) in vars {
            let Some((first, second)) = means.remove(name) else { bail!("{name} has no optimiser state") };
            if first.dims() != var.dims() || second.dims() != var.dims() {
                bail!("the optimiser state of {name} has the shape {:?}, not {:?}", first.dims(), var.dims());
            }
            let pair = Moments { first: Var::from_tensor(&first)?, second: Var::from_tensor(&second)? };
            moments.insert(name.clone(), pair);
        }
        Ok(Self { config, moments, steps })
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The running means by the variables' names.
    pub fn means(&self) -> impl Iterator<Item = (&str, [&Tensor; 2])> {
        self.moments.iter().map(|(name, m)| (name.as_str(), [m.first.as_tensor(), m.second.as_tensor()]))
    }

    /// Makes one step with the gradient that `gradient` gives for each variable; a variable without one stays unchanged. The
    /// variables are updated in parallel.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        gradient: &(dyn Fn(&Var) -> Result<Option<Tensor>> + Sync),
        lr: f64,
    ) -> Result<()> {
        self.steps += 1;
        let AdamConfig { beta1, beta2, eps, weight_decay } = self.config;
        let corrected = |beta: f64| 1.0 - beta.powi(self.steps.min(i32::MAX as u64) as i32);
        let size = lr / corrected(beta1);
        let root = corrected(beta2).sqrt();
        let first = First { weight: (1.0 - beta1) as f32, decay: weight_decay as f32 };
        let second = Second { keep: beta2 as f32, weight: (1.0 - beta2) as f32, decay: weight_decay as f32 };
        let update = Update { size: size as f32, root: root as f32, eps: eps as f32 };
        vars.par_iter().try_for_each(|(name, var)| {
            let (Some(grad), Some(moments)) = (gradient(var)?, self.moments.get(name)) else { return Ok(()) };
            let (p, m, v) = (var.as_tensor(), moments.first.as_tensor(), moments.second.as_tensor());
            if grad::serves(p.device()) {
                let grad = grad.contiguous()?;
                m.inplace_op3(&grad, p, &first)?;
                v.inplace_op3(&grad, p, &second)?;
                return p.inplace_op3(m, v, &update);
            }
            let grad = (grad + (p * weight_decay)?)?;
            moments.first.set(&(m + ((&grad - m)? * (1.0 - beta1))?)?)?;
            moments.second.set(&((v * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?)?;
            let denominator = ((moments.second.sqrt()? / root)? + eps)?;
            var.set(&(p - (moments.first.div(&denominator)? * size)?)?)
        })
    }
}

/// `m = lerp(m, g + λp, weight)`.
struct First {
    weight: f32,
    decay: f32,
}

/// `v = keep·v + weight·(g + λp)²`.
struct Second {
    keep: f32,
    weight: f32,
    decay: f32,
}

/// `p -= size · m / (sqrt(v)/root + ε)`.
struct Update {
    size: f32,
    root: f32,
    eps: f32,
}

/// Runs `each(target, a, b)` over three contiguous f32 arrays of one length, in parallel.
fn zip3(
    target: (&mut CpuStorage, &Layout),
    a: (&CpuStorage, &Layout),
    b: (&CpuStorage, &Layout),
    each: impl Fn(&mut f32, f32, f32) + Sync,
) -> Result<()> {
    let range = |layout: &Layout| match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!("the optimiser needs contiguous tensors"),
    };
    let CpuStorage::F32(values) = target.0 else { bail!("the optimiser needs f32") };
    let values = &mut values[range(target.1)?];
    let (a, b) = (&a.0.as_slice::<f32>()?[range(a.1)?], &b.0.as_slice::<f32>()?[range(b.1)?]);
    let chunks = values.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).zip(b.par_chunks(CHUNK));
    chunks.for_each(|((values, a), b)| {
        for ((value, &a), &b) in values.iter_mut().zip(a).zip(b) {
            each(value, a, b);
        }
    });
    Ok(())
}

macro_rules! inplace {
    ($op:ty, $name:literal, $each:expr) => {
        impl InplaceOp3 for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn cpu_fwd(
                &self,
                s1: &mut CpuStorage,
                l1: &Layout,
                s2: &CpuStorage,
                l2: &Layout,
                s3: &CpuStorage,
                l3: &Layout,
            ) -> Result<()> {
                let each: fn(&Self, &mut f32, f32, f32) = $each;
                zip3((s1, l1), (s2, l2), (s3, l3), |value, a, b| each(self, value, a, b))
            }
        }
    };
}

inplace!(First, "adam-first", |op, m, g, p| *m += op.weight * (g + op.decay * p - *m));
inplace!(Second, "adam-second", |op, v, g, p| {
    let g = g + op.decay * p;
    *v = *v * op.keep + op.weight * g * g;
});
inplace!(Update, "adam-update", |op, p, m, v| *p -= op.size * m / (v.sqrt() / op.root + op.eps));

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// The definition in f64, for one weight and given gradients.
    fn reference(mut p: f64, grads: &[f64], lr: f64, config: AdamConfig) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for (t, g) in (1..).zip(grads) {
            let g = g + config.weight_decay * p;
            m = config.beta1 * m + (1.0 - config.beta1) * g;
            v = config.beta2 * v + (1.0 - config.beta2) * g * g;
            let (m, v) = (m / (1.0 - config.beta1.powi(t)), v / (1.0 - config.beta2.powi(t)));
            p -= lr * m / (v.sqrt() + config.eps);
        }
        p
    }

    #[test]
    fn steps_agree_with_the_definition() {
        let config = AdamConfig { weight_decay: 0.3, ..AdamConfig::default() };
        let var = Var::from_tensor(&Tensor::full(0.7f32, 3, &Device::Cpu).unwrap()).unwrap();
        let vars = BTreeMap::from([("w".to_string(), var.clone())]);
        let mut adam = Adam::new(config, &vars).unwrap();
        let grads = [0.5, -1.5, 0.01, 2.0, -0.02];
        for g in grads {
            let loss = (var.as_tensor() * g).unwrap().sum_all().unwrap();
            let grads = loss.backward().unwrap();
            adam.step(&vars, &|var| Ok(grads.get(var.as_tensor()).cloned()), 0.05).unwrap();
        }
        let want = reference(0.7, &grads, 0.05, config) as f32;
        assert!(var.to_vec1::<f32>().unwrap().iter().all(|p| (p - want).abs() < 1e-6), "{var} {want}");
        assert_eq!(adam.steps(), 5);
    }
}
