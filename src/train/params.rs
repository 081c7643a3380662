//! The weights being trained: named variables, their initial values, and the model that is built on them.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::var_builder::{SimpleBackend, VarBuilder};

use super::random::{Purpose, Stream};
use crate::model::lift::{Lift, LiftConfig, sinusoids};

/// The end of the name of the position table, the one tensor that is not trained.
const TABLE: &str = "pos_encoder.pe";

/// Weights by their names in the Lightning `state_dict`, and the position table, which is not trained.
pub struct Params {
    config: LiftConfig,
    vars: BTreeMap<String, Var>,
    table: (String, Tensor),
}

impl Params {
    /// The weights with torch's initialisation of this model, drawn from `seed`.
    ///
    /// `Linear`: weight and bias uniform within `1/sqrt(fan_in)`; attention's `in_proj_weight` Xavier-uniform over its packed
    /// shape, its biases zero; class tokens standard normal; norms one and zero.
    ///
    /// # Errors
    /// If the device fails.
    pub fn init(config: &LiftConfig, seed: u64, device: &Device) -> Result<Self> {
        let all = config.tensors();
        let shapes: BTreeMap<_, _> =
            all.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
        let named = all.iter().enumerate().map(|(place, (name, shape))| {
            let stream = Stream::new(seed, Purpose::Init, &[place as u64]);
            let values = first_values(config, &shapes, name, shape, &stream);
            Ok((name.clone(), Tensor::from_vec(values, shape.as_slice(), device)?))
        });
        Self::from_tensors(config, named.collect::<Result<_>>()?)
    }

    /// The weights with these values: exactly the tensors of `config`, in f32.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape.
    pub fn from_tensors(config: &LiftConfig, mut tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        let mut vars = BTreeMap::new();
        let mut table = None;
        for (name, shape) in config.tensors() {
            let Some(tensor) = tensors.remove(&name) else { bail!("the tensor {name} is missing") };
            if tensor.dims() != shape {
                bail!("{name} has the shape {:?}, not {shape:?}", tensor.dims());
            }
            let tensor = tensor.to_dtype(DType::F32)?;
            if name.ends_with(TABLE) {
                table = Some((name, tensor));
            } else {
                vars.insert(name, Var::from_tensor(&tensor)?);
            }
        }
        if let Some(name) = tensors.keys().next() {
            bail!("{name} is no tensor of this model");
        }
        let Some(table) = table else { bail!("the position table is missing") };
        Ok(Self { config: config.clone(), vars, table })
    }

