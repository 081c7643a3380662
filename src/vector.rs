//! The length of a vector, vectors of length 1, and the cosine of two.

/// The Euclidean length, summed in f64.
pub fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// What a vector is multiplied by to have length 1; 0 for a vector of zeros.
pub fn unit_scale(vector: &[f32]) -> f64 {
    let length = length(vector);
    if length > 0.0 { 1.0 / length } else { 0.0 }
}

/// The cosine of two vectors of one width, in f64; 0 where one of both is a zero vector.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    let scale = length(a) * length(b);
    if scale > 0.0 { product / scale } else { 0.0 }
}

/// Scales a vector to length 1; a vector of zeros stays as it is.
pub fn scale_to_unit(vector: &mut [f32]) {
    let length = length(vector);
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_scaled_to_length_1_unless_it_is_zero() {
        let (mut vector, mut zero) = ([3.0, 4.0], [0.0; 2]);
        assert_eq!(length(&vector), 5.0);
        scale_to_unit(&mut vector);
        scale_to_unit(&mut zero);
        assert_eq!((vector, zero), ([0.6, 0.8], [0.0; 2]));
    }
}
