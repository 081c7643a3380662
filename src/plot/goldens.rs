//! The authors' projection of one clip, for the tests (`tests/data/README.md` names its source).

use safetensors::SafeTensors;

const DIMRED: &[u8] = include_bytes!("../../tests/data/dimred.safetensors");

/// The joint projection of the sample clip's 16 features and 16 reconstructions.
pub(crate) struct Dimred {
    /// `(32, 384)`, each half centred.
    pub points: Vec<Vec<f64>>,
    /// Principal components, `(32, 2)`.
    pub pca: Vec<[f64; 2]>,
    /// t-SNE affinities, `(32, 32)`.
    pub affinities: Vec<f64>,
    /// Where scikit-learn's descent starts.
    pub start: Vec<[f64; 2]>,
    /// The gradient there.
    pub gradient: Vec<[f64; 2]>,
    /// The gradient there with affinities exaggerated twelvefold.
    pub exaggerated_gradient: Vec<[f64; 2]>,
    /// Iterations of the exaggerated stage, and the points after each.
    pub descent: Vec<(usize, Vec<[f64; 2]>)>,
}

impl Dimred {
    pub fn load() -> Self {
        let file = SafeTensors::deserialize(DIMRED).unwrap();
        let doubles = |name: &str| -> Vec<f64> {
            let tensor = file.tensor(name).unwrap();
            match tensor.dtype() {
                safetensors::Dtype::F32 => {
                    tensor.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
                }
                safetensors::Dtype::I64 => {
                    tensor.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect()
                }
                _ => tensor.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            }
        };
        let pairs = |name: &str| doubles(name).as_chunks().0.to_vec();
        Self {
            points: doubles("x_combined").chunks_exact(384).map(<[f64]>::to_vec).collect(),
            pca: pairs("pca"),
            affinities: doubles("tsne_P_exact"),
            start: pairs("tsne_init_pca"),
            gradient: pairs("exact_grad_init_ee1"),
            exaggerated_gradient: pairs("exact_grad_init_ee12"),
            descent: doubles("exact_traj_iters")
                .iter()
                .map(|iteration| *iteration as usize)
                .zip(pairs("exact_traj").chunks_exact(32).map(<[[f64; 2]]>::to_vec))
                .collect(),
        }
    }
}