    /// The trained variables by name, in the order of the names.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// Every tensor of a file of weights, including the position table.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let vars = self.vars.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor()));
        vars.chain([self.table.clone()]).collect()
    }

    /// The model's shape.
    pub fn config(&self) -> &LiftConfig {
        &self.config
    }

    /// The model on the current weights, with gradients. It must be built again for each step, because it computes the joined
    /// class tokens once, when it is loaded.
    ///
    /// # Errors
    /// Only if the device fails.
    pub fn model(&self) -> Result<Lift> {
        let vars = self.vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let tensors = Named(vars.chain([self.table.clone()]).collect());
        let device = self.table.1.device().clone();
        let backend: Box<dyn SimpleBackend> = Box::new(tensors);
        Lift::load(self.config.clone(), &VarBuilder::from_backend(backend, DType::F32, device))
    }

    /// Whether every weight is a finite number.
    ///
    /// # Errors
    /// Only if the device fails.
    pub fn are_finite(&self) -> Result<bool> {
        for var in self.vars.values() {
            // The sum of squares of finite weights is finite unless they are of the order of 1e19.
            if !var.as_detached_tensor().sqr()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The initial values of one tensor.
fn first_values(
    config: &LiftConfig,
    shapes: &BTreeMap<&str, &[usize]>,
    name: &str,
    shape: &[usize],
    stream: &Stream,
) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let uniform =
        |bound: f64| (0..count as u64).map(|i| (bound * (2.0 * stream.unit(i) - 1.0)) as f32).collect();
    // A bias is drawn like its weight; a norm's weight has one axis.
    let weight = name.strip_suffix("bias").map(|stem| format!("{stem}weight"));
    let fan_in = match weight.as_deref().and_then(|weight| shapes.get(weight)).unwrap_or(&shape) {
        [_, fan_in] => Some(*fan_in),
        _ => None,
    };
    if name.ends_with(TABLE) {
        sinusoids(config.max_len, config.latent)
    } else if name.ends_with("in_proj_weight") {
        uniform((6.0 / (shape[0] + shape[1]) as f64).sqrt())
    } else if name.ends_with("in_proj_bias") || name.ends_with("out_proj.bias") {
        vec![0.0; count]
    } else if name.contains(".cls_") {
        (0..count as u64).map(|i| stream.normal(i) as f32).collect()
    } else if let Some(fan_in) = fan_in {
        uniform(1.0 / (fan_in as f64).sqrt())
    } else {
        vec![if name.ends_with("weight") { 1.0 } else { 0.0 }; count]
    }
}

/// Gives the model the variables themselves, so that gradients reach them.
struct Named(BTreeMap<String, Tensor>);

impl SimpleBackend for Named {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            bail!("{name} has the shape {:?}, not {shape:?}", tensor.shape());
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.0.get(name) {
            Some(tensor) => Ok(tensor.clone()),
            None => bail!("the tensor {name} is missing"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(params: &Params, name: &str) -> (f32, f32) {
        let values: Vec<f32> = params.tensors()[name].flatten_all().unwrap().to_vec1().unwrap();
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        (largest, values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32)
    }

    #[test]
    fn first_values_have_torchs_ranges() {
        let config = LiftConfig::new(32, 48, 20);
        let params = Params::init(&config, 1, &Device::Cpu).unwrap();
        assert_eq!(params.vars().len() + 1, config.tensors().len());
        // A uniform distribution within b has variance b²/3.
        for (name, bound) in [
            ("model.encoder.input_proj.weight", (32f32).powf(-0.5)),
            ("model.encoder.transformer.layers.2.linear2.weight", (192f32).powf(-0.5)),
            ("model.encoder.transformer.layers.0.self_attn.in_proj_weight", (6f32 / 192.0).sqrt()),
            ("model.encoder.transformer.layers.0.self_attn.out_proj.weight", (48f32).powf(-0.5)),
        ] {
            let (largest, variance) = spread(&params, name);
            assert!(largest <= bound && largest > 0.97 * bound, "{name}: {largest}, {bound}");
            assert!((variance * 3.0 / (bound * bound) - 1.0).abs() < 0.06, "{name}");
        }
        let (largest, _) = spread(&params, "model.encoder.input_proj.bias");
        assert!(largest > 0.1 && largest <= (32f32).powf(-0.5));
        assert_eq!(spread(&params, "model.encoder.transformer.layers.1.self_attn.in_proj_bias").0, 0.0);
        assert_eq!(spread(&params, "model.encoder.transformer.layers.1.self_attn.out_proj.bias").0, 0.0);
        assert_eq!(spread(&params, "model.encoder.transformer.layers.1.norm1.weight"), (1.0, 1.0));
        assert_eq!(spread(&params, "model.decoder.model.4.bias").0, 0.0);
        assert!(spread(&params, "model.encoder.cls_static").0 > 1.0);
    }

    #[test]
    fn other_tensors_are_refused() {
        let config = LiftConfig::new(8, 8, 4);
        let tensors = Params::init(&config, 0, &Device::Cpu).unwrap().tensors();
        let mut missing = tensors.clone();
        missing.remove("model.encoder.cls_static");
        assert!(Params::from_tensors(&config, missing).is_err());
        let mut more = tensors.clone();
        more.insert("model.head".into(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
        assert!(Params::from_tensors(&config, more).is_err());
        let mut other = tensors;
        other.insert(
            "model.encoder.cls_static".into(),
            Tensor::zeros((1, 8), DType::F32, &Device::Cpu).unwrap(),
        );
        assert!(Params::from_tensors(&config, other).is_err());
    }
}
