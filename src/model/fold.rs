//! Linear layers on their way into the kernels' layout: linear steps are folded into their neighbours, once, at load.
//!
//! LayerNorm's affine map moves into the layer after it, LayerScale and the attention's scale into the layer before them. Sums of
//! products are folded in f64 and rounded once; a scale is one multiplication in f32.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;

use crate::kernels::{Backend, PackedLinear};

/// Named tensors whose numbers can be read without copying.
pub trait Tensors: Sync {
    /// The numbers of a tensor, row-major.
    ///
    /// # Errors
    /// If there is no such tensor, or it does not hold floating-point numbers.
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>>;

    /// Checks that [`Self::values`] gives the numbers of a tensor. Files do this without reading them.
    ///
    /// # Errors
    /// As there.
    fn check_values(&self, name: &str) -> Result<()> {
        self.values(name).map(drop)
    }
}

impl Tensors for HashMap<String, Tensor> {
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        match self.get(name) {
            Some(tensor) => tensor.flatten_all()?.to_vec1().map(Cow::Owned),
            None => bail!("tensor {name} is missing"),
        }
    }
}

/// Copies of the tensors of these names and shapes, in memory, for candle's operations.
///
/// # Errors
/// If a tensor is missing or has another size.
pub(super) fn copied(
    tensors: &dyn Tensors,
    named: impl IntoIterator<Item = (String, Vec<usize>)>,
) -> Result<VarBuilder<'static>> {
    let copy = |(name, shape): (String, Vec<usize>)| {
        let tensor = Tensor::from_slice(&tensors.values(&name)?, &shape[..], &Device::Cpu)?;
        Ok((name, tensor))
    };
    let copies = named.into_iter().map(copy).collect::<Result<_>>()?;
    Ok(VarBuilder::from_tensors(copies, DType::F32, &Device::Cpu))
}

/// The values of a tensor of that many elements.
///
/// # Errors
/// If there is no such tensor, or it has another number of elements.
pub(super) fn values_of<'a>(tensors: &'a dyn Tensors, name: &str, len: usize) -> Result<Cow<'a, [f32]>> {
    let values = tensors.values(name)?;
    if values.len() != len {
        bail!("tensor {name} has {} elements, expected {len}", values.len());
    }
    Ok(values)
}

/// Weight and bias of the norm `name`, `(width)` each.
///
/// # Errors
/// If a tensor is missing or has another size.
pub(super) fn norm_of(tensors: &dyn Tensors, name: &str, width: usize) -> Result<Norm> {
    let read = |part: &str| values_of(tensors, &format!("{name}.{part}"), width).map(Cow::into_owned);
    Ok((read("weight")?, read("bias")?))
}

/// Weight and bias of a norm, `(D)` each.
pub(super) type Norm = (Vec<f32>, Vec<f32>);

/// A linear layer on its way into a [`PackedLinear`], and what is folded into it there.
pub(super) struct Folded<'a> {
    /// `(outputs, inputs)`.
    pub weight: Cow<'a, [f32]>,
    /// `(outputs)`.
    pub bias: Cow<'a, [f32]>,
    inputs: usize,
    /// Weight and bias `(inputs)` of the norm before the layer.
    pub norm: Option<Norm>,
    /// The scale of each output, which comes after the layer.
    pub scales: Option<Cow<'a, [f32]>>,
}

impl<'a> Folded<'a> {
    /// The tensors `weight (outputs, inputs)` and, if it has a name, `bias (outputs)`; zeros otherwise.
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub(super) fn read(
        tensors: &'a dyn Tensors,
        weight: &str,
        bias: Option<&str>,
        [inputs, outputs]: [usize; 2],
    ) -> Result<Self> {
        Ok(Self {
            weight: values_of(tensors, weight, inputs * outputs)?,
            bias: match bias {
                Some(bias) => values_of(tensors, bias, outputs)?,
                None => Cow::Owned(vec![0.0; outputs]),
            },
            inputs,
            norm: None,
            scales: None,
        })
    }

    /// The tensors `NAME.weight (outputs, inputs)` and `NAME.bias (outputs)`.
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub(super) fn layer(tensors: &'a dyn Tensors, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = format!("{name}.bias");
        Self::read(tensors, &format!("{name}.weight"), Some(&bias), [inputs, outputs])
    }

    pub(super) fn pack(&self, backend: Backend) -> PackedLinear {
        self.pack_outputs(backend, 0..self.bias.len())
    }

    /// Packs some of the outputs only.
    pub(super) fn pack_outputs(&self, backend: Backend, outputs: Range<usize>) -> PackedLinear {
        let first = outputs.start;
        PackedLinear::of_rows(backend, outputs.len(), self.inputs, &|rows, weight, bias| {
            self.fold(first + rows.start..first + rows.end, weight, bias);
        })
    }

    /// Folds some of the rows: the norm first, then the scales.
    fn fold(&self, rows: Range<usize>, weight: &mut [f32], bias: &mut [f32]) {
        weight.copy_from_slice(&self.weight[rows.start * self.inputs..rows.end * self.inputs]);
        bias.copy_from_slice(&self.bias[rows.clone()]);
        if let Some((gamma, beta)) = &self.norm {
            after_norm(weight, bias, gamma, beta);
        }
        if let Some(scales) = &self.scales {
            before_scale(weight, bias, &scales[rows]);
        }
    }
}

/// Takes the affine map of the norm before it into a layer: `W (γ x + β) + b = (W γ) x + (b + W β)`.
fn after_norm(weight: &mut [f32], bias: &mut [f32], gamma: &[f32], beta: &[f32]) {
    /// Rows at a time: an addition to one sum need not wait for the addition before it, which is to another.
    const ROWS: usize = 8;
    let inputs = gamma.len();
    for (rows, biases) in weight.chunks_mut(ROWS * inputs).zip(bias.chunks_mut(ROWS)) {
        let mut shifts = [0.0; ROWS];
        let mut add = |r: usize, w: f32, b: f32| shifts[r] += f64::from(w) * f64::from(b);
        if biases.len() == ROWS {
            let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &rows[r * inputs..][..inputs]);
            for (i, b) in beta.iter().enumerate() {
                (0..ROWS).for_each(|r| add(r, rows[r][i], *b));
            }
        } else {
            for (r, row) in rows.chunks_exact(inputs).enumerate() {
                row.iter().zip(beta).for_each(|(w, b)| add(r, *w, *b));
            }
        }
        biases.iter_mut().zip(shifts).for_each(|(bias, shift)| *bias = (f64::from(*bias) + shift) as f32);
        for row in rows.chunks_exact_mut(inputs) {
            row.iter_mut().zip(gamma).for_each(|(w, g)| *w *= g);
        }
    }
}

/// Takes the scale of each output into a layer.
fn before_scale(weight: &mut [f32], bias: &mut [f32], scales: &[f32]) {
    let inputs = weight.len() / bias.len();
    for ((row, bias), scale) in weight.chunks_exact_mut(inputs).zip(bias).zip(scales) {
        row.iter_mut().for_each(|w| *w *= scale);
        *bias *= scale;
    }
}
